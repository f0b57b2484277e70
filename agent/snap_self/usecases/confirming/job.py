"""The main job with a rollback armed at its end: nothing may be begun before that."""

from __future__ import annotations

from dataclasses import replace

from snap_self.errors import RollbackNotArmed, RollbackNotCalledOff
from snap_self.model.command import MADE
from snap_self.model.report import ErrorReport, Report, StepReport
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.plan import arm_step
from snap_self.usecases.confirming.arming import Outside, Wish, arm, refuse_second
from snap_self.usecases.job.steps import DONE
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Tools


def take_armed(request: Request, tools: Tools, outside: Outside | None) -> Report:
    """Do the main job, and arm a rollback if one is asked for; a failure of it is in the report.

    Args:
        outside: None where none is asked for.

    Raises:
        RollbackGoesOn: another rollback goes on; nothing was made.
        ApiFault, CloudUnreachable: whether one does cannot be seen; nothing was made.
    """
    within_s = request.confirm_within_s
    if within_s is None or outside is None:
        return take_snapshot(request, tools)
    passed = refuse_second(tools, outside, but_waiting=request.reuse_s is not None)
    report = take_snapshot(request, tools)
    if report.exit_status not in MADE or report.run_id is None or report.identity is None:
        return report
    # A signal meanwhile is to tell that something may wait.
    tools.cut_short(replace(report, arming=True))
    earlier = [each for each in passed if each.run == report.run_id]
    wish = Wish(run_id=report.run_id, within_s=within_s, check=request.check, earlier=earlier)
    began, result = tools.clock.monotonic(), DONE
    try:
        report = replace(report, armed=arm(tools, outside, report.identity, wish))
    except (RollbackNotArmed, RollbackNotCalledOff) as error:
        result = f"failed: {error.code}"
        report = replace(
            report,
            result=Result.PARTIAL,
            exit_status=error.exit_status,
            error=ErrorReport.of(error),
        )
    step, seconds = arm_step(within_s), round(tools.clock.monotonic() - began, 3)
    done = StepReport(name=step.name.value, reason=step.sentence, seconds=seconds, result=result)
    report = replace(report, steps=(*report.steps, done))
    tools.cut_short(report)
    return report
