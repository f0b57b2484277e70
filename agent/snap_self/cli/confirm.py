"""`confirm`: what may be asked for, the use case, rendering, exit status."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from snap_self.cli.asking import refuse_empty
from snap_self.cli.options import Manner
from snap_self.cli.outside import checks_of, outside_of
from snap_self.cli.session import open_session
from snap_self.config.parsers import confirm_within
from snap_self.errors import ExitStatus, RootNeeded, UsageError
from snap_self.output.confirmed import write_confirmed
from snap_self.system.checks import CHECKS, passed_over
from snap_self.usecases.confirming.confirm import UNDECIDED, Confirmed, ConfirmRequest, confirm


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOptions:
    """The options as typed."""

    run: str
    extend: str | None
    check: str | None
    checks: bool
    boot_check: bool = False


def run_confirm(options: ConfirmOptions, manner: Manner) -> int:
    """Call off the rollback that waits, or move it; 100 where nothing tells whether all is well."""
    request = _request(options)
    if os.geteuid():
        raise RootNeeded("confirm writes the journal, which needs root", hint="run it with sudo")
    with open_session(manner) as session:
        confirmed = confirm(session.tools(), outside_of(session), request, checks_of)
        session.end_progress()
        now = session.adapters.clock.now()
    write_confirmed(session.streams, _with_passed_over(confirmed, options), now=now)
    return int(ExitStatus.WEAKER) if confirmed.outcome in UNDECIDED else 0


def _with_passed_over(confirmed: Confirmed, options: ConfirmOptions) -> Confirmed:
    if not options.checks or not (confirmed.checks or confirmed.waiting):
        return confirmed
    notes = (f"{path} was not run: it is not executable" for path in passed_over(CHECKS))
    return replace(confirmed, notes=(*confirmed.notes, *notes))


def _request(options: ConfirmOptions) -> ConfirmRequest:
    refuse_empty(extend=options.extend, check=options.check)
    if options.extend and (options.check or options.checks):
        raise UsageError(
            "--extend confirms nothing, so no check goes with it",
            hint="leave one of them out",
        )
    return ConfirmRequest(
        run=options.run,
        extend_s=confirm_within(options.extend, "--extend") if options.extend else None,
        check=options.check or "",
        checks=options.checks,
        boot_check=options.boot_check,
    )
