"""The keeper's service, and what it does when the agent is gone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fakes.clock import FakeClock
from fakes.hooks import FACTS, FakeHookFiles, FakeHookProcesses, FakeSeat, Script
from fakes.journal import FakeJournal
from snap_self.model.hooks import HookResult, HookStep, StepOutcome
from snap_self.quiesce.hooks.aftermath import FACTS as NOTED
from snap_self.quiesce.hooks.aftermath import interrupted_hooks
from snap_self.quiesce.hooks.building import Builder
from snap_self.quiesce.hooks.keeper import Keeper, KeeperTools
from snap_self.quiesce.hooks.native import native_steps
from snap_self.quiesce.hooks.stepping import StepRunner
from snap_self.quiesce.hooks.wire import (
    Answer,
    KeeperPlan,
    Request,
    Verb,
    WireFault,
    decode,
    encode,
)

START, CHECK, STOP = Verb.START, Verb.CHECK, Verb.STOP


class Bench:
    """A keeper over fakes with two hooks, ``/h/a`` and ``/h/b``; its agent asks and is gone."""

    def __init__(self, *asked: tuple[Verb, int], scripts: Mapping[str, Script] | None = None):
        self.clock = FakeClock()
        self.files = FakeHookFiles(modes={"/h/a": 0o755, "/h/b": 0o755})
        self.processes = FakeHookProcesses(
            self.clock, {path: [script] for path, script in (scripts or {}).items()}
        )
        builder = Builder(facts=FACTS, files=self.files, timeout_s=10.0)
        self.steps: tuple[HookStep, ...] = (
            *native_steps("/h/a", builder),
            *native_steps("/h/b", builder),
        )
        self.seat = FakeSeat(
            *(
                encode(Request(number=number, verb=verb, index=index, limit_s=30.0))
                for number, (verb, index) in enumerate(asked, start=1)
            )
        )
        self.frozen_looks = 0
        self.notes: list[Mapping[str, str]] = []

    def serve(self) -> list[Answer]:
        """Serve to the end; return the outcomes told."""
        plan = KeeperPlan(
            run_id="run-7",
            steps=self.steps,
            marker="/m",
            thaw_wait_s=15.0,
            silence_s=9.0,
            state_dir="/s",
        )
        tools = KeeperTools(
            seat=self.seat,
            processes=self.processes,
            clock=self.clock,
            frozen=self._frozen,
            note=self.notes.append,
        )
        started: list[int] = []
        runner = StepRunner(
            self.processes,
            self.files,
            self.clock,
            on_started=lambda pid: (keepers[0].tell_started(pid), started.append(pid))[1],
        )
        keepers = [Keeper(plan, runner, tools)]
        keepers[0].serve()
        told = [decode(Answer, line) for line in self.seat.told]
        assert [each.pid for each in told if each.outcome is None] == started[: len(told)]
        return [each for each in told if each.outcome is not None]

    def _frozen(self) -> bool:
        self.frozen_looks -= 1
        return self.frozen_looks >= 0


def test_requests_are_answered_by_their_numbers() -> None:
    bench = Bench((START, 0), (CHECK, 0), (STOP, 0))
    assert [each.number for each in bench.serve()] == [1, 2, 3]
    assert bench.processes.run == ["/h/a pre", "/h/a post"]
    assert bench.notes == []


def test_agent_gone_before_anything_leaves_nothing_to_do() -> None:
    bench = Bench()
    bench.serve()
    assert (bench.processes.run, bench.notes) == ([], [])


def test_agent_gone_has_what_is_due_posted_in_reverse_and_noted() -> None:
    bench = Bench((START, 0), (START, 1))
    bench.serve()
    assert bench.processes.run[2:] == ["/h/b post", "/h/a post"]
    assert {each.env["SNAP_SELF_RESULT"] for each in bench.processes.commands[2:]} == {
        "interrupted"
    }
    assert bench.notes == [{"run": "run-7", "hook b": "", "hook a": ""}]
    assert not bench.processes.watching


def test_hook_that_failed_is_due_all_the_same() -> None:
    bench = Bench((START, 0), scripts={"/h/a": Script(status=1)})
    (answer,) = bench.serve()
    assert answer.outcome is not None
    assert answer.outcome.why == "ended with status 1"
    assert bench.processes.run == ["/h/a pre", "/h/a post"]


def test_hook_that_was_refused_is_not_due() -> None:
    bench = Bench((START, 0))
    bench.files.owners["/h/a"] = 1000
    bench.serve()
    assert (bench.processes.run, bench.notes) == ([], [])


def test_hook_that_runs_when_the_agent_goes_is_ended_and_posted() -> None:
    bench = Bench((START, 0), scripts={"/h/a": Script(seconds=20)})
    bench.serve()
    assert bench.processes.killed == ["/h/a"]
    assert bench.processes.run == ["/h/a pre", "/h/a post"]


def test_post_parts_wait_for_the_thaw() -> None:
    bench = Bench((START, 0))
    bench.frozen_looks = 5
    begun_s = bench.clock.monotonic()
    bench.serve()
    assert bench.frozen_looks < 0
    assert bench.clock.monotonic() > begun_s
    assert bench.processes.run[-1] == "/h/a post"


def test_thaw_that_never_comes_is_waited_for_only_so_long() -> None:
    bench = Bench((START, 0))
    bench.frozen_looks = 10**9
    begun_s = bench.clock.monotonic()
    bench.serve()
    assert 15 <= bench.clock.monotonic() - begun_s < 16
    assert bench.processes.run[-1] == "/h/a post"


def test_hook_is_posted_once_however_often_its_stop_is_asked_for() -> None:
    bench = Bench((START, 0), (STOP, 0), (STOP, 0))
    bench.serve()
    assert bench.processes.run == ["/h/a pre", "/h/a post"]


def test_end_with_something_due_posts_it() -> None:
    bench = Bench((START, 0), (Verb.END, 0))
    bench.serve()
    assert bench.processes.run == ["/h/a pre", "/h/a post"]


def silent(bench: Bench, *, looks: int) -> list[str]:
    """Serve an agent that is silent for so many looks of 0.05 s after its first request."""
    take = bench.seat.take

    def taken() -> str:
        bench.seat.hides = looks
        return take()

    bench.seat.take = taken  # type: ignore[method-assign]
    return [each.outcome.why for each in bench.serve() if each.outcome is not None]


def test_agent_silent_after_the_thaw_has_its_hooks_released_and_is_told() -> None:
    bench = Bench((START, 0), (CHECK, 0), (STOP, 0), (Verb.END, 0))
    bench.frozen_looks = 20
    told = "it was released, since nothing was heard of the agent any more"
    assert silent(bench, looks=250) == ["", told, told]
    assert bench.processes.run == ["/h/a pre", "/h/a post"]
    assert bench.notes == []


def test_agent_silent_and_then_killed_has_it_noted() -> None:
    bench = Bench((START, 0))
    bench.frozen_looks = 20
    silent(bench, looks=250)
    assert bench.notes == [{"run": "run-7", "hook a": ""}]


def test_agent_may_be_silent_while_frozen() -> None:
    bench = Bench((START, 0), (CHECK, 0), (STOP, 0))
    bench.frozen_looks = 400
    assert silent(bench, looks=250) == ["", "", ""]


def test_agent_may_be_silent_for_minutes_before_the_freeze_but_not_for_ever() -> None:
    short, long = (Bench((START, 0), (CHECK, 0), (STOP, 0)) for _ in range(2))
    assert silent(short, looks=5900) == ["", "", ""]
    assert silent(long, looks=6100)[1].startswith("it was released")


def test_line_that_is_no_request_counts_as_the_agents_end() -> None:
    bench = Bench((START, 0))
    bench.seat.asked.append("{")
    bench.serve()
    assert bench.processes.run[-1] == "/h/a post"


def test_note_is_told_once_to_the_next_command() -> None:
    journal = FakeJournal()
    journal.remember(NOTED, {"run": "run-7", "hook b": "ended with status 2", "hook a": ""})
    found = interrupted_hooks(journal)
    assert found is not None
    assert found.hooks == (("hook b", "ended with status 2"), ("hook a", ""))
    assert found.sentence().endswith("afterwards: hook b: ended with status 2, hook a")
    assert interrupted_hooks(journal) is None


@pytest.mark.parametrize(
    "value",
    [
        Request(number=3, verb=STOP, index=2, limit_s=1.5, result=HookResult.CUT),
        Answer(number=1, pid=77),
        Answer(number=1, outcome=StepOutcome(why="no", begun=True, seconds=0.25)),
        KeeperPlan(
            run_id="r",
            steps=Bench().steps,
            marker="/m",
            thaw_wait_s=1.0,
            silence_s=1.0,
            state_dir="/s",
        ),
    ],
    ids=["request", "started", "outcome", "plan"],
)
def test_what_is_said_comes_out_as_it_went_in(value: Request | Answer | KeeperPlan) -> None:
    line = encode(value)
    assert "\n" not in line
    assert decode(type(value), line) == value


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"number": "1", "verb": "stop"}'])
def test_what_cannot_have_been_said_is_a_fault(line: str) -> None:
    with pytest.raises(WireFault):
        decode(Request, line)
