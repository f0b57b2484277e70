"""Reads what hooks wrote down beside the journal: which packages a run's snapshot was made for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snap_self.model.changes import LoggedChange
from snap_self.model.ids import RunId
from snap_self.model.packages import ACTIONS, Package

_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class ChangeLog:
    """The log in a state directory; lines that are cut off or damaged are left out."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "changes"

    def of(self, run_id: RunId) -> tuple[LoggedChange, ...]:
        """Return the changes that a run's snapshot was made for, the first one first."""
        if not _RUN_ID.fullmatch(run_id):
            return ()
        try:
            text = (self._folder / f"{run_id}.jsonl").read_text("utf-8", errors="replace")
        except OSError:
            return ()
        return tuple(_changes(text))


def _changes(text: str) -> Iterator[LoggedChange]:
    for line in text.split("\n"):
        try:
            entry: Any = json.loads(line)
            yield LoggedChange(
                at=_instant(entry["at"]),
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
