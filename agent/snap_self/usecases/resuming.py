"""Find a run of the same request that did not come to its end and can still be finished.

A snapshot that the cloud was asked for is paid for whether or not somebody watched it being made.
So the same command, given again soon, finishes that run; it does not matter whether another
command has explained it in between.
"""

from __future__ import annotations

from collections.abc import Iterable

from snap_self.cloud.client import EcsClient
from snap_self.errors import (
    CloudAnswerUnclear,
    CloudThrottled,
    CloudUnreachable,
    ExitStatus,
    SnapSelfError,
)
from snap_self.model.disks import Coverage
from snap_self.model.ids import SnapshotId
from snap_self.model.request import Request
from snap_self.model.run import RunRecord, Stage
from snap_self.usecases.recording import fingerprint
from snap_self.usecases.tools import Tools

INTERRUPTED = "interrupted"
# The main job has come to its end, whatever was started after it.
ENDED = (Stage.FINISHED, Stage.COMMAND)


def resumable(tools: Tools, request: Request) -> RunRecord | None:
    """Return the newest run of the same request that may have snapshots and did not end well.

    Runs are looked at newest first, and only up to the first of the same request: what came before
    that one is its past, not its own.
    """
    asked = fingerprint(request)
    same = next((r for r in tools.store.all() if r.fingerprint == asked), None)
    if same is None or not any(order.sent for order in same.orders):
        return None
    age_s = (tools.clock.now() - same.started).total_seconds()
    if not 0 <= age_s <= tools.resume_s or same.boot_id != tools.process.boot_id:
        return None
    return same if _is_open(same) else None


def fits(cloud: EcsClient, record: RunRecord, coverage: Coverage) -> bool:
    """Tell whether finishing that run gives what is asked for now.

    It does not if other disks are meant by now, or if somebody deleted what the run had made.
    """
    ordered = {disk_id for order in record.orders for disk_id in order.order.disk_ids}
    if ordered != {target.cloud.disk_id for target in coverage.targets}:
        return False
    return record.stage not in ENDED or _still_there(cloud, record)


def outcome_is_open(error: SnapSelfError) -> bool:
    """Tell whether a create call that ended so may have made a snapshot all the same."""
    if isinstance(error, CloudUnreachable):
        return error.maybe_done
    return isinstance(error, CloudThrottled | CloudAnswerUnclear)


def snapshot_ids(record: RunRecord) -> tuple[SnapshotId, ...]:
    """Return the ids of all snapshots that are known of a run."""
    return tuple(sid for order in record.orders for sid in order.snapshot_ids.values())


def _is_open(record: RunRecord) -> bool:
    return (
        record.stage not in ENDED
        or record.result == INTERRUPTED
        or record.exit_status == ExitStatus.WAIT_RAN_OUT
    )


def _still_there(cloud: EcsClient, record: RunRecord) -> bool:
    known = snapshot_ids(record)
    shown: Iterable[SnapshotId] = (s.snapshot_id for s in cloud.describe_snapshots(ids=known))
    return set(shown) == set(known)
