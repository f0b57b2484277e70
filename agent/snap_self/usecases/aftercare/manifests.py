"""Manifests of runs whose snapshots are gone: nothing is left to compare the machine with."""

from __future__ import annotations

from collections.abc import Set
from contextlib import suppress
from datetime import datetime, timedelta

from snap_self.errors import StateUnusable
from snap_self.model.ids import SnapshotId
from snap_self.model.run import RunRecord, Stage
from snap_self.usecases.tools import Tools

# The cloud deletes what is due by its own clock.
AFTER_EXPIRY = timedelta(days=1)
# What changed after a command that was run without a snapshot is of use for a while.
UNMADE = timedelta(days=30)


def is_outlived(record: RunRecord, now: datetime) -> bool:
    """Tell whether the snapshots of a run are surely gone, or it made none a long time ago.

    One that lacks its retention is there until somebody deletes it.
    """
    if record.stage is not Stage.FINISHED:
        return False
    if not any(order.is_made for order in record.orders):
        return now - record.started > UNMADE
    unset = any(order.retention_pending for order in record.orders)
    return not unset and record.expires is not None and now - record.expires > AFTER_EXPIRY


def forget_outlived(tools: Tools) -> None:
    """Forget the manifests of such runs; one that cannot be is tried again another time."""
    if tools.manifests is None:
        return
    store, now = tools.manifests.store, tools.clock.now()
    with suppress(StateUnusable):
        known = (tools.store.load(run_id) for run_id in store.runs())
        outlived = [record.run_id for record in known if record and is_outlived(record, now)]
        if outlived:
            store.forget(outlived)


def forget_deleted(tools: Tools, gone: Set[SnapshotId], *, left: Set[SnapshotId]) -> None:
    """Forget the manifests of runs of which some snapshots were deleted now, and none are left.

    Args:
        left: the snapshots of this instance that the cloud still shows.
    """
    if tools.manifests is None or not gone:
        return
    with suppress(StateUnusable):
        ended = [
            record.run_id
            for record in tools.store.all()
            if not gone.isdisjoint(record.snapshot_ids) and left.isdisjoint(record.snapshot_ids)
        ]
        tools.manifests.store.forget(ended)


def forget_strays(tools: Tools) -> None:
    """Forget what an interrupted run left; call it only while holding the lock."""
    if tools.manifests is not None:
        with suppress(StateUnusable):
            tools.manifests.store.forget_strays()
