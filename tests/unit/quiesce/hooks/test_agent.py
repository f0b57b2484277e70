"""The agent's side of hooks: what it asks, and what it does when the keeper is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import FakeClock
from fakes.hooks import (
    FACTS,
    FakeHookFiles,
    FakeHookProcesses,
    FakeKeeperLink,
    FakeKeepers,
)
from snap_self.errors import QuiesceFailed
from snap_self.model.hooks import HookOutput, HookResult, OnFailure, StepOutcome
from snap_self.quiesce.hooks.building import Builder
from snap_self.quiesce.hooks.hookset import HookPlaces, HookPorts, Hooks
from snap_self.quiesce.hooks.native import native_steps
from snap_self.quiesce.hooks.wire import Answer, Verb, encode

BEGUN = StepOutcome(begun=True)
SESSION = StepOutcome(begun=True, session=True)
FAILED = StepOutcome(why="ended with status 1", begun=True)


class Bench:
    """Hooks ``/h/a`` and ``/h/b`` over a keeper that answers as given."""

    def __init__(self, *outcomes: StepOutcome | None, on_failure: OnFailure = OnFailure.ABORT):
        self.clock = FakeClock()
        self.link = FakeKeeperLink(*outcomes)
        self.keepers = FakeKeepers(self.link)
        self.processes = FakeHookProcesses(self.clock)
        files = FakeHookFiles(modes={"/h/a": 0o755, "/h/b": 0o755})
        builder = Builder(facts=FACTS, files=files, timeout_s=10.0)
        steps = (*native_steps("/h/a", builder), *native_steps("/h/b", builder))
        ports = HookPorts(
            clock=self.clock,
            files=files,
            keepers=self.keepers,
            processes=lambda: self.processes,
        )
        places = HookPlaces(marker=Path("/m"), state_dir=Path("/s"), hold_s=10.0)
        self.hooks = Hooks(
            tuple(replace(step, on_failure=on_failure) for step in steps),
            ports,
            places,
            run_id="run-7",
        )
        self.a, self.b = self.hooks.quiescers

    def start(self) -> None:
        """Start the first hook."""
        self.a.start(deadline=self.clock.monotonic() + 30)

    def verbs(self) -> list[Verb]:
        """Return what was asked of the keeper."""
        return [request.verb for request in self.link.requests]


def test_keeper_is_started_once_and_told_the_plan_first() -> None:
    bench = Bench()
    assert bench.keepers.count == 0
    bench.start()
    bench.b.start(deadline=bench.clock.monotonic() + 30)
    assert bench.keepers.count == 1
    (plan,) = bench.link.plans
    assert (plan.run_id, plan.marker, plan.thaw_wait_s, plan.state_dir) == ("run-7", "/m", 15, "/s")
    assert [step.name for step in plan.steps] == ["hook a", "hook b"]


def test_start_passes_on_the_time_that_is_left() -> None:
    bench = Bench()
    bench.start()
    assert bench.link.requests[0].limit_s == 30


def test_start_without_time_left_is_refused_before_anything_is_run() -> None:
    bench = Bench()
    with pytest.raises(QuiesceFailed, match="no time was left"):
        bench.a.start(deadline=bench.clock.monotonic())
    assert bench.keepers.count == 0
    assert bench.a.stop() == ""


def test_keeper_that_cannot_be_started_is_a_failure_with_nothing_to_stop() -> None:
    bench = Bench()
    bench.keepers.link = None
    with pytest.raises(QuiesceFailed, match="cannot be started"):
        bench.start()
    assert bench.a.stop() == ""
    assert bench.processes.run == []


def test_hook_that_fails_is_stopped_before_the_failure_is_told() -> None:
    bench = Bench(FAILED)
    with pytest.raises(QuiesceFailed) as caught:
        bench.start()
    assert caught.value.message == "hook a: ended with status 1"
    assert bench.verbs() == [Verb.START, Verb.STOP]


@pytest.mark.parametrize("at", ["send", "receive"])
def test_interrupt_in_the_release_of_a_hook_that_failed_leaves_it_due(at: str) -> None:
    bench = Bench(FAILED)
    interrupted = bench.link.interrupt_at(at, place=1)
    with pytest.raises(KeyboardInterrupt):
        bench.start()
    assert interrupted == [at]
    assert bench.a.stop() == ""
    assert bench.verbs()[-1] is Verb.STOP


def test_interrupt_before_the_keeper_is_replaced_leaves_the_post_part_due() -> None:
    bench = Bench(BEGUN, None)
    bench.start()
    bench.link.interrupt_at("kill", place=0)
    with pytest.raises(KeyboardInterrupt):
        bench.a.stop()
    assert bench.a.stop() == ""
    assert bench.processes.run == ["/h/a post"]


def test_hook_that_fails_twice_tells_both() -> None:
    bench = Bench(FAILED, StepOutcome(why="stuck"))
    with pytest.raises(QuiesceFailed, match="ended with status 1; then its release: stuck"):
        bench.start()


def test_hook_that_was_not_begun_is_not_stopped() -> None:
    bench = Bench(StepOutcome(why="is not executable", hint="chmod"))
    with pytest.raises(QuiesceFailed) as caught:
        bench.start()
    assert caught.value.hint == "chmod"
    assert bench.verbs() == [Verb.START]


def test_failure_that_may_be_continued_is_told_by_check_and_stopped_later() -> None:
    bench = Bench(FAILED, on_failure=OnFailure.GO_ON)
    bench.start()
    assert bench.a.check() == "ended with status 1"
    assert bench.a.stop() == ""
    assert bench.verbs() == [Verb.START, Verb.STOP]


def test_refusal_that_may_be_continued_is_told_by_check_and_not_stopped() -> None:
    bench = Bench(StepOutcome(why="is not executable"), on_failure=OnFailure.GO_ON)
    bench.start()
    assert bench.a.check() == "is not executable"
    assert bench.a.stop() == ""
    assert bench.verbs() == [Verb.START]


def test_check_passes_on_what_the_keeper_says() -> None:
    bench = Bench(BEGUN, SESSION, StepOutcome(), StepOutcome(why="its session ended"))
    bench.start()
    bench.b.start(deadline=bench.clock.monotonic() + 30)
    assert (bench.a.check(), bench.b.check()) == ("", "its session ended")


def test_hook_that_is_no_session_stays_at_rest_without_the_keeper() -> None:
    bench = Bench(BEGUN, None)
    bench.start()
    assert (bench.a.check(), bench.a.check()) == ("", "")
    assert bench.link.dead


def test_stop_tells_the_result_and_is_done_once() -> None:
    bench = Bench()
    bench.start()
    bench.hooks.say_result(HookResult.CUT)
    assert [bench.a.stop(), bench.a.stop()] == ["", ""]
    assert bench.verbs() == [Verb.START, Verb.STOP]
    assert bench.link.requests[-1].result is HookResult.CUT


def test_hook_that_was_never_started_has_nothing_to_stop() -> None:
    bench = Bench()
    assert (bench.a.stop(), bench.a.check()) == ("", "it was not started")


def test_keeper_that_dies_in_a_start_has_its_hook_killed_and_posted_here() -> None:
    bench = Bench(None)
    bench.link.first = [encode(Answer(number=1, pid=77))]
    with pytest.raises(QuiesceFailed, match="hook a: the keeper of hooks was killed"):
        bench.start()
    assert bench.processes.strangers == [(77, "SNAP_SELF_RUN=run-7")]
    assert bench.processes.run == ["/h/a post"]


def test_keeper_that_dies_at_rest_has_the_post_part_run_here() -> None:
    bench = Bench(BEGUN, None)
    bench.start()
    assert bench.a.stop() == ""
    assert bench.processes.run == ["/h/a post"]
    assert bench.processes.strangers == []


def test_keeper_that_dies_takes_its_sessions_and_check_says_so() -> None:
    bench = Bench(SESSION, None)
    bench.start()
    assert "which ended its session" in bench.a.check()
    assert "which ended its session" in bench.a.check()
    assert bench.a.stop() == ""
    assert bench.processes.run == ["/h/a post"]


def test_no_hook_is_started_once_the_keeper_is_gone() -> None:
    bench = Bench(SESSION, None)
    bench.start()
    bench.a.check()
    with pytest.raises(QuiesceFailed, match="hook b was not started"):
        bench.b.start(deadline=bench.clock.monotonic() + 30)
    assert bench.keepers.count == 1


def test_answer_to_an_interrupted_request_is_passed_over() -> None:
    bench = Bench()
    bench.link.first = [encode(Answer(number=99, outcome=FAILED))]
    bench.start()
    assert bench.a.check() == ""


def test_outputs_are_kept_each_phase_once_the_later_one_winning() -> None:
    said = [HookOutput(name="hook a", phase="pre", text=text) for text in ("x", "xy")]
    after = HookOutput(name="hook a", phase="post", text="z")
    bench = Bench(replace(BEGUN, outputs=(said[0],)), StepOutcome(outputs=(said[1], after)))
    bench.start()
    bench.a.stop()
    assert [each.text for each in bench.hooks.outputs] == ["xy", "z"]


def test_close_ends_the_keeper_and_may_be_called_again() -> None:
    bench = Bench()
    bench.start()
    bench.a.stop()
    bench.hooks.close()
    bench.hooks.close()
    assert bench.link.closed
    assert bench.verbs()[-1] is Verb.END
