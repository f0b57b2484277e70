"""A call of a hook from the announcement to the answer."""

from __future__ import annotations

import pytest

from fakes.hook_call import (
    RUN_ID,
    FakeConversation,
    FakeJob,
    FakeManagerMachine,
    ManagerCall,
    found_cover,
    made_report,
)
from snap_self.errors import CloudRefused, CloudUnreachable
from snap_self.model.job_end import Ending, JobEnd
from snap_self.model.manager_facts import Asked
from snap_self.model.manager_settings import ABORT, ManagerSettings
from snap_self.model.packages import (
    INSTALL,
    MANAGERS,
    REHEARSAL,
    UPGRADE,
    Package,
    Transaction,
)
from snap_self.output.jsonform import dumps, fault_json

RISKY = Transaction("apt", [Package("libc6", UPGRADE, old="1", new="2")])
HARMLESS = Transaction("apt", [Package("hello", UPGRADE, old="1", new="2")])
ABORTS = ManagerSettings(on_failure=dict.fromkeys(MANAGERS, ABORT))
REFUSED = JobEnd(
    Ending.EXITED,
    status=9,
    out=dumps(fault_json(CloudRefused("no", hint="allow it"))).encode(),
    took_s=2.0,
)


def failing(end: JobEnd = REFUSED, **more: object) -> ManagerCall:
    return ManagerCall(job=FakeJob(ended=end), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("announced", [HARMLESS, None])
def test_harmless_change_goes_on_and_nothing_is_read_or_said(announced: Transaction | None) -> None:
    call = ManagerCall()
    status, talk = call.answer(announced)
    assert (status, talk.answers, talk.told) == (0, ["proceed"], [])
    assert (call.machine.read, call.job.asked, call.state.calls) == (0, [], [])


def test_risky_change_waits_for_a_snapshot_named_after_it() -> None:
    call = ManagerCall()
    status, talk = call.answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    (asked,) = call.job.asked
    assert asked == {
        "--before": "apt: upgrade libc6",
        "--wait": "cut",
        "--timeout": "55s",
        "--reuse": "1800s",
        "--change-of": call.machine.ancestors()[0].key,
        "--trigger": "apt",
        "--json": "",
        "--quiet": "",
        "--waited-for": "",
    }
    assert "taking a snapshot first, for at most 60 s (C library: libc6)" in talk.told[0]
    assert talk.told[1:] == ["snapshot made: s-1", f"to go back: snap-self show {RUN_ID}"]
    assert talk.kept_alive == 1


def test_nothing_that_a_terminal_would_obey_is_said() -> None:
    hostile = Package("libsystemd-\x1b[2J\u202e\udcff", UPGRADE, old="1", new="2")
    _, talk = ManagerCall().answer(Transaction("apt", [hostile]))
    assert r"libsystemd-\x1b[2J\u202e\xff" in talk.told[0]
    assert all(line.isprintable() for line in talk.told)


def test_packages_are_written_down_beside_the_run() -> None:
    call = ManagerCall(settings=ManagerSettings(state_dir="/state"))
    call.answer(RISKY)
    assert call.state.logged == [("/state", RUN_ID, RISKY)]


def test_state_directory_of_the_environment_wins() -> None:
    call = ManagerCall(env={"SNAP_SELF_STATE_DIR": "/other"})
    call.answer(RISKY)
    assert call.state.logged[0][0] == "/other"


def test_manager_that_is_not_enabled_is_answered_and_left_alone() -> None:
    call = ManagerCall(settings=ManagerSettings(enabled=("dnf",)))
    assert call.answer(RISKY)[1].answers == ["proceed"]
    assert call.job.asked == []


def test_second_call_of_the_same_action_makes_none_and_names_the_first() -> None:
    call = ManagerCall()
    call.answer(RISKY)
    call.machine.up_s += 600
    status, talk = call.answer(RISKY)
    assert (status, len(call.job.asked)) == (0, 1)
    assert talk.told == [f"no new snapshot: run {RUN_ID} of 10 min ago is part of the same action"]
    assert [run for _, run, _ in call.state.logged] == [RUN_ID, RUN_ID]


def test_ten_calls_of_one_action_make_one_snapshot() -> None:
    call = ManagerCall()
    for _ in range(10):
        call.answer(RISKY)
    assert len(call.job.asked) == 1


def test_earlier_snapshot_of_the_action_is_asked_for_before_it_is_claimed() -> None:
    call = ManagerCall()
    call.answer(RISKY)
    assert call.job.looked == []
    call.answer(RISKY)
    assert call.job.looked == [(("hook", "covers", RUN_ID, "--json", "--quiet"), 15.0)]


def test_snapshot_that_is_no_longer_there_covers_no_further_call() -> None:
    call = ManagerCall()
    call.answer(RISKY)
    call.job.cover = found_cover(serves=False, gone=("s-1",))
    _, talk = call.answer(RISKY)
    assert len(call.job.asked) == 2
    assert talk.told[0] == (
        f"the snapshot of run {RUN_ID} of 0 min ago does not serve: no longer there: s-1"
    )


UNASKED = JobEnd(
    Ending.EXITED,
    status=10,
    out=dumps(fault_json(CloudUnreachable("nobody answers", hint="wait"))).encode(),
    took_s=1.0,
)


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (UNASKED, "nobody answers; wait"),
        (JobEnd(Ending.TIMED_OUT, took_s=15.0), "no answer within 15 s"),
        (JobEnd(Ending.EXITED, status=0, out=b"{}"), "snap-self ended with status 0"),
    ],
)
@pytest.mark.parametrize(
    ("settings", "status"), [(ManagerSettings(), 0), (ABORTS, 99)], ids=["continue", "abort"]
)
def test_snapshot_that_cannot_be_asked_for_is_not_claimed(
    ended: JobEnd, why: str, settings: ManagerSettings, status: int
) -> None:
    call = ManagerCall(settings=settings)
    call.answer(RISKY)
    call.job.cover = ended
    code, talk = call.answer(RISKY)
    assert (code, len(call.job.asked)) == (status, 1)
    assert "NO SNAPSHOT" not in talk.told[-1]
    assert f"look at it before you rely on it: `snap-self show {RUN_ID}`" in talk.told[-1]
    assert f"whether it is still there is not known: {why}" in talk.told[-1]
    # The cloud is not asked for it by each of forty calls.
    call.answer(RISKY)
    assert len(call.job.looked) == 1


def test_interruption_while_the_earlier_snapshot_is_asked_for_ends_the_change() -> None:
    call = ManagerCall()
    call.answer(RISKY)
    call.job.cover = JobEnd(Ending.SIGNALLED, number=2)
    assert call.answer(RISKY)[0] == 98


def test_package_that_always_gets_its_own_is_not_covered_and_reuses_none() -> None:
    call = ManagerCall(settings=ManagerSettings(always=("libc6",)))
    call.answer(RISKY)
    call.answer(RISKY)
    assert [asked["--reuse"] for asked in call.job.asked] == ["off", "off"]


def test_reuse_may_be_off() -> None:
    call = ManagerCall(settings=ManagerSettings(reuse_s=None))
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
    assert (status, talk.answers) == (99, ["stop: no snapshot: no; allow it"])
    assert talk.told[-1].endswith("apt is told to stop; nothing has been changed so far")


def test_manager_that_cannot_be_stopped_is_not_said_to_be() -> None:
    conversation = FakeConversation(RISKY)
    conversation.can_veto = False
    failing(settings=ABORTS).answer_in(conversation)
    assert conversation.told[-1].endswith("apt cannot be stopped; nothing has been changed so far")


def test_release_upgrade_is_never_stopped() -> None:
    call = failing(settings=ABORTS, env={"RELEASE_UPGRADE_IN_PROGRESS": "1"})
    status, talk = call.answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    assert "NO SNAPSHOT" in talk.told[-1]


def test_empty_variable_is_no_release_upgrade_and_the_change_is_stopped() -> None:
    call = failing(settings=ABORTS, env={"RELEASE_UPGRADE_IN_PROGRESS": ""})
    status, talk = call.answer(RISKY)
    assert (status, len(talk.answers)) == (99, 1)
    assert talk.answers[0].startswith("stop")


def test_failure_does_not_cover_the_next_call_of_the_action() -> None:
    call = failing(settings=ABORTS)
    call.answer(RISKY)
    status, talk = call.answer(RISKY)
    assert (status, len(call.job.asked)) == (99, 1)
    assert "the last try failed 0 s ago (no; allow it); it is tried again in 61 s" in talk.told[-1]
    call.machine.up_s += 61
    call.job.ended = FakeJob().ended
    assert call.answer(RISKY)[0] == 0
    assert len(call.job.asked) == 2


def test_filesystem_that_may_be_frozen_stops_even_where_failures_are_continued_from() -> None:
    status, talk = failing(JobEnd(Ending.EXITED, status=20, out=made_report())).answer(RISKY)
    assert (status, talk.answers[0][:5]) == (99, "stop:")


def test_snapshot_that_is_less_than_asked_serves_and_is_told() -> None:
    level = {"asked": "filesystem", "reached": "flush", "why": "/ is never frozen"}
    call = failing(JobEnd(Ending.EXITED, status=100, out=made_report(consistency=level)))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers) == (0, ["proceed"])
    assert talk.told[-2].endswith("but less than asked: / is never frozen")
    call.answer(RISKY)
    assert len(call.job.asked) == 1


@pytest.mark.parametrize("status", [0, 100])
def test_snapshot_without_what_the_change_writes_to_is_told_with_it(status: int) -> None:
    out = made_report(not_covered=[{"what": "/usr"}, {"what": "/mnt/nas"}])
    call = failing(JobEnd(Ending.EXITED, status=status, out=out), settings=ABORTS)
    call.machine.mounted = (("/", "ext4"), ("/boot", "ext4"))
    code, talk = call.answer(RISKY)
    assert (code, talk.answers) == (0, ["proceed"])
    assert talk.told[-3:-1] == ["snapshot made: s-1", "Not in the snapshot: /usr, /boot"]


def test_upload_that_goes_on_is_told_as_a_reboot_would_spoil_it() -> None:
    out = made_report(watch={"held": False, "until": None, "why": "logind does not run here"})
    _, talk = failing(JobEnd(Ending.EXITED, status=0, out=out)).answer(RISKY)
    assert talk.told[-1] == "no stop or reboot before it is uploaded: snap-self list"


def test_partial_snapshot_is_told_and_never_stops_the_change() -> None:
    gap = {"what": "/srv/old", "left_out": True}
    out = made_report(result="partial", not_covered=[gap])
    call = failing(JobEnd(Ending.EXITED, status=101, out=out), settings=ABORTS)
    code, talk = call.answer(RISKY)
    assert (code, talk.answers) == (0, ["proceed"])
    made, lacks, _ = talk.told[-3:]
    assert (made, lacks) == ("snapshot made: s-1", "Not in the snapshot: /srv/old")


REHEARSED = Transaction("apt", [Package(REHEARSAL, INSTALL, new="1")])


@pytest.mark.parametrize(
    ("announced", "whole"),
    [
        (REHEARSED, True),
        (Transaction("apt", REHEARSED.packages, truncated=True), False),
        (ValueError("nothing is told"), False),
    ],
)
def test_rehearsal_ends_in_the_hook_with_a_note_and_no_snapshot(
    announced: Transaction | ValueError, whole: bool
) -> None:
    call = ManagerCall()
    call.state.rehearses = "40:1"
    status, talk = call.answer(announced)
    assert (status, talk.answers, call.job.asked) == (99, ["stop: a rehearsal"], [])
    assert call.state.rehearsed == [("/stage", "", whole)]


def test_rehearsal_notes_why_a_change_would_get_no_snapshot() -> None:
    call = ManagerCall()
    call.state.rehearses = "40:1"
    call.answer(Transaction("apt", REHEARSED.packages, skip="told to by SnapSelf::Skip"))
    assert call.state.rehearsed == [("/stage", "told to by SnapSelf::Skip", True)]


def test_hook_that_is_switched_off_goes_on_in_a_rehearsal_too() -> None:
    call = ManagerCall(settings=ManagerSettings(enabled=()))
    call.state.rehearses = "40:1"
    status, talk = call.answer(REHEARSED)
    assert (status, talk.answers, call.state.rehearsed) == (0, ["proceed"], [])


def test_package_of_a_rehearsals_name_without_a_rehearsal_gets_a_snapshot() -> None:
    call = ManagerCall()
    assert call.answer(REHEARSED)[0] == 0
    assert len(call.job.asked) == 1


def test_success_without_a_report_is_a_failure() -> None:
    assert failing(JobEnd(Ending.EXITED, status=0), settings=ABORTS).answer(RISKY)[0] == 99


@pytest.mark.parametrize("number", [2, 15, 1])
def test_interruption_is_passed_on_whatever_the_policy(number: int) -> None:
    call = failing(JobEnd(Ending.SIGNALLED, number=number))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers, call.state.calls) == (98, [], [])
    # The change is known to be not made, and the run tells of its own end.
    assert (call.bare, call.broken_off) == ([], [])
    assert talk.told[-1] == (
        "interrupted; a snapshot that the cloud was asked for goes on (`snap-self list`); "
        "the change is not made"
    )


@pytest.mark.parametrize("orphaned", [True, False])
def test_interruption_says_nothing_of_a_change_that_it_does_not_end(orphaned: bool) -> None:
    call = failing(JobEnd(Ending.SIGNALLED, number=15))
    call.job.orphans = call.machine if orphaned else None
    conversation = FakeConversation(RISKY)
    conversation.ends_interrupted = orphaned
    assert call.answer_in(conversation) == 98
    assert conversation.told[-1].endswith("goes on (`snap-self list`)")
    assert (call.bare, call.broken_off) == ([], [("apt", "", ())])


def test_interruption_tells_who_watches_what_was_asked_for() -> None:
    call = failing(JobEnd(Ending.SIGNALLED, number=15, pid=77))
    call.state.journal[77] = Asked(RUN_ID, ["s-1", "s-2"])
    conversation = FakeConversation(RISKY)
    conversation.ends_interrupted = False
    assert call.answer_in(conversation) == 98
    assert call.broken_off == [("apt", RUN_ID, ("s-1", "s-2"))]


def test_what_cannot_be_read_gets_a_snapshot() -> None:
    call = ManagerCall()
    status, talk = call.answer(ValueError("version 9"))
    assert status == 0
    assert call.job.asked[0]["--before"] == "apt: a change that could not be read"
    assert "version 9" in talk.told[0]


def test_container_gets_no_snapshot_and_no_word() -> None:
    call = ManagerCall(machine=FakeManagerMachine(container="/.dockerenv", sure=True))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers, talk.told, call.job.asked) == (0, ["proceed"], [], [])


def test_one_mark_of_a_container_switches_nothing_off_in_silence() -> None:
    call = ManagerCall(machine=FakeManagerMachine(container="/.dockerenv"))
    status, talk = call.answer(RISKY)
    assert (status, talk.answers, call.job.asked) == (0, ["proceed"], [])
    assert talk.told == ["no snapshot before this risky change: inside a container (/.dockerenv)"]


def test_change_told_to_be_skipped_is_skipped_with_a_word() -> None:
    call = ManagerCall()
    status, talk = call.answer(Transaction("apt", RISKY.packages, skip="told to by SnapSelf::Skip"))
    assert (status, call.job.asked) == (0, [])
    assert talk.told == ["no snapshot before this risky change: told to by SnapSelf::Skip"]


def test_moment_until_which_none_is_wanted_counts() -> None:
    call = ManagerCall()
    call.state.until = 61.0
    call.answer(RISKY)
    assert call.job.asked == []


@pytest.mark.parametrize(
    ("settings_s", "guard", "stopping", "limit_s"),
    [
        (60, "", False, 60),
        (60, "35", False, 30),
        (30, "65", False, 30),
        (300, "", True, 20),
        (60, "5", False, 2.5),
    ],
)
def test_limit_is_the_least_of_those_that_hold(
    settings_s: int, guard: str, stopping: bool, limit_s: float
) -> None:
    call = ManagerCall(
        settings=ManagerSettings(limit_s=settings_s),
        machine=FakeManagerMachine(stopping=stopping),
        env={"SNAP_SELF_HOOK_LIMIT": guard},
    )
    call.answer(RISKY)
    assert call.job.limits == [limit_s]
