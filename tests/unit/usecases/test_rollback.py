"""A rollback is found by any id, judged by what lies where now, told as steps and as a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from fakes.journal import FakeJournal
from fakes.records import run_record
from fakes.simulated_oos import OosCloud
from fakes.taken import ME, RUN, Taken, tags
from snap_self.errors import (
    PermissionRefused,
    RollbackGoesOn,
    SnapSelfError,
    SnapshotNotTagged,
    UsageError,
)
from snap_self.model.changes import LoggedChange
from snap_self.model.executions import Execution, ExecutionOrder
from snap_self.model.machine import MachineText
from snap_self.model.run import RollbackRecord, Stage
from snap_self.model.ways import CloudCall
from snap_self.recovery.outside import client_token
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.system.rollback_files import template
from snap_self.usecases.rollback import (
    Judged,
    RollbackRequest,
    Started,
    judge_rollback,
    roll_back,
    rollback_from_outside,
)
from snap_self.usecases.tools import Tools

RECORD = replace(run_record(stage=Stage.FINISHED), run_id=RUN, orders=())
INSTANCE = {"InstanceId": ME, "Status": "Running", "InstanceType": "ecs.g7.large"}


def taken_of(machine: str = "nvme", **instance: object) -> Taken:
    taken = Taken.of(machine)
    shown = {**INSTANCE, **instance}
    taken.answers["DescribeInstances"] = {"Instances": {"Instance": [shown]}}
    return taken


def judged(taken: Taken, wanted: str = RUN, tools: Tools | None = None) -> Judged:
    return rollback_from_outside(tools or taken.tools, wanted)


def test_whole_run_goes_back_with_the_steps_from_outside() -> None:
    taken = taken_of()
    found = judged(taken)
    assert sorted(found.plan.pairs) == sorted(taken.disk_ids)
    resets = [s for s in found.way.steps if isinstance(s, CloudCall) and s.action == "ResetDisk"]
    assert [s.params["DiskId"] for s in resets] == list(found.plan.pairs)
    assert found.notes == ()


def test_snapshot_means_its_disk_alone() -> None:
    taken = taken_of()
    found = judged(taken, taken.snapshots[2]["SnapshotId"])
    assert list(found.plan.pairs) == [taken.disk_ids[2]]
    assert {each.disk_id for each in found.plan.staying} == set(taken.disk_ids[:2])
    assert found.named == taken.snapshots[2]["SnapshotId"]
    assert judged(taken, "last").named == RUN


def test_id_that_is_none_of_ours_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="s-unknown is not a snapshot, group or run"):
        judged(taken_of(), "s-unknown")


def test_reason_against_it_is_raised_with_all_others() -> None:
    taken = taken_of(Status="Stopped", StoppedMode="StopCharging")
    taken.snapshots[0].update(Status="progressing", Available=False, Progress="1%")
    with pytest.raises(SnapSelfError) as caught:
        judged(taken)
    assert caught.value.code == "snapshot-not-usable"
    assert any("economical mode" in line for line in caught.value.details)


def test_volume_over_several_disks_is_not_torn() -> None:
    taken = taken_of("lvm-two-disks")
    judged(taken)
    with pytest.raises(SnapSelfError) as caught:
        judged(taken, taken.snapshots[-1]["SnapshotId"])
    assert caught.value.code == "torn-set"
    assert f"snap-self rollback {RUN}" in caught.value.hint


def test_machine_that_cannot_be_understood_is_told_where_it_is_only_printed() -> None:
    taken = taken_of()
    nothing = RecordedMachine(MachineText(files={}, links={}, failures={}))
    blind = replace(taken.tools, machine=nothing)
    assert "could not be looked at" in judged(taken, tools=blind).notes[0]
    with pytest.raises(SnapSelfError):
        judge_rollback(blind.here(), RUN, blind=False)


def test_lock_of_pacman_is_told_where_the_run_was_of_pacman() -> None:
    change = LoggedChange(at="", manager="pacman", program="", packages=())
    taken = replace(taken_of(), changes=(change,))
    assert not any("pacman" in line for line in judged(taken).way.after)
    taken.journal.save(RECORD)
    assert any("pacman/db.lck" in line for line in judged(taken).way.after)


def test_later_run_is_named_as_lost() -> None:
    taken = taken_of()
    later = "20261122t093225z-000002"
    newer = tags(**{"snap-self-owner": ME, "snap-self-run": later, "snap-self-before": "more"})
    shot = {**taken.snapshots[0], "SnapshotId": "s-later", "CreationTime": "2026-11-22T09:32:30Z"}
    taken.snapshots.append({**shot, "Tags": newer})
    assert [run.name for run in judged(taken).plan.later] == [later]


def test_script_has_the_pairs_in_their_order_and_nothing_of_the_example() -> None:
    found = judged(taken_of())
    body = (
        "#!/bin/sh\n# begin: what is brought back\nX=example\n# end: what is brought back\nmain\n"
    )
    text = found.script(body)
    pairs = " ".join(f"{disk_id}:{shot}" for disk_id, shot in found.plan.pairs.items())
    assert f"PAIRS='{pairs}'\n" in text
    assert f"RUN={RUN}\n" in text
    assert "example" not in text
    assert text.startswith("#!/bin/sh\n")
    assert text.endswith("\nmain\n")


# --- from outside ----------------------------------------------------------------------------


@dataclass(slots=True)
class FakeExecutions:
    """An OOS that notes what it is asked for.

    Args:
        going: what goes on already.
        refusal: raised by ``start``.
        seen: what the journal held at each ``start``.
    """

    journal: FakeJournal
    going: tuple[Execution, ...] = ()
    refusal: SnapSelfError | None = None
    orders: list[ExecutionOrder] = field(default_factory=list)
    seen: list[RollbackRecord | None] = field(default_factory=list)

    def start(self, order: ExecutionOrder, *, deadline_s: float | None = None) -> Execution:
        self.orders.append(order)
        record = self.journal.load(RUN)
        self.seen.append(record.rollback if record else None)
        if self.refusal:
            raise self.refusal
        return Execution(execution_id="exec-1", status="Started")

    def going_on(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[Execution, ...]:
        assert tags == {"snap-self-owner": ME}
        return self.going


REQUEST = RollbackRequest(wanted=RUN, snapshot_first=False, content="template", role="")


def outside(
    taken: Taken,
    oos: FakeExecutions,
    request: RollbackRequest = REQUEST,
    *,
    agree: bool = True,
) -> Started | None:
    return roll_back(taken.tools, lambda _: oos, request, lambda _: agree, half_way=lambda: False)


def recorded(**rollback: Any) -> tuple[Taken, FakeExecutions]:
    taken = taken_of()
    noted = RollbackRecord(**rollback) if rollback else None
    taken.journal.save(replace(RECORD, rollback=noted))
    return taken, FakeExecutions(journal=taken.journal)


def test_execution_is_started_with_all_that_the_template_needs() -> None:
    taken, oos = recorded()
    started = outside(taken, oos)
    assert started is not None
    assert started.execution.execution_id == "exec-1"
    (order,) = oos.orders
    parameters = order.parameters
    assert parameters["pairs"] == [parameters["first"], *parameters["others"]]
    assert parameters["pairs"] == [f"{d}:{s}" for d, s in started.judged.plan.pairs.items()]
    assert (parameters["diskIds"], parameters["count"]) == (list(started.judged.plan.pairs), 3)
    assert parameters["OOSAssumeRole"] == f"snap-self-rollback-{ME}"
    assert (parameters["snapshotFirst"], order.content) == (False, "template")
    assert order.tags == {"snap-self-owner": ME, "snap-self-run": RUN}
    assert len(order.client_token) <= 64


def test_it_is_noted_before_the_cloud_is_asked_and_with_its_id_after() -> None:
    taken, oos = recorded()
    outside(taken, oos)
    assert oos.seen[0] is not None
    assert oos.seen[0].execution_id == ""
    after = taken.journal.load(RUN)
    assert after is not None
    assert after.rollback == replace(oos.seen[0], execution_id="exec-1")


def test_run_that_the_journal_does_not_have_goes_back_too() -> None:
    taken = taken_of()
    assert outside(taken, FakeExecutions(journal=taken.journal)) is not None


def test_nothing_is_asked_of_the_cloud_where_nobody_agrees() -> None:
    taken, oos = recorded()
    assert outside(taken, oos, agree=False) is None
    assert oos.orders == []


def test_second_rollback_is_refused_while_one_goes_on() -> None:
    taken, oos = recorded()
    oos.going = (Execution(execution_id="exec-0", status="Running"),)
    with pytest.raises(RollbackGoesOn, match="exec-0"):
        outside(taken, oos)
    assert oos.orders == []


def test_second_rollback_is_refused_that_began_while_the_first_was_thought_over() -> None:
    taken, oos = recorded()

    def agree(_: Judged) -> bool:
        oos.going = (Execution(execution_id="exec-0", status="Running"),)
        return True

    with pytest.raises(RollbackGoesOn, match="exec-0"):
        roll_back(taken.tools, lambda _: oos, REQUEST, agree, half_way=lambda: False)
    assert oos.orders == []


@pytest.mark.parametrize("looks", [1, 2], ids=["before it is judged", "while it is thought over"])
def test_nothing_goes_back_from_outside_while_data_disks_are_half_way_back(looks: int) -> None:
    taken, oos = recorded()
    answers = [False] * (looks - 1) + [True]
    asked = []

    def agree(one: Judged) -> bool:
        asked.append(one)
        return True

    with pytest.raises(RollbackGoesOn, match="rollback --online") as caught:
        roll_back(taken.tools, lambda _: oos, REQUEST, agree, half_way=lambda: answers.pop(0))
    assert "snap-self list" in caught.value.hint
    assert (answers, len(asked), oos.orders) == ([], looks - 1, [])


def test_what_others_noted_of_the_run_while_it_was_thought_over_stays_noted() -> None:
    taken, oos = recorded()

    def agree(_: Judged) -> bool:
        taken.journal.save(replace(RECORD, explained="by the follower"))
        return True

    roll_back(taken.tools, lambda _: oos, REQUEST, agree, half_way=lambda: False)
    after = taken.journal.load(RUN)
    assert after is not None
    assert after.explained == "by the follower"
    assert after.rollback is not None


def test_same_order_is_given_again_where_the_answer_was_lost_a_moment_ago() -> None:
    now = taken_of().clock.now()
    taken, oos = recorded(asked=now - timedelta(minutes=5), client_token="before")
    outside(taken, oos)
    again = oos.orders[0].client_token
    assert again == client_token(RUN, now - timedelta(minutes=5))
    late, other = recorded(asked=now - timedelta(minutes=11), client_token="before")
    outside(late, other)
    done, third = recorded(
        asked=now - timedelta(minutes=5), client_token="before", execution_id="exec-0"
    )
    outside(done, third)
    new = client_token(RUN, now)
    assert [each.orders[0].client_token for each in (other, third)] == [new, new]


def test_order_that_is_refused_stays_noted_without_an_id() -> None:
    taken, oos = recorded()
    oos.refusal = PermissionRefused("no")
    with pytest.raises(PermissionRefused):
        outside(taken, oos)
    kept = taken.journal.load(RUN)
    assert kept is not None
    assert kept.rollback is not None
    assert kept.rollback.execution_id == ""


def test_present_state_is_kept_as_a_run_of_its_own_where_it_is_asked_for() -> None:
    taken, oos = recorded()
    outside(taken, oos, replace(REQUEST, snapshot_first=True, role="own-role"))
    parameters = oos.orders[0].parameters
    tags_asked = {each["Key"]: each["Value"] for each in parameters["presentTags"]}
    assert tags_asked["snap-self-owner"] == ME
    assert tags_asked["snap-self-before"] == f"rollback to {RUN}"
    assert tags_asked["snap-self-consistency"] == "crash"
    assert tags_asked["snap-self-expires"] > "2026-12"
    assert (parameters["presentDays"], parameters["OOSAssumeRole"]) == (14, "own-role")


def test_machine_that_cannot_be_understood_is_not_brought_back_unseen() -> None:
    taken, oos = recorded()
    nothing = RecordedMachine(MachineText(files={}, links={}, failures={}))
    with pytest.raises(SnapSelfError):
        roll_back(
            replace(taken.tools, machine=nothing),
            lambda _: oos,
            REQUEST,
            lambda _: True,
            half_way=lambda: False,
        )
    assert oos.orders == []


def test_snapshot_that_is_ours_by_its_group_alone_is_refused_for_the_printed_role() -> None:
    taken, oos = recorded()
    grouped = replace(taken, grouped=True)
    grouped.snapshots[1]["Tags"] = tags()
    untagged = grouped.snapshots[1]["SnapshotId"]
    with pytest.raises(
        SnapshotNotTagged, match=f"{untagged}: without the tag snap-self-owner={ME}"
    ):
        outside(grouped, oos)
    assert oos.orders == []
    assert outside(grouped, oos, replace(REQUEST, role="own-role")) is not None


def test_order_is_taken_by_the_simulated_service() -> None:
    taken, oos = recorded()
    outside(taken, oos, replace(REQUEST, content=template()))
    order = oos.orders[0]
    answer = OosCloud().oos(
        "StartExecution",
        TemplateContent=order.content,
        Parameters=dict(order.parameters) | {"OOSAssumeRole": ""},
        Tags=dict(order.tags),
        ClientToken=order.client_token,
    )
    assert answer.status == 200, answer.body
