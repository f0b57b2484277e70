"""Stored templates over the API, and what it tells of templates that are not stored."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import RoleConfig
from fakes.simulated_cloud import TWO_DISKS
from fakes.simulated_oos import PASS, OosCloud, api, picks, template

ONE, TWO = template(PASS, Description="one"), template(PASS, PASS, Description="two")
SLEEP = template({"Action": "ACS::Sleep", "Properties": {"Duration": "PT1H"}})


def created(cloud: OosCloud, name: str, content: str = ONE, **params: Any) -> Any:
    return cloud.oos("CreateTemplate", TemplateName=name, Content=content, **params)


def names(cloud: OosCloud, **params: Any) -> list[str]:
    found = cloud.oos("ListTemplates", **params).body["Templates"]
    return [str(each["TemplateName"]) for each in found]


def test_template_is_made_shown_and_listed() -> None:
    cloud = OosCloud()
    made = created(cloud, "mine", Tags={"k": "v"}, VersionName="first").body["Template"]
    shown = cloud.oos("GetTemplate", TemplateName="mine").body
    assert (shown["Content"], shown["Template"]) == (ONE, made)
    wanted = {
        "TemplateVersion": "v1",
        "VersionName": "first",
        "TemplateFormat": "JSON",
        "Description": "one",
        "Tags": {"k": "v"},
        "ShareType": "Private",
        "CreatedBy": "tester(1234567890123456)",
        "CreatedDate": "2026-11-22T08:32:25Z",
    }
    assert {name: made[name] for name in wanted} == wanted
    created(cloud, "other")
    assert names(cloud) == ["other", "mine"]
    assert names(cloud, TemplateName="min") == ["mine"]
    assert names(cloud, Tags={"k": "v"}) == ["mine"]


def test_update_makes_a_version_and_the_old_one_can_still_be_run() -> None:
    cloud = OosCloud()
    created(cloud, "mine")
    updated = cloud.oos("UpdateTemplate", TemplateName="mine", Content=TWO, VersionName="second")
    assert updated.body["Template"]["TemplateVersion"] == "v2"
    assert cloud.oos("GetTemplate", TemplateName="mine").body["Content"] == TWO
    runs = []
    for version in ("", "v1", "v2", "second"):
        given = {"TemplateContent": "", "TemplateName": "mine", "TemplateVersion": version}
        name = cloud.started(**{"content": "", **given})
        cloud.pass_time(1)
        shown = cloud.execution(name)
        runs.append((shown["TemplateVersion"], len(cloud.tasks(name))))
    assert runs == [("v2", 2), ("v1", 1), ("v2", 2), ("v2", 2)]
    missing = cloud.oos("GetTemplate", TemplateName="mine", TemplateVersion="v3")
    assert missing.outcome == (404, "EntityNotExists.Template")


@pytest.mark.parametrize(
    "name", ["", "a b", "x" * 201, "ALIYUN-mine", "acs-mine", "Alibaba", "alicloud1"]
)
def test_name_that_breaks_the_rules_is_refused(name: str) -> None:
    assert created(OosCloud(), name).status == 400


def test_template_that_cannot_run_or_exists_is_refused() -> None:
    cloud = OosCloud()
    assert created(cloud, "mine", "{").outcome == (400, "InvalidTemplate")
    assert created(cloud, "mine", template({"Action": "ACS::Fly"})).status == 400
    created(cloud, "mine")
    assert created(cloud, "mine").outcome == (400, "EntityAlreadyExists.Template")


@pytest.mark.parametrize("action", ["GetTemplate", "UpdateTemplate", "DeleteTemplate"])
def test_template_that_there_is_not_is_refused(action: str) -> None:
    answer = OosCloud().oos(action, TemplateName="gone", Content=ONE)
    assert answer.outcome == (404, "EntityNotExists.Template")


def test_templates_are_deleted_all_or_none_and_not_while_they_run() -> None:
    cloud = OosCloud()
    for name in ("a", "b", "c"):
        created(cloud, name, SLEEP)
    assert cloud.oos("DeleteTemplates", TemplateNames=["a", "gone"]).status == 404
    running = cloud.oos("StartExecution", TemplateName="c").body["Execution"]["ExecutionId"]
    assert cloud.oos("DeleteTemplate", TemplateName="c").outcome == (400, "TemplateInUse")
    assert names(cloud) == ["c", "b", "a"]
    cloud.oos("CancelExecution", ExecutionId=running)
    assert cloud.oos("DeleteTemplate", TemplateName="c").status == 200
    assert cloud.oos("DeleteTemplates", TemplateNames=["a", "b"]).status == 200
    assert names(cloud) == []


def test_text_is_checked_without_being_stored() -> None:
    cloud = OosCloud()
    task = {**api("DescribeDisks"), **picks(ids="List Disks.Disk[].DiskId")}
    parameters = {"id": {"Type": "String", "MinLength": 1}, "role": {"Default": ""}}
    content = template(task, Parameters=parameters, RamRole="{{ role }}")
    body = cloud.oos("ValidateTemplateContent", Content=content).body
    assert json.loads(body["Parameters"]) == {
        "id": {"Type": "String", "MinLength": 1},
        "role": {"Type": "String", "Default": ""},
    }
    assert body["RamRole"] == "{{ role }}"
    (shown,) = body["Tasks"]
    assert (shown["Name"], shown["Type"]) == ("t1", "ACS::ExecuteAPI")
    assert json.loads(shown["Outputs"]) == {"ids": "Disks.Disk[].DiskId"}
    assert cloud.oos("ValidateTemplateContent", Content="{").outcome == (400, "InvalidTemplate")
    assert names(cloud) == []


def test_template_of_an_execution_is_shown_though_it_was_never_stored() -> None:
    cloud = OosCloud()
    name = cloud.started(ONE)
    body = cloud.oos("GetExecutionTemplate", ExecutionId=name).body
    assert (body["Content"], body["Template"]["TemplateVersion"]) == (ONE, "v1")


def test_policy_names_every_call_and_what_a_role_lacks() -> None:
    few: dict[str, Any] = {"Effect": "Allow", "Action": ["ecs:Describe*"], "Resource": "*"}
    role = RoleConfig(name="Few", policies=({"Version": "1", "Statement": [few]},))
    cloud = OosCloud(replace(TWO_DISKS, roles=(role,)))
    stop = {"Action": "ACS::ECS::StopInstance", "Properties": {"instanceId": "i-own"}}
    inner = [{"Name": "tag", **api("TagResources")}]
    loop = {"Action": "ACS::Loop", "Properties": {"LoopItems": [], "LoopTasks": inner}}
    content = template(api("ResetDisk"), stop, loop, PASS)
    body = cloud.oos("GenerateExecutionPolicy", TemplateContent=content, RamRole="Few").body
    (statement,) = json.loads(body["Policy"])["Statement"]
    assert statement["Action"] == [
        "ecs:DescribeInstances",
        "ecs:ResetDisk",
        "ecs:StopInstance",
        "ecs:TagResources",
    ]
    assert json.loads(body["MissingPolicy"]) == [
        {
            "Action": ["ecs:ResetDisk", "ecs:StopInstance", "ecs:TagResources"],
            "ServiceName": "ecs",
            "Resources": "*",
        }
    ]
    alone = cloud.oos("GenerateExecutionPolicy", TemplateContent=template(PASS)).body
    assert (json.loads(alone["Policy"])["Statement"], alone["MissingPolicy"]) == ([], "[]")
    wrong = cloud.oos("GenerateExecutionPolicy", TemplateContent=content, RamRole="Nobody")
    assert wrong.status == 400
