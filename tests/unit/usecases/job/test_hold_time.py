"""How long a hold may last: what the call gets of it, and what an answer is worth that is late."""

from __future__ import annotations

from dataclasses import replace
from errno import EBUSY, EIO
from threading import Event
from typing import Any

import pytest

from fakes.hold_stage import CUT, HELD, MADE, NOW_NS, NS, ORDER, SYNCED, App, Stage
from fakes.rpc import no_answer, refusal
from snap_self.errors import CloudThrottled, QuiesceFailed, ThawFailed
from snap_self.model.ids import DiskId
from snap_self.quiesce.freeze.wire import Cause, Kind, Message

# Nobody waits so long unless the code under test is wrong.
STUCK_S = 2.0
GONE = b""


class LateAnswer:
    """A create call that is answered only when something else was done."""

    def __init__(self) -> None:
        self.due = Event()
        self.came_when_due = False

    def __call__(self) -> Any:
        self.came_when_due = self.due.wait(STUCK_S)
        return MADE


def late_until_thaw(**given: Any) -> tuple[Stage, LateAnswer]:
    """Return a hold whose time is over before the cloud answers."""
    answer = LateAnswer()
    return Stage(create=[answer], hold_s=0.5, on_thaw=answer.due.set, **given), answer


def test_call_may_take_what_is_left_of_the_hold_less_what_the_thaw_needs() -> None:
    stage = Stage()
    stage.run()
    assert stage.calls.limits == pytest.approx([10 - 0.5 - 0.2])


def test_call_may_take_less_when_syncing_ended_a_while_ago() -> None:
    earlier = Message(Kind.SYNCED, first=NOW_NS - 4 * NS, second=NOW_NS - 3 * NS)
    stage = Stage(freezing=(earlier, *HELD[1:]))
    stage.run()
    assert stage.calls.limits == pytest.approx([7 - 0.5 - 0.2])


def test_call_beside_applications_alone_may_take_what_a_freeze_would_have() -> None:
    stage = Stage(warm=no_answer())
    stage.run()
    assert stage.log.count("create") == 1
    assert stage.calls.limits == pytest.approx([10 - 0.2])


def test_keys_outlive_the_freeze_and_the_calls_after_it() -> None:
    stage = Stage()
    stage.run()
    assert stage.renewed == [10 + 120]


def test_applications_come_to_rest_within_their_own_limit() -> None:
    deadlines: list[float] = []
    Stage(app=lambda log: App(log, on_start=deadlines.append)).run()
    assert deadlines == [1000 + 60]


def test_thaw_does_not_wait_for_an_answer_that_is_late() -> None:
    stage, answer = late_until_thaw()
    outcome = stage.run()
    assert answer.came_when_due
    assert outcome.held.level is None
    assert outcome.held.reasons == ("the freeze ended before the cut was seen",)
    assert "say cut" not in stage.log
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_no_call_gets_less_than_no_time_when_the_hold_is_nearly_over() -> None:
    stage, _ = late_until_thaw()
    stage.run()
    assert stage.calls.limits == [0.0]


def test_release_does_not_wait_for_an_answer_that_is_late() -> None:
    answer = LateAnswer()
    stage = Stage(
        create=[answer],
        hold_s=0.5,
        app=lambda log: App(log, on_stop=answer.due.set, is_server=True),
    )
    outcome = stage.run()
    assert answer.came_when_due
    assert outcome.held.level is None
    # It was at rest all the time; what is missing is the cut.
    assert outcome.held.applications[0].at_rest
    assert outcome.made.errors == ()


def test_hold_that_ended_at_the_guardians_limit_says_so_once_when_the_answer_is_late() -> None:
    stage, _ = late_until_thaw(cause=Cause.DEADLINE)
    (why,) = stage.run().held.reasons
    assert "time limit" in why


def test_late_answer_is_no_fault_of_the_thaw() -> None:
    stage, _ = late_until_thaw()
    held = stage.run().held
    assert held.fault is None
    assert held.frozen_s == 1.0


def test_call_that_ends_in_a_fault_of_the_programs_own_is_raised_after_thaw_and_release() -> None:
    def fault() -> Any:
        raise ZeroDivisionError

    stage = Stage(create=[fault])
    with pytest.raises(ZeroDivisionError):
        stage.run()
    assert stage.log[2:] == ["freeze", "create", "thaw", "release", "close"]
    assert not stage.gate.is_shut


def test_late_refusal_that_may_pass_is_sent_again_with_nothing_held() -> None:
    answer = LateAnswer()

    def refused() -> Any:
        answer()
        return refusal("Throttling")

    stage = Stage(create=[refused], hold_s=0.5, on_thaw=answer.due.set)
    outcome = stage.run()
    assert answer.came_when_due
    assert stage.log[-1] == "again"
    assert outcome.held.level is None


def test_what_was_made_is_not_asked_for_again() -> None:
    second = replace(ORDER, order=replace(ORDER.order, disk_ids=(DiskId("d-2"),)))
    stage = Stage(orders=(ORDER, second), create=[MADE, refusal("Throttling")])
    stage.run()
    (sent,) = stage.sent_again
    assert sorted(len(record.snapshot_ids) for record in sent) == [0, 1]


def test_orders_are_sent_with_patience_as_they_are_when_nothing_could_be_held() -> None:
    stage = Stage(app=None, warm=no_answer())
    outcome = stage.run()
    assert stage.sent_again == [(ORDER,)]
    assert outcome.held.level is None
    assert "create" not in stage.log


def test_given_up_order_says_what_the_cloud_said_and_how_to_mend_it() -> None:
    stage = Stage(create=[refusal("Throttling", message="Too many.")], strict=True)
    given_up, first = stage.run().made.errors
    assert isinstance(given_up, QuiesceFailed)
    assert isinstance(first, CloudThrottled)
    assert first.message in given_up.message
    assert given_up.hint == first.hint != ""


def test_order_given_up_keeps_its_record() -> None:
    made = Stage(create=[refusal("Throttling")], strict=True).run().made
    assert [record.order for record in made.records] == [ORDER.order]


def test_guardian_that_dies_while_all_is_frozen_leaves_the_thaw_to_the_agent() -> None:
    stage = Stage(freezing=(*HELD, GONE))
    outcome = stage.run()
    assert stage.freeze_calls.made("thaw") == [101]
    assert outcome.held.level is None
    assert outcome.held.fault is None
    assert "guardian was lost" in outcome.held.why
    assert "say cut" not in stage.log
    assert stage.markers.text is None
    # The cut itself was made; it is worth what the flush was.
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_freeze_that_fails_leaves_the_cut_of_what_is_at_rest() -> None:
    refused = Message(Kind.REFUSED, index=0, number=EBUSY)
    stage = Stage(freezing=(SYNCED, refused, Message(Kind.DONE, cause=Cause.FREEZE_REFUSED)))
    outcome = stage.run()
    assert outcome.held.level is None
    assert outcome.held.frozen_s is None
    assert "another tool has frozen it" in outcome.held.why
    assert stage.log.index("thaw") < stage.log.index("flush all") < stage.log.index("create")
    assert stage.log.index("create") < stage.log.index("release")


def test_freeze_that_fails_ends_a_run_that_is_to_abort() -> None:
    refused = Message(Kind.REFUSED, index=0, number=EBUSY)
    stage = Stage(
        freezing=(SYNCED, refused, Message(Kind.DONE, cause=Cause.FREEZE_REFUSED)), strict=True
    )
    with pytest.raises(QuiesceFailed, match="another tool has frozen it") as caught:
        stage.run()
    assert caught.value.hint
    assert "create" not in stage.log
    assert stage.log[-2:] == ["release", "close"]


@pytest.mark.parametrize("strict", [True, False])
def test_freeze_that_fails_and_cannot_be_undone_is_raised_by_either_policy(*, strict: bool) -> None:
    done = Message(Kind.DONE, cause=Cause.FREEZE_REFUSED)
    stage = Stage(freezing=(*HELD[:2], done), thaw_errno=EIO, strict=strict)
    with pytest.raises(ThawFailed):
        stage.run()
    assert "create" not in stage.log
    assert stage.log[-2:] == ["release", "close"]
    assert stage.markers.text is not None


def test_cut_that_is_not_seen_for_one_of_two_orders_is_no_hold() -> None:
    second = replace(ORDER, order=replace(ORDER.order, disk_ids=(DiskId("d-2"),)))
    stage = Stage(orders=(ORDER, second), create=[MADE, {"RequestId": "R", "SnapshotId": "s-2"}])
    outcome = stage.run()
    assert CUT["Snapshots"]["Snapshot"][0]["SourceDiskId"] == "d-1"
    assert outcome.held.level is None
    assert len(outcome.held.reasons) == 1


def test_applications_at_rest_without_a_freeze_are_told_of_the_cut_but_prove_no_level() -> None:
    stage = Stage(warm=no_answer())
    outcome = stage.run()
    assert "say cut" in stage.log
    assert outcome.held.level is None
    assert outcome.held.frozen_s is None
