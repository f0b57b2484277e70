"""The fleet's templates have the form that public templates have, and what both loops share.

Beside the validator of the simulated OOS, which knows more than is used here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ecs_simulator.oos.templates import SIZE_LIMIT
from fakes.fleet_oos import FOLDER, FleetRegion, documented_policy, template_of

NAMES = ("install", "keep", "patch", "report")
FLEET = ("install", "patch", "report")
# What public templates and the user guide use. Source: github.com/aliyun/oos-templates.
TOP = {"FormatVersion", "Description", "Parameters", "RamRole", "Tasks", "Outputs"}
TEXTS = {"en", "zh-cn", "name-en", "name-zh-cn"}
PARAMETER = {
    *("Type", "Label", "Description", "Default", "AssociationProperty"),
    *("AllowedPattern", "MinLength", "MaxLength", "MinValue", "MaxValue"),
}
KINDS = {"String", "Number", "Boolean", "List", "Json"}
TASK = {
    *("Name", "Action", "Description", "Properties", "Outputs", "Loop", "When", "OnError"),
    *("Retries", "Delay", "DelayType"),
}
CALLING = {"Service", "API", "Parameters"}
PROPERTIES = {
    "ACS::Approve": {"Approvers", "MinRequiredApprovals", "NotifyType", "WebHook"},
    "ACS::SelectTargets": {"ResourceType", "RegionId", "Filters"},
    "ACS::Loop": {"LoopItems", "LoopRateControl", "LoopTasks"},
    "ACS::ExecuteAPI": CALLING,
    "ACS::CheckFor": CALLING | {"PropertySelector", "DesiredValues"},
    "ACS::WaitFor": CALLING | {"PropertySelector", "DesiredValues", "NotDesiredValues"},
}
FUNCTIONS = {
    *("Fn::Equals", "Fn::Not", "Fn::And", "Fn::If"),
    *("Fn::Jq", "Fn::Join", "Fn::Base64Encode"),
}


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(template_of(name))
    return loaded


def tasks_of(name: str) -> Iterator[dict[str, Any]]:
    for task in read(name)["Tasks"]:
        yield task
        yield from task["Properties"].get("LoopTasks", ())


def functions_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {key for key in value if str(key).startswith("Fn::")}
        return own.union(*map(functions_in, value.values()))
    return set().union(*map(functions_in, value)) if isinstance(value, list) else set()


def test_every_template_of_the_folder_is_looked_at() -> None:
    found = {path.stem.removeprefix("snap-self-") for path in FOLDER.glob("*.yml")}
    assert found == {*NAMES, "rollback"}


@pytest.mark.parametrize("name", NAMES)
def test_template_uses_what_public_templates_use_and_no_more(name: str) -> None:
    template = read(name)
    assert set(template) <= TOP
    assert template["FormatVersion"] == "OOS-2019-06-01"
    assert set(template["Description"]) <= TEXTS
    assert functions_in(template) <= FUNCTIONS
    assert len(template_of(name).encode()) < SIZE_LIMIT
    for parameter in template["Parameters"].values():
        assert set(parameter) <= PARAMETER
        assert parameter["Type"] in KINDS
        assert set(parameter.get("Description", parameter.get("Label"))) == {"en", "zh-cn"}


@pytest.mark.parametrize("name", NAMES)
def test_tasks_have_known_keys_and_wait_in_constant_steps(name: str) -> None:
    for task in tasks_of(name):
        assert set(task) <= TASK, task["Name"]
        assert set(task["Properties"]) <= PROPERTIES[task["Action"]], task["Name"]
        assert set(task["Description"]) == {"en", "zh-cn"}
        if task["Action"] == "ACS::WaitFor":
            assert task["DelayType"] == "Constant"
            assert 1 <= task["Delay"] <= 30
            assert 1 <= task["Retries"] <= 300


@pytest.mark.parametrize("name", NAMES)
def test_role_is_a_parameter_and_the_simulated_validator_takes_it(name: str) -> None:
    assert read(name)["RamRole"] == "{{ OOSAssumeRole }}"
    answer = FleetRegion("i-1").oos("ValidateTemplateContent", Content=template_of(name))
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("name", FLEET)
def test_fleet_goes_by_tag_alone_and_reports_in_any_case(name: str) -> None:
    template = read(name)
    tasks = {task["Name"]: task for task in template["Tasks"]}
    (target,) = tasks["select"]["Properties"]["Filters"]
    tag = {"Key": "{{ tagKey }}", "Value": "{{ tagValue }}"}
    assert target == {"Type": "Tags", "RegionId": "{{ regionId }}", "Tags": [tag]}
    # An empty key or value would mean every instance of the region.
    for parameter in ("tagKey", "tagValue"):
        assert not re.fullmatch(template["Parameters"][parameter]["AllowedPattern"], "")
    assert "Default" not in template["Parameters"]["tagValue"]
    (loop,) = (task for task in template["Tasks"] if task["Action"] == "ACS::Loop")
    assert loop["Properties"]["LoopItems"] == "{{ select.instanceIds }}"
    assert loop["Properties"]["LoopRateControl"] == "{{ rateControl }}"
    assert loop["OnError"] == "report"
    assert [*tasks][-2:] == ["report", "everyInstanceSucceeded"]


@pytest.mark.parametrize("name", FLEET)
def test_fleet_waits_longer_than_its_command_may_run(name: str) -> None:
    (loop,) = (task for task in read(name)["Tasks"] if task["Action"] == "ACS::Loop")
    begin, ended, _ = loop["Properties"]["LoopTasks"]
    timeout = begin["Properties"]["Parameters"]["Timeout"]
    limit = read(name)["Parameters"]["timeout"]["MaxValue"] if name == "patch" else timeout
    assert ended["Delay"] * ended["Retries"] > limit


@pytest.mark.parametrize("name", FLEET)
def test_only_texts_of_a_closed_pattern_stand_bare_in_a_script(name: str) -> None:
    template = read(name)
    (loop,) = (task for task in template["Tasks"] if task["Action"] == "ACS::Loop")
    content = loop["Properties"]["LoopTasks"][0]["Properties"]["Parameters"]["CommandContent"]
    _, parts = content["Fn::Base64Encode"]["Fn::Join"]
    bare = [
        each for part in parts if isinstance(part, str) for each in re.findall(r"{{ (\w+) }}", part)
    ]
    for each in bare:
        pattern = template["Parameters"][each]["AllowedPattern"]
        for text in ("'", "a'b", "http://x/';id;'.deb", "x\ny", "$(id)", "`id`"):
            assert not re.fullmatch(pattern, text), each


@pytest.mark.parametrize("name", NAMES)
def test_role_of_the_document_has_the_rights_that_the_tasks_need_and_no_more(name: str) -> None:
    keeper = json.loads((FOLDER.parent / "ram/snap-self-keeper.json").read_text("utf-8"))
    policy = keeper if name == "keep" else documented_policy()
    allowed: set[str] = set()
    for statement in policy["Statement"]:
        actions = statement["Action"]
        allowed |= {actions} if isinstance(actions, str) else {*actions}
    answer = FleetRegion("i-1").oos("GenerateExecutionPolicy", TemplateContent=template_of(name))
    (needed,) = json.loads(answer.body["Policy"])["Statement"]
    assert allowed == set(needed["Action"])
