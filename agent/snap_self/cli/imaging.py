"""The command for whoever makes an image of this machine; `app` takes it in.

What it does is imported when it is run: ``--help`` and ``--version`` are not to wait for it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from snap_self.cli.grammar import SETTINGS, App
from snap_self.cli.options import MANNER, Manner
from snap_self.cli.spelling import spelled_out

imaging = App(**SETTINGS)


@imaging.command()
@spelled_out(manner=MANNER)
def reset(
    *,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask. Without a terminal this is needed."),
    ] = False,
    manner: Manner,
) -> int:
    """Forget this instance, before an image is made of the machine.

    The journal and all else in the state directory goes; the configuration stays, and so do the
    snapshots, which `list` finds by their tags. Refused while something goes on that the journal
    tells of. No cloud is asked. Started again after a kill, it does the rest.

    Example: snap-self reset --yes
    """
    from snap_self.cli.reset import run_reset

    return run_reset(manner, yes=yes)
