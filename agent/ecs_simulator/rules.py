"""The documented rules for names, descriptions, tags, retention and client tokens. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params

_NAME_REST = re.compile(r"[:_.\-]")
_URL_STARTS = ("http://", "https://")
MAX_TAGS = 20


def name_ok(name: str, *, no_auto: bool = False) -> bool:
    """Tell whether a resource name keeps the rules: 2-128 characters, a letter first."""
    if not 2 <= len(name) <= 128 or not name[0].isalpha() or name.startswith(_URL_STARTS):
        return False
    if no_auto and name.startswith("auto"):
        return False
    return all(c.isalnum() or _NAME_REST.match(c) for c in name)


def check_name(name: str, code: str, *, no_auto: bool = False) -> None:
    """Refuse, with ``code``, a name that breaks the rules; an empty name means no name."""
    if name and not name_ok(name, no_auto=no_auto):
        raise ApiError(code)


def check_description(text: str, code: str = "InvalidDescription.Malformed") -> None:
    """Refuse, with ``code``, a description outside 2-256 characters or like a URL."""
    if text and (not 2 <= len(text) <= 256 or text.startswith(_URL_STARTS)):
        raise ApiError(code)


_PASSWORD_KINDS = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[()`~!@#$%^&*\-_+=|{}\[\]:;'<>,.?/]")


def check_password(text: str) -> None:
    """Refuse a password outside 8-30 characters or of less than three kinds of them."""
    kinds = sum(re.search(kind, text) is not None for kind in _PASSWORD_KINDS)
    if text and not (8 <= len(text) <= 30 and kinds >= 3):
        raise ApiError("InvalidPassword.Malformed", "The specified Password is wrongly formed.")


def check_retention(params: Params) -> int | None:
    """Return RetentionDays; None means for ever."""
    days = params.integer("RetentionDays", "InvalidRetentionDays.Malformed")
    if days is not None and not 1 <= days <= 65536:
        raise ApiError("InvalidRetentionDays.Malformed", "RetentionDays must be 1 to 65536.")
    return days


def check_client_token(token: str) -> None:
    """Refuse a token that is longer than 64 characters or not ASCII."""
    if len(token) > 64 or not token.isascii():
        raise ApiError("InvalidClientToken.Malformed")


def read_tags(params: Params, *, group: bool = False) -> dict[str, str]:
    """Return the tags for a new resource.

    Raises:
        ApiError: too many, a key twice, or a key or value breaks the rules.
    """
    records = params.records("Tag")
    if len(records) > MAX_TAGS:
        raise ApiError("InvalidTagCount", "The number of tags exceeds 20.")
    tags: dict[str, str] = {}
    for record in records:
        key = record.get("Key", record.get("key", ""))
        value = record.get("Value", record.get("value", ""))
        check_tag_key(key)
        check_tag_value(value, group=group)
        if key.lower() in {other.lower() for other in tags}:
            raise ApiError("Duplicate.TagKey", "The Tag.N.Key contain duplicate key.")
        tags[key] = value
    return tags


def check_tag_key(key: str) -> None:
    """Refuse a tag key that breaks the rules."""
    low = key.lower()
    bad_start = low.startswith(("aliyun", "acs:"))
    if not 1 <= len(key) <= 128 or bad_start or any(url in low for url in _URL_STARTS):
        raise ApiError("InvalidTagKey.Malformed", "The specified Tag.n.Key is not valid.")


def check_tag_value(value: str, *, group: bool = False) -> None:
    """Refuse a tag value that breaks the rules; a group's may not start with ``acs:`` either."""
    low = value.lower()
    if len(value) > 128 or any(url in low for url in _URL_STARTS):
        raise ApiError("InvalidTagValue.Malformed", "The specified Tag.n.Value is not valid.")
    if group and low.startswith("acs:"):
        raise ApiError("InvalidTagValue.Malformed", "The specified Tag.n.Value is not valid.")


TagFilter = Sequence[tuple[str, str | None]]


def read_tag_filter(params: Params) -> TagFilter:
    """Return the tags a listing asks for; a value of None fits any.

    Raises:
        ApiError: too many, or a value without a key.
    """
    records = params.records("Tag")
    if len(records) > MAX_TAGS:
        raise ApiError("InvalidTagCount", "The number of tags exceeds 20.")
    wanted: list[tuple[str, str | None]] = []
    for record in records:
        key = record.get("Key", record.get("key", ""))
        value = record.get("Value", record.get("value"))
        if not key:
            if value:
                raise ApiError("InvalidTag.Mismatch", "A tag value needs a tag key.")
            continue
        wanted.append((key, value or None))
    return wanted


def fits(tags: dict[str, str], wanted: TagFilter) -> bool:
    """Tell whether a resource's tags fit a filter."""
    return all(key in tags and (value is None or tags[key] == value) for key, value in wanted)
