"""How values become the parameters of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def given(**params: str | None) -> dict[str, str]:
    """Return the parameters that have a value."""
    return {name: value for name, value in params.items() if value}


def numbered(name: str, values: Sequence[str]) -> dict[str, str]:
    """Return a list as the API takes it: ``DiskId.1``, ``DiskId.2`` …"""
    return {f"{name}.{place}": value for place, value in enumerate(values, start=1)}


def tag_params(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as parameters, sorted: a repeated creation must send the very same ones."""
    params: dict[str, str] = {}
    for place, key in enumerate(sorted(tags), start=1):
        params |= {f"Tag.{place}.Key": key, f"Tag.{place}.Value": tags[key]}
    return params


def chunks(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Yield the values in pieces that one call takes."""
    return (values[start : start + size] for start in range(0, len(values), size))
