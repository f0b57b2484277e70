"""Do what was planned: directories from the top down, their attributes when all below is done."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from snap_self.model.copying import Change, CopyOutcome, Leaving, LeftOut
from snap_self.system.copying import walking
from snap_self.system.copying.asides import Aside, freed
from snap_self.system.copying.attributes import (
    Attributes,
    attributes_of,
    free,
    hold_again,
    set_attributes,
    set_flags,
)
from snap_self.system.copying.content import Written
from snap_self.system.copying.placing import (
    Placed,
    Spot,
    place_directory,
    place_file,
    place_link_of,
    place_special,
)
from snap_self.system.copying.planning import Node, Planned, Target
from snap_self.system.copying.refusing import LeavingOut
from snap_self.system.copying.walking import closing, open_child

_NEW_FOLDER = 0o755
_PRIVATE = 0o700


@dataclass(slots=True)
class Done:
    """What was done up to now; ``told`` makes the outcome of it."""

    copied: int = 0
    removed: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    kept_aside: list[tuple[str, str]] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)
    in_place: list[str] = field(default_factory=list)
    written: list[tuple[str, Written]] = field(default_factory=list)
    followed: tuple[tuple[str, str], ...] = ()

    def told(self) -> CopyOutcome:
        """Return the outcome as a value."""
        return CopyOutcome(
            copied=self.copied,
            removed=self.removed,
            left_out=tuple(self.left_out),
            kept_aside=tuple(self.kept_aside),
            made=tuple(self.made),
            in_place=tuple(self.in_place),
            followed=self.followed,
        )


class Restorer:
    """Does one plan.

    Args:
        beside: the name of temporary files; of one at a time in each directory.
        progress: called with how many are done, and of how many.
    """

    def __init__(
        self,
        source: int,
        planned: Planned,
        *,
        beside: str,
        aside: Aside | None,
        progress: Callable[[int, int], None],
    ) -> None:
        self._source = source
        self._beside = beside
        self._aside = aside
        self._progress = progress
        self._linked = dict(planned.linked)
        self._total = sum(_count(node) for target in planned.targets for node in target.nodes)
        self._through = 0
        self._new_above = False
        self._folders: list[tuple[str, str | None]] = []
        self._holders: list[tuple[str, Attributes]] = []
        self.done = Done(left_out=list(planned.left_out), followed=tuple(planned.followed))

    def restore(self, target: Target) -> None:
        """Bring back one target."""
        self._new_above = False
        for node in target.nodes:
            with self._leaving_out(target.path):
                self._restore(target, node)

    def finish(self) -> None:
        """Give directories above the targets, and those kept aside, their attributes."""
        for path, inside in reversed(self._folders):
            with self._leaving_out(path), closing(walking.open_directory(path)) as fd:
                if inside is None:
                    os.fchmod(fd, _NEW_FOLDER)
                else:
                    with closing(
                        walking.open_below(self._source, walking.parts_of(inside))
                    ) as there:
                        self._set(fd, attributes_of(there), path)
        for path, attributes in reversed(self._holders):
            with self._leaving_out(path), closing(walking.open_directory(path)) as fd:
                self._set(fd, attributes, path)

    def _leaving_out(self, path: str) -> LeavingOut:
        return LeavingOut(self.done.left_out, path)

    def _restore(self, target: Target, node: Node) -> None:
        if not target.inside:
            with closing(self._folder(target.path, target.inside)) as live:
                self._fill(self._source, live, target.path, node)
            return
        above = target.path.rpartition("/")[0]
        folder, _, inside = target.inside.rpartition("/")
        there = walking.parts_of(folder)
        with closing(walking.open_below(self._source, there)) as source:  # noqa: SIM117
            with closing(self._folder(above or "/", folder)) as live, _open_to_changes(live):
                self._entry(source, inside, live, target.path, node)

    def _folder(self, path: str, inside: str) -> int:
        """Return a descriptor of the directory of a target, made like the copy's if missing."""
        here, missing = walking.deepest(path)
        known = walking.parts_of(path)
        there: list[str] | None = walking.parts_of(inside)
        for level in range(len(missing)):
            with closing(here):
                name = missing[level]
                os.mkdir(name, _PRIVATE, dir_fd=here)
                here = open_child(here, name)
            up = len(missing) - level - 1
            made = "/" + "/".join(known[: len(known) - up])
            cut = len(there or ()) - up
            self._folders.append((made, "/".join((there or [])[:cut]) if cut >= 0 else None))
            self._note_made(made)
            self._new_above = True
        return here

    def _note_made(self, path: str) -> None:
        if self._aside and not self._new_above:
            self.done.made.append((path, self._aside.place(path)))

    def _entry(self, source: int, name: str, live: int, path: str, node: Node) -> None:
        if node.status is None:
            self._take_away(live, node.name, path)
        elif stat.S_ISDIR(node.status.st_mode):
            spot = Spot(source, name, live, node.name, path, self._beside)
            with closing(open_child(source, name)) as there:
                self._directory(spot, there, node)
            return
        else:
            spot = Spot(source, name, live, node.name, path, self._beside)
            self._note(self._place(spot, node.status), path)
        self._count_one()

    def _count_one(self) -> None:
        self._through += 1
        self._progress(self._through, self._total)

    def _place(self, spot: Spot, status: os.stat_result) -> Placed:
        placed = None
        if status.st_nlink > 1 and (known := self._linked.get(status.st_ino)):
            above, _, name = known[0].rpartition("/")
            placed = place_link_of(spot, (above or "/", name), known[1], self._aside)
        if placed is None:
            if stat.S_ISREG(status.st_mode):
                placed = place_file(spot, self._aside)
            else:
                placed = place_special(spot, status, self._aside)
            if status.st_nlink > 1:
                found = os.stat(spot.live_name, dir_fd=spot.live, follow_symlinks=False)
                self._linked[status.st_ino] = (spot.path, (found.st_dev, found.st_ino))
        return placed

    def _note(self, placed: Placed, path: str) -> None:
        self.done.copied += 1
        if placed.kept:
            self.done.kept_aside.append((path, placed.kept))
        if placed.new:
            self._note_made(path)
        if placed.in_place:
            self.done.in_place.append(path)
        if placed.written:
            self.done.written.append((path, placed.written))
        if placed.refused:
            self._note_refused(placed.refused, path)

    def _note_refused(self, refused: list[str], path: str) -> None:
        for why in refused:
            code = Leaving.PART_OF_ATTRIBUTES
            self.done.left_out.append(LeftOut(path=path, why=f"is back, but {why}", code=code))

    def _directory(self, spot: Spot, there: int, node: Node) -> None:
        if node.change not in (Change.NEW, Change.KIND):
            with closing(open_child(spot.live, spot.live_name)) as live:
                self._fill(there, live, spot.path, node)
            return
        self._note(place_directory(spot, self._aside), spot.path)
        self._count_one()
        above, self._new_above = self._new_above, True
        try:
            with closing(open_child(spot.live, spot.live_name)) as live:
                self._fill(there, live, spot.path, node)
        finally:
            self._new_above = above

    def _fill(self, there: int, live: int, path: str, node: Node) -> None:
        """Do what is to be done in a directory, then set its attributes and times."""
        wanted, before = attributes_of(there), attributes_of(live)
        free(live)
        if node.change is Change.ATTRIBUTES:
            self._keep_attributes(path, before, wanted)
        top = path.rstrip("/")
        try:
            for child in node.children:
                below_it = f"{top}/{child.name}"
                with self._leaving_out(below_it):
                    self._entry(there, child.name, live, below_it, child)
        finally:
            self._set(live, wanted, path)
        if node.change is Change.ATTRIBUTES:
            self.done.copied += 1
            self._count_one()

    def _keep_attributes(self, path: str, before: Attributes, wanted: Attributes) -> None:
        if self._aside is None or before.equal(wanted, times=False):
            return
        kept = self._aside.free_folder(path.rstrip("/")).rstrip("/")
        # Before it counts as kept, so that no interruption leaves only its own attributes there.
        with closing(walking.open_directory(kept)) as fd:
            set_attributes(fd, before)
        self.done.kept_aside.append((f"{path.rstrip('/')}/", f"{kept}/"))
        self._holders.append((kept, before))

    def _set(self, fd: int, wanted: Attributes, path: str) -> None:
        refused = set_attributes(fd, wanted)
        self._note_refused([*refused, *set_flags(fd, wanted)], path)

    def _take_away(self, live: int, name: str, path: str) -> None:
        """Move away, or remove, what is too many."""
        with freed(live, name) as refused:
            if self._aside:
                self.done.kept_aside.append((path, self._aside.move(live, name, path).path))
            else:
                _remove(live, name)
        self.done.removed += 1
        self._note_refused(refused, path)


@contextmanager
def _open_to_changes(directory: int) -> Iterator[None]:
    """Clear the flags of a directory that forbid changes in it, and set them again."""
    held = free(directory)
    try:
        yield
    finally:
        hold_again(directory, held)


def _count(node: Node) -> int:
    return (node.change is not None) + sum(_count(child) for child in node.children)


def _remove(directory: int, name: str) -> None:
    """Remove a file, or a directory with all in it; nothing that is mounted, nor below it."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=directory)
        return
    with closing(open_child(directory, name)) as inside:
        free(inside)
        for child in os.listdir(inside):  # noqa: PTH208
            with freed(inside, child):
                _remove(inside, child)
    os.rmdir(name, dir_fd=directory)
