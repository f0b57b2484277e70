"""The process's entry."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line and end the process with its exit status."""
    from snap_self.cli.boundary import run_bounded

    raise SystemExit(run_bounded(_command, sys.argv[1:]))


def _command(arguments: Sequence[str]) -> int:
    from snap_self.cli.app import run_app

    return run_app(arguments)
