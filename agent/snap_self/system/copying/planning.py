"""Compare the copy with the running system: what is to be done, as a tree, and what is not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from snap_self.model.copying import Change, CopyPlan, Difference, Leaving, LeftOut, Wanted
from snap_self.system.copying import walking
from snap_self.system.copying.attributes import attributes_at, attributes_of
from snap_self.system.copying.content import same_content
from snap_self.system.copying.holders import Holders, Inode
from snap_self.system.copying.refusing import (
    IN_MEMORY,
    KEPT_BY_RESTORES,
    OWN_NAMES,
    LeavingOut,
    below,
    refusal_of,
)
from snap_self.system.copying.surroundings import Surroundings
from snap_self.system.copying.walking import Refused, closing, open_child

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_QUIETLY = _READ | os.O_NOATIME
_SECTOR = 512
_ENCRYPTED = "is encrypted by the filesystem (fscrypt)"
_LAYER = "is a layer of a container's filesystem: stop it first"


@dataclass(slots=True, eq=False)
class Node:
    """One path at which something is to be done, or below which something is.

    Args:
        change: None for a directory that only holds what differs.
        status: in the copy; None for what is too many.
    """

    name: str
    change: Change | None
    status: os.stat_result | None
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Target:
    """One wanted path with what is to be done there.

    Args:
        path: where it goes on the running system.
        inside: in the copy, no link in it.
        nodes: the one node; empty where there is nothing to do.
        device: ``st_dev`` of where it goes.
    """

    path: str
    inside: str
    device: int = 0
    nodes: list[Node] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """Return the directory of it that is on the same filesystem: itself for the copy's root."""
        return _split(self.path)[0] if self.inside else self.path


@dataclass(slots=True)
class Room:
    """What one filesystem has and needs, in bytes and inodes."""

    path: str
    bytes_free: int
    inodes_free: int | None
    bytes_needed: int = 0
    inodes_needed: int = 0

    @property
    def suffices(self) -> bool:
        """Tell whether all of it goes there."""
        inodes = self.inodes_free is None or self.inodes_needed <= self.inodes_free
        return inodes and self.bytes_needed <= self.bytes_free

    def lacking(self) -> LeftOut:
        """Return what is told where it does not."""
        mib = -(-self.bytes_needed // (1 << 20))
        why = (
            f"would need {mib} MiB and {self.inodes_needed} files on its filesystem, which has "
            f"{self.bytes_free >> 20} MiB"
            + ("" if self.inodes_free is None else f" and {self.inodes_free} files")
        )
        return LeftOut(path=self.path, why=why, code=Leaving.NO_ROOM)


@dataclass(slots=True)
class Planned:
    """A plan, and how to do it.

    Args:
        beside: files that a process writes to beside what differs; nothing is to be done there.
        rooms: by device.
        linked: where a file of several names in the copy is as it was: its inode number there,
            and a path here with the inode found there.
    """

    targets: list[Target] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    beside: list[LeftOut] = field(default_factory=list)
    followed: list[tuple[str, str]] = field(default_factory=list)
    rooms: dict[int, Room] = field(default_factory=dict)
    linked: dict[int, tuple[str, Inode]] = field(default_factory=dict)
    same: int = 0

    def told(self) -> CopyPlan:
        """Return the plan as a value."""
        lacking = [room.lacking() for room in self.rooms.values() if not room.suffices]
        return CopyPlan(
            differences=tuple(self.differences),
            left_out=(*self.left_out, *self.beside, *lacking),
            bytes_needed=sum(room.bytes_needed for room in self.rooms.values()),
            inodes_needed=sum(room.inodes_needed for room in self.rooms.values()),
            same=self.same,
            followed=tuple(self.followed),
        )


@dataclass(slots=True)
class _Candidate:
    """A file here that must not be replaced while a process writes to it."""

    inode: Inode
    path: str
    siblings: list[Node]
    node: Node | None


class Planner:
    """Makes one plan.

    Args:
        own: where snap-self keeps its own state.
        agreed: the paths that may be replaced or taken away; None for all.
    """

    def __init__(
        self,
        source: int,
        surroundings: Surroundings,
        *,
        to: str | None,
        exact: bool,
        own: tuple[str, ...],
        agreed: frozenset[str] | None = None,
    ) -> None:
        self._source = source
        self._device = os.fstat(source).st_dev
        self._surroundings = surroundings
        self._to = None if to is None else os.path.realpath(to)
        self._exact = exact
        known = {*own, *(os.path.realpath(each) for each in own)}
        self._own = tuple(f"{each.rstrip('/')}/" for each in known)
        self._agreed = agreed
        self._done = Planned()
        self._candidates: list[_Candidate] = []
        self._partners: dict[tuple[str, int], int] = {}
        self._counted: set[int] = set()
        self._target = Target("", "")
        self._level = 0

    def plan(self, wanted: Sequence[Wanted], who_holds: Holders) -> Planned:
        """Return it.

        Args:
            who_holds: tells which of some files processes may write to.
        """
        for each in wanted:
            with self._leaving_out(each.path):
                target = self._place(each)
                if not any(_covers(known, target) for known in self._done.targets):
                    self._done.targets.append(target)
        self._done.targets = [
            target
            for target in self._done.targets
            if not any(_covers(other, target) for other in self._done.targets if other != target)
        ]
        for target in self._done.targets:
            with self._leaving_out(target.path):
                self._look_at(target)
        self._leave_what_is_in_use(who_holds)
        return self._done

    def _leaving_out(self, path: str) -> LeavingOut:
        return LeavingOut(self._done.left_out, path)

    def _place(self, wanted: Wanted) -> Target:
        names, inside = walking.parts_of(wanted.path), walking.parts_of(wanted.inside)
        if not wanted.path.startswith("/"):
            raise Refused(Leaving.BAD_PATH, "is no whole path")
        path, real = "/" + "/".join(names), "/".join(inside)
        top, top_inside = _tops(names, inside)
        mounted_at = None if top_inside else top
        try:
            found = walking.resolve(self._source, real, mounted_at)
        except OSError as error:
            raise _not_there(error) from error
        if found != real:
            if not below(found, top_inside) and top_inside:
                raise Refused(Leaving.LINK_OUTSIDE, "lies behind a link to another filesystem")
            real, path = found, _joined(top, found.removeprefix(top_inside))
            self._done.followed.append((wanted.path, path))
        place = path if self._to is None else _joined(self._to, path)
        if self._to is not None and _is_same_place(place, path):
            raise Refused(Leaving.BAD_PATH, f"is at {place} already: leave out --to")
        self._check_path(place)
        return Target(place, real)

    def _check_path(self, path: str, inside: str = "") -> None:
        """Refuse what is never a target, or, with all that holds it, never moved away."""
        if refusal := refusal_of(path, self._own, elsewhere=self._to is not None):
            raise Refused(refusal.code, f"{inside}{refusal.why}")

    def _check_agreed(self, path: str) -> None:
        """Refuse to replace what whoever agreed has not seen."""
        if self._agreed is not None and path not in self._agreed:
            raise Refused(Leaving.CHANGING, "differs only since what differs was shown")

    def _look_at(self, target: Target) -> None:
        self._target = target
        above, name = target.folder, _split(target.path)[1] if target.inside else ""
        here, missing = walking.deepest(above)
        with closing(here):
            self._check_place(here, above, missing)
            self._target.device = os.fstat(here).st_dev
            self._add_room(here)
            if missing:
                self._done.rooms[target.device].inodes_needed += len(missing)
            live = None if missing else here
            if target.inside:
                self._look_at_name(target, live, name)
            else:
                self._look_at_root(target, live)

    def _look_at_name(self, target: Target, live: int | None, name: str) -> None:
        folder, _, inside = target.inside.rpartition("/")
        try:
            source = walking.open_below(self._source, walking.parts_of(folder))
        except OSError as error:
            raise _not_there(error) from error
        with closing(source):
            if os.fstat(source).st_dev != self._device:
                raise Refused(Leaving.SUBVOLUME, "lies in a subvolume of its own")
            try:
                status = os.stat(inside, dir_fd=source, follow_symlinks=False)
            except OSError as error:
                raise _not_there(error) from error
            self._entry(source, live, _Names(inside, name), target.path, status, target.nodes)

    def _look_at_root(self, target: Target, live: int | None) -> None:
        status = os.fstat(self._source)
        node = Node("", None if live is not None else Change.NEW, status)
        if live is None:
            self._note(node, target.path, None)
        self._compare_directories(self._source, live, target.path, node)
        if node.change or node.children:
            target.nodes.append(node)

    def _check_place(self, here: int, above: str, missing: list[str]) -> None:
        """Refuse what lies in a layer of an overlay or on no disk."""
        kind = self._surroundings.volatile(os.fstat(here).st_dev)
        if kind and (self._to is None or kind != IN_MEMORY):
            raise Refused(Leaving.VOLATILE, f"lies on {kind}, which is on no disk")
        names = walking.parts_of(above)
        for level in range(len(names) - len(missing) + 1):
            with closing(walking.open_directory("/" + "/".join(names[:level]))) as fd:
                if self._surroundings.is_layer(os.fstat(fd)):
                    raise Refused(Leaving.OVERLAY, _LAYER)

    def _add_room(self, here: int) -> None:
        if self._target.device not in self._done.rooms:
            free = os.statvfs(here)
            self._done.rooms[self._target.device] = Room(
                path=self._target.path,
                bytes_free=free.f_bavail * free.f_frsize,
                inodes_free=free.f_favail if free.f_files else None,
            )

    def _entry(
        self,
        source: int,
        live: int | None,
        names: _Names,
        path: str,
        status: os.stat_result,
        siblings: list[Node],
    ) -> None:
        """Compare one name, and put what is to be done there among the siblings."""
        now = _status(live, names.live)
        if stat.S_ISSOCK(status.st_mode):
            if now is not None and stat.S_ISSOCK(now.st_mode):
                return
            raise Refused(Leaving.SOCKET, "is a socket, which only its server can make")
        node = Node(names.live, _obvious(status, now), status)
        if now is not None and node.change is Change.KIND:
            assert live is not None
            self._check_agreed(path)
            self._look_below(live, names.live, path, now, (siblings, node))
        if folder := stat.S_ISDIR(status.st_mode):
            self._directory(source, live, names, path, node)
        elif node.change is None:
            assert live is not None
            assert now is not None
            node.change = self._changed(source, live, names, path, status, now)
        if node.change and not folder:
            if now is not None:
                self._check_agreed(path)
            self._note(node, path, now)
        if node.change or node.children:
            siblings.append(node)
        else:
            self._done.same += 1
        if now is not None and stat.S_ISREG(now.st_mode) and node.change is not Change.KIND:
            self._candidates.append(
                _Candidate((now.st_dev, now.st_ino), path, siblings, node if node.change else None)
            )

    def _directory(
        self, source: int, live: int | None, names: _Names, path: str, node: Node
    ) -> None:
        with self._deeper(), closing(open_child(source, names.source)) as there:
            if os.fstat(there).st_dev != self._device:
                raise Refused(Leaving.SUBVOLUME, "is a subvolume of its own; name it by itself")
            if live is None or node.change:
                self._note(node, path, None)
                self._compare_directories(there, None, path, node)
                return
            with closing(self._open_live(live, names.live)) as here:
                self._compare_directories(there, here, path, node)

    def _open_live(self, live: int, name: str) -> int:
        fd = open_child(live, name)
        status = os.fstat(fd)
        why = None
        if status.st_dev != self._target.device:
            why = Refused(Leaving.SUBVOLUME, "is a subvolume of its own; name it by itself")
        elif self._surroundings.is_layer(status):
            why = Refused(Leaving.OVERLAY, _LAYER)
        if why:
            os.close(fd)
            raise why
        return fd

    def _compare_directories(self, source: int, live: int | None, path: str, node: Node) -> None:
        before = attributes_of(source)
        if before.encrypted:
            raise Refused(Leaving.ENCRYPTED, _ENCRYPTED)
        now = None if live is None else attributes_of(live)
        if now and not before.equal(now, times=False):
            node.change = Change.ATTRIBUTES
            self._note(node, path, None)
        first = len(self._candidates)
        names = self._children(source, live, path, node)
        if live is not None:
            self._extras(live, names, path, node)
        if now and not node.change and not node.children and not before.equal(now):
            node.change = Change.ATTRIBUTES
            self._note(node, path, None)
        if not node.children:  # nothing of these is touched, nor anything beside them
            del self._candidates[first:]

    def _children(self, source: int, live: int | None, path: str, node: Node) -> set[str]:
        names = set()
        top, told = path.rstrip("/"), self._done.left_out
        for name in sorted(os.listdir(source)):
            names.add(name)
            below_it = f"{top}/{name}"
            with LeavingOut(told, below_it):
                if name.startswith(OWN_NAMES):
                    raise Refused(Leaving.KEPT_BY_RESTORE, "is of an earlier restore")
                self._check_path(below_it)
                status = os.stat(name, dir_fd=source, follow_symlinks=False)
                self._entry(source, live, _Names(name, name), below_it, status, node.children)
        return names

    def _extras(self, live: int, known: set[str], path: str, node: Node) -> None:
        for name in sorted(set(os.listdir(live)) - known):
            here = _joined(path, name)
            now = _status(live, name)
            if now is None or name.startswith(OWN_NAMES):
                continue
            extra = Node(name, Change.EXTRA, None)
            size = now.st_size if stat.S_ISREG(now.st_mode) else None
            difference = Difference(path=here, kind=Change.EXTRA, size_now=size)
            if not self._exact:
                self._done.differences.append(difference)
                continue
            with self._leaving_out(here):
                self._check_path(here)
                self._check_agreed(here)
                self._look_below(live, name, here, now, (node.children, extra))
                self._done.differences.append(difference)
                node.children.append(extra)

    def _look_below(self, live: int, name: str, path: str, now: os.stat_result, of: _Owner) -> None:
        """Look through what would be moved away as a whole, for what must stay where it is."""
        if stat.S_ISREG(now.st_mode):
            self._candidates.append(_Candidate((now.st_dev, now.st_ino), path, *of))
        if not stat.S_ISDIR(now.st_mode):
            return
        try:
            inside = self._open_live(live, name)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise Refused(Leaving.MOUNT_POINT, _mounted(path)) from error
            raise
        with closing(inside), self._deeper():
            for child in os.listdir(inside):  # noqa: PTH208
                status, here = _status(inside, child), _joined(path, child)
                self._check_path(here, f"is not moved away, since {here} ")
                if child == KEPT_BY_RESTORES:
                    why = f"is not moved away, since {here} has what a restore has replaced"
                    raise Refused(Leaving.KEPT_BY_RESTORE, why)
                if status is not None:
                    self._look_below(inside, child, here, status, of)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        if self._level >= walking.MOST_LEVELS:
            raise Refused(Leaving.TOO_DEEP, f"lies deeper than {walking.MOST_LEVELS} directories")
        self._level += 1
        try:
            yield
        finally:
            self._level -= 1

    def _changed(
        self,
        source: int,
        live: int,
        names: _Names,
        path: str,
        status: os.stat_result,
        now: os.stat_result,
    ) -> Change | None:
        """Compare two of one kind that are no directories."""
        if self._to is None and _is_untouched(status, now):
            found = None
        elif stat.S_ISREG(status.st_mode):
            found = _changed_file(source, live, names, status, now)
        else:
            found = _changed_special(source, live, names, status, now)
        return found or self._changed_links(path, status, now)

    def _changed_links(
        self, path: str, status: os.stat_result, now: os.stat_result
    ) -> Change | None:
        """Tell whether two names that were of one file still are, and no others."""
        if status.st_nlink == 1 and now.st_nlink == 1:
            return None
        there = self._partners.setdefault(("copy", status.st_ino), now.st_ino)
        here = self._partners.setdefault(("here", now.st_ino), status.st_ino)
        if (there, here) != (now.st_ino, status.st_ino):
            return Change.ATTRIBUTES
        self._done.linked.setdefault(status.st_ino, (path, (now.st_dev, now.st_ino)))
        return None

    def _note(self, node: Node, path: str, now: os.stat_result | None) -> None:
        """Add to the differences, and to the room that they need."""
        status, change = node.status, node.change
        assert status is not None
        assert change is not None
        plain = stat.S_ISREG(status.st_mode)
        self._done.differences.append(
            Difference(
                path=path,
                kind=change,
                size_before=status.st_size if plain else None,
                size_now=now.st_size if now and stat.S_ISREG(now.st_mode) else None,
            )
        )
        room = self._done.rooms[self._target.device]
        if status.st_nlink > 1:
            if status.st_ino in self._counted:
                return
            self._counted.add(status.st_ino)
        room.inodes_needed += 1
        if plain:
            room.bytes_needed += status.st_blocks * _SECTOR

    def _leave_what_is_in_use(self, who_holds: Holders) -> None:
        if not self._candidates:
            return
        found = who_holds({candidate.inode: None for candidate in self._candidates})
        for candidate in self._candidates:
            holder = found.get(candidate.inode)
            if holder is None:
                continue
            why = f"is open for writing by {holder}: stop it first"
            told = LeftOut(path=candidate.path, why=why, code=Leaving.IN_USE)
            if candidate.node is None:
                self._done.beside.append(told)
                continue
            self._done.left_out.append(told)
            if candidate.node in candidate.siblings:
                candidate.siblings.remove(candidate.node)


# The nodes among which one is, and that one.
_Owner = tuple[list[Node], Node | None]


class _Names(NamedTuple):
    """The name of one thing, which differs only where a wanted path has another one here."""

    source: str
    live: str


def _tops(names: list[str], inside: list[str]) -> tuple[str, str]:
    """Return the directory here, and in the copy, below which both have the same names."""
    same = 0
    while same < min(len(names), len(inside)) and names[-1 - same] == inside[-1 - same]:
        same += 1
    return "/" + "/".join(names[: len(names) - same]), "/".join(inside[: len(inside) - same])


def _is_same_place(one: str, other: str) -> bool:
    """Tell whether two paths lead to one directory, as where the root is mounted a second time."""
    (above, name), (above_other, name_other) = _split(one), _split(other)
    try:
        return name == name_other and os.path.samefile(above, above_other)  # noqa: PTH121
    except OSError:
        return False


def _mounted(path: str) -> str:
    return f"is not moved away, since something is mounted at {path}"


def _not_there(error: OSError) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Refused(Leaving.NOT_THERE, "is not in this snapshot")
    return error


def _joined(above: str, name: str) -> str:
    return f"{above.rstrip('/')}/{name.lstrip('/')}" if name else above


def _split(path: str) -> tuple[str, str]:
    above, _, name = path.rpartition("/")
    return above or "/", name


def _covers(one: Target, other: Target) -> bool:
    """Tell whether a target is part of another one."""
    rest = other.path[len(one.path.rstrip("/")) :].strip("/")
    return below(other.path, one.path) and _joined(one.inside, rest).strip("/") == other.inside


def _status(directory: int | None, name: str) -> os.stat_result | None:
    if directory is None:
        return None
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _obvious(status: os.stat_result, now: os.stat_result | None) -> Change | None:
    if now is None:
        return Change.NEW
    return None if stat.S_IFMT(status.st_mode) == stat.S_IFMT(now.st_mode) else Change.KIND


def _is_untouched(status: os.stat_result, now: os.stat_result) -> bool:
    """Tell whether a file is the very one of the copy: nobody can set its time of change."""

    def key(each: os.stat_result) -> tuple[int, ...]:
        return each.st_ino, each.st_ctime_ns, each.st_mtime_ns, each.st_size, each.st_mode

    return key(status) == key(now)


def open_file(directory: int, name: str) -> tuple[int, os.stat_result]:
    """Return a descriptor of a plain file, open for reading, and its status.

    Raises:
        Refused: it is none any more.
        OSError: from the kernel.
    """
    try:
        fd = os.open(name, _READ_QUIETLY, dir_fd=directory)
    except PermissionError:
        fd = os.open(name, _READ, dir_fd=directory)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise Refused(Leaving.CHANGING, "is no plain file any more")
    return fd, status


def _changed_file(
    source: int, live: int, names: _Names, status: os.stat_result, now: os.stat_result
) -> Change | None:
    if status.st_size != now.st_size:
        return Change.CONTENT
    there, status_there = open_file(source, names.source)
    with closing(there):
        here, status_here = open_file(live, names.live)
        with closing(here):
            before = attributes_of(there, status_there)
            if before.encrypted:
                raise Refused(Leaving.ENCRYPTED, _ENCRYPTED)
            if not same_content(there, here, status.st_size):
                return Change.CONTENT
            now_here = attributes_of(here, status_here)
            return None if before.equal(now_here) else Change.ATTRIBUTES


def _changed_special(
    source: int, live: int, names: _Names, status: os.stat_result, now: os.stat_result
) -> Change | None:
    read: Callable[[int, str], object] = _device
    if stat.S_ISLNK(status.st_mode):
        read = _target
    if read(source, names.source) != read(live, names.live):
        return Change.CONTENT
    before = attributes_at(source, names.source, status)
    return None if before.equal(attributes_at(live, names.live, now)) else Change.ATTRIBUTES


def _target(directory: int, name: str) -> object:
    return os.readlink(name, dir_fd=directory)


def _device(directory: int, name: str) -> object:
    return os.stat(name, dir_fd=directory, follow_symlinks=False).st_rdev
