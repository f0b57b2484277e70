"""Read what a monitoring plugin says, by the guidelines of https://www.monitoring-plugins.org."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What Nagios 3 and later, Icinga and NRPE 3 and later read.
MOST_BYTES = 4096
_RANGE = r"[0-9.]*"
_DATUM = re.compile(
    rf"'(?P<label>[^'=]+)'=(?P<value>U|-?[0-9.]+)(?P<unit>s|%|B|c)?"
    rf"(?:;(?P<warn>{_RANGE}))?(?:;(?P<crit>{_RANGE}))?(?:;(?P<least>{_RANGE}))?(?:;(?P<most>{_RANGE}))?"
)
STATUSES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """One of the performance data; texts are empty where nothing is said."""

    label: str
    value: str
    unit: str
    warn: str
    crit: str
    least: str
    most: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginOutput:
    """What a plugin says."""

    status: str
    text: str
    data: tuple[Datum, ...]
    details: tuple[str, ...]


def read_plugin_output(said: str) -> PluginOutput:
    """Return the parts of it; fail where it breaks a rule."""
    assert len(said.encode()) <= MOST_BYTES
    assert said.endswith("\n")
    first, *details = said.removesuffix("\n").split("\n")
    assert not [each for each in details if "|" in each or not each.strip()], details
    text, bar, performance = first.partition(" | ")
    head = re.fullmatch(r"SNAP-SELF (\w+) - (\S.*)", text)
    assert head, first
    assert head[1] in STATUSES
    assert "|" not in text + performance
    found = list(_DATUM.finditer(performance))
    assert " ".join(each[0] for each in found) == performance
    assert bool(bar) == bool(found)
    data = tuple(
        Datum(**{name: value or "" for name, value in each.groupdict().items()}) for each in found
    )
    assert len({each.label for each in data}) == len(data)
    return PluginOutput(status=head[1], text=head[2], data=data, details=tuple(details))
