"""Operations that start, list, cancel and notify executions of OOS.

Source: OOS API 2019-06-01. Its error tables name few codes. Where they are silent: a value that is
not allowed is ``InvalidParameter.<name>``, a template that is not is ``InvalidTemplate``, and an
execution that has ended cannot be cancelled or notified.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ecs_simulator.actions.base import OOS_VERSION, Call, Json, Operation
from ecs_simulator.clock import iso_second, parse_iso
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.oos.actions import check_actions, may_approve
from ecs_simulator.oos.engine import CONFIRM, SKIP_CHECK, Wish
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.records import (
    ENDED,
    FAILED,
    SUCCESS,
    Execution,
    Starter,
    StoredTemplate,
    TaskExecution,
)
from ecs_simulator.oos.selecting import what_is_missing
from ecs_simulator.oos.templates import Template, read_template
from ecs_simulator.paging import Page, cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.rules import MAX_TAGS


def start_execution(cloud: Cloud, call: Call) -> Json:
    """Start an execution of a stored or given template."""
    params, caller = call.params, call.principal
    assert caller is not None
    check_able()
    safety_check = _one_of(params, "SafetyCheck", (CONFIRM, SKIP_CHECK))
    _one_of(params, "Mode", ("Automatic",))
    _one_of(params, "LoopMode", ("Automatic",))
    given, tags = json_map(params, "Parameters"), read_json_tags(params)
    with cloud.oos.changing():
        stored, template = chosen_template(cloud, params)
        wish = Wish(
            template=template,
            stored=stored,
            given=given,
            starter=Starter(
                kind=caller.kind, name=caller.name, session_policy=caller.session_policy
            ),
            safety_check=safety_check,
            description=params.text("Description"),
            tags=tags,
        )
        try:
            execution = cloud.oos.start(wish)
        except TemplateFault as fault:
            raise ApiError("InvalidParameter.Parameters", str(fault)) from None
        except TaskFault as fault:
            raise ApiError("InvalidTemplate", str(fault)) from None
        shown = _execution_json(cloud, execution)
    return {"Execution": {**shown, "Parameters": json.dumps(execution.parameters)}}


def check_able() -> None:
    """Refuse everything where a package is missing without which no template can be run."""
    missing = what_is_missing()
    if missing:
        raise ApiError("ServiceUnavailable", f"This simulator has no OOS without {missing}.")


def chosen_template(cloud: Cloud, params: Params) -> tuple[StoredTemplate | None, Template]:
    """Return the stored or given template that a request means."""
    name, content = params.text("TemplateName"), params.text("TemplateContent")
    if bool(name) == bool(content):
        raise ApiError("InvalidParameter", "Either TemplateName or TemplateContent is needed.")
    if content:
        return None, readable_template(content)
    try:
        stored = cloud.oos.stored(name, params.text("TemplateVersion"))
    except TemplateFault as fault:
        raise ApiError("EntityNotExists.Template", str(fault)) from None
    return stored, stored.template


def readable_template(content: str) -> Template:
    """Return the template that a text holds, or refuse one that cannot be run."""
    try:
        template = read_template(content)
        check_actions(template.tasks)
        return template
    except TemplateFault as fault:
        raise ApiError("InvalidTemplate", str(fault)) from None


def _one_of(params: Params, name: str, allowed: Sequence[str]) -> str:
    value = params.text(name) or allowed[0]
    if value not in allowed:
        shown = " or ".join(allowed)
        raise ApiError(f"InvalidParameter.{name}", f"{name} is {shown} in this simulator.")
    return value


def json_map(params: Params, name: str) -> dict[str, Any]:
    """Return a parameter that is a JSON object; absent is empty."""
    try:
        value = json.loads(params.text(name) or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ApiError(f"InvalidParameter.{name}", f"{name} is no JSON object.")
    return value


def read_json_tags(params: Params) -> dict[str, str]:
    """Return the tags of a request, given as one JSON object."""
    tags = json_map(params, "Tags")
    if len(tags) > MAX_TAGS or not all(isinstance(value, str) for value in tags.values()):
        raise ApiError("InvalidParameter.Tags", "Tags are at most 20 texts by key.")
    return tags


def tags_of(params: Params) -> Sequence[tuple[str, str]]:
    """Name a request's tags for the policies' conditions."""
    return [*read_json_tags(params).items()]


def cancel_execution(cloud: Cloud, call: Call) -> Json:
    """End an execution that has not ended."""
    with cloud.oos.changing():
        execution = found_execution(cloud, call.params)
        if execution.status in ENDED:
            status = f"The execution is {execution.status} already."
            raise ApiError("ExecutionCancelForbidden", status)
        cloud.oos.cancel(execution)
    return {}


def notify_execution(cloud: Cloud, call: Call) -> Json:
    """Approve or reject what an execution waits for."""
    params = call.params
    kind = params.required("NotifyType")
    if kind not in ("Approve", "Reject"):
        raise ApiError("InvalidParameter.NotifyType", "Only Approve and Reject are simulated.")
    with cloud.oos.changing():
        execution = found_execution(cloud, params)
        name, task_id = params.text("TaskName"), params.text("TaskExecutionId")
        held = [
            task
            for task in cloud.oos.held(execution)
            if name in ("", task.task.name) and task_id in ("", task.task_id)
        ]
        if not held:
            raise ApiError("InvalidExecutionStatus", "The execution does not wait.", status=400)
        assert call.principal is not None
        if not all(may_approve(task, call.principal.name) for task in held):
            raise ApiError("User.NoPermission", "Only the Approvers may tell.", status=403)
        cloud.oos.notify(held, approved=kind == "Approve", note=params.text("NotifyNote"))
    return {}


def found_execution(cloud: Cloud, params: Params) -> Execution:
    """Return the execution of a request, or refuse it."""
    execution = cloud.oos.records.executions.get(params.required("ExecutionId"))
    if execution is None:
        raise ApiError("EntityNotExists.Execution", "The specified execution does not exist.")
    return execution


def list_executions(cloud: Cloud, call: Call) -> Json:
    """List executions, the latest first."""
    params = call.params
    tags = read_json_tags(params)
    below = params.flag("IncludeChildExecution")
    parent, role = params.text("ParentExecutionId"), params.text("RamRole")
    with cloud.oos.lock:
        found = [
            each
            for each in cloud.oos.records.executions.values()
            if params.text("ExecutionId") in ("", each.execution_id)
            and params.text("Status") in ("", each.status)
            and params.text("TemplateName") in each.template_name
            and params.text("Description") in each.description
            and params.text("ExecutedBy") in ("", executed_by(cloud, each))
            and role in ("", each.ram_role)
            and tags.items() <= {**each.tags}.items()
            and (parent == each.parent_execution_id or (below and not parent) or _meant(params))
            and _in_time(params, each)
        ]
        page = page_of(params, _sorted(params, found), floor=10)
        entries = [_execution_json(cloud, each) for each in page.entries]
    head = {"MaxResults": page.request.size, "NextToken": page.next_token}
    return {**head, "TotalCount": len(found), "Executions": entries}


def _meant(params: Params) -> bool:
    """Tell whether one execution is asked for by its id, whoever began it."""
    return bool(params.text("ExecutionId"))


def list_task_executions(cloud: Cloud, call: Call) -> Json:
    """List the tasks of executions, the latest first."""
    params = call.params
    items = params.flag("IncludeChildTaskExecution")
    parent, task_id = params.text("ParentTaskExecutionId"), params.text("TaskExecutionId")
    with cloud.oos.lock:
        found = [
            each
            for each in cloud.oos.records.tasks.values()
            if params.text("ExecutionId") in ("", each.execution_id)
            and params.text("Status") in ("", each.status)
            and params.text("TaskName") in ("", each.task.name)
            and params.text("TaskAction") in ("", each.task.action)
            and task_id in ("", each.task_id)
            and (parent == each.parent_task_id or (items and not parent) or bool(task_id))
            and _in_time(params, each)
        ]
        page = page_of(params, _sorted(params, found), floor=20)
        entries = [_task_json(cloud, each) for each in page.entries]
    head = {"MaxResults": page.request.size, "NextToken": page.next_token}
    return {**head, "TaskExecutions": entries}


def _in_time(params: Params, each: Execution | TaskExecution) -> bool:
    return all(
        _within(parse_iso(params.text(f"{name}Date{side}")), instant, side)
        for name, instant in (("Start", each.started_at), ("End", each.ended_at))
        for side in ("Before", "After")
        if params.text(f"{name}Date{side}")
    )


def _within(limit: float | None, instant: float | None, side: str) -> bool:
    if limit is None:
        raise ApiError(f"InvalidParameter.Date{side}", "A time is such as 2019-05-16T10:26:14Z.")
    if instant is None:
        return False
    return int(instant) <= limit if side == "Before" else instant >= limit


_SORTS: dict[str, Callable[[Any], Any]] = {
    "StartDate": lambda each: each.number,
    "EndDate": lambda each: (each.ended_at or 0.0, each.number),
    "Status": lambda each: (each.status, each.number),
}


def _sorted(params: Params, found: list[Any]) -> list[Any]:
    key = _SORTS[_one_of(params, "SortField", [*_SORTS])]
    order = _one_of(params, "SortOrder", ("Descending", "Ascending"))
    return sorted(found, key=key, reverse=order == "Descending")


def page_of(params: Params, found: list[Any], *, floor: int) -> Page[Any]:
    """Return one page of a listing."""
    request = read_page_request(params, floor=floor, default=50, numbered=False)
    first = 0 if request.after is None else request.after + 1
    return cut_page([*enumerate(found)][first:], request)


def list_execution_logs(cloud: Cloud, call: Call) -> Json:
    """List the lines of an execution's log, the earliest first."""
    params = call.params
    with cloud.oos.lock:
        execution = found_execution(cloud, params)
        lines = [
            line
            for line in cloud.oos.records.logs
            if line.execution_id == execution.execution_id
            and params.text("TaskExecutionId") in ("", line.task_id)
        ]
    page = page_of(params, lines, floor=1)
    entries = [
        {
            "TaskExecutionId": line.task_id,
            "Message": line.message,
            "LogType": "System",
            "Timestamp": iso_second(line.written_at),
        }
        for line in page.entries
    ]
    head = {"MaxResults": page.request.size, "NextToken": page.next_token}
    return {**head, "IsTruncated": bool(page.next_token), "ExecutionLogs": entries}


def executed_by(cloud: Cloud, execution: Execution) -> str:
    """Return who started an execution, as the API shows it."""
    return f"{execution.starter.name}({cloud.config.account_id})"


def _execution_json(cloud: Cloud, execution: Execution) -> Json:
    tasks = [
        task
        for task in cloud.oos.records.tasks_of(execution.execution_id)
        if not task.parent_task_id
    ]
    current = [
        {
            "TaskExecutionId": task.task_id,
            "TaskName": task.task.name,
            "TaskAction": task.task.action,
        }
        for task in tasks
        if task.status not in ENDED
    ]
    return {
        "ExecutionId": execution.execution_id,
        "TemplateName": execution.template_name,
        "TemplateId": execution.template_id,
        "TemplateVersion": execution.template_version,
        "Mode": "Automatic",
        "LoopMode": "Automatic",
        "SafetyCheck": execution.safety_check,
        "ExecutedBy": executed_by(cloud, execution),
        "RamRole": execution.ram_role,
        "Status": execution.status,
        "StatusMessage": execution.status_message,
        "Description": execution.description,
        "Parameters": execution.parameters,
        "Outputs": json.dumps(execution.outputs),
        "CurrentTasks": current,
        "Counters": {
            "Total": len(execution.template.tasks),
            "Success": sum(task.status == SUCCESS for task in tasks),
            "Failed": sum(task.status == FAILED for task in tasks),
        },
        "Tags": dict(execution.tags),
        "IsParent": execution.is_parent,
        "ParentExecutionId": execution.parent_execution_id,
        "Category": "Other",
        "ResourceGroupId": "",
        "CreateDate": iso_second(execution.created_at),
        "StartDate": iso_second(execution.started_at),
        "EndDate": iso_second(execution.ended_at),
        "UpdateDate": iso_second(execution.updated_at),
    }


def _task_json(cloud: Cloud, task: TaskExecution) -> Json:
    execution = cloud.oos.records.executions[task.execution_id]
    loop: Json = {}
    if task.items is not None:
        loop = {"Items": task.items, "RateControl": task.rate}
    return {
        "TaskExecutionId": task.task_id,
        "ExecutionId": task.execution_id,
        "TemplateId": execution.template_id,
        "TaskName": task.task.name,
        "TaskAction": task.task.action,
        "Status": task.status,
        "StatusMessage": task.status_message,
        "Properties": json.dumps(task.properties),
        "Outputs": json.dumps(task.outputs),
        "ExtraData": {},
        "Loop": loop,
        "LoopItem": json.dumps(task.loop_item) if task.parent_task_id else "",
        "LoopBatchNumber": 0,
        "ParentTaskExecutionId": task.parent_task_id,
        "ChildExecutionId": task.child_execution_id,
        "CreateDate": iso_second(task.created_at),
        "StartDate": iso_second(task.started_at),
        "EndDate": iso_second(task.ended_at),
        "UpdateDate": iso_second(task.updated_at),
    }


def start_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name any execution and, if one is meant, the stored template."""
    name = params.text("TemplateName")
    versions = cloud.oos.records.templates.get(name)
    tags = versions[-1].tags if versions else {}
    template = (Resource(kind="template", name=name, tags=tags),) if name else ()
    return (Resource(kind="execution"), *template)


def execution_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the execution of the request, or all of them."""
    name = params.text("ExecutionId")
    execution = cloud.oos.records.executions.get(name)
    return (
        Resource(
            kind="execution", name=name or "*", tags=execution.tags if execution is not None else {}
        ),
    )


OPERATIONS = (
    Operation(
        name="StartExecution",
        run=start_execution,
        resources=start_resources,
        idempotent=True,
        version=OOS_VERSION,
        request_tags=tags_of,
    ),
    *(
        Operation(name=name, run=run, resources=execution_resources, version=OOS_VERSION)
        for name, run in (
            ("CancelExecution", cancel_execution),
            ("NotifyExecution", notify_execution),
            ("ListExecutions", list_executions),
            ("ListTaskExecutions", list_task_executions),
            ("ListExecutionLogs", list_execution_logs),
        )
    ),
)
