"""Cloud Assistant's RunCommand, DescribeInvocations and DescribeInvocationResults."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation
from ecs_simulator.assistant import Command, Invocation, Run
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource

_KINDS = ("RunShellScript", "RunPythonScript", "RunPerlScript")
_CONTENT_LIMIT = 18 * 1024


def run_command(cloud: Cloud, call: Call) -> Json:
    """Begin a command on running instances."""
    params = call.params
    cloud.check_region(params)
    kind = params.required("Type")
    if kind not in _KINDS:
        raise ApiError("InvalidCmdType.NotSupported", "The Type is not supported by Linux.")
    if params.text("RepeatMode", "Once") != "Once":
        raise ApiError("InvalidParameter.RepeatMode", "Only Once is simulated.")
    names = params.items("InstanceId")
    if not 1 <= len(names) <= 100:
        raise ApiError("MissingParameter.InstanceId", "1 to 100 instances are needed.")
    content = _content(params)
    with cloud.state.lock:
        for name in names:
            if cloud.instance(name).status != "Running":
                raise ApiError("IncorrectInstanceStatus", status=403)
        command = Command(
            command_id=cloud.ids.make("c"),
            kind=kind,
            content=content,
            timeout_s=params.integer("Timeout", "InvalidParameter.Timeout") or 60,
            user=params.text("Username"),
            folder=params.text("WorkingDir"),
            name=params.text("Name"),
        )
        invocation = Invocation(
            invoke_id=cloud.ids.make("t"),
            command=command,
            created_at=cloud.clock.now(),
            runs=[Run(instance_id=name) for name in names],
        )
        cloud.assistant.invoke(invocation)
    return {"CommandId": command.command_id, "InvokeId": invocation.invoke_id}


def _content(params: Params) -> bytes:
    text = params.required("CommandContent")
    if params.text("ContentEncoding", "Base64") == "PlainText":
        content = text.encode()
    else:
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ApiError("InvalidParameter.CommandContent", "It is no Base64.") from None
    if len(content) > _CONTENT_LIMIT:
        raise ApiError("CmdContent.ExceedLimit", "The length of the command exceeds the limit.")
    return content


def _found(cloud: Cloud, call: Call) -> list[Invocation]:
    cloud.check_region(call.params)
    wanted = call.params.text("InvokeId")
    every = call.visible(cloud.assistant.invocations.values())
    return [each for each in every if wanted in ("", each.invoke_id)]


def describe_invocations(cloud: Cloud, call: Call) -> Json:
    """List commands that were begun, with their status."""
    with cloud.state.lock:
        entries = [
            {
                "InvokeId": each.invoke_id,
                "CommandId": each.command.command_id,
                "CommandName": each.command.name,
                "CommandType": each.command.kind,
                "RepeatMode": "Once",
                "InvokeStatus": each.status,
                "InvocationStatus": "Success" if each.status == "Finished" else each.status,
                "CreationTime": iso_second(each.created_at),
                "InvokeInstances": {"InvokeInstance": [_run_json(each, r) for r in each.runs]},
            }
            for each in _found(cloud, call)
        ]
    return {"TotalCount": len(entries), "Invocations": {"Invocation": entries}}


def describe_invocation_results(cloud: Cloud, call: Call) -> Json:
    """List what commands wrote on each instance."""
    with cloud.state.lock:
        instance_id = call.params.text("InstanceId")
        entries = [
            _run_json(each, run)
            for each in _found(cloud, call)
            for run in each.runs
            if instance_id in ("", run.instance_id)
        ]
    results = {"TotalCount": len(entries), "InvocationResults": {"InvocationResult": entries}}
    return {"Invocation": results}


def _run_json(invocation: Invocation, run: Run) -> Json:
    code = {} if run.exit_code is None else {"ExitCode": run.exit_code}
    return {
        "InvokeId": invocation.invoke_id,
        "CommandId": invocation.command.command_id,
        "InstanceId": run.instance_id,
        "InvocationStatus": run.status,
        "InvokeRecordStatus": "Finished" if run.status == "Success" else run.status,
        "Output": run.output,
        "Dropped": run.dropped,
        "ErrorCode": run.error_code,
        "ErrorInfo": run.error_info,
        "StartTime": iso_second(run.started_at),
        "FinishedTime": iso_second(run.finished_at),
        **code,
    }


def command_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name any command and each instance of the request."""
    known = cloud.state.instances
    return [
        Resource(kind="command"),
        *(
            Resource(kind="instance", name=name, tags=known[name].tags if name in known else {})
            for name in params.items("InstanceId")
        ),
    ]


OPERATIONS = (
    Operation(name="RunCommand", run=run_command, resources=command_resources, idempotent=True),
    Operation(name="DescribeInvocations", run=describe_invocations, reads=True),
    Operation(name="DescribeInvocationResults", run=describe_invocation_results, reads=True),
)
