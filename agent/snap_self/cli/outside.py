"""OOS and the checks, wired for what waits for a confirmation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from snap_self.cli.connecting import connect_oos
from snap_self.cli.session import Session
from snap_self.cloud.executions import OosExecutions
from snap_self.model.executions import Waiting
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.system.checks import CHECKS, run_checks
from snap_self.system.rollback_files import template
from snap_self.system.state.left import may_be_half_way
from snap_self.usecases.confirming.arming import Outside
from snap_self.usecases.confirming.confirm import CheckResult, ConfirmRequest, confirm
from snap_self.usecases.confirming.job import take_armed
from snap_self.usecases.tools import Tools


def outside_of(session: Session) -> Outside:
    """Return how OOS is reached; its template is read now."""
    settings = session.config.rollback
    return Outside(
        executions=lambda identity: OosExecutions(connect_oos(session.adapters, identity)),
        content="" if settings.stored_template else template(),
        role=settings.role,
        half_way=partial(may_be_half_way, session.config.state.dir),
    )


def checks_of(commands: Sequence[str], *, folder: bool) -> tuple[CheckResult, ...]:
    """Run the commands, and with the flag the programs of the folder, until one fails."""
    return tuple(_results(commands, CHECKS if folder else None))


def _results(commands: Sequence[str], folder: Path | None) -> Iterator[CheckResult]:
    for name, why in run_checks(commands, folder):
        yield CheckResult(name=name, why=why)


class Confirmer:
    """Implement ``usecases.run_command.Confirming``."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def take(self, request: Request, tools: Tools) -> Report:
        """Do the main job and arm."""
        return take_armed(request, tools, self._outside)

    def confirm(self, tools: Tools, armed: Waiting, check: str) -> None:
        """Run the check, and call the rollback off."""
        request = ConfirmRequest(run=armed.run, check=check)
        confirm(tools, self._outside, request, checks_of)
