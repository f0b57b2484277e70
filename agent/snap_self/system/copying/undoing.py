"""Take a restore back, and remove what a killed one left."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from snap_self.model.copying import CopyOutcome, Leaving, LeftOut
from snap_self.system.copying import walking
from snap_self.system.copying.asides import Aside, freed, make_directory, rename_to_free
from snap_self.system.copying.attributes import (
    Attributes,
    attributes_of,
    free,
    hold_again,
    set_attributes,
    set_flags,
)
from snap_self.system.copying.holders import Holders, Inode
from snap_self.system.copying.placing import Spot, write_in_place
from snap_self.system.copying.refusing import OWN_NAMES, LeavingOut
from snap_self.system.copying.walking import Refused, closing, open_child, or_else

_MARK = re.compile(r"[A-Za-z0-9-]+")


def temporary_name(mark: str) -> str:
    """Return the name of temporary files of a restore.

    Raises:
        ValueError: the mark holds something else than letters, digits and hyphens.
    """
    if not _MARK.fullmatch(mark):
        raise ValueError(mark)
    return f"{OWN_NAMES}{mark}"


def tidy(roots: Sequence[str], mark: str) -> int:
    """Remove temporary files of that name beside and below these paths; return how many."""
    name, removed = temporary_name(mark), 0
    for root in roots:
        with suppress(OSError, Refused):
            above = root.rstrip("/").rpartition("/")[0] or "/"
            here, missing = walking.deepest(above)
            with closing(here):
                removed += _remove(here, name)
                if not missing:
                    with closing(
                        open_child(here, root.rstrip("/").rpartition("/")[2] or ".", crossing=True)
                    ) as top:
                        removed += _tidy_below(top, name, os.fstat(top).st_dev, 0)
    return removed


def _tidy_below(directory: int, name: str, device: int, level: int) -> int:
    removed = _remove(directory, name)
    if level >= walking.MOST_LEVELS:
        return removed
    with os.scandir(directory) as entries:
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for folder in folders:
        with suppress(OSError), closing(open_child(directory, folder)) as inside:
            if os.fstat(inside).st_dev == device:
                removed += _tidy_below(inside, name, device, level + 1)
    return removed


def _remove(directory: int, name: str) -> int:
    """Remove a temporary file or empty directory; return how many."""
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            os.rmdir(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
    except OSError:
        return 0
    return 1


def done_of(
    kept: Sequence[tuple[str, str]], made: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return what was done of what was to be done: what is kept, and else what was made.

    What came before its place was taken was replaced, and so is kept though it was to be made.
    """
    found = [(path, place) for path, place in kept if path.endswith("/") or _is_kept(path, place)]
    known = {path for path, _ in found}
    late = [(path, place) for path, place in made if path not in known and _is_kept(path, place)]
    known.update(path for path, _ in late)
    new = [(path, place) for path, place in made if path not in known and _is_there(path)]
    return [*found, *late], new


def _is_kept(path: str, place: str) -> bool:
    """Tell whether something is kept; a directory may only hold what was in one that stays."""
    kept, now = _look(place), _look(path)
    if kept is None:
        return False
    return now is None or not (stat.S_ISDIR(kept.st_mode) and stat.S_ISDIR(now.st_mode))


def _is_there(path: str) -> bool:
    return _look(path) is not None


def _look(path: str) -> os.stat_result | None:
    """Return what a path is, no link in it followed; None if it is not there."""
    above, _, name = path.rstrip("/").rpartition("/")
    try:
        with closing(walking.open_directory(above or "/")) as folder:
            return os.stat(name or ".", dir_fd=folder, follow_symlinks=False)
    except (OSError, Refused):
        return None


def in_use(paths: Sequence[str], who_holds: Holders) -> Iterator[LeftOut]:
    """Yield those of some files, and of those below some directories, that are written to."""
    files: dict[Inode, str] = {}
    for path in paths:
        status = _look(path)
        if status is None or path.endswith("/"):
            continue
        if stat.S_ISDIR(status.st_mode):
            with suppress(OSError), closing(walking.open_directory(path)) as top:
                files.update(_files_below(top, path, 0))
        elif stat.S_ISREG(status.st_mode):
            files[(status.st_dev, status.st_ino)] = path
    for inode, holder in (who_holds(files) if files else {}).items():
        why = f"is open for writing by {holder}: stop it first"
        yield LeftOut(path=files[inode], why=why, code=Leaving.IN_USE)


def _files_below(directory: int, path: str, level: int) -> Iterator[tuple[Inode, str]]:
    for name in os.listdir(directory):
        with suppress(OSError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            here = f"{path}/{name}"
            if stat.S_ISREG(status.st_mode):
                yield (status.st_dev, status.st_ino), here
            elif stat.S_ISDIR(status.st_mode) and level < walking.MOST_LEVELS:
                with closing(open_child(directory, name)) as inside:
                    yield from _files_below(inside, here, level + 1)


def undo(kept: Sequence[tuple[str, str]], made: Sequence[tuple[str, str]]) -> CopyOutcome:
    """Put back what is kept aside, and move away what was made; what is there by now is kept."""
    undoing = _Undo()
    held = [(path, place) for path, place in kept if path.endswith("/")]
    # Those below others come first at the end: what is kept of the others may forbid changes in it.
    held.sort(key=lambda each: each[0].count("/"))
    # Moves change the times of directories, so these are read before and set after.
    folders = list(undoing.attributes(held))
    for path, place in kept:
        if not path.endswith("/"):
            with undoing.leaving_out(path):
                undoing.put_back(path, place)
    for path, place in made:
        with undoing.leaving_out(path):
            undoing.move_away(path, place)
    for path, place, before, after in reversed(folders):
        with undoing.leaving_out(path):
            undoing.put_attributes_back(path, place, before, after)
    return undoing.told()


class _Undo:
    def __init__(self) -> None:
        self._left: list[LeftOut] = []
        self._kept: list[tuple[str, str]] = []
        self._made: list[tuple[str, str]] = []
        self._in_place: list[str] = []
        self._back = 0
        self._away = 0

    def told(self) -> CopyOutcome:
        return CopyOutcome(
            copied=self._back,
            removed=self._away,
            left_out=tuple(self._left),
            kept_aside=tuple(self._kept),
            made=tuple(self._made),
            in_place=tuple(self._in_place),
        )

    def leaving_out(self, path: str) -> LeavingOut:
        return LeavingOut(self._left, path)

    def put_back(self, path: str, place: str) -> None:
        with _opened(path) as live, _opened(place) as kept, _undone(path, place) as aside:
            if not kept.is_there():
                raise Refused(Leaving.NOT_THERE, f"is not kept any more at {place}")
            if not live.is_there():
                with freed(kept.folder, kept.name) as refused:
                    rename_to_free(kept.folder, kept.name, live.folder, live.name)
                self._made.append((path, aside.place(path)))
            else:
                try:
                    refused = self._exchange(live, kept, aside)
                except OSError as error:
                    if error.errno not in (errno.EBUSY, errno.EXDEV):
                        raise
                    refused = self._put_back_in_place(live, kept, aside)
        self._back += 1
        self._note_refused(path, refused)

    def _exchange(self, live: _Name, kept: _Name, aside: Aside) -> list[str]:
        with freed(kept.folder, kept.name) as refused, freed(live.folder, live.name) as others:
            # No directory can be renamed over a file, which is moved out of its way then.
            keep = aside.move if kept.is_directory() else aside.keep
            present = keep(live.folder, live.name, live.path)
            with or_else(lambda: present.put_back(live.folder, live.name)):
                os.rename(kept.name, live.name, src_dir_fd=kept.folder, dst_dir_fd=live.folder)
        self._kept.append((live.path, present.path))
        return refused + others

    def _put_back_in_place(self, live: _Name, kept: _Name, aside: Aside) -> list[str]:
        spot = Spot(kept.folder, kept.name, live.folder, live.name, live.path, "")
        placed = write_in_place(spot, aside)
        self._kept.append((live.path, placed.kept))
        self._in_place.append(live.path)
        return placed.refused

    def move_away(self, path: str, place: str) -> None:
        with _opened(path) as live, _opened(place) as kept:
            if not live.is_there():
                raise Refused(Leaving.NOT_THERE, "is not there any more")
            with freed(live.folder, live.name) as refused:
                rename_to_free(live.folder, live.name, kept.folder, kept.name)
        self._kept.append((path, place))
        self._away += 1
        self._note_refused(path, refused)

    def attributes(
        self, folders: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, str, Attributes, Attributes]]:
        for path, place in folders:
            with self.leaving_out(path):
                yield path, place, _attributes_at(path), _attributes_at(place)

    def put_attributes_back(
        self, path: str, place: str, before: Attributes, after: Attributes
    ) -> None:
        bare = path.rstrip("/") or "/"
        with _undone(bare, place.rstrip("/")) as aside:
            kept = aside.free_folder(bare.rstrip("/"))
            with closing(walking.open_directory(kept)) as folder:
                _set(folder, before)
            self._kept.append((path, f"{kept}/"))
        with closing(walking.open_directory(path)) as fd:
            self._note_refused(path, _set(fd, after))
        self._back += 1

    def _note_refused(self, path: str, refused: Sequence[str]) -> None:
        for why in refused:
            code = Leaving.PART_OF_ATTRIBUTES
            self._left.append(LeftOut(path=path, why=f"is back, but {why}", code=code))


def _attributes_at(path: str) -> Attributes:
    with closing(walking.open_directory(path)) as fd:
        return attributes_of(fd)


def _set(fd: int, attributes: Attributes) -> list[str]:
    free(fd)
    return [*set_attributes(fd, attributes), *set_flags(fd, attributes)]


@dataclass(frozen=True, slots=True)
class _Name:
    """A name in an open directory."""

    folder: int
    name: str
    path: str

    def is_there(self) -> bool:
        return self._mode() != 0

    def is_directory(self) -> bool:
        return stat.S_ISDIR(self._mode())

    def _mode(self) -> int:
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0


@contextmanager
def _opened(path: str) -> Iterator[_Name]:
    """Open the directory of a path for changes, and make it if it is missing."""
    above, _, name = path.rpartition("/")
    with closing(make_directory(above or "/")) as folder:
        held = free(folder)
        try:
            yield _Name(folder, name, path)
        finally:
            with suppress(OSError):
                hold_again(folder, held)


@contextmanager
def _undone(path: str, place: str) -> Iterator[Aside]:
    """Open where what is there by now is kept, beside what was kept before."""
    aside = Aside(f"{place.removesuffix(path)}/undone")
    try:
        yield aside
    finally:
        aside.close()
