"""What the process that makes a hook's snapshot may ask for beyond its limit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from snap_self.model.job_end import BEGUN, DELAYED, THROTTLED, Ending, JobEnd, Longer
from snap_self.system.managers.job import SnapshotJob

AGENT = Path(__file__).resolve().parents[2] / "agent"
PROGRAM = """
import sys, time
sys.path.insert(0, {agent!r})
from snap_self.system.managers.notices import Notices
notices = Notices(int(sys.argv[sys.argv.index("--notices") + 1]))
{body}
"""
PATIENCE_S = 20.0


def run(
    body: str, *, limit_s: float, throttled_s: float = 0.0, spread_s: float = 0.0
) -> tuple[JobEnd, list[tuple[str, float]]]:
    told: list[tuple[str, float]] = []
    longer = Longer(
        throttled_s=throttled_s or limit_s,
        spread_s=spread_s,
        told=lambda word, seconds: told.append((word, seconds)),
    )
    code = PROGRAM.format(agent=str(AGENT), body=body)
    job = SnapshotJob(limit_s, longer)
    ended = job.run((sys.executable, "-c", code), os.environ, tick=lambda: None, tick_s=0.1)
    return ended, told


def test_throttled_process_gets_the_longer_limit() -> None:
    body = "notices.throttled(); time.sleep(4)"
    ended, told = run(body, limit_s=2.5, throttled_s=PATIENCE_S)
    assert (ended.ending, ended.status, ended.throttled) == (Ending.EXITED, 0, True)
    assert told == [(THROTTLED, 0.0)]
    assert ended.pid > 0


def test_process_that_tells_nothing_ends_at_the_usual_limit() -> None:
    ended, _ = run("time.sleep(60)", limit_s=2.5, throttled_s=PATIENCE_S)
    assert (ended.ending, ended.throttled) == (Ending.TIMED_OUT, False)
    assert ended.took_s < 3.5


def test_process_that_stands_still_gets_nothing_more() -> None:
    body = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    ended, _ = run(body, limit_s=2.5, throttled_s=PATIENCE_S)
    assert (ended.ending, ended.took_s < 3.5) == (Ending.TIMED_OUT, True)


def test_longer_limit_is_kept_too() -> None:
    ended, _ = run("notices.throttled(); time.sleep(60)", limit_s=1.0, throttled_s=4.0)
    assert ended.ending is Ending.TIMED_OUT
    assert 2.5 < ended.took_s < 5.0


def test_limit_counts_from_the_end_of_the_delay() -> None:
    body = "notices.delayed(3); time.sleep(3); notices.begun(); time.sleep(60)"
    ended, told = run(body, limit_s=2.0, spread_s=10.0)
    assert ended.ending is Ending.TIMED_OUT
    assert 4.0 < ended.took_s < 6.5
    assert told == [(DELAYED, 3.0), (BEGUN, 0.0)]


def test_what_is_no_notice_is_passed_over() -> None:
    body = "import os; os.write(notices._descriptor, b'nonsense\\nthrottled x\\n\\xff 1\\n')"
    ended, told = run(body, limit_s=PATIENCE_S)
    assert (ended.status, told, ended.throttled) == (0, [], False)


def test_what_listens_no_more_hurts_nobody() -> None:
    body = "import os; os.close(notices._descriptor); notices.throttled(); time.sleep(0.5)"
    assert run(body, limit_s=PATIENCE_S)[0].status == 0


@pytest.mark.parametrize("number", [-1, 0, 1, 2, 9999])
def test_descriptor_that_is_no_pipe_is_left_alone(number: int) -> None:
    ended, _ = run(f"Notices({number}).throttled()", limit_s=PATIENCE_S)
    assert ended.status == 0
