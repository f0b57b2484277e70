"""Give members of groups their retention, which the API takes only once they are uploaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from snap_self.cloud.client import EcsClient
from snap_self.cloud.codes import is_kept_longer
from snap_self.errors import (
    ApiFault,
    CloudThrottled,
    CloudUnreachable,
    CredentialsError,
    DiskNotReady,
    PermissionRefused,
)
from snap_self.model.ids import SnapshotId
from snap_self.model.run import OrderRecord, RetentionTries
from snap_self.model.snapshots import OWNER_TAG, Snapshot, SnapshotStatus
from snap_self.usecases.job.wait import Settled

# Setting a retention is never worth a throttled minute: another one does it as well.
RETENTION_S = 10.0
UNTAGGED = (
    "the tags of the group did not reach its members, and the role's policy allows it for what is "
    "tagged alone; at its date `snap-self prune` deletes it, with `snap-self policy --prune`"
)
NOT_ALLOWED = "the role needs ecs:ModifySnapshotAttribute, see `snap-self policy`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the cloud refused to set a retention.

    Args:
        reason: what the refusal means; that of several snapshots is the same.
        why: the same with the cloud's own words and the id of the one request.
        permission: the role may not do it.
        untagged: the snapshot does not carry the tag that the role's policy asks for.
    """

    reason: str
    why: str = field(compare=False)
    permission: bool = False
    untagged: bool = False

    @property
    def mend(self) -> str:
        """Return what is to be done about it; empty where only the cloud's words tell."""
        if not self.permission:
            return ""
        return UNTAGGED if self.untagged else NOT_ALLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What became of retentions that were to be set.

    Args:
        records: the orders, with the members that still lack theirs.
        done: snapshots that need none any more.
    """

    records: tuple[OrderRecord, ...] = ()
    done: frozenset[SnapshotId] = frozenset()
    refused: Mapping[SnapshotId, Refusal] = field(default_factory=dict)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Return what was refused in words, each reason once."""
        return tuple(
            refused_words((s for s, r in self.refused.items() if r == each), each.why, each.mend)
            for each in dict.fromkeys(self.refused.values())
        )


def retain(
    cloud: EcsClient, due: Sequence[tuple[SnapshotId, int]], *, own: Collection[SnapshotId]
) -> Retained:
    """Set retentions in days, one after the other, until there is no use in going on.

    What a busy disk refuses is left for later: while one snapshot of it is being made, none can be
    modified.

    Args:
        own: those that carry our owner tag themselves, see ``tagged``.
    """
    done: set[SnapshotId] = set()
    refused: dict[SnapshotId, Refusal] = {}
    for snapshot_id, keep_days in due:
        try:
            cloud.set_retention(snapshot_id, keep_days, deadline_s=RETENTION_S)
        except DiskNotReady:
            continue
        except (CloudThrottled, CloudUnreachable):
            break
        except CredentialsError as error:
            # The other calls would fail in the same way.
            refused |= {s: _refusal(error, own=s in own) for s, _ in due if s not in done}
            break
        except ApiFault as error:
            # Somebody keeps the snapshot for longer than we would, which is theirs to say.
            if not is_kept_longer(error):
                refused[snapshot_id] = _refusal(error, own=snapshot_id in own)
                continue
        done.add(snapshot_id)
    return Retained(done=frozenset(done), refused=refused)


def _refusal(error: ApiFault, *, own: bool) -> Refusal:
    permission = isinstance(error, PermissionRefused)
    return Refusal(
        reason=error.message,
        why=error.told,
        permission=permission,
        untagged=permission and not own,
    )


def tagged(shots: Iterable[Snapshot]) -> frozenset[SnapshotId]:
    """Return the snapshots that carry our owner tag themselves, not through their group."""
    return frozenset(shot.snapshot_id for shot in shots if OWNER_TAG in shot.tags)


def retain_settled(cloud: EcsClient, settled: Settled, keep_days: int | None) -> Retained:
    """Set the retention of a run's group members that are uploaded; note the others as pending."""
    if keep_days is None:
        return Retained(records=settled.records)
    ready = {
        disk_id
        for disk_id, shot in settled.snapshots.items()
        if shot.status is SnapshotStatus.ACCOMPLISHED
    }
    grouped = [record for record in settled.records if record.group_id]
    due = [(sid, keep_days) for r in grouped for d, sid in r.snapshot_ids.items() if d in ready]
    retained = retain(cloud, due, own=tagged(settled.snapshots.values()))
    lost = set(settled.gone)

    def noted(record: OrderRecord) -> OrderRecord:
        left = (
            sid
            for disk_id, sid in record.snapshot_ids.items()
            if disk_id not in lost and sid not in retained.done
        )
        return replace(record, retention_pending=tuple(left)) if record.group_id else record

    return replace(retained, records=tuple(map(noted, settled.records)))


def refused_words(names: Iterable[SnapshotId], why: str, mend: str) -> str:
    """Return in words that the cloud refused retentions."""
    what_helps = f"; {mend}" if mend else ""
    return f"the cloud refused to set the retention of {', '.join(names)}: {why}{what_helps}"


def tries_after(before: RetentionTries | None, refusal: Refusal, now: datetime) -> RetentionTries:
    """Return the count of refusals with one more."""
    return RetentionTries(
        count=before.count + 1 if before else 1,
        last=now,
        why=refusal.why,
        mend=refusal.mend,
    )
