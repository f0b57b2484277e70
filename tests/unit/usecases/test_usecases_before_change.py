"""A call of a hook from the announcement to the answer."""

from __future__ import annotations

import pytest

from fakes.hook_call import RUN_ID, FakeHookMachine, FakeJob, HookCall, made_report
from snap_self.errors import CloudRefused
from snap_self.model.hook_facts import JobEnd
from snap_self.model.hook_settings import ABORT, HookSettings
from snap_self.model.packages import MANAGERS, UPGRADE, Package, Transaction
from snap_self.output.jsonform import dumps, fault_json

RISKY = Transaction("apt", [Package("libc6", UPGRADE, old="1", new="2")])
HARMLESS = Transaction("apt", [Package("hello", UPGRADE, old="1", new="2")])
ABORTS = HookSettings(on_failure=dict.fromkeys(MANAGERS, ABORT))
REFUSED = JobEnd(9, out=dumps(fault_json(CloudRefused("no", hint="allow it"))).encode(), took_s=2.0)


def failing(end: JobEnd = REFUSED, **more: object) -> HookCall:
    return HookCall(job=FakeJob(ended=end), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("announced", [HARMLESS, None])
def test_harmless_change_goes_on_and_nothing_is_read_or_said(announced: Transaction | None) -> None:
    call = HookCall()
    status, talk = call.answer(announced)
    assert (status, talk.answers, talk.told) == (0, ["proceed"], [])
    assert (call.machine.read, call.job.asked, call.state.calls) == (0, [], [])


def test_risky_change_waits_for_a_snapshot_named_after_it() -> None:
    call = HookCall()
    status, talk = call.answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    (asked,) = call.job.asked
    assert asked == {
        "--before": "apt: upgrade libc6",
        "--wait": "cut",
        "--timeout": "55s",
        "--reuse": "1800s",
        "--json": "",
        "--quiet": "",
    }
    assert "taking a snapshot first, for at most 60 s (C library: libc6)" in talk.told[0]
    assert f"s-1 (run {RUN_ID}" in talk.told[1]
    assert talk.kept_alive == 1


def test_nothing_that_a_terminal_would_obey_is_said() -> None:
    hostile = Package("libsystemd-\x1b[2J\u202e\udcff", UPGRADE, old="1", new="2")
    _, talk = HookCall().answer(Transaction("apt", [hostile]))
    assert "libsystemd-?[2J??" in talk.told[0]
    assert all(line.isprintable() for line in talk.told)


def test_packages_are_written_down_beside_the_run() -> None:
    call = HookCall(settings=HookSettings(state_dir="/state"))
    call.answer(RISKY)
    assert call.state.logged == [("/state", RUN_ID, RISKY)]


def test_state_directory_of_the_environment_wins() -> None:
    call = HookCall(env={"SNAP_SELF_STATE_DIR": "/other"})
    call.answer(RISKY)
    assert call.state.logged[0][0] == "/other"


def test_manager_that_is_not_enabled_is_answered_and_left_alone() -> None:
    call = HookCall(settings=HookSettings(enabled=("dnf",)))
    assert call.answer(RISKY)[1].answers == ["proceed"]
    assert call.job.asked == []


def test_second_call_of_the_same_action_makes_none_and_names_the_first() -> None:
    call = HookCall()
    call.answer(RISKY)
    call.machine.up_s += 600
    status, talk = call.answer(RISKY)
    assert (status, len(call.job.asked)) == (0, 1)
    assert talk.told == [f"no new snapshot: run {RUN_ID} of 10 min ago is part of the same action"]
    assert [run for _, run, _ in call.state.logged] == [RUN_ID, RUN_ID]


def test_ten_calls_of_one_action_make_one_snapshot() -> None:
    call = HookCall()
    for _ in range(10):
        call.answer(RISKY)
    assert len(call.job.asked) == 1


def test_snapshot_that_came_to_nothing_covers_no_further_call() -> None:
    call = HookCall()
    call.answer(RISKY)
    call.state.useless[RUN_ID] = "failed, and of no use: s-1"
    _, talk = call.answer(RISKY)
    assert len(call.job.asked) == 2
    assert talk.told[0] == (
        f"the snapshot of run {RUN_ID} does not serve: failed, and of no use: s-1"
    )


def test_package_that_always_gets_its_own_is_not_covered_and_reuses_none() -> None:
    call = HookCall(settings=HookSettings(always=("libc6",)))
    call.answer(RISKY)
    call.answer(RISKY)
    assert [asked["--reuse"] for asked in call.job.asked] == ["off", "off"]


def test_reuse_may_be_off() -> None:
    call = HookCall(settings=HookSettings(reuse_s=None))
    call.answer(RISKY)
    assert call.job.asked[0]["--reuse"] == "off"


def test_failure_is_said_loudly_and_the_change_goes_on() -> None:
    status, talk = failing().answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    assert talk.told[-1] == (
        "NO SNAPSHOT before this change: no; allow it. The change goes on without one"
    )


def test_failure_with_abort_stops_the_change_with_the_reason() -> None:
    status, talk = failing(settings=ABORTS).answer(RISKY)
    assert (status, talk.answers) == (125, ["stop: no snapshot: no; allow it"])
    assert "The change is stopped; nothing has been changed" in talk.told[-1]


def test_release_upgrade_is_never_stopped() -> None:
    call = failing(settings=ABORTS, env={"RELEASE_UPGRADE_IN_PROGRESS": "1"})
    status, talk = call.answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    assert "NO SNAPSHOT" in talk.told[-1]


def test_failure_does_not_cover_the_next_call_of_the_action() -> None:
    call = failing(settings=ABORTS)
    call.answer(RISKY)
    status, talk = call.answer(RISKY)
    assert (status, len(call.job.asked)) == (125, 1)
    assert "making one failed 0 s ago (no; allow it); it is tried again in 61 s" in talk.told[-1]
    call.machine.up_s += 61
    call.job.ended = FakeJob().ended
    assert call.answer(RISKY)[0] == 0
    assert len(call.job.asked) == 2


def test_filesystem_that_may_be_frozen_stops_even_where_failures_are_continued_from() -> None:
    status, talk = failing(JobEnd(20, out=made_report())).answer(RISKY)
    assert (status, talk.answers[0][:5]) == (125, "stop:")


def test_snapshot_that_is_less_than_asked_serves_and_is_told() -> None:
    level = {"asked": "filesystem", "reached": "flush", "why": "/ is never frozen"}
    call = failing(JobEnd(100, out=made_report(consistency=level)))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    assert talk.told[-1].endswith("but less than asked: / is never frozen")
    call.answer(RISKY)
    assert len(call.job.asked) == 1


def test_success_without_a_report_is_a_failure() -> None:
    assert failing(JobEnd(0, out=b""), settings=ABORTS).answer(RISKY)[0] == 125


@pytest.mark.parametrize("number", [2, 15, 1])
def test_interruption_is_passed_on_whatever_the_policy(number: int) -> None:
    call = failing(JobEnd("signalled", number=number))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers, call.state.calls) == (128 + number, [], [])


def test_what_cannot_be_read_gets_a_snapshot() -> None:
    call = HookCall()
    status, talk = call.answer(ValueError("version 9"))
    assert status == 0
    assert call.job.asked[0]["--before"] == "apt: a change that could not be read"
    assert "version 9" in talk.told[0]


def test_container_gets_no_snapshot_and_no_word() -> None:
    call = HookCall(machine=FakeHookMachine(container="/.dockerenv"))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers, talk.told, call.job.asked) == (0, ["proceed"], [], [])


def test_change_told_to_be_skipped_is_skipped_with_a_word() -> None:
    call = HookCall()
    status, talk = call.answer(Transaction("apt", RISKY.packages, skip="told to by SnapSelf::Skip"))
    assert (status, call.job.asked) == (0, [])
    assert talk.told == ["no snapshot before this risky change: told to by SnapSelf::Skip"]


def test_moment_until_which_none_is_wanted_counts() -> None:
    call = HookCall()
    call.state.until = 61.0
    call.answer(RISKY)
    assert call.job.asked == []


@pytest.mark.parametrize(
    ("settings_s", "guard", "stopping", "limit_s"),
    [(60, "", False, 60), (60, "35", False, 30), (30, "65", False, 30), (300, "", True, 20)],
)
def test_limit_is_the_least_of_those_that_hold(
    settings_s: int, guard: str, stopping: bool, limit_s: float
) -> None:
    call = HookCall(
        settings=HookSettings(limit_s=settings_s),
        machine=FakeHookMachine(stopping=stopping),
        env={"SNAP_SELF_HOOK_LIMIT": guard},
    )
    call.answer(RISKY)
    assert call.job.limits == [limit_s]
