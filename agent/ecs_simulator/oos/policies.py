"""Which rights the tasks of a template need. Pure.

Source: GenerateExecutionPolicy of the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ecs_simulator.config import PolicyDocument
from ecs_simulator.oos.products import product_template
from ecs_simulator.oos.templates import LOOP, Task, is_action, read_tasks
from ecs_simulator.ram import ALLOW, decide

_CALLING = ("acs::executeapi", "acs::waitfor", "acs::checkfor")


def actions_of(tasks: tuple[Task, ...]) -> list[str]:
    """Return the RAM actions of every API call of tasks, sorted, each once."""
    return sorted({*_actions(tasks)})


def _actions(tasks: tuple[Task, ...]) -> Iterator[str]:
    for task in tasks:
        product = product_template(task.action)
        if product is not None:
            yield from _actions(product.tasks)
        elif is_action(task.action, "ACS::SelectTargets"):
            yield "ecs:DescribeInstances"
        elif is_action(task.action, LOOP):
            yield from _actions(read_tasks(task.properties.get("LoopTasks")))
        elif task.action.lower() in _CALLING:
            service, api = task.properties.get("Service"), task.properties.get("API")
            yield f"{str(service).lower()}:{api}"


def policy_of(actions: list[str]) -> Mapping[str, Any]:
    """Return the policy that allows actions on everything."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "1", "Statement": [statement] if actions else []}


def missing_from(policies: tuple[PolicyDocument, ...], actions: list[str]) -> list[dict[str, Any]]:
    """Return what policies do not allow of actions, by service, as the API shows it."""
    lacking: dict[str, list[str]] = {}
    for action in actions:
        if decide(policies, action=action, arn="*", context={}) != ALLOW:
            lacking.setdefault(action.partition(":")[0], []).append(action)
    return [
        {"Action": names, "ServiceName": service, "Resources": "*"}
        for service, names in lacking.items()
    ]
