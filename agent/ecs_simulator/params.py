"""Typed reading of an RPC request's parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ecs_simulator.errors import TAG_ACTIONS, ApiError

_NUMBERED = re.compile(r"^\d{1,3}$")

# These are neither parameters of the operation nor part of an idempotent request's identity.
COMMON = frozenset(
    {
        "Action",
        "Version",
        "Format",
        "AccessKeyId",
        "SecurityToken",
        "SignatureMethod",
        "SignatureVersion",
        "SignatureType",
        "SignatureNonce",
        "Timestamp",
        "Signature",
        "ClientToken",
    }
)


class Params:
    """One request's parameters, read by name; unknown ones are ignored."""

    def __init__(self, action: str, values: Mapping[str, str]) -> None:
        self.action = action
        self._values = dict(values)

    def fingerprint(self) -> tuple[tuple[str, str], ...]:
        """Return what must be equal in two requests with the same ClientToken."""
        return tuple(sorted((k, v) for k, v in self._values.items() if k not in COMMON))

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def given(self, name: str) -> bool:
        """Return whether a parameter was sent, even if empty."""
        return name in self._values

    def required(self, name: str) -> str:
        """Return a value that must be there.

        Raises:
            ApiError: it is absent or empty.
        """
        value = self._values.get(name, "")
        if not value:
            raise missing(self.action, name)
        return value

    def integer(self, name: str, code: str) -> int | None:
        """Return a whole number, None when absent.

        Raises:
            ApiError: with ``code``: it is not one.
        """
        value = self._values.get(name, "").strip()
        if not value:
            return None
        if not re.fullmatch(r"-?\d{1,12}", value):
            raise ApiError(code, f"The specified {name} is not valid.")
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean written in any case."""
        value = self._values.get(name, "").strip().lower()
        if not value:
            return default
        if value not in ("true", "false"):
            code = (
                "InvalidParamter" if self.action == "DescribeDisks" else f"InvalidParameter.{name}"
            )
            raise ApiError(code, f"The specified {name} is not valid.")
        return value == "true"

    def items(self, name: str) -> list[str]:
        """Return ``Name.1``, ``Name.2``, ... in order of their numbers."""
        found: list[tuple[int, str]] = []
        for key, value in self._values.items():
            if key.startswith(f"{name}.") and _NUMBERED.match(key[len(name) + 1 :]):
                found.append((int(key[len(name) + 1 :]), value))
        return [value for _, value in sorted(found) if value]

    def records(self, name: str) -> list[dict[str, str]]:
        """Return ``Name.N.Field`` groups in order of N."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self._values.items():
            head, _, rest = key.partition(".")
            number, _, member = rest.partition(".")
            if head == name and member and _NUMBERED.match(number):
                found.setdefault(int(number), {})[member] = value
        return [found[number] for number in sorted(found)]

    def json_ids(self, name: str, code: str) -> list[str] | None:
        """Return a JSON array of at most 100 ids, None when absent.

        Raises:
            ApiError: with ``code``: it is not one.
        """
        value = self._values.get(name, "")
        if not value:
            return None
        try:
            ids = json.loads(value)
        except ValueError:
            raise ApiError(code) from None
        if not isinstance(ids, list) or len(ids) > 100 or not all(isinstance(i, str) for i in ids):
            raise ApiError(code)
        return ids


def missing(action: str, name: str) -> ApiError:
    """Return the refusal of a request without a mandatory parameter, spelled as by the action."""
    text = f'The input parameter "{name}" that is mandatory for processing this request'
    if action in TAG_ACTIONS:
        return ApiError(f"MissingParameter.{name}", f"{text} is not supplied.")
    if action == "DescribeDisks":
        return ApiError(f"MissingParamter.{name}", f"{text} is not supplied.")
    return ApiError("MissingParameter", f"{text} is not supplied.")
