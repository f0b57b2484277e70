"""The report of a run: what the text and the JSON output are made from (schema 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from snap_self.errors import ApiFault, ExitStatus, SnapSelfError
from snap_self.model.asked import CutUnseen
from snap_self.model.disks import NotCovered, Skipped, Target
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Consistency, Cut, Identity, SnapshotStatus
from snap_self.model.ways import Step

if TYPE_CHECKING:  # only a run at level application pays for the import
    from snap_self.model.executions import Waiting
    from snap_self.model.servers import RestedApplication

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """A failure as programs read it.

    Args:
        details: further lines for ``--verbose``.
        api_code: the API's own code, with its message and the id of the request; empty where no
            answer of the API stands behind it.
        said: all three in one line.
        action: what a RAM policy calls the operation that was refused; empty where none was.
    """

    code: str
    message: str
    hint: str
    details: tuple[str, ...] = ()
    api_code: str = ""
    api_message: str = ""
    request_id: str = ""
    said: str = ""
    action: str = ""

    @classmethod
    def of(cls, error: SnapSelfError) -> ErrorReport:
        """Return the report of an error."""
        fault = error if isinstance(error, ApiFault) else None
        return cls(
            code=error.code,
            message=error.message,
            hint=error.hint,
            details=(*error.details, *filter(None, (fault.said if fault else "",))),
            said=fault.said if fault else "",
            api_code=fault.api_code if fault else "",
            api_message=fault.api_message if fault else "",
            request_id=fault.request_id if fault else "",
            action=fault.action if fault else "",
        )


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


# Beside the API's own words: what was made is not shown any more, or its state is not known.
GONE = "gone"
UNKNOWN = SnapshotStatus.UNKNOWN.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotReport:
    """One snapshot made (or reused) by the run.

    Args:
        status: the API's word, ``gone`` or ``unknown``.
        progress: percent; None when it is not known.
        cut: what is known of its cut; ``cut_time`` may be None although it was made.
        expires: when it may be deleted; whether the cloud does so itself, ``retention`` tells.
    """

    snapshot_id: SnapshotId | None
    group_id: GroupId | None
    disk_id: DiskId
    status: str
    progress: int | None
    available: bool
    cut: Cut
    cut_time: datetime | None
    expires: datetime | None
    retention: Retention = Retention.NONE

    @property
    def is_lost(self) -> bool:
        """Tell whether there is nothing to go back to."""
        return self.status in (GONE, SnapshotStatus.FAILED.value)

    @property
    def may_go_on(self) -> bool:
        """Tell whether its upload may be going on."""
        return self.status in (SnapshotStatus.PROGRESSING.value, UNKNOWN)


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
        frozen_s: how long filesystems were frozen; None if none was.
        undo: the steps that roll back in place what was made; none where nothing leads back.
        notes: what else the user should know.
        news: those of them that nobody was told yet, and that are no matter of course.
        watch: None if no upload goes on.
        applications: every server that was asked to come to rest.
        unseen: why no cut of what was asked for was seen; None unless that is the result.
        of_earlier: the snapshots are, or may be, those of an earlier run.
        armed: the rollback that waits for a confirmation; None where none was asked for, or it
            could not be armed.
        excluded: filesystems that are in no snapshot, as was asked.
    """

    result: Result
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
    undo: tuple[Step, ...]
    notes: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    watch: UploadWatch | None = None
    applications: tuple[RestedApplication, ...] = ()
    unseen: CutUnseen | None = None
    of_earlier: bool = False
    excluded: tuple[NotCovered, ...] = ()
    news: tuple[str, ...] = ()
    armed: Waiting | None = None

    @property
    def content_is_fixed(self) -> bool:
        """Tell whether each snapshot's cut is known to be made, so that the change may begin."""
        return all(shot.cut is Cut.MADE for shot in self.snapshots)
