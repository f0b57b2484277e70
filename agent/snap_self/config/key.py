"""One key of the configuration, and how tables of several files join."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snap_self.config import parsers

ENV_PREFIX = "SNAP_SELF_"
Merge = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]


# What a key or an option of that kind accepts, in words.
DURATION = "a duration: 90s, 30m, 12h, 14d"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Key:
    """One key of the configuration.

    Args:
        default: as a file would give it.
        accepted: the values it takes, for people.
        table: attribute that holds this key and others like it, by their names.
        field: attribute of the section's settings, where it is not ``name``.
        env: a second, shorter environment variable.
        scalar: it has an environment variable.
        env_parse: reads that variable, where its value is written otherwise than in a file.
        note: what else the example file says of it.
        example: a value as a file would write it, where the default shows none.
        merge: how a later file's table joins an earlier one's; None where the later one wins.
    """

    section: str
    name: str
    parse: parsers.Parser
    default: Any
    accepted: str
    doc: str
    table: str = ""
    field: str = ""
    env: str = ""
    scalar: bool = True
    env_parse: parsers.Parser | None = None
    note: str = ""
    example: str = ""
    merge: Merge | None = None

    @property
    def dotted(self) -> str:
        """Its name with the section."""
        return f"{self.section}.{self.name}"

    @property
    def attribute(self) -> str:
        """The attribute of the section's settings that holds it."""
        return self.table or self.field or self.name

    @property
    def env_names(self) -> tuple[str, ...]:
        """The environment variables that set it."""
        own = f"{ENV_PREFIX}{self.section}_{self.name}".upper()
        return tuple(filter(None, (own, self.env))) if self.scalar else ()


def merge_tables(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return both tables, the later one's entries winning."""
    return {**old, **new}


def merge_tags(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return both tables; the cloud does not tell keys apart by upper and lower case."""
    replaced = {key.lower() for key in new}
    return {key: value for key, value in old.items() if key.lower() not in replaced} | dict(new)
