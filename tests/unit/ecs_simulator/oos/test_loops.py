"""Loops over items: how many at once, how many errors, batches, and loops over several tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.oos.faults import TaskFault
from ecs_simulator.oos.loops import Rate, items_of
from ecs_simulator.pace import Fate
from fakes.simulated_oos import OosCloud, api, picks, template, waits

MANY = SimulatorConfig(
    instances=(
        InstanceConfig(
            instance_id="i-own",
            disks=tuple(DiskConfig(disk_id=f"d-{n}", size_gib=40 + n) for n in range(6)),
        ),
    )
)
SIZE = {
    **api("DescribeDisks", DiskIds=["{{ ACS::TaskLoopItem }}"]),
    **picks(size="Number Disks.Disk[].Size"),
}
# Refused for a disk that there is not.
RENAME = api("ModifyDiskAttribute", DiskId="{{ ACS::TaskLoopItem }}", DiskName="new-name")


ITEM = "{{ ACS::TaskLoopItem }}"


def looped(task: dict[str, Any], items: Any, **rate: Any) -> dict[str, Any]:
    return {**task, "Loop": {"Items": items, "RateControl": {"Mode": "Concurrency", **rate}}}


def rooms(rate: Rate, *states: tuple[int, int]) -> list[int]:
    return [rate.room(begun=begun, running=running) for begun, running in states]


def test_concurrency_leaves_room_for_so_many() -> None:
    assert rooms(Rate.of({}, 3), (0, 0), (1, 1), (1, 0), (3, 0)) == [1, 0, 1, 0]
    rate = Rate.of({"Concurrency": 2}, 5)
    assert rooms(rate, (0, 0), (2, 2), (2, 1), (4, 0), (5, 0)) == [2, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("given", "concurrency", "errors"),
    [
        ({"Concurrency": "50%", "MaxErrors": "10%"}, 5, 1),
        ({"Concurrency": "1%", "MaxErrors": 3}, 1, 3),
        ({"Concurrency": "25%", "MaxErrors": "1%"}, 3, 1),
        ({"Concurrency": "0%"}, 1, 0),
    ],
)
def test_percentages_are_of_all_items(given: Any, concurrency: int, errors: int) -> None:
    rate = Rate.of(given, 10)
    assert (rate.concurrency, rate.max_errors) == ((concurrency,), errors)


def test_batch_begins_when_the_one_before_is_done() -> None:
    rate = Rate.of({"Mode": "Batch", "Batch": [1, 2], "ConcurrencyInBatches": [1, 2]}, 6)
    assert rate.ends == (1, 3, 5, 6)
    states = ((0, 0), (1, 1), (1, 0), (2, 1), (3, 1), (3, 0), (5, 0), (6, 0))
    assert rooms(rate, *states) == [1, 0, 2, 1, 0, 2, 1, 0]


@pytest.mark.parametrize(
    "given",
    [
        {"Mode": "Fast"},
        {"Concurrency": "many"},
        {"MaxErrors": None},
        {"Mode": "Batch", "Batch": [0]},
        {"Mode": "Batch", "Batch": 3},
        {"Mode": "Batch", "BatchPauseOption": "EveryBatchPause"},
    ],
)
def test_rate_that_is_none_is_a_fault(given: dict[str, Any]) -> None:
    with pytest.raises(TaskFault):
        Rate.of(given, 5)


@pytest.mark.parametrize("items", ["a", {"a": 1}, None, list(range(1001))])
def test_items_are_a_list_of_at_most_a_thousand(items: Any) -> None:
    with pytest.raises(TaskFault):
        items_of(items)


def test_loop_joins_the_outputs_of_its_items_in_their_order() -> None:
    cloud = OosCloud(MANY)
    task = looped(SIZE, "{{ ids }}", Concurrency=3)
    task["Loop"]["Outputs"] = {
        "sizes": {"AggregateType": "Fn::ListJoin", "AggregateField": "size"},
        "largest": {"AggregateType": "Fn::Max", "AggregateField": "size"},
    }
    outputs = {
        "sizes": {"Type": "List", "Value": "{{ t1.sizes }}"},
        "largest": {"Type": "Number", "Value": "{{ t1.largest }}"},
    }
    content = template(task, Parameters={"ids": {"Type": "List"}}, Outputs=outputs)
    done = cloud.run(content, Parameters={"ids": ["d-3", "d-1", "d-5"]})
    assert done["Outputs"] == {"sizes": [43, 41, 45], "largest": 45}
    (parent,) = cloud.tasks(done["ExecutionId"])
    items = cloud.tasks(done["ExecutionId"], ParentTaskExecutionId=parent["TaskExecutionId"])
    assert [json.loads(item["LoopItem"]) for item in items] == ["d-3", "d-1", "d-5"]
    assert parent["Loop"]["Items"] == ["d-3", "d-1", "d-5"]
    every = cloud.tasks(done["ExecutionId"], IncludeChildTaskExecution="true")
    assert len(every) == 4


def test_loop_over_nothing_succeeds() -> None:
    cloud = OosCloud(MANY)
    assert cloud.run(template(looped(SIZE, [])))["Status"] == "Success"


def test_loop_runs_so_many_at_once() -> None:
    cloud = OosCloud(MANY)
    task = waits("Disks.Disk[].Status", "Gone", DiskIds=["{{ ACS::TaskLoopItem }}"])
    slow = {**task, "Retries": 1, "DelayType": "Constant", "Delay": 10}
    name = cloud.started(template(looped(slow, ["d-0", "d-1", "d-2"], Concurrency=2, MaxErrors=3)))
    cloud.pass_time(0)
    running = cloud.tasks(name, IncludeChildTaskExecution="true", Status="Running")
    assert [task["LoopItem"] for task in running] == ["", '"d-0"', '"d-1"']


@pytest.mark.parametrize(
    ("errors", "status", "called"), [(0, "Failed", 2), (1, "Success", 4), ("30%", "Success", 4)]
)
def test_loop_stops_after_too_many_errors(errors: Any, status: str, called: int) -> None:
    cloud = OosCloud(MANY)
    items = ["d-0", "d-none", "d-1", "d-2"]
    done = cloud.run(template(looped(RENAME, items, MaxErrors=errors)))
    assert (done["Status"], len(cloud.called("ModifyDiskAttribute"))) == (status, called)
    if status == "Failed":
        assert "InvalidDiskId.NotFound" in done["StatusMessage"]


def test_loop_that_fails_lets_what_runs_end_first() -> None:
    cloud = OosCloud(MANY)
    cloud.cloud.pace.befall(Fate(action="StopInstance", outcome="stick"))
    stop = {
        "Action": "ACS::ECS::StopInstance",
        "Properties": {"instanceId": "{{ ACS::TaskLoopItem }}"},
    }
    name = cloud.started(template(looped(stop, ["i-own", "i-none", "i-own"], Concurrency=2)))
    cloud.pass_time(0)
    shown = cloud.tasks(name, IncludeChildTaskExecution="true")
    assert [task["Status"] for task in shown] == ["Running", "Running", "Failed"]
    cloud.cloud.pace.free("i-own")
    cloud.pass_time(600)
    shown = cloud.tasks(name, IncludeChildTaskExecution="true")
    assert [task["Status"] for task in shown] == ["Failed", "Success", "Failed"]


def test_items_that_are_no_list_fail_the_task() -> None:
    cloud = OosCloud(MANY)
    done = cloud.run(template(looped(SIZE, "d-0")))
    assert (done["Status"], "list" in done["StatusMessage"]) == ("Failed", True)


def test_loop_over_several_tasks_runs_them_for_each_item() -> None:
    cloud = OosCloud(MANY)
    inner = [
        {"Name": "look", **SIZE, **picks(size="Number Disks.Disk[].Size", all="List Disks.Disk")},
        {
            "Name": "rename",
            "When": {"Fn::Equals": [{"Fn::Jq": ["First", ".[0].DiskId", "{{ look.all }}"]}, ITEM]},
            **api(
                "ModifyDiskAttribute",
                DiskId="{{ ACS::TaskLoopItem }}",
                DiskName={"Fn::Join": ["-", ["{{ prefix }}", "{{ look.size }}"]]},
                Description={"Fn::Select": [0, {"Fn::Split": [" ", "{{ look.size }} GiB"]}]},
                Extra={"Fn::Select": ["DiskId", {"Fn::First": "{{ look.all }}"}]},
            ),
        },
    ]
    properties = {
        "LoopItems": ["d-1", "d-2"],
        "LoopRateControl": {"Mode": "Concurrency", "Concurrency": 2},
        "LoopTasks": inner,
    }
    joined = {"sizes": {"AggregateType": "Fn::ListJoin", "AggregateField": "look.size"}}
    loop = {"Action": "ACS::Loop", "Properties": properties, "Outputs": joined}
    outputs = {"sizes": {"Type": "List", "Value": "{{ t1.sizes }}"}}
    content = template(loop, Parameters={"prefix": {}}, Outputs=outputs)
    done = cloud.run(content, Parameters={"prefix": "disk"})
    assert (done["Status"], done["Outputs"]) == ("Success", {"sizes": [41, 42]})
    names = {disk.disk_id: disk.name for disk in cloud.cloud.state.disks.values()}
    assert (names["d-1"], names["d-2"]) == ("disk-41", "disk-42")


def test_tasks_of_a_loop_see_what_ran_before_it() -> None:
    cloud = OosCloud(MANY)
    before = {**api("DescribeDisks", DiskIds=["d-5"]), **picks(size="Number Disks.Disk[].Size")}
    named = api("ModifyDiskAttribute", DiskId=ITEM, DiskName="size-{{ t1.size }}")
    properties = {"LoopItems": ["d-1"], "LoopTasks": [{"Name": "rename", **named}]}
    done = cloud.run(template(before, {"Action": "ACS::Loop", "Properties": properties}))
    assert (done["Status"], cloud.cloud.state.disks["d-1"].name) == ("Success", "size-45")
