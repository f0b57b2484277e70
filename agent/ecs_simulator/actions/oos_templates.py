"""Operations on templates of OOS: stored ones, those of executions, and texts to be checked.

Source: OOS API 2019-06-01.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ecs_simulator.actions.base import OOS_VERSION, Call, Json, Operation
from ecs_simulator.actions.oos_executions import (
    check_able,
    chosen_template,
    executed_by,
    execution_resources,
    found_execution,
    page_of,
    read_json_tags,
    readable_template,
    tags_of,
)
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.policies import actions_of, missing_from, policy_of
from ecs_simulator.oos.records import ENDED, StoredTemplate
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource

_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_RESERVED = ("ALIYUN", "ACS", "ALIBABA", "ALICLOUD")


def create_template(cloud: Cloud, call: Call) -> Json:
    """Store the first version of a template."""
    params = call.params
    check_able()
    name, template = _template_name(params), readable_template(params.required("Content"))
    tags, now, who = read_json_tags(params), cloud.clock.now(), _who(call)
    with cloud.oos.changing():
        if name in cloud.oos.records.templates:
            raise ApiError("EntityAlreadyExists.Template", "The template exists already.")
        stored = StoredTemplate(
            template_id=cloud.ids.hexadecimal("t"),
            name=name,
            version=1,
            version_name=params.text("VersionName"),
            template=template,
            created_by=who,
            created_at=now,
            updated_by=who,
            updated_at=now,
            tags=tags,
        )
        cloud.oos.records.templates[name] = [stored]
    return {"TemplateType": "Automation", "Template": _json(stored)}


def update_template(cloud: Cloud, call: Call) -> Json:
    """Store another version of a template."""
    params = call.params
    check_able()
    name, template = params.required("TemplateName"), readable_template(params.required("Content"))
    with cloud.oos.changing():
        last = _stored(cloud, name)
        stored = replace(
            last,
            version=last.version + 1,
            version_name=params.text("VersionName"),
            template=template,
            updated_by=_who(call),
            updated_at=cloud.clock.now(),
            tags=read_json_tags(params) or last.tags,
        )
        cloud.oos.records.templates[name].append(stored)
    return {"Template": _json(stored)}


def _template_name(params: Params) -> str:
    name = params.required("TemplateName")
    if not _NAME.fullmatch(name) or name.upper().startswith(_RESERVED):
        raise ApiError("InvalidParameter.TemplateName", "The TemplateName is not valid.")
    return name


def _who(call: Call) -> str:
    assert call.principal is not None
    return f"{call.principal.name}({call.principal.account_id})"


def _stored(cloud: Cloud, name: str, version: str = "") -> StoredTemplate:
    try:
        return cloud.oos.stored(name, version)
    except TemplateFault as fault:
        raise ApiError("EntityNotExists.Template", str(fault)) from None


def get_template(cloud: Cloud, call: Call) -> Json:
    """Show one version of a template, with its text."""
    params = call.params
    with cloud.oos.lock:
        name, version = params.required("TemplateName"), params.text("TemplateVersion")
        stored = _stored(cloud, name, version)
    return {"Content": stored.template.content, "Template": _json(stored)}


def list_templates(cloud: Cloud, call: Call) -> Json:
    """List the latest version of each template, the last made first."""
    params = call.params
    tags = read_json_tags(params)
    with cloud.oos.lock:
        found = [
            versions[-1]
            for versions in reversed(cloud.oos.records.templates.values())
            if params.text("TemplateName") in versions[-1].name
            and tags.items() <= {**versions[-1].tags}.items()
        ]
    page = page_of(params, found, floor=20)
    head = {"MaxResults": page.request.size, "NextToken": page.next_token}
    return {**head, "Templates": [_json(each) for each in page.entries]}


def delete_template(cloud: Cloud, call: Call) -> Json:
    """Forget a template with all its versions."""
    _delete(cloud, [call.params.required("TemplateName")])
    return {}


def delete_templates(cloud: Cloud, call: Call) -> Json:
    """Forget several templates, all or none."""
    _delete(cloud, _names(call.params))
    return {}


def _names(params: Params) -> list[str]:
    return params.json_ids("TemplateNames", "InvalidParameter.TemplateNames") or []


def _delete(cloud: Cloud, names: list[str]) -> None:
    if not names:
        raise ApiError("MissingParameter.TemplateNames", "TemplateNames is needed.")
    with cloud.oos.changing():
        for name in names:
            _stored(cloud, name)
            running = [
                each
                for each in cloud.oos.records.executions.values()
                if each.template_name == name and each.status not in ENDED
            ]
            if running:
                raise ApiError("TemplateInUse", "An execution of the template has not ended.")
        for name in names:
            del cloud.oos.records.templates[name]


def validate_template_content(cloud: Cloud, call: Call) -> Json:  # noqa: ARG001
    """Check a template's text and show what is in it."""
    check_able()
    template = readable_template(call.params.required("Content"))
    return {
        "Parameters": json.dumps({each.name: _parameter(each) for each in template.parameters}),
        "RamRole": template.ram_role,
        "Outputs": json.dumps(template.outputs),
        "Tasks": [
            {
                "Name": task.name,
                "Type": task.action,
                "Description": task.description,
                "Properties": json.dumps(task.properties),
                "Outputs": json.dumps({each.name: each.selector for each in task.outputs}),
            }
            for task in template.tasks
        ],
    }


def _parameter(parameter: Any) -> Json:
    default = {} if parameter.required else {"Default": parameter.default}
    return {"Type": parameter.kind, **default, **parameter.limits}


def get_execution_template(cloud: Cloud, call: Call) -> Json:
    """Show the template that an execution runs, also if it was never stored."""
    with cloud.oos.lock:
        execution = found_execution(cloud, call.params)
        who = executed_by(cloud, execution)
        stored = StoredTemplate(
            template_id=execution.template_id,
            name=execution.template_name,
            version=int(execution.template_version.removeprefix("v")),
            version_name="",
            template=execution.template,
            created_by=who,
            created_at=execution.created_at,
            updated_by=who,
            updated_at=execution.created_at,
        )
    return {"Content": stored.template.content, "Template": _json(stored)}


def generate_execution_policy(cloud: Cloud, call: Call) -> Json:
    """Tell the rights that a template's tasks need, and which of them a role lacks."""
    params = call.params
    check_able()
    with cloud.oos.lock:
        _, template = chosen_template(cloud, params)
    actions = actions_of(template.tasks)
    missing: list[Json] = []
    if params.text("RamRole"):
        try:
            role = cloud.oos.role(params.text("RamRole"))
        except TaskFault as fault:
            raise ApiError("InvalidParameter.RamRole", str(fault)) from None
        policies = cloud.keys.principal("AssumedRoleUser", role.name).policies
        missing = missing_from(policies, actions)
    return {"Policy": json.dumps(policy_of(actions)), "MissingPolicy": json.dumps(missing)}


def _json(stored: StoredTemplate) -> Json:
    text = stored.template.content
    described = stored.template.description
    return {
        "TemplateId": stored.template_id,
        "TemplateName": stored.name,
        "TemplateVersion": f"v{stored.version}",
        "VersionName": stored.version_name,
        "TemplateFormat": stored.template.form,
        "TemplateType": "Automation",
        "Description": described if isinstance(described, str) else json.dumps(described),
        "Hash": hashlib.sha256(text.encode()).hexdigest(),
        "HasTrigger": False,
        "ShareType": "Private",
        "ResourceGroupId": "",
        "Tags": dict(stored.tags),
        "CreatedBy": stored.created_by,
        "CreatedDate": iso_second(stored.created_at),
        "UpdatedBy": stored.updated_by,
        "UpdatedDate": iso_second(stored.updated_at),
    }


def template_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the stored templates of the request, or all of them."""
    names = [params.text("TemplateName")] if params.given("TemplateName") else _names(params)
    known = cloud.oos.records.templates
    return [
        Resource(kind="template", name=name, tags=known[name][-1].tags if name in known else {})
        for name in names
        if name
    ] or (Resource(kind="template"),)


def new_template(cloud: Cloud, params: Params) -> Sequence[Resource]:  # noqa: ARG001
    """Name any template."""
    return (Resource(kind="template"),)


OPERATIONS = (
    Operation(
        name="CreateTemplate",
        run=create_template,
        resources=new_template,
        version=OOS_VERSION,
        request_tags=tags_of,
    ),
    *(
        Operation(name=name, run=run, resources=template_resources, version=OOS_VERSION)
        for name, run in (
            ("UpdateTemplate", update_template),
            ("GetTemplate", get_template),
            ("ListTemplates", list_templates),
            ("DeleteTemplate", delete_template),
            ("DeleteTemplates", delete_templates),
            ("GenerateExecutionPolicy", generate_execution_policy),
        )
    ),
    Operation(name="ValidateTemplateContent", run=validate_template_content, version=OOS_VERSION),
    Operation(
        name="GetExecutionTemplate",
        run=get_execution_template,
        resources=execution_resources,
        version=OOS_VERSION,
    ),
)
