"""What lies in a state directory: all that is of this instance, to be told and to be removed.

What the agent keeps has names of known forms in known folders. Anything else is another's, which
a variable that names the wrong folder must not cost its owner.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.kept_state import KeptPart, KeptState
from snap_self.model.manager_settings import STATE_DIR
from snap_self.system.state.awaited import FOLDER as AWAITED
from snap_self.system.state.bug_files import FOLDER as BUGS
from snap_self.system.state.files import (
    TEMPORARY,
    check_state_folder,
    open_private_folder,
    state_faults,
)
from snap_self.system.state.jsonfiles import Damaged, is_record_name, json_object, read_raw
from snap_self.system.state.left import FOLDER as COPIES
from snap_self.system.state.left import RETURNS
from snap_self.system.state.manifest_names import MANIFEST_SUFFIXES, MANIFESTS

# Files that every run of the machine uses anew: who waits for a lock that is gone waits for another
# than the next one takes; and the limit of a package manager's call is of the configuration.
LOCK = "lock"
STAYING = frozenset({LOCK, "follow.lock", "copies.lock", "watch.lock", "hook-limit"})

_PLAIN = "[0-9A-Za-z][0-9A-Za-z_.-]{0,199}"
_RECORD = rf"{_PLAIN}\.json"
_ANY_MANIFEST = "|".join(re.escape(suffix) for suffix in MANIFEST_SUFFIXES)
# What a killed write leaves, of either way of writing.
_LEFTOVER = rf"\..+{re.escape(TEMPORARY)}|{_PLAIN}\.[0-9]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One kind of file.

    Args:
        place: its folder in the state directory; empty for that directory itself.
        form: what its files are called.
    """

    name: str
    words: str
    place: str
    form: str


# The records that forbid a reset go last: what was interrupted is judged again as it was before.
_PARTS = (
    _Part(name="leftovers", words="half-written files", place="", form=_LEFTOVER),
    _Part(name="bugs", words="bug reports", place=BUGS, form=rf"{_PLAIN}\.txt"),
    _Part(
        name="watched",
        words="what is told to those who watch",
        place="",
        form=r"summary\.json|login-message|motd|notified\.json|untold(-counted)?\.jsonl",
    ),
    _Part(name="counters", words="counters", place="watch", form=_RECORD),
    _Part(name="facts", words="facts", place="facts", form=_RECORD),
    _Part(name="changes", words="logs of changes", place="changes", form=rf"{_PLAIN}\.jsonl"),
    _Part(
        name="manifests",
        words="manifests",
        place=MANIFESTS,
        form=rf"{_PLAIN}({_ANY_MANIFEST})|key",
    ),
    _Part(
        name="kept_files",
        words="lists of replaced files",
        place=f"{COPIES}/kept",
        form=_RECORD,
    ),
    _Part(name="copies", words="opened copies", place=f"{COPIES}/done", form=_RECORD),
    _Part(name="copies", words="opened copies", place=COPIES, form=_RECORD),
    _Part(name="returns", words="disks that went back", place=f"{RETURNS}/done", form=_RECORD),
    _Part(name="returns", words="disks that went back", place=RETURNS, form=_RECORD),
    _Part(name="awaited", words="awaited changes", place=AWAITED, form=_RECORD),
    _Part(name="runs", words="runs", place="runs", form=_RECORD),
)
_FOLDERS = tuple(dict.fromkeys(part.place for part in _PARTS if part.place))
_INNER = frozenset((*STAYING, *(place.partition("/")[0] for place in _FOLDERS), *_FOLDERS))


class StateParts:
    """Implement ``ports.StateFolder``.

    Args:
        folder: the state directory; nothing is made in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def look(self) -> KeptState:
        """Return what lies there.

        Raises:
            StateUnusable: it cannot be read, others could have written it, or it is not known to
                be a state directory at all.
        """
        with state_faults(self._folder, doing="read"):
            check_state_folder(self._folder)
            if not self._folder.is_dir():
                return KeptState(folder=self._folder)
            found = list(self._found())
            strange = sorted(path for path, part in found if part is None)
        files: dict[str, list[Path]] = {}
        for path, part in found:
            if part is not None:
                files.setdefault(part.name, []).append(path)
        words = {part.name: part.words for part in _PARTS}
        parts = [
            KeptPart(name=name, words=words[name], files=tuple(files[name]))
            for name in words
            if name in files
        ]
        if parts and not self._is_ours([path for path, part in found if part is not None]):
            raise StateUnusable(
                f"{self._folder} is not known to be a state directory of snap-self: it has no lock "
                "of a run, or no record beside it that can be read",
                hint="look at state.dir in the configuration and at SNAP_SELF_STATE_DIR; nothing "
                "was removed",
            )
        folders = [self._folder / place for place in _FOLDERS if (self._folder / place).is_dir()]
        return KeptState(folder=self._folder, parts=parts, folders=folders, strange=strange)

    def forget(self, kept: KeptState) -> Iterator[Path]:
        """Remove these files, then folders that are empty by then; yield each file that is gone.

        What is gone already is no error, so that it can be done again after a kill.

        Raises:
            StateUnusable: one cannot be removed; those before it are gone.
        """
        for path in kept.files:
            with state_faults(path, doing="removed"):
                path.unlink(missing_ok=True)
            yield path
        for folder in kept.folders:
            with suppress(OSError):  # something strange is in it, which is told
                folder.rmdir()
        with state_faults(self._folder, doing="written"):
            _sync(self._folder)

    def _found(self) -> Iterator[tuple[Path, _Part | None]]:
        """Yield each file with its kind; None for what is another's."""
        for place in ("", *_FOLDERS):
            folder = self._folder / place
            for name, is_file in _entries(folder, private=bool(place)):
                if f"{place}/{name}".lstrip("/") not in _INNER:
                    yield folder / name, _part_of(place, name) if is_file else None

    def _is_ours(self, files: Sequence[Path]) -> bool:
        """Tell whether a run has ever been here; what is the package's own folder needs no proof.

        Each run takes the lock before it writes. Others have files of that name too, so one file
        at least must hold what this program writes.

        Args:
            files: those whose names are of our forms.
        """
        if self._folder == Path(STATE_DIR):
            return True
        with suppress(OSError):
            found = (self._folder / LOCK).lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid()):
                # From the runs on: nearly always there is one.
                return any(map(_is_record, reversed(files)))
        return False


def _is_record(path: Path) -> bool:
    """Tell whether a file can be read and has the schema of a record or of the summary."""
    if not is_record_name(path.name):
        return False
    with suppress(Damaged, FileNotFoundError, StateUnusable):
        json_object(read_raw(path))
        return True
    return False


def _entries(folder: Path, *, private: bool) -> Sequence[tuple[str, bool]]:
    """Return what is in a folder, by name, and whether each is a file; nothing where it is gone.

    Args:
        private: no link is followed to it, and it must be its owner's alone.
    """
    try:
        descriptor = open_private_folder(folder) if private else os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return ()
    try:
        with os.scandir(descriptor) as entries:
            return sorted((each.name, each.is_file(follow_symlinks=False)) for each in entries)
    finally:
        os.close(descriptor)


def _part_of(place: str, name: str) -> _Part | None:
    here = [part for part in _PARTS if part.place == place]
    for part in here:
        if re.fullmatch(part.form, name):
            return part
    return here[0] if re.fullmatch(_LEFTOVER, name) else None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
