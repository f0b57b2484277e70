"""The rollback template on the simulated OOS: each task failing once, each reply lost once.

Whatever fails, a set of which a part went back is never started, and one of which no disk was reset
runs in the end or is said not to.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jq
import pytest
import yaml

from ecs_simulator.config import InstanceConfig, LifeTimes, RoleConfig, SimulatorConfig
from ecs_simulator.faults import Fault
from ecs_simulator.pace import Fate
from fakes.fleet_oos import ScriptedGuest
from fakes.simulated_cloud import TWO_DISKS
from fakes.simulated_oos import OosCloud
from snap_self.access.documents import OOS_SERVICE, as_sent, rollback_role_policy
from snap_self.model.actions import Holder
from snap_self.model.executions import Execution

CONTENT = (
    Path(__file__).resolve().parents[3] / "agent/snap_self/data/snap-self-rollback.yml"
).read_text("utf-8")
TEMPLATE: dict[str, Any] = yaml.safe_load(CONTENT)
OWN = TWO_DISKS.instances[0]
DISKS = ("d-sys", "d-data")
ORDERS = ("StopInstance", "ResetDisk", "StartInstance")
LOOKS = ("DescribeInstances", "DescribeSnapshots", "DescribeDisks")
AFTERWARDS = ("DescribeCloudAssistantStatus", "RunCommand")
REFUSED = "error:Forbidden.RAM:403"
THROTTLED = "error:Throttling.User:400"
# What public templates of the service use: keys of a template, of its parameters and of a task, and
# actions. Source: github.com/aliyun/oos-templates.
TOP = {"FormatVersion", "Description", "Parameters", "RamRole", "Tasks", "Outputs"}
TEXTS = {"en", "zh-cn", "name-en", "name-zh-cn", "categories"}
PARAMETER = {"Type", "Label", "Description", "Default", "AllowedValues", "AssociationProperty"}
KINDS = {"String", "Number", "Boolean", "List", "Json"}
TASK = {
    *("Name", "Action", "Description", "Properties", "Outputs", "Loop", "When", "OnError"),
    *("OnSuccess", "Retries", "Delay", "DelayType"),
}
ACTIONS = {
    *("ACS::ExecuteAPI", "ACS::WaitFor", "ACS::CheckFor", "ACS::ECS::RunCommand", "ACS::Sleep"),
}
FUNCTIONS = {"Fn::Select", "Fn::Split", "Fn::Equals", "Fn::Not", "Fn::And"}
CALLING = {"Service", "API", "Parameters"}
PROPERTIES = {
    "ACS::ExecuteAPI": CALLING,
    "ACS::CheckFor": CALLING | {"PropertySelector", "DesiredValues"},
    "ACS::WaitFor": CALLING | {"PropertySelector", "DesiredValues", "StopRetryValues"},
    "ACS::Sleep": {"Duration"},
    "ACS::ECS::RunCommand": {
        *("regionId", "instanceId", "commandType", "commandContent", "timeout"),
    },
}


class BootingGuest(ScriptedGuest):
    """A guest whose Cloud Assistant starts late in the boot."""

    def __init__(self, scene: OosCloud, boot_s: float | None) -> None:
        super().__init__()
        self._scene = scene
        self._boot_s = boot_s

    def is_up(self, instance_id: str) -> bool:
        """Tell whether it has booted by now."""
        started_at = self._scene.cloud.instance(instance_id).started_at
        return self._boot_s is not None and self._scene.clock.time - started_at >= self._boot_s


class Scene(OosCloud):
    """An instance with two disks, a snapshot of each, and executions of the template.

    Args:
        boot_s: how long after a start Cloud Assistant runs; None for never.
    """

    def __init__(self, config: SimulatorConfig = TWO_DISKS, *, boot_s: float | None = 5.0) -> None:
        super().__init__(config)
        self.guest = BootingGuest(self, boot_s)
        self.cloud.assistant.guest = self.guest
        self.shots = {disk: self.made("CreateSnapshot", DiskId=disk) for disk in DISKS}
        self.pass_time(2)
        self.pass_time(200)

    def parameters(self, *disks: str, **changes: Any) -> dict[str, Any]:
        pairs = [f"{disk}:{self.shots[disk]}" for disk in disks]
        return {
            "instanceId": "i-own",
            "pairs": pairs,
            "first": pairs[0],
            "others": pairs[1:],
            "diskIds": [*disks],
            "count": len(pairs),
            **changes,
        }

    def go(self, *disks: str, **changes: Any) -> dict[str, Any]:
        """Run an execution to its end, whatever time it takes, and return it."""
        given = self.parameters(*(disks or DISKS), **changes)
        name = self.started(CONTENT, Parameters=given)
        for _ in range(2500):
            self.pass_time(2)  # no look of the template's is missed
            if self.status(name) not in ("Started", "Running"):
                break
        self.pass_time(5)  # what was begun last ends
        return self.execution(name)

    @property
    def reset(self) -> list[str]:
        """The disks that were reset, each once, in their order."""
        return list(dict.fromkeys(each[1] for each in self.storage.log if each[0] == "reset"))

    @property
    def instance(self) -> str:
        """The instance's status."""
        found = self.call("DescribeInstances").body["Instances"]["Instance"]
        return str(found[0]["Status"])

    def fails(self, action: str, kind: str, *, after: int = 0, count: int = 1) -> None:
        """Have calls of an action fail."""
        self.api.faults.add(Fault(kind=kind, action=action, skip=after, count=count))


def hold_promise(scene: Scene, ended: dict[str, Any]) -> None:
    """No torn set runs, and what is told is so."""
    part = scene.reset
    if scene.instance in ("Running", "Starting"):
        assert part in ([], [*DISKS]), "a torn set was started"
    if ended["Status"] == "Success":
        assert (part, scene.instance) == ([*DISKS], "Running")
    else:
        assert ended["Status"] == "Failed"
        assert ended["StatusMessage"]
    if not part and scene.instance == "Stopped":
        statuses = scene.statuses(ended["ExecutionId"])
        told = {"leftStopped", "firstNotKnown"} & {*statuses}
        assert told, "a whole machine is off, and nobody is told"


def test_all_disks_go_back_and_the_instance_runs() -> None:
    scene = Scene()
    ended = scene.go()
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert (scene.reset, scene.instance) == ([*DISKS], "Running")
    assert scene.called(*ORDERS) == ["StopInstance", "ResetDisk", "ResetDisk", "StartInstance"]


def test_one_disk_goes_back_alone() -> None:
    scene = Scene()
    assert scene.go("d-data")["Status"] == "Success"
    assert (scene.reset, scene.instance) == (["d-data"], "Running")


def test_instance_that_is_stopped_is_brought_back_and_started() -> None:
    scene = Scene()
    scene.call("StopInstance", InstanceId="i-own", StoppedMode="KeepCharging")
    scene.pass_time(5)
    assert scene.go()["Status"] == "Success"
    assert scene.instance == "Running"


def test_engine_waits_no_longer_than_the_instance_takes_and_ten_seconds() -> None:
    scene = Scene()
    begun = scene.clock.time
    name = scene.started(CONTENT, Parameters=scene.parameters(*DISKS))
    while scene.statuses(name).get("running") != "Success":
        scene.pass_time(0.1)
    # A look each for stop and start, and the pause before the looks at the disks.
    assert scene.clock.time - begun <= 10


@pytest.mark.parametrize("kind", ["lost_reply", "reset"])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("action", ORDERS)
def test_order_whose_reply_is_lost_once(action: str, after: int, kind: str) -> None:
    scene = Scene()
    scene.fails(action, kind, after=after)
    hold_promise(scene, scene.go())


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("action", LOOKS)
def test_look_whose_reply_is_lost_once(action: str, after: int) -> None:
    scene = Scene()
    scene.fails(action, "lost_reply", after=after)
    ended = scene.go()
    hold_promise(scene, ended)
    assert ended["Status"] == "Success"


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("action", [*ORDERS, *LOOKS])
def test_call_that_is_refused_for_good(action: str, after: int) -> None:
    scene = Scene()
    scene.fails(action, REFUSED, after=after, count=1000)
    name = scene.started(CONTENT, Parameters=scene.parameters(*DISKS))
    for _ in range(1000):
        scene.pass_time(5)
    scene.api.faults.clear()
    hold_promise(scene, scene.execution(name))


def test_first_reset_refused_has_the_untouched_instance_run_again() -> None:
    scene = Scene()
    scene.fails("ResetDisk", REFUSED, count=100)
    ended = scene.go()
    assert (ended["Status"], scene.reset, scene.instance) == ("Failed", [], "Running")
    assert "nothingWasReset" in scene.statuses(ended["ExecutionId"])


def test_second_reset_refused_leaves_the_instance_stopped() -> None:
    scene = Scene()
    scene.fails("ResetDisk", REFUSED, after=1, count=100)
    ended = scene.go()
    assert (ended["Status"], scene.reset, scene.instance) == ("Failed", ["d-sys"], "Stopped")
    assert "start" not in scene.statuses(ended["ExecutionId"])


def test_instance_that_was_stopped_before_is_not_started_where_nothing_was_reset() -> None:
    scene = Scene()
    scene.call("StopInstance", InstanceId="i-own", StoppedMode="KeepCharging")
    scene.pass_time(5)
    scene.fails("ResetDisk", REFUSED, count=100)
    ended = scene.go()
    assert (ended["Status"], scene.reset, scene.instance) == ("Failed", [], "Stopped")


def test_reply_of_the_first_reset_that_is_lost_does_not_stop_the_rollback() -> None:
    scene = Scene()
    scene.fails("ResetDisk", "lost_reply")
    assert scene.go()["Status"] == "Success"


# What lists show lags behind by at most that long in these scenes.
LAG_S = 5.0


def lagging(reset_s: float, seed: int) -> Scene:
    """Return a scene whose lists of disks lag, and whose resets take their time."""
    return Scene(
        replace(TWO_DISKS, sight_lag_s=LAG_S, operations_s={"ResetDisk": reset_s}, seed=seed)
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("reset_s", [1.0, 6.0, 12.0, 40.0])
def test_reset_that_is_shown_late_is_not_taken_for_none(
    reset_s: float, seed: int, *, lost: bool
) -> None:
    scene = lagging(reset_s, seed)
    if lost:
        scene.fails("ResetDisk", "lost_reply")
    ended = scene.go()
    hold_promise(scene, ended)
    assert ended["Status"] == "Success", ended["StatusMessage"]


@pytest.mark.parametrize("seed", range(5))
def test_disk_that_is_not_shown_to_be_reset_yet_is_not_taken_for_back(seed: int) -> None:
    scene = lagging(20.0, seed)
    ended = scene.go("d-data")
    assert (ended["Status"], scene.reset) == ("Success", ["d-data"])
    # Asked once, and not while the disk was being reset.
    asked = [call.code for call in scene.api.calls.all() if call.action == "StartInstance"]
    assert asked == [""]


@pytest.mark.parametrize("kind", [THROTTLED, REFUSED, "reset"])
@pytest.mark.parametrize("count", [1, 2])
def test_first_reset_that_is_refused_in_passing_is_asked_for_again(count: int, kind: str) -> None:
    scene = Scene()
    scene.fails("ResetDisk", kind, count=count)
    assert scene.go()["Status"] == "Success"


@pytest.mark.parametrize("seed", range(6))
def test_first_reset_that_is_not_shown_at_all_is_asked_for_again(seed: int) -> None:
    scene = lagging(1.0, seed)
    scene.fails("ResetDisk", "lost_reply", count=2)
    hold_promise(scene, scene.go())


def left_in_doubt(scene: Scene, ended: dict[str, Any]) -> bool:
    """Tell whether a set is left stopped, and said to be perhaps torn."""
    statuses = scene.statuses(ended["ExecutionId"])
    assert {"start", "runAgain"}.isdisjoint(statuses)
    return (scene.instance, statuses["firstNotKnown"]) == ("Stopped", "Failed")


def test_first_reset_that_nothing_can_be_seen_of_leaves_the_set_stopped() -> None:
    scene = lagging(20.0, 1)
    scene.fails("ResetDisk", "lost_reply")
    before_the_stop = len(DISKS)
    scene.fails("DescribeDisks", REFUSED, after=before_the_stop, count=1000)
    assert left_in_doubt(scene, scene.go())


def test_first_disk_that_an_earlier_reset_has_spoiled_is_not_taken_for_untouched() -> None:
    scene = Scene()
    scene.call("StopInstance", InstanceId="i-own", StoppedMode="KeepCharging")
    scene.pass_time(5)
    scene.cloud.pace.befall(Fate(action="ResetDisk", outcome="fail"))
    scene.call("ResetDisk", DiskId="d-sys", SnapshotId=scene.shots["d-sys"])
    scene.pass_time(5)
    scene.fails("ResetDisk", REFUSED, count=100)
    assert left_in_doubt(scene, scene.go())


def test_instance_that_does_not_stop_is_stopped_by_force() -> None:
    scene = Scene(replace(TWO_DISKS, operations_s={"StopInstance": 400.0}))
    ended = scene.go()
    assert scene.called("StopInstance") == ["StopInstance", "StopInstance"]
    hold_promise(scene, ended)


def test_disks_are_back_also_where_an_error_that_was_minded_fails_the_execution() -> None:
    scene = Scene(replace(TWO_DISKS, handled_errors_fail=True))
    scene.fails("ResetDisk", "lost_reply")
    ended = scene.go()
    assert (scene.reset, scene.instance) == ([*DISKS], "Running")
    assert scene.statuses(ended["ExecutionId"])["running"] == "Success"


def with_own(**changes: Any) -> SimulatorConfig:
    own: InstanceConfig = replace(OWN, **changes)
    return replace(TWO_DISKS, instances=(own,))


def test_instance_in_economical_mode_is_left_alone() -> None:
    scene = Scene(with_own(status="Stopped", stopped_mode="StopCharging"))
    assert scene.go()["Status"] == "Failed"
    assert scene.called(*ORDERS) == []


def test_snapshot_of_another_disk_is_found_out_before_anything_is_done() -> None:
    scene = Scene()
    scene.shots["d-data"] = scene.shots["d-sys"]
    ended = scene.go()
    assert (ended["Status"], scene.called(*ORDERS)) == ("Failed", [])
    assert scene.statuses(ended["ExecutionId"])["checkSnapshots"] == "Failed"


def test_snapshot_that_is_not_usable_yet_is_found_out_before_anything_is_done() -> None:
    slow = replace(TWO_DISKS, life=LifeTimes(cut_s=1, available_s=5000, accomplished_s=6000))
    scene = Scene(slow)
    ended = scene.go()
    assert (ended["Status"], scene.called(*ORDERS)) == ("Failed", [])
    assert scene.statuses(ended["ExecutionId"])["checkSnapshots"] == "Failed"


def test_reset_that_ends_in_a_failure_is_not_started() -> None:
    scene = Scene()
    scene.cloud.pace.befall(Fate(action="ResetDisk", outcome="fail"))
    ended = scene.go()
    assert (ended["Status"], scene.instance) == ("Failed", "Stopped")
    assert "start" not in scene.statuses(ended["ExecutionId"])


def test_start_that_is_refused_once_is_asked_for_again() -> None:
    scene = Scene()
    scene.fails("StartInstance", REFUSED)
    assert scene.go()["Status"] == "Success"


# Between these calls of a start there are a pause or a look.
TRIES = 4


@pytest.mark.parametrize("kind", [THROTTLED, REFUSED, "lost_reply", "reset"])
@pytest.mark.parametrize("count", [1, 2, TRIES - 1])
def test_start_that_is_refused_in_passing_leaves_no_whole_machine_off(
    count: int, kind: str
) -> None:
    scene = Scene()
    scene.fails("StartInstance", kind, count=count)
    ended = scene.go()
    assert (ended["Status"], scene.reset) == ("Success", [*DISKS])
    assert scene.instance == "Running"


@pytest.mark.parametrize("kind", [THROTTLED, REFUSED, "lost_reply", "reset"])
@pytest.mark.parametrize("count", [1, 2, TRIES - 1])
def test_untouched_machine_runs_again_though_its_start_is_refused_in_passing(
    count: int, kind: str
) -> None:
    scene = Scene()
    scene.fails("ResetDisk", REFUSED, count=100)
    scene.fails("StartInstance", kind, count=count)
    ended = scene.go()
    assert (ended["Status"], scene.reset, scene.instance) == ("Failed", [], "Running")
    statuses = scene.statuses(ended["ExecutionId"])
    assert (statuses["runsAgain"], "leftStopped" in statuses) == ("Success", False)


@pytest.mark.parametrize("branch", ["all back", "untouched"])
def test_start_is_asked_for_again_past_the_minute_in_which_calls_are_counted(branch: str) -> None:
    scene = Scene()
    if branch == "untouched":
        scene.fails("ResetDisk", REFUSED, count=100)
    scene.fails("StartInstance", THROTTLED, count=100)
    scene.go()
    asked = [call.time for call in scene.api.calls.all() if call.action == "StartInstance"]
    assert len(asked) == TRIES
    assert asked[-1] - asked[0] > 65
    assert all(later - before > 4 for before, later in pairwise(asked))


def test_untouched_machine_that_cannot_be_started_again_is_told_as_off() -> None:
    scene = Scene()
    scene.fails("ResetDisk", REFUSED, count=100)
    scene.fails("StartInstance", REFUSED, count=100)
    ended = scene.go()
    assert (ended["Status"], scene.reset, scene.instance) == ("Failed", [], "Stopped")
    statuses = scene.statuses(ended["ExecutionId"])
    assert (statuses["leftStopped"], "nothingWasReset" in statuses) == ("Failed", False)


def test_start_whose_reply_is_lost_is_seen_and_not_waited_for_any_longer() -> None:
    scene = Scene()
    scene.fails("StartInstance", "lost_reply")
    ended = scene.go()
    assert scene.called("StartInstance") == ["StartInstance"]
    assert ended["Status"] == "Success"


def test_disk_of_another_instance_is_found_out_before_anything_is_done() -> None:
    scene = Scene()
    scene.call("DetachDisk", InstanceId="i-own", DiskId="d-data")
    scene.pass_time(5)
    ended = scene.go()
    assert (ended["Status"], scene.called(*ORDERS)) == ("Failed", [])


@pytest.mark.parametrize("disks", [("d-data",), DISKS])
def test_present_state_is_snapshotted_first_where_it_is_asked_for(disks: tuple[str, ...]) -> None:
    scene = Scene()
    tags = [{"Key": "snap-self-owner", "Value": "i-own"}]
    ended = scene.go(*disks, snapshotFirst=True, presentTags=tags)
    assert ended["Status"] == "Success", ended["StatusMessage"]
    made = "CreateSnapshot" if len(disks) == 1 else "CreateSnapshotGroup"
    order = scene.called("CreateSnapshot", "CreateSnapshotGroup", "StopInstance")
    assert order[2:] == [made, "StopInstance"]
    if len(disks) == 1:
        newest = scene.snapshots()[0]
        assert newest["Tags"]["Tag"] == [{"TagKey": "snap-self-owner", "TagValue": "i-own"}]


def test_present_state_that_cannot_be_kept_ends_it_before_anything_is_done() -> None:
    scene = Scene()
    scene.fails("CreateSnapshotGroup", REFUSED)
    ended = scene.go(snapshotFirst=True)
    assert (ended["Status"], scene.called(*ORDERS)) == ("Failed", [])


def test_boot_check_that_fails_changes_nothing_of_the_end() -> None:
    scene = Scene()
    scene.fails("RunCommand", REFUSED)
    ended = scene.go()
    assert ended["Status"] == "Success"
    assert scene.statuses(ended["ExecutionId"])["bootCheck"] == "Failed"


@pytest.mark.parametrize("kind", ["lost_reply", "reset", REFUSED])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("action", AFTERWARDS)
def test_call_after_the_start_that_fails_once_changes_nothing_of_the_end(
    action: str, after: int, kind: str
) -> None:
    scene = Scene(boot_s=90.0)
    scene.fails(action, kind, after=after)
    ended = scene.go()
    hold_promise(scene, ended)
    assert ended["Status"] == "Success"


@pytest.mark.parametrize("boot_s", [5.0, 90.0, 600.0])
def test_boot_check_runs_however_long_the_boot_takes(boot_s: float) -> None:
    scene = Scene(boot_s=boot_s)
    # It counts as running for two minutes after the stop; what was heard before it proves nothing.
    before = scene.call("DescribeCloudAssistantStatus", InstanceId__1="i-own").body
    (heard,) = before["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
    assert heard["CloudAssistantStatus"] == "true"
    ended = scene.go()
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert scene.statuses(ended["ExecutionId"])["bootCheck"] == "Success"
    ((_, command),) = scene.guest.begun
    assert b"uptime" in command.content
    # It was sent once, and to an assistant that ran.
    (run,) = next(iter(scene.cloud.assistant.invocations.values())).runs
    assert run.started_at is not None
    assert run.started_at - scene.cloud.own_instance.started_at >= boot_s
    assert scene.called("RunCommand") == ["RunCommand"]


def test_assistant_that_never_runs_holds_the_end_back_for_a_bounded_time() -> None:
    scene = Scene(boot_s=None)
    name = scene.started(CONTENT, Parameters=scene.parameters(*DISKS))
    while scene.statuses(name).get("running") != "Success":
        scene.pass_time(2)
    runs_at = scene.clock.time
    while scene.status(name) in ("Started", "Running"):
        scene.pass_time(1)
    assert scene.clock.time - runs_at < 1000
    assert scene.execution(name)["Status"] == "Success"
    statuses = scene.statuses(name)
    assert (statuses["assistantUp"], statuses["bootCheck"]) == ("Failed", "Failed")
    # It was tried all the same.
    assert scene.called("RunCommand") == ["RunCommand"]


@pytest.mark.parametrize(
    ("start", "heard", "found"),
    [
        ("2026-11-22T09:30Z", "2026-11-22T09:31:00Z", "true"),
        ("2026-11-22T09:30Z", "2026-11-22T09:30:59Z", "not heard"),
        ("2026-11-22T09:30Z", "2026-11-21T23:59:59Z", "not heard"),
        # Should OOS fill in nothing there.
        ("{{ running.startedAt }}", "2026-11-21T23:59:59Z", "true"),
    ],
)
def test_assistant_counts_that_was_heard_since_the_start(
    start: str, heard: str, found: str
) -> None:
    (task,) = (each for each in TEMPLATE["Tasks"] if each["Name"] == "assistantUp")
    selector = task["Properties"]["PropertySelector"].replace("{{ running.startedAt }}", start)
    entry = {"LastHeartbeatTime": heard, "CloudAssistantStatus": "true"}
    answer = {"InstanceCloudAssistantStatusSet": {"InstanceCloudAssistantStatus": [entry]}}
    assert jq.compile(selector).input(answer).all() == [found]


def test_execution_counts_as_over_while_it_waits_for_the_boot() -> None:
    scene = Scene(boot_s=600.0)
    name = scene.started(CONTENT, Parameters=scene.parameters(*DISKS))
    while "assistantUp" not in scene.statuses(name):
        scene.pass_time(1)
    (running,) = (t for t in scene.tasks(name) if t["Status"] == "Running")
    assert Execution(execution_id=name, status="Running", tasks=(running["TaskName"],)).over


# --- with the rights of its role alone -------------------------------------------------------

OUTSIDE = "own-rollback"
RIGHTS: dict[str, Any] = json.loads(
    as_sent(
        rollback_role_policy(
            Holder(region="cn-hangzhou", account="*", instance_id="i-own", disks=DISKS)
        )
    )
)


def with_rights(document: dict[str, Any]) -> Scene:
    """Return a scene in which OOS has a role with that policy; the snapshots are the instance's."""
    role = RoleConfig(name=OUTSIDE, trusted=(OOS_SERVICE,), policies=(document,))
    scene = Scene(replace(TWO_DISKS, roles=(*TWO_DISKS.roles, role)))
    for shot in scene.shots.values():
        tag = {"Tag__1__Key": "snap-self-owner", "Tag__1__Value": "i-own"}
        scene.call("TagResources", ResourceType="snapshot", ResourceId__1=shot, **tag)
    return scene


def without(action: str) -> dict[str, Any]:
    """Return the role's policy with one action less."""
    kept = []
    for statement in RIGHTS["Statement"]:
        named = statement["Action"]
        left = [each for each in ([named] if isinstance(named, str) else named) if each != action]
        if left:
            kept.append({**statement, "Action": left})
    assert kept != RIGHTS["Statement"]
    return {**RIGHTS, "Statement": kept}


@pytest.mark.parametrize("first", [False, True])
def test_rights_of_the_printed_role_suffice(*, first: bool) -> None:
    scene = with_rights(RIGHTS)
    ended = scene.go(OOSAssumeRole=OUTSIDE, snapshotFirst=first)
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert ended["RamRole"] == OUTSIDE
    assert [call.action for call in scene.api.calls.all() if call.code] == []
    assert scene.statuses(ended["ExecutionId"])["bootCheck"] == "Success"


@pytest.mark.parametrize(
    "action",
    [
        *("ecs:DescribeInstances", "ecs:DescribeDisks", "ecs:DescribeSnapshots"),
        *("ecs:StopInstance", "ecs:StartInstance", "ecs:ResetDisk", "ecs:RunCommand"),
        "ecs:DescribeCloudAssistantStatus",
    ],
)
def test_right_that_the_role_lacks_tears_nothing(action: str) -> None:
    scene = with_rights(without(action))
    ended = scene.go(OOSAssumeRole=OUTSIDE)
    hold_promise(scene, ended)
    after = ("ecs:RunCommand", "ecs:DescribeCloudAssistantStatus")
    assert (ended["Status"] == "Success") is (action in after)
    assert bool(scene.called("RunCommand")) is (action in after)


def test_role_from_before_the_wait_for_the_boot_has_its_boot_check_tried() -> None:
    scene = with_rights(without("ecs:DescribeCloudAssistantStatus"))
    ended = scene.go(OOSAssumeRole=OUTSIDE)
    statuses = scene.statuses(ended["ExecutionId"])
    assert (statuses["assistantUp"], statuses["bootCheck"]) == ("Failed", "Success")


def test_snapshot_that_is_not_the_instances_own_is_not_gone_back_to() -> None:
    scene = with_rights(RIGHTS)
    scene.call(
        "UntagResources", ResourceType="snapshot", ResourceId__1=scene.shots["d-sys"], All=True
    )
    ended = scene.go(OOSAssumeRole=OUTSIDE)
    assert (ended["Status"], scene.reset, scene.instance) == ("Failed", [], "Running")


# --- its form --------------------------------------------------------------------------------


def functions_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {key for key in value if str(key).startswith("Fn::")}
        return own.union(*map(functions_in, value.values()))
    return set().union(*map(functions_in, value)) if isinstance(value, list) else set()


def test_template_uses_what_public_templates_use_and_no_more() -> None:
    assert set(TEMPLATE) <= TOP
    assert TEMPLATE["FormatVersion"] == "OOS-2019-06-01"
    assert set(TEMPLATE["Description"]) <= TEXTS
    assert functions_in(TEMPLATE) <= FUNCTIONS
    for name, parameter in TEMPLATE["Parameters"].items():
        assert set(parameter) <= PARAMETER, name
        assert parameter["Type"] in KINDS, name
        assert set(parameter["Description"]) == {"en", "zh-cn"}, name


@pytest.mark.parametrize("task", TEMPLATE["Tasks"], ids=lambda task: task["Name"])
def test_task_has_known_keys_and_waits_in_constant_steps(task: dict[str, Any]) -> None:
    assert set(task) <= TASK
    assert task["Action"] in ACTIONS
    assert set(task["Properties"]) <= PROPERTIES[task["Action"]]
    assert set(task["Description"]) == {"en", "zh-cn"}
    if task["Action"] == "ACS::WaitFor":
        assert task["DelayType"] == "Constant"
        assert 1 <= task["Delay"] <= 5 or task["Name"].startswith("present")
        assert 1 <= task["Retries"] <= 300
    if "Loop" in task:
        # Only what waits for all disks together, and changes nothing, is done at the same time.
        assert task["Loop"]["RateControl"] == {
            "Mode": "Concurrency",
            "Concurrency": 20 if task["Name"] in ("uploads", "disksReady") else 1,
            "MaxErrors": 0,
        }


def test_all_that_is_needed_is_asked_for_and_the_role_is_a_parameter() -> None:
    needed = {name for name, each in TEMPLATE["Parameters"].items() if "Default" not in each}
    assert needed == {"instanceId", "pairs", "first", "diskIds", "count"}
    assert TEMPLATE["RamRole"] == "{{ OOSAssumeRole }}"


def test_simulated_validator_takes_it() -> None:
    answer = OosCloud().oos("ValidateTemplateContent", Content=CONTENT)
    assert answer.status == 200, json.dumps(answer.body)
