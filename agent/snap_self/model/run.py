"""A run as the journal keeps it, so that an interrupted one can be explained or finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, RunId, SnapshotId
from snap_self.model.snapshots import Consistency, SnapshotOrder


class Stage(Enum):
    """How far a run is known to have come; written before the step it names begins."""

    PLANNED = "planned"
    CREATING = "creating"
    CREATED = "created"
    FINISHED = "finished"
    # The snapshot is made, and the command it was made for is running.
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One create request and what became of it.

    Args:
        sent: whether the request may have reached the cloud.
        snapshot_ids: disk to snapshot, as far as known.
        error: what the cloud said, if it refused.
        retention_pending: members whose retention could not be set yet.
        members_final: no further member of the group is looked for.
    """

    order: SnapshotOrder
    sent: bool = False
    group_id: GroupId | None = None
    snapshot_ids: Mapping[DiskId, SnapshotId] = field(default_factory=dict)
    error: str = ""
    retention_pending: tuple[SnapshotId, ...] = ()
    members_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command that the snapshot was made for; never its words, which may hold a secret.

    Args:
        number: of its start under this run, from 1.
        pid: of the agent that started it.
        pid_started: when that process was started, in the kernel's ticks since boot.
        outcome: empty while it runs.
    """

    number: int
    started: datetime
    pid: int
    pid_started: int
    boot_id: str
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerRecord:
    """The background process that watches a run's uploads and holds back a reboot meanwhile.

    Args:
        pid_started: when it was started, in the kernel's ticks since boot.
        until: it watches no longer than that.
        held: whether logind refuses a shutdown or reboot because of it.
        why: why nothing is held back; empty if it is.
        ended: why it watches no more; empty while it does, or if it was killed.
    """

    pid: int
    pid_started: int
    boot_id: str
    until: datetime
    held: bool
    why: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is known of the copying of a run's snapshots into the snapshot store.

    Args:
        going_on: not all were seen to be finished or failed yet.
        boot_id: of the boot in which it began; a reboot meanwhile can spoil it.
        text: what became of it, in words.
        ended: when its end was seen, which may be long after it.
        failed: snapshots that came to nothing.
    """

    going_on: bool
    boot_id: str
    text: str = ""
    ended: datetime | None = None
    failed: tuple[SnapshotId, ...] = ()
    follower: FollowerRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionTries:
    """How often the cloud refused to set the retention of this run's group members.

    Args:
        last: when it was tried last.
        why: what the cloud said.
    """

    count: int
    last: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of the main job.

    Args:
        fingerprint: hash of what was asked for; the same request has the same one.
        pid: of the process that runs it.
        boot_id: of the boot in which it ran.
        keep_days: retention in days for group members, None for ever.
        exit_status: None until finished.
        result: one word for people and programs: ``done``, ``interrupted``, ``failed`` …
        explained: what a later command found out about an interrupted run.
        kept: what a restore needs beside the snapshots, by name.
        outcome: what came of the change the snapshot was made for, if known.
        commands: those started after it by ``snap-self run``; several where it was reused.
        upload: None in records of old, and where nothing was made.
        retention: None if it was never refused.
    """

    run_id: RunId
    before: str
    fingerprint: str
    instance_id: InstanceId
    region: RegionId
    started: datetime
    pid: int
    boot_id: str
    stage: Stage
    consistency_asked: Consistency
    consistency_reached: Consistency | None
    consistency_why: str
    keep_days: int | None
    expires: datetime | None
    orders: tuple[OrderRecord, ...]
    finished: datetime | None = None
    exit_status: int | None = None
    result: str = ""
    explained: str = ""
    outcome: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[CommandRecord, ...] = ()
    upload: Upload | None = None
    retention: RetentionTries | None = None
