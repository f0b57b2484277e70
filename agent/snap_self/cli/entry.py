"""The process's entry."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

# Imports and answers make many objects that stay and hardly any rings. Looking through them after
# every 700 new ones, as is the default, is a tenth of a command's processor time.
GC_AFTER = 100_000


def main() -> None:
    """Run the command line and end the process with its exit status."""
    gc.set_threshold(GC_AFTER)
    from snap_self.cli.boundary import run_bounded

    status = run_bounded(_command, sys.argv[1:])
    # Or the interpreter looks through all of them, several times, as it ends.
    gc.freeze()
    raise SystemExit(status)


def _command(arguments: Sequence[str]) -> int:
    from snap_self.cli.app import run_app

    return run_app(arguments)
