"""A ledger of what a simulator makes on the machine, noted before it is made, and its removal.

Each simulator has one file in the user's own folder and holds a lock on it while it lives. The
kernel releases the lock however the process ends, so a file that can be locked belongs to a dead
simulator. Lines are JSON; they are undone in reverse order. Nothing is touched that does not match
its line: a loop device is detached only if its backing file is the one noted, a mount point is
unmounted only if such a device is mounted there, and a folder is emptied only if nothing is mounted
below it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ecs_simulator.storage import kernel, own

RUN_DIR_VARIABLE = "ECS_SIMULATOR_RUN_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One thing on the machine.

    Args:
        kind: ``tree`` (removed with all in it), ``folder`` (removed when empty), ``loop``,
            ``mount`` or ``link``.
        path: of the thing; a loop device's backing file.
        of: a mount's backing file; a link's text.
    """

    kind: str
    path: str
    of: str = ""


class Ledger:
    """The open ledger of a living simulator."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file = file
        self.path = path

    @classmethod
    def create(cls, folder: Path | None = None) -> Ledger:
        """Begin a ledger for this process.

        Raises:
            StorageError: its folder cannot be used.
        """
        folder = folder or run_folder()
        _make_own(folder)
        path = folder / f"{os.getpid()}-{os.urandom(4).hex()}.ledger"
        file = path.open("x", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        return cls(file, path)

    def note(self, kind: str, path: Path | str, of: Path | str = "") -> None:
        """Note what will be made next."""
        line = {"kind": kind, "path": str(path), "of": str(of)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, noting each that was missing."""
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            self.note("folder", folder)
            folder.mkdir(mode=0o755)

    def close(self) -> list[str]:
        """Remove everything and end the ledger; return what could not be removed."""
        faults = undo(read(self.path))
        if not faults:
            self.path.unlink(missing_ok=True)
        self._file.close()
        return faults


def run_folder() -> Path:
    """Return the folder for the ledgers of this user."""
    chosen = os.environ.get(RUN_DIR_VARIABLE)
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/run/ecs-simulator")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "ecs-simulator"
    return Path(f"/tmp/ecs-simulator-{os.geteuid()}")  # nosec B108  # noqa: S108 - owner checked


def _make_own(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_own(folder)


def _check_own(folder: Path) -> None:
    with own.folder(folder):
        own.check_way(folder)


def read(path: Path) -> list[Made]:
    """Return a ledger's entries; leave out a truncated last line."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            found.append(Made(**json.loads(line)))
    return found


def clean_dead(folder: Path | None = None) -> tuple[list[Made], list[str]]:
    """Remove what dead simulators left; return what was listed and what could not be undone.

    Raises:
        StorageError: others can write into the folder, so that a ledger may be one of theirs.
    """
    gone: list[Made] = []
    faults: list[str] = []
    folder = folder or run_folder()
    if not folder.exists():
        return gone, faults
    _check_own(folder)
    for path in sorted(folder.glob("*.ledger")):
        made, troubles = clean_one(path)
        gone += made
        faults += troubles
    return gone, faults


def clean_one(path: Path, *, wait: bool = False) -> tuple[list[Made], list[str]]:
    """Remove what the simulator of this ledger left, unless it lives.

    Args:
        wait: until it is dead.
    """
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():  # another cleaner was faster
            return [], []
        made = read(path)
        faults = undo(made)
        if not faults:
            path.unlink(missing_ok=True)
        return made, faults
    return [], []


def undo(made: Iterable[Made]) -> list[str]:
    """Remove things, last first; return what could not be removed."""
    return [fault for thing in reversed(list(made)) for fault in _undo_one(thing)]


def _undo_one(thing: Made) -> Iterator[str]:
    try:
        _UNDO[thing.kind](thing)
    except OSError as error:
        yield f"{thing.kind} {thing.path}: {error}"


def _unmount(thing: Made) -> None:
    devices = set(kernel.loops_of(Path(thing.of)))
    for mounted in kernel.mounts():
        if mounted.target == thing.path and mounted.source in devices:
            kernel.unmount(Path(thing.path))


def _detach(thing: Made) -> None:
    for device in kernel.loops_of(Path(thing.path)):
        # Every user of the mounted disk, here or elsewhere, loses it, as on a real instance.
        for mounted in reversed(kernel.mounts()):
            if mounted.source == device:
                kernel.unmount(Path(mounted.target))
        kernel.detach_loop(device)


def _unlink(thing: Made) -> None:
    path = Path(thing.path)
    if path.is_symlink() and str(path.readlink()) == thing.of:
        path.unlink()


def _remove_folder(thing: Made) -> None:
    # Something else may be there by now; then it stays.
    with contextlib.suppress(OSError):
        Path(thing.path).rmdir()


def _remove_tree(thing: Made) -> None:
    below = [m.target for m in kernel.mounts() if m.target.startswith(thing.path + "/")]
    if below:
        raise kernel.StorageError(f"still mounted: {', '.join(below)}")
    if Path(thing.path).exists():
        shutil.rmtree(thing.path)


_UNDO = {
    "mount": _unmount,
    "loop": _detach,
    "link": _unlink,
    "folder": _remove_folder,
    "tree": _remove_tree,
}
