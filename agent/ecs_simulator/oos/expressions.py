"""Values with ``{{ name }}`` and ``Fn::`` functions in them. Pure.

A text that is one reference alone takes the named value with its type; within other text it becomes
text. What a name stands for is not looked at again, so a command may hold ``{{ }}`` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.oos.faults import TaskFault
from ecs_simulator.oos.functions import FUNCTIONS, apply
from ecs_simulator.oos.selecting import to_text

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_-][A-Za-z0-9_:.-]*)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What names stand for.

    Args:
        names: parameters and the service's own, such as ``ACS::RegionId``.
        outputs: of the tasks that ran, by task and name; what a task that did not run would have
            given is None.
        conditions: the template's own, not yet evaluated.
    """

    names: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def lookup(self, name: str) -> Any:
        """Return what a name stands for."""
        if name in self.names:
            return self.names[name]
        owner, dot, member = name.partition(".")
        if not dot:
            raise TaskFault(f"There is no {name!r}.")
        if owner in self.names:
            container = self.names[owner]
            return container.get(member) if isinstance(container, Mapping) else None
        return self.outputs.get(owner, {}).get(member)


def evaluate(value: Any, scope: Scope) -> Any:
    """Return a value with all references and functions replaced.

    Raises:
        TaskFault: a name or function cannot be evaluated.
    """
    if isinstance(value, str):
        return _evaluate_text(value, scope)
    if isinstance(value, list):
        return [evaluate(each, scope) for each in value]
    if not isinstance(value, dict):
        return value
    name = function_of(value)
    if name:
        return _call(name, value[name], scope)
    return {key: evaluate(each, scope) for key, each in value.items()}


def function_of(value: Mapping[str, Any]) -> str:
    """Return the function that a value calls; empty if it calls none."""
    name = next(iter(value), "") if len(value) == 1 else ""
    return name if isinstance(name, str) and name.startswith("Fn::") else ""


def _evaluate_text(text: str, scope: Scope) -> Any:
    alone = _REFERENCE.fullmatch(text.strip())
    if alone:
        return scope.lookup(alone[1])
    return _REFERENCE.sub(lambda found: to_text(scope.lookup(found[1])), text)


def holds(condition: Any, scope: Scope) -> bool:
    """Tell whether a condition is true: a named one, a function, a value, or their text."""
    if isinstance(condition, str) and condition in scope.conditions:
        return holds(scope.conditions[condition], scope)
    value = evaluate(condition, scope)
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _if(argument: Any, scope: Scope) -> Any:
    condition, yes, no = argument
    return evaluate(yes if holds(condition, scope) else no, scope)


def _not(argument: Any, scope: Scope) -> bool:
    return not holds(argument[0] if isinstance(argument, list) else argument, scope)


CONDITIONAL: Mapping[str, Callable[[Any, Scope], Any]] = {
    "Fn::If": _if,
    "Fn::Not": _not,
    "Fn::And": lambda argument, scope: all(holds(each, scope) for each in argument),
    "Fn::Or": lambda argument, scope: any(holds(each, scope) for each in argument),
}


def _call(name: str, argument: Any, scope: Scope) -> Any:
    if name in CONDITIONAL:
        try:
            return CONDITIONAL[name](argument, scope)
        except (ValueError, TypeError) as error:
            raise TaskFault(f"{name} failed: {error}") from None
    if name not in FUNCTIONS:
        raise TaskFault(f"There is no function {name}.")
    return apply(name, evaluate(argument, scope))


def references(value: Any) -> Iterator[str]:
    """Yield every name that a value refers to."""
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from references(each)


def unknown_functions(value: Any) -> Iterator[str]:
    """Yield every function that a value calls and that the simulator does not know."""
    if isinstance(value, list):
        for each in value:
            yield from unknown_functions(each)
    elif isinstance(value, dict):
        name = function_of(value)
        if name and name not in FUNCTIONS and name not in CONDITIONAL:
            yield name
        for each in value.values():
            yield from unknown_functions(each)
