"""Find a run of the same request that did not come to its end and can still be finished.

A snapshot that the cloud was asked for is paid for whether or not somebody watched it being made.
So the same command, given again soon, finishes that run; it does not matter whether another
command has explained it in between.
"""

from __future__ import annotations

from collections.abc import Iterable

from snap_self.cloud.client import EcsClient
from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudThrottled,
    CloudUnreachable,
    ExitStatus,
    SnapSelfError,
)
from snap_self.model.disks import Coverage
from snap_self.model.ids import SnapshotId
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.model.snapshots import SnapshotStatus
from snap_self.usecases.job.record import fingerprint
from snap_self.usecases.tools import Tools

# A look whether what was made is still there takes no longer.
STILL_THERE_S = 3.0
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

    It does not if other disks are meant by now, or if what the run had made was deleted or failed.
    """
    ordered = {disk_id for order in record.orders for disk_id in order.order.disk_ids}
    if ordered != {target.cloud.disk_id for target in coverage.targets}:
        return False
    # One that asked and saw no cut may be looked at; others may not know yet what they made.
    unlooked = record.stage not in ENDED and record.unseen is None
    return unlooked or _still_there(cloud, record)


def outcome_is_open(error: SnapSelfError) -> bool:
    """Tell whether a create call that ended so may have made a snapshot all the same."""
    return answer_is_lost(error) or isinstance(error, CloudThrottled)


def answer_is_lost(error: SnapSelfError) -> bool:
    """Tell whether a create call reached the cloud, and what came of it was not learned."""
    if isinstance(error, CloudUnreachable | ApiFault) and error.maybe_done:
        return True
    return isinstance(error, CloudAnswerUnclear)


def _is_open(record: RunRecord) -> bool:
    return (
        record.stage not in ENDED
        or record.result in (Result.INTERRUPTED, Result.ASKED)
        or record.exit_status == ExitStatus.WAIT_RAN_OUT
    )


def _still_there(cloud: EcsClient, record: RunRecord) -> bool:
    known = record.snapshot_ids
    try:
        shots = cloud.in_passing(STILL_THERE_S).describe_snapshots(ids=known)
    except (ApiFault, CloudUnreachable):
        return True  # the wait for it tells; a second one would cost as much, and be as little seen
    lost = SnapshotStatus.FAILED
    shown: Iterable[SnapshotId] = (s.snapshot_id for s in shots if s.status is not lost)
    return set(shown) == set(known)
