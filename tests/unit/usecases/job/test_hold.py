"""A hold around the create call: what is done in which order, and what it is worth."""

from __future__ import annotations

from dataclasses import replace
from errno import EIO
from typing import Any

import pytest

from fakes.applications import SERVER
from fakes.freezing import filesystem
from fakes.hold_stage import CUT, DATA, MADE, ORDER, App, Stage
from fakes.rpc import no_answer, refusal
from snap_self.cloud.answers import snapshots
from snap_self.errors import (
    CloudThrottled,
    DiskNotReady,
    PreconditionRefused,
    QuiesceFailed,
    ThawFailed,
)
from snap_self.model.freezing import FreezeFacts, OwnPlace
from snap_self.model.ids import DiskId
from snap_self.model.servers import RestedApplication
from snap_self.model.snapshots import Consistency
from snap_self.quiesce.freeze.wire import Cause
from snap_self.usecases.job.create import Made
from snap_self.usecases.job.held_create import Cut
from snap_self.usecases.job.wait import Settled


def test_everything_goes_well_in_the_one_order_there_is() -> None:
    stage = Stage()
    outcome = stage.run()
    assert outcome.held.level is Consistency.APPLICATION
    assert outcome.held.why == ""
    order = ["rest", "renew", "freeze", "create", "thaw", "say cut", "release", "close"]
    assert stage.log == order
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_filesystem_that_cannot_be_frozen_beside_one_that_can_leaves_the_flush() -> None:
    efi = filesystem("/boot/efi", key="8:2", fstype="vfat")
    outcome = Stage(beside=(efi,), asked=Consistency.FILESYSTEM).run()
    assert outcome.held.frozen_s is not None
    assert outcome.held.level is None
    assert "/boot/efi" in outcome.held.why


def test_filesystem_mounted_while_applications_came_to_rest_is_not_called_frozen() -> None:
    stage = Stage(late=(filesystem("/late", key="8:3"),))
    outcome = stage.run()
    assert outcome.held.level is None
    assert "changed while everything came to rest: /late" in outcome.held.why
    # The applications are at rest: the cut is made for them, over what was synced just before.
    assert stage.log[:4] == ["rest", "renew", "flush all", "create"]


def test_filesystem_mounted_meanwhile_ends_a_run_that_is_to_abort() -> None:
    stage = Stage(late=(filesystem("/late", key="8:3"),), strict=True)
    with pytest.raises(QuiesceFailed, match="/late"):
        stage.run()
    assert "create" not in stage.log


def test_filesystem_level_asks_for_no_application() -> None:
    stage = Stage(asked=Consistency.FILESYSTEM)
    assert stage.run().held.level is Consistency.FILESYSTEM
    assert stage.log == ["renew", "freeze", "create", "thaw"]


@pytest.mark.parametrize("code", ["Throttling", "OperationConflict"])
def test_refusal_that_may_pass_is_called_again_only_after_thaw_and_release(code: str) -> None:
    stage = Stage(create=[refusal(code)])
    outcome = stage.run()
    assert outcome.held.level is None
    assert "the freeze ended without a cut" in outcome.held.why
    assert stage.log[2:] == ["freeze", "create", "thaw", "release", "close", "again"]


def test_refusal_that_may_pass_is_given_up_when_the_policy_is_abort() -> None:
    stage = Stage(create=[refusal("Throttling")], strict=True)
    errors = stage.run().made.errors
    assert [type(error) for error in errors] == [QuiesceFailed, CloudThrottled]
    assert "again" not in stage.log


def test_refusal_that_may_pass_is_given_up_when_a_filesystem_may_still_be_frozen() -> None:
    stage = Stage(create=[refusal("Throttling")], thaw_errno=EIO)
    outcome = stage.run()
    assert isinstance(outcome.held.fault, ThawFailed)
    assert [type(error) for error in outcome.made.errors] == [CloudThrottled]
    assert "again" not in stage.log


def test_refusal_that_stays_is_not_called_again() -> None:
    stage = Stage(create=[refusal("IncorrectDiskStatus.CreatingSnapshot")])
    outcome = stage.run()
    assert [type(error) for error in outcome.made.errors] == [DiskNotReady]
    assert stage.log.count("create") == 1
    assert "again" not in stage.log


def test_call_without_an_answer_is_repeated_while_frozen_and_told_after_the_release() -> None:
    stage = Stage(create=[no_answer(), MADE])
    assert stage.run().held.level is Consistency.APPLICATION
    assert stage.log.count("create") == 2
    assert stage.log[-1].startswith("told CreateSnapshot: ")
    assert stage.log.index("close") == len(stage.log) - 2


def test_same_call_still_at_work_is_waited_for_while_frozen() -> None:
    stage = Stage(create=[refusal("IdempotentProcessing"), MADE])
    assert stage.run().held.level is Consistency.APPLICATION


def test_cut_that_is_not_seen_makes_it_weaker_and_says_no_cut() -> None:
    stage = Stage(describe={"Snapshots": {"Snapshot": []}})
    outcome = stage.run()
    assert outcome.held.level is None
    assert "before the cut was seen" in outcome.held.why
    assert "say cut" not in stage.log
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_role_that_may_not_look_does_not_lose_what_was_made() -> None:
    stage = Stage(describe=refusal("Forbidden.RAM"))
    outcome = stage.run()
    assert outcome.held.level is None
    assert "may not do DescribeSnapshots" in outcome.held.why
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_cloud_that_does_not_answer_the_warm_up_is_not_frozen_for() -> None:
    stage = Stage(warm=no_answer())
    outcome = stage.run()
    assert outcome.held.level is None
    assert "freeze" not in stage.log
    # The applications are at rest, so the call is made in the time that a freeze would have.
    done = [each for each in stage.log if not each.startswith("told ")]
    assert done == ["rest", "renew", "flush all", "create", "say cut", "release", "close"]


def test_thaw_by_the_deadline_is_not_a_hold() -> None:
    stage = Stage(cause=Cause.DEADLINE)
    outcome = stage.run()
    assert outcome.held.level is None
    assert "time limit" in outcome.held.why
    assert "say cut" not in stage.log


def test_application_that_will_not_rest_leaves_the_freeze() -> None:
    stage = Stage(app=lambda log: App(log, fails=True))
    outcome = stage.run()
    assert outcome.held.level is Consistency.FILESYSTEM
    assert outcome.held.why == "app: will not"


def test_application_that_will_not_rest_gives_its_reason_once() -> None:
    held = Stage(app=lambda log: App(log, fails=True, moved="it is not at rest")).run().held
    assert held.why.count("app: ") == 1


def test_server_that_came_to_rest_is_told_by_process_account_and_program() -> None:
    held = Stage(app=lambda log: App(log, is_server=True)).run().held
    assert held.applications == (RestedApplication(server=SERVER, at_rest=True, why=""),)
    assert "app: at rest after 0.00 s (process 7 of redis, user id 102, '/usr/bin/redis')" in (
        held.lines
    )


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"fails": True}, "app: will not"),
        ({"moved": "it was let go"}, "it was let go"),
        ({"release": "it wrote on"}, "it wrote on"),
    ],
)
def test_server_that_did_not_stay_at_rest_is_told_with_the_reason(
    how: dict[str, Any], why: str
) -> None:
    held = Stage(app=lambda log: App(log, is_server=True, **how)).run().held
    assert held.applications == (RestedApplication(server=SERVER, at_rest=False, why=why),)


def test_application_that_may_not_be_at_rest_leaves_the_freeze() -> None:
    stage = Stage(doubts=["redis: its data may lie there"])
    outcome = stage.run()
    assert outcome.held.level is Consistency.FILESYSTEM
    assert outcome.held.why == "redis: its data may lie there"


def test_application_that_may_not_be_at_rest_ends_a_run_that_is_to_abort() -> None:
    stage = Stage(doubts=["redis: its data may lie there"], strict=True)
    with pytest.raises(QuiesceFailed, match="may lie there"):
        stage.run()
    assert stage.log == ["close"]


def test_release_that_fails_leaves_the_freeze() -> None:
    stage = Stage(app=lambda log: App(log, release="was killed"))
    outcome = stage.run()
    assert outcome.held.level is Consistency.FILESYSTEM
    assert "was killed" in outcome.held.why


@pytest.mark.parametrize("without", ["application", "rest"])
def test_policy_abort_asks_for_nothing_when_the_level_cannot_be_reached(without: str) -> None:
    app = None if without == "application" else (lambda log: App(log, fails=True))
    stage = Stage(app=app, strict=True)
    with pytest.raises(QuiesceFailed):
        stage.run()
    assert {"freeze", "create", "again"}.isdisjoint(stage.log)


OWN = FreezeFacts(
    release="6.12.0",
    own_places=(OwnPlace(what="state directory", path="/data/state", key=DATA.key),),
)


def test_refused_freeze_with_policy_abort_is_a_precondition() -> None:
    stage = Stage(facts=OWN, strict=True)
    with pytest.raises(PreconditionRefused, match="state directory"):
        stage.run()
    assert stage.log == []


def test_refused_freeze_without_applications_is_sent_with_patience() -> None:
    stage = Stage(facts=OWN, asked=Consistency.FILESYSTEM)
    outcome = stage.run()
    assert outcome.held.level is None
    assert outcome.held.frozen_s is None
    assert "state directory" in outcome.held.why
    assert stage.log == ["again"]


def test_refused_freeze_releases_applications_before_patience() -> None:
    stage = Stage(facts=OWN, create=[refusal("Throttling")])
    assert stage.run().held.level is None
    assert stage.log == ["rest", "flush all", "create", "release", "close", "again"]


def test_group_member_left_out_by_the_cloud_is_not_waited_for() -> None:
    order = replace(ORDER.order, disk_ids=(DiskId("d-1"), DiskId("d-2")), grouped=True)
    shown = {DiskId("d-1"): snapshot_of("d-1")}
    record = replace(ORDER, order=order)
    settled = Settled(
        records=(record,), snapshots=shown, missing=(DiskId("d-2"),), timed_out=False, unseen=""
    )
    made = Made(records=(record,), errors=())
    assert Cut(made=made, settled=settled).whole
    assert not Cut(made=made, settled=replace(settled, timed_out=True)).whole


def snapshot_of(disk: str) -> Any:
    entry = {**CUT["Snapshots"]["Snapshot"][0], "SourceDiskId": disk}
    return snapshots({"Snapshots": {"Snapshot": [entry]}})[0]
