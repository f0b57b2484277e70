"""Reaches a server in a container. Its files, network and answers are not trusted.

Files and sockets there are opened by a separate process that can be abandoned. A server's answer
is limited in time and size, no matter how it splits the answer up.
"""

from __future__ import annotations

import errno
import marshal
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from snap_self.model.identity import Peer
from snap_self.model.trust import PathHop
from snap_self.system.applications.listening import accepted_by
from snap_self.system.applications.server_sockets import LocalSocket, own_sockets
from snap_self.system.disks.inside_entry import MAX_ANSWER, NETWORK, PLACE, Passed
from snap_self.system.python_child import bare_command
from snap_self.system.trust import kind_of
from snap_self.threads.thread import STARTING, Thread, prove_room

REACH_S = 5.0
MAX_REPLY = 16 << 20
_ENTRY = "snap_self.system.disks.inside_entry"
_LOOPBACK = "127.0.0.1"
_PAUSE_S, _MOMENT_S = 0.01, 0.5
# The kernel alone serves these. A program or another machine that serves files could claim that a
# file is root's, or never answer.
_LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs"})


class PatientSocket(socket.socket):
    """A connection that limits the time and the size of each whole answer.

    A limit for each piece would not stop a server that sends one byte at a time.
    """

    _given: float | None = None
    _until: float | None = None
    _taken = 0

    def settimeout(self, value: float | None, /) -> None:
        """Set how long the whole next answer may take."""
        self._given = value
        super().settimeout(value)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send; from here on a new answer begins."""
        self._until, self._taken = None, 0
        super().settimeout(self._given)
        super().sendall(data, flags)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        self._wait()
        return self._count(super().recv(bufsize, flags))

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0, /) -> int:
        self._wait()
        size = super().recv_into(buffer, nbytes, flags)
        self._grow(size)
        return size

    def _wait(self) -> None:
        if not self._given:  # 0: it does not wait; None: no limit
            return
        now = time.monotonic()
        self._until = self._until or now + self._given
        if now >= self._until:
            raise TimeoutError(errno.ETIMEDOUT, "its answer was not whole in time")
        super().settimeout(self._until - now)

    def _count(self, data: bytes) -> bytes:
        self._grow(len(data))
        return data

    def _grow(self, size: int) -> None:
        self._taken += size
        if self._taken > MAX_REPLY:
            raise OSError(errno.EMSGSIZE, f"its answer is longer than {MAX_REPLY >> 20} MiB")


class ContainedSocket(LocalSocket):
    """A pinned local socket in a container."""

    def connect(self, timeout_s: float) -> tuple[socket.socket, Peer]:
        """Return a socket connected to it, and who listens; nothing has been sent.

        Raises:
            OSError: nobody listens, or not in time.
        """
        link, peer = super().connect(timeout_s)
        patient = PatientSocket(fileno=link.detach())
        patient.settimeout(timeout_s)
        return patient, peer


def pin_inside(pid: int, path: str, folder: str) -> ContainedSocket:
    """Return the socket at a path as a process sees it.

    Raises:
        OSError: there is none, or the path crosses a filesystem that the kernel does not serve.
    """
    descriptor, passed = ask(PLACE, pid, path)
    try:
        served = next((each for each in passed if each[4] not in _LOCAL), None)
        if served is not None:
            kind = served[4] or "an unknown filesystem"
            raise OSError(errno.EREMOTE, f"its path crosses {kind}")
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    except OSError:
        os.close(descriptor)
        raise
    return ContainedSocket([_hop(each) for each in passed], descriptor, Path(folder))


def connect_inside(pid: int, port: int, timeout_s: float) -> tuple[socket.socket, Peer]:
    """Return a socket connected to a loopback port in a process's own network.

    That process must hold the other end of the connection, since firewall rules of that network
    may lead elsewhere.

    Raises:
        OSError: nobody listens, not in time, or another process does.
    """
    descriptor, _ = ask(NETWORK, pid, "")
    with ExitStack() as unless_known:
        link = unless_known.enter_context(PatientSocket(fileno=descriptor))
        link.settimeout(timeout_s)
        link.connect((_LOOPBACK, port))
        uid = _server_of(pid, port, link.getsockname()[1], timeout_s)
        unless_known.pop_all()
    return link, Peer(pid=pid, uid=uid)


def _server_of(pid: int, port: int, here: int, timeout_s: float) -> int:
    """Return the user id of a process that serves a connection from a loopback port.

    A connection has no socket until it is accepted, and for another moment no process holds that
    socket.
    """
    until, accepted = time.monotonic() + timeout_s, 0.0
    while True:
        ends = [end for end in accepted_by(pid, port, here) if end[0]]
        own = own_sockets(pid)
        if uids := [uid for inode, uid in ends if inode in own]:
            return uids[0]
        now = time.monotonic()
        if ends and accepted and now >= accepted + _MOMENT_S:
            raise OSError(errno.EACCES, f"port {port} leads to another process")
        if now >= until:
            raise TimeoutError(errno.ETIMEDOUT, f"port {port} accepts no connection")
        accepted = accepted or (now if ends else 0.0)
        time.sleep(_PAUSE_S)


def ask(
    question: str, pid: int, path: str, limit_s: float = REACH_S
) -> tuple[int, Sequence[Passed]]:
    """Let the separate process open something; return its descriptor and the steps on the way.

    Raises:
        OSError: it cannot be opened, or not in time.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = subprocess.Popen(
                bare_command((), module=_ENTRY),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                start_new_session=True,
            )
        try:
            ours.settimeout(limit_s)
            ours.send(marshal.dumps((question, pid, path)))
            flags = socket.MSG_CMSG_CLOEXEC
            body, descriptors, _, _ = socket.recv_fds(ours, MAX_ANSWER, 1, flags)
        finally:
            process.kill()
            _collect(process)
    if not body:
        raise OSError(errno.EPIPE, "the process that was to open it has ended")
    number, passed = marshal.loads(body)  # nosec B302  # noqa: S302 - our own process
    if number:
        raise OSError(number, os.strerror(number))
    (descriptor,) = descriptors
    return descriptor, passed


@contextmanager
def cut_off(descriptor: int, seconds: float) -> Iterator[None]:
    """Shut a connection down if the block takes longer."""
    with socket.socket(fileno=os.dup(descriptor)) as link:

        def end() -> None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        with STARTING:
            prove_room()
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _collect(process: subprocess.Popen[bytes]) -> None:
    """Wait for its end on a thread: it may never end."""
    Thread(target=process.wait, daemon=True, name="inside").start()


def _hop(passed: Passed) -> PathHop:
    place, mode, owner, group, _ = passed
    return PathHop(
        path=place, kind=kind_of(mode), mode=stat.S_IMODE(mode), owner=owner, group=group
    )
