"""The commands for whoever watches this machine; `app` takes them in.

What they do is imported when one is run: ``--help`` and ``--version`` are not to wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snap_self.cli.grammar import SETTINGS, App
from snap_self.cli.options import MANNER, SPEECH, Manner
from snap_self.cli.spelling import spelled_out

monitoring = App(**SETTINGS)


@monitoring.command()
@spelled_out(manner=MANNER)
def check(
    *,
    warning: Annotated[
        str | None,
        typer.Option(
            "--warning", "-w", metavar="DURATION", help="Age that is a warning. [default: 7d]"
        ),
    ] = None,
    critical: Annotated[
        str | None,
        typer.Option(
            "--critical", "-c", metavar="DURATION", help="Age that is critical. [default: 14d]"
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level", metavar="LEVEL", help="A weaker snapshot is a warning. [default: crash]"
        ),
    ] = None,
    disk: Annotated[
        str | None,
        typer.Option("--disk", metavar="DISK-ID", help="Look at this disk alone. [all]"),
    ] = None,
    manner: Manner,
) -> int:
    """Tell Nagios and its kin whether this machine is protected.

    Status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, also where the command itself fails. It is judged
    by what snap-self has noted here: the age of each disk's newest good snapshot, changes without
    one, a freeze left behind, failed uploads. Needs no root, no network and no key.

    Example: snap-self check --warning 2d --critical 4d
    """
    from snap_self.cli.check import CheckOptions, run_check

    options = CheckOptions(warning=warning, critical=critical, level=level, disk=disk)
    return run_check(options, manner)


@monitoring.command()
@spelled_out(manner=SPEECH)
def metrics(
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write to FILE, in one step."),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Renew what check and metrics read, and the file of the key metrics.textfile; "
            "print nothing.",
        ),
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", hidden=True)] = False,
    manner: Manner,
) -> int:
    """Print metrics for Prometheus, in its text format.

    They are what snap-self has noted here; the cloud is never asked. As root they are put together
    anew, else they are as old as the last run or snap-self-metrics.timer left them.

    Example: snap-self metrics --output /srv/textfiles/snap-self.prom
    """
    if remove:
        from snap_self.cli.metrics import run_removal

        return run_removal(manner)
    from snap_self.cli.metrics import run_metrics

    return run_metrics(output, manner, refresh=refresh)
