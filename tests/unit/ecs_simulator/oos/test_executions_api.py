"""Executions over the API: what is refused, listed, repeated, allowed and broken."""

from __future__ import annotations

import importlib.util
import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.api import Api
from ecs_simulator.config import AccessKeyConfig, PolicyDocument, RoleConfig
from ecs_simulator.faults import Fault, Throttle
from fakes.simulated_cloud import TWO_DISKS, Signer
from fakes.simulated_oos import FAIL, PASS, OosCloud, api, template

LOOK = template(api("DescribeDisks"))
SLEEP = template({"Action": "ACS::Sleep", "Properties": {"Duration": "PT1H"}})
ARN = "acs:oos:cn-hangzhou:1234567890123456"


def start(cloud: OosCloud, **params: Any) -> tuple[int, str]:
    return cloud.oos("StartExecution", **{"TemplateContent": LOOK, **params}).outcome


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"Mode": "Debug"}, (400, "InvalidParameter.Mode")),
        ({"LoopMode": "FirstBatchPause"}, (400, "InvalidParameter.LoopMode")),
        ({"SafetyCheck": "Maybe"}, (400, "InvalidParameter.SafetyCheck")),
        ({"Parameters": "{"}, (400, "InvalidParameter.Parameters")),
        ({"Parameters": "[]"}, (400, "InvalidParameter.Parameters")),
        ({"Parameters": {"x": 1}}, (400, "InvalidParameter.Parameters")),
        # What the first Python SDK sends for a dictionary.
        ({"Tags": str({"k": "v"})}, (400, "InvalidParameter.Tags")),
        ({"Tags": {"k": 1}}, (400, "InvalidParameter.Tags")),
        ({"Tags": {f"k{n}": "v" for n in range(21)}}, (400, "InvalidParameter.Tags")),
        ({"TemplateContent": "{"}, (400, "InvalidTemplate")),
        ({"TemplateContent": template({"Action": "ACS::Fly"})}, (400, "InvalidTemplate")),
        ({"TemplateContent": ""}, (400, "InvalidParameter")),
        ({"TemplateName": "both"}, (400, "InvalidParameter")),
        ({"TemplateContent": "", "TemplateName": "gone"}, (404, "EntityNotExists.Template")),
    ],
)
def test_start_that_breaks_a_rule_is_refused(params: Any, outcome: tuple[int, str]) -> None:
    cloud = OosCloud()
    assert start(cloud, **params) == outcome
    assert cloud.oos("ListExecutions").body["Executions"] == []


@pytest.mark.parametrize("package", ["jq", "yaml"])
def test_start_where_a_package_is_missing_is_refused(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else known(name)
    )
    answer = OosCloud().oos("StartExecution", TemplateContent=LOOK)
    assert answer.outcome == (503, "ServiceUnavailable")
    assert package in answer.body["Message"]


def test_action_that_oos_does_not_have_is_refused() -> None:
    cloud = OosCloud()
    assert cloud.oos("DescribeDisks").outcome == (400, "InvalidAction.NotFound")


def test_answer_has_the_fields_of_the_api() -> None:
    cloud = OosCloud()
    parameters = {"n": {"Type": "Number", "Default": 3}}
    answer = cloud.oos(
        "StartExecution",
        TemplateContent=template(PASS, Parameters=parameters),
        Tags={"k": "v"},
        Description="armed",
        SafetyCheck="Skip",
    )
    shown = answer.body["Execution"]
    assert shown["ExecutionId"].startswith("exec-")
    assert json.loads(shown["Parameters"]) == {"n": 3}
    wanted = {
        "Status": "Started",
        "Tags": {"k": "v"},
        "Description": "armed",
        "SafetyCheck": "Skip",
        "Mode": "Automatic",
        "RamRole": "",
        "Outputs": "{}",
        "CurrentTasks": [],
        "ExecutedBy": "tester(1234567890123456)",
        "CreateDate": "2026-11-22T08:32:25Z",
    }
    assert {name: shown[name] for name in wanted} == wanted
    listed = cloud.oos("ListExecutions").body["Executions"][0]
    assert (listed["Parameters"], listed["Category"]) == ({"n": 3}, "Other")


def test_start_repeated_with_its_token_starts_nothing_more() -> None:
    cloud = OosCloud()
    given = {"TemplateContent": LOOK, "ClientToken": "once"}
    first, second = (cloud.oos("StartExecution", **given) for _ in range(2))
    ids = {answer.body["Execution"]["ExecutionId"] for answer in (first, second)}
    assert (len(ids), len(cloud.oos("ListExecutions").body["Executions"])) == (1, 1)
    changed = cloud.oos("StartExecution", **{**given, "Description": "other"})
    assert changed.outcome == (403, "IdempotentParameterMismatch")


def test_start_whose_answer_is_lost_has_started() -> None:
    cloud = OosCloud()
    cloud.api.faults.add(Fault(kind="lost_reply", action="StartExecution"))
    cloud.send(
        cloud.signer.sign(
            {"Action": "StartExecution", "Version": "2019-06-01", "TemplateContent": LOOK},
            at=cloud.clock.time,
        )
    )
    assert len(cloud.oos("ListExecutions").body["Executions"]) == 1


def test_start_can_be_struck_by_a_fault_and_by_throttling() -> None:
    cloud = OosCloud()
    cloud.api.faults.add(Fault(kind="error:InternalError:500", action="StartExecution"))
    assert start(cloud) == (500, "InternalError")
    cloud.api.throttles.set([Throttle(limit=0, action="StartExecution", code="Throttling.User")])
    assert start(cloud) == (400, "Throttling.User")


@pytest.mark.parametrize("action", ["CancelExecution", "NotifyExecution", "ListExecutionLogs"])
def test_execution_that_there_is_not_is_refused(action: str) -> None:
    answer = OosCloud().oos(action, ExecutionId="exec-none", NotifyType="Approve")
    assert answer.outcome == (404, "EntityNotExists.Execution")


def test_execution_that_ended_can_neither_be_cancelled_nor_notified() -> None:
    cloud = OosCloud()
    name = cloud.run(LOOK)["ExecutionId"]
    cancelled = cloud.oos("CancelExecution", ExecutionId=name)
    assert (cancelled.status, cloud.status(name)) == (400, "Success")
    assert cloud.oos("NotifyExecution", ExecutionId=name, NotifyType="Approve").status == 400


def test_notification_of_an_unknown_kind_is_refused() -> None:
    cloud = OosCloud()
    name = cloud.started(SLEEP)
    answer = cloud.oos("NotifyExecution", ExecutionId=name, NotifyType="ExecuteTask")
    assert answer.outcome == (400, "InvalidParameter.NotifyType")


def listed(cloud: OosCloud, **params: Any) -> list[str]:
    found = cloud.oos("ListExecutions", **params).body["Executions"]
    return [str(each["Description"]) for each in found]


def test_listing_is_filtered_and_sorted() -> None:
    cloud = OosCloud()
    cloud.oos("CreateTemplate", TemplateName="snap-self-rollback", Content=SLEEP)
    cloud.started(LOOK, Description="first", Tags={"owner": "i-1", "run": "a"})
    cloud.pass_time(60)
    cloud.started(SLEEP, Description="second", Tags={"owner": "i-2"})
    cloud.pass_time(60)
    stored = {"TemplateContent": "", "TemplateName": "snap-self-rollback"}
    cloud.oos("StartExecution", **stored, Description="third")
    cloud.pass_time(60)
    assert listed(cloud) == ["third", "second", "first"]
    assert listed(cloud, SortOrder="Ascending") == ["first", "second", "third"]
    assert listed(cloud, Status="Running") == ["third", "second"]
    assert listed(cloud, Status="Success") == ["first"]
    assert listed(cloud, Tags={"owner": "i-1"}) == ["first"]
    assert listed(cloud, Tags={"owner": "i-1", "run": "b"}) == []
    assert listed(cloud, TemplateName="rollback") == ["third"]
    assert listed(cloud, Description="sec") == ["second"]
    assert listed(cloud, StartDateAfter="2026-11-22T08:34:25Z") == ["third", "second"]
    assert listed(cloud, StartDateBefore="2026-11-22T08:34:24Z") == ["first"]
    assert listed(cloud, EndDateBefore="2026-11-22T09:00:00Z") == ["first"]
    assert listed(cloud, EndDateAfter="2026-11-22T09:00:00Z") == []
    assert listed(cloud, SortField="Status", SortOrder="Ascending") == ["second", "third", "first"]
    assert cloud.oos("ListExecutions", StartDateAfter="today").status == 400


def test_listing_comes_in_pages() -> None:
    cloud = OosCloud()
    for number in range(25):
        cloud.started(LOOK, Description=f"n{number}")
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        body = cloud.oos("ListExecutions", MaxResults="10", NextToken=token).body
        pages.append([each["Description"] for each in body["Executions"]])
        token = body["NextToken"]
        assert (body["MaxResults"], body["TotalCount"]) == (10, 25)
    assert [len(page) for page in pages] == [10, 10, 5]
    found = [each for page in pages for each in page]
    assert found == [f"n{number}" for number in reversed(range(25))]
    assert len(cloud.oos("ListExecutions").body["Executions"]) == 25


def test_tasks_are_filtered() -> None:
    cloud = OosCloud()
    done = cloud.run(template({**FAIL, "OnError": "ACS::NEXT"}, PASS))
    name = done["ExecutionId"]
    assert [t["TaskName"] for t in cloud.tasks(name, Status="Failed")] == ["t1"]
    assert [t["TaskName"] for t in cloud.tasks(name, TaskName="t2")] == ["t2"]
    assert [t["TaskName"] for t in cloud.tasks(name, TaskAction="ACS::Notify")] == ["t2"]
    assert [t["TaskName"] for t in cloud.tasks(name, TaskExecutionId=f"{name}.t0002")] == ["t2"]
    assert done["Counters"] == {"Total": 2, "Success": 1, "Failed": 1}


def test_current_tasks_are_those_that_have_not_ended() -> None:
    cloud = OosCloud()
    name = cloud.started(SLEEP)
    cloud.pass_time(1)
    assert cloud.execution(name)["CurrentTasks"] == [
        {"TaskExecutionId": f"{name}.t0001", "TaskName": "t1", "TaskAction": "ACS::Sleep"}
    ]


# Rights.


def allowing(*pairs: tuple[str, str], **condition: Any) -> PolicyDocument:
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource, **condition}
        for action, resource in pairs
    ]
    return {"Version": "1", "Statement": statements}


USER = AccessKeyConfig(access_key_id="LTAIlimited", access_key_secret="limited", user="limited")
LIMITED = Signer(access_key_id=USER.access_key_id, secret=USER.access_key_secret)


def cloud_with(*policies: PolicyDocument, roles: tuple[RoleConfig, ...] = ()) -> OosCloud:
    keys = (*TWO_DISKS.keys, replace(USER, policies=policies))
    return OosCloud(replace(TWO_DISKS, keys=keys, roles=(*TWO_DISKS.roles, *roles)))


STARTS = ("oos:StartExecution", f"{ARN}:execution/*")


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("StartExecution", {"TemplateContent": LOOK}),
        ("ListExecutions", {}),
        ("CancelExecution", {"ExecutionId": "exec-1"}),
        ("ListTaskExecutions", {"ExecutionId": "exec-1"}),
        ("CreateTemplate", {"TemplateName": "x", "Content": LOOK}),
        ("ListTemplates", {}),
    ],
)
def test_call_without_the_right_is_refused(action: str, params: dict[str, str]) -> None:
    answer = cloud_with(allowing(("ecs:*", "*"))).oos(action, signer=LIMITED, **params)
    assert answer.outcome == (401, "User.NoPermission")
    assert f"oos:{action}" in answer.body["Message"]


def test_right_can_be_limited_to_one_template() -> None:
    cloud = cloud_with(allowing(STARTS, ("oos:StartExecution", f"{ARN}:template/good")))
    for name in ("good", "bad"):
        cloud.oos("CreateTemplate", TemplateName=name, Content=LOOK)
    outcomes = [
        cloud.oos("StartExecution", signer=LIMITED, TemplateName=name).status
        for name in ("good", "bad")
    ]
    assert outcomes == [200, 401]


def test_right_can_be_limited_to_executions_with_a_tag() -> None:
    own = {"Condition": {"StringEquals": {"acs:ResourceTag/owner": "i-own"}}}
    cloud = cloud_with(allowing(("oos:CancelExecution", f"{ARN}:execution/*"), **own))
    names = [cloud.started(SLEEP, Tags={"owner": owner}) for owner in ("i-own", "i-other")]
    outcomes = [
        cloud.oos("CancelExecution", signer=LIMITED, ExecutionId=name).status for name in names
    ]
    assert outcomes == [200, 401]


def test_right_can_depend_on_the_tags_of_the_request() -> None:
    own = {"Condition": {"StringEquals": {"acs:RequestTag/owner": "i-own"}}}
    cloud = cloud_with(allowing(STARTS, **own))
    outcomes = [
        cloud.oos("StartExecution", signer=LIMITED, TemplateContent=LOOK, Tags=tags).status
        for tags in ({"owner": "i-own"}, {"owner": "i-other"}, {})
    ]
    assert outcomes == [200, 401, 401]


DELETE = template({**api("DeleteDisk", DiskId="d-none")})
ROLLER = RoleConfig(name="Roller", policies=(allowing(("ecs:DeleteDisk", "*")),))


def run_as(cloud: OosCloud, content: str, **params: Any) -> dict[str, Any]:
    given = {"TemplateContent": content, "SafetyCheck": "Skip", **params}
    answer = cloud.oos("StartExecution", signer=LIMITED, **given)
    assert answer.status == 200, answer
    cloud.pass_time(1)
    return cloud.execution(answer.body["Execution"]["ExecutionId"])


def test_execution_without_a_role_has_the_rights_of_who_started_it() -> None:
    cloud = cloud_with(allowing(STARTS))
    done = run_as(cloud, DELETE)
    assert (done["Status"], "Forbidden.RAM" in done["StatusMessage"]) == ("Failed", True)
    cloud.cloud.keys.set_policies("limited", (allowing(STARTS, ("ecs:DeleteDisk", "*")),))
    assert run_as(cloud, DELETE)["Status"] == "Success"


def test_execution_with_a_role_has_the_rights_of_the_role() -> None:
    cloud = cloud_with(allowing(STARTS), roles=(ROLLER,))
    parameters = {"role": {"Type": "String", "Default": ""}}
    content = template(
        api("DeleteDisk", DiskId="d-none"), Parameters=parameters, RamRole="{{ role }}"
    )
    done = run_as(cloud, content, Parameters={"role": "Roller"})
    assert (done["Status"], done["RamRole"]) == ("Success", "Roller")
    call = next(call for call in cloud.api.calls.all() if call.action == "DeleteDisk")
    assert call.principal == f"Roller:{done['ExecutionId']}"
    assert run_as(cloud, content)["Status"] == "Failed"


def test_execution_without_a_role_may_assume_the_services_own() -> None:
    config = replace(TWO_DISKS, default_oos_role="Roller", roles=(ROLLER,))
    cloud = OosCloud(config)
    done = cloud.run(DELETE)
    assert (done["Status"], done["RamRole"]) == ("Success", "")
    assert "Forbidden.RAM" in cloud.run(template(api("StopInstance")))["StatusMessage"]


def test_execution_below_has_the_role_of_its_parent() -> None:
    stops = RoleConfig(
        name="Stops", policies=(allowing(("ecs:StopInstance", "*"), ("ecs:Describe*", "*")),)
    )
    cloud = cloud_with(allowing(STARTS), roles=(stops,))
    stop = {"Action": "ACS::ECS::StopInstance", "Properties": {"instanceId": "i-own"}}
    run_as(cloud, template(stop, RamRole="Stops"))
    assert cloud.cloud.own_instance.status in ("Stopping", "Stopped")


def test_session_acts_within_its_own_policy_in_its_executions() -> None:
    cloud = cloud_with(roles=(ROLLER,))
    key = cloud.cloud.keys.mint(
        role="SnapSelfRole",
        session="limited",
        lifetime_s=900,
        session_policy=allowing(("oos:*", "*")),
    )
    signer = Signer(access_key_id=key.access_key_id, secret=key.secret, token=key.token)
    answer = cloud.oos("StartExecution", signer=signer, TemplateContent=DELETE, SafetyCheck="Skip")
    cloud.pass_time(1)
    done = cloud.execution(answer.body["Execution"]["ExecutionId"])
    assert (done["Status"], "Forbidden.RAM" in done["StatusMessage"]) == ("Failed", True)


@pytest.mark.parametrize(("role", "status"), [("", "Failed"), ("SnapSelfRole", "Success")])
def test_rights_of_a_session_may_end_before_the_execution(role: str, status: str) -> None:
    cloud = OosCloud(replace(TWO_DISKS, starter_rights_s=1000.0))
    key = cloud.cloud.keys.mint(role="SnapSelfRole", session="i-own", lifetime_s=900)
    signer = Signer(access_key_id=key.access_key_id, secret=key.secret, token=key.token)
    sleep = {"Action": "ACS::Sleep", "Properties": {"Duration": "PT30M"}}
    content = template(sleep, api("DescribeDisks"), RamRole=role)
    answer = cloud.oos("StartExecution", signer=signer, TemplateContent=content)
    cloud.pass_time(1)
    cloud.pass_time(1800)
    assert cloud.status(answer.body["Execution"]["ExecutionId"]) == status


@pytest.mark.parametrize(
    ("role", "code"), [("Nobody", "EntityNotExist.Role"), ("Closed", "NoPermission")]
)
def test_role_that_the_service_cannot_assume_fails_the_first_call(role: str, code: str) -> None:
    closed = RoleConfig(name="Closed", trusted=("tester",))
    cloud = cloud_with(roles=(closed,))
    done = cloud.run(template(api("DescribeDisks"), RamRole=role))
    assert (done["Status"], code in done["StatusMessage"]) == ("Failed", True)


def test_role_may_trust_the_service_alone() -> None:
    trusting = replace(ROLLER, trusted=("oos.aliyuncs.com",))
    cloud = cloud_with(roles=(trusting,))
    content = template(api("DeleteDisk", DiskId="d-none"), RamRole="Roller")
    assert cloud.run(content)["Status"] == "Success"


# Faults of what it calls.


@pytest.mark.parametrize("kind", ["lost_reply", "hang", "html_502", "reset"])
def test_broken_call_of_ecs_fails_the_task(kind: str) -> None:
    cloud = OosCloud()
    cloud.api.faults.add(Fault(kind=kind, action="DescribeDisks"))
    done = cloud.run(LOOK)
    assert (done["Status"], "ServiceUnavailable" in done["StatusMessage"]) == ("Failed", True)


def test_call_that_is_refused_by_a_fault_has_not_been_done() -> None:
    cloud = OosCloud()
    cloud.api.faults.add(Fault(kind="error:InternalError:500", action="StopInstance"))
    done = cloud.run(template(api("StopInstance", InstanceId="i-own")))
    assert (done["Status"], cloud.cloud.own_instance.status) == ("Failed", "Running")


class NeverAwaited(threading.Event):
    """An event that no test has time to wait for."""

    def wait(self, timeout: float | None = None) -> bool:
        raise AssertionError("waited")


def test_call_of_the_engine_does_not_wait_as_a_clients_does() -> None:
    cloud = OosCloud()
    cloud.api = Api(cloud.cloud, stopping=NeverAwaited())
    cloud.api.latencies.set("fast", {"DescribeDisks": 10.0})
    assert cloud.run(LOOK)["Status"] == "Success"
    with pytest.raises(AssertionError, match="waited"):
        cloud.call("DescribeDisks")


def test_call_whose_answer_is_lost_has_been_done() -> None:
    cloud = OosCloud()
    cloud.api.faults.add(Fault(kind="lost_reply", action="StopInstance"))
    done = cloud.run(template(api("StopInstance", InstanceId="i-own")))
    assert (done["Status"], cloud.cloud.own_instance.status) == ("Failed", "Stopped")


def test_wait_outlasts_a_service_that_fails_or_throttles() -> None:
    cloud = OosCloud()
    task = api("DescribeDisks", DiskIds=["d-data"])
    task["Properties"] |= {"PropertySelector": "Disks.Disk[].Status", "DesiredValues": ["In_use"]}
    cloud.api.faults.add(Fault(kind="error:ServiceUnavailable:503", action="DescribeDisks"))
    cloud.api.faults.add(Fault(kind="error:Throttling.User:400", action="DescribeDisks"))
    assert cloud.run(template({**task, "Action": "ACS::WaitFor"}))["Status"] == "Success"
    cloud.api.faults.add(Fault(kind="error:InvalidParameter:400", action="DescribeDisks"))
    assert cloud.run(template({**task, "Action": "ACS::WaitFor"}))["Status"] == "Failed"
