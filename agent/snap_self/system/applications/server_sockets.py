"""Connects to database servers and knows who answers before anything is sent.

A local socket is opened by its inode (``O_PATH``) and connected to through ``/proc/self/fd``. An
inode belongs to one listening socket for ever, so later connections reach the listener that was
seen there, whatever happens to the path. This also works for paths longer than a socket address.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from snap_self.model.identity import Peer
from snap_self.model.trust import PathHop
from snap_self.system.applications.listening import listeners_on
from snap_self.system.trust import walk

_CREDENTIALS = struct.Struct("3i")
_PREFIX = "servers-"


class LocalSocket:
    """Implement ``ports.PinnedSocket``."""

    def __init__(self, way: Sequence[PathHop], descriptor: int, folder: Path) -> None:
        self.way = way
        self._descriptor = descriptor
        self._folder = folder
        self._path = f"/proc/self/fd/{descriptor}"
        self._made: Path | None = None

    def connect(self, timeout_s: float) -> tuple[socket.socket, Peer]:
        """Return a socket connected to it, and who listens; nothing has been sent.

        Raises:
            OSError: nobody listens, or not in time.
        """
        with contextlib.ExitStack() as unless_known:
            link = unless_known.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            link.settimeout(timeout_s)
            link.connect(self._path)
            peer = peer_of(link.fileno())
            unless_known.pop_all()
        return link, peer

    def under(self, name: str) -> str:
        """Return a path with that file name that leads to the socket, for this process alone.

        Raises:
            OSError: there is no room for it.
        """
        if self._made is None:
            _remove_left(self._folder)
            self._made = self._folder / f"{_PREFIX}{os.getpid()}-{self._descriptor}"
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._made.mkdir(mode=0o700)
        path = self._made / name
        path.symlink_to(self._path)
        return str(path)

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LocalServerSockets:
    """Implement ``ports.ServerSockets``.

    Args:
        folder: where names for sockets are made; for root only.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def pin(self, path: str, *, root: str) -> LocalSocket:
        """Return the socket at an absolute path.

        Raises:
            OSError: there is none.
        """
        way = walk(path, root=root)
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(f"{root}{way[-1].path}", flags)
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), path)
        return LocalSocket(way, descriptor, Path(self.folder))

    def connect_loopback(self, pid: int, port: int, timeout_s: float) -> socket.socket:
        """Return a socket connected to a loopback port on which only that process listens.

        The listener is looked at before and after. If it is the same socket, nobody else can have
        had the port in between.

        Raises:
            OSError: nobody listens, or not in time, or somebody else.
        """
        before = _own_listeners(pid, port)
        with contextlib.ExitStack() as unless_proved:
            link = socket.create_connection(("127.0.0.1", port), timeout_s)
            unless_proved.callback(link.close)
            if _own_listeners(pid, port) != before:
                raise OSError(errno.ECONNABORTED, f"another socket listens on port {port} now")
            unless_proved.pop_all()
        return link

    def pin_inside(self, pid: int, path: str) -> LocalSocket:
        """Return the socket at a path as a process in a container sees it.

        Raises:
            OSError: there is none, or not in time.
        """
        from snap_self.system.applications.contained import pin_inside

        return pin_inside(pid, path, self.folder)

    def connect_inside(self, pid: int, port: int, timeout_s: float) -> tuple[socket.socket, Peer]:
        """Return a socket connected to a port in a process's own network, and its server.

        Raises:
            OSError: nobody listens, or not in time, or somebody else.
        """
        from snap_self.system.applications.contained import connect_inside

        return connect_inside(pid, port, timeout_s)

    def cut_off(self, descriptor: int, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Shut a connection down if the block takes longer."""
        from snap_self.system.applications.contained import cut_off

        return cut_off(descriptor, seconds)

    def peer(self, descriptor: int) -> Peer:
        """Return who listens at the other end of a connected local socket."""
        return peer_of(descriptor)

    def owner(self, path: str, *, root: str) -> int:
        """Return the user id that a directory belongs to.

        Raises:
            OSError: it is not there.
        """
        return os.lstat(f"{root}{path}").st_uid


def peer_of(descriptor: int) -> Peer:
    """Return who called ``listen`` at the other end of a connected local socket (unix(7)).

    Raises:
        OSError: it is not a local socket.
    """
    with socket.socket(fileno=os.dup(descriptor)) as link:
        if link.family != socket.AF_UNIX:
            raise OSError(errno.EAFNOSUPPORT, "it is not a local socket")
        raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return Peer(pid=pid, uid=uid, parent=_parent(pid))


def _parent(pid: int) -> int:
    """Return a process's parent, 0 if it is gone (proc_pid_stat(5))."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "surrogateescape")
        return int(text.rpartition(")")[2].split()[1])
    return 0


def _own_listeners(pid: int, port: int) -> list[int]:
    """Return the inode numbers of the sockets that listen on a loopback port.

    Raises:
        OSError: nobody listens there, or not that process alone.
    """
    found = listeners_on(port)
    if not found:
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    own = own_sockets(pid)
    if any(inode not in own for inode in found):
        raise OSError(errno.EACCES, f"process {pid} is not the only listener on port {port}")
    return found


def own_sockets(pid: int) -> set[int]:
    """Return the inode numbers of the sockets that a process has open.

    Raises:
        OSError: it is gone.
    """
    own = set()
    for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115
            if link.startswith("socket:["):
                own.add(int(link[8:-1]))
    return own


def _remove_left(folder: Path) -> None:
    """Remove names that killed agents left there."""
    for left in folder.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
