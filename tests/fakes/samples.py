"""Values of any of our types, made from their annotations, so that no text in them is forgotten."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, TypeVar

from snap_self.errors import SnapSelfError
from snap_self.model import executions, servers

NOW = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)
T = TypeVar("T")
# What the product imports for type checkers alone, by name.
_UNLOADED = {**vars(servers), **vars(executions)}


def sample(kind: type[T], text: Callable[[str], str]) -> T:
    """Return a value of a class, with everything optional there and two of what may be many.

    Args:
        text: returns what stands for a text, given where it stands (``Report.before``).
    """
    made: T = _value(kind, kind.__name__, text)
    return made


def _value(kind: Any, place: str, text: Callable[[str], str]) -> Any:
    if isinstance(kind, typing.NewType):
        return _value(kind.__supertype__, place, text)
    plain = {str: text(place), int: 7, float: 1.5, bool: True, datetime: NOW}
    if kind in plain:
        return plain[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _value(next(a for a in arguments if a is not type(None)), place, text)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {_value(arguments[0], place, text): _value(arguments[1], place, text)}
    if isinstance(origin, type) and issubclass(origin, Collection):
        made = [_value(arguments[0], f"{place}.{number}", text) for number in (1, 2)]
        return frozenset(made) if issubclass(origin, frozenset) else tuple(made)
    if is_dataclass(origin):
        parameters = getattr(origin, "__parameters__", ())
        return _object(origin, text, dict(zip(parameters, arguments, strict=True)))
    return {} if kind is Any else _object(kind, text)


def _object(kind: Any, text: Callable[[str], str], filled: Mapping[Any, Any] | None = None) -> Any:
    """Return a value of a class; of a generic one with what fills its parameters."""
    name = kind.__name__
    if issubclass(kind, Enum):
        return next(iter(kind))
    if issubclass(kind, SnapSelfError):
        taken = inspect.signature(kind).parameters
        said = {e: text(f"{name}.{e}") for e in ("message", "hint", "details") if e in taken}
        return kind(said.pop("message"), **said)
    made = kind if is_dataclass(kind) else kind.__init__
    hints = typing.get_type_hints(made, localns=dict(_UNLOADED))
    wanted = [each.name for each in fields(kind) if each.init] if is_dataclass(kind) else hints
    given = {n: _filled(hints[n], filled or {}) for n in wanted if n != "return"}
    return kind(**{n: _value(hint, f"{name}.{n}", text) for n, hint in given.items()})


def _filled(hint: Any, filled: Mapping[Any, Any]) -> Any:
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(filled[each] for each in parameters)] if parameters and filled else hint
