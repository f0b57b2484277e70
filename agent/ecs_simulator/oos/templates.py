"""Templates: read from YAML or JSON text, and checked before anything runs. Pure.

Source: "Template" and "Tasks" of the user guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.oos.expressions import references, unknown_functions
from ecs_simulator.oos.faults import TemplateFault
from ecs_simulator.oos.functions import FUNCTIONS
from ecs_simulator.oos.parameters import Parameter, read_parameters
from ecs_simulator.oos.selecting import TYPES, check_selector
from ecs_simulator.oos.waiting import Retry

FORMAT = "OOS-2019-06-01"
SIZE_LIMIT = 64 * 1024
END, NEXT = "ACS::END", "ACS::NEXT"
LOOP = "ACS::Loop"
OWN_NAMES = ("ACS::RegionId", "ACS::AccountId", "ACS::ExecutionId", "ACS::TaskLoopItem")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_TOP = frozenset(
    ("FormatVersion", "Description", "Parameters", "Conditions", "RamRole", "Tasks", "Outputs")
) | {"Metadata"}
_TASK = frozenset(
    ("Name", "Action", "Description", "Properties", "Outputs", "Loop", "When", "OnError")
) | {"OnSuccess", "Retries", "Delay", "DelayType", "BackOff", "MaxRetryInterval"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of a task, picked from its result."""

    name: str
    kind: str
    selector: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One output of a loop: a function of one output of all its items."""

    name: str
    function: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task; what may hold references is as the template has it."""

    name: str
    action: str
    description: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    loop: Mapping[str, Any] | None = None
    when: Any = None
    on_error: str = END
    on_success: str = NEXT
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A whole template; ``content`` is its text."""

    content: str
    description: Any = ""
    parameters: tuple[Parameter, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    ram_role: Any = ""
    tasks: tuple[Task, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """Return ``JSON`` or ``YAML``."""
        return "JSON" if self.content.lstrip().startswith("{") else "YAML"

    def task(self, name: str) -> Task:
        """Return the task of a name."""
        return next(task for task in self.tasks if task.name == name)

    def after(self, name: str) -> str:
        """Return the name of the task after one; ``ACS::END`` after the last."""
        names = [task.name for task in self.tasks]
        return [*names, END][names.index(name) + 1]


def read_template(content: str) -> Template:
    """Return the template that a text holds.

    Raises:
        TemplateFault: it is none that the service would take.
    """
    if len(content.encode()) > SIZE_LIMIT:
        raise TemplateFault(f"A template has at most {SIZE_LIMIT} bytes.")
    given = _mapping(_parsed(content), "The template")
    if given.get("FormatVersion") != FORMAT:
        raise TemplateFault(f"FormatVersion is {FORMAT}.")
    _only(given, _TOP, "The template")
    return template_of(given, content)


def template_of(given: Mapping[str, Any], content: str = "") -> Template:
    """Return a template from its parts, checked.

    Raises:
        TemplateFault: a part breaks the rules.
    """
    template = Template(
        content=content,
        description=given.get("Description", ""),
        parameters=read_parameters(given.get("Parameters") or {}),
        conditions=_mapping(given.get("Conditions") or {}, "Conditions"),
        ram_role=given.get("RamRole") or "",
        tasks=read_tasks(given.get("Tasks")),
        outputs=_mapping(given.get("Outputs") or {}, "Outputs"),
    )
    for name, each in template.outputs.items():
        if _mapping(each, f"Output {name}").get("Type", "String") not in TYPES:
            raise TemplateFault(f"Output {name}: the Type is one of {', '.join(TYPES)}.")
    known = {parameter.name for parameter in template.parameters}
    _check_names(template.tasks, known, (template.conditions, template.outputs))
    for name in references([parameter.default for parameter in template.parameters]):
        if name not in OWN_NAMES:
            raise TemplateFault(f"A default cannot refer to {name!r}.")
    return template


def _parsed(content: str) -> Any:
    if not content.lstrip().startswith("{"):
        return _yaml(content)
    try:
        return json.loads(content)
    except ValueError as error:
        raise TemplateFault(f"The template is no JSON: {error}") from None


def _yaml(content: str) -> Any:
    import yaml

    try:
        # Through JSON, since YAML also knows dates.
        return json.loads(json.dumps(yaml.safe_load(content), default=_plain))
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        raise TemplateFault(f"The template is no YAML: {error}") from None


def _plain(value: Any) -> str:
    return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))


def read_tasks(given: Any) -> tuple[Task, ...]:
    """Return a list of tasks, of a template or of a loop in it.

    Raises:
        TemplateFault: there are none, or one breaks the rules.
    """
    if not isinstance(given, list) or not given:
        raise TemplateFault("Tasks is a list with at least one task.")
    tasks = tuple(_task(_mapping(each, "A task")) for each in given)
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise TemplateFault("Two tasks have the same name.")
    for task in tasks:
        for target in _targets(task):
            if target not in (*names, END, NEXT):
                raise TemplateFault(f"Task {task.name}: there is no task {target!r}.")
    return tasks


def _task(given: Mapping[str, Any]) -> Task:
    name, action = given.get("Name"), given.get("Action")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TemplateFault(f"A task's name has 1 to 200 of A-Z, a-z, 0-9, _ and -, not {name!r}.")
    if not isinstance(action, str) or not action.startswith("ACS::"):
        raise TemplateFault(f"Task {name}: there is no action {action!r}.")
    _only(given, _TASK, f"Task {name}")
    loop = given.get("Loop")
    if loop is not None and "Items" not in _mapping(loop, f"Task {name}: Loop"):
        raise TemplateFault(f"Task {name}: a Loop has Items.")
    outputs = _mapping(given.get("Outputs") or {}, f"Task {name}: Outputs")
    joined = outputs if is_action(action, LOOP) else (loop or {}).get("Outputs") or {}
    return Task(
        name=name,
        action=action,
        description=given.get("Description", ""),
        properties=_mapping(given.get("Properties") or {}, f"Task {name}: Properties"),
        outputs=() if is_action(action, LOOP) else tuple(_outputs(name, outputs)),
        aggregates=tuple(_aggregates(name, joined)),
        loop=loop,
        when=given.get("When"),
        on_error=given.get("OnError", END),
        on_success=given.get("OnSuccess", NEXT),
        retry=Retry.of(given),
    )


def _outputs(task: str, given: Mapping[str, Any]) -> Iterator[Output]:
    for name, each in given.items():
        kind = _mapping(each, f"Task {task}: output {name}").get("Type", "String")
        if kind not in TYPES:
            raise TemplateFault(f"Task {task}: output {name} has no type {kind!r}.")
        check_selector(each.get("ValueSelector"))
        yield Output(name=name, kind=kind, selector=each["ValueSelector"])


def _aggregates(task: str, given: Any) -> Iterator[Aggregate]:
    for name, each in _mapping(given, f"Task {task}: the loop's Outputs").items():
        parts = _mapping(each, f"Task {task}: the loop's output {name}")
        function, member = parts.get("AggregateType"), parts.get("AggregateField")
        if not isinstance(function, str) or function not in FUNCTIONS or not member:
            what = f"the loop's output {name} has AggregateType and AggregateField"
            raise TemplateFault(f"Task {task}: {what}.")
        yield Aggregate(name=name, function=function, member=member)


def _targets(task: Task) -> Iterator[str]:
    yield task.on_error
    yield task.on_success
    if is_action(task.action, "ACS::Choice"):
        choices = task.properties.get("Choices")
        if not isinstance(choices, list):
            raise TemplateFault(f"Task {task.name}: Choices is a list.")
        for choice in (_mapping(each, f"Task {task.name}: a choice") for each in choices):
            if "When" not in choice or "NextTask" not in choice:
                raise TemplateFault(f"Task {task.name}: a choice has When and NextTask.")
            yield choice["NextTask"]
        yield task.properties.get("DefaultTask", NEXT)


def is_action(given: str, action: str) -> bool:
    """Tell whether an action is meant; public templates write ``ACS::ExecuteApi`` too."""
    return given.lower() == action.lower()


def _check_names(tasks: tuple[Task, ...], known: set[str], others: tuple[Any, ...]) -> None:
    """Refuse references to what there is not."""
    parts = [(task.properties, task.loop, task.when) for task in tasks]
    everything = [each for part in (*parts, others) for each in part]
    for name in (each for part in everything for each in unknown_functions(part)):
        raise TemplateFault(f"There is no function {name}, or it is not simulated.")
    inner = {
        each.get("Name")
        for task in tasks
        for each in task.properties.get("LoopTasks", ())
        if isinstance(each, dict)
    }
    owners = known | {task.name for task in tasks} | inner
    for name in (each for part in everything for each in references(part)):
        owner = name.partition(".")[0]
        if name in OWN_NAMES or name in known or ("." in name and owner in owners):
            continue
        raise TemplateFault(f"There is no {name!r} to refer to.")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TemplateFault(f"{what} is a map.")
    return value


def _only(given: Mapping[str, Any], allowed: frozenset[str], what: str) -> None:
    unknown = sorted(str(each) for each in given.keys() - allowed)
    if unknown:
        raise TemplateFault(f"{what} has no {', '.join(unknown)}.")
