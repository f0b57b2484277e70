"""Typed getters at the border where the API's JSON becomes values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from snap_self.errors import CloudAnswerUnclear

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?Z", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A JSON object and where in the answer it stands.

    Every getter raises ``CloudAnswerUnclear`` with the attribute's path for an unexpected shape.
    Absent, null and empty mean the same: the API leaves open which it sends.
    """

    path: str
    value: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """Return a text, empty if absent; control characters become spaces."""
        value = self.value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.unclear(name, "is not a text")
        # A printable text has none of them, and is what nearly all are.
        return value if value.isprintable() else _CONTROL.sub(" ", value)

    def identifier(self, name: str) -> str:
        """Return an identifier, which must be there."""
        text = self.optional_identifier(name)
        if not text:
            raise self.unclear(name, "is missing")
        return text

    def optional_identifier(self, name: str) -> str:
        """Return an identifier, empty if absent."""
        text = self.text(name)
        if text and not _ID.fullmatch(text):
            raise self.unclear(name, "is not an identifier")
        return text

    def number(self, name: str, *, default: int = 0) -> int:
        """Return a whole number of at least 0 that may come as a text, or with a percent sign."""
        value = self.value.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        text = value.strip().removesuffix("%").strip() if isinstance(value, str) else ""
        if not _NUMBER.fullmatch(text):
            raise self.unclear(name, "is not a whole number")
        return int(text)

    def flag(self, name: str) -> bool:
        """Return a boolean that may come as a text, False if absent."""
        value = self.value.get(name)
        if value is None or value == "":
            return False
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise self.unclear(name, "is neither true nor false")

    def instant(self, name: str) -> datetime | None:
        """Return a UTC time with or without seconds, None if absent."""
        text = self.text(name)
        if not text:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise self.unclear(name, "is not a UTC time")
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        except ValueError:
            raise self.unclear(name, "is not a time that exists") from None

    def child(self, name: str) -> Node:
        """Return an object, an empty one if absent."""
        value = self.value.get(name)
        if value is None or value == "":
            value = {}
        if not isinstance(value, dict):
            raise self.unclear(name, "is not an object")
        return Node(path=self._below(name), value=value)

    def items(self, outer: str, inner: str) -> Iterator[Node]:
        """Yield the objects of a list in the API's form ``{"Disks": {"Disk": [...]}}``."""
        above = f"{self._below(outer)}.{inner}"
        for place, value in enumerate(self._list(outer, inner)):
            path = f"{above}[{place}]"
            if not isinstance(value, dict):
                raise CloudAnswerUnclear(_sentence(path, "is not an object"))
            yield Node(path=path, value=value)

    def pairs(self, outer: str, inner: str, *, key: str, value: str) -> dict[str, str]:
        """Return a list of objects that name a key and a value each; those without key left out."""
        listed = self._list(outer, inner)
        if all(
            isinstance(e, dict) and _is_plain(e.get(key)) and _is_plain(e.get(value))
            for e in listed
        ):
            return {entry[key]: entry[value] for entry in listed}
        nodes = self.items(outer, inner)
        return {name: node.text(value) for node in nodes if (name := node.text(key))}

    def required_items(self, outer: str, inner: str) -> Iterator[Node]:
        """Yield like ``items``; the outer object must be there."""
        if not isinstance(self.value.get(outer), dict):
            raise self.unclear(outer, "is missing")
        return self.items(outer, inner)

    def unclear(self, name: str, why: str) -> CloudAnswerUnclear:
        """Return the error that an attribute is not as documented."""
        return CloudAnswerUnclear(
            _sentence(self._below(name), why),
            hint="repeat the command; if it stays so, a newer snap-self may know the new form",
        )

    def _list(self, outer: str, inner: str) -> list[Any]:
        holder = self.child(outer)
        value = holder.value.get(inner)
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            raise holder.unclear(inner, "is not a list")
        return value

    def _below(self, name: str) -> str:
        return f"{self.path}.{name}"


def _is_plain(value: object) -> bool:
    """Return whether it is a text to be taken as it is, which is what nearly all are."""
    return isinstance(value, str) and value.isprintable() and value != ""


def _sentence(path: str, why: str) -> str:
    return f"the cloud's answer does not have the documented form: {path} {why}"
