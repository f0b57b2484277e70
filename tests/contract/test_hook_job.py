"""The process that makes a hook's snapshot: its ends, its limit, and what is left of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snap_self.model.job_end import Ending, JobEnd
from snap_self.system.managers.job import SnapshotJob
from snap_self.system.managers.outside import ManagerOutside

AGENT = Path(__file__).resolve().parents[2] / "agent"
PATIENCE_S = 20.0


def run(*argv: str, limit_s: float = PATIENCE_S, tick: Callable[[], None] = lambda: None) -> JobEnd:
    return SnapshotJob(limit_s).run(argv, dict(os.environ), tick=tick, tick_s=0.05)


def shell(script: str, limit_s: float = PATIENCE_S) -> JobEnd:
    return run("/bin/sh", "-c", script, limit_s=limit_s)


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("status", [0, 1, 12, 20, 100, 125, 255])
def test_exit_status_and_both_streams_are_returned(status: int) -> None:
    ended = shell(f"echo out; echo err >&2; exit {status}")
    assert (ended.ending, ended.status) == (Ending.EXITED, status)
    assert (ended.out, ended.err) == (b"out\n", b"err\n")
    assert 0 < ended.took_s < PATIENCE_S


def test_standard_input_is_empty() -> None:
    assert run("/bin/cat").status == 0


def test_program_that_is_not_there_is_not_started() -> None:
    ended = run("/nonexistent/snap-self")
    assert (ended.ending, ended.err) == (Ending.NOT_STARTED, b"No such file or directory")


def test_process_that_somebody_killed_is_told() -> None:
    assert shell("kill -KILL $$").ending is Ending.KILLED


def test_output_of_megabytes_is_taken_whole() -> None:
    code = "import sys; sys.stdout.write('x' * 3_000_000); sys.stderr.write('y' * 3_000_000)"
    ended = run(sys.executable, "-c", code)
    assert (ended.status, len(ended.out), len(ended.err)) == (0, 3_000_000, 64 << 10)


def test_ticks_come_while_it_runs_and_a_failing_one_stops_nothing() -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        raise BrokenPipeError

    assert run("/bin/sleep", "0.5", tick=tick).status == 0
    assert len(ticks) > 2


def test_process_at_the_limit_is_asked_to_end() -> None:
    ended = shell("trap 'echo ended; exit 143' TERM; while :; do sleep 0.05; done", limit_s=2)
    assert (ended.ending, ended.out) == (Ending.TIMED_OUT, b"ended\n")
    assert ended.took_s < 2


def test_process_that_does_not_heed_is_killed_with_all_it_started(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 99 & echo $! >{tmp_path}/pid; wait; sleep 99"
    ended = shell(script, limit_s=1.5)
    assert ended.ending is Ending.TIMED_OUT
    assert ended.took_s < 2
    child = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_running(child))


def test_snapshot_that_was_made_just_before_the_limit_counts() -> None:
    assert shell("trap 'exit 0' TERM; while :; do sleep 0.05; done", limit_s=2).status == 0


def test_child_that_keeps_the_pipes_open_does_not_hold_the_change_up() -> None:
    code = (
        "import subprocess, sys; print(subprocess.Popen(['/bin/sleep', '99'], "
        "start_new_session=True).pid)"
    )
    ended = run(sys.executable, "-c", code)
    os.kill(int(ended.out), signal.SIGKILL)
    assert ended.status == 0


def test_open_descriptors_do_not_reach_the_process() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    ended = shell("ls /proc/self/fd")
    os.close(reading)
    os.close(writing)
    assert str(writing) not in ended.out.decode().split()


def test_process_has_a_session_of_its_own() -> None:
    code = "import os; print(os.getsid(0) == os.getpid())"
    assert run(sys.executable, "-c", code).out == b"True\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("times", [1, 2])
def test_signal_to_the_hook_ends_the_process_and_is_told(number: int, times: int) -> None:
    # The main job undoes nothing on SIGQUIT, so it gets another one.
    passed_on = signal.SIGTERM if number == signal.SIGQUIT else number
    handle = f"trap 'echo got; exit 1' {int(passed_on)}"
    script = f"{handle}; echo; while :; do sleep 0.05; done"
    threading.Timer(0.5, lambda: [os.kill(os.getpid(), number) for _ in range(times)]).start()
    before = signal.getsignal(number)
    ended = shell(script)
    assert (ended.ending, ended.number, ended.out) == (Ending.SIGNALLED, number, b"\ngot\n")
    assert signal.getsignal(number) == before


def test_signal_that_is_not_heeded_ends_the_process_after_a_grace() -> None:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    ended = shell("trap '' INT; sleep 99 & wait; sleep 99")
    assert (ended.ending, ended.number) == (Ending.SIGNALLED, signal.SIGINT)
    assert ended.took_s < 6


def test_hook_that_is_killed_leaves_a_process_that_ends_by_its_own_limit(tmp_path: Path) -> None:
    code = f"""
        import sys
        sys.path.insert(0, {str(AGENT)!r})
        from snap_self.system.managers.job import SnapshotJob
        job = ["/bin/sh", "-c", "echo $$ >{tmp_path}/pid; sleep 0.5; echo >{tmp_path}/done"]
        SnapshotJob(60).run(job, {{}}, tick=lambda: None, tick_s=9)
    """
    hook = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    wait_for((tmp_path / "pid").exists)
    hook.kill()
    hook.wait()
    wait_for((tmp_path / "done").exists)


def test_program_that_is_asked_answers() -> None:
    assert ManagerOutside().ask(["/bin/sh", "-c", "echo yes; echo no >&2"], limit_s=9) == "yes\n"


@pytest.mark.parametrize(
    "argv", [["/nonexistent/x"], ["/bin/false"], ["/bin/sh", "-c", "echo x; kill -9 $$"]]
)
def test_program_that_fails_gives_no_answer(argv: list[str]) -> None:
    assert ManagerOutside().ask(argv, limit_s=9) is None


def test_program_that_takes_too_long_is_killed() -> None:
    begun = time.monotonic()
    assert ManagerOutside().ask(["/bin/sleep", "99"], limit_s=0.2) is None
    assert time.monotonic() - begun < PATIENCE_S


def test_program_that_closes_its_output_and_stays_is_killed_too() -> None:
    begun = time.monotonic()
    argv = ["/bin/sh", "-c", "exec sleep 99 >&-"]
    assert ManagerOutside().ask(argv, limit_s=0.2) is None
    assert time.monotonic() - begun < PATIENCE_S
