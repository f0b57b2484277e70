"""Templates' texts, their parameters, and the parameters of their calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecs_simulator.oos.actions import check_actions
from ecs_simulator.oos.expressions import Scope
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.parameters import read_parameters, values_of
from ecs_simulator.oos.requests import flat
from ecs_simulator.oos.templates import read_template
from fakes.simulated_oos import PASS, picks, template

YAML = """
FormatVersion: OOS-2019-06-01
Description:
  en: Waits
Parameters:
  regionId:
    Type: String
    Default: '{{ ACS::RegionId }}'
Tasks:
  - Name: wait
    Action: ACS::Sleep
    Properties:
      EndDate: 2026-11-22T08:00:00Z
"""


def test_yaml_and_json_are_both_read() -> None:
    read = read_template(YAML)
    assert (read.form, read.tasks[0].action) == ("YAML", "ACS::Sleep")
    assert read.tasks[0].properties == {"EndDate": "2026-11-22T08:00:00Z"}
    assert read_template(template(PASS)).form == "JSON"


def chooses(**choice: Any) -> dict[str, Any]:
    return {"Action": "ACS::Choice", "Properties": {"Choices": [choice]}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no JSON"),
        ("a: [", "no YAML"),
        ("just text", "is a map"),
        (json.dumps({"Tasks": [PASS]}), "FormatVersion"),
        (template(PASS, Surprise=1), "no Surprise"),
        (template(), "at least one task"),
        (template({**PASS, "Name": "a b"}), "name"),
        (template({**PASS, "Name": "a"}, {**PASS, "Name": "a"}), "same name"),
        (template({"Action": "Sleep"}), "no action"),
        (template({**PASS, "Surprise": 1}), "no Surprise"),
        (template({**PASS, "OnError": "gone"}), "no task 'gone'"),
        (template({**PASS, "OnSuccess": "gone"}), "no task 'gone'"),
        (template(chooses(When=True, NextTask="gone")), "no task 'gone'"),
        (template(chooses(When=True)), "When and NextTask"),
        (template({**PASS, "Retries": 500}), "Retries"),
        (template({**PASS, **picks(x="String [")}), "selector"),
        (template({**PASS, **picks(x="Text .a")}), "no type"),
        (template({**PASS, "Loop": {}}), "Items"),
        (template({**PASS, "Loop": {"Items": [], "Outputs": {"a": {}}}}), "AggregateType"),
        (template({**PASS, "When": "{{ who }}"}), "'who'"),
        (template({**PASS, "Properties": {"a": "{{ who.x }}"}}), "'who.x'"),
        (template({**PASS, "Properties": {"a": {"Fn::Zip": []}}}), "Fn::Zip"),
        (template(PASS, Outputs={"a": {"Value": "{{ who }}"}}), "'who'"),
        (template(PASS, Outputs={"a": {"Type": "Text"}}), "Type"),
        (template(PASS, Parameters={"a": {"Type": "Text"}}), "Type"),
        (template(PASS, Parameters={"a": {"Default": "{{ b }}"}, "b": {}}), "'b'"),
        (template(PASS, Description="x" * 65536), "65536"),
    ],
)
def test_template_that_breaks_a_rule_is_refused(content: str, words: str) -> None:
    with pytest.raises(TemplateFault, match=words):
        read_template(content)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"Action": "ACS::Fly"}, "ACS::Fly"),
        ({"Action": "ACS::Sleep", "Loop": {"Items": []}}, "looped"),
        ({"Action": "ACS::Loop", "Properties": {"LoopTasks": [{**PASS, "Name": "a b"}]}}, "name"),
        (
            {
                "Action": "ACS::Loop",
                "Properties": {"LoopTasks": [{"Name": "a", "Action": "ACS::Fly"}]},
            },
            "ACS::Fly",
        ),
    ],
)
def test_action_that_cannot_be_run_is_refused(task: dict[str, Any], words: str) -> None:
    with pytest.raises(TemplateFault, match=words):
        check_actions(read_template(template(task)).tasks)


PARAMETERS = read_parameters(
    {
        "name": {"Type": "String", "AllowedPattern": "d-[a-z]*", "MinLength": 3, "MaxLength": 6},
        "kind": {"AllowedValues": ["a", "b"], "Default": "a"},
        "count": {"Type": "Number", "MinValue": 1, "MaxValue": 5, "Default": 0},
        "region": {"Default": "{{ ACS::RegionId }}"},
        "ids": {"Type": "List", "Default": []},
    }
)
SCOPE = Scope(names={"ACS::RegionId": "cn-hangzhou"})


def test_parameters_have_their_values_types_and_defaults() -> None:
    given = {"name": "d-abc", "count": "3", "ids": '["x"]'}
    assert values_of(PARAMETERS, given, SCOPE) == {
        "name": "d-abc",
        "kind": "a",
        "count": 3,
        "region": "cn-hangzhou",
        "ids": ["x"],
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "name is required"),
        ({"name": "d-a", "other": 1}, "no parameter other"),
        ({"name": "x-abc"}, "AllowedPattern"),
        ({"name": "d-"}, "MinLength"),
        ({"name": "d-abcdef"}, "MaxLength"),
        ({"name": "d-a", "kind": "c"}, "AllowedValues"),
        ({"name": "d-a", "count": 0}, "MinValue"),
        ({"name": "d-a", "count": 6}, "MaxValue"),
        ({"name": "d-a", "count": "many"}, "Number"),
        ({"name": "d-a", "ids": "x"}, "List"),
    ],
)
def test_value_that_does_not_suit_its_parameter_is_refused(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(TemplateFault, match=words):
        values_of(PARAMETERS, given, SCOPE)


def test_call_is_written_as_the_rpc_api_takes_it() -> None:
    given = {
        "DiskIds": ["d-1"],
        "Force": True,
        "Size": 40,
        "Name": "",
        "Days": None,
        "Tags": [{"Key": "k", "Value": "v"}],
        "Resource": ["a", "b"],
        "SystemDisk": {"Size": 20},
    }
    assert flat("DescribeDisks", given) == {
        "DiskIds": '["d-1"]',
        "Force": "true",
        "Size": "40",
        "Name": "",
        "Tag.1.Key": "k",
        "Tag.1.Value": "v",
        "Resource.1": "a",
        "Resource.2": "b",
        "SystemDisk.Size": "20",
    }
    assert flat("ModifyDiskAttribute", {"DiskIds": ["d-1"]}) == {"DiskIds.1": "d-1"}


def test_call_with_tags_that_are_no_list_is_a_fault() -> None:
    with pytest.raises(TaskFault, match="Tags"):
        flat("CreateSnapshot", {"Tags": {"k": "v"}})
