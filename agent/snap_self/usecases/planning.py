"""What the main job would do, and the two steps it begins with; loads nothing that acts."""

from __future__ import annotations

from snap_self.disks.flush import flush_plan
from snap_self.model.plan import Plan
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.plan import Situation, make_plan
from snap_self.usecases.recording import StepLog
from snap_self.usecases.reporting import RunFacts, build_report
from snap_self.usecases.survey import PLAN_PAGES, Survey, cover, survey
from snap_self.usecases.tools import Tools


def plan_snapshot(request: Request, tools: Tools) -> Report:
    """Return what the main job would do as a report; nothing is changed.

    Raises:
        SnapSelfError: the main job would fail for this reason.
    """
    facts = begin(request, tools)
    plan_run(facts, tools, look_around(facts, tools, history_pages=PLAN_PAGES))
    return build_report(facts, result="planned")


def begin(request: Request, tools: Tools) -> RunFacts:
    """Return the facts of a run that begins now."""
    return RunFacts(
        request=request,
        started=tools.clock.now(),
        run_id=tools.new_run_id(),
        steps=StepLog(tools.clock, tools.listener),
    )


def look_around(facts: RunFacts, tools: Tools, *, history_pages: int) -> Survey:
    """Learn who and where this instance is, and which of its disks are meant."""
    with facts.steps.step("identify", "learn who and where this instance is and what it carries"):
        found = survey(tools, history_pages=history_pages)
    facts.identity = found.identity
    facts.cloud_disks = found.disks
    facts.coverage = cover(tools, found, facts.request.selection)
    facts.notes += facts.coverage.vain
    return found


def plan_run(facts: RunFacts, tools: Tools, found: Survey) -> Plan:
    """Make the plan from what was found."""
    coverage = facts.need_coverage()
    flushes, unflushable = flush_plan(coverage)
    plan = make_plan(
        Situation(
            request=facts.request,
            coverage=coverage,
            instance_id=found.identity.instance_id,
            instance=found.instance,
            run_id=facts.run_id,
            now=facts.started,
            flushes=flushes,
            unflushable=unflushable,
            history=found.history,
            busy=tools.busy(),
        )
    )
    facts.plan = plan
    return plan
