"""The process's entry."""

from __future__ import annotations

import gc
import os
import sys

from snap_self.system.environment import clean_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# Imports and answers make many objects that stay and hardly any rings. Looking through them after
# every 700 new ones, as is the default, is a tenth of a command's processor time.
GC_AFTER = 100_000


def main() -> None:
    """Run the command line and end the process with its exit status."""
    clean_environment()
    gc.set_threshold(GC_AFTER)
    if sys.argv[1:2] == ["hook"]:
        _answer_package_manager(sys.argv[2:])
    early = _note_signals()
    from snap_self.cli.boundary import run_bounded
    from snap_self.cli.invocation import note_start
    from snap_self.system.cores import CORE_LIMIT

    CORE_LIMIT.forbid()

    note_start(sys.argv[1:], _program)
    status = run_bounded(_command, sys.argv[1:], early=early)
    end(status)


def _note_signals() -> list[int]:
    """Have signals noted until somebody is there to tell of them: imports may take a while.

    The second of a kind ends the process at once.
    """
    import signal

    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        noted.append(number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
            signal.signal(number, note)
    return noted


def end(status: int) -> None:
    """End the process.

    A call that was given up goes on in a thread. The interpreter would wait for one of a pool's,
    and be taken apart under any other: OpenSSL would free its tables while that one uses them, a
    segmentation fault, as a slow machine showed.
    """
    import threading

    if threading.active_count() > 1:
        _end_at_once(status)
    # Or the interpreter looks through all of them, several times, as it ends.
    gc.freeze()
    raise SystemExit(status)


def _end_at_once(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(status)


def _program() -> object:
    from snap_self.cli.app import program

    return program()


def _command(arguments: Sequence[str]) -> int:
    from snap_self.cli.app import run_app

    return run_app(arguments)


def _answer_package_manager(arguments: Sequence[str]) -> None:
    """End the process as a hook, if the first argument is a hook's name; every change waits."""
    from snap_self.model.packages import find_hook

    hook = find_hook(arguments[0]) if arguments else None
    if hook is None:
        return
    from snap_self.cli.manager_hook import run_manager_hook

    # Taking the interpreter apart would cost another millisecond.
    _end_at_once(run_manager_hook(hook, arguments[1:]))
