"""A rollback that waits for a confirmation, on the simulated OOS: real SDK, printed policies.

The cloud's clock is moved on by hand, the shipped template runs on it.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from ecs_simulator import AccessKeyConfig
from ecs_simulator.config import RoleConfig
from ecs_simulator.faults import Fault
from fakes.foreground import FakeForeground
from fakes.main_job import DISKS, Edit, MainJob, config, main_job
from fakes.simulated_cloud import Signer
from snap_self.access.documents import (
    OOS_SERVICE,
    Document,
    as_sent,
    role_policy,
    rollback_role_policy,
)
from snap_self.cloud.executions import OosExecutions
from snap_self.errors import (
    CheckFailed,
    ExitStatus,
    MetadataUnreachable,
    PermissionRefused,
    RollbackGoesOn,
    RollbackNotArmed,
    RollbackNotCalledOff,
    SnapSelfError,
    UsageError,
)
from snap_self.model.actions import Holder, Policy
from snap_self.model.command import Ended, OnSnapshotFailure
from snap_self.model.executions import Waiting
from snap_self.model.ids import InstanceId
from snap_self.model.looking import Since
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.run import ArmedEnd
from snap_self.model.snapshots import Identity
from snap_self.output.interrupted import interrupted_lines, what_was_asked
from snap_self.system.rollback_files import template
from snap_self.usecases.confirming.arming import Outside
from snap_self.usecases.confirming.confirm import (
    CheckResult,
    Confirmed,
    ConfirmOutcome,
    ConfirmRequest,
    confirm,
)
from snap_self.usecases.confirming.job import take_armed
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.prune import prune
from snap_self.usecases.run_command import Change, Changed, run_change
from snap_self.usecases.tools import Process, Tools

ROLE, OUTSIDE = "SnapSelfRole", "own-rollback"
POLICIES = (Policy.CREATE, Policy.ROLLBACK)
# Less than signatures may be old, as the agent is not moved with the cloud.
WITHIN_S = 600
GOING_BACK = ("StopInstance", "ResetDisk", "StartInstance")
ARMED = Request(before="os upgrade", confirm_within_s=WITHIN_S)


@dataclass
class Stage:
    """One agent, one cloud whose clock is moved by hand, and what the checks say."""

    job: MainJob
    ran: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    wrong: Mapping[str, str] = field(default_factory=dict)
    moved_s: float = 0.0

    def take(self, request: Request = ARMED) -> Report:
        return take_armed(request, self.job.tools, self.outside())

    def confirm(self, **asked: Any) -> Confirmed:
        return confirm(self.job.tools, self.outside(), ConfirmRequest(**asked), self.check)

    def outside(self) -> Outside:
        def executions(identity: Identity) -> OosExecutions:
            return OosExecutions(self.job.tools.connect(identity).caller)

        return Outside(executions=executions, content=template(), role=OUTSIDE)

    def check(self, commands: Sequence[str], *, folder: bool) -> tuple[CheckResult, ...]:
        self.ran.append((tuple(commands), folder))
        return tuple(CheckResult(name=each, why=self.wrong.get(each, "")) for each in commands)

    def pass_time(self, seconds: float) -> None:
        """Move the cloud's clock on, and let what is due then happen."""
        self.moved_s += seconds
        self.job.simulator.set_clock_offset(self.moved_s)
        self.job.clock.sleep(0.2)

    def executions(self) -> list[dict[str, Any]]:
        asked = {"Version": "2019-06-01", "SortOrder": "Ascending"}
        return list(self.call("ListExecutions", **asked)["Executions"])

    def call(self, action: str, **params: str) -> Mapping[str, Any]:
        """Make one call of the API, as anybody may outside of the agent."""
        key = AccessKeyConfig()
        signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)
        at = time.time() + self.moved_s
        signed = signer.sign({"Action": action, **params}, at=at)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(self.job.simulator.ecs_url, params=signed, timeout=10)
        assert answer.status_code == 200, answer.text
        body: Mapping[str, Any] = answer.json()
        return body

    def statuses(self) -> list[str]:
        return [str(each["Status"]) for each in self.executions()]

    def until_ended(self) -> list[str]:
        """Let time pass until no execution goes on."""
        for _ in range(1500):
            self.pass_time(5)
            if not {"Started", "Running"} & {*self.statuses()}:
                break
        return self.statuses()

    def did(self, *actions: str) -> list[str]:
        done = (call for call in self.job.simulator.calls if not call.code)
        return [call.action for call in done if call.action in (actions or GOING_BACK)]

    @property
    def runs(self) -> bool:
        asked = self.call("DescribeInstances", RegionId="cn-hangzhou")
        return bool(asked["Instances"]["Instance"][0]["Status"] == "Running")


@pytest.fixture
def stage() -> Iterator[Stage]:
    roles = (RoleConfig(), RoleConfig(name=OUTSIDE, trusted=(OOS_SERVICE,)))
    with main_job(replace(config(), roles=roles)) as job:
        # Where they do not reach them, the role may not go back to a member.
        job.simulator.set_group_behaviour(propagate_tags=True)
        holder = replace(job.tools.identify().holder, disks=DISKS)
        job.simulator.set_policies(ROLE, read(role_policy(holder, POLICIES, passed=OUTSIDE)))
        job.simulator.set_policies(OUTSIDE, read(rollback_role_policy(holder)))
        yield Stage(job=job)


def read(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_sent(document))
    return found


def holder_of(stage: Stage) -> Holder:
    return replace(stage.job.tools.identify().holder, disks=DISKS)


def without(document: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the policy with one action less."""
    kept = []
    for statement in document["Statement"]:
        named = statement["Action"]
        left = [each for each in ([named] if isinstance(named, str) else named) if each != action]
        if left:
            kept.append({**statement, "Action": left})
    assert kept != document["Statement"]
    return {**document, "Statement": kept}


def forbid(stage: Stage, action: str) -> None:
    """Take a right away from the instance's role."""
    policy = read(role_policy(holder_of(stage), POLICIES, passed=OUTSIDE))
    stage.job.simulator.set_policies(ROLE, without(policy, action))


def boot_check(stage: Stage) -> list[str]:
    """Return what the template has the machine say to snap-self when it is up again."""
    asked = [call for call in stage.job.simulator.calls if call.action == "RunCommand"]
    text = base64.b64decode(asked[-1].params["CommandContent"]).decode()
    said = text.split("then snap-self ")[1].split(";")[0]
    return shlex.split(said)


def journal_of(stage: Stage, report: Report) -> Any:
    (record,) = [one for one in stage.job.journal.all() if one.run_id == report.run_id]
    return record.armed


def journal(stage: Stage) -> Any:
    (record,) = stage.job.journal.all()
    return record.armed


def test_nobody_confirms_so_the_machine_goes_back_by_itself(stage: Stage) -> None:
    report = stage.take()
    assert (report.exit_status, report.error) == (ExitStatus.DONE, None)
    assert report.armed is not None
    assert [(step.name, step.result) for step in report.steps[-1:]] == [("arm", "done")]
    assert report.armed.deadline - stage.job.clock.now() <= timedelta(seconds=WITHIN_S)
    stage.pass_time(WITHIN_S - 60)
    assert stage.did() == []
    assert stage.until_ended() == ["Success"]
    assert stage.did() == ["StopInstance", "ResetDisk", "ResetDisk", "StartInstance"]
    assert stage.runs


@pytest.mark.parametrize("looks", [1, 2], ids=["before the snapshot", "meanwhile"])
def test_nothing_is_armed_while_data_disks_are_half_way_back(stage: Stage, looks: int) -> None:
    answers = [False] * (looks - 1) + [True]
    outside = replace(stage.outside(), half_way=lambda: answers.pop(0))
    if looks == 1:
        with pytest.raises(RollbackGoesOn, match="rollback --online"):
            take_armed(ARMED, stage.job.tools, outside)
        assert stage.job.journal.all() == ()
    else:
        report = take_armed(ARMED, stage.job.tools, outside)
        assert report.exit_status is ExitStatus.NOT_ARMED
    assert answers == []
    assert stage.executions() == []


def test_confirmed_in_time_nothing_is_reset(stage: Stage) -> None:
    report = stage.take()
    stage.pass_time(WITHIN_S - 60)
    confirmed = stage.confirm()
    assert confirmed.outcome is ConfirmOutcome.CONFIRMED
    assert confirmed.called_off == (report.armed,)
    assert stage.until_ended() == ["Cancelled"]
    stage.pass_time(2 * WITHIN_S)
    assert stage.did() == []
    assert (journal(stage).unconfirmed, journal(stage).ended) == (False, ArmedEnd.CONFIRMED)


def test_confirming_twice_is_as_good_as_once(stage: Stage) -> None:
    stage.take()
    stage.confirm()
    assert stage.confirm().outcome is ConfirmOutcome.NOTHING_ARMED


def test_execution_names_run_instance_and_deadline(stage: Stage) -> None:
    report = stage.take()
    (found,) = stage.executions()
    assert report.armed is not None
    assert found["Tags"] == {
        "snap-self-owner": stage.job.tools.identify().instance_id,
        "snap-self-run": report.run_id,
        "snap-self-deadline": report.armed.deadline.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert report.run_id in found["Description"]


def test_arming_is_noted_before_it_is_asked_for(stage: Stage) -> None:
    stage.take()
    noted = [one.armed for one in stage.job.journal.history if one.armed is not None]
    assert noted[0].execution_id == ""
    assert noted[0].client_token
    assert noted[-1].execution_id == stage.executions()[0]["ExecutionId"]
    assert stage.did("StartExecution") == ["StartExecution"]


def test_second_run_is_refused_before_it_makes_a_snapshot(stage: Stage) -> None:
    stage.take()
    made = stage.job.creates()
    with pytest.raises(RollbackGoesOn, match=stage.executions()[0]["ExecutionId"]) as caught:
        stage.take(replace(ARMED, before="another"))
    assert "snap-self confirm" in caught.value.hint
    assert stage.job.creates() == made
    assert stage.statuses() == ["Running"]


def test_run_that_serves_again_has_its_rollback_moved(stage: Stage) -> None:
    first = stage.take()
    stage.pass_time(60)
    again = stage.take(replace(ARMED, reuse_s=3600, confirm_within_s=2 * WITHIN_S))
    assert again.exit_status is ExitStatus.DONE
    assert first.armed is not None
    assert again.armed is not None
    assert (again.run_id, again.armed.run) == (first.run_id, first.run_id)
    assert again.armed.deadline > first.armed.deadline
    assert stage.statuses() == ["Cancelled", "Running"]


def test_extended_it_goes_back_later_and_once(stage: Stage) -> None:
    stage.take()
    moved = stage.confirm(extend_s=2 * WITHIN_S)
    assert moved.outcome is ConfirmOutcome.EXTENDED
    assert stage.statuses() == ["Cancelled", "Running"]
    calls = [call.action for call in stage.job.simulator.calls]
    assert calls.index("CancelExecution") > max(
        place for place, action in enumerate(calls) if action == "StartExecution"
    )
    stage.pass_time(WITHIN_S + 60)
    assert stage.did() == []
    assert stage.until_ended() == ["Cancelled", "Success"]
    assert stage.did("ResetDisk") == ["ResetDisk", "ResetDisk"]


def test_extending_to_an_earlier_time_is_refused(stage: Stage) -> None:
    stage.take()
    with pytest.raises(UsageError, match="later already"):
        stage.confirm(extend_s=300)
    assert stage.statuses() == ["Running"]


def test_extending_that_cannot_call_the_earlier_one_off_leaves_it_alone(stage: Stage) -> None:
    stage.take()
    # The earlier one is not cancelled, the later one then is.
    stage.job.simulator.inject(Fault(kind="error:Forbidden:403", action="CancelExecution", count=1))
    with pytest.raises(RollbackNotCalledOff) as caught:
        stage.confirm(extend_s=2 * WITHIN_S)
    assert stage.executions()[0]["ExecutionId"] in caught.value.message
    assert stage.statuses() == ["Running", "Cancelled"]
    assert journal(stage).execution_id == stage.executions()[0]["ExecutionId"]
    assert journal(stage).unconfirmed


def test_killed_between_the_two_of_a_move_the_next_confirm_calls_both_off(stage: Stage) -> None:
    stage.take()
    stage.job.edit = killing("ListExecutions", after="StartExecution", times=2)
    with pytest.raises(Killed):
        stage.confirm(extend_s=2 * WITHIN_S)
    stage.job.edit = lambda _action, answer: answer
    assert stage.statuses() == ["Running", "Running"]
    assert len(stage.confirm().called_off) == 2
    assert stage.statuses() == ["Cancelled", "Cancelled"]
    assert not journal(stage).unconfirmed


def test_killed_between_the_two_and_gone_back_the_machine_calls_the_later_off(stage: Stage) -> None:
    stage.take()
    stage.job.edit = killing("ListExecutions", after="StartExecution")
    with pytest.raises(Killed):
        stage.confirm(extend_s=WITHIN_S + 120)
    stage.job.edit = lambda _action, answer: answer
    stage.pass_time(WITHIN_S)
    while stage.statuses()[0] == "Running" and stage.moved_s < WITHIN_S + 100:
        stage.pass_time(5)
    assert stage.statuses() == ["Success", "Running"]
    # What the template's boot check runs on the machine, whose journal is from before.
    stage.job.forget()
    confirmed = stage.confirm(run=boot_check(stage)[1], boot_check=True)
    assert [each.execution_id for each in confirmed.called_off] == [
        stage.executions()[1]["ExecutionId"]
    ]
    assert stage.until_ended() == ["Success", "Cancelled"]
    assert stage.did("ResetDisk") == ["ResetDisk", "ResetDisk"]


class Killed(BaseException):
    """The agent ends here, as by SIGKILL."""


def killing(action: str, *, after: str = "", times: int = 1) -> Edit:
    """Return what ends the agent when it has the answer of an action.

    Args:
        after: counted from the answer of that one on.
        times: so many answers.
    """
    seen: list[str] = []

    def edit(name: str, answer: dict[str, Any]) -> dict[str, Any]:
        seen.append(name)
        counted = seen[seen.index(after) :] if after in seen else [] if after else seen
        if name == action and counted.count(action) >= times:
            raise Killed
        return answer

    return edit


def test_refused_cancel_is_told_loudly_with_the_steps_by_hand(stage: Stage) -> None:
    report = stage.take()
    forbid(stage, "oos:CancelExecution")
    with pytest.raises(RollbackNotCalledOff) as caught:
        stage.confirm()
    error, armed = caught.value, report.armed
    assert armed is not None
    assert error.exit_status is ExitStatus.WILL_GO_BACK
    assert f"{armed.deadline:%Y-%m-%d %H:%M:%S} UTC" in error.message
    assert "oos:CancelExecution" in error.message or "CancelExecution" in error.message
    assert (
        f"aliyun oos CancelExecution --RegionId cn-hangzhou --ExecutionId {armed.execution_id}"
        in (error.hint)
    )
    assert journal(stage).unconfirmed
    assert stage.until_ended() == ["Success"]


@pytest.mark.parametrize(
    "action", ["StartExecution", "ListExecutions", "CancelExecution", "ListTaskExecutions"]
)
def test_one_lost_answer_changes_nothing(stage: Stage, action: str) -> None:
    stage.job.simulator.inject(Fault(kind="lost_reply", action=action))
    report = stage.take()
    assert report.exit_status is ExitStatus.DONE
    assert stage.statuses() == ["Running"]
    assert stage.confirm().outcome is ConfirmOutcome.CONFIRMED
    assert stage.statuses() == ["Cancelled"]
    assert stage.did() == []


@pytest.mark.parametrize("action", ["oos:StartExecution", "oos:ListExecutions"])
def test_right_that_lacks_for_arming_is_named(stage: Stage, action: str) -> None:
    forbid(stage, action)
    if action == "oos:ListExecutions":
        with pytest.raises(PermissionRefused, match="ListExecutions"):
            stage.take()
        assert stage.job.creates() == 0
        return
    report = stage.take()
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert report.error is not None
    assert report.error.code == "rollback-not-armed"
    assert "snap-self policy --rollback" in report.error.hint
    assert (report.armed, bool(report.snapshots)) == (None, True)
    assert (journal(stage).unconfirmed, journal(stage).ended) == (False, ArmedEnd.NOT_ARMED)
    assert stage.statuses() == []


def test_not_seen_whether_it_had_stopped_anything_is_not_called_off(stage: Stage) -> None:
    stage.take()
    forbid(stage, "oos:ListTaskExecutions")
    with pytest.raises(RollbackNotCalledOff, match="not known"):
        stage.confirm()
    assert journal(stage).unconfirmed


@pytest.mark.parametrize(
    "action", ["ecs:DescribeInstances", "ecs:DescribeDisks", "ecs:DescribeSnapshots"]
)
def test_role_that_may_not_see_what_it_needs_is_found_out_when_armed(
    stage: Stage, action: str
) -> None:
    policy = read(rollback_role_policy(holder_of(stage)))
    stage.job.simulator.set_policies(OUTSIDE, without(policy, action))
    report = stage.take()
    assert report.exit_status is ExitStatus.NOT_ARMED
    # It fails within seconds; an agent that is quicker has called it off.
    assert stage.statuses() in (["Failed"], ["Cancelled"])


def test_role_that_the_service_cannot_take_is_found_out_when_armed(stage: Stage) -> None:
    outside = replace(stage.outside(), role="no-such-role")
    policy = read(role_policy(holder_of(stage), POLICIES, passed="no-such-role"))
    stage.job.simulator.set_policies(ROLE, policy)
    report = take_armed(ARMED, stage.job.tools, outside)
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert report.error is not None
    assert "no-such-role" in report.error.message
    assert stage.statuses() in ([], ["Failed"], ["Cancelled"])


@pytest.mark.parametrize("action", ["ecs:StopInstance", "ecs:ResetDisk", "ecs:StartInstance"])
def test_right_that_the_role_of_oos_lacks_later_tears_nothing(stage: Stage, action: str) -> None:
    policy = read(rollback_role_policy(holder_of(stage)))
    assert stage.take().exit_status is ExitStatus.DONE
    stage.job.simulator.set_policies(OUTSIDE, without(policy, action))
    stage.pass_time(WITHIN_S)
    assert stage.until_ended() == ["Failed"]
    assert len(stage.did("ResetDisk")) in (0, len(DISKS))


def test_answers_of_the_start_all_lost_are_called_off_or_told(stage: Stage) -> None:
    stage.job.simulator.inject(Fault(kind="lost_reply", action="StartExecution", count=50))
    report = stage.take()
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert stage.statuses() == ["Cancelled"]
    stage.pass_time(2 * WITHIN_S)
    assert stage.did() == []


def test_start_and_look_all_lost_say_that_it_may_go_back(stage: Stage) -> None:
    stage.job.simulator.inject(Fault(kind="lost_reply", action="StartExecution", count=50))
    # The two before it is asked for are answered.
    stage.job.simulator.inject(Fault(kind="lost_reply", action="ListExecutions", skip=2, count=50))
    report = stage.take()
    assert report.exit_status is ExitStatus.WILL_GO_BACK
    assert report.armed is None
    assert journal(stage).unconfirmed
    stage.job.simulator.api.faults.clear()
    assert len(stage.confirm().called_off) == 1
    assert stage.statuses() == ["Cancelled"]


def test_agent_that_died_after_the_start_leaves_what_the_next_confirm_finds(stage: Stage) -> None:
    stage.job.edit = killing("StartExecution")
    with pytest.raises(Killed):
        stage.take()
    stage.job.edit = lambda _action, answer: answer
    assert journal(stage).execution_id == ""
    assert journal(stage).unconfirmed
    assert len(stage.confirm().called_off) == 1
    assert stage.statuses() == ["Cancelled"]
    assert not journal(stage).unconfirmed


def test_signal_while_it_is_armed_tells_that_something_may_wait(stage: Stage) -> None:
    told: list[Report] = []
    stage.job.tools = replace(stage.job.tools, cut_short=told.append)
    stage.job.edit = killing("StartExecution")
    with pytest.raises(Killed):
        stage.take()
    lines = " ".join(interrupted_lines("SIGTERM", what_was_asked(told[-1]), told[-1]))
    assert "a rollback may wait" in lines
    assert "`snap-self confirm` calls it off" in lines


def test_what_somebody_else_cancelled_is_noted_as_such(stage: Stage) -> None:
    stage.take()
    name = stage.executions()[0]["ExecutionId"]
    stage.call("CancelExecution", Version="2019-06-01", ExecutionId=name)
    assert stage.confirm().outcome is ConfirmOutcome.NOTHING_ARMED
    assert (journal(stage).unconfirmed, journal(stage).ended) == (False, ArmedEnd.CAME_TO_NOTHING)


def test_cloud_that_may_not_be_looked_at_is_not_taken_for_one_where_nothing_waits(
    stage: Stage,
) -> None:
    stage.take()
    forbid(stage, "oos:ListExecutions")
    with pytest.raises(RollbackNotCalledOff, match="ListExecutions"):
        stage.confirm()
    assert journal(stage).unconfirmed
    stage.job.forget()
    with pytest.raises(PermissionRefused):
        stage.confirm()


def test_machine_that_does_not_know_who_it_is_says_when_it_goes_back(stage: Stage) -> None:
    report = stage.take()

    def nobody() -> Identity:
        raise MetadataUnreachable("no answer")

    stage.job.tools = replace(stage.job.tools, identify=nobody)
    with pytest.raises(RollbackNotCalledOff, match="no answer") as caught:
        stage.confirm()
    assert report.armed is not None
    assert f"{report.armed.deadline:%Y-%m-%d %H:%M:%S} UTC" in caught.value.message


def test_execution_that_the_cloud_does_not_show_is_not_taken_for_ended(stage: Stage) -> None:
    stage.take()

    def hidden(action: str, answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "Executions": []} if action == "ListExecutions" else answer

    stage.job.edit = hidden
    with pytest.raises(RollbackNotCalledOff, match="does not show it"):
        stage.confirm()
    assert journal(stage).unconfirmed


def test_what_another_instance_armed_is_not_called_off_by_a_copy_of_it(stage: Stage) -> None:
    stage.take(replace(ARMED, check="healthy"))
    twin = replace(stage.job.tools.identify(), instance_id=InstanceId("i-bp1twin000000000000"))
    stage.job.tools = replace(stage.job.tools, identify=lambda: twin)
    for asked in ({"checks": True}, {}):
        assert stage.confirm(**asked).outcome is ConfirmOutcome.NOTHING_ARMED
    assert list_snapshots(stage.job.tools).armed == ()
    assert stage.statuses() == ["Running"]


def test_agent_that_died_changes_nothing_of_the_clock(stage: Stage) -> None:
    stage.take()
    stage.job.forget()
    stage.pass_time(WITHIN_S)
    assert stage.until_ended() == ["Success"]
    assert stage.did("ResetDisk") == ["ResetDisk", "ResetDisk"]


def test_without_a_journal_the_cloud_is_asked_what_waits(stage: Stage) -> None:
    stage.take()
    stage.job.forget()
    assert len(stage.confirm().called_off) == 1
    assert stage.statuses() == ["Cancelled"]


def test_instance_that_is_powered_off_meanwhile_comes_back(stage: Stage) -> None:
    stage.take()
    own = stage.job.tools.identify().instance_id
    stage.call("StopInstance", InstanceId=own, ForceStop="true", StoppedMode="KeepCharging")
    stage.pass_time(WITHIN_S)
    assert stage.until_ended() == ["Success"]
    assert stage.did("ResetDisk") == ["ResetDisk", "ResetDisk"]
    assert stage.runs


def test_restart_that_goes_on_when_the_time_comes_is_waited_for(stage: Stage) -> None:
    stage.take()
    own = stage.job.tools.identify().instance_id
    stage.call("StopInstance", InstanceId=own, ForceStop="true", StoppedMode="KeepCharging")
    stage.pass_time(WITHIN_S - 60)
    stage.job.simulator.set_operations({"StartInstance": 150})
    stage.call("StartInstance", InstanceId=own)
    stage.pass_time(70)
    for _ in range(10):
        stage.pass_time(2)
    assert (stage.runs, stage.statuses()) == (False, ["Running"])
    assert stage.until_ended() == ["Success"]
    assert stage.did("ResetDisk") == ["ResetDisk", "ResetDisk"]
    assert stage.runs


def test_uploads_of_several_disks_are_waited_for_at_the_same_time(stage: Stage) -> None:
    stage.take()
    stage.pass_time(WITHIN_S - 60)
    stage.job.simulator.set_life(accomplished_s=3 * 3600.0)
    for disk in DISKS:
        stage.call("CreateSnapshot", DiskId=disk)
    stage.pass_time(60)
    for _ in range(300):
        stage.pass_time(5)
        tasks = {each["TaskName"] for each in stage.executions()[0].get("CurrentTasks", [])}
        if stage.moved_s > WITHIN_S + 30 and "uploads" not in tasks:
            break
    # Twenty minutes at most, as the document says; with each look a little later than five seconds.
    assert stage.moved_s < WITHIN_S + 1800


@pytest.mark.parametrize("says_so", [True, False])
def test_boot_check_leaves_what_waits_for_a_later_change_alone(stage: Stage, says_so: bool) -> None:
    earlier = stage.take()
    stage.pass_time(WITHIN_S)
    while not stage.did("RunCommand") and stage.moved_s < 2 * WITHIN_S:
        stage.pass_time(1)
    later = stage.take(replace(ARMED, before="another"))
    assert later.exit_status is ExitStatus.DONE
    asked = boot_check(stage)
    assert asked == ["confirm", earlier.run_id, "--quiet", "--boot-check"]
    if says_so:
        assert stage.confirm(run=asked[1], boot_check=True).called_off == ()
    else:  # as an older template asks
        with pytest.raises(UsageError):  # nothing of that run waits; the status is not asked for
            stage.confirm(run=asked[1])
    assert stage.statuses()[-1] == "Running"
    assert journal_of(stage, later).unconfirmed


def boot(stage: Stage) -> None:
    process = Process(pid=2, boot_id="another boot")
    stage.job.tools = replace(stage.job.tools, process=process)


def test_boot_check_leaves_what_was_armed_since_that_boot_alone(stage: Stage) -> None:
    first = stage.take()
    stage.pass_time(WITHIN_S)
    while not stage.did("RunCommand") and stage.moved_s < 2 * WITHIN_S:
        stage.pass_time(1)
    boot(stage)
    again = stage.take(replace(ARMED, reuse_s=86400))
    assert (again.run_id, again.exit_status) == (first.run_id, ExitStatus.DONE)
    (command, run, *others) = boot_check(stage)
    assert (command, others) == ("confirm", ["--quiet", "--boot-check"])
    for _ in range(2):
        assert stage.confirm(run=run, boot_check=True).outcome is ConfirmOutcome.NOTHING_ARMED
    assert stage.statuses()[1:] == ["Running"]
    assert journal(stage).unconfirmed
    # That the disks went back is not forgotten over it.
    assert first.armed is not None
    (record,) = stage.job.journal.all()
    assert record.went_back is not None
    assert record.went_back.execution_id == first.armed.execution_id
    assert stage.confirm(run=run).called_off == (again.armed,)
    assert journal(stage).ended is ArmedEnd.CONFIRMED


def test_boot_check_leaves_alone_what_is_not_shown_yet(stage: Stage) -> None:
    stage.take()
    stage.job.edit = lambda action, answer: (
        {**answer, "Executions": []} if action == "ListExecutions" else answer
    )
    assert stage.confirm(boot_check=True).outcome is ConfirmOutcome.NOTHING_ARMED
    assert journal(stage).unconfirmed


def test_boot_check_calls_off_what_was_armed_before_that_boot(stage: Stage) -> None:
    armed = stage.take().armed
    boot(stage)
    assert stage.confirm(boot_check=True).called_off == (armed,)
    assert journal(stage).ended is ArmedEnd.CONFIRMED


def test_snapshot_that_is_uploaded_when_the_time_comes_is_waited_for(stage: Stage) -> None:
    stage.take()
    stage.pass_time(WITHIN_S - 60)
    stage.job.simulator.set_life(accomplished_s=200.0)
    stage.call("CreateSnapshot", DiskId=DISKS[1])
    stage.pass_time(61)
    stage.pass_time(60)
    assert (stage.did(), stage.statuses()) == ([], ["Running"])
    assert stage.until_ended() == ["Success"]
    assert stage.did("ResetDisk") == ["ResetDisk", "ResetDisk"]


def test_check_that_succeeds_confirms(stage: Stage) -> None:
    stage.take(replace(ARMED, check="curl -f localhost"))
    confirmed = stage.confirm(checks=True)
    assert confirmed.outcome is ConfirmOutcome.CONFIRMED
    assert stage.ran == [(("curl -f localhost",), True)]
    assert stage.statuses() == ["Cancelled"]


def test_check_that_fails_leaves_it_armed(stage: Stage) -> None:
    stage.take(replace(ARMED, check="curl -f localhost"))
    stage.wrong = {"curl -f localhost": "status 7"}
    with pytest.raises(CheckFailed, match="curl -f localhost: status 7"):
        stage.confirm(checks=True)
    assert stage.statuses() == ["Running"]
    assert journal(stage).unconfirmed


def test_no_check_at_all_confirms_nothing(stage: Stage) -> None:
    stage.take()
    confirmed = stage.confirm(checks=True)
    assert confirmed.outcome is ConfirmOutcome.NO_CHECK
    assert confirmed.waiting is not None
    assert stage.statuses() == ["Running"]


def test_checks_without_anything_armed_ask_nothing_and_run_nothing(stage: Stage) -> None:
    before = len(stage.job.simulator.calls)
    assert stage.confirm(checks=True).outcome is ConfirmOutcome.NOTHING_NOTED
    assert (stage.ran, len(stage.job.simulator.calls)) == ([], before)


def test_moved_rollback_keeps_its_check(stage: Stage) -> None:
    stage.take(replace(ARMED, check="true"))
    stage.confirm(extend_s=2 * WITHIN_S)
    assert journal(stage).check == "true"


def test_confirmed_while_another_run_holds_the_lock(stage: Stage) -> None:
    stage.take()
    lock = stage.job.tools.lock
    with lock.hold(timeout_s=1, purpose="another run"):
        confirmed = stage.confirm()
    assert confirmed.outcome is ConfirmOutcome.CONFIRMED
    assert stage.statuses() == ["Cancelled"]
    assert any("journal" in note for note in confirmed.notes)


def test_one_that_has_begun_to_stop_the_machine_is_not_cut_short(stage: Stage) -> None:
    stage.take()
    stage.job.simulator.set_operations({"StopInstance": 120})
    stage.pass_time(WITHIN_S)
    for _ in range(50):
        if "stopped" in [each["TaskName"] for each in stage.executions()[0]["CurrentTasks"]]:
            break
        stage.job.clock.sleep(0.1)
    with pytest.raises(RollbackNotCalledOff, match="begun to stop"):
        stage.confirm()
    assert stage.did("CancelExecution") == []


def test_failing_journal_arms_nothing(stage: Stage) -> None:
    plain = stage.job.journal.save

    def save(record: Any) -> None:
        if record.armed is not None:
            stage.job.journal.failing = "disk full"
        plain(record)

    stage.job.journal.save = save  # type: ignore[method-assign]
    report = stage.take()
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert stage.statuses() == []


def test_errors_say_what_holds() -> None:
    for kind in (RollbackNotArmed, RollbackNotCalledOff):
        assert issubclass(kind, SnapSelfError)
    assert (int(ExitStatus.WILL_GO_BACK), int(ExitStatus.NOT_ARMED)) == (22, 23)


# --- `run`: the change itself -----------------------------------------------------------------


class Confirming:
    """Arms and confirms as the command line does, with checks of the test's."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def take(self, request: Request, tools: Tools) -> Report:
        return take_armed(request, tools, self._stage.outside())

    def confirm(self, tools: Tools, armed: Waiting, check: str) -> None:
        request = ConfirmRequest(run=armed.run, check=check)
        confirm(tools, self._stage.outside(), request, self._stage.check)


@dataclass
class View:
    """Notes what it is told."""

    told: list[str] = field(default_factory=list)

    def snapshot_ended(self, report: Report, *, starting: bool) -> None:
        self.told.append(f"snapshot {int(report.exit_status)} {starting}")

    def command_ended(self, changed: Changed) -> None:
        self.told.append(f"command {changed.exit_status}")

    def waits(self, changed: Changed) -> None:
        self.told.append("confirmed" if changed.confirmed else "waits")

    def machine_changed(self, report: Report, since: Since) -> None:
        self.told.append("machine changed")


def changed_by(
    stage: Stage, ending: Ended, *, check: str = "", policy: OnSnapshotFailure | None = None
) -> tuple[Changed, FakeForeground, View]:
    commands, view = FakeForeground(ending), View()
    change = Change(
        request=replace(ARMED, check=check),
        argv=("upgrade",),
        policy=policy or OnSnapshotFailure.STOP,
        confirming=Confirming(stage),
    )
    return run_change(change, stage.job.tools, commands, view), commands, view


def test_command_whose_check_succeeds_is_confirmed(stage: Stage) -> None:
    changed, commands, view = changed_by(stage, Ended(status=0), check="healthy")
    assert (changed.exit_status, changed.confirmed) == (0, True)
    assert commands.started == [("upgrade",)]
    assert view.told == ["snapshot 0 True", "command 0", "confirmed"]
    assert stage.statuses() == ["Cancelled"]


def test_command_whose_check_fails_leaves_it_armed_and_tells_by_its_status(stage: Stage) -> None:
    stage.wrong = {"healthy": "status 1"}
    changed, _, view = changed_by(stage, Ended(status=0), check="healthy")
    assert (changed.exit_status, changed.confirmed) == (7, False)
    assert view.told[-1] == "waits"
    assert stage.statuses() == ["Running"]


def test_command_that_fails_is_not_checked_and_passes_its_status_on(stage: Stage) -> None:
    changed, _, _ = changed_by(stage, Ended(status=3), check="healthy")
    assert (changed.exit_status, stage.ran) == (3, [])
    assert stage.statuses() == ["Running"]


def test_command_without_a_check_is_left_to_be_confirmed(stage: Stage) -> None:
    changed, _, view = changed_by(stage, Ended(status=0))
    assert (changed.exit_status, changed.confirmed, view.told[-1]) == (0, False, "waits")
    assert stage.statuses() == ["Running"]


def test_check_that_succeeds_but_cannot_call_it_off_is_status_22(stage: Stage) -> None:
    forbid(stage, "oos:CancelExecution")
    changed, _, _ = changed_by(stage, Ended(status=0), check="healthy")
    assert (changed.exit_status, changed.confirmed) == (22, False)


@pytest.mark.parametrize("policy", OnSnapshotFailure)
def test_command_is_not_started_where_nothing_is_armed(
    stage: Stage, policy: OnSnapshotFailure
) -> None:
    forbid(stage, "oos:StartExecution")
    changed, commands, view = changed_by(stage, Ended(status=0), policy=policy)
    assert (changed.exit_status, commands.started) == (125, [])
    assert view.told == ["snapshot 23 False"]


@pytest.mark.parametrize("policy", OnSnapshotFailure)
def test_command_is_not_started_without_the_snapshot_to_go_back_to(
    stage: Stage, policy: OnSnapshotFailure
) -> None:
    refusal = "error:Forbidden.RAM:403"
    stage.job.simulator.inject(Fault(kind=refusal, action="CreateSnapshotGroup", count=9))
    changed, commands, _ = changed_by(stage, Ended(status=0), policy=policy)
    assert (changed.exit_status, commands.started) == (125, [])
    assert stage.statuses() == []


# --- what tells of it -------------------------------------------------------------------------


def test_list_tells_what_waits_and_prune_keeps_it(stage: Stage) -> None:
    report = stage.take()
    assert list_snapshots(stage.job.tools).armed == (report.armed,)
    stage.confirm()
    assert list_snapshots(stage.job.tools).armed == ()


def test_snapshots_of_a_run_that_waits_are_kept(stage: Stage) -> None:
    stage.take()
    stage.pass_time(2)  # the cloud tells a cut in whole seconds, and the next is to be the newest
    stage.job.run(Request(before="later"))
    for _ in range(500):
        if all(s["progress"] == 100 for s in stage.job.simulator.dump()["snapshots"].values()):
            break
        stage.job.clock.sleep(0.1)
    policy = PrunePolicy(keep_last=1)
    kept = prune(stage.job.tools, policy, dry_run=True)
    assert kept.due == 0
    assert any("snap-self confirm" in one.step.reason for one in kept.outcomes)
    stage.confirm()
    assert prune(stage.job.tools, policy, dry_run=True).due == len(DISKS)


def test_run_that_was_confirmed_is_not_gone_back_to_by_a_later_change(stage: Stage) -> None:
    first = stage.take()
    stage.confirm()
    again = stage.take(replace(ARMED, before="another", reuse_s=3600))
    assert again.exit_status is ExitStatus.DONE
    assert again.run_id != first.run_id


def test_what_came_to_nothing_long_ago_is_not_confirmed_by_a_check(stage: Stage) -> None:
    stage.take(replace(ARMED, check="healthy"))
    name = stage.executions()[0]["ExecutionId"]
    stage.call("CancelExecution", Version="2019-06-01", ExecutionId=name)
    stage.job.clock.sleep(WITHIN_S + 1801)
    assert stage.confirm(checks=True).outcome is ConfirmOutcome.NOTHING_ARMED
    assert stage.ran == []


def test_clock_that_is_ahead_keeps_no_check_from_confirming(stage: Stage) -> None:
    stage.take(replace(ARMED, check="healthy"))
    stage.job.clock.sleep(WITHIN_S + 1801)  # the agent's own: the cloud's stands still
    assert stage.confirm(checks=True).outcome is ConfirmOutcome.CONFIRMED
    assert stage.ran == [(("healthy",), True)]
    assert stage.statuses() == ["Cancelled"]


def test_change_whose_command_failed_is_confirmed_by_no_check_later(stage: Stage) -> None:
    changed_by(stage, Ended(status=3), check="healthy")
    confirmed = stage.confirm(checks=True)
    assert confirmed.outcome is ConfirmOutcome.COMMAND_FAILED
    assert confirmed.waiting is not None
    assert (stage.ran, stage.statuses()) == ([], ["Running"])
    assert stage.confirm().outcome is ConfirmOutcome.CONFIRMED
