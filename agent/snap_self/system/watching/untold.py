"""What happened and could not be counted, until it is: a file below /run, which is on tmpfs.

The hooks' guard, a shell script, writes to it too. It can tell nobody, so its lines lack the mark
that the system's journal and people were told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.occurrences import Left, Occurrence
from snap_self.model.summary import COUNTED, UNTOLD
from snap_self.model.trust import Distrusted
from snap_self.system.state.files import make_run_folder, open_private_file
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

# Whatever goes on failing is not to fill the memory.
MAX_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """What a line has beyond what happened."""

    told: bool = False


_TOLD = to_plain(_Mark(told=True))


class UntoldFile:
    """Implement ``ports_watching.Untold``.

    Args:
        run: the folder below ``/run``.
        more: others in which somebody may have left something; the hooks' guard knows one place.
    """

    def __init__(self, run: Path, *more: Path) -> None:
        self._path = run / UNTOLD
        self._folders = tuple(dict.fromkeys((run, *more)))
        # How much of each was taken.
        self._taken: dict[Path, int] = {}

    def keep(self, happened: Sequence[Occurrence]) -> None:
        """Add it to what is kept, as told; it is no fault if that cannot be done."""
        lines = "".join(f"{json.dumps({**to_plain(one), **_TOLD})}\n" for one in happened)
        with suppress(OSError, Distrusted):
            make_run_folder(self._path.parent)
            _append(self._path, lines.encode(), most=MAX_BYTES)

    def take(self) -> Sequence[Left]:
        """Return what is kept; a line that cannot be read is passed over."""
        self._taken.clear()
        return tuple(one for folder in self._folders for one in self._of(folder))

    def drop(self) -> None:
        """Forget what was taken, now that it is counted; what came meanwhile stays."""
        for folder, size in self._taken.items():
            aside = folder / COUNTED
            with suppress(OSError):
                # Whoever adds to it from here on begins a new one.
                (folder / UNTOLD).rename(aside)
                with suppress(OSError, Distrusted):
                    if more := _content(aside, size):
                        _append(folder / UNTOLD, more)
                aside.unlink()
        self._taken.clear()

    def _of(self, folder: Path) -> Iterator[Left]:
        path = folder / UNTOLD
        if not os.path.lexists(path):
            return
        self._taken[folder] = 2 * MAX_BYTES
        with suppress(OSError, Distrusted):
            content = _content(path)
            self._taken[folder] = len(content)
            yield from _read(content)


def is_untold(folder: Path) -> bool:
    """Tell whether something is kept in a folder, as far as this user may see it."""
    return os.path.lexists(folder / UNTOLD)


def _content(path: Path, begin: int = 0) -> bytes:
    """Return what it holds from there on, up to a limit."""
    with os.fdopen(open_private_file(path, os.O_RDONLY), "rb", buffering=0) as file:
        file.seek(begin)
        return file.read(2 * MAX_BYTES) or b""


def _append(path: Path, content: bytes, *, most: int | None = None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(open_private_file(path, flags), "ab", buffering=0) as file:
        if most is None or os.fstat(file.fileno()).st_size < most:
            file.write(content)


def _read(raw: bytes) -> Iterator[Left]:
    for line in raw.split(b"\n"):
        with suppress(ValueError, ShapeError, StateUnusable):
            found = json.loads(line)
            mark: _Mark = from_plain(_Mark, found, "untold")
            yield Left(occurrence=from_plain(Occurrence, found, "untold"), told=mark.told)
