"""Typed getters at the border where the API's JSON becomes values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from snap_self.errors import CloudAnswerUnclear

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
T = TypeVar("T")

# RFC 3339, which Alibaba's own CSI driver reads these times by, and the API's form without seconds.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?(?:[Zz]|([+-]\d\d):?(\d\d))",
    re.ASCII,
)
_NUMBER = re.compile(r"(\d{1,18})(?:\.\d*)?", re.ASCII)
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
        """Return a number of at least 0 without its fraction; it may come as a text."""
        value = self.value.get(name)
        return default if value is None or value == "" else self._whole(name, value)

    def percent(self, name: str) -> int | None:
        """Return whole percent, at most 100, with or without the sign; None if absent."""
        value = self.value.get(name)
        if value is None or value == "":
            return None
        return min(self._whole(name, value), 100)

    def _whole(self, name: str, value: object) -> int:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18:
            return int(value)
        text = value.strip().removesuffix("%").strip() if isinstance(value, str) else ""
        if not (match := _NUMBER.fullmatch(text)):
            raise self.unclear(name, "is not a number of at least 0")
        return int(match[1])

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
        """Return a time, with or without seconds, in UTC; None if absent."""
        text = self.text(name)
        if not text:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise self.unclear(name, "is not a time")
        numbers = [int(part or 0) for part in match.groups()]
        east = timedelta(hours=numbers[6], minutes=numbers[7] * (-1 if numbers[6] < 0 else 1))
        try:
            local = datetime(*numbers[:6], tzinfo=timezone.utc)  # type: ignore[arg-type,misc]
            return local - east
        except (ValueError, OverflowError):
            raise self.unclear(name, "is not a time that exists") from None

    def child(self, name: str) -> Node:
        """Return an object, an empty one if absent."""
        value = self.value.get(name)
        if value is None or value in ("", []):
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

    def plain_items(self, name: str) -> Iterator[Node]:
        """Yield the objects of a list of OOS, ``{"Executions": [...]}``, which must be there."""
        values = self.value.get(name)
        if not isinstance(values, list):
            raise self.unclear(name, "is not a list")
        for place, value in enumerate(values):
            path = f"{self._below(name)}[{place}]"
            if not isinstance(value, dict):
                raise CloudAnswerUnclear(_sentence(path, "is not an object"))
            yield Node(path=path, value=value)

    def pairs(self, outer: str, inner: str, *, key: str, value: str) -> dict[str, str]:
        """Return a list of objects that name a key and a value each; those without key left out."""
        try:
            found = {entry[key]: entry[value] for entry in self._list(outer, inner)}
            texts = [*found, *found.values()]
            # Texts to be taken as they are, which is what nearly all are.
            if all(texts) and "".join(texts).isprintable():
                return found
        except (KeyError, TypeError):
            pass
        nodes = self.items(outer, inner)
        return {name: node.text(value) for node in nodes if (name := node.text(key))}

    def required_items(self, outer: str, inner: str) -> Iterator[Node]:
        """Yield like ``items``; the outer object must be there."""
        value = self.value.get(outer)
        if not isinstance(value, dict) and value != []:
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


class Loose:
    """Reads the attributes of a node that nothing hangs on.

    What cannot be read is named in ``unread``, and stands for no more than that it is not known.
    """

    def __init__(self) -> None:
        self.unread: set[str] = set()

    def read(self, getter: Callable[[str], T], name: str, otherwise: T) -> T:
        """Return what a getter reads, or something in its place."""
        try:
            return getter(name)
        except CloudAnswerUnclear:
            self.unread.add(name)
            return otherwise


def _sentence(path: str, why: str) -> str:
    return f"the cloud's answer does not have the documented form: {path} {why}"
