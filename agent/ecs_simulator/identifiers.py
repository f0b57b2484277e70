"""Ids and serials. They become names of files, links and devices: letters, digits, hyphens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ID = re.compile(r"[a-z]{1,8}-[0-9a-z]{1,40}")
# As long as an id without its kind; a disk from before 2020-06-10 has no serial at all.
_SERIAL = re.compile(r"[0-9A-Za-z_-]{0,40}")
_SHOWN = 60
_FIELDS = ("disk_id", "snapshot_id", "instance_id")
# An empty value means the own instance, or none.
_MAY_BE_EMPTY = ("instance_id",)


def check_id(text: Any, name: str) -> str:
    """Return an id, as ``d-bp1`` and more letters or digits.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise ValueError(f"{name}: {_shown(text)} is no id, such as d-bp1abc (a-z, 0-9)")
    return text


def check_serial(text: Any, name: str = "serial") -> str:
    """Return a disk's serial, which may be empty.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str) or not _SERIAL.fullmatch(text):
        raise ValueError(f"{name}: {_shown(text)} is no serial (at most 40 of A-Z, a-z, 0-9, _, -)")
    return text


def check_fields(values: Mapping[str, Any]) -> None:
    """Check every id and the serial among named values.

    Raises:
        ValueError: one of them is none.
    """
    for name in _FIELDS:
        value = values.get(name)
        if value is not None and not (value == "" and name in _MAY_BE_EMPTY):
            check_id(value, name)
    if values.get("serial") is not None:
        check_serial(values["serial"])


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
