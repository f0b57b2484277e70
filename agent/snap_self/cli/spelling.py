"""One parameter of a command's function that stands for several options.

The parser reads a function's signature, one parameter for each option. A decorated function gets a
signature in which a group's parameters stand where its own one did, and is called with that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Options that a function gets as one value.

    Args:
        parameters: one for each option.
        collect: returns the one value; gets each parameter's by its name.
    """

    parameters: tuple[Parameter, ...]
    collect: Callable[[Mapping[str, Any]], object]


def spelled_out(**groups: Group) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a function the options of these groups in the place of the parameters so named."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @wraps(function)
        def called(**values: Any) -> int:
            for name, group in groups.items():
                own = {each.name: values.pop(each.name) for each in group.parameters}
                values[name] = group.collect(own)
            return function(**values)

        spelled: list[Parameter] = []
        for own in signature(function, eval_str=True).parameters.values():
            group = groups.get(own.name)
            # A parameter with a default may then stand before one without.
            named = own.replace(kind=Parameter.KEYWORD_ONLY)
            spelled.extend(group.parameters if group else (named,))
        vars(called)["__signature__"] = Signature(spelled)
        return called

    return decorate
