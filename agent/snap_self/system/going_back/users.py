"""Which processes have something open on filesystems or devices, and whose services they are."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace

from snap_self.model.going_back import User
from snap_self.system.kernel_text import link_if_there, names_if_there, text_if_there

FIRST = "1"
"""The first process, whose mounts are the machine's."""
_LINKS = ("cwd", "root", "exe")
_UNIT_ENDS = (".service", ".scope")
_TERMINALS = ("/dev/null", "/dev/pts/", "/dev/tty", "socket:", "pipe:", "anon_inode:")


def users_of(filesystems: Collection[int], devices: Collection[int]) -> tuple[User, ...]:
    """Return the processes, this one left out.

    Args:
        filesystems: device numbers as files have them (``st_dev``).
        devices: device numbers of block devices (``st_rdev``).
    """
    own = str(os.getpid())
    found = []
    for entry in sorted(names_if_there("/proc"), key=lambda name: (len(name), name)):
        used = _used(entry, filesystems, devices) if entry.isdigit() and entry != own else None
        if used is not None:
            found.append(replace(_user(entry), path=used))
    return tuple(found)


def users_below(places: Collection[str]) -> tuple[User, ...]:
    """Return the processes that have something open at or below a place, this one left out.

    A file counts if it is what its path leads to here: in a container the same path is another
    one's, and what is removed already is nobody's loss.
    """
    own = str(os.getpid())
    found = []
    for entry in sorted(filter(str.isdigit, names_if_there("/proc")), key=int):
        path = _below(entry, places) if entry != own and places else ""
        if path:
            found.append(replace(_user(entry), path=path))
    return tuple(found)


def _below(pid: str, places: Collection[str]) -> str:
    for link in _links(pid):
        with suppress(OSError):
            path = os.readlink(link)
            if any(lies_in(path, place) for place in places) and os.path.samefile(link, path):
                return path
    return ""


def lies_in(path: str, place: str) -> bool:
    """Tell whether a path is a place, or below it."""
    return path == place or path.startswith(place.rstrip("/") + "/")


def mounted_by(devnos: Collection[str], groups: Collection[str] = ()) -> tuple[User, ...]:
    """Return a process of each other mount namespace in which one of the devices is mounted.

    Args:
        devnos: as ``major:minor``.
        groups: numbers of peer groups; what hears of an unmount in one of these is left out.

    Source: mount_namespaces(7), shared subtrees.
    """
    heard = {f"{kind}:{group}" for group in groups for kind in ("shared", "master")}
    seen = {_namespace(str(os.getpid())), ""}
    found = []
    for entry in sorted(filter(str.isdigit, names_if_there("/proc")), key=int):
        namespace = _namespace(entry)
        if namespace not in seen:
            seen.add(namespace)
            rows = (row.split(" ") for row in text_if_there(f"/proc/{entry}/mountinfo").split("\n"))
            if any(row[2] in devnos and not heard & {*row[6:]} for row in rows if len(row) > 6):
                found.append(_user(entry))
    return tuple(found)


def _user(pid: str) -> User:
    return User(pid=int(pid), program=text_if_there(f"/proc/{pid}/comm"), unit=unit_of(pid))


def shares_mounts_with(pid: str) -> bool:
    """Tell whether this process has a process's mount namespace; not if that cannot be seen.

    No mount is in two namespaces, and its number is its own. To read the namespace itself takes
    rights over the process that root may lack.
    """
    return not _mount_numbers(pid).isdisjoint(_mount_numbers(str(os.getpid())))


def _mount_numbers(pid: str) -> set[str]:
    rows = text_if_there(f"/proc/{pid}/mountinfo").split("\n")
    return {row.partition(" ")[0] for row in rows} - {""}


def unit_of(pid: str) -> str:
    """Return the unit of systemd that a process belongs to, by its control group; empty for none.

    Of a user's own manager it is the service that the manager runs in.
    """
    return next((part for part in _groups(pid) if part.endswith(_UNIT_ENDS)), "")


def own_units() -> frozenset[str]:
    """Return every unit, slices among them, whose stop would end this process."""
    ends = (*_UNIT_ENDS, ".slice")
    return frozenset(part for part in _groups("self") if part.endswith(ends))


def _groups(pid: str) -> Iterator[str]:
    """Yield the parts of the path of a process's control group, as systemd made it."""
    for line in text_if_there(f"/proc/{pid}/cgroup").split("\n"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or controllers == "name=systemd":
            yield from path.split("/")


def _used(pid: str, filesystems: Collection[int], devices: Collection[int]) -> str | None:
    """Return what a process has open there, as its link tells it; None for nothing."""
    for path in _links(pid):
        # What a link leads to is looked at only where it may be a file: a dead server's may hang.
        with suppress(OSError):
            seen = os.stat(path)
            if seen.st_dev in filesystems or (seen.st_rdev and seen.st_rdev in devices):
                return os.readlink(path)
    return "" if filesystems and _maps(pid, filesystems) else None


def _links(pid: str) -> Iterator[str]:
    yield from (f"/proc/{pid}/{name}" for name in _LINKS)
    for number in names_if_there(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{number}"
        with suppress(OSError):
            if not os.readlink(path).startswith(_TERMINALS):
                yield path


def _maps(pid: str, filesystems: Collection[int]) -> bool:
    wanted = {f"{os.major(each):02x}:{os.minor(each):02x}" for each in filesystems}
    return any(line.split(None, 4)[3:4] == [w] for line in _lines(pid) for w in wanted)


def _lines(pid: str) -> Iterator[str]:
    with suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            yield line.decode("utf-8", "replace")


def _namespace(pid: str) -> str:
    return link_if_there(f"/proc/{pid}/ns/mnt")
