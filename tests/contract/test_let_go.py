"""Children that are left to themselves, with real processes."""

from __future__ import annotations

import os
import subprocess
import warnings

import pytest

from snap_self.system.let_go import let_go, take_note


def child(command: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", command], stdin=stdin)


def ended(process: subprocess.Popen[bytes]) -> None:
    """Return when a child is a zombie."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def is_child(process: subprocess.Popen[bytes]) -> bool:
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


@pytest.mark.parametrize("by_the_next", [False, True])
def test_one_that_has_ended_stays_no_zombie(by_the_next: bool) -> None:
    first, last = child("exit 3"), child("read line", subprocess.PIPE)
    let_go(first)
    ended(first)
    assert is_child(first)
    if by_the_next:
        let_go(last)
    else:
        take_note()
        let_go(last)
    assert not is_child(first)
    # One that goes on is not waited for.
    take_note()
    assert is_child(last)
    assert last.stdin is not None
    last.stdin.close()
    ended(last)
    take_note()
    assert not is_child(last)


def test_end_that_somebody_else_took_note_of_is_no_fault() -> None:
    process = child("exit 0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        let_go(process)
    os.waitpid(process.pid, 0)
    take_note()
    take_note()
