"""Reads the log beside the journal: the packages for which a run's snapshot was taken."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snap_self.errors import StateUnusable
from snap_self.model.changes import LoggedChange
from snap_self.model.ids import RunId
from snap_self.model.packages import ACTIONS, Package
from snap_self.system.state.files import check_state_folder, open_private_folder, read_private_file

# No line begins beyond 4 MiB; the last line may be long.
MAX_BYTES = 8 << 20

_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class ChangeLog:
    """The log in a state directory; truncated or damaged lines are left out."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "changes"

    def of(self, run_id: RunId) -> tuple[LoggedChange, ...]:
        """Return the changes for which a run's snapshot was taken, oldest first."""
        if not _RUN_ID.fullmatch(run_id):
            return ()
        try:
            check_state_folder(self._folder.parent)
            os.close(open_private_folder(self._folder))
            content = read_private_file(self._folder / f"{run_id}.jsonl", MAX_BYTES)
        except (OSError, StateUnusable):
            return ()
        return tuple(_changes(content.decode("utf-8", "replace")))


def _changes(text: str) -> Iterator[LoggedChange]:
    for line in text.split("\n"):
        try:
            entry: Any = json.loads(line)
            yield LoggedChange(
                at=_instant(entry["at"]),
                manager=str(entry["manager"]) if "manager" in entry else "",
                program=str(entry["program"]),
                packages=tuple(_package(each) for each in entry["packages"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            continue


def _instant(text: str) -> str:
    if not _INSTANT.fullmatch(text):
        raise ValueError("no instant")
    return text


def _package(entry: dict[str, Any]) -> Package:
    action = entry["action"]
    if action not in ACTIONS:
        raise ValueError("no action")
    arch, old, new = (_known(entry[name]) for name in ("arch", "from", "to"))
    return Package(str(entry["name"]), action, arch=arch, old=old, new=new)


def _known(value: object) -> str | None:
    return None if value is None else str(value)
