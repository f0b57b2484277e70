"""`snap-self config check`: the configuration looked at, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snap_self.cli.console import console
from snap_self.cli.grammar import App
from snap_self.cli.options import MANNER, Manner
from snap_self.cli.spelling import spelled_out

config_app = App(
    name="config",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@config_app.callback(invoke_without_command=True)
def group(context: typer.Context) -> int:
    """The configuration of this machine.

    Example: snap-self config check
    """
    if context.invoked_subcommand is None:
        console().data(*context.get_help().split("\n"))
        return 2
    return 0


@config_app.command()
@spelled_out(manner=MANNER)
def check(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="This file alone, wherever it lies.  [default: all that there is]",
            show_default=False,
        ),
    ] = None,
    manner: Manner,
) -> int:
    """Check the configuration, and tell every fault of it.

    Each with file, line and key, and with what the key takes; then the status is 3. Neither root
    nor the network is needed. A FILE is read as one of /etc/snap-self/conf.d is, without the others
    and the environment, so that it can be checked before it is put there.

    Example: snap-self config check 50-fleet.toml
    """
    import os

    from snap_self.cli.session import streams_of
    from snap_self.cli.wiring import config_sources
    from snap_self.output.configuration import write_checked
    from snap_self.usecases.config_check import check_config

    checked = check_config(config_sources(os.environ), file and file.absolute())
    write_checked(streams_of(manner), checked)
    return int(checked.fault.exit_status) if checked.fault else 0
