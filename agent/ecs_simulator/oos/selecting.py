"""jq selectors: what a task picks out of an answer. Pure.

The service takes ``Instances.Instance[].Status`` for ``.Instances.Instance[].Status``.
"""

from __future__ import annotations

import importlib.util
import json
import re
from typing import Any

from ecs_simulator.oos.faults import TaskFault, TemplateFault

# Array and Object are older names of List and Json.
TYPES = ("String", "Number", "Boolean", "List", "Json", "Array", "Object")
_FIELD_FIRST = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?!\s*\()(?![A-Za-z0-9_])")


def what_is_missing() -> str:
    """Return the name of the Python package without which no template runs, or nothing."""
    return next((name for name in ("jq", "yaml") if importlib.util.find_spec(name) is None), "")


def select(selector: str, value: Any, *, now: float | None = None) -> list[Any]:
    """Return everything a selector finds.

    Args:
        now: what ``now`` means in it, in seconds since 1970; the machine's own time without.

    Raises:
        TaskFault: jq cannot apply it to this value.
    """
    import jq

    try:
        program = _program(selector) if now is None else f"def now: {now!r}; {_program(selector)}"
        found: list[Any] = jq.compile(program).input_text(json.dumps(value)).all()
    except ValueError as error:
        raise TaskFault(f"The selector {selector!r} failed: {error}") from None
    return found


def check_selector(selector: Any) -> None:
    """Refuse a text that jq does not understand.

    Raises:
        TemplateFault: it is none.
    """
    import jq

    if not isinstance(selector, str) or not selector.strip():
        raise TemplateFault(f"A selector is a jq text, not {selector!r}.")
    try:
        jq.compile(_program(selector))
    except ValueError as error:
        raise TemplateFault(f"The selector {selector!r} is wrong: {error}") from None


def _program(selector: str) -> str:
    text = selector.strip()
    return f".{text}" if _FIELD_FIRST.match(text) else text


def typed(found: list[Any], kind: str) -> Any:
    """Return what a selector found as an output of a type.

    A List holds everything found; any other type is the first thing found, None without one.

    Source: "Tasks" of the user guide, on ``Outputs``.

    Raises:
        TaskFault: the value cannot be of that type.
    """
    if kind in ("List", "Array"):
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found
    return converted(found[0], kind) if found else None


def converted(value: Any, kind: str) -> Any:
    """Return a value in a type of the service; None stays None.

    Raises:
        TaskFault: it cannot be one.
    """
    if value is None:
        return None
    convert = {
        "String": to_text,
        "Number": _number,
        "Boolean": _boolean,
        "List": _list,
        "Array": _list,
        "Json": _json,
        "Object": _json,
    }[kind]
    try:
        return convert(value)
    except (ValueError, TypeError):
        raise TaskFault(f"The value {to_text(value)!r} is no {kind}.") from None


def to_text(value: Any) -> str:
    """Return a value as it stands in a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _number(value: Any) -> int | float:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int | float):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _list(value: Any) -> list[Any]:
    read = json.loads(value) if isinstance(value, str) else value
    if not isinstance(read, list):
        raise TypeError
    return read


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
