"""The marker's text: what a freeze holds, for the command that runs after a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from snap_self.errors import StateUnusable

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedProcess:
    """One of the guardian's processes.

    Args:
        started: in clock ticks since boot, so that a reused id is not mistaken for it.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedFilesystem:
    """A filesystem that is or may be frozen; ``listed_device`` is mountinfo's ``major:minor``."""

    path: str
    fstype: str
    listed_device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Everything needed to end a freeze without the processes that made it.

    Args:
        filesystems: in the order of freezing.
    """

    boot_id: str
    agent_pid: int
    processes: tuple[MarkedProcess, ...]
    filesystems: tuple[MarkedFilesystem, ...]

    def encode(self) -> str:
        return json.dumps(
            {
                "schema": SCHEMA,
                "boot_id": self.boot_id,
                "agent_pid": self.agent_pid,
                # The guardian removes only its own marker: see ``wire.marker_owner``.
                "guardian_pid": self.processes[0].pid if self.processes else 0,
                "processes": [{"pid": p.pid, "started": p.started} for p in self.processes],
                "filesystems": [
                    {"path": f.path, "fstype": f.fstype, "listed_device": f.listed_device}
                    for f in self.filesystems
                ],
            },
            indent=1,
        )


def decode_marker(text: str) -> Marker:
    """Return the marker in ``text``.

    Raises:
        StateUnusable: it is not one; the message names the attribute.
    """
    try:
        whole = json.loads(text)
    except ValueError:
        raise _unusable("it is not JSON") from None
    if _get(whole, "schema", int, "marker") != SCHEMA:
        raise _unusable(f"its schema is not {SCHEMA}")
    return Marker(
        boot_id=_get(whole, "boot_id", str, "marker"),
        agent_pid=_get(whole, "agent_pid", int, "marker"),
        processes=tuple(
            MarkedProcess(pid=_get(p, "pid", int, where), started=_get(p, "started", int, where))
            for where, p in _each(whole, "processes")
        ),
        filesystems=tuple(
            MarkedFilesystem(
                path=_get(f, "path", str, where),
                fstype=_get(f, "fstype", str, where),
                listed_device=_get(f, "listed_device", str, where),
            )
            for where, f in _each(whole, "filesystems")
        ),
    )


def _each(whole: Any, name: str) -> list[tuple[str, Any]]:
    items = _get(whole, name, list, "marker")
    return [(f"marker.{name}[{place}]", item) for place, item in enumerate(items)]


def _get(holder: Any, name: str, kind: type, where: str) -> Any:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _unusable(f"{where}.{name} is not of type {kind.__name__}")
    return value


def _unusable(what: str) -> StateUnusable:
    return StateUnusable(
        f"the marker of an earlier freeze cannot be understood: {what}",
        hint="thaw by hand (fsfreeze --unfreeze MOUNTPOINT), then remove the marker",
    )
