"""Typed getters for the JSON of credentials; errors never show a value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from snap_self.cloud.credentials.sources import broken
from snap_self.model.snapshots import Credentials

_KEY_TEXT = re.compile(r"[!-~]{1,16384}")
_API_CODE = re.compile(r"[A-Za-z]{1,40}([._][A-Za-z]{1,40}){0,4}")
# The metadata service's answer for a role that ECS may not assume.
UNTRUSTED = "AssumeRoleUnauthorized"
TRUST_HINT = (
    "Let the role trust the service ecs.aliyuncs.com, or bind another role; `snap-self policy` "
    "prints the commands that make one."
)
_INSTANT = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object and where it came from, for messages."""

    where: str
    values: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """Return a text field, empty if it is absent or null.

        Raises:
            CredentialsUnusable: it is something else, or cannot be encoded.
        """
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.isprintable():
            raise broken(f"{self.where}: {name} is not a line of text")
        return value.strip()

    def block(self, name: str) -> str:
        """Return a text of any number of lines (a policy document), empty if absent.

        Raises:
            CredentialsUnusable: it is not a text, or cannot be encoded.
        """
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or value.encode("utf-8", "replace").decode() != value:
            raise broken(f"{self.where}: {name} is not text")
        return value

    def required(self, name: str) -> str:
        """Return a text field that must be there.

        Raises:
            CredentialsUnusable: it is absent, empty or not a text.
        """
        value = self.text(name)
        if not value:
            raise broken(f"{self.where}: {name} is missing or empty")
        return value

    def key_text(self, name: str) -> str:
        """Return a part of a key: printable ASCII without blanks.

        Raises:
            CredentialsUnusable: it is absent or anything else.
        """
        value = self.required(name)
        if not _KEY_TEXT.fullmatch(value):
            raise broken(f"{self.where}: {name} holds characters that no key has")
        return value

    def whole(self, name: str) -> int:
        """Return a whole number, 0 if absent; digits in quotes count.

        Raises:
            CredentialsUnusable: it is something else.
        """
        value = self.values.get(name)
        if value is None or value == "":
            return 0
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise broken(f"{self.where}: {name} is not a whole number")

    def flag(self, name: str) -> bool | None:
        """Return a truth value, None if absent.

        Raises:
            CredentialsUnusable: it is something else.
        """
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise broken(f"{self.where}: {name} is neither true nor false")

    def below(self, name: str) -> Fields:
        """Return the object in a field.

        Raises:
            CredentialsUnusable: there is none.
        """
        return as_fields(self.values.get(name), f"{self.where}: {name}")

    def instant(self, name: str) -> datetime:
        """Return a UTC instant written as ``2024-11-08T09:44:50Z``.

        Raises:
            CredentialsUnusable: it has another form.
        """
        try:
            return datetime.strptime(self.required(name), _INSTANT).astimezone(timezone.utc)
        except (ValueError, OverflowError):
            raise broken(f"{self.where}: {name} is not a UTC instant") from None

    def api_code(self) -> str:
        """Return the field ``Code`` if it looks like an API code, else a placeholder."""
        value = self.values.get("Code")
        fits = isinstance(value, str) and _API_CODE.fullmatch(value)
        return str(value) if fits else "no readable code"


def parse_object(text: str | bytes, where: str) -> Fields:
    """Return the fields of a JSON object.

    Raises:
        CredentialsUnusable: the text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's own error contains the whole text, including the keys.
        raise broken(f"{where} is not JSON") from None
    return as_fields(value, where)


def as_fields(value: object, where: str) -> Fields:
    """Return a JSON value's fields.

    Raises:
        CredentialsUnusable: it is not an object.
    """
    if not isinstance(value, dict):
        raise broken(f"{where} is not a JSON object")
    return Fields(where, value)


def role_credentials(fields: Fields, source: str) -> Credentials:
    """Return temporary keys from the object in answers of the metadata service, STS and key URIs.

    Raises:
        CredentialsUnusable: a field is missing or malformed.
    """
    return Credentials(
        access_key_id=fields.key_text("AccessKeyId"),
        access_key_secret=fields.key_text("AccessKeySecret"),
        security_token=fields.key_text("SecurityToken"),
        source=source,
        expires=fields.instant("Expiration"),
    )


def successful_role_credentials(text: str | bytes, where: str, source: str) -> Credentials:
    """Return temporary keys from the text of such an object, which must say ``Success``.

    Raises:
        CredentialsUnusable: it says otherwise, or is malformed.
    """
    fields = parse_object(text, where)
    if fields.values.get("Code") != "Success":
        code = fields.api_code()
        hint = TRUST_HINT if code == UNTRUSTED else ""
        raise broken(f"{where} answered {code} instead of Success", hint=hint)
    return role_credentials(fields, source)
