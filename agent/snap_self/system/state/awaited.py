"""Keeps which changes are waited for: a small file each, in the state directory."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.awaited import AwaitedChange
from snap_self.system.state.files import (
    check_state_folder,
    make_private_subfolder,
    open_private_folder,
    read_private_file,
    replace_file,
    state_faults,
)
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

FOLDER = "awaited"
_SUFFIX = ".json"
_MAX_BYTES = 1 << 16


class AwaitedFiles:
    """Implement ``ports_looking_back.AwaitedChanges``; reading creates nothing.

    Args:
        directory: the state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER

    def add(self, change: AwaitedChange) -> None:
        """Keep that it is waited for."""
        path = self._path(change)
        with state_faults(path, doing="written"):
            make_private_subfolder(self._folder)
            replace_file(path, json.dumps(to_plain(change)))

    def all(self) -> Sequence[AwaitedChange]:
        """Return those that are waited for, by the names of their runs."""
        try:
            check_state_folder(self._folder.parent)
            os.close(open_private_folder(self._folder))
            names = sorted(os.listdir(self._folder))  # noqa: PTH208
        except (OSError, StateUnusable):
            return ()
        found = []
        for name in names:
            if name.endswith(_SUFFIX) and not name.startswith("."):
                with suppress(OSError, ValueError, ShapeError):
                    held = read_private_file(self._folder / name, _MAX_BYTES)
                    found.append(from_plain(AwaitedChange, json.loads(held), "change"))
        return tuple(found)

    def forget(self, change: AwaitedChange) -> None:
        """Wait for it no longer."""
        with suppress(OSError):
            self._path(change).unlink()

    def _path(self, change: AwaitedChange) -> Path:
        return self._folder / f"{change.run_id}.{change.pid}-{change.pid_started}{_SUFFIX}"
