"""What a run that has waited for its snapshots is worth: as asked, or which error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snap_self.errors import (
    QuiesceFailed,
    SnapSelfError,
    SnapshotFailed,
    SnapshotSetTorn,
    WaitRanOut,
)
from snap_self.model.disks import Coverage, Skipped
from snap_self.model.request import OnQuiesceFailure, Request
from snap_self.model.snapshots import WaitFor
from snap_self.plan import is_held
from snap_self.usecases.reporting import RunFacts
from snap_self.usecases.waiting import Reached, Settled, reached

WAITED_FOR = {
    WaitFor.NONE: "taken on",
    WaitFor.CUT: "cut",
    WaitFor.AVAILABLE: "available",
    WaitFor.ACCOMPLISHED: "accomplished",
}


def verdict(
    facts: RunFacts, settled: Settled, errors: Sequence[SnapSelfError]
) -> SnapSelfError | None:
    """Return the worst thing that is to be told of a run, or None when it is as asked.

    A filesystem that may still be frozen goes before all else, a refused order before what became
    of the others, a snapshot that is not worth its name before one that is not ready.

    Args:
        errors: of the orders that the cloud refused.
    """
    return (
        facts.maybe_frozen
        or next(iter(errors), None)
        or failed(settled)
        or _torn(facts, settled)
        or ran_out(facts.request, settled)
        or _too_weak(facts)
    )


def failed(settled: Settled) -> SnapshotFailed | None:
    """Return the error of snapshots that the cloud reports as failed."""
    lost = [s for s in settled.snapshots.values() if reached(s) is Reached.FAILED]
    if not lost:
        return None
    names = ", ".join(f"{s.snapshot_id} of {s.disk_id}" for s in lost)
    return SnapshotFailed(
        f"the cloud reports as failed: {names}",
        hint="nothing of it can be used; run the command again",
    )


def ran_out(request: Request, settled: Settled) -> WaitRanOut | None:
    """Return the error of a wait that ended before the snapshots were as far as asked."""
    if not settled.timed_out or request.wait is WaitFor.NONE:
        return None
    doubt = f" ({settled.unseen})" if settled.unseen else ""
    if not settled.snapshots and not doubt:
        doubt = " (the cloud shows none of them: may this instance's role list snapshots?)"
    return WaitRanOut(
        f"the snapshots were not {WAITED_FOR[request.wait]} within {request.timeout_s:g} s{doubt}",
        hint="they go on by themselves; `snap-self list` shows how far they are",
    )


def without_missing(coverage: Coverage, settled: Settled) -> Coverage:
    """Return the coverage with the disks that the cloud left out of their group as skipped."""
    left_out = tuple(
        Skipped(
            disk_id=disk_id,
            why="the cloud left it out of the snapshot-consistent group",
            asked=False,
        )
        for disk_id in settled.missing
    )
    targets = tuple(t for t in coverage.targets if t.cloud.disk_id not in settled.missing)
    return replace(coverage, targets=targets, skipped=(*coverage.skipped, *left_out))


def _torn(facts: RunFacts, settled: Settled) -> SnapshotSetTorn | None:
    coverage = facts.need_coverage()
    ids = {t.local.name: t.cloud.disk_id for t in coverage.targets if t.local}
    missing = {name for name, disk_id in ids.items() if disk_id in settled.missing}
    held = facts.reached is not None and is_held(facts.reached)
    for span in coverage.spans:
        disks = {ids[name] for name in span.disks if name in ids}
        one_cut = any(disks <= set(record.order.disk_ids) for record in settled.records)
        if span.disks & missing or not (one_cut or held):
            return SnapshotSetTorn(
                f"{span.kind} volume {span.name} lies on {', '.join(sorted(span.disks))}, "
                "which the set does not show at one instant",
                hint="do not go back to this set; run the command again",
            )
    return None


def _too_weak(facts: RunFacts) -> QuiesceFailed | None:
    """Return the error of a run that was to abort, when the hold was lost after the create."""
    if facts.request.on_quiesce_failure is not OnQuiesceFailure.ABORT or not facts.weaker:
        return None
    return QuiesceFailed(
        f"the snapshot was made, but not as asked: {facts.why}",
        hint="it is kept; mend the reason and run the command again",
    )
