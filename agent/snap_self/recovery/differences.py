"""What differs between two manifests: pure, from values to values.

What one of them does not have is not known, and so neither equal nor different: of a part that was
not read to its end, nothing is called new or gone.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import translate
from typing import Any, TypeVar

from snap_self.model.differences import (
    TIMED,
    Aspect,
    Change,
    Differences,
    Doubt,
    NotCompared,
    Part,
    Side,
    is_regular,
)
from snap_self.model.manifest import FileFact, Listening, Manifest, Package
from snap_self.model.packed import Missing

Fact = TypeVar("Fact")
# Returns what differs of an item; None where it is the same.
Differ = Callable[[str, Fact, Fact], "tuple[Aspect, ...] | None"]


def compare(before: Manifest, after: Manifest) -> Differences:
    """Return what differs between two manifests, and what could not be compared."""
    pair = _Pair(before, after)
    return Differences(
        packages=tuple(pair.packages()),
        files=tuple(pair.files()),
        units=tuple(pair.plain(Part.UNITS)),
        kernel=tuple(pair.kernel()),
        boot=tuple(pair.plain(Part.BOOT)),
        mounts=tuple(pair.plain(Part.MOUNTS)),
        users=tuple(pair.plain(Part.USERS)),
        groups=tuple(pair.plain(Part.GROUPS)),
        listening=tuple(pair.listening()),
        alternatives=tuple(pair.plain(Part.ALTERNATIVES)),
        diversions=tuple(pair.plain(Part.DIVERSIONS)),
        not_compared=pair.not_compared(),
    )


def marked(differences: Differences, usual: Mapping[Part, tuple[str, ...]]) -> Differences:
    """Return the same with what changes by itself marked as usual.

    Args:
        usual: patterns of names, as a shell's, a part; a ``*`` also matches a ``/``.
    """
    found: dict[str, Any] = {
        part.value: tuple(_marked(changes, usual[part]))
        for part, changes in differences.parts()
        if part in usual
    }
    return replace(differences, **found)


def notable(differences: Differences) -> Differences:
    """Return the same without what is usual."""
    found: dict[str, Any] = {
        part.value: tuple(change for change in changes if not change.usual)
        for part, changes in differences.parts()
    }
    return replace(differences, **found)


def below(differences: Differences, paths: Iterable[str]) -> Differences:
    """Return of the files those that are, or lie below, one of these paths, and nothing else."""
    tops = tuple(paths)
    doubts = (_narrowed(each, tops) for each in differences.doubts(Part.FILES))
    return Differences(
        files=tuple(each for each in differences.files if lies_below(each.name, tops)),
        not_compared=tuple(each for each in doubts if each is not None),
    )


def lies_below(path: str, tops: Iterable[str]) -> bool:
    """Tell whether a path is, or lies below, one of these."""
    return any(f"{path}/".startswith(f"{top.rstrip('/')}/") for top in tops)


def _narrowed(doubt: NotCompared, tops: tuple[str, ...]) -> NotCompared | None:
    if not doubt.names:
        return doubt
    names = tuple(name for name in doubt.names if lies_below(name, tops))
    return replace(doubt, names=names) if names else None


def _marked(
    changes: Iterable[Change[object]], patterns: tuple[str, ...]
) -> Iterator[Change[object]]:
    import re  # loaded with the first pattern only

    matches = re.compile("|".join(map(translate, patterns)) or r"(?!)").match
    for change in changes:
        yield replace(change, usual=True) if matches(change.name) else change


class _Pair:
    """Two manifests that are compared, and the doubts that arise on the way."""

    def __init__(self, before: Manifest, after: Manifest) -> None:
        self._before = before
        self._after = after
        self._doubts: list[NotCompared] = []
        self._lacks = [{each.part for each in one.left_out} for one in (before, after)]
        for side, manifest in ((Side.BEFORE, before), (Side.AFTER, after)):
            self._doubts += (_missing(each, side) for each in manifest.left_out)

    def not_compared(self) -> tuple[NotCompared, ...]:
        """Return the doubts in the order of the parts."""
        order = list(Part)
        return tuple(sorted(self._doubts, key=lambda each: order.index(each.part)))

    def plain(self, part: Part) -> Iterator[Change[Any]]:
        """Yield what differs in a part whose items are equal or not."""
        before, after = (getattr(each, part.value) for each in (self._before, self._after))
        return self._changes(part, before, after, _unequal)

    def packages(self) -> Iterator[Change[Package]]:
        """Yield packages of another version, state or hold."""
        before, after = self._before, self._after
        if before.manager == after.manager != "":
            there, here = _there(before.packages), _there(after.packages)
            yield from self._changes(Part.PACKAGES, there, here, _package_aspects)
        elif before.manager == after.manager:
            self._doubt(Part.PACKAGES, Doubt.NO_DATABASE, "no package database is known")
        else:
            was, now = (each.manager or "none that is known" for each in (before, after))
            why = f"the package database was of {was}, and is of {now}"
            self._doubt(Part.PACKAGES, Doubt.OTHER_MANAGER, why)

    def files(self) -> Iterator[Change[FileFact]]:
        """Yield files of another content, kind, mode, owner or target."""
        unread: list[str] = []
        same_key = self._before.key_id == self._after.key_id

        def differ(name: str, before: FileFact, after: FileFact) -> tuple[Aspect, ...] | None:
            found, is_known = _file_aspects(before, after, same_key=same_key)
            if not is_known:
                unread.append(name)
            return found or None

        yield from self._changes(Part.FILES, self._before.files, self._after.files, differ)
        if unread and same_key:
            self._doubt(Part.FILES, Doubt.UNREAD, "content that was not read", tuple(unread))
        elif unread:
            why = "content, whose digests are of different keys"
            self._doubt(Part.FILES, Doubt.OTHER_KEY, why, tuple(unread))

    def kernel(self) -> Iterator[Change[str]]:
        """Yield what differs of the kernel's facts that both have; the others are not known."""
        before, after = self._before.kernel, self._after.kernel
        both = before.keys() & after.keys()
        yield from self._changes(
            Part.KERNEL, {n: before[n] for n in both}, {n: after[n] for n in both}, _unequal
        )
        lacking = tuple(sorted((before.keys() | after.keys()) - both))
        if lacking:
            self._doubt(Part.KERNEL, Doubt.NOT_KNOWN, "what only one of the two has", lacking)

    def listening(self) -> Iterator[Change[Listening]]:
        """Yield sockets that are new, gone, or of another program where that was seen."""

        def differ(_: str, before: Listening, after: Listening) -> tuple[Aspect, ...] | None:
            seen = before.program and after.program
            return () if seen and before.program != after.program else None

        before, after = (_by_socket(each.listening) for each in (self._before, self._after))
        yield from self._changes(Part.LISTENING, before, after, differ)

    def _changes(
        self,
        part: Part,
        before: Mapping[str, Fact],
        after: Mapping[str, Fact],
        differ: Differ[Fact],
    ) -> Iterator[Change[Fact]]:
        """Yield what differs, by name; not what only a manifest that has less makes look so."""
        was_whole, is_whole = (part.value not in lacks for lacks in self._lacks)
        for name in sorted(before.keys() | after.keys()):
            was, now = before.get(name), after.get(name)
            if was is None or now is None:
                if was_whole if was is None else is_whole:
                    yield Change(name=name, before=was, after=now)
            elif (found := differ(name, was, now)) is not None:
                yield Change(name=name, before=was, after=now, aspects=found)

    def _doubt(self, part: Part, doubt: Doubt, why: str, names: tuple[str, ...] = ()) -> None:
        self._doubts.append(
            NotCompared(part=part, doubt=doubt, side=Side.BOTH, why=why, names=names)
        )


def _missing(one: Missing, side: Side) -> NotCompared:
    return NotCompared(part=Part(one.part), doubt=Doubt.MISSING, side=side, why=one.why)


def _unequal(_: str, before: object, after: object) -> tuple[Aspect, ...] | None:
    return () if before != after else None


def _there(packages: Mapping[str, Package]) -> Mapping[str, Package]:
    """Return those of which more is there than their configuration."""
    return {name: each for name, each in packages.items() if each.state != _ONLY_CONFIGURED}


# Source: dpkg-query(1).
_ONLY_CONFIGURED = "config-files"


def _package_aspects(_: str, before: Package, after: Package) -> tuple[Aspect, ...] | None:
    if before == after:
        return None
    pairs = {
        Aspect.VERSION: before.version != after.version,
        Aspect.STATE: before.state != after.state,
        Aspect.HELD: before.held != after.held,
    }
    return tuple(aspect for aspect, differs in pairs.items() if differs) or None


def _file_aspects(
    before: FileFact, after: FileFact, *, same_key: bool
) -> tuple[tuple[Aspect, ...], bool]:
    """Return what differs, and whether that is all that can."""
    if before == after and (same_key or not is_regular(before)):
        return (), bool(before.digest) or not is_regular(before)
    if stat.S_IFMT(before.mode) != stat.S_IFMT(after.mode):
        return (Aspect.KIND,), True
    content, is_known = _content(before, after, same_key=same_key)
    pairs = {
        Aspect.TARGET: before.target != after.target,
        Aspect.MODE: before.mode != after.mode,
        Aspect.OWNER: (before.uid, before.gid) != (after.uid, after.gid),
    }
    others = tuple(aspect for aspect, differs in pairs.items() if differs)
    return (*content, *others), is_known


def _content(
    before: FileFact, after: FileFact, *, same_key: bool
) -> tuple[tuple[Aspect, ...], bool]:
    """Return what differs of the content, and whether that is known."""
    if not is_regular(before):
        return (), True
    if before.size != after.size:
        return (Aspect.CONTENT,), True
    timed = [each.digest.startswith(TIMED) for each in (before, after)]
    if all(timed):
        return ((Aspect.TIME,) if before.digest != after.digest else ()), True
    if any(timed) or not (before.digest and after.digest and same_key):
        return (), False
    return ((Aspect.CONTENT,) if before.digest != after.digest else ()), True


def _by_socket(sockets: Iterable[Listening]) -> Mapping[str, Listening]:
    """Return the sockets by protocol, address and port; of several, one whose program was seen."""
    found: dict[str, Listening] = {}
    for each in sorted(sockets):
        address = f"[{each.address}]" if ":" in each.address else each.address
        found[f"{each.proto} {address}:{each.port}"] = each
    return found
