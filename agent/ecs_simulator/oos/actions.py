"""What each action does in one turn of its task.

Source: "Atom actions" of the user guide, and of high-risk calls "Execution modes": "irrevocable
tasks, such as the delete, release, and stop tasks". Which other ones there are is not documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.oos.expressions import Scope, holds
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.products import PRODUCT_ACTIONS, product_template
from ecs_simulator.oos.records import TaskExecution
from ecs_simulator.oos.requests import joined, page_after
from ecs_simulator.oos.selecting import select, to_text
from ecs_simulator.oos.templates import LOOP, NEXT, Task, Template, read_tasks
from ecs_simulator.oos.waiting import sleep_s

Json = dict[str, Any]
_HIGH_RISK_STARTS = ("delete", "release", "stop", "reinit", "reset", "replacesystemdisk")


class CallRefused(TaskFault):
    """The API refused a call.

    Args:
        passing: a later call may succeed: it was throttled, or the service failed.
    """

    def __init__(self, text: str, *, passing: bool) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The task succeeded; its outputs are picked from ``result``."""

    result: Any = field(default_factory=dict)
    next_task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The task has another turn, so many seconds later."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The task waits until NotifyExecution tells how to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """The task is an execution of another template.

    Args:
        given: its parameters; None for the parent's parameters and outputs.
    """

    template: Template
    name: str
    given: Mapping[str, Any] | None


Outcome = Done | Again | Held | Child


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a task.

    Args:
        properties: of the task, evaluated.
        call: calls an API of a service with the execution's rights.
        confirms: whether high-risk calls must be confirmed.
        stored: returns a template of the account, by name and version.
    """

    task: TaskExecution
    scope: Scope
    properties: Mapping[str, Any]
    now: float
    call: Callable[[str, str, Mapping[str, Any]], Json]
    confirms: bool
    stored: Callable[[str, str], Template]


def _called(turn: Turn) -> Json:
    properties = turn.properties
    service, api = properties.get("Service", ""), properties.get("API", "")
    parameters = properties.get("Parameters") or {}
    if not service or not api or not isinstance(parameters, dict):
        raise TaskFault("An API call has Service, API and Parameters.")
    answer = turn.call(str(service), str(api), parameters)
    if not properties.get("AutoPaging", True) or not _PAGE.isdisjoint(parameters):
        return answer
    for _ in range(_MAX_PAGES):
        page = page_after(answer)
        if page is None:
            break
        answer = joined(answer, turn.call(str(service), str(api), {**parameters, **page}))
    return answer


# Who names a page gets that page alone.
_PAGE = frozenset(("NextToken", "PageNumber"))
_MAX_PAGES = 100


def _execute_api(turn: Turn) -> Outcome:
    risky = str(turn.properties.get("API")).lower().startswith(_HIGH_RISK_STARTS)
    if risky and turn.confirms and not turn.task.approved:
        return Held()
    return Done(result=_called(turn))


def _matches(turn: Turn, result: Json) -> bool:
    """Tell whether an answer is as it should be.

    Raises:
        TaskFault: it has a value with which no retry makes sense.
    """
    properties = turn.properties
    found = [to_text(each) for each in select(properties.get("PropertySelector", ""), result)]
    stops = [to_text(each) for each in properties.get("StopRetryValues") or ()]
    for each in found:
        if each in stops:
            raise TaskFault(f"The value is {each!r}, which no retry changes.")
    desired, undesired = properties.get("DesiredValues"), properties.get("NotDesiredValues")
    if desired is not None:
        wanted = [to_text(each) for each in desired]
        return bool(found) and all(each in wanted for each in found)
    if undesired is None:
        raise TaskFault("DesiredValues or NotDesiredValues is needed.")
    return not {*found} & {to_text(each) for each in undesired}


def _wait_for(turn: Turn) -> Outcome:
    why = "The value is not as desired"
    try:
        result = _called(turn)
        if _matches(turn, result):
            return Done(result=result)
    except CallRefused as refusal:
        if not refusal.passing:
            raise
        why = str(refusal)
    interval_s = turn.task.task.retry.interval_s(turn.task.tries)
    if interval_s is None:
        raise TaskFault(f"{why}, after {turn.task.tries} retries.")
    turn.task.tries += 1
    return Again(after_s=interval_s)


def _check_for(turn: Turn) -> Outcome:
    result = _called(turn)
    if not _matches(turn, result):
        raise TaskFault("The value is not as desired.")
    return Done(result=result)


def _sleep(turn: Turn) -> Outcome:
    if turn.task.tries:
        return Done()
    turn.task.tries = 1
    return Again(after_s=sleep_s(turn.properties, turn.now))


def _choice(turn: Turn) -> Outcome:
    for choice in turn.properties["Choices"]:
        if holds(choice["When"], turn.scope):
            return Done(next_task=choice["NextTask"])
    return Done(next_task=turn.properties.get("DefaultTask", NEXT))


def _approve(turn: Turn) -> Outcome:
    hook = turn.properties.get("WebHook") or {}
    if turn.properties.get("NotifyType") == "WebHook" and not hook.get("URI"):
        raise TaskFault("ACS::Approve by WebHook needs its URI.")
    return Done() if turn.task.approved else Held()


def may_approve(task: TaskExecution, name: str) -> bool:
    """Tell whether somebody may approve or reject what a task waits for."""
    approvers = task.properties.get("Approvers")
    return not approvers or name in approvers


def _notify(turn: Turn) -> Outcome:
    """Send nothing: there is nobody behind a simulated address."""
    if not turn.properties.get("NotifyType"):
        raise TaskFault("ACS::Notify needs NotifyType.")
    return Done()


def _select_targets(turn: Turn) -> Outcome:
    if turn.properties.get("ResourceType", "ALIYUN::ECS::Instance") != "ALIYUN::ECS::Instance":
        raise TaskFault("Only targets of ALIYUN::ECS::Instance are simulated.")
    ids = [each for target in turn.properties.get("Filters") or () for each in _ids(turn, target)]
    entries = [{"InstanceId": each} for each in dict.fromkeys(ids)]
    return Done(result={"Instances": {"Instance": entries}})


def _ids(turn: Turn, target: Mapping[str, Any]) -> Iterator[str]:
    region = target.get("RegionId") or turn.properties.get("RegionId")
    parameters: Json = {"RegionId": region, "MaxResults": 100}
    kind = target.get("Type", "ResourceIds")
    if kind == "ResourceIds":
        parameters["InstanceIds"] = target.get("ResourceIds") or []
    elif kind == "Tags":
        parameters["Tags"] = target.get("Tags") or []
    elif kind != "All":
        raise TaskFault(f"Targets of the type {kind!r} are not simulated.")
    for _ in range(_MAX_PAGES):
        answer = turn.call("ECS", "DescribeInstances", parameters)
        yield from (each["InstanceId"] for each in answer["Instances"]["Instance"])
        if not answer.get("NextToken"):
            return
        parameters["NextToken"] = answer["NextToken"]


def _template(turn: Turn) -> Outcome:
    properties = turn.properties
    name, version = properties.get("TemplateName", ""), properties.get("TemplateVersion", "")
    return Child(
        template=turn.stored(str(name), str(version)),
        name=str(name),
        given=properties.get("Parameters") or {},
    )


def _loop_body(turn: Turn) -> Outcome:
    tasks = loop_tasks(turn.task.task)
    return Child(template=Template(content="", tasks=tasks), name="", given=None)


def loop_tasks(task: Task) -> tuple[Task, ...]:
    """Return the tasks that a loop runs for each of its items."""
    return read_tasks(task.properties.get("LoopTasks"))


ACTIONS: Mapping[str, Callable[[Turn], Outcome]] = {
    "acs::executeapi": _execute_api,
    "acs::waitfor": _wait_for,
    "acs::checkfor": _check_for,
    "acs::sleep": _sleep,
    "acs::choice": _choice,
    "acs::approve": _approve,
    "acs::notify": _notify,
    "acs::selecttargets": _select_targets,
    "acs::template": _template,
    LOOP.lower(): _loop_body,
}
# Tasks of functional actions cannot be looped.
_NO_LOOP = frozenset(("acs::sleep", "acs::choice", "acs::approve", LOOP.lower()))


def act(turn: Turn) -> Outcome:
    """Do one turn of a task.

    Raises:
        TaskFault: the task failed.
    """
    action = turn.task.task.action
    product = product_template(action)
    if product is not None:
        return Child(template=product, name=action, given=turn.properties)
    try:
        return ACTIONS[action.lower()](turn)
    except (LookupError, TypeError, AttributeError) as error:
        # Properties may have any form once they are evaluated.
        raise TaskFault(f"{action} does not suit its properties: {error!r}") from None


def check_actions(tasks: tuple[Task, ...]) -> None:
    """Refuse tasks that the simulator cannot run.

    Raises:
        TemplateFault: an action is not simulated, or cannot be looped.
    """
    products = {each.lower() for each in PRODUCT_ACTIONS}
    for task in tasks:
        action = task.action.lower()
        if action not in ACTIONS and action not in products:
            raise TemplateFault(f"The action {task.action} does not exist, or is not simulated.")
        if task.loop is not None and action in _NO_LOOP:
            raise TemplateFault(f"Task {task.name}: {task.action} cannot be looped.")
        if action == LOOP.lower():
            check_actions(loop_tasks(task))
