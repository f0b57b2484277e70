"""Executions outlive their simulator: whenever it is killed, the next one goes on, and on time."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.oos import keeping
from ecs_simulator.storage.kernel import StorageError
from fakes.simulated_oos import FAIL, PASS, OosCloud, api, picks, template, waits

SLEEP = {"Action": "ACS::Sleep", "Properties": {"Duration": "PT10S"}}
APPROVE = {"Action": "ACS::Approve", "Properties": {"Approvers": ["tester"]}}
LOOK = {**api("DescribeDisks", DiskIds=["d-data"]), **picks(size="Number Disks.Disk[].Size")}
ITEMS = {"Items": ["d-sys", "d-data", "d-sys"], "RateControl": {"Mode": "Concurrency"}}
EACH = {**api("DescribeDisks", DiskIds=["{{ ACS::TaskLoopItem }}"]), "Loop": ITEMS}
INNER = [
    {"Name": "look", **api("DescribeDisks", DiskIds=["{{ ACS::TaskLoopItem }}"])},
    {"Name": "rest", **SLEEP},
]
LOOP = {"Action": "ACS::Loop", "Properties": {"LoopItems": ["d-sys"], "LoopTasks": INNER}}
START = {"Action": "ACS::ECS::StartInstance", "Properties": {"instanceId": "i-own"}}
SIZE = {"size": {"Type": "Number", "Value": "{{ t1.size }}"}}
GONE = {**waits("Disks.Disk[].Status", "Gone", DiskIds=["d-data"]), "DelayType": "Constant"}
GONE |= {"Delay": 5, "Retries": 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "executions.json"


def begun(file: Path, *, after: OosCloud | None = None) -> OosCloud:
    """Return a simulator that goes on with what another one has left."""
    cloud = OosCloud()
    if after is not None:
        cloud.clock.time = after.clock.time
    cloud.cloud.oos.go_on_with(keeping.load(file), partial(keeping.save, file))
    return cloud


TEMPLATES = {
    "sleep": (template(SLEEP, PASS), "Success"),
    "outputs": (template(LOOK, SLEEP, PASS, Outputs=SIZE), "Success"),
    "loop": (template(EACH), "Success"),
    "loop of tasks": (template(LOOP), "Success"),
    "product": (template(START, SLEEP), "Success"),
    "retries": (template(GONE), "Failed"),
    "failed": (template(SLEEP, FAIL), "Failed"),
    "led on": (template({**FAIL, "OnError": "t3"}, FAIL, SLEEP), "Success"),
}


@pytest.mark.parametrize(("content", "status"), TEMPLATES.values(), ids=TEMPLATES)
def test_simulator_killed_at_every_second_changes_nothing(
    file: Path, content: str, status: str
) -> None:
    undisturbed, cloud = OosCloud(), begun(file)
    names = undisturbed.started(content), cloud.started(content)
    for _ in range(60):
        undisturbed.pass_time(1)
        cloud.pass_time(1)
        cloud = begun(file, after=cloud)
    shown = [each.execution(name) for each, name in zip((undisturbed, cloud), names, strict=True)]
    assert [each["Status"] for each in shown] == [status, status]
    for name in ("EndDate", "Outputs", "StatusMessage", "Counters"):
        assert shown[0][name] == shown[1][name], name
    tasks = [each.tasks(name) for each, name in zip((undisturbed, cloud), names, strict=True)]
    told = [[(task["TaskName"], task["Status"], task["EndDate"]) for task in t] for t in tasks]
    assert told[0] == told[1]


def test_sleep_that_ended_while_it_was_off_goes_on_at_once(file: Path) -> None:
    cloud = begun(file)
    name = cloud.started(template(SLEEP, api("DescribeDisks", DiskIds=["d-data"])))
    cloud.pass_time(1)
    cloud.clock.time += 3600
    later = begun(file, after=cloud)
    assert (later.status(name), later.called("DescribeDisks")) == ("Running", [])
    later.pass_time(0)
    assert (later.status(name), later.called("DescribeDisks")) == ("Success", ["DescribeDisks"])


def test_sleep_that_goes_on_is_not_begun_anew(file: Path) -> None:
    cloud = begun(file)
    name = cloud.started(template(SLEEP))
    cloud.pass_time(1)
    cloud.clock.time += 8
    later = begun(file, after=cloud)
    later.pass_time(1)
    assert later.status(name) == "Running"
    later.pass_time(1)
    assert later.status(name) == "Success"


def test_cancelled_one_stays_so_and_is_cancelled_no_second_time(file: Path) -> None:
    cloud = begun(file)
    name = cloud.started(template(SLEEP, api("StopInstance", InstanceId="i-own")))
    cloud.pass_time(1)
    cloud.oos("CancelExecution", ExecutionId=name)
    later = begun(file, after=cloud)
    later.pass_time(3600)
    assert (later.status(name), later.called("StopInstance")) == ("Cancelled", [])
    refused = later.oos("CancelExecution", ExecutionId=name)
    assert (refused.status, refused.body["Code"]) == (400, "ExecutionCancelForbidden")


def test_approval_is_waited_for_across_a_restart(file: Path) -> None:
    cloud = begun(file)
    name = cloud.started(template(APPROVE, SLEEP))
    cloud.pass_time(1)
    later = begun(file, after=cloud)
    assert later.status(name) == "Waiting"
    later.oos("NotifyExecution", ExecutionId=name, NotifyType="Approve")
    later.pass_time(1)
    assert later.statuses(name) == {"t1": "Success", "t2": "Running"}


def test_templates_and_new_ids_come_after_those_before(file: Path) -> None:
    cloud = begun(file)
    cloud.oos("CreateTemplate", TemplateName="own", Content=template(SLEEP), Tags={"a": "b"})
    first = cloud.oos("StartExecution", TemplateName="own").body["Execution"]["ExecutionId"]
    later = begun(file, after=cloud)
    second = later.oos("StartExecution", TemplateName="own").body["Execution"]["ExecutionId"]
    found: list[dict[str, Any]] = later.oos("ListExecutions").body["Executions"]
    assert [each["ExecutionId"] for each in found] == [second, first]
    logs = later.oos("ListExecutionLogs", ExecutionId=first).body["ExecutionLogs"]
    assert [line["Message"] for line in logs] == ["The execution is started."]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"templates": [{}]})])
def test_file_that_has_something_else_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(StorageError, match="no executions of this version"):
        keeping.load(file)


def test_only_its_user_can_read_what_is_kept(file: Path) -> None:
    begun(file).started(template(SLEEP))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]
