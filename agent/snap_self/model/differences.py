"""What differs between two manifests, item by item, and what could not be compared."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from snap_self.model.manifest import BootFile, FileFact, Listening, Mounted, Package, User

Fact = TypeVar("Fact")

# The marks of a digest that is none: the file was too large to be read.
TIMED = "mtime:"


class Kind(Enum):
    """How an item differs."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"


class Aspect(Enum):
    """What of a file or package differs."""

    CONTENT = "content"
    # Too large to be read, and its time of change is another.
    TIME = "time"
    KIND = "kind"
    MODE = "mode"
    OWNER = "owner"
    TARGET = "target"
    VERSION = "version"
    STATE = "state"
    HELD = "held"


class Part(Enum):
    """A part of a manifest; its value is the name of the manifest's field."""

    PACKAGES = "packages"
    FILES = "files"
    UNITS = "units"
    KERNEL = "kernel"
    BOOT = "boot"
    MOUNTS = "mounts"
    USERS = "users"
    GROUPS = "groups"
    LISTENING = "listening"
    ALTERNATIVES = "alternatives"
    DIVERSIONS = "diversions"


class Side(Enum):
    """Which of two manifests."""

    BEFORE = "before"
    AFTER = "after"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[Fact]):
    """One item that differs.

    Args:
        before: None where it was not there.
        after: None where it is not there any more.
        aspects: what of it differs; empty where that is the item itself.
        usual: it changes by itself, so that it is shown only to who asks for all.
    """

    name: str
    before: Fact | None
    after: Fact | None
    aspects: tuple[Aspect, ...] = ()
    usual: bool = False

    @property
    def kind(self) -> Kind:
        """Whether it is new, gone or another."""
        if self.before is None:
            return Kind.NEW
        return Kind.GONE if self.after is None else Kind.CHANGED


class Doubt(Enum):
    """Why something could not be compared."""

    # The manifest does not have the part, or not all of it.
    MISSING = "missing"
    OTHER_KEY = "other-key"
    UNREAD = "unread"
    OTHER_MANAGER = "other-manager"
    NO_DATABASE = "no-database"
    NOT_KNOWN = "not-known"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompared:
    """What of a part was not compared; never to be taken for equal.

    Args:
        side: whose lack it is.
        why: words for a person.
        names: the items concerned, where it is not the whole part.
    """

    part: Part
    doubt: Doubt
    side: Side
    why: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """All that differs between two manifests, sorted by name.

    Args:
        mounts: by mount point.
        kernel: ``running``, ``cmdline`` and ``default``.
        listening: by protocol, address and port.
        not_compared: in the order of the parts.
    """

    packages: tuple[Change[Package], ...] = ()
    files: tuple[Change[FileFact], ...] = ()
    units: tuple[Change[str], ...] = ()
    kernel: tuple[Change[str], ...] = ()
    boot: tuple[Change[BootFile], ...] = ()
    mounts: tuple[Change[Mounted], ...] = ()
    users: tuple[Change[User], ...] = ()
    groups: tuple[Change[int], ...] = ()
    listening: tuple[Change[Listening], ...] = ()
    alternatives: tuple[Change[str], ...] = ()
    diversions: tuple[Change[str], ...] = ()
    not_compared: tuple[NotCompared, ...] = ()

    @property
    def different(self) -> bool:
        """Whether anything differs, as far as it was compared."""
        return any(changes for _, changes in self.parts())

    def parts(self) -> Iterator[tuple[Part, tuple[Change[object], ...]]]:
        """Yield each part with what differs in it."""
        for part in Part:
            yield part, getattr(self, part.value)

    def doubts(self, part: Part) -> tuple[NotCompared, ...]:
        """Return what of a part was not compared."""
        return tuple(each for each in self.not_compared if each.part is part)


def is_regular(fact: FileFact) -> bool:
    """Tell whether it is a file with a content."""
    return stat.S_ISREG(fact.mode)
