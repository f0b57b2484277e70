"""The ECS product actions and templates in templates: executions that a task begins."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig
from fakes.simulated_cloud import TWO_DISKS
from fakes.simulated_oos import FAIL, PASS, OosCloud, api, picks, template


def product(name: str, **properties: Any) -> dict[str, Any]:
    return {"Action": f"ACS::ECS::{name}", "Properties": properties}


def snapshot_of(cloud: OosCloud, disk_id: str) -> str:
    name = cloud.made("CreateSnapshot", DiskId=disk_id)
    cloud.pass_time(1)
    cloud.pass_time(100)
    return str(name)


def instance_status(cloud: OosCloud) -> str:
    return cloud.cloud.own_instance.status


STOP = product("StopInstance", instanceId="i-own", stoppedMode="KeepCharging")
START = product("StartInstance", instanceId="i-own")


def test_stop_and_start_reach_their_states_and_do_nothing_twice() -> None:
    cloud = OosCloud()
    assert cloud.run(template(STOP, STOP))["Status"] == "Success"
    assert instance_status(cloud) == "Stopped"
    assert cloud.called("StopInstance") == ["StopInstance"]
    assert cloud.run(template(START, START))["Status"] == "Success"
    assert instance_status(cloud) == "Running"
    assert cloud.called("StartInstance") == ["StartInstance"]


def test_stop_of_an_instance_that_stops_waits_for_it() -> None:
    cloud = OosCloud()
    cloud.call("StopInstance", InstanceId="i-own")
    assert cloud.run(template(STOP))["Status"] == "Success"
    assert cloud.called("StopInstance") == ["StopInstance"]


def test_reset_takes_the_disk_back_and_the_instance_up_again() -> None:
    cloud = OosCloud()
    snapshot = snapshot_of(cloud, "d-data")
    reset = product("ResetDisk", instanceId="i-own", diskId="d-data", snapshotId=snapshot)
    assert cloud.run(template(reset))["Status"] == "Success"
    assert ("reset", "d-data", snapshot) in cloud.storage.log
    assert instance_status(cloud) == "Running"


def test_snapshot_is_made_with_its_name_tags_and_retention() -> None:
    cloud = OosCloud()
    tags = [{"Key": "k", "Value": "v"}]
    make = product(
        "CreateSnapshot", diskId="d-data", snapshotName="kept", tags=tags, retentionDays=7
    )
    make |= picks(id="String .snapshotId")
    done = cloud.run(template(make, Outputs={"id": {"Value": "{{ t1.id }}"}}))
    (made,) = cloud.snapshots()
    assert done["Outputs"] == {"id": made["SnapshotId"]}
    assert (made["SnapshotName"], made["RetentionDays"], made["Status"]) == (
        "kept",
        7,
        "accomplished",
    )
    assert made["Tags"]["Tag"] == [{"TagKey": "k", "TagValue": "v"}]


def test_reboot_ends_with_a_running_instance() -> None:
    cloud = OosCloud()
    assert cloud.run(template(product("RebootInstance", instanceId="i-own")))["Status"] == "Success"
    assert (instance_status(cloud), cloud.called("RebootInstance")) == (
        "Running",
        ["RebootInstance"],
    )


def test_execution_that_a_task_begins_is_listed_below_its_parent() -> None:
    cloud = OosCloud()
    done = cloud.run(template(STOP))
    (task,) = cloud.tasks(done["ExecutionId"])
    below = cloud.oos("ListExecutions", ParentExecutionId=done["ExecutionId"]).body["Executions"]
    assert [each["ExecutionId"] for each in below] == [task["ChildExecutionId"]]
    assert (below[0]["TemplateName"], below[0]["Status"]) == ("ACS::ECS::StopInstance", "Success")
    alone = cloud.oos("ListExecutions").body["Executions"]
    assert [(each["ExecutionId"], each["IsParent"]) for each in alone] == [
        (done["ExecutionId"], True)
    ]
    every = cloud.oos("ListExecutions", IncludeChildExecution="true").body["Executions"]
    assert len(every) == 2


def test_failure_below_fails_the_task_with_its_message() -> None:
    cloud = OosCloud()
    done = cloud.run(template(product("StopInstance", instanceId="i-none")))
    assert done["Status"] == "Failed"
    assert "InvalidInstanceId.NotFound" in done["StatusMessage"]


def test_wrong_parameter_of_a_product_action_fails_the_task() -> None:
    cloud = OosCloud()
    done = cloud.run(template(product("StopInstance", disk="d-1")))
    assert (done["Status"], "no parameter disk" in done["StatusMessage"]) == ("Failed", True)


def test_stored_template_runs_as_a_task_with_its_outputs() -> None:
    cloud = OosCloud()
    look = {**api("DescribeDisks", DiskIds=["{{ id }}"]), **picks(size="Number Disks.Disk[].Size")}
    outputs = {"size": {"Type": "Number", "Value": "{{ t1.size }}"}}
    inner = template(look, Parameters={"id": {"Type": "String"}}, Outputs=outputs)
    cloud.oos("CreateTemplate", TemplateName="inner", Content=inner)
    properties = {"TemplateName": "inner", "Parameters": {"id": "d-data"}}
    task = {"Action": "ACS::Template", "Properties": properties, **picks(s="Number .size")}
    done = cloud.run(template(task, Outputs={"s": {"Type": "Number", "Value": "{{ t1.s }}"}}))
    assert (done["Status"], done["Outputs"]) == ("Success", {"s": 100})


def test_template_that_is_not_stored_fails_the_task() -> None:
    cloud = OosCloud()
    task = {"Action": "ACS::Template", "Properties": {"TemplateName": "gone"}}
    done = cloud.run(template(task))
    assert (done["Status"], "gone" in done["StatusMessage"]) == ("Failed", True)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ({"Type": "ResourceIds", "ResourceIds": ["i-own"]}, ["i-own"]),
        ({"ResourceIds": ["i-none"]}, []),
        ({"Type": "Tags", "Tags": [{"Key": "no", "Value": "such"}]}, []),
        ({"Type": "All"}, ["i-own"]),
    ],
)
def test_targets_are_found_by_id_tag_or_all(target: dict[str, Any], found: list[str]) -> None:
    cloud = OosCloud()
    task = {
        "Action": "ACS::SelectTargets",
        "Properties": {"ResourceType": "ALIYUN::ECS::Instance", "Filters": ["{{ targets }}"]},
        **picks(ids="List Instances.Instance[].InstanceId"),
    }
    done = cloud.run(
        template(task, Parameters={"targets": {"Type": "Json"}}), Parameters={"targets": target}
    )
    (shown,) = cloud.tasks(done["ExecutionId"])
    assert json.loads(shown["Outputs"]) == {"ids": found}


@pytest.mark.parametrize(
    "properties",
    [{"ResourceType": "ALIYUN::RDS::DBInstance"}, {"Filters": [{"Type": "ResourceGroup"}]}],
)
def test_targets_that_are_not_simulated_fail_the_task(properties: dict[str, Any]) -> None:
    cloud = OosCloud()
    task = {"Action": "ACS::SelectTargets", "Properties": properties}
    assert "simulated" in cloud.run(template(task))["StatusMessage"]


def test_rollback_of_two_disks_that_fails_halfway_brings_the_instance_up() -> None:
    cloud = OosCloud()
    snapshots = [snapshot_of(cloud, disk) for disk in ("d-sys", "d-data")]
    pairs = [
        {"disk": "d-sys", "snapshot": snapshots[0]},
        {"disk": "d-data", "snapshot": "s-none"},
    ]
    chosen = {
        "DiskId": {"Fn::Select": ["disk", "{{ ACS::TaskLoopItem }}"]},
        "SnapshotId": {"Fn::Select": ["snapshot", "{{ ACS::TaskLoopItem }}"]},
    }
    reset = {
        **api("ResetDisk", **chosen),
        "Loop": {"Items": "{{ pairs }}", "RateControl": {"Mode": "Concurrency"}},
        "OnError": "t4",
    }
    settled = api("DescribeDisks")
    settled["Properties"] |= {
        "PropertySelector": "Disks.Disk[].Status",
        "NotDesiredValues": ["ReIniting"],
    }
    wait = {**settled, "Action": "ACS::WaitFor", "DelayType": "Constant", "Delay": 5}
    content = template(STOP, reset, PASS, wait, START, FAIL, Parameters={"pairs": {"Type": "List"}})
    done = cloud.run(content, Parameters={"pairs": pairs})
    assert cloud.statuses(done["ExecutionId"]) == {
        "t1": "Success",
        "t2": "Failed",
        "t4": "Success",
        "t5": "Success",
        "t6": "Failed",
    }
    assert (done["Status"], instance_status(cloud)) == ("Failed", "Running")
    assert [entry for entry in cloud.storage.log if entry[0] == "reset"] == [
        ("reset", "d-sys", snapshots[0])
    ]


@pytest.mark.parametrize(
    ("disk", "made"), [("d-none", 0), ("d-free", 1)], ids=["no such disk", "free disk"]
)
def test_snapshot_of_a_disk_that_is_not_attached(disk: str, made: int) -> None:
    free = DiskConfig(disk_id="d-free")
    cloud = OosCloud(replace(TWO_DISKS, free_disks=(free,)))
    done = cloud.run(template(product("CreateSnapshot", diskId=disk)))
    assert (done["Status"], len(cloud.snapshots())) == ("Success", made)
