"""The syncs of a main job: before its create, again when that one is old, and while all rests."""

from __future__ import annotations

from snap_self.disks.flush import flush_plan
from snap_self.errors import QuiesceFailed
from snap_self.model.disks import Coverage
from snap_self.model.flushed import FlushResult
from snap_self.model.flushing import to_sync
from snap_self.model.plan import Plan
from snap_self.model.request import OnQuiesceFailure
from snap_self.model.snapshots import Consistency
from snap_self.plan import flush_step
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.flush import flush
from snap_self.usecases.job.planning import look_again
from snap_self.usecases.job.steps import DONE
from snap_self.usecases.tools import Tools

# While applications are at rest no disk is waited for longer.
HELD_SYNC_S = 10.0


def flush_first(facts: RunFacts, tools: Tools, plan: Plan) -> None:
    """Sync what the plan has, and take over what that was worth.

    Raises:
        QuiesceFailed: it could not all be done, and the policy is to abort.
    """
    if plan.consistency is Consistency.CRASH:
        facts.prove(Consistency.CRASH)
        return
    flushes = look_again(facts, tools)
    flushed = FlushResult()
    if flushes:
        tried = to_sync(flushes)
        whose = "filesystem to its disk" if len(tried) == 1 else "filesystems to their disks"
        told = f"sync {len(tried)} {whose}"
        with facts.steps.step(*map(flush_step, tried), told=told) as results:
            flushed = flush(tools.filesystems, flushes, tools.listener)
            # An adapter may give the target back with what it has learned of it.
            why = {part.target.key: part.why for part in flushed.parts}
            results[:] = [f"failed: {why[one.key]}" if why[one.key] else DONE for one in tried]
    facts.take_flush(flushed)
    aborting = facts.request.on_quiesce_failure is OnQuiesceFailure.ABORT
    if flushed.level is Consistency.CRASH and aborting:
        raise QuiesceFailed(
            f"the filesystems could not all be flushed: {flushed.why}",
            hint="no snapshot was made; mend the filesystem, or allow a weaker snapshot with "
            "--on-quiesce-failure continue",
        )


def flush_again(facts: RunFacts, tools: Tools) -> None:
    """Sync everything once more, as what was flushed is old by now."""
    flushes = look_again(facts, tools)
    facts.take_second_flush(flush(tools.filesystems, flushes, tools.listener))


def look_before_cut(facts: RunFacts, tools: Tools, *, everything: bool) -> Coverage:
    """Sync what was mounted while everything came to rest, or all of it; return what is there.

    Whatever is at rest waits for it, so it does not wait long for a disk.
    """
    known = {target.key for target in flush_plan(facts.need_coverage())}
    flushes = [
        target for target in look_again(facts, tools) if everything or target.key not in known
    ]
    if flushes:
        flushed = flush(tools.filesystems, flushes, tools.listener, limit_s=HELD_SYNC_S)
        facts.take_second_flush(flushed)
    return facts.need_coverage()
