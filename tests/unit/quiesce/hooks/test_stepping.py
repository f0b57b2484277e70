"""One hook's start and stop: attempts, limits, sessions, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fakes.clock import FakeClock
from fakes.hooks import FACTS, FakeHookFiles, FakeHookProcesses, Script
from snap_self.model.hooks import HookResult, HookStep
from snap_self.quiesce.hooks.building import Builder
from snap_self.quiesce.hooks.native import native_steps
from snap_self.quiesce.hooks.stepping import StepRunner

HOOK = "/h/app"


class Bench:
    """A runner over fakes, and one native hook whose programs behave as given."""

    def __init__(self, *scripts: Script) -> None:
        self.clock = FakeClock()
        self.files = FakeHookFiles(modes={HOOK: 0o755})
        self.processes = FakeHookProcesses(self.clock, {HOOK: scripts})
        self.started: list[int] = []
        self.runner = StepRunner(
            self.processes, self.files, self.clock, on_started=self.started.append
        )
        builder = Builder(facts=FACTS, files=self.files, timeout_s=10.0)
        (self.step,) = native_steps(HOOK, builder)


def starts(bench: Bench) -> Sequence[str]:
    return [argument.rpartition(" ")[2] for argument in bench.processes.run]


def test_hook_that_succeeds_is_begun_and_no_session() -> None:
    bench = Bench(Script(seconds=0.3, output="done\n"))
    outcome = bench.runner.start(bench.step, 30)
    assert (outcome.why, outcome.begun, outcome.session) == ("", True, False)
    assert [each.text for each in outcome.outputs] == ["done\n"]
    assert bench.started == [101]


@pytest.mark.parametrize(
    ("status", "why"), [(2, "ended with status 2"), (-15, "was ended by signal 15")]
)
def test_hook_that_fails_says_how(status: int, why: str) -> None:
    bench = Bench(Script(status=status))
    outcome = bench.runner.start(bench.step, 30)
    assert (outcome.why, outcome.begun) == (why, True)


def test_retries_end_with_the_first_success() -> None:
    bench = Bench(Script(status=1, output="1"), Script(status=1, output="2"), Script(output="3"))
    outcome = bench.runner.start(replace(bench.step, retries=5), 30)
    assert (outcome.why, starts(bench)) == ("", ["pre"] * 3)
    assert [each.text for each in outcome.outputs] == ["123"]


def test_retries_end_when_there_are_no_more() -> None:
    bench = Bench(*[Script(status=1)] * 9)
    outcome = bench.runner.start(replace(bench.step, retries=2), 30)
    assert (outcome.why, len(starts(bench))) == ("ended with status 1", 3)


def test_retries_end_when_there_is_no_time_left() -> None:
    bench = Bench(*[Script(status=1, seconds=4)] * 9)
    outcome = bench.runner.start(replace(bench.step, retries=8), 10)
    assert len(starts(bench)) == 3
    assert "did not end" in outcome.why


def test_hook_at_its_limit_is_killed_and_not_tried_again() -> None:
    bench = Bench(Script(seconds=99))
    outcome = bench.runner.start(replace(bench.step, retries=5), 60)
    assert outcome.why.startswith("did not end within 10 s and was killed")
    assert (bench.processes.killed, len(starts(bench))) == ([HOOK], 1)


def test_hook_that_is_given_up_is_killed() -> None:
    bench = Bench(Script(seconds=99))
    gone = iter([False, False, True])
    outcome = bench.runner.start(bench.step, 60, give_up=lambda: next(gone))
    assert outcome.why == "was interrupted and killed"
    assert bench.processes.killed == [HOOK]


def test_session_is_known_by_ready_and_checked() -> None:
    bench = Bench(Script(ready_s=1, holds=True))
    outcome = bench.runner.start(bench.step, 30)
    assert (outcome.why, outcome.session) == ("", True)
    assert bench.runner.check(bench.step) == ""


def test_session_that_ended_is_told_by_check() -> None:
    bench = Bench(Script(ready_s=0, seconds=3))
    bench.runner.start(bench.step, 30)
    bench.clock.advance(5)
    assert bench.runner.check(bench.step) == "its session ended before it was released"


def test_hook_that_says_ready_and_leaves_is_a_failure() -> None:
    bench = Bench(Script(ready_s=0, seconds=0))
    assert bench.runner.start(bench.step, 30).why == "said READY, but did not stay"


def test_session_is_released_before_its_post_part_is_run() -> None:
    bench = Bench(Script(ready_s=0, seconds=1, holds=True, status=0))
    bench.runner.start(bench.step, 30)
    assert bench.runner.stop(bench.step, HookResult.CUT).why == ""
    assert starts(bench) == ["pre", "post"]
    assert bench.processes.killed == []


def test_session_that_fails_at_its_release_is_told() -> None:
    bench = Bench(Script(ready_s=0, holds=True, seconds=1, status=6))
    bench.runner.start(bench.step, 30)
    assert bench.runner.stop(bench.step, HookResult.CUT).why == "its session ended with status 6"


def test_session_that_does_not_end_is_killed_and_posted() -> None:
    bench = Bench(Script(ready_s=0, holds=True, seconds=999))
    bench.runner.start(bench.step, 30)
    assert "did not end within 10 s of its release; killed" in (
        bench.runner.stop(bench.step, HookResult.CUT).why
    )
    assert bench.processes.killed == [HOOK]
    assert starts(bench) == ["pre", "post"]


@pytest.mark.parametrize("result", list(HookResult))
def test_post_is_told_the_result(result: HookResult) -> None:
    bench = Bench()
    bench.runner.start(bench.step, 30)
    bench.runner.stop(bench.step, result)
    pre, post = bench.processes.commands
    assert "SNAP_SELF_RESULT" not in pre.env
    assert post.env["SNAP_SELF_RESULT"] == result.value


def test_post_is_tried_again_and_its_faults_are_told() -> None:
    bench = Bench(Script(), Script(status=3), Script(status=4))
    step = replace(bench.step, stop_retries=1)
    bench.runner.start(step, 30)
    assert bench.runner.stop(step, HookResult.CUT).why == "ended with status 4"


def test_stop_gives_every_process_back() -> None:
    bench = Bench()
    bench.runner.start(bench.step, 30)
    bench.runner.stop(bench.step, HookResult.CUT)
    assert bench.processes.forgotten == [101, 102]


def test_post_says_what_a_pre_part_printed_late() -> None:
    bench = Bench(Script(output="pre said"), Script(output="post said"))
    bench.runner.start(bench.step, 30)
    outcome = bench.runner.stop(bench.step, HookResult.CUT)
    assert [(each.phase, each.text) for each in outcome.outputs] == [
        ("pre", "pre said"),
        ("post", "post said"),
    ]


def test_hook_that_may_not_be_run_is_not_begun() -> None:
    bench = Bench()
    bench.files.modes[HOOK] = 0o777
    outcome = bench.runner.start(bench.step, 30)
    assert "can be changed by others" in outcome.why
    assert outcome.hint == f"chmod go-w {HOOK}"
    assert (outcome.begun, bench.processes.commands) == (False, [])


def test_hook_whose_post_part_may_not_be_run_is_not_begun() -> None:
    bench = Bench()
    assert bench.step.stop is not None
    step: HookStep = replace(bench.step, stop=replace(bench.step.stop, script="/h/missing"))
    outcome = bench.runner.start(step, 30)
    assert outcome.why.startswith("/h/missing: ")
    assert (outcome.begun, bench.processes.commands) == (False, [])


def test_step_with_a_fault_says_it() -> None:
    bench = Bench()
    step = replace(bench.step, start=None, stop=None, fault="half a pair", hint="give both")
    outcome = bench.runner.start(step, 30)
    assert (outcome.why, outcome.hint, outcome.begun) == ("half a pair", "give both", False)


def test_post_part_that_became_changeable_is_not_run() -> None:
    bench = Bench()
    bench.runner.start(bench.step, 30)
    bench.files.owners[HOOK] = 1000
    assert "belongs to user id 1000" in bench.runner.stop(bench.step, HookResult.CUT).why
    assert starts(bench) == ["pre"]
