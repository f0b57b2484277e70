"""Reads about running programs in /proc.

Of a process that may belong to anybody only the kernel's own data is read: its arguments, files
and root directory may lie where a read waits for their owner (FUSE).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence

from snap_self.model.identity import ProcessIdentity
from snap_self.model.servers import ProcessFact
from snap_self.model.shown import shown
from snap_self.model.trust import WRITABLE_BY_OTHERS
from snap_self.system.applications.listening import listening_paths, listening_ports
from snap_self.system.kernel_text import link_if_there, text_if_there
from snap_self.system.trust import distrust

DELETED = " (deleted)"
_SOCKET = "socket:["
# Zombie and dead: proc_pid_status(5).
_ENDED = ("Z", "X")


class SystemProcesses:
    """Implement ``ports.ProcessReader``."""

    def named(self, names: Collection[str]) -> Sequence[ProcessIdentity]:
        """Return every process with one of these names, in order of process id.

        A process whose parent has the same name is left out as that one's helper: PostgreSQL's
        backends, a forked Redis.
        """
        return sorted(_named(names), key=lambda process: process.pid)

    def look_at(self, process: ProcessIdentity) -> ProcessFact:
        """Return what a verified server works with; what may not be looked at stays empty."""
        links = _open_links(process.pid)
        inodes = {int(link[len(_SOCKET) : -1]) for link in links if link.startswith(_SOCKET)}
        executable, why = _executable(process.pid)
        return ProcessFact(
            identity=process,
            executable=executable,
            distrust=_other_root(process.pid) or why,
            cwd=link_if_there(f"/proc/{process.pid}/cwd"),
            sockets=tuple(listening_paths(process.pid, inodes)),
            ports=tuple(listening_ports(inodes)),
            files=tuple(link for link in links if link.startswith("/")),
        )

    def is_contained(self, process: ProcessIdentity) -> bool:
        return process.own_pids or bool(_other_root(process.pid))

    def look_inside(self, process: ProcessIdentity) -> ProcessFact:
        """Return what a server in a container works with, from the kernel's data alone.

        Its program is not looked at: it belongs to the container, and looking could block.
        """
        links = _open_links(process.pid)
        inodes = {int(link[len(_SOCKET) : -1]) for link in links if link.startswith(_SOCKET)}
        # Seen from here, a path begins at the root of its namespace, not at a root it changed to.
        root = link_if_there(f"/proc/{process.pid}/root").rstrip("/")
        cwd = link_if_there(f"/proc/{process.pid}/cwd")
        return ProcessFact(
            identity=process,
            contained=True,
            executable=_below(root, link_if_there(f"/proc/{process.pid}/exe")),
            cwd=_below(root, cwd),
            sockets=tuple(listening_paths(process.pid, inodes)),
            ports=tuple(listening_ports(inodes, str(process.pid))),
            files=tuple(_below(root, link) for link in links if link.startswith("/")),
        )


def _below(root: str, path: str) -> str:
    """Return a path as seen from a root directory; unchanged if it lies elsewhere."""
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path


def _named(names: Collection[str]) -> Iterator[ProcessIdentity]:
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and (name := text_if_there(f"/proc/{entry}/comm")) in names:
            found = _identity(int(entry), name)
            if found and text_if_there(f"/proc/{found.parent}/comm") != name:
                yield found


def _identity(pid: int, name: str) -> ProcessIdentity | None:
    """Return what the kernel says about a process; None if it has ended, even if not yet reaped."""
    rows = (line.partition(":\t") for line in text_if_there(f"/proc/{pid}/status").split("\n"))
    status = {row[0]: row[2].split() for row in rows}
    if "Uid" not in status or status["State"][0] in _ENDED:
        return None
    return ProcessIdentity(
        pid=pid,
        name=name,
        uids=tuple(map(int, status["Uid"])),
        gid=int(status["Gid"][1]),
        parent=int(status["PPid"][0]),
        cgroup=_cgroup(pid),
        own_users=_has_own(pid, "user"),
        # One id for each pid namespace it is in, beginning with the reader's (proc_pid_status(5));
        # kernels before 4.1 do not list them.
        own_pids=len(status["NSpid"]) > 1 if "NSpid" in status else _has_own(pid, "pid"),
    )


def _has_own(pid: int, namespace: str) -> bool:
    theirs, own = (link_if_there(f"/proc/{one}/ns/{namespace}") for one in (pid, "self"))
    return theirs != own


def _cgroup(pid: int) -> str:
    """Return the control group that the system manager put the process in.

    Source: cgroups(7): the hierarchy named systemd of version 1, else that of version 2.
    """
    rows = (line.split(":", 2) for line in text_if_there(f"/proc/{pid}/cgroup").split("\n"))
    found = {row[1]: row[2] for row in rows if len(row) == 3}
    return found.get("name=systemd") or found.get("") or "/"


def _other_root(pid: int) -> str:
    """Return why a process is left out; empty if it has the agent's root directory.

    The mounts are compared, since looking at the directory itself may wait for its server.
    """
    same = link_if_there(f"/proc/{pid}/root") == "/" and _root_mount(str(pid)) == _root_mount(
        "self"
    )
    return "" if same else "it runs in a container or below a root directory of its own"


def _root_mount(process: str) -> tuple[str, ...]:
    """Return the device and root of what is mounted at ``/`` (proc_pid_mountinfo(5))."""
    rows = [line.split(" ", 5) for line in text_if_there(f"/proc/{process}/mountinfo").split("\n")]
    found = [(row[2], row[3]) for row in rows if row[4:5] == ["/"]]
    return found[-1] if found else ()


def _executable(pid: int) -> tuple[str, str]:
    """Return the program a process runs, and why somebody else could have put it there."""
    magic = f"/proc/{pid}/exe"
    path = link_if_there(magic)
    if not path:
        return "", "its program cannot be found out"
    try:
        return path, _fault_of(path, os.stat(magic))  # noqa: PTH116
    except OSError as error:
        return path, f"its program {shown(path)} cannot be looked at: {error.strerror}"


def _fault_of(path: str, status: os.stat_result) -> str:
    is_gone = status.st_nlink == 0 and path.endswith(DELETED)
    if is_gone:  # a package was upgraded since; nobody else could have put root's file there
        found = distrust(os.path.dirname(path), sticky=False)  # noqa: PTH120
        if status.st_uid or status.st_mode & WRITABLE_BY_OTHERS:
            return f"its program {shown(path)} was not root's alone"
    else:
        found = distrust(path, sticky=False)
        here = os.stat(path)  # noqa: PTH116
        if (here.st_dev, here.st_ino) != (status.st_dev, status.st_ino):
            return f"its program is not the file that is now at {shown(path)}"
    return f"its program can be changed by others: {found.why}" if found else ""


def _open_links(pid: int) -> Sequence[str]:
    folder = f"/proc/{pid}/fd"
    try:
        return [link_if_there(f"{folder}/{number}") for number in os.listdir(folder)]  # noqa: PTH208
    except OSError:
        return ()
