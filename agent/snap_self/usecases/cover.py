"""Whether what a run made is still there: asked before it is claimed for a later change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from snap_self.cloud.client import EcsClient
from snap_self.model.ids import InstanceId, RunId, SnapshotId
from snap_self.model.run import RunRecord
from snap_self.model.snapshots import Snapshot, SnapshotStatus
from snap_self.usecases.aftercare.uploads import MEMBERS_APPEAR
from snap_self.usecases.inventory.members import learn_members, members_of
from snap_self.usecases.inventory.own import Remembered, own_snapshots
from snap_self.usecases.job.create import adopt
from snap_self.usecases.job.wait import Reached, reached
from snap_self.usecases.tools import Tools

# Whoever asks waits no longer than 15 s, and is to be told what came of it.
LOOK_S = 9.0
# A cut is made about a second after it was asked for.
AGAIN_S = 1.0
CUT_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What the cloud has of a run.

    Args:
        gone: snapshots that it does not show any more.
        failed: snapshots of no use.
        uncut: snapshots that are there and were not seen to be cut.
        known: how many the run is known to have made.
        awaited: a group of the run is there, and not all of its members are yet.
    """

    run_id: RunId
    gone: tuple[SnapshotId, ...]
    failed: tuple[SnapshotId, ...]
    known: int
    uncut: tuple[SnapshotId, ...] = ()
    awaited: bool = False

    @property
    def serves(self) -> bool:
        """Whether all of it can be gone back to, or will be once it is uploaded."""
        return self.known > 0 and not (self.gone or self.failed or self.uncut)

    @property
    def pending(self) -> bool:
        """Whether it is all there, and only its cut is still to come."""
        there = not self.gone and not self.failed
        return there and (self.awaited or (self.known > 0 and bool(self.uncut)))


def look_again(tools: Tools, run_id: RunId) -> Cover:
    """Ask the cloud for a run's snapshots, with one call where the journal names them.

    One whose cut is still to come is asked for again, for a few seconds.
    """
    tools.warm()
    identity = tools.identify()
    begun = tools.clock.monotonic()
    cloud = tools.connect(identity).until(begun + LOOK_S)
    end = begun + CUT_WAIT_S
    while True:
        cover = _look(tools, cloud, identity.instance_id, run_id)
        if not cover.pending or tools.clock.monotonic() + AGAIN_S > end:
            return cover
        tools.clock.sleep(AGAIN_S)


def _look(tools: Tools, cloud: EcsClient, instance_id: InstanceId, run_id: RunId) -> Cover:
    record = tools.store.load(run_id)
    if record is not None and record.instance_id != instance_id:
        record = None  # a journal that was copied with its disk has runs of another instance
    shown: Mapping[SnapshotId, Snapshot]
    if record is None:
        shown = _by_tag(tools, cloud, instance_id, run_id)
        ids = tuple(shown)
    else:
        record = _with_all_that_is_known(cloud, record)
        ids = record.snapshot_ids
        shots = cloud.describe_snapshots(ids=ids)
        shown = {shot.snapshot_id: shot for shot in shots}
    there = [sid for sid in ids if sid in shown]
    lost = {sid for sid in there if shown[sid].status is SnapshotStatus.FAILED}
    return Cover(
        run_id=run_id,
        gone=tuple(sid for sid in ids if sid not in shown),
        failed=tuple(sid for sid in there if sid in lost),
        uncut=tuple(sid for sid in there if sid not in lost and reached(shown[sid]) < Reached.CUT),
        known=_known(record, ids),
        awaited=record is not None and _is_awaited(tools, record),
    )


def _with_all_that_is_known(cloud: EcsClient, record: RunRecord) -> RunRecord:
    """Return the record with what became of orders whose answer, or whose members, it lacks."""
    orders = record.orders
    if any(order.sent and not order.is_made for order in orders):
        orders = adopt(cloud, record.run_id, orders)
    orders, _ = learn_members(orders, partial(members_of, cloud))
    return replace(record, orders=orders)


def _by_tag(
    tools: Tools, cloud: EcsClient, instance_id: InstanceId, run_id: RunId
) -> Mapping[SnapshotId, Snapshot]:
    own = own_snapshots(cloud, instance_id, lambda: Remembered.of(tools.store.all(), instance_id))
    return {one.shot.snapshot_id: one.shot for one in own.found if one.run_id == run_id}


def _is_awaited(tools: Tools, record: RunRecord) -> bool:
    """Tell whether members of a young group may still appear."""
    young = tools.clock.now() - record.started <= MEMBERS_APPEAR
    return young and any(order.lacks_members for order in record.orders)


def _known(record: RunRecord | None, ids: tuple[SnapshotId, ...]) -> int:
    """Count them; a group of which not all members have appeared is not whole."""
    wanted = len(record.disk_ids) if record else 0
    return len(ids) if len(ids) >= wanted else 0
