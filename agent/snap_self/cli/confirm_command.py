"""`confirm` as it is typed; what it does is imported when it is run."""

from __future__ import annotations

from typing import Annotated

import typer

from snap_self.cli.options import MANNER, Manner
from snap_self.cli.spelling import spelled_out


@spelled_out(manner=MANNER)
def confirm(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Only what goes back to that run.")
    ] = "",
    *,
    extend: Annotated[
        str | None,
        typer.Option("--extend", metavar="DURATION", help="Wait for so long from now instead."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="CMD", help="Confirm only if this command succeeds."),
    ] = None,
    checks: Annotated[
        bool,
        typer.Option(
            "--checks", help="Only if the run's own and those in /etc/snap-self/checks.d succeed."
        ),
    ] = False,
    manner: Manner,
) -> int:
    """Say that all is well, so that the machine is not rolled back.

    What --confirm-within armed is cancelled, and seen to have ended before it stopped anything;
    else the status is 22. With --checks nothing is asked unless the journal knows of one.

    Example: snap-self confirm
    """
    from snap_self.cli.confirm import ConfirmOptions, run_confirm

    options = ConfirmOptions(run=run, extend=extend, check=check, checks=checks)
    return run_confirm(options, manner)
