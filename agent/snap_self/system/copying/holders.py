"""Which processes have files open for writing, from the kernel's own tables alone.

A link in ``/proc/PID/fd`` is read, never followed: what it leads to may wait for a dead server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from snap_self.model.shown import shown
from snap_self.system.kernel_text import link_if_there, names_if_there, text_if_there

Inode = tuple[int, int]
_TERMINALS = ("/dev/null", "/dev/pts/", "/dev/tty")
Holders = Callable[[Mapping[Inode, object]], Mapping[Inode, str]]


def holders(wanted: Mapping[Inode, object]) -> dict[Inode, str]:
    """Return which of these files a process may write to, and the process as ``name (pid N)``.

    Args:
        wanted: by device and inode number.
    """
    numbers = {inode for _, inode in wanted}
    found: dict[Inode, str] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and int(entry) != os.getpid():
            for inode in (*_open(entry, numbers), *_mapped(entry, numbers)):
                if inode in wanted:
                    name = shown(text_if_there(f"/proc/{entry}/comm"))
                    found.setdefault(inode, f"{name} (pid {entry})")
    return found


def _open(pid: str, numbers: set[int]) -> Iterator[Inode]:
    folder = f"/proc/{pid}/fd"
    for number in names_if_there(folder):
        link = link_if_there(f"{folder}/{number}")
        if link.startswith("/") and not link.startswith(_TERMINALS):
            rows = dict(
                row.split(":", 1)
                for row in text_if_there(f"/proc/{pid}/fdinfo/{number}").split("\n")
                if ":" in row
            )
            may_write = int(rows.get("flags", "0"), 8) & os.O_ACCMODE != os.O_RDONLY
            # Kernels before 5.14 do not tell the inode number here.
            if may_write and int(rows.get("ino", next(iter(numbers), 0))) in numbers:
                yield from _status(f"{folder}/{number}")


def _mapped(pid: str, numbers: set[int]) -> Iterator[Inode]:
    """Yield what is mapped so that writes reach the file; programs and libraries are not."""
    for row in text_if_there(f"/proc/{pid}/maps").split("\n"):
        fields = row.split(None, 5)
        shared = len(fields) == 6 and fields[1][1] == "w" and fields[1][3] == "s"
        if shared and int(fields[4]) in numbers:
            yield from _status(f"/proc/{pid}/map_files/{_range(fields[0])}")


def _range(addresses: str) -> str:
    return "-".join(f"{int(each, 16):x}" for each in addresses.split("-"))


def _status(path: str) -> Iterator[Inode]:
    """Yield what a file is whose number is one that is looked for, so it is on a disk here."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return
    yield status.st_dev, status.st_ino
