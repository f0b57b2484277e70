"""A template's parameters: their types and limits, and the values of one execution. Pure.

Source: "Parameters" of the user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.oos.expressions import Scope, evaluate
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.selecting import TYPES, converted, to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter.

    Args:
        required: it has no default.
        limits: ``AllowedValues``, ``AllowedPattern``, ``MinLength``, ``MaxLength``, ``MinValue``
            and ``MaxValue`` as the template gives them.
    """

    name: str
    kind: str = "String"
    required: bool = True
    default: Any = None
    limits: Mapping[str, Any] = field(default_factory=dict)

    def read(self, value: Any) -> Any:
        """Return a value in this parameter's type.

        Raises:
            TemplateFault: it is of another type, or outside the limits.
        """
        try:
            read = converted(value, self.kind)
        except TaskFault as fault:
            raise TemplateFault(f"Parameter {self.name}: {fault}") from None
        for limit, wanted in self.limits.items():
            if not _keeps(limit, read, wanted):
                shown = f"{to_text(read)!r} does not keep {limit} {to_text(wanted)}"
                raise TemplateFault(f"Parameter {self.name}: {shown}.")
        return read


_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "AllowedValues": lambda value, wanted: value in wanted,
    "AllowedPattern": lambda value, wanted: re.fullmatch(wanted, to_text(value)) is not None,
    "MinLength": lambda value, wanted: len(value) >= wanted,
    "MaxLength": lambda value, wanted: len(value) <= wanted,
    "MinValue": lambda value, wanted: value >= wanted,
    "MaxValue": lambda value, wanted: value <= wanted,
}


def _keeps(limit: str, value: Any, wanted: Any) -> bool:
    try:
        return _CHECKS[limit](value, wanted)
    except (TypeError, re.error):  # the limit does not suit the value
        return False


def read_parameters(given: Any) -> tuple[Parameter, ...]:
    """Return a template's parameters.

    Raises:
        TemplateFault: one has an unknown type, or is no map.
    """
    if not isinstance(given, dict):
        raise TemplateFault("Parameters is a map.")
    return tuple(_parameter(name, each) for name, each in given.items())


def _parameter(name: str, given: Any) -> Parameter:
    if not isinstance(given, dict):
        raise TemplateFault(f"Parameter {name} is a map.")
    kind = given.get("Type", "String")
    if kind not in TYPES:
        raise TemplateFault(f"Parameter {name}: the Type is one of {', '.join(TYPES)}.")
    return Parameter(
        name=name,
        kind=kind,
        required="Default" not in given,
        default=given.get("Default"),
        limits={limit: given[limit] for limit in _CHECKS if limit in given},
    )


def values_of(
    parameters: tuple[Parameter, ...], given: Mapping[str, Any], scope: Scope
) -> dict[str, Any]:
    """Return the value of each parameter in one execution.

    Args:
        scope: what a default may refer to. A default is not held against the limits.

    Raises:
        TemplateFault: a value is missing, wrong, or for no parameter.
    """
    unknown = sorted(given.keys() - {each.name for each in parameters})
    if unknown:
        raise TemplateFault(f"The template has no parameter {', '.join(unknown)}.")
    missing = [each.name for each in parameters if each.required and each.name not in given]
    if missing:
        raise TemplateFault(f"Parameter {', '.join(missing)} is required.")
    return {
        each.name: each.read(given[each.name])
        if each.name in given
        else evaluate(each.default, scope)
        for each in parameters
    }
