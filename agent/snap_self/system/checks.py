"""Runs what tells whether the machine is well: commands, and programs of root's in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from snap_self.model.trust import Distrusted
from snap_self.system.commands import SystemCommands
from snap_self.system.environment import given_environment
from snap_self.system.trust import check_trusted

CHECKS = Path("/etc/snap-self/checks.d")
SHELL = "/bin/sh"
# Of each; the clock outside runs meanwhile.
TIMEOUT_S = 300.0
SAID = 200


def run_checks(
    commands: Sequence[str], folder: Path | None, *, timeout_s: float = TIMEOUT_S
) -> Iterator[tuple[str, str]]:
    """Yield each check's name and what was wrong with it, empty where it succeeded.

    After one that failed no other is run.

    Args:
        commands: for the shell.
        folder: whose programs are run in the order of their names; None for none. What others than
            root can change is not run, and counts as failed.
    """
    for command in commands:
        why = _run([SHELL, "-c", command], timeout_s)
        yield command, why
        if why:
            return
    for path in _programs(folder) if folder else ():
        why = _untrusted(path) or _run([str(path)], timeout_s)
        yield str(path), why
        if why:
            return


def _programs(folder: Path) -> Sequence[Path]:
    """Return the folder's programs; one that cannot be read is a program that fails."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  (a folder that is not there is none)
    except FileNotFoundError:
        return ()
    except OSError:
        return (folder,)
    shown = (folder / name for name in names if not name.startswith(".") and "~" not in name)
    return [path for path in shown if _is_meant(path) or not path.exists()]


def _is_meant(path: Path) -> bool:
    return not path.is_dir() and os.access(path, os.X_OK)


def passed_over(folder: Path) -> tuple[str, ...]:
    """Return the files of the folder that are not run, as nobody may execute them."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  (a folder that is not there is none)
    except OSError:
        return ()  # that it cannot be read is told as a check that fails
    paths = [folder / name for name in names if not name.startswith(".") and "~" not in name]
    return tuple(str(path) for path in paths if path.is_file() and not _is_meant(path))


def _untrusted(path: Path) -> str:
    try:
        check_trusted(str(path), sticky=False)
    except Distrusted as distrusted:
        return f"it is not run: {distrusted.found.why} (mend: {distrusted.found.hint})"
    except OSError as error:
        return f"it cannot be looked at: {error.strerror or error}"
    return "" if path.is_file() else "it is no file"


def _run(argv: Sequence[str], timeout_s: float) -> str:
    try:
        given = given_environment().items()
        env = {os.fsdecode(name): os.fsdecode(value) for name, value in given}
        status, out, err = SystemCommands(env=env).run(argv, timeout_s=timeout_s)
    except TimeoutError:
        return f"it did not end within {timeout_s:g} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror or error}"
    if status == 0:
        return ""
    how = f"ended by signal {-status}" if status < 0 else f"status {status}"
    lines = (err.strip() or out.strip()).split("\n")
    return f"{how}: {lines[-1][:SAID]}" if lines[-1] else how
