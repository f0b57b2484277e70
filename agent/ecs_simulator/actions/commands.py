"""Cloud Assistant: its state on instances, RunCommand and what became of commands.

Source: their API pages and the SDK's descriptions of their parameters.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation, T
from ecs_simulator.actions.instances import status_resources
from ecs_simulator.assistant import PENDING, RUNNING, SUCCESS, Command, Invocation, Run
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import Page, PageRequest, cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.rules import fits, read_tag_filter, read_tags

_TIMEOUTS_S = (10, 86400)
_KINDS = ("RunShellScript", "RunPythonScript", "RunPerlScript")
_CONTENT_LIMIT = 18 * 1024
_OS_TYPES = ("Linux", "Windows", "FreeBSD")
# Of a program that can do all that is simulated; nothing hangs on it.
_VERSION = "2.2.3.857"


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


def _page(params: Params, found: list[T], *, whole: bool = False) -> Page[T]:
    request = (
        PageRequest(size=len(found), number=1)
        if whole
        else read_page_request(params, floor=1, ceiling=50)
    )
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
                "InvocationStatus": _whole_status(each),
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


def _whole_status(invocation: Invocation) -> str:
    if any(run.status == PENDING for run in invocation.runs):
        return PENDING
    return SUCCESS if invocation.status == "Finished" else invocation.status


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


_RECORD_STATUSES = {
    "Pending": "Running",
    "Success": "Finished",
    **dict.fromkeys(("Timeout", "Aborted", "Error"), "Failed"),
}


def describe_cloud_assistant_status(cloud: Cloud, call: Call) -> Json:
    """List instances with whether Cloud Assistant runs there; all that are named on one page."""
    params = call.params
    cloud.check_region(params)
    named, system = params.items("InstanceId"), params.text("OSType", "Linux")
    if len(named) > 100:
        raise ApiError("InstanceIds.ExceedLimit", status=403)
    if system not in _OS_TYPES:
        raise ApiError("InvalidParameter.OSType", f"OSType is {' or '.join(_OS_TYPES)}.")
    with cloud.state.lock:
        here = cloud.state.instances if cloud.here(params) else {}
        if not here.keys() >= {*named}:
            raise ApiError("InvalidInstance.NotFound", "The specified instance does not exist.")
        found = [*dict.fromkeys(named or here)] if system == "Linux" else []
        page = _page(params, found, whole=bool(named))
        entries = [_status_json(cloud, name) for name in page.entries]
    body = {"InstanceCloudAssistantStatus": entries}
    return {**page.head(), "InstanceCloudAssistantStatusSet": body}


def _status_json(cloud: Cloud, instance_id: str) -> Json:
    assistant = cloud.assistant
    runs = [
        run
        for each in assistant.invocations.values()
        for run in each.runs
        if run.instance_id == instance_id and run.started_at is not None
    ]
    is_running = assistant.counts_as_running(instance_id)
    return {
        "InstanceId": instance_id,
        "CloudAssistantStatus": "true" if is_running else "false",
        "CloudAssistantVersion": _VERSION if is_running else "",
        "LastHeartbeatTime": iso_second(assistant.last_heard(instance_id)),
        "LastInvokedTime": iso_second(max((r.started_at or 0.0 for r in runs), default=None)),
        "ActiveTaskCount": sum(run.status == RUNNING for run in runs),
        "InvocationCount": sum(run.status != RUNNING for run in runs),
        "OSType": "Linux",
        "SupportSessionManager": is_running,
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
    # Rights on it are those on instances, as on a change; a refusal is an error.
    Operation(
        name="DescribeCloudAssistantStatus",
        run=describe_cloud_assistant_status,
        resources=status_resources,
    ),
    Operation(name="RunCommand", run=run_command, resources=command_resources, idempotent=True),
    Operation(name="DescribeInvocations", run=describe_invocations, reads=True),
    Operation(name="DescribeInvocationResults", run=describe_invocation_results, reads=True),
)
