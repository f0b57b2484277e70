"""Cloud Assistant's RunCommand, DescribeInvocations and DescribeInvocationResults.

Source: their API pages and the SDK's descriptions of their parameters.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation, T
from ecs_simulator.assistant import Command, Invocation, Run
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import Page, cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.rules import fits, read_tag_filter, read_tags

_TIMEOUTS_S = (10, 86400)
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
    content, timeout_s, tags = _content(params), _timeout(params), read_tags(params)
    with cloud.state.lock:
        for name in names:
            if cloud.instance(name).status != "Running":
                raise ApiError("IncorrectInstanceStatus", status=403)
        command = Command(
            command_id=cloud.ids.make("c"),
            kind=kind,
            content=content,
            timeout_s=timeout_s,
            user=params.text("Username"),
            folder=params.text("WorkingDir"),
            name=params.text("Name"),
            whole_tree=_one_of(params, "TerminationMode", ("Process", "ProcessTree"))
            == "ProcessTree",
        )
        invocation = Invocation(
            invoke_id=cloud.ids.make("t"),
            command=command,
            created_at=cloud.clock.now(),
            tags=tags,
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


def _timeout(params: Params) -> int:
    seconds = params.integer("Timeout", "InvalidParameter.Timeout") or 60
    if not _TIMEOUTS_S[0] <= seconds <= _TIMEOUTS_S[1]:
        raise ApiError("InvalidParameter.Timeout", "Timeout is 10 to 86400 seconds.")
    return seconds


def _one_of(params: Params, name: str, allowed: Sequence[str]) -> str:
    value = params.text(name) or allowed[0]
    if value not in allowed:
        raise ApiError(f"InvalidParameter.{name}", f"{name} is {' or '.join(allowed)}.")
    return value


def _found(cloud: Cloud, call: Call) -> list[Invocation]:
    """Return the invocations that a listing asks for, the latest first."""
    params = call.params
    cloud.check_region(params)
    wanted, tags = params.text("InvokeId"), read_tag_filter(params)
    instance_id = params.text("InstanceId")
    # "This parameter does not take effect if the InstanceId parameter is also specified."
    name = "" if instance_id else params.text("CommandName")
    return [
        each
        for each in reversed([*call.visible(cloud.assistant.invocations.values())])
        if wanted in ("", each.invoke_id)
        and name in ("", each.command.name)
        and fits({**each.tags}, tags)
        and (not instance_id or instance_id in {run.instance_id for run in each.runs})
    ]


def _page(params: Params, found: list[T]) -> Page[T]:
    request = read_page_request(params, floor=1, ceiling=50)
    numbered = list(enumerate(found))[0 if request.after is None else request.after + 1 :]
    return cut_page(numbered, request)


def _shown(params: Params, output: str) -> str:
    if _one_of(params, "ContentEncoding", ("Base64", "PlainText")) == "Base64":
        return output
    return base64.b64decode(output).decode("utf-8", "replace")


def describe_invocations(cloud: Cloud, call: Call) -> Json:
    """List commands that were begun, with their status."""
    params = call.params
    with_output = params.flag("IncludeOutput")
    if with_output and not params.text("InvokeId") and not params.text("InstanceId"):
        raise ApiError("MissingParameter", "IncludeOutput needs InvokeId or InstanceId.")
    with cloud.state.lock:
        page = _page(params, _found(cloud, call))
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
                "Tags": _tags_json(each),
                "InvokeInstances": {
                    "InvokeInstance": [
                        _run_json(params, each, run, output=with_output) for run in each.runs
                    ]
                },
            }
            for each in page.entries
        ]
    return {**page.head(), "Invocations": {"Invocation": entries}}


def describe_invocation_results(cloud: Cloud, call: Call) -> Json:
    """List what commands wrote on each instance."""
    params = call.params
    with cloud.state.lock:
        instance_id = params.text("InstanceId")
        page = _page(
            params,
            [
                (each, run)
                for each in _found(cloud, call)
                for run in each.runs
                if instance_id in ("", run.instance_id)
            ],
        )
        entries = [
            {**_run_json(params, each, run, output=True), "Tags": _tags_json(each)}
            for each, run in page.entries
        ]
    return {"Invocation": {**page.head(), "InvocationResults": {"InvocationResult": entries}}}


def _tags_json(invocation: Invocation) -> Json:
    return {"Tag": [{"TagKey": key, "TagValue": value} for key, value in invocation.tags.items()]}


def _run_json(params: Params, invocation: Invocation, run: Run, *, output: bool) -> Json:
    code = {} if run.exit_code is None else {"ExitCode": run.exit_code}
    return {
        "InvokeId": invocation.invoke_id,
        "CommandId": invocation.command.command_id,
        "InstanceId": run.instance_id,
        "InvocationStatus": run.status,
        "InvokeRecordStatus": _RECORD_STATUSES.get(run.status, run.status),
        "Output": _shown(params, run.output) if output else "",
        "Dropped": run.dropped,
        "ErrorCode": run.error_code,
        "ErrorInfo": run.error_info,
        "StartTime": iso_second(run.started_at),
        "FinishedTime": iso_second(run.finished_at),
        **code,
    }


_RECORD_STATUSES = {"Success": "Finished", "Timeout": "Failed"}


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
