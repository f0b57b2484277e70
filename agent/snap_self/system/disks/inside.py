"""Resolves a path as a process sees it, below its own root directory, and goes nowhere else.

Each name is opened on its own, from the directory before it, and the kernel follows no link. So
links lead where they lead for that process, even if somebody replaces them meanwhile. Otherwise a
container's root could use links to send the agent to files of this machine.

A lookup may wait for ever for the server of a filesystem (FUSE, NFS), so this runs in a process
that can be abandoned.
"""

from __future__ import annotations

import errno
import os
import stat

from snap_self.system.disks.calls import mount_id_of, read_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 40
"""How many links the kernel follows (path_resolution(7))."""
LONGEST_PATH = 4096
OWN = 0
"""Stands for the agent itself instead of a process's id."""
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Step = tuple[str, int, int, int, int, int]
"""Path, mode, user id, group id, mount id and device of one step on the way."""


def reach(pid: int, path: str) -> tuple[int, list[Step]]:
    """Return a descriptor (``O_PATH``) of what lies at a path, and every step on the way.

    A relative path begins at the process's working directory and may not lead above it.

    Raises:
        OSError: it is not there, or its links form a loop.
    """
    if len(path) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    way = _Way(pid)
    try:
        way.begin("root" if path.startswith("/") else "cwd")
        names, links = path.split("/")[::-1], 0
        while names:
            target = way.enter(names.pop())
            if target is None:
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith("/"):
                way.begin("root")
            names.extend(target.split("/")[::-1])
        return way.end(), way.steps
    finally:
        way.close()


class _Way:
    """The open directories from the start of the path to the current place."""

    def __init__(self, pid: int) -> None:
        self._process = f"/proc/{pid or 'self'}"
        self._begun = ""
        self._open: list[tuple[str, int]] = []
        self.steps: list[Step] = []

    def begin(self, where: str) -> None:
        """Start in the root directory or the working directory."""
        self.close()
        fd = os.open(f"{self._process}/{where}", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
        self._begun = where
        self._pass("/" if where == "root" else ".", fd)

    def enter(self, name: str) -> str | None:
        """Go on by one name; return the target if it is a link."""
        if name in ("", "."):
            return None
        if name == "..":
            self._leave()
            return None
        here, above = self._open[-1]
        fd = os.open(name, _PLACE, dir_fd=above)
        if not self._pass(f"{here.rstrip('/')}/{name}", fd):
            return None
        self._open.pop()
        try:
            return os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)

    def _pass(self, place: str, fd: int) -> bool:
        """Step to what was opened; return whether it is a link."""
        self._open.append((place, fd))
        status = os.fstat(fd)
        owners = (status.st_uid, status.st_gid)
        self.steps.append((place, status.st_mode, *owners, mount_id_of(fd), status.st_dev))
        return stat.S_ISLNK(status.st_mode)

    def _leave(self) -> None:
        if len(self._open) > 1:
            os.close(self._open.pop()[1])
        elif self._begun != "root":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def end(self) -> int:
        """Return a descriptor of the current place, which is the last step."""
        place, fd = self._open[-1]
        if place != self.steps[-1][0]:  # the path ended in `..` or a link to a directory above
            self._open.pop()
            self._pass(place, fd)
        return os.dup(fd)

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop()[1])


def mount_lines(pid: int) -> Iterator[list[bytes]]:
    """Yield the fields of each mount that a process sees, then of the agent's own mounts.

    A process with a root directory of its own does not see the mount that the directory lies on,
    unless the directory is that mount's root.
    """
    for table in dict.fromkeys((f"/proc/{pid or 'self'}/mountinfo", "/proc/self/mountinfo")):
        for line in read_whole(table).split(b"\n"):
            if line:
                yield line.split(b" ")


def mount_line(pid: int, mount_id: int, device: int) -> bytes:
    """Return mountinfo's line of a mount or of another mount of its filesystem; else empty."""
    number, devno = b"%d" % mount_id, b"%d:%d" % (os.major(device), os.minor(device))
    alike = b""
    for fields in mount_lines(pid):
        if fields[0] == number:
            return b" ".join(fields)
        if fields[2] == devno and not alike:
            alike = b" ".join(fields)
    return alike


def fstype_of(line: bytes) -> str:
    """Return the filesystem type in a line of mountinfo; empty if there is none."""
    return line.rpartition(b" - ")[2].partition(b" ")[0].decode("ascii", "replace")
