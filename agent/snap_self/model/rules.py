"""The documented rules for what users may name, and names that always obey them.

Each check returns the value it was given, so that it can stand where a parser stands.

Source: ECS API reference, CreateSnapshot and CreateSnapshotGroup (SnapshotName, Description,
RetentionDays, Tag.N, ClientToken) and TagResources. Where the two differ the stricter rule holds,
since one request may become either.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timezone

from snap_self.errors import RuleError
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.shown import escaped, is_printable, shown

MAX_NAME = 128
MAX_DESCRIPTION = 256
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 128
MAX_TAGS = 20
OWN_TAGS = 5
MAX_BEFORE = 200
MAX_RETENTION_DAYS = 65536
RESERVED_TAG_PREFIX = "snap-self-"
DAY_S = 86400

_WEB = ("http://", "https://")
_NAME_EXTRAS = frozenset("0123456789:_.-")
_MAX_SLUG = 60
# Two UTF-16 units each; that every store behind the API takes them is nowhere promised.
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")


def check_snapshot_name(name: str) -> str:
    """Return the name if a snapshot may have it.

    Raises:
        RuleError: it may not.
    """
    check_group_name(name, what="snapshot name")
    if name.lower().startswith("auto"):
        raise _broken(
            "snapshot name",
            name,
            "begins with auto, which marks the cloud's automatic snapshots",
            hint="choose a name that begins with another word",
        )
    return name


def check_group_name(name: str, *, what: str = "group name") -> str:
    """Return the name if a snapshot-consistent group may have it.

    Raises:
        RuleError: it may not.
    """
    if name.lower().startswith(_WEB):
        raise _broken(what, name, "begins like a web address", hint="choose a plain name")
    _check_length(what, name, least=2, most=MAX_NAME)
    if not name[0].isalpha():
        raise _broken(what, name, "does not begin with a letter", hint="put a letter first")
    strange = next((c for c in name if not _in_name(c)), "")
    if strange:
        raise _broken(
            what,
            name,
            f"holds {shown(strange)}",
            hint="use letters, digits and : _ . - only",
        )
    return name


def check_description(description: str) -> str:
    """Return the description if a snapshot or group may have it.

    Raises:
        RuleError: it may not.
    """
    what = "description"
    _check_printable(what, description)
    _check_length(what, description, least=2, most=MAX_DESCRIPTION)
    if description.lower().startswith(_WEB):
        raise _broken(
            what, description, "begins like a web address", hint="put a word before the address"
        )
    return description


def check_before(before: str) -> str:
    """Return the words for the risky change if they can be kept and shown.

    Raises:
        RuleError: they are missing, too long or hold control characters.
    """
    what = "--before"
    if not before.strip():
        raise RuleError(
            "--before is empty", hint='say what is about to change: --before "os upgrade"'
        )
    _check_printable(what, before)
    _check_length(what, before, least=1, most=MAX_BEFORE)
    return before


def parse_tag(text: str) -> tuple[str, str]:
    """Return key and value of ``KEY=VALUE``; the value may be empty and may hold ``=``.

    Raises:
        RuleError: there is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise _broken("tag", text, "has no =", hint="write it as KEY=VALUE")
    return key, value


def check_tags(tags: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the user's tags if the cloud takes them beside the agent's own five.

    Raises:
        RuleError: a key or value breaks a rule, a key is there twice, or there are too many.
    """
    checked: dict[str, str] = {}
    seen: dict[str, str] = {}
    for key, value in tags:
        check_tag_key(key)
        check_tag_value(value)
        if (twin := seen.get(key.lower())) is not None:
            raise _broken(
                "tag key",
                key,
                f"is there twice ({shown(twin)}); upper and lower case do not count",
                hint="leave one of them out",
            )
        seen[key.lower()] = key
        checked[key] = value
    room = MAX_TAGS - OWN_TAGS
    if len(checked) > room:
        raise RuleError(
            f"{len(checked)} tags are too many",
            hint=f"give at most {room}: the cloud takes {MAX_TAGS}, and snap-self sets {OWN_TAGS}",
        )
    return checked


def check_tag_key(key: str) -> str:
    """Return the tag key if a user may set it.

    Raises:
        RuleError: it may not be set.
    """
    what, low = "tag key", key.lower()
    _check_printable(what, key)
    _check_length(what, key, least=1, most=MAX_TAG_KEY)
    if low.startswith(("aliyun", "acs:")):
        raise _broken(
            what, key, "begins with aliyun or acs:, which the cloud keeps", hint="rename it"
        )
    if low.startswith(RESERVED_TAG_PREFIX):
        raise _broken(
            what, key, f"begins with {RESERVED_TAG_PREFIX}, which is snap-self's", hint="rename it"
        )
    _check_no_web(what, key)
    return key


def check_tag_value(value: str) -> str:
    """Return the tag value if snapshots and groups may carry it.

    Raises:
        RuleError: they may not.
    """
    what = "tag value"
    _check_printable(what, value)
    _check_length(what, value, least=0, most=MAX_TAG_VALUE)
    if value.lower().startswith("acs:"):
        raise _broken(what, value, "begins with acs:, which the cloud keeps", hint="change it")
    _check_no_web(what, value)
    return value


def check_keep_s(keep_s: int, *, what: str = "--keep") -> int:
    """Return the retention in seconds if the cloud can hold it.

    Raises:
        RuleError: it is zero, negative, or longer than 65536 days.
    """
    if not 0 < keep_s <= MAX_RETENTION_DAYS * DAY_S:
        raise RuleError(
            f"{what} of {keep_s} seconds is not a retention",
            hint=f"keep snapshots for 1s to {MAX_RETENTION_DAYS}d, or forever",
        )
    return keep_s


def retention_days(keep_s: int) -> int:
    """Return ``RetentionDays``: whole days, rounded up, so that nothing is deleted too early.

    Raises:
        RuleError: see :func:`check_keep_s`.
    """
    return -(-check_keep_s(keep_s) // DAY_S)


def generated_name(before: str, started: datetime) -> str:
    """Return a valid snapshot and group name for any text.

    No ``.`` is used: the API's text for renaming a snapshot leaves it out.
    """
    plain = unicodedata.normalize("NFC", before)
    kept = "".join(c if _in_slug(c) else " " for c in plain)
    slug = "-".join(kept.split())[:_MAX_SLUG].strip("-")
    stamp = f"{started.astimezone(timezone.utc):%Y%m%d-%H%M%S}"
    return "-".join(filter(None, ("before", slug, stamp)))


def generated_description(before: str, instance_id: InstanceId, run_id: RunId) -> str:
    """Return a valid description for any text."""
    tail = f" (snap-self, instance {instance_id[:64]}, run {run_id[:64]})"
    head = f"before {_tidy(before)}"
    return _cut(head, MAX_DESCRIPTION - len(tail)) + tail


def before_tag(before: str) -> str:
    """Return a valid tag value for any text, as like it as the rules allow."""
    tidy = re.sub(":/{2,}", ":/", _tidy(before))
    if tidy.lower().startswith("acs:"):
        tidy = f"before {tidy}"
    return _cut(tidy, MAX_TAG_VALUE)


def _tidy(text: str) -> str:
    one_line = escaped(_BEYOND_BMP.sub("\ufffd", text), lambda _: " ")
    return " ".join(one_line.split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _in_name(char: str) -> bool:
    return char.isalpha() or char in _NAME_EXTRAS


def _in_slug(char: str) -> bool:
    return (char.isalpha() or char in "0123456789") and char <= "\uffff"


def _check_printable(what: str, text: str) -> None:
    if not is_printable(text):
        raise _broken(
            what,
            text,
            "holds a line break, a control character, something unseen or broken UTF-8",
            hint="write it on one line, in printable characters",
        )


def _check_length(what: str, text: str, *, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        raise _broken(
            what,
            text,
            f"has {len(text)} characters",
            hint=f"it must have {least} to {most}",
        )


def _check_no_web(what: str, text: str) -> None:
    if any(web in text.lower() for web in _WEB):
        raise _broken(
            what, text, "holds http:// or https://", hint="leave the part before the host out"
        )


def _broken(what: str, value: str, why: str, *, hint: str) -> RuleError:
    return RuleError(f"{what} {shown(value)} {why}", hint=hint)
