"""A private place where a package manager rehearses a transaction that calls the agent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from snap_self.model.registration import Note
from snap_self.system.commands import SystemCommands
from snap_self.system.environment import program_environment
from snap_self.system.managers.outside import stat_of
from snap_self.system.managers.state import NOTE, ManagerState, stage_name

LIMIT_S = 30.0


class ManagerStage:
    """The real ``changes.registration.machine.Stage``.

    A call of the agent below this process finds the folder by the process's id and start time, and
    leaves its note there. Every other call ignores the folder.
    """

    def __init__(self, state: ManagerState) -> None:
        self._state = state
        self.folder = ""

    def __enter__(self) -> ManagerStage:
        facts = stat_of(os.getpid())
        started = facts[2] if facts else 0
        hooks = self._state.private_folder()
        if not hooks:
            raise PermissionError("the folder for hooks below /run is not root's own")
        place = Path(hooks) / stage_name(f"{os.getpid()}:{started}")
        place.mkdir(mode=0o700)
        self.folder = str(place)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, content: bytes) -> str:
        """Put a file into the place and return its path."""
        path = Path(self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def link(self, name: str, target: str) -> None:
        path = Path(self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Return a program's exit status and output. Raises OSError, TimeoutError."""
        status, out, err = SystemCommands(env=program_environment()).run(argv, timeout_s=LIMIT_S)
        return status, out + err

    def exists(self, name: str) -> bool:
        return os.path.lexists(Path(self.folder) / name)

    def note(self) -> Note | None:
        """Take the note that was left since the last call."""
        path = Path(self.folder) / NOTE
        try:
            whole, skipped = path.read_text(encoding="utf-8").split("\n")[:2]
        except (OSError, ValueError):
            return None
        path.unlink()
        return Note(whole=whole == "whole", skipped=skipped)
