"""The cloud product actions, each a template of its own, which runs as a child execution.

Parameters and outputs are those that the service documents for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ecs_simulator.oos.templates import Template, template_of

Json = dict[str, Any]
_REGION: Json = {"Type": "String", "Default": "{{ ACS::RegionId }}"}
_TEXT: Json = {"Type": "String", "Default": ""}
_NO: Json = {"Type": "Boolean", "Default": False}
_ID: Json = {"Type": "String", "MinLength": 1, "MaxLength": 30}


def _api(name: str, api: str, parameters: Json, **attributes: Any) -> Json:
    properties = {
        "Service": "ECS",
        "API": api,
        "Parameters": {"RegionId": "{{ regionId }}", **parameters},
    }
    return {
        "Name": name,
        "Action": "ACS::ExecuteAPI",
        "Properties": properties,
        **attributes,
    }


def _until(name: str, api: str, parameters: Json, selector: str, *wanted: str) -> Json:
    task = _api(name, api, parameters)
    task["Properties"] |= {"PropertySelector": selector, "DesiredValues": [*wanted]}
    return {**task, "Action": "ACS::WaitFor"}


_INSTANCE: Json = {"InstanceIds": ["{{ instanceId }}"]}
_STATUS = "Instances.Instance[].Status"
_LOOK = _api(
    "getStatus",
    "DescribeInstances",
    _INSTANCE,
    Outputs={"status": {"Type": "String", "ValueSelector": _STATUS}},
)


def _unless(*statuses: str) -> Json:
    """Choose the end when the instance has the first status, the wait when it has the second."""
    ways = zip(statuses, ("ACS::END", "wait"), strict=True)
    return {
        "Name": "choose",
        "Action": "ACS::Choice",
        "Properties": {
            "DefaultTask": "ACS::NEXT",
            "Choices": [
                {"When": {"Fn::Equals": [status, "{{ getStatus.status }}"]}, "NextTask": task}
                for status, task in ways
            ],
        },
    }


def _reach(status: str) -> Json:
    return _until("wait", "DescribeInstances", _INSTANCE, _STATUS, status)


_FORCE: Json = {"InstanceId": "{{ instanceId }}", "ForceStop": "{{ forceStop }}"}
_STOP = _api(
    "stop",
    "StopInstance",
    {**_FORCE, "StoppedMode": "{{ stoppedMode }}", "Hibernate": "{{ hibernate }}"},
)
_OWN_INSTANCE: Json = {"InstanceId": "{{ instanceId }}"}
_PAIR: Json = {"DiskId": "{{ diskId }}", "SnapshotId": "{{ snapshotId }}"}
_DISK: Json = {"DiskIds": ["{{ diskId }}"]}
_RETENTION: Json = {
    "Fn::If": [{"Fn::Equals": ["", "{{ retentionDays }}"]}, None, "{{ retentionDays }}"]
}

_RESULT = "Invocation.InvocationResults.InvocationResult[]"
_ENDED = _until(
    "ended",
    "DescribeInvocations",
    {"InvokeId": "{{ run.invokeId }}"},
    "Invocations.Invocation[].InvokeStatus",
    "Finished",
)
_ENDED |= {"Retries": 300, "DelayType": "Constant"}
_ENDED["Properties"]["StopRetryValues"] = ["Failed", "PartialFailed", "Stopped"]

_CONTENT: Mapping[str, Json] = {
    "ACS::ECS::StopInstance": {
        "Parameters": {
            "regionId": _REGION,
            "instanceId": _ID,
            "stoppedMode": _TEXT,
            "hibernate": _NO,
            "forceStop": _NO,
        },
        "Tasks": [_LOOK, _unless("Stopped", "Stopping"), _STOP, _reach("Stopped")],
    },
    "ACS::ECS::StartInstance": {
        "Parameters": {"regionId": _REGION, "instanceId": _ID},
        "Tasks": [
            _LOOK,
            _unless("Running", "Starting"),
            _api("start", "StartInstance", _OWN_INSTANCE),
            _reach("Running"),
        ],
    },
    "ACS::ECS::RebootInstance": {
        "Parameters": {"regionId": _REGION, "instanceId": _ID, "forceStop": _NO},
        "Tasks": [_api("reboot", "RebootInstance", _FORCE), _reach("Running")],
    },
    "ACS::ECS::ResetDisk": {
        "Parameters": {
            "regionId": _REGION,
            "diskId": _ID,
            "instanceId": _ID,
            "snapshotId": _ID,
        },
        "Tasks": [
            _api("stop", "StopInstance", _OWN_INSTANCE),
            _until("stopped", "DescribeInstances", _INSTANCE, _STATUS, "Stopped"),
            _api("reset", "ResetDisk", _PAIR),
            _until("ready", "DescribeDisks", _DISK, "Disks.Disk[].Status", "In_use"),
            _api("start", "StartInstance", _OWN_INSTANCE),
            _until("running", "DescribeInstances", _INSTANCE, _STATUS, "Running"),
        ],
    },
    "ACS::ECS::CreateSnapshot": {
        "Parameters": {
            "regionId": _REGION,
            "diskId": _ID,
            "snapshotName": _TEXT,
            "retentionDays": _TEXT,
            "tags": {"Type": "Json", "Default": []},
        },
        "Tasks": [
            _api(
                "look",
                "DescribeDisks",
                _DISK,
                Outputs={"ids": {"Type": "List", "ValueSelector": "Disks.Disk[].InstanceId"}},
            ),
            {
                "Name": "choose",
                "Action": "ACS::Choice",
                "Properties": {
                    "DefaultTask": "steady",
                    "Choices": [
                        {"When": {"Fn::Equals": [[""], "{{ look.ids }}"]}, "NextTask": "create"},
                        {"When": {"Fn::Equals": [[], "{{ look.ids }}"]}, "NextTask": "ACS::END"},
                    ],
                },
            },
            {
                **_until(
                    "steady",
                    "DescribeInstances",
                    {"InstanceIds": "{{ look.ids }}"},
                    _STATUS,
                    "Running",
                    "Stopped",
                ),
                "Retries": 30,
                "DelayType": "Constant",
                "Delay": 20,
            },
            _api(
                "create",
                "CreateSnapshot",
                {
                    "DiskId": "{{ diskId }}",
                    "SnapshotName": "{{ snapshotName }}",
                    "Tags": "{{ tags }}",
                    "RetentionDays": _RETENTION,
                },
                Outputs={"snapshotId": {"Type": "String", "ValueSelector": "SnapshotId"}},
            ),
            {
                **_until(
                    "ready",
                    "DescribeSnapshots",
                    {"SnapshotIds": ["{{ create.snapshotId }}"]},
                    "Snapshots.Snapshot[].Status",
                    "accomplished",
                ),
                "Retries": 57,
            },
        ],
        "Outputs": {"snapshotId": {"Type": "String", "Value": "{{ create.snapshotId }}"}},
    },
    "ACS::ECS::RunCommand": {
        "Parameters": {
            "regionId": _REGION,
            "instanceId": _ID,
            "commandContent": {"Type": "String"},
            "commandType": {"Type": "String", "Default": "RunShellScript"},
            "workingDir": _TEXT,
            "timeout": {"Type": "Number", "Default": 600},
            "enableParameter": _NO,
            "username": _TEXT,
            "windowsPasswordName": _TEXT,
        },
        "Tasks": [
            _api(
                "run",
                "RunCommand",
                {
                    "InstanceId": ["{{ instanceId }}"],
                    "CommandContent": {"Fn::Base64Encode": "{{ commandContent }}"},
                    "Type": "{{ commandType }}",
                    "WorkingDir": "{{ workingDir }}",
                    "Timeout": "{{ timeout }}",
                    "EnableParameter": "{{ enableParameter }}",
                    "Username": "{{ username }}",
                    "WindowsPasswordName": "{{ windowsPasswordName }}",
                },
                Outputs={"invokeId": {"Type": "String", "ValueSelector": "InvokeId"}},
            ),
            _ENDED,
            _api(
                "results",
                "DescribeInvocationResults",
                {"InvokeId": "{{ run.invokeId }}"},
                Outputs={"output": {"Type": "String", "ValueSelector": f"{_RESULT}.Output"}},
            ),
        ],
        "Outputs": {
            "invocationOutput": {
                "Type": "String",
                "Value": {"Fn::Base64Decode": "{{ results.output }}"},
            }
        },
    },
}
PRODUCT_ACTIONS = frozenset(_CONTENT)


@cache
def product_template(action: str) -> Template | None:
    """Return the template behind an action; None if it is no product action."""
    content = next((c for name, c in _CONTENT.items() if name.lower() == action.lower()), None)
    return template_of(content) if content is not None else None
