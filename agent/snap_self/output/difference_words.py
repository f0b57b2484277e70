"""What one thing that differs between two manifests is told as, in a few words."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from snap_self.model.differences import Aspect, Change, Kind, Part
from snap_self.model.manifest import FileFact, Listening, Mounted, Package, User

ETC = "/etc/"
ARROW = "→"
# How the drop-ins of a unit are told in a manifest, before their digest.
DROP_INS = "drop-ins:"

LABELS = {
    Part.PACKAGES: "Packages",
    Part.FILES: "/etc",
    Part.UNITS: "Units",
    Part.KERNEL: "Kernel",
    Part.BOOT: "Boot files",
    Part.MOUNTS: "Mounts",
    Part.USERS: "Users",
    Part.GROUPS: "Groups",
    Part.LISTENING: "Listening",
    Part.ALTERNATIVES: "Links",
    Part.DIVERSIONS: "Diversions",
}
# The same within a sentence.
NAMES = {
    Part.PACKAGES: "packages",
    Part.FILES: "/etc",
    Part.UNITS: "units",
    Part.KERNEL: "kernel",
    Part.BOOT: "boot files",
    Part.MOUNTS: "mounts",
    Part.USERS: "users",
    Part.GROUPS: "groups",
    Part.LISTENING: "listening ports",
    Part.ALTERNATIVES: "alternatives",
    Part.DIVERSIONS: "diversions",
}

# Before what of packages is more than another version.
MIND = "mind"
# A word that begins what it stands before, and what that holds.
Grouped = Sequence[tuple[str, Sequence[str]]]


def grouped(part: Part, changes: Sequence[Change[Any]]) -> Grouped:
    """Return what differs in a part, by how it does; each thing in a few words."""
    if part is Part.UNITS:
        return _units(changes)
    if part is Part.KERNEL:
        return [("", [words(part, change) for change in kernel_first(changes)])]
    if part is Part.PACKAGES:
        changes = _without_architecture(changes)
    found = [
        (kind.value, [words(part, change) for change in changes if change.kind is kind])
        for kind in (Kind.CHANGED, Kind.NEW, Kind.GONE)
    ]
    if part is Part.PACKAGES:
        # Not to be overlooked among a thousand upgrades.
        found.append((MIND, [f"{each.name} {text}" for each in changes if (text := _states(each))]))
    return [(word, texts) for word, texts in found if texts]


def _without_architecture(changes: Sequence[Change[Package]]) -> Sequence[Change[Package]]:
    """Return packages by the names that people type, where these are told from each other."""
    bare = [_ARCHITECTURE.sub("", change.name) for change in changes]
    counted = Counter(bare)
    return [
        replace(change, name=name) if counted[name] == 1 else change
        for change, name in zip(changes, bare, strict=True)
    ]


_ARCHITECTURE = re.compile(r"(?::[a-z0-9-]+|\.(?:x86_64|aarch64|noarch|i[3-6]86))$")


def kernel_first(changes: Sequence[Change[str]]) -> Sequence[Change[str]]:
    """Return what differs of the kernel, the one that runs first and its command line last."""
    return sorted(changes, key=lambda change: _KERNEL_ORDER.get(change.name, 0))


_KERNEL_ORDER = {"running": 0, "default": 1, "cmdline": 2}


def words(part: Part, change: Change[Any], *, whole: bool = False) -> str:
    """Return one thing in a few words, without how it differs where that is "new" or "gone".

    Args:
        whole: a path from the root on, and all that is known.
    """
    if part is Part.FILES:
        name = change.name if whole else change.name.removeprefix(ETC)
        return _with(name, _file(change.before, change.after, whole=whole))
    if part is Part.KERNEL:
        return _kernel(change, whole=whole)
    if part is Part.UNITS:
        return _with(change.name, "; ".join(_unit_words(change)))
    told = _TOLD.get(part)
    return _with(change.name, told(change.before, change.after) if told else "", part=part)


def _with(name: str, told: str, part: Part | None = None) -> str:
    if not told:
        return name
    return f"{name} {told}" if part in (Part.PACKAGES, Part.ALTERNATIVES) else f"{name} ({told})"


def _package(before: Package | None, after: Package | None) -> str:
    one = after or before
    if one is None:
        return ""
    if before is None or after is None:
        return " ".join((one.version, *_standing(one)))
    versions = f"{before.version} {ARROW} {after.version}"
    told = [versions] if before.version != after.version else []
    return ", ".join((*told, *_state_parts(before, after)))


def _states(change: Change[Package]) -> str:
    """Return what of a package differs beside its version; of a new one what it is not yet."""
    if change.before is not None and change.after is not None:
        return ", ".join(_state_parts(change.before, change.after))
    return " ".join(_standing(change.after)) if change.after is not None else ""


def _state_parts(before: Package, after: Package) -> Sequence[str]:
    parts = []
    if before.state != after.state:
        parts.append(f"{before.state} {ARROW} {after.state}")
    if before.held != after.held:
        parts.append("held" if after.held else "no longer held")
    return parts


def _standing(one: Package) -> Iterator[str]:
    if one.state != "installed":
        yield f"({one.state})"
    if one.held:
        yield "(held)"


def _file(before: FileFact | None, after: FileFact | None, *, whole: bool) -> str:
    """Return what of a file differs; that it is the content goes without saying on a screen."""
    if before is None or after is None:
        return ""
    if stat.S_IFMT(before.mode) != stat.S_IFMT(after.mode):
        return f"{_kind(before)} {ARROW} {_kind(after)}"
    parts = []
    if before.target != after.target:
        leads = f" to {before.target} {ARROW} {after.target}" if whole else ""
        parts.append(f"link{leads}")
    elif stat.S_ISREG(before.mode) and (before.size, before.digest) != (after.size, after.digest):
        parts += ["content"] * whole
    if before.mode != after.mode:
        parts.append(f"mode {_mode(before)} {ARROW} {_mode(after)}")
    owners = [f"{each.uid}:{each.gid}" for each in (before, after)]
    if owners[0] != owners[1]:
        parts.append(f"owner {owners[0]} {ARROW} {owners[1]}")
    return ", ".join(parts)


def _mode(fact: FileFact) -> str:
    return f"{stat.S_IMODE(fact.mode):04o}"


def _kind(fact: FileFact) -> str:
    return _KINDS.get(stat.S_IFMT(fact.mode), "special file")


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
}


def _units(changes: Sequence[Change[str]]) -> Grouped:
    found: dict[str, list[str]] = {}
    for change in changes:
        for word in list(_unit_words(change)) or [Kind.CHANGED.value]:
            found.setdefault(word, []).append(change.name)
    return list(found.items())


def _unit_words(change: Change[str]) -> Iterator[str]:
    was, now = ((text or "").split() for text in (change.before, change.after))
    drop_ins = [[word for word in words if word.startswith(DROP_INS)] for words in (was, now)]
    if drop_ins[0] != drop_ins[1]:
        both = all(drop_ins)
        yield "drop-ins changed" if both else "new drop-ins" if drop_ins[1] else "drop-ins gone"
    for begin, one, other in (("now", now, was), ("no longer", was, now)):
        for word in one:
            if word not in other and not word.startswith(DROP_INS):
                yield f"{begin} {word}"


def _kernel(change: Change[str], *, whole: bool) -> str:
    if change.name == "cmdline":
        shown = f": {change.after} (was: {change.before})" if whole else " differs"
        return f"command line{shown}"
    label = {"running": "running", "default": "next start"}.get(change.name, change.name)
    return f"{label} {change.after} (was {change.before})"


def _mounted(before: Mounted | None, after: Mounted | None) -> str:
    one = after or before
    if one is None:
        return ""
    if before is None or after is None:
        return f"{one.fstype} of {one.source}"
    pairs = (
        (before.source, after.source),
        (before.fstype, after.fstype),
        (before.options, after.options),
    )
    return ", ".join(f"{was} {ARROW} {now}" for was, now in pairs if was != now)


def _user(before: User | None, after: User | None) -> str:
    one = after or before
    if one is None:
        return ""
    if before is None or after is None:
        return f"uid {one.uid}"
    parts = []
    if before.uid != after.uid:
        parts.append(f"uid {before.uid} {ARROW} {after.uid}")
    if before.gid != after.gid:
        parts.append(f"gid {before.gid} {ARROW} {after.gid}")
    if before.shell != after.shell:
        parts.append(f"shell {before.shell} {ARROW} {after.shell}")
    was, now = set(before.groups), set(after.groups)
    parts += [f"now in {group}" for group in sorted(now - was)]
    parts += [f"no longer in {group}" for group in sorted(was - now)]
    return ", ".join(parts)


def _group(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return f"gid {before if after is None else after}"
    return f"gid {before} {ARROW} {after}"


def _listening(before: Listening | None, after: Listening | None) -> str:
    programs = [each.program for each in (before, after) if each and each.program]
    return f" {ARROW} ".join(dict.fromkeys(programs))


def _text(before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return f"{ARROW} {before if after is None else after}"
    return f"{before} {ARROW} {after}"


_TOLD: dict[Part, Callable[[Any, Any], str]] = {
    Part.PACKAGES: _package,
    Part.MOUNTS: _mounted,
    Part.USERS: _user,
    Part.GROUPS: _group,
    Part.LISTENING: _listening,
    Part.ALTERNATIVES: _text,
    Part.DIVERSIONS: _text,
}


def aspect_words(change: Change[Any]) -> list[str]:
    """Return what of a thing differs, in the words that the JSON has."""
    return [aspect.value for aspect in change.aspects if isinstance(aspect, Aspect)]
