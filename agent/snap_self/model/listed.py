"""A snapshot of ours as `list` and `show` tell it, from the cloud's tags and the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Consistency, Cut, Snapshot, SnapshotStatus
from snap_self.model.verification import Verification


class SnapshotState(Enum):
    """How far a snapshot is: the API's ``Status`` and ``Available`` in one word."""

    ACCOMPLISHED = "accomplished"
    # It is being uploaded, and can be used already.
    AVAILABLE = "available"
    PROGRESSING = "progressing"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, shot: Snapshot) -> SnapshotState:
        """Return the state of a snapshot as the cloud shows it."""
        unended = shot.status in (SnapshotStatus.PROGRESSING, SnapshotStatus.UNKNOWN)
        return cls.AVAILABLE if shot.available and unended else cls(shot.status.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSnapshot:
    """One line of the list.

    Args:
        progress: percent; None when it is not known.
        cut: what is known of its cut; ``cut_time`` may be None although it was made.
        size_gib: of its disk when it was made; 0 when the cloud does not tell it.
        outcome: what came of the change, from the journal or the tag; empty if not known.
        expires: when it may be deleted, by the cloud itself or by ``prune``.
        retention: whether the cloud does so by itself.
        mounts: where its disk was mounted then, the shortest first; empty if not known.
        open_at: where a copy of it is mounted now; what it is open for, if for people to no place.
        partial: whether its run made less than was asked for; None where the journal does not tell.
        verified: what the last look into it has proved; None if there was none.
        tagged: it carries the owner's tag itself; a member may be known by its group's alone.
    """

    snapshot_id: SnapshotId
    group_id: GroupId | None
    run_id: RunId | None
    disk_id: DiskId
    before: str
    level: Consistency
    state: SnapshotState
    progress: int | None
    cut: Cut
    cut_time: datetime | None
    size_gib: int
    expires: datetime | None
    used_by: str
    outcome: str
    retention: Retention
    mounts: tuple[str, ...] = ()
    open_at: str = ""
    partial: bool | None = None
    verified: Verification | None = None
    tagged: bool = True

    @property
    def failed(self) -> bool:
        """Whether there is nothing to go back to."""
        return self.state is SnapshotState.FAILED

    @property
    def usable(self) -> bool:
        """Whether it can be gone back to now."""
        return self.state in (SnapshotState.AVAILABLE, SnapshotState.ACCOMPLISHED)

    @property
    def uploaded(self) -> bool:
        """Whether it is in the snapshot store, so that no reboot can spoil it."""
        return self.state is SnapshotState.ACCOMPLISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """What one run made, as far as the cloud still shows it.

    Args:
        name: what `show` knows it by: the run's id, or the group's or snapshot's if no tag tells
            the run.
        shots: at least one, in the order of the list.
    """

    name: str
    shots: tuple[ListedSnapshot, ...]

    @property
    def before(self) -> str:
        """The change it was made for."""
        return self.shots[0].before

    @property
    def cut_time(self) -> datetime | None:
        """When the first of its disks was cut; None if no cut is known."""
        return min((shot.cut_time for shot in self.shots if shot.cut_time), default=None)

    @property
    def partial(self) -> bool:
        """Whether it is known to have made less than was asked for."""
        return any(shot.partial for shot in self.shots)

    @property
    def serves(self) -> bool:
        """Whether there is something to go back to, now or once it is made."""
        return not all(shot.failed for shot in self.shots)


def newness(shot: ListedSnapshot) -> tuple[float, str]:
    """Return what sorts snapshots by age; one that is not cut yet is the newest."""
    cut = shot.cut_time.timestamp() if shot.cut_time else float("inf")
    return cut, run_of(shot)


def run_of(shot: ListedSnapshot) -> str:
    """Return the name of the run that made it."""
    return shot.run_id or shot.group_id or shot.snapshot_id


def runs_of(shots: Iterable[ListedSnapshot]) -> tuple[ListedRun, ...]:
    """Return the runs that made snapshots, in the order of the first of each."""
    runs: dict[str, list[ListedSnapshot]] = {}
    for shot in shots:
        runs.setdefault(run_of(shot), []).append(shot)
    return tuple(ListedRun(name=name, shots=tuple(made)) for name, made in runs.items())
