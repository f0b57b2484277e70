"""Which contents only the snapshot itself can tell, of paths that were asked for: pure.

A manifest has digests of what lies in /etc. What is equal by them needs no second look, and what
was not there then has nothing to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snap_self.model.differences import Aspect, Change, Differences, Kind, Part, is_regular
from snap_self.model.manifest import FileFact, Manifest
from snap_self.recovery.differences import lies_below

# What a manifest has the files of.
ETC = "/etc"
# A larger file is not shown: nobody reads its difference on a screen.
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRead:
    """What is to be looked at in the snapshot itself.

    Args:
        paths: those of the paths asked for of which something is; none if a manifest tells it all.
        within: what of them is compared: they themselves, or the files that differ.
        unknown: paths in /etc at which the manifests have nothing, and that are not here now.
    """

    paths: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def outside(paths: Sequence[str]) -> tuple[str, ...]:
    """Return those of the paths of which a manifest has nothing."""
    return tuple(path for path in paths if not lies_below(path, (ETC,)))


def to_read(
    found: Differences,
    pair: tuple[Manifest, Manifest],
    paths: Sequence[str],
    *,
    is_here: Callable[[str], bool],
) -> ToRead:
    """Return what is to be read in the snapshot.

    Args:
        found: what differs between the manifests; what changes by itself is marked.
        is_here: tells whether a path is there now, by whatever links lead to it.
    """
    needed: list[str] = []
    within: list[str] = []
    unknown: list[str] = []
    for path in paths:
        if path in outside(paths) or _is_doubted(found, path):
            whole = True
        elif not any(lies_below(name, (path,)) for one in pair for name in one.files):
            whole = is_here(path)
            unknown += [] if whole else [path]
        else:
            whole = False
        names = [path] if whole else _to_compare(found, path)
        if names:
            needed.append(path)
            within += names
    return ToRead(paths=tuple(needed), within=tuple(dict.fromkeys(within)), unknown=tuple(unknown))


def _is_doubted(found: Differences, path: str) -> bool:
    """Tell whether the manifests leave open what is, or lies below, a path."""
    doubts = found.doubts(Part.FILES)
    return any(
        not each.names or any(lies_below(name, (path,)) for name in each.names) for each in doubts
    )


def _to_compare(found: Differences, path: str) -> list[str]:
    """Return the files that differ there; none where not one has to be read in the snapshot."""
    changes = [
        change
        for change in found.files
        if lies_below(change.name, (path,)) and (not change.usual or change.name == path)
    ]
    if not any(map(_is_held_then, changes)):
        return []
    return [change.name for change in changes if _has_content(change)]


def _is_held_then(change: Change[FileFact]) -> bool:
    """Tell whether the snapshot holds a content that is another by now, and may be shown."""
    return change.kind is not Kind.NEW and _has_content(change)


def _has_content(change: Change[FileFact]) -> bool:
    """Tell whether there is a content to show, then or now."""
    facts = [fact for fact in (change.before, change.after) if fact is not None]
    if not any(map(is_regular, facts)) or any(fact.size > MOST_BYTES for fact in facts):
        return False
    told = {Aspect.CONTENT, Aspect.KIND}.intersection(change.aspects)
    return change.kind is not Kind.CHANGED or bool(told)
