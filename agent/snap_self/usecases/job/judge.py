"""What a run that has waited for its snapshots is worth: as asked, or which error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snap_self.errors import (
    CutNotSeen,
    QuiesceFailed,
    SnapSelfError,
    SnapshotFailed,
    SnapshotGone,
    SnapshotSetTorn,
    WaitRanOut,
)
from snap_self.model.disks import Coverage, Skipped
from snap_self.model.request import OnQuiesceFailure
from snap_self.model.shell import command
from snap_self.model.snapshots import WaitFor
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.wait import UNSHOWN_DOUBT, Reached, Settled, reached

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
        or spoiled(settled)
        or _torn(facts, settled)
        or ran_out(facts, settled)
        or _too_weak(facts)
    )


def spoiled(settled: Settled) -> SnapshotFailed | None:
    """Return the error of snapshots that there is nothing to go back to."""
    return _failed(settled) or _gone(settled)


def _failed(settled: Settled) -> SnapshotFailed | None:
    """Return the error of snapshots that the cloud reports as failed."""
    lost = [s for s in settled.snapshots.values() if reached(s) is Reached.FAILED]
    if not lost:
        return None
    names = ", ".join(f"{s.snapshot_id} of {s.disk_id}" for s in lost)
    return SnapshotFailed(
        f"the cloud reports as failed: {names}",
        hint="nothing of it can be used; run the command again",
    )


def _gone(settled: Settled) -> SnapshotGone | None:
    """Return the error of snapshots that were there and are not shown any more."""
    if not settled.gone:
        return None
    names = ", ".join(f"{settled.snapshot_of(disk)} of {disk}" for disk in settled.gone)
    # Where nothing at all is shown any more, the role may have lost its permission.
    doubt = "" if settled.snapshots else f"; or {UNSHOWN_DOUBT}"
    return SnapshotGone(
        f"the cloud does not show any more, so somebody deleted: {names}{doubt}",
        hint="there is nothing of it to go back to; run the command again",
    )


def ran_out(facts: RunFacts, settled: Settled) -> WaitRanOut | None:
    """Return the error of a wait that ended before the snapshots were as far as asked."""
    request = facts.request
    if not settled.timed_out or request.wait is WaitFor.NONE:
        return None
    doubt = f" ({settled.unseen})" if settled.unseen else ""
    if not settled.snapshots and not doubt:
        doubt = f" (the cloud shows none of them: {UNSHOWN_DOUBT})"
    within = f"within {request.timeout_s:g} s{doubt}"
    if settled.why_uncut() is not None:
        look = command("snap-self", "show", facts.run_id)
        return CutNotSeen(
            f"the snapshots were asked for, but not seen to be cut {within}",
            hint=f"look at them before you rely on them: `{look}`",
        )
    on = "they go on by themselves; " if settled.snapshots and not settled.unseen else ""
    return WaitRanOut(
        f"the snapshots were not {WAITED_FOR[request.wait]} {within}",
        hint=f"{on}`snap-self list` shows how far they are",
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
    held = facts.reached is not None and facts.reached.is_held
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
