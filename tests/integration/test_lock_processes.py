"""The run lock between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.clock import FakeClock
from snap_self.errors import LockHeld
from snap_self.system.clock import SystemClock
from snap_self.system.state.lock import FileLock

AGENT = Path(__file__).resolve().parents[2] / "agent"

HOLDER = """
import os, subprocess, sys
from pathlib import Path
from snap_self.system.clock import SystemClock
from snap_self.system.state.lock import FileLock

lock = FileLock(Path(sys.argv[1]), SystemClock())
with lock.hold(timeout_s=20, purpose="before os upgrade"):
    if sys.argv[2] == "program":
        # Like a change command that outlives the agent; it must not inherit the lock.
        left = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid
    elif sys.argv[2] == "fork":
        left = os.fork()
        if left == 0:
            os.close(1)
            sys.stdin.read()
            os._exit(0)
    else:
        left = 0
    print(left, flush=True)
    if sys.argv[2] != "fork":
        sys.stdin.readline()
print("released", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holder(state: Path, kind: str = "plain") -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(AGENT), "PATH": os.environ.get("PATH", "")},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def left_behind(process: subprocess.Popen[str]) -> int:
    """Wait until it holds the lock; return the process it started, or 0."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def is_free(state: Path) -> bool:
    with FileLock(state, FakeClock()).attempt(purpose="probe") as held:
        return held


def test_second_process_is_told_of_the_first(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        left_behind(first)
        with (
            pytest.raises(LockHeld, match=f"process {first.pid}, 'before os upgrade', since 20"),
            FileLock(tmp_path, SystemClock()).hold(timeout_s=0, purpose="b"),
        ):
            pass


def test_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        left_behind(first)
        assert not is_free(tmp_path)
        first.kill()
        first.wait()
        assert is_free(tmp_path)


def test_program_that_outlives_a_killed_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path, "program") as first:
        program = left_behind(first)
        try:
            first.kill()
            first.wait()
            os.kill(program, 0)
            assert is_free(tmp_path)
        finally:
            os.kill(program, 9)


def test_forked_child_does_not_keep_the_lock_after_the_release(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as first:
        child = left_behind(first)
        assert first.stdout is not None
        assert first.stdout.readline() == "released\n"
        os.kill(child, 0)
        assert is_free(tmp_path)


def test_waiting_process_goes_on_when_the_holder_ends(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        left_behind(first)
        with holder(tmp_path) as second:
            assert first.stdin is not None
            first.stdin.write("\n")
            first.stdin.flush()
            left_behind(second)
            assert not is_free(tmp_path)
