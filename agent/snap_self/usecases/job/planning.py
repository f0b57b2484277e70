"""What the main job would do, and the two steps it begins with; loads nothing that acts."""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.disks.coverage import seen_again
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.model.flushing import FlushTarget
from snap_self.model.plan import Plan
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.plan import IDENTIFY, Situation, check_whole, make_plan, map_steps
from snap_self.usecases.job.advice import NO_ADVICE, Advice, read_advice
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.look import Survey, cover, survey
from snap_self.usecases.job.report import build_report
from snap_self.usecases.job.steps import StepLog
from snap_self.usecases.tools import Tools


def plan_snapshot(request: Request, tools: Tools) -> Report:
    """Return what the main job would do as a report; nothing is changed.

    Raises:
        SnapSelfError: the main job would fail for this reason.
    """
    facts = begin(request, tools)
    found = look_around(facts, tools)
    plan_run(facts, tools, found, read_advice(tools, found))
    return build_report(facts, result=Result.PLANNED)


def begin(request: Request, tools: Tools) -> RunFacts:
    """Return the facts of a run that begins now."""
    return RunFacts(
        request=request,
        began=tools.clock.now(),
        new_id=tools.new_run_id(),
        steps=StepLog(tools.clock, tools.listener),
    )


def look_around(facts: RunFacts, tools: Tools, *, job_end: float | None = None) -> Survey:
    """Learn who and where this instance is, and which of its disks are meant.

    Args:
        job_end: as for ``survey``.
    """
    told = "learn who and where this instance is and what it carries"
    with facts.steps.step(IDENTIFY, told=told):
        paths = facts.request.selection.paths
        found = survey(tools, paths=paths, job_end=job_end)
    facts.identity = found.identity
    facts.cloud_disks = found.disks
    began = tools.clock.monotonic()
    facts.coverage = cover(found, facts.request.selection)
    seconds = round(tools.clock.monotonic() - began, 3)
    for step in map_steps(facts.coverage):
        facts.steps.add(step, seconds=seconds)
    facts.notes += facts.coverage.vain
    facts.notes += (f"{doubt.what}: {doubt.why}" for doubt in facts.coverage.doubts)
    return found


def look_again(facts: RunFacts, tools: Tools) -> Sequence[FlushTarget]:
    """Return what is to be synced, after a look at what is on the disks by now.

    While the cloud was asked, something may have been mounted, moved or unmounted.

    Raises:
        DiskUnmapped, TornSet: it is not the set of disks any more that was planned.
    """
    coverage = seen_again(facts.need_coverage(), read_layout(tools.machine.read()))
    check_whole(coverage)
    facts.coverage = coverage
    return flush_plan(coverage)


def plan_run(facts: RunFacts, tools: Tools, found: Survey, advice: Advice = NO_ADVICE) -> Plan:
    """Make the plan from what was found."""
    coverage = facts.need_coverage()
    plan = make_plan(
        Situation(
            request=facts.request,
            coverage=coverage,
            instance_id=found.identity.instance_id,
            instance=advice.instance,
            run_id=facts.run_id,
            now=facts.started,
            flushes=flush_plan(coverage),
            history=advice.history,
            busy=tools.busy(),
        )
    )
    facts.plan = plan
    return plan
