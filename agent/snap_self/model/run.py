"""A run as the journal keeps it, so that an interrupted one can be explained or finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from snap_self.model.asked import CutUnseen
from snap_self.model.executions import Execution, Waiting
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, RunId, SnapshotId
from snap_self.model.result import Result
from snap_self.model.shown import shown
from snap_self.model.snapshots import Consistency, SnapshotOrder
from snap_self.model.verification import Verification


class Stage(Enum):
    """How far a run is known to have come; written before the step it names begins."""

    PLANNED = "planned"
    CREATING = "creating"
    CREATED = "created"
    FINISHED = "finished"
    # The snapshot is made, and the command it was made for is running.
    COMMAND = "command"


def rebooted(then: str, now: str) -> bool:
    """Tell whether two boot ids are known to be of two boots; an empty one is not known."""
    return bool(then and now) and then != now


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

    @property
    def is_made(self) -> bool:
        """Tell whether the cloud is known to have made what was asked for."""
        return bool(self.group_id or self.snapshot_ids)

    @property
    def is_short(self) -> bool:
        """Tell whether fewer members of its group are known than disks were ordered."""
        return bool(self.group_id) and len(self.snapshot_ids) < len(self.order.disk_ids)

    @property
    def lacks_members(self) -> bool:
        """Tell whether members of its group may still appear."""
        return self.is_short and not self.members_final


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command that the snapshot was made for; never its words, which may hold a secret.

    Args:
        number: of its start under this run, from 1.
        pid: of the agent that started it.
        pid_started: when that process was started, in the kernel's ticks since boot.
        outcome: empty while it runs.
        failed: it is known not to have succeeded, or not to have been started.
    """

    number: int
    started: datetime
    pid: int
    pid_started: int
    boot_id: str
    outcome: str = ""
    failed: bool = False


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
        text: what became of it, in words for people; no decision hangs on them.
        ended: when its end was seen, which may be long after it.
        failed: snapshots that came to nothing.
        deleted: snapshots that somebody deleted.
        accomplished: all were seen to be finished.
    """

    going_on: bool
    boot_id: str
    text: str = ""
    ended: datetime | None = None
    failed: tuple[SnapshotId, ...] = ()
    deleted: tuple[SnapshotId, ...] = ()
    accomplished: bool = False
    follower: FollowerRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionTries:
    """How often the cloud refused to set the retention of this run's group members.

    Args:
        last: when it was tried last.
        why: what the cloud said.
        mend: what is to be done about it, as far as that is known.
    """

    count: int
    last: datetime
    why: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRecord:
    """Whether there is a manifest of the machine as it was before the snapshot.

    Args:
        left_out: the parts that are not whole in it, by the names of its fields.
        why: why there is none, in words; empty if there is one.
    """

    kept: bool
    left_out: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRecord:
    """A rollback to the run that was asked of the cloud; written before it is.

    Args:
        client_token: of the order, which starts no second one.
        execution_id: empty until the cloud has answered.
    """

    asked: datetime
    client_token: str
    execution_id: str = ""


class ArmedEnd(Enum):
    """What became of a rollback that was armed."""

    CONFIRMED = "confirmed"
    # It could not be armed, or not be moved to this time.
    NOT_ARMED = "not-armed"
    # The cloud ended it without bringing anything back.
    CAME_TO_NOTHING = "came-to-nothing"
    WENT_BACK = "went-back"
    # It failed, and a part of the disks went back, or may have.
    HALF_WAY = "half-way"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmedRecord:
    """A rollback to the run that waits outside for a confirmation; written before it is asked for.

    Args:
        within_s: for how long it waits.
        deadline: when it goes back, by this machine's clock.
        client_token: of the order, which starts no second one.
        execution_id: empty until the cloud has answered.
        replaces: the execution whose place it takes, until that one is known to be called off.
        check: the command whose success confirms; empty for none.
        unconfirmed: it is not known to be called off, nor to have come to nothing.
        boot_id: of the boot in which it was asked for; empty where that is not known.
    """

    asked: datetime
    within_s: int
    deadline: datetime
    client_token: str
    execution_id: str = ""
    replaces: str = ""
    check: str = ""
    unconfirmed: bool = True
    ended: ArmedEnd | None = None
    boot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of the main job.

    Args:
        fingerprint: hash of what was asked for; the same request has the same one.
        pid: of the process that runs it.
        boot_id: of the boot in which it ran.
        keep_days: retention in days for group members, None for ever.
        exit_status: None until finished.
        explained: what a later command found out about an interrupted run.
        kept: what a restore needs beside the snapshots, by name.
        outcome: what came of the change the snapshot was made for, if known.
        commands: those started after it by ``snap-self run``; several where it was reused.
        upload: None in records of old, and where nothing was made.
        retention: None if it was never refused.
        unseen: why no cut of what was asked for was seen; None if it was, or nothing was asked
            for. The result is then ``asked``.
        keys: the source of the keys that what was made was asked for with; empty in records of
            old, and where nothing was made.
        carried: where each disk of the run was mounted then, the shortest first; some of many.
        lacking: what was mounted then and lies on no disk of the run; None in records of old.
        manifest: None in records of old, and where none is taken.
        lacking_why: why not, of those of these for which it is known.
        verified: what the last look into each snapshot has proved.
        rollback: the last one to this run that was asked for; None if none was.
        went_back: the execution of OOS that brought disks back to it, or was to, as the cloud told
            of it last; None where none is known of. A disk that went back holds the journal as it
            was at the cut: there it is known from the cloud alone.
        armed: the last one that was to go back by itself; None if none was.
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
    result: Result = Result.OPEN
    explained: str = ""
    outcome: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[CommandRecord, ...] = ()
    upload: Upload | None = None
    retention: RetentionTries | None = None
    unseen: CutUnseen | None = None
    keys: str = ""
    carried: Mapping[DiskId, tuple[str, ...]] = field(default_factory=dict)
    lacking: tuple[str, ...] | None = None
    manifest: ManifestRecord | None = None
    lacking_why: Mapping[str, str] = field(default_factory=dict)
    verified: Mapping[SnapshotId, Verification] = field(default_factory=dict)
    rollback: RollbackRecord | None = None
    went_back: Execution | None = None
    armed: ArmedRecord | None = None

    @property
    def snapshot_ids(self) -> tuple[SnapshotId, ...]:
        """Return the snapshots that are known of the run."""
        return tuple(sid for order in self.orders for sid in order.snapshot_ids.values())

    @property
    def waiting(self) -> Waiting | None:
        """What goes back to it unless somebody confirms; None for nothing that is known."""
        armed = self.armed
        if armed is None or not armed.unconfirmed:
            return None
        return Waiting(execution_id=armed.execution_id, run=self.run_id, deadline=armed.deadline)

    @property
    def label(self) -> str:
        """How messages name the run."""
        return f"run {self.run_id} (before {shown(self.before)})"

    @property
    def disk_ids(self) -> tuple[DiskId, ...]:
        """The disks of which snapshots were asked for."""
        return tuple(disk_id for each in self.orders for disk_id in each.order.disk_ids)
