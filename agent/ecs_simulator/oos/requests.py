"""The parameters of a task's API call in the form that the RPC API takes. Pure.

Source: "Tasks" of the user guide, on ``Parameters``: tags are given as ``Tags``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ecs_simulator.oos.faults import TaskFault
from ecs_simulator.oos.selecting import to_text

# These lists go as one JSON text; any other list is numbered.
_AS_JSON = frozenset(
    {
        ("describeinstances", "InstanceIds"),
        ("describedisks", "DiskIds"),
        ("describesnapshots", "SnapshotIds"),
    }
)


def flat(api: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of an RPC request; what is None is not sent.

    Raises:
        TaskFault: Tags are no list.
    """
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if value is None:
            continue
        if (api.lower(), name) in _AS_JSON:
            found[name] = json.dumps(value) if isinstance(value, list) else to_text(value)
        elif name == "Tags":
            if not isinstance(value, list):
                raise TaskFault("Tags are a list of Key and Value.")
            found |= dict(_parts("Tag", value))
        else:
            found |= dict(_parts(name, value))
    return found


def page_after(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the parameters that ask for the page after an answer; None after the last."""
    if answer.get("NextToken"):
        return {"NextToken": answer["NextToken"]}
    number, size, total = (answer.get(name) for name in ("PageNumber", "PageSize", "TotalCount"))
    if not number or not size or not total or number * size >= total:
        return None
    return {"PageNumber": number + 1}


def joined(first: Any, second: Any) -> Any:
    """Return two pages as one: lists one after the other, anything else from the second."""
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    if isinstance(first, dict) and isinstance(second, dict):
        return {name: joined(first.get(name), value) for name, value in second.items()}
    return second


def _parts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from _parts(f"{name}.{number}", each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _parts(f"{name}.{key}", each)
    elif value is not None:
        yield name, to_text(value)
