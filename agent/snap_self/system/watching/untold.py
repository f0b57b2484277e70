"""What happened and could not be counted, until it is: a file below /run, which is on tmpfs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.occurrences import Occurrence
from snap_self.model.summary import UNTOLD
from snap_self.model.trust import Distrusted
from snap_self.system.state.files import make_run_folder, open_private_file, read_private_file
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

# Whatever goes on failing is not to fill the memory.
MAX_BYTES = 1 << 18


class UntoldFile:
    """Implement ``ports_watching.Untold``.

    Args:
        run: the folder below ``/run``.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / UNTOLD
        self._taken = 0

    def keep(self, happened: Sequence[Occurrence]) -> None:
        """Add it to what is kept; it is no fault if that cannot be done."""
        lines = "".join(f"{json.dumps(to_plain(one))}\n" for one in happened)
        with suppress(OSError, Distrusted):
            make_run_folder(self._path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(open_private_file(self._path, flags), "ab", buffering=0) as file:
                if os.fstat(file.fileno()).st_size < MAX_BYTES:
                    file.write(lines.encode())

    def take(self) -> Sequence[Occurrence]:
        """Return what is kept; a line that cannot be read is passed over."""
        with suppress(OSError, Distrusted):
            raw = read_private_file(self._path, 2 * MAX_BYTES)
            self._taken = len(raw)
            return tuple(_read(raw))
        return ()

    def drop(self) -> None:
        """Forget what was taken, now that it is counted; what came meanwhile stays."""
        with suppress(OSError, Distrusted):
            more = read_private_file(self._path, 2 * MAX_BYTES)[self._taken :]
            self._path.unlink()
            if more:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                with os.fdopen(open_private_file(self._path, flags), "ab", buffering=0) as file:
                    file.write(more)


def _read(raw: bytes) -> Iterator[Occurrence]:
    for line in raw.split(b"\n"):
        with suppress(ValueError, ShapeError, StateUnusable):
            yield from_plain(Occurrence, json.loads(line), "untold")
