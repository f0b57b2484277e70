"""Convert frozen values to JSON's types, and back with every shape checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from enum import Enum
from functools import cache
from typing import Any

Reader = Callable[[Any, object, str], Any]


class ShapeError(Exception):
    """A value does not have the shape expected; the text begins with its attribute path."""


def to_plain(value: Any) -> Any:
    """Return a value of our model as JSON's types; instants as ISO 8601 in UTC."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: Any, data: object, where: str) -> Any:
    """Return the value of that type that ``data`` represents; ignore unknown attributes.

    Args:
        kind: a dataclass, Enum, ``datetime``, ``str``, ``int``, NewType, ``X | None``,
            ``tuple[X, ...]`` or ``Mapping[str, X]``.
        where: attribute path for messages.

    Raises:
        ShapeError: it represents none.
    """
    read, plain_kind = _reader(kind)
    return read(plain_kind, data, where)


@cache
def _reader(kind: Any) -> tuple[Reader, Any]:
    """Return the reader for values of the type, and the type without its NewType."""
    kind = getattr(kind, "__supertype__", kind)
    if typing.get_origin(kind) in _BY_ORIGIN:
        return _BY_ORIGIN[typing.get_origin(kind)], kind
    if dataclasses.is_dataclass(kind):
        return _record, kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum, kind
    return (_instant if kind is datetime else _exact), kind


def _record(kind: Any, data: object, where: str) -> Any:
    given = _exact(dict, data, where)
    values = {}
    for name, wanted, required in _attributes(kind):
        if name in given:
            values[name] = from_plain(wanted, given[name], f"{where}.{name}")
        elif required:
            raise ShapeError(f"{where}.{name} is missing")
    return kind(**values)


@cache
def _attributes(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Return name, type and whether it is required, for each attribute of a dataclass."""
    types_by_name = typing.get_type_hints(kind)
    missing = dataclasses.MISSING
    return tuple(
        (each.name, types_by_name[each.name], each.default is each.default_factory is missing)
        for each in dataclasses.fields(kind)
    )


def _enum(kind: type[Enum], data: object, where: str) -> Enum:
    try:
        return kind(data)
    except ValueError:
        words = ", ".join(str(each.value) for each in kind)
        raise ShapeError(f"{where} is none of {words}") from None


def _instant(kind: Any, data: object, where: str) -> datetime:
    text = _exact(str, data, where)
    try:
        instant: datetime = kind.fromisoformat(text)
    except ValueError:
        raise ShapeError(f"{where} is no instant") from None
    if instant.tzinfo is None:
        raise ShapeError(f"{where} has no time zone")
    try:
        return instant.astimezone(timezone.utc)
    except OverflowError:
        raise ShapeError(f"{where} is out of range") from None


def _optional(kind: Any, data: object, where: str) -> Any:
    if data is None:
        return None
    (wanted,) = (each for each in typing.get_args(kind) if each is not type(None))
    return from_plain(wanted, data, where)


def _tuple(kind: Any, data: object, where: str) -> Any:
    item = typing.get_args(kind)[0]
    return tuple(
        from_plain(item, each, f"{where}[{index}]")
        for index, each in enumerate(_exact(list, data, where))
    )


def _mapping(kind: Any, data: object, where: str) -> Any:
    item = typing.get_args(kind)[1]
    return {
        key: from_plain(item, each, f"{where}.{key}")
        for key, each in _exact(dict, data, where).items()
    }


_BY_ORIGIN: Mapping[Any, Reader] = {
    typing.Union: _optional,
    types.UnionType: _optional,
    tuple: _tuple,
    Mapping: _mapping,
}


def _exact(kind: Any, data: object, where: str) -> Any:
    if type(data) is not kind:  # JSON's true is not a number here
        raise ShapeError(f"{where} is {type(data).__name__}, not {kind.__name__}")
    return data
