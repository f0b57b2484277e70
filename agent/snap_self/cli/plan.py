"""`plan` and `--dry-run`: what the main job would do."""

from __future__ import annotations

from pathlib import Path

from snap_self.cli.options import Manner, Typed
from snap_self.cli.requesting import make_request
from snap_self.cli.session import open_session
from snap_self.output.report import write_report
from snap_self.usecases.job.planning import plan_snapshot


def run_plan(typed: Typed, manner: Manner, *, recorded: Path | None, offline: bool) -> int:
    """Show the plan, of this machine or of a recorded one.

    Args:
        offline: the recording also tells what the cloud says; else the cloud is asked.
    """
    with open_session(manner) as session:
        request = make_request(typed, session.config)
        if recorded is None:
            tools = session.tools()
        else:
            from snap_self.cli.recorded import recorded_tools, simulated_tools

            tools = (recorded_tools if offline else simulated_tools)(session.adapters, recorded)
        report = plan_snapshot(request, tools)
    write_report(session.streams, report)
    return int(report.exit_status)
