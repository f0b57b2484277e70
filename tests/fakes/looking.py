"""Manifests made up for tests, and the twins of what takes and keeps them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fakes.builders import INSTANCE, NOW, RUN
from snap_self.errors import StateUnusable
from snap_self.model.awaited import AwaitedChange
from snap_self.model.ids import RunId
from snap_self.model.looking import Entry
from snap_self.model.manifest import FileFact, Manifest, Package
from snap_self.model.packed import Missing, PackedManifest
from snap_self.system.manifest.packing import pack, unpack


def manifest(run_id: RunId = RUN, **parts: Any) -> Manifest:
    """Return the manifest of an ordinary machine; what is not named is empty, and whole."""
    known = {"instance_id": str(INSTANCE), "taken": NOW, "key_id": "k1", "manager": "dpkg"}
    return Manifest(run_id=run_id, **{**known, **parts})


def file(digest: str = "aa", *, mode: int = 0o644, size: int = 10, **facts: Any) -> FileFact:
    """Return a regular file of root's."""
    owner = {"uid": 0, "gid": 0}
    kind = stat.S_IFREG
    return FileFact(mode=kind | mode, size=size, digest=digest, **{**owner, **facts})


def link(target: str) -> FileFact:
    """Return a symbolic link."""
    return FileFact(mode=stat.S_IFLNK | 0o777, uid=0, gid=0, size=len(target), target=target)


def packages(**versions: str) -> Mapping[str, Package]:
    """Return packages by name and version; an underscore stands for a hyphen."""
    return {name.replace("_", "-"): Package(version=text) for name, text in versions.items()}


def cut(part: str, why: str = "the time ran out") -> Missing:
    """Return a part that was not read to its end."""
    return Missing(part=part, why=why)


@dataclass
class MemoryManifests:
    """Implement ``ports.ManifestStore`` in memory.

    Args:
        fault: raised instead of writing.
        damaged: runs whose manifest cannot be read.
    """

    kept: dict[tuple[RunId, bool], Manifest] = field(default_factory=dict)
    fault: StateUnusable | None = None
    damaged: set[RunId] = field(default_factory=set)

    def write(self, manifest: Manifest | PackedManifest, *, after: bool = False) -> None:
        """Keep it; one of before only once."""
        if self.fault is not None:
            raise self.fault
        known = manifest if isinstance(manifest, Manifest) else unpack(manifest.content)
        if after or (manifest.run_id, False) not in self.kept:
            self.kept[manifest.run_id, after] = known

    def read(self, run_id: RunId, *, after: bool = False) -> Manifest | None:
        """Return a run's manifest."""
        if run_id in self.damaged:
            raise StateUnusable(f"the manifest of {run_id} cannot be read", hint="")
        return self.kept.get((run_id, after))

    def runs(self) -> Sequence[RunId]:
        """Return the runs that have one."""
        return sorted({run_id for run_id, _ in self.kept})

    def forget(self, run_ids: Collection[RunId]) -> None:
        """Remove what is kept of these runs."""
        for key in [key for key in self.kept if key[0] in run_ids]:
            del self.kept[key]

    def forget_strays(self) -> None:
        """Remove what belongs to no run; there is nothing of that kind."""


@dataclass
class MadeUpMachine:
    """Implement ``ports.ManifestReader``: a machine that is as it is told.

    Args:
        limits: how long each look might take, in seconds.
    """

    now: Manifest
    limits: list[float] = field(default_factory=list)
    dropped: bool = False

    def begin(self) -> MadeUpMachine:
        """Begin to look."""
        return self

    def end(self, run_id: RunId, instance_id: str, *, limit_s: float) -> PackedManifest:
        """Return what it is now, as it is stored."""
        found = self.read(run_id, instance_id, limit_s=limit_s)
        return PackedManifest(run_id=run_id, content=pack(found), left_out=found.left_out)

    def drop(self) -> None:
        """Give it up."""
        self.dropped = True

    def read(self, run_id: RunId, instance_id: str, *, limit_s: float) -> Manifest:
        """Return what it is now."""
        self.limits.append(limit_s)
        return replace(self.now, run_id=run_id, instance_id=instance_id)


@dataclass
class MemoryAwaited:
    """Implement ``ports_looking_back.AwaitedChanges`` in memory."""

    kept: list[AwaitedChange] = field(default_factory=list)

    def add(self, change: AwaitedChange) -> None:
        """Keep that it is waited for."""
        self.kept = [each for each in self.kept if not _is_same(each, change)] + [change]

    def all(self) -> Sequence[AwaitedChange]:
        """Return those that are waited for."""
        return tuple(self.kept)

    def forget(self, change: AwaitedChange) -> None:
        """Wait for it no longer."""
        self.kept = [each for each in self.kept if not _is_same(each, change)]


def _is_same(one: AwaitedChange, other: AwaitedChange) -> bool:
    return (one.run_id, one.pid, one.pid_started) == (other.run_id, other.pid, other.pid_started)


@dataclass
class MemoryTree:
    """Implement ``ports_looking_back.Tree`` in memory.

    Args:
        files: what each holds, by path; folders are there where something lies in them.
        devices: of a folder and what lies below it, where it is another.
        denied: what cannot be read.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Collection[str] = ()
    devices: Mapping[str, int] = field(default_factory=dict)
    denied: Collection[str] = ()

    def look(self, path: str) -> Entry | None:
        """Return what a path is."""
        if path in self.files:
            return self._entry(path, stat.S_IFREG | 0o644, len(self.files[path]))
        if path in self.links:
            target = self.links[path]
            return replace(self._entry(path, stat.S_IFLNK | 0o777, len(target)), target=target)
        if path in self.folders or self.names(path):
            return self._entry(path, stat.S_IFDIR | 0o755, 4096)
        return None

    def names(self, path: str) -> Sequence[str]:
        """Return the names in a folder."""
        begin = f"{path.rstrip('/')}/"
        every = (*self.files, *self.links, *self.folders)
        return sorted(
            {each.removeprefix(begin).partition("/")[0] for each in every if each.startswith(begin)}
        )

    def read(self, path: str, most: int) -> bytes:
        """Return what a file holds."""
        if path in self.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return self.files[path][: most + 1]

    def _entry(self, path: str, mode: int, size: int) -> Entry:
        within = [top for top in self.devices if f"{path}/".startswith(f"{top}/")]
        device = self.devices[max(within, key=len)] if within else 1
        return Entry(mode=mode, size=size, device=device)
