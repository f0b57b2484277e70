"""The report of a run: what the text and the JSON output are made from (schema 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from snap_self.errors import ExitStatus
from snap_self.model.disks import NotCovered, Skipped, Target
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.snapshots import Consistency, Identity

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """A failure as programs read it."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """A step and what became of it.

    Args:
        seconds: how long it took; None if it was not begun.
        result: ``done``, ``planned``, ``failed`` or ``skipped``, maybe with ``: reason``.
    """

    name: str
    reason: str
    seconds: float | None
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotReport:
    """One snapshot made (or reused) by the run."""

    snapshot_id: SnapshotId | None
    group_id: GroupId | None
    disk_id: DiskId
    status: str
    progress: int
    available: bool
    cut_time: datetime | None
    expires: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyReport:
    """The level asked for, the level proved, and what was missing."""

    asked: Consistency
    reached: Consistency | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadWatch:
    """Who watches an upload that goes on after the run, and what a reboot meanwhile meets.

    Args:
        held: a follower was started that has logind refuse a shutdown or reboot.
        until: it does so no longer than that; None if nobody watches.
        why: why nothing is held back; empty if it is.
    """

    held: bool
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a run has to say.

    Args:
        result: ``done``, ``planned``, ``reused``, ``resumed``, ``partial`` or ``failed``.
        frozen_s: how long filesystems were frozen; None if none was.
        undo: how to go back, line by line.
        notes: what else the user should know.
        watch: None if no upload goes on.
    """

    result: str
    exit_status: ExitStatus
    error: ErrorReport | None
    run_id: RunId | None
    before: str
    started: datetime | None
    finished: datetime | None
    identity: Identity | None
    targets: tuple[Target, ...]
    skipped: tuple[Skipped, ...]
    not_covered: tuple[NotCovered, ...]
    snapshots: tuple[SnapshotReport, ...]
    consistency: ConsistencyReport
    steps: tuple[StepReport, ...]
    frozen_s: float | None
    undo: tuple[str, ...]
    notes: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    watch: UploadWatch | None = None
