"""What a hold tells: levels, reasons, what was frozen, and what each application did."""

from __future__ import annotations

from dataclasses import replace
from errno import EIO

import pytest

from fakes.hold_stage import HELD, NOW_NS, NS, ORDER, App, Stage
from fakes.rpc import refusal
from snap_self.errors import QuiesceFailed
from snap_self.model.ids import DiskId, RunId
from snap_self.model.snapshots import Consistency
from snap_self.quiesce.freeze.wire import Cause, Kind, Message

MS = 10**6
WARMED = Message(Kind.WARMED, index=0, first=NOW_NS - 3 * MS, second=NOW_NS)


def lines_about(stage: Stage, word: str) -> list[str]:
    """Run the hold and return its lines with the word."""
    return [line for line in stage.run().held.lines if word in line]


def test_applications_are_found_for_this_run_and_what_it_covers() -> None:
    stage = Stage()
    stage.run()
    assert stage.found_for == [(RunId("run-1"), stage.coverage(), True)]


def test_two_orders_are_no_single_cut_for_applications() -> None:
    second = replace(ORDER, order=replace(ORDER.order, disk_ids=(DiskId("d-2"),)))
    stage = Stage(orders=(ORDER, second), create=[refusal("Throttling")] * 2)
    stage.run()
    assert [one_cut for _, _, one_cut in stage.found_for] == [False]


def test_what_a_restore_needs_is_taken_after_the_release() -> None:
    stage = Stage(given={"app: backup_label": "START"})
    assert stage.run().held.kept == {"app: backup_label": "START"}


def test_nothing_is_kept_for_a_restore_when_no_application_is_asked() -> None:
    assert Stage(asked=Consistency.FILESYSTEM).run().held.kept == {}


def test_lines_come_in_the_order_in_which_things_were_found_and_done() -> None:
    stage = Stage(unread=["unread"], notes=["a note"], printed=["hook post: said"])
    lines = stage.run().held.lines
    assert lines[:2] == ("unread", "a note")
    assert lines[2].startswith("app: at rest")
    assert lines[3] == "hook post: said"
    assert lines[4].startswith("/data (ext4): ")
    assert len(lines) == 5


def test_application_without_a_server_is_told_by_its_name_alone() -> None:
    held = Stage().run().held
    assert held.lines[0] == "app: at rest after 0.00 s"
    assert held.applications == ()


def test_time_that_an_application_took_to_come_to_rest_is_told() -> None:
    stage = Stage()
    stage.app = lambda log: App(log, on_start=lambda _deadline: stage.clock.advance(1.25))
    assert lines_about(stage, "app: at rest after 1.25 s")


def test_application_that_did_not_come_to_rest_is_not_told_as_at_rest() -> None:
    (line,) = lines_about(Stage(app=lambda log: App(log, fails=True)), "app: ")
    assert line == "app: not at rest: app: will not after 0.00 s"


def test_applications_that_were_never_asked_are_not_told() -> None:
    held = (
        Stage(
            app=lambda log: App(log, fails=True, is_server=True),
            second_app=lambda log: App(log, name="second", is_server=True),
        )
        .run()
        .held
    )
    assert [each.why for each in held.applications] == ["app: will not"]
    assert not any("second" in line for line in held.lines)


def test_application_let_go_before_the_cut_is_not_claimed_to_have_been_at_rest() -> None:
    stage = Stage(
        app=lambda log: App(log, is_server=True),
        second_app=lambda log: App(log, name="second", fails=True, is_server=True),
    )
    held = stage.run().held
    assert stage.log[:3] == ["rest", "rest", "release"]
    assert held.level is Consistency.FILESYSTEM
    # The reason is the one that failed.
    assert held.reasons == ("second: will not",)
    assert [(each.at_rest, bool(each.why)) for each in held.applications] == [(False, True)] * 2
    assert held.lines[0].endswith(f", but {held.applications[0].why}")
    assert "but" not in held.lines[1]


def test_fault_of_one_application_is_not_told_of_another() -> None:
    stage = Stage(
        app=lambda log: App(log, is_server=True, moved="it was let go"),
        second_app=lambda log: App(log, name="second", is_server=True, release="it wrote on"),
    )
    held = stage.run().held
    assert [each.why for each in held.applications] == ["it was let go", "it wrote on"]
    assert held.reasons == ("app: it was let go", "second: it wrote on")


def test_first_fault_of_a_server_is_the_one_told() -> None:
    how = {"moved": "it was let go", "release": "it wrote on"}
    held = Stage(app=lambda log: App(log, is_server=True, **how)).run().held
    assert [each.why for each in held.applications] == ["it was let go"]


def test_cut_over_applications_that_moved_is_still_a_cut_for_them() -> None:
    stage = Stage(app=lambda log: App(log, moved="it was let go"))
    held = stage.run().held
    assert held.level is Consistency.FILESYSTEM
    assert stage.log.index("say cut") < stage.log.index("release")


def test_no_application_on_these_disks_is_a_reason_and_leaves_the_freeze() -> None:
    stage = Stage(app=None)
    held = stage.run().held
    assert held.level is Consistency.FILESYSTEM
    assert len(held.reasons) == 1
    assert held.why
    assert "flush all" not in stage.log


def test_no_application_and_no_freeze_is_sent_with_patience() -> None:
    stage = Stage(app=None, freezing=(Message(Kind.DONE, cause=Cause.SYNC_LATE),))
    assert stage.run().held.level is None
    assert stage.log[-3:] == ["thaw", "close", "again"]


def test_reason_that_comes_twice_is_told_once() -> None:
    held = Stage(doubts=["redis: its data may lie there"] * 2).run().held
    assert held.reasons == ("redis: its data may lie there",)


def test_reasons_are_told_as_one_sentence() -> None:
    held = Stage(doubts=["one", "two"]).run().held
    assert held.why == "one; two"


def test_end_by_policy_says_what_would_have_been_accepted() -> None:
    with pytest.raises(QuiesceFailed) as caught:
        Stage(doubts=["may be moving"], strict=True).run()
    assert caught.value.message == "may be moving"
    assert "--on-quiesce-failure continue" in caught.value.hint


def test_end_by_policy_is_the_applications_own_error() -> None:
    stage = Stage(app=lambda log: App(log, fails=True), strict=True)
    with pytest.raises(QuiesceFailed, match=r"^app: will not$"):
        stage.run()
    assert stage.log == ["rest", "close"]


def test_freeze_is_told_with_its_times_in_the_units_named() -> None:
    frozen = Message(Kind.FROZEN, index=0, first=NOW_NS, second=NOW_NS + 2 * MS)
    stage = Stage(
        freezing=(HELD[0], frozen, HELD[2]), thawed=(NOW_NS + NS, NOW_NS + NS + 34 * MS // 10)
    )
    assert lines_about(stage, "/data") == [
        "/data (ext4): thawed, frozen 1.003 s (freezing 2.0 ms, thawing 3.4 ms)"
    ]


def test_time_frozen_is_told_to_a_tenth_of_a_millisecond() -> None:
    stage = Stage(thawed=(NOW_NS + NS, NOW_NS + NS + 123_456))
    assert stage.run().held.frozen_s == 1.0001


def test_freezing_and_thawing_once_beforehand_is_told_with_its_time() -> None:
    freezing = (HELD[0], WARMED, *HELD[1:])
    assert len(lines_about(Stage(freezing=freezing), "0.003 s in all")) == 1


def test_nothing_is_told_of_a_warm_up_that_was_not() -> None:
    held = Stage(asked=Consistency.FILESYSTEM).run().held
    assert len(held.lines) == 1


def test_safeguards_of_the_guardian_that_could_not_be_had_are_told() -> None:
    stage = Stage(ready=Message(Kind.READY, first=502), asked=Consistency.FILESYSTEM)
    lines = stage.run().held.lines
    assert len(lines) == 3
    assert lines[2].startswith("/data")


def test_filesystem_that_may_still_be_frozen_is_the_fault_and_the_reason() -> None:
    held = Stage(thaw_errno=EIO).run().held
    assert held.fault is not None
    assert held.level is None
    assert held.reasons == held.fault.details


def test_nothing_frozen_is_no_fault() -> None:
    held = Stage(freezing=(Message(Kind.DONE, cause=Cause.SYNC_LATE),)).run().held
    assert held.fault is None
    assert held.frozen_s is None
    assert not any("/data" in line for line in held.lines)


def test_cut_that_failed_while_the_freeze_was_lost_gives_one_reason() -> None:
    stage = Stage(create=[refusal("Throttling")], cause=Cause.DEADLINE)
    held = stage.run().held
    assert len(held.reasons) == 1
    assert "time limit" in held.why


def test_cut_that_failed_while_all_was_held_is_the_reason() -> None:
    held = Stage(create=[refusal("Throttling")]).run().held
    assert len(held.reasons) == 1
    assert "Throttling" in held.why
