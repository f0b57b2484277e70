"""A hook's snapshot that was asked for and not seen to be cut: said so, and looked for again."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.hook_call import RUN_ID, FakeJob, ManagerCall, found_cover, made_report
from snap_self.errors import CloudThrottled
from snap_self.model.job_end import Ending, JobEnd
from snap_self.model.manager_facts import Asked
from snap_self.model.manager_settings import ABORT, ManagerSettings
from snap_self.model.packages import INSTALL, Package, Transaction
from snap_self.output.jsonform import dumps, fault_json

RISKY = Transaction("apt", [Package("libc6", INSTALL, new="2")])
ABORTS = ManagerSettings(on_failure={"apt": ABORT})
THROTTLED = "too many calls in this account"
ERROR = {"code": "cut-not-seen", "message": "not seen", "hint": "look"}
SAID = (
    f"snapshot asked for, but its cut was not seen ({THROTTLED}): s-1; look at it before you rely "
    f"on it: `snap-self show {RUN_ID}`"
)


def asked_report(**changes: Any) -> bytes:
    unseen = {"reason": "throttled", "why": THROTTLED}
    return made_report(**{"result": "asked", "error": ERROR, "unseen": unseen, **changes})


def unseen(status: int = 12, **changes: Any) -> JobEnd:
    return JobEnd(Ending.EXITED, status=status, out=asked_report(**changes), took_s=50.0)


def asking(settings: ManagerSettings | None = None, ended: JobEnd | None = None) -> ManagerCall:
    return ManagerCall(settings=settings or ManagerSettings(), job=FakeJob(ended=ended or unseen()))


def pending(*uncut: str) -> JobEnd:
    said = {"schema": 1, "run": RUN_ID, "serves": False, "pending": True, "uncut": list(uncut)}
    return JobEnd(Ending.EXITED, status=0, out=dumps(said).encode(), took_s=6.0)


REFUSED = JobEnd(
    Ending.EXITED, status=9, out=dumps(fault_json(CloudThrottled("x"))).encode(), took_s=9.0
)


@pytest.mark.parametrize("status", [5, 9, 10, 12])
def test_snapshot_that_was_asked_for_is_said_to_be_just_that(status: int) -> None:
    code, talk = asking(ended=unseen(status)).answer(RISKY)
    assert (code, talk.answers) == (0, ["proceed"])
    assert talk.told[-1] == f"{SAID}. The change goes on"


@pytest.mark.parametrize("status", [5, 9, 10, 12])
def test_snapshot_that_was_asked_for_stops_the_change_where_failures_abort(status: int) -> None:
    code, talk = asking(ABORTS, unseen(status)).answer(RISKY)
    assert (code, talk.answers) == (99, [f"stop: {SAID}"])
    assert talk.told[-1].endswith("apt is told to stop; nothing has been changed so far")


def test_release_upgrade_goes_on_with_a_snapshot_that_was_asked_for() -> None:
    call = asking(ABORTS)
    call.env = {"RELEASE_UPGRADE_IN_PROGRESS": "1"}
    assert call.answer(RISKY)[0] == 0


def test_next_call_of_the_action_asks_for_just_that_one() -> None:
    call = asking(ABORTS)
    call.answer(RISKY)
    code, talk = call.answer(RISKY)
    assert (code, len(call.job.asked)) == (0, 1)
    assert call.job.looked == [(("hook", "covers", RUN_ID, "--json", "--quiet"), 15.0)]
    assert talk.told == [f"no new snapshot: run {RUN_ID} of 0 min ago is part of the same action"]
    assert call.state.calls[-1].asked is None


@pytest.mark.parametrize(
    ("cover", "why"),
    [
        (REFUSED, THROTTLED),
        (pending("s-1"), "the cloud had not made it yet"),
        (JobEnd(Ending.TIMED_OUT, took_s=15.0), "no answer within 15 s"),
    ],
)
@pytest.mark.parametrize(
    ("settings", "status"), [(ManagerSettings(), 0), (ABORTS, 99)], ids=["continue", "abort"]
)
def test_cut_that_is_still_not_seen_is_said_again_and_no_second_snapshot_made(
    cover: JobEnd, why: str, settings: ManagerSettings, status: int
) -> None:
    call = asking(settings)
    call.answer(RISKY)
    call.job.cover = cover
    code, talk = call.answer(RISKY)
    assert (code, len(call.job.asked)) == (status, 1)
    assert f"its cut was not seen ({why}): s-1" in talk.told[-1]
    # Each of forty calls waits for no look of its own; the one after the pause does.
    code, talk = call.answer(RISKY)
    assert (code, len(call.job.looked)) == (status, 1)
    assert "it was looked for 0 s ago, and is again in" in talk.told[-1]
    call.machine.up_s += 600
    call.job.cover = found_cover()
    assert call.answer(RISKY)[0] == 0
    assert (len(call.job.looked), len(call.job.asked)) == (2, 1)


def test_snapshot_that_was_asked_for_and_is_gone_makes_room_for_a_new_one() -> None:
    call = asking()
    call.answer(RISKY)
    call.job.cover = found_cover(serves=False, gone=("s-1",))
    _, talk = call.answer(RISKY)
    assert len(call.job.asked) == 2
    assert "does not serve: no longer there: s-1" in talk.told[0]


def test_made_snapshot_that_cannot_be_looked_for_is_looked_for_again_after_a_pause() -> None:
    call = ManagerCall()
    call.answer(RISKY)
    call.job.cover = REFUSED
    call.answer(RISKY)
    _, talk = call.answer(RISKY)
    assert f"whether it is still there is not known: {THROTTLED}" in talk.told[-1]
    call.machine.up_s += 600
    call.job.cover = found_cover()
    call.answer(RISKY)
    assert (len(call.job.looked), len(call.job.asked)) == (2, 1)


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (JobEnd(Ending.KILLED, took_s=5.0, pid=77), "the process that makes it was killed"),
        (JobEnd(Ending.TIMED_OUT, took_s=60.0, pid=77), "it was not made within 60 s"),
        (JobEnd(Ending.TIMED_OUT, took_s=60.0, pid=77, throttled=True), THROTTLED),
        (JobEnd(Ending.EXITED, status=1, out=b"{}", pid=77), "snap-self ended with status 1"),
    ],
)
def test_what_a_killed_job_had_asked_for_is_read_from_the_journal(ended: JobEnd, why: str) -> None:
    call = asking(ended=ended)
    call.state.journal[77] = Asked(RUN_ID, ("s-1",))
    _, talk = call.answer(RISKY)
    assert call.state.searched == [("/var/lib/snap-self", 77)]
    assert f"snapshot asked for, but its cut was not seen ({why}): s-1" in talk.told[-1]
    call.answer(RISKY)
    assert [options for options, _ in call.job.looked] == [
        ("hook", "covers", RUN_ID, "--json", "--quiet")
    ]


def test_job_that_was_ended_and_reports_names_what_it_asked_for() -> None:
    late = JobEnd(Ending.TIMED_OUT, out=asked_report(), took_s=60.0)
    assert asking(ended=late).answer(RISKY)[1].told[-1] == f"{SAID}. The change goes on"


def test_interruption_names_what_was_asked_for() -> None:
    ended = JobEnd(Ending.SIGNALLED, number=2, out=asked_report())
    code, talk = asking(ended=ended).answer(RISKY)
    assert code == 98
    assert (
        "a snapshot that the cloud was asked for goes on (s-1; `snap-self list`)" in talk.told[-1]
    )


@pytest.mark.parametrize(
    ("status", "code"), [(11, "snapshot-failed"), (9, "cloud-refused"), (13, "lock-held")]
)
def test_failure_of_which_nothing_is_left_is_no_snapshot(status: int, code: str) -> None:
    error = {"code": code, "message": "no", "hint": ""}
    lost = [{"snapshot_id": "s-1", "status": "failed"}]
    out = made_report(result="partial", error=error, snapshots=lost)
    _, talk = asking(ended=JobEnd(Ending.EXITED, status=status, out=out)).answer(RISKY)
    assert talk.told[-1].startswith("NO SNAPSHOT before this change: no.")


def test_set_that_lacks_a_disk_is_no_good_snapshot_and_names_what_there_is() -> None:
    error = {"code": "cloud-refused", "message": "d-2 was refused", "hint": ""}
    shots = [{"snapshot_id": "s-1", "status": "progressing"}]
    out = made_report(result="partial", error=error, snapshots=shots)
    _, talk = asking(ended=JobEnd(Ending.EXITED, status=9, out=out)).answer(RISKY)
    assert talk.told[-1].startswith("NO GOOD SNAPSHOT before this change: d-2 was refused (there")
    assert "s-1" in talk.told[-1]
