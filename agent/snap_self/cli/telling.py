"""The commands by which others are told of this machine; `app` takes them in.

What they do is imported when one is run: ``--help`` and ``--version`` are not to wait for it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from snap_self.cli.grammar import SETTINGS, App
from snap_self.cli.options import MANNER, Manner
from snap_self.cli.spelling import spelled_out

telling = App(**SETTINGS)


@telling.command()
@spelled_out(manner=MANNER)
def notify(
    *,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to all that are configured.")
    ] = False,
    occurrences: Annotated[bool, typer.Option("--occurrences", hidden=True)] = False,
    manner: Manner,
) -> int:
    """Try whether the people whom the configuration names can be told.

    The ping URL, the robot and the command under [notify] each get a test message, whatever they
    are told of otherwise and however short ago the last one was. Status 4 tells that one did not
    get it, and which.

    Example: sudo snap-self notify --test
    """
    if occurrences:
        from snap_self.cli.notify import run_notifier

        return run_notifier()
    from snap_self.cli.notify import run_notify_test

    return run_notify_test(manner, test=test)
