"""The service's built-in functions on values that are already evaluated. Pure.

``Fn::If``, ``Fn::And``, ``Fn::Or`` and ``Fn::Not`` are in ``expressions``: they take conditions.

Source: "Built-in functions" of the user guide.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import reduce
from typing import Any

from ecs_simulator.oos.faults import TaskFault
from ecs_simulator.oos.selecting import select, to_text

_STAMP = "%Y-%m-%dT%H:%M:%SZ"


def apply(name: str, argument: Any) -> Any:
    """Return what a function makes of its argument.

    Raises:
        TaskFault: the argument does not suit it.
    """
    try:
        return FUNCTIONS[name](argument)
    except (ValueError, TypeError, LookupError, AttributeError, binascii.Error) as error:
        raise TaskFault(f"{name} of {to_text(argument)!r} failed: {error}") from None


def _join(argument: Any) -> str:
    separator, parts = argument
    return str(separator).join(to_text(part) for part in parts)


def _select(argument: Any) -> Any:
    key, container = argument
    if isinstance(container, Mapping):
        return container[key]
    return container[int(key)]


def _split(argument: Any) -> list[str]:
    separator, text = argument
    return str(text).split(separator)


def _replace(argument: Any) -> str:
    changes, text = argument
    return reduce(lambda so_far, old: so_far.replace(old, changes[old]), changes, str(text))


def _equals(argument: Any) -> bool:
    left, right = argument
    return bool(left == right)


def _jq(argument: Any) -> Any:
    method, selector, value = argument
    found = select(selector, value)
    if method == "All":
        return found
    if method != "First":
        raise ValueError(f"the method is All or First, not {method!r}")
    return found[0] if found else None


def _map_join(argument: Any) -> dict[str, Any]:
    keys, values = argument
    return dict(zip(keys, values, strict=True))


def _merge_map(argument: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in argument:
        merged |= part
    return merged


def _union(argument: Any) -> list[Any]:
    return [*dict.fromkeys(each for part in argument for each in part)]


def _intersection(argument: Any) -> list[Any]:
    return [each for each in _union(argument) if all(each in part for part in argument)]


def _difference(argument: Any) -> list[Any]:
    shared = _intersection(argument)
    return [each for each in _union(argument) if each not in shared]


def _add_hour(argument: Any) -> str:
    stamp, hours = argument
    instant = datetime.strptime(stamp, _STAMP).replace(tzinfo=timezone.utc)
    return (instant + timedelta(hours=float(hours))).strftime(_STAMP)


def _format_time(argument: Any) -> str:
    stamp, form = argument
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=timezone.utc).strftime(form)


def _key_values(argument: Any) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in argument.items()]


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "Fn::Base64Encode": lambda text: base64.b64encode(to_text(text).encode()).decode(),
    "Fn::Base64Decode": lambda text: base64.b64decode(text).decode(),
    "Fn::MergeMap": _merge_map,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Replace": _replace,
    "Fn::Min": min,
    "Fn::Max": max,
    "Fn::First": lambda parts: parts[0],
    "Fn::Last": lambda parts: parts[-1],
    "Fn::ListJoin": lambda parts: [*parts],
    "Fn::Equals": _equals,
    "Fn::AddHour": _add_hour,
    "Fn::FormatUTCTime": _format_time,
    "Fn::Intersection": _intersection,
    "Fn::Union": _union,
    "Fn::Difference": _difference,
    "Fn::Jq": _jq,
    "Fn::MapJoin": _map_join,
    "Fn::ConvertMapToList": _key_values,
}
