"""One parser per kind of value; each says in a ``RuleError`` what is wrong and what is accepted.

A parser takes the value as TOML or the environment gives it, and the words that name it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from snap_self.errors import RuleError
from snap_self.model.addresses import is_loopback
from snap_self.model.applications import ApplicationSettings, Use
from snap_self.model.duration import (
    FOREVER,
    OFF,
    format_duration,
    parse_duration,
    parse_duration_or,
)
from snap_self.model.ids import DISK_ID, DiskId
from snap_self.model.manager_settings import (
    ABORT,
    CONTINUE,
    MAX_LIMIT_S,
    MAX_SPREAD_S,
    MIN_LIMIT_S,
)
from snap_self.model.notifying import Robot
from snap_self.model.occurrences import Occasion
from snap_self.model.packages import MANAGERS, known_managers
from snap_self.model.rules import check_keep_s, check_snapshot_name, check_tags
from snap_self.model.shown import is_printable, shown

Parser = Callable[[object, str], Any]

METADATA_HOST = "100.100.100.200"
HTTPS = "an https:// URL, or an http:// one of this machine itself (127.0.0.1)"

MAX_FREEZE_S = 30
# What ACS::Sleep has taken at every time; the text of today names no most.
LEAST_CONFIRM_S, MAX_CONFIRM_S = 60, 4 * 3600

_TYPE_WORDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "a table",
    str: "a string",
}
# RAM documents letters, digits, periods and hyphens; the name becomes part of a URL's path.
_ROLE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


def text(value: object, what: str) -> str:
    """Return any printable string."""
    checked: str = _typed(str, value, what, "a string")
    if not is_printable(checked):
        raise RuleError(
            f"{what} {shown(checked)} holds a line break or a control character, "
            "or something unseen",
            hint="write it on one line, in printable characters",
        )
    return checked


class Choice:
    """A parser for the values of an Enum.

    Args:
        kind: its values are texts.
    """

    def __init__(self, kind: type[Enum]) -> None:
        self._kind = kind

    @property
    def words(self) -> tuple[str, ...]:
        """The texts that it accepts."""
        return tuple(str(each.value) for each in self._kind)

    def __call__(self, value: object, what: str) -> Enum:
        """Return the member with this value."""
        words = ", ".join(self.words)
        word = _typed(str, value, what, f"one of {words}")
        try:
            return self._kind(word)
        except ValueError:
            raise RuleError(f"{what} {shown(word)} is not known", hint=f"one of {words}") from None


def duration(value: object, what: str) -> int:
    """Return a duration above zero in seconds."""
    return parse_duration(_duration_text(value, what), what=what)


def duration_or_zero(value: object, what: str) -> int:
    """Return a duration in seconds; zero is one."""
    return parse_duration(_duration_text(value, what), what=what, zero_ok=True)


def freeze_limit(value: object, what: str) -> int:
    """Return how long a freeze may last, in seconds."""
    return _at_most(MAX_FREEZE_S, duration(value, what), what, why="what writes hangs meanwhile")


def manager_limit(value: object, what: str) -> int:
    """Return how long a package manager may be held up, in seconds."""
    seconds = duration(value, what)
    if not MIN_LIMIT_S <= seconds <= MAX_LIMIT_S:
        raise RuleError(
            f"{what} of {format_duration(seconds)} is no limit that a hook can keep",
            hint=f"write {MIN_LIMIT_S}s to {format_duration(MAX_LIMIT_S)}",
        )
    return seconds


def spread(value: object, what: str) -> int:
    """Return over how long machines are spread, in seconds; zero for not at all."""
    seconds = duration_or_zero(value, what)
    return _at_most(MAX_SPREAD_S, seconds, what, why="a package manager holds its lock meanwhile")


def confirm_within(value: object, what: str) -> int:
    """Return the seconds within which a change must be confirmed."""
    seconds = duration(value, what)
    if seconds < LEAST_CONFIRM_S:
        raise RuleError(
            f"{what} of {seconds} s leaves no time to confirm",
            hint=f"take at least {LEAST_CONFIRM_S // 60}m",
        )
    return _at_most(MAX_CONFIRM_S, seconds, what, why="the cloud may wait no longer")


def confirm_within_or_off(value: object, what: str) -> int | None:
    """Return the same, or None for ``off``."""
    return None if value == OFF else confirm_within(value, what)


def retention(value: object, what: str) -> int | None:
    """Return a retention in seconds, None for ever."""
    seconds = parse_duration_or(_duration_text(value, what), FOREVER, what=what)
    return None if seconds is None else check_keep_s(seconds, what=what)


def duration_or_off(value: object, what: str) -> int | None:
    """Return a duration in seconds, None for ``off``."""
    return parse_duration_or(_duration_text(value, what), OFF, what=what)


def snapshot_name(value: object, what: str) -> str:
    """Return a snapshot name, or an empty string."""
    name = text(value, what)
    return check_snapshot_name(name) if name else ""


def role(value: object, what: str) -> str:
    """Return a RAM role name, or an empty string."""
    name = text(value, what)
    if name and not _ROLE.fullmatch(name):
        raise RuleError(
            f"{what} {shown(name)} is no role name",
            hint="write the role's name alone: letters, digits, . _ and - (not its ARN)",
        )
    return name


def tags(value: object, what: str) -> dict[str, str]:
    """Return tags from a table of strings."""
    table = _typed(dict, value, what, "a table of strings")
    return check_tags((key, text(item, f"{what}[{shown(key)}]")) for key, item in table.items())


def names(value: object, what: str) -> tuple[str, ...]:
    """Return disk ids, devices or mount points from an array of strings."""
    items = _typed(list, value, what, "an array of strings")
    checked = tuple(text(item, f"{what}[{index}]") for index, item in enumerate(items))
    if "" in checked:
        raise RuleError(f"{what} holds an empty string", hint="leave it out")
    return checked


def names_text(value: object, what: str) -> tuple[str, ...]:
    """Return the same from one text: an array as a file has it, or names with commas between."""
    given = text(value, what).strip()
    if not given.startswith("["):
        return names([name.strip() for name in given.split(",")], what)
    try:
        items = json.loads(given)
    except ValueError:
        raise RuleError(
            f"{what} {shown(given)} is no array of strings", hint='write ["/data", "d-…"]'
        ) from None
    return names(items, what)


def argv(value: object, what: str) -> tuple[str, ...]:
    """Return a program and its arguments from an array of strings; empty for none."""
    items = _typed(list, value, what, "an array of strings")
    words = tuple(text(item, f"{what}[{index}]") for index, item in enumerate(items))
    if words and not words[0]:
        raise RuleError(f"{what} names no program", hint="name it first, by its absolute path")
    return words


def occasions(value: object, what: str) -> frozenset[Occasion]:
    """Return kinds of things that happen from an array of their words."""
    kind = Choice(Occasion)
    items = _typed(list, value, what, "an array of strings")
    read = (kind(item, f"{what}[{index}]") for index, item in enumerate(items))
    return frozenset(each for each in read if isinstance(each, Occasion))


def robot(value: object, what: str) -> Robot:
    """Return whose chat robot it is, or none for an empty string."""
    name = text(value, what)
    try:
        return Robot(name)
    except ValueError:
        known = ", ".join(each.value for each in Robot if each.value)
        raise RuleError(
            f"{what} {shown(name)} is not known", hint=f"one of {known}; or empty"
        ) from None


def managers(value: object, what: str) -> tuple[str, ...]:
    """Return package managers from an array of their names."""
    wanted = names(value, what)
    for name in wanted:
        _check_manager(name, what)
    return tuple(name for name in MANAGERS if name in wanted)


def failure_policies(value: object, what: str) -> dict[str, str]:
    """Return what a failure does to each manager's change, from one word or a table of them."""
    accepted = f"{CONTINUE} or {ABORT}"
    table = value if isinstance(value, dict) else dict.fromkeys(MANAGERS, value)
    for name, word in table.items():
        _check_manager(name, what)
        if _typed(str, word, what, accepted) not in (CONTINUE, ABORT):
            raise RuleError(f"{what} {shown(str(word))} is not known", hint=f"write {accepted}")
    return {name: str(table.get(name, CONTINUE)) for name in MANAGERS}


def count(value: object, what: str) -> int:
    """Return a number that is not negative, which the environment gives as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    number: int = _typed(int, value, what, "a number such as 25")
    if number < 0:
        raise RuleError(f"{what} of {number} is below zero", hint="write 0 to switch it off")
    return number


def disk_map(value: object, what: str) -> dict[str, DiskId]:
    """Return a table from device to cloud disk."""
    table = _typed(dict, value, what, 'a table such as { "/dev/vdb" = "d-…" }')
    if "" in table:
        raise RuleError(f"{what} has an empty device name", hint="name the device: /dev/vdb")
    return {
        text(device, what): _disk_id(item, f"{what}[{shown(device)}]")
        for device, item in table.items()
    }


def absolute_path(value: object, what: str) -> Path:
    """Return an absolute path."""
    path = Path(text(value, what))
    if not path.is_absolute():
        raise RuleError(f"{what} {shown(str(path))} is not absolute", hint="begin it with /")
    return path


def file_or_empty(value: object, what: str) -> str:
    """Return an absolute path as text, or an empty string."""
    return str(absolute_path(value, what)) if text(value, what) else ""


def textfile(value: object, what: str) -> str:
    """Return the absolute path of a file that the textfile collector reads, or an empty string."""
    path = file_or_empty(value, what)
    if path and (not path.endswith(".prom") or Path(path).name == ".prom"):
        raise RuleError(
            f"{what} {shown(path)} is no file that node_exporter reads",
            hint="let its name end in .prom: /var/lib/prometheus/node-exporter/snap-self.prom",
        )
    return path


def switch(value: object, what: str) -> bool:
    """Return true or false, which the environment gives as a word."""
    words = {"true": True, "on": True, "false": False, "off": False}
    if isinstance(value, bool):
        return value
    given = value if isinstance(value, str) else ""
    if given not in words:
        raise RuleError(f"{what} {shown(str(value))} is neither true nor false", hint="write true")
    return words[given]


def application(value: object, what: str) -> ApplicationSettings:
    """Return an application's settings from ``off``, ``auto``, ``on`` or a table of them."""
    use: Parser = Choice(Use)
    if not isinstance(value, dict):
        return ApplicationSettings(use=use(value, what))
    known: dict[str, Parser] = {
        "use": use,
        "socket": file_or_empty,
        "user": text,
        "password_file": file_or_empty,
        "server_user": text,
    }
    for name in value:
        if name not in known:
            raise RuleError(f"{what}.{shown(name)} is not known", hint=f"known: {', '.join(known)}")
    given = {name: known[name](item, f"{what}.{name}") for name, item in value.items()}
    return ApplicationSettings(**{"use": Use.AUTO, **given})


def url(value: object, what: str) -> str:
    """Return an https URL, or an http one of this machine, or an empty string."""
    return _url(value, what, plain=())


def metadata_url(value: object, what: str) -> str:
    """Return what :func:`url` does, or the metadata service's own address."""
    return _url(value, what, plain=(METADATA_HOST,))


def _typed(kind: Any, value: object, what: str, accepted: str) -> Any:
    if type(value) is not kind:
        word = _TYPE_WORDS.get(type(value), "a date or time")
        raise RuleError(f"{what} is {word}", hint=f"write {accepted}")
    return value


def _duration_text(value: object, what: str) -> str:
    return str(_typed(str, value, what, 'a string such as "30m"'))


def _at_most(most_s: int, seconds: int, what: str, *, why: str) -> int:
    if seconds > most_s:
        raise RuleError(
            f"{what} of {format_duration(seconds)} is too long: {why}",
            hint=f"at most {format_duration(most_s)}",
        )
    return seconds


def _check_manager(name: str, what: str) -> None:
    if name not in MANAGERS:
        raise RuleError(
            f"{what}: {shown(name)} is no package manager with a hook",
            hint=f"known: {known_managers()}",
        )


def _disk_id(value: object, what: str) -> DiskId:
    disk_id = text(value, what)
    if not DISK_ID.fullmatch(disk_id):
        raise RuleError(
            f"{what} {shown(disk_id)} is no disk id", hint="write it as the console does: d-…"
        )
    return DiskId(disk_id)


def _url(value: object, what: str, *, plain: tuple[str, ...]) -> str:
    given = text(value, what).rstrip("/")
    if not given:
        return ""
    parts = _split(given)
    # What does not parse may hold a password or a signature, so it is not shown.
    if parts is None or parts.username is not None or parts.query or parts.fragment:
        raise RuleError(f"{what} is no URL of scheme, host and port alone", hint=f"write {HTTPS}")
    if parts.path or parts.scheme not in ("http", "https"):
        raise RuleError(
            f"{what} {shown(f'{parts.scheme}://{parts.netloc}')} is no http or https URL "
            "without a path",
            hint=f"write {HTTPS}",
        )
    host = parts.hostname or ""
    if parts.scheme == "http" and host == "localhost":
        raise RuleError(
            f"{what} {shown(f'http://{parts.netloc}')} is a name, and whoever answers for names "
            "decides what it stands for",
            hint="write 127.0.0.1 or [::1]",
        )
    if parts.scheme == "http" and host not in plain and not is_loopback(host):
        raise RuleError(
            f"{what} {shown(f'http://{parts.netloc}')} would be spoken to without encryption",
            hint=f"write {HTTPS}",
        )
    return given


def _split(given: str) -> SplitResult | None:
    """Return the parts of a URL with a host and a good port, or None."""
    try:
        parts = urlsplit(given)
        good = parts.port != 0 and bool(parts.hostname) and not re.search(r"[\s\\]", given)
    except ValueError:
        return None
    return parts if good and given.isascii() else None
