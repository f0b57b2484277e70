"""The engine: an execution's states, and the ways from task to task."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.pace import Fate
from fakes.simulated_cloud import TWO_DISKS
from fakes.simulated_oos import FAIL, PASS, OosCloud, api, picks, template, waits

SLEEP = {"Action": "ACS::Sleep", "Properties": {"Duration": "PT30M"}}
APPROVE = {"Action": "ACS::Approve", "Properties": {"Approvers": ["tester"]}}


def snapshot_of(cloud: OosCloud, disk_id: str) -> str:
    name = cloud.made("CreateSnapshot", DiskId=disk_id)
    cloud.pass_time(1)
    cloud.pass_time(100)
    return str(name)


def test_execution_goes_from_started_over_running_to_success() -> None:
    cloud = OosCloud()
    name = cloud.started(template(SLEEP))
    seen = [cloud.status(name)]
    for seconds in (1, 1799, 1):
        cloud.pass_time(seconds)
        seen.append(cloud.status(name))
    assert seen == ["Started", "Running", "Running", "Success"]


def test_times_tell_when_an_execution_and_its_task_began_and_ended() -> None:
    cloud = OosCloud()
    name = cloud.started(template(SLEEP))
    cloud.pass_time(5)
    cloud.pass_time(1800)
    shown = cloud.execution(name)
    assert (shown["CreateDate"], shown["StartDate"], shown["EndDate"]) == (
        "2026-11-22T08:32:25Z",
        "2026-11-22T08:32:30Z",
        "2026-11-22T09:02:30Z",
    )
    (task,) = cloud.tasks(name)
    assert (task["StartDate"], task["EndDate"]) == (shown["StartDate"], shown["EndDate"])


def test_output_of_a_task_reaches_the_next_and_the_templates_outputs() -> None:
    cloud = OosCloud()
    look = {**api("DescribeDisks", DiskIds=["d-data"]), **picks(size="Number Disks.Disk[].Size")}
    again = {
        **api("DescribeDisks", DiskName="{{ t1.size }}"),
        **picks(found="List Disks.Disk[].DiskId"),
    }
    outputs = {
        "size": {"Type": "Number", "Value": "{{ t1.size }}"},
        "text": {"Value": "size {{ t1.size }}"},
    }
    done = cloud.run(template(look, again, Outputs=outputs))
    assert done["Outputs"] == {"size": 100, "text": "size 100"}
    (task,) = cloud.tasks(done["ExecutionId"], TaskName="t2")
    assert json.loads(task["Properties"])["Parameters"] == {"DiskName": 100}
    assert json.loads(task["Outputs"]) == {"found": []}


DISKS = SimulatorConfig(
    instances=(
        InstanceConfig(
            instance_id="i-own", disks=tuple(DiskConfig(disk_id=f"d-{n}") for n in range(25))
        ),
    )
)


@pytest.mark.parametrize(
    ("properties", "parameters", "found"),
    [
        ({}, {}, 25),
        ({"AutoPaging": False}, {}, 10),
        ({}, {"PageSize": 20}, 25),
        ({}, {"MaxResults": 10}, 25),
        ({}, {"PageNumber": 1}, 10),
    ],
    ids=["all", "off", "by number", "by token", "one page"],
)
def test_call_goes_through_all_pages(
    properties: dict[str, Any], parameters: dict[str, Any], found: int
) -> None:
    cloud = OosCloud(DISKS)
    task = {**api("describeDisks", **parameters), **picks(ids="Array Disks.Disk[].DiskId")}
    task["Properties"] |= properties
    done = cloud.run(template(task, Outputs={"ids": {"Type": "List", "Value": "{{ t1.ids }}"}}))
    assert len({*done["Outputs"]["ids"]}) == len(done["Outputs"]["ids"]) == found


def test_call_that_is_refused_fails_the_execution_and_says_why() -> None:
    cloud = OosCloud()
    done = cloud.run(template(FAIL, PASS))
    assert done["Status"] == "Failed"
    assert "InvalidDiskId.NotFound" in done["StatusMessage"]
    assert cloud.statuses(done["ExecutionId"]) == {"t1": "Failed"}


@pytest.mark.parametrize(
    ("first", "status", "run"),
    [
        ({**FAIL, "OnError": "ACS::NEXT"}, "Success", ["t1", "t2", "t3"]),
        ({**FAIL, "OnError": "t3"}, "Success", ["t1", "t3"]),
        ({**FAIL, "OnError": "ACS::END"}, "Failed", ["t1"]),
        ({**PASS, "OnSuccess": "t3"}, "Success", ["t1", "t3"]),
        ({**PASS, "OnSuccess": "ACS::END"}, "Success", ["t1"]),
        (PASS, "Success", ["t1", "t2", "t3"]),
    ],
    ids=["error-next", "error-task", "error-end", "success-task", "success-end", "in-order"],
)
def test_task_leads_where_it_says(first: Any, status: str, run: list[str]) -> None:
    cloud = OosCloud()
    done = cloud.run(template(first, PASS, PASS))
    assert done["Status"] == status
    assert [*cloud.statuses(done["ExecutionId"])] == run


def test_error_that_was_taken_care_of_may_still_be_the_end() -> None:
    cloud = OosCloud(replace(TWO_DISKS, handled_errors_fail=True))
    done = cloud.run(template({**FAIL, "OnError": "ACS::NEXT"}, PASS))
    assert cloud.statuses(done["ExecutionId"]) == {"t1": "Failed", "t2": "Success"}
    assert done["Status"] == "Failed"
    assert "InvalidDiskId.NotFound" in done["StatusMessage"]


def test_when_that_does_not_hold_skips_the_task() -> None:
    cloud = OosCloud()
    parts = {
        "Parameters": {"want": {"Type": "Boolean"}},
        "Conditions": {"wanted": {"Fn::Equals": ["{{ want }}", True]}},
    }
    content = template({**PASS, "When": "wanted", "OnSuccess": "ACS::END"}, PASS, **parts)
    skipped = cloud.run(content, Parameters={"want": False})
    assert cloud.statuses(skipped["ExecutionId"]) == {"t1": "Skipped", "t2": "Success"}
    taken = cloud.run(content, Parameters={"want": True})
    assert cloud.statuses(taken["ExecutionId"]) == {"t1": "Success"}


@pytest.mark.parametrize(
    ("value", "run"), [("a", ["t1"]), ("b", ["t1", "t3"]), ("c", ["t1", "t2", "t3"])]
)
def test_choice_goes_to_the_first_that_holds_or_to_the_default(value: str, run: list[str]) -> None:
    choices = [
        {"When": {"Fn::Equals": ["{{ x }}", "a"]}, "NextTask": "ACS::END"},
        {"When": {"Fn::Equals": ["{{ x }}", "b"]}, "NextTask": "t3"},
        {"When": True, "NextTask": "t2"},
    ]
    choose = {"Action": "ACS::Choice", "Properties": {"Choices": choices, "DefaultTask": "t3"}}
    cloud = OosCloud()
    parameters = {"x": {"Type": "String"}}
    done = cloud.run(template(choose, PASS, PASS, Parameters=parameters), Parameters={"x": value})
    assert [*cloud.statuses(done["ExecutionId"])] == run


def test_choice_without_one_that_holds_takes_the_default() -> None:
    choices = [{"When": False, "NextTask": "ACS::END"}]
    choose = {"Action": "ACS::Choice", "Properties": {"Choices": choices, "DefaultTask": "t3"}}
    cloud = OosCloud()
    done = cloud.run(template(choose, PASS, PASS))
    assert [*cloud.statuses(done["ExecutionId"])] == ["t1", "t3"]


def test_tasks_that_lead_back_to_each_other_end_after_many() -> None:
    cloud = OosCloud()
    done = cloud.run(template({**PASS, "OnSuccess": "t1"}))
    assert (done["Status"], "1000" in done["StatusMessage"]) == ("Failed", True)


def test_wait_looks_at_once_and_then_after_its_intervals() -> None:
    cloud = OosCloud()
    task = {**waits("Disks.Disk[].Status", "Gone", DiskIds=["d-data"]), "Retries": 4}
    name = cloud.started(template(task))
    seen: list[int] = []
    for _ in range(20):
        cloud.pass_time(1)
        seen.append(len(cloud.called("DescribeDisks")))
    # Looks after 1, 2, 4, 8 and 16 seconds, the first of which is the start's.
    assert [seen.index(count) for count in (1, 2, 3, 4, 5)] == [0, 1, 3, 7, 15]
    shown = cloud.execution(name)
    assert (shown["Status"], "4 retries" in shown["StatusMessage"]) == ("Failed", True)


def test_wait_ends_with_the_wanted_value_and_gives_outputs() -> None:
    cloud = OosCloud()
    cloud.cloud.pace.befall(Fate(action="StopInstance", outcome="stick"))
    stop = api("StopInstance", InstanceId="i-own", StoppedMode="KeepCharging")
    look = api("DescribeInstances", InstanceIds=["i-own"])
    look["Properties"] |= {
        "PropertySelector": "Instances.Instance[].Status",
        "DesiredValues": ["Stopped"],
    }
    until = {**look, "Action": "ACS::WaitFor", "Delay": 5, "DelayType": "Constant"}
    until |= picks(status="String Instances.Instance[].Status")
    name = cloud.started(template(stop, until))
    cloud.pass_time(1)
    cloud.pass_time(12)
    assert cloud.statuses(name) == {"t1": "Success", "t2": "Running"}
    cloud.cloud.pace.free("i-own")
    cloud.pass_time(0)
    cloud.pass_time(5)
    assert cloud.status(name) == "Success"
    assert json.loads(cloud.tasks(name)[1]["Outputs"]) == {"status": "Stopped"}


@pytest.mark.parametrize(
    ("wanted", "disks", "status"),
    [
        (["d-sys", "d-data"], ["d-sys", "d-data"], "Success"),
        (["d-data"], ["d-sys", "d-data"], "Failed"),
        (["d-data"], ["d-none"], "Failed"),
    ],
    ids=["all", "one of two", "nothing found"],
)
def test_check_wants_everything_found_to_be_so(
    wanted: list[str], disks: list[str], status: str
) -> None:
    cloud = OosCloud()
    task = {**waits("Disks.Disk[].DiskId", *wanted, DiskIds=disks), "Action": "ACS::CheckFor"}
    assert cloud.run(template(task))["Status"] == status


def test_wait_stops_at_a_value_that_no_retry_changes() -> None:
    cloud = OosCloud()
    task = waits("Disks.Disk[].Status", "Gone", DiskIds=["d-data"])
    task["Properties"]["StopRetryValues"] = ["In_use"]
    done = cloud.run(template(task))
    assert (done["Status"], cloud.called("DescribeDisks")) == ("Failed", ["DescribeDisks"])


def test_wait_for_what_is_not_desired_waits_while_it_is_so() -> None:
    cloud = OosCloud()
    task = api("DescribeDisks", DiskIds=["d-data"])
    task["Properties"] |= {
        "PropertySelector": "Disks.Disk[].Status",
        "NotDesiredValues": ["ReIniting"],
    }
    assert cloud.run(template({**task, "Action": "ACS::WaitFor"}))["Status"] == "Success"


@pytest.mark.parametrize(("wanted", "status"), [("In_use", "Success"), ("Gone", "Failed")])
def test_check_looks_once(wanted: str, status: str) -> None:
    cloud = OosCloud()
    task = {**waits("Disks.Disk[].Status", wanted, DiskIds=["d-data"]), "Action": "ACS::CheckFor"}
    assert cloud.run(template(task))["Status"] == status
    assert cloud.called("DescribeDisks") == ["DescribeDisks"]


def test_cancel_ends_an_execution_wherever_it_is_and_nothing_more_runs() -> None:
    cloud = OosCloud()
    name = cloud.started(template(SLEEP, api("StopInstance", InstanceId="i-own")))
    cloud.pass_time(1)
    assert cloud.oos("CancelExecution", ExecutionId=name).status == 200
    cloud.pass_time(3600)
    assert (cloud.status(name), cloud.statuses(name)) == ("Cancelled", {"t1": "Cancelled"})
    assert cloud.called("StopInstance") == []


def test_cancel_before_the_first_task_lets_none_begin() -> None:
    cloud = OosCloud()
    name = cloud.started(template(PASS))
    cloud.oos("CancelExecution", ExecutionId=name)
    cloud.pass_time(1)
    assert (cloud.status(name), cloud.tasks(name)) == ("Cancelled", [])


def test_cancel_reaches_the_execution_that_a_task_began() -> None:
    cloud = OosCloud()
    cloud.cloud.pace.befall(Fate(action="StopInstance", outcome="stick"))
    stop = {"Action": "ACS::ECS::StopInstance", "Properties": {"instanceId": "i-own"}}
    name = cloud.started(template(stop))
    cloud.pass_time(1)
    cloud.oos("CancelExecution", ExecutionId=name)
    below = cloud.oos("ListExecutions", ParentExecutionId=name).body["Executions"]
    assert [each["Status"] for each in below] == ["Cancelled"]


def test_approval_holds_an_execution_until_it_is_given() -> None:
    cloud = OosCloud()
    name = cloud.started(template(APPROVE, SLEEP))
    cloud.pass_time(1)
    assert (cloud.status(name), cloud.statuses(name)) == ("Waiting", {"t1": "Waiting"})
    cloud.oos("NotifyExecution", ExecutionId=name, NotifyType="Approve")
    cloud.pass_time(1)
    assert (cloud.status(name), cloud.statuses(name)) == (
        "Running",
        {"t1": "Success", "t2": "Running"},
    )


def test_approval_that_is_refused_fails_the_task() -> None:
    cloud = OosCloud()
    name = cloud.started(template(APPROVE, PASS))
    cloud.pass_time(1)
    cloud.oos("NotifyExecution", ExecutionId=name, NotifyType="Reject", NotifyNote="not today")
    shown = cloud.execution(name)
    assert (shown["Status"], "not today" in shown["StatusMessage"]) == ("Failed", True)


def test_destructive_call_waits_for_a_confirmation_unless_checks_are_skipped() -> None:
    cloud = OosCloud()
    snapshot = snapshot_of(cloud, "d-data")
    cloud.call("StopInstance", InstanceId="i-own")
    cloud.pass_time(1)
    content = template(api("ResetDisk", DiskId="d-data", SnapshotId=snapshot))
    name = cloud.started(content, SafetyCheck="ConfirmEveryHighRiskAction")
    cloud.pass_time(1)
    assert (cloud.status(name), cloud.called("ResetDisk")) == ("Waiting", [])
    cloud.oos("NotifyExecution", ExecutionId=name, NotifyType="Approve")
    cloud.pass_time(1)
    assert (cloud.status(name), cloud.called("ResetDisk")) == ("Success", ["ResetDisk"])


def test_call_below_that_needs_a_confirmation_holds_all_above_and_is_given_from_there() -> None:
    cloud = OosCloud()
    stop = {"Action": "ACS::ECS::StopInstance", "Properties": {"instanceId": "i-own"}}
    name = cloud.started(template(stop), SafetyCheck="ConfirmEveryHighRiskAction")
    cloud.pass_time(1)
    (below,) = cloud.oos("ListExecutions", ParentExecutionId=name).body["Executions"]
    assert (cloud.status(name), below["Status"]) == ("Waiting", "Waiting")
    assert cloud.called("StopInstance") == []
    cloud.oos("NotifyExecution", ExecutionId=name, NotifyType="Approve")
    assert cloud.status(name) == "Running"
    for _ in range(5):
        cloud.pass_time(1)
    assert (cloud.status(name), cloud.called("StopInstance")) == ("Success", ["StopInstance"])


def test_check_is_on_unless_it_is_skipped() -> None:
    cloud = OosCloud()
    content = template(api("StopInstance", InstanceId="i-own"))
    answer = cloud.oos("StartExecution", TemplateContent=content)
    cloud.pass_time(1)
    assert cloud.status(answer.body["Execution"]["ExecutionId"]) == "Waiting"


def test_execution_beyond_what_may_run_at_once_is_queued_until_another_ends() -> None:
    cloud = OosCloud(replace(TWO_DISKS, executions_at_once=1))
    stop = {"Action": "ACS::ECS::StopInstance", "Properties": {"instanceId": "i-own"}}
    names = [cloud.started(template(each)) for each in (SLEEP, stop, SLEEP)]
    cloud.pass_time(1)
    assert [cloud.status(name) for name in names] == ["Running", "Queued", "Queued"]
    cloud.oos("CancelExecution", ExecutionId=names[0])
    cloud.pass_time(1)
    assert [cloud.status(name) for name in names] == ["Cancelled", "Running", "Queued"]
    cloud.oos("CancelExecution", ExecutionId=names[2])
    for _ in range(5):
        cloud.pass_time(1)
    assert [cloud.status(name) for name in names] == ["Cancelled", "Success", "Cancelled"]


def test_executions_that_others_began_take_no_place_of_those_that_may_run() -> None:
    cloud = OosCloud(replace(TWO_DISKS, executions_at_once=2))
    cloud.cloud.pace.befall(Fate(action="StopInstance", outcome="stick"))
    stop = {"Action": "ACS::ECS::StopInstance", "Properties": {"instanceId": "i-own"}}
    above = cloud.started(template(stop))
    cloud.pass_time(1)
    other = cloud.started(template(SLEEP))
    cloud.pass_time(1)
    assert [cloud.status(name) for name in (above, other)] == ["Running", "Running"]


def test_queued_execution_begins_once_though_several_end_at_the_same_time() -> None:
    cloud = OosCloud(replace(TWO_DISKS, executions_at_once=2))
    names = [cloud.started(template(SLEEP)) for _ in range(3)]
    cloud.pass_time(1)
    cloud.pass_time(1800)
    assert cloud.statuses(names[2]) == {"t1": "Running"}
    assert len(cloud.tasks(names[2])) == 1


def test_name_of_the_service_stands_for_its_value() -> None:
    cloud = OosCloud()
    text = "{{ ACS::RegionId }} {{ ACS::AccountId }} {{ ACS::ExecutionId }}"
    done = cloud.run(template(PASS, Outputs={"text": {"Value": text}}))
    assert done["Outputs"]["text"] == f"cn-hangzhou 1234567890123456 {done['ExecutionId']}"


def test_output_of_a_task_that_did_not_run_is_empty() -> None:
    cloud = OosCloud()
    look = {**api("DescribeDisks"), **picks(size="Number .TotalCount"), "When": False}
    done = cloud.run(template(look, Outputs={"size": {"Type": "Number", "Value": "{{ t1.size }}"}}))
    assert (done["Status"], done["Outputs"]) == ("Success", {"size": None})


def test_selector_that_does_not_fit_the_answer_fails_the_task() -> None:
    cloud = OosCloud()
    done = cloud.run(template({**api("DescribeDisks"), **picks(x="String .TotalCount.Deep")}))
    assert (done["Status"], ".TotalCount.Deep" in done["StatusMessage"]) == ("Failed", True)


def test_properties_of_a_wrong_form_fail_the_task() -> None:
    cloud = OosCloud()
    task = {"Action": "ACS::SelectTargets", "Properties": {"Filters": ["all"]}}
    assert cloud.run(template(task))["Status"] == "Failed"


def test_log_tells_each_task_and_the_end() -> None:
    cloud = OosCloud()
    done = cloud.run(template(PASS, FAIL))
    lines = cloud.oos("ListExecutionLogs", ExecutionId=done["ExecutionId"]).body["ExecutionLogs"]
    said = [line["Message"].partition(". ")[0] for line in lines]
    assert said == [
        "The execution is started.",
        "The task t1 started.",
        "The task t1 completed.",
        "The task t2 started.",
        "The task t2 ended: Failed",
        "The execution ended: Failed",
    ]
