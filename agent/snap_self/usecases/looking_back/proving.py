"""Which filesystems a run's snapshots hold, and what is looked at in the copy of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from snap_self.disks.where import Place, Places
from snap_self.errors import SnapSelfError, StateUnusable
from snap_self.model.disks import BTRFS_KEY, CloudDisk, Filesystem
from snap_self.model.ids import RunId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.manifest import Manifest
from snap_self.model.opening import Opened
from snap_self.model.verification import Verdict
from snap_self.model.verified import FileProof, FilesystemProof, verdict_of
from snap_self.ports import MachineReader
from snap_self.ports_looking_back import CopyFacts, ManifestStore
from snap_self.recovery.proofs import ETC, file_proof
from snap_self.usecases.looking_back.finding import Found, Source, place_of, source_at, wanted_at
from snap_self.usecases.looking_back.tools import LookingBack

CHECK_LIMIT_S = 1800.0
NOT_MOUNTED = "not-mounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proving:
    """What a copy is compared with.

    Args:
        state: the state directory, in which a run's manifest lies in its own snapshot too.
    """

    manifests: ManifestStore
    facts: CopyFacts
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A filesystem that is to be proved.

    Args:
        source: None where no snapshots of the run hold it whole.
        fault: why not.
        unproved: what is told of it then.
    """

    unproved: FilesystemProof
    source: Source | None = None
    fault: SnapSelfError | None = None


def unproved(
    source: str, fstype: str, shots: Sequence[ListedSnapshot], *, code: str, why: str
) -> FilesystemProof:
    """Return what is told of a filesystem that was not looked at."""
    return FilesystemProof(
        source=source,
        fstype=fstype,
        snapshot_ids=tuple(shot.snapshot_id for shot in shots),
        opened=False,
        checked=None,
        files=None,
        verdict=Verdict.NOT_OPENED,
        code=code,
        why=why,
    )


def targets_of(found: Found, machine: MachineReader, path: str | None) -> Iterator[Target]:
    """Yield what is to be proved: each filesystem on the disks of a run, and what is not found.

    Args:
        path: only the filesystem that holds it; None for all.

    Raises:
        UsageError, PreconditionRefused: the path lies on none that is known.
    """
    if path is not None:
        yield _target(found, place_of(found, machine, path), found.shots)
        return
    places, seen = Places(found.survey.layout), set[str]()
    for filesystem in found.survey.layout.filesystems.values():
        shots = _shots_of(found, filesystem)
        mounts = [m.path for m in filesystem.mounts if m.namespace is None and not m.hidden]
        if not shots or not mounts or filesystem.parents:
            continue
        place = places.of_mount_point(mounts[0])
        if place is None or place.filesystem is not filesystem:
            continue
        seen.update(mounts, (shot.disk_id for shot in shots))
        yield _target(found, place, shots)
    yield from _not_mounted(found, seen)


def _target(found: Found, place: Place, shots: Sequence[ListedSnapshot]) -> Target:
    try:
        source = source_at(found, place)
    except SnapSelfError as error:
        fstype = place.filesystem.fstype if place.filesystem else place.mount.fstype
        told = unproved(place.mount.path, fstype, shots, code=error.code, why=error.told)
        return Target(unproved=told, fault=error)
    told = unproved(place.mount.path, source.filesystem.fstype, source.shots, code="", why="")
    return Target(unproved=told, source=source)


def _shots_of(found: Found, filesystem: Filesystem) -> tuple[ListedSnapshot, ...]:
    local: dict[str, CloudDisk] = {
        each.local.name: each.cloud for each in found.survey.disk_map.disks if each.local
    }
    ids = {local[name].disk_id for name in filesystem.disks if name in local}
    return tuple(shot for shot in found.shots if shot.disk_id in ids)


def _not_mounted(found: Found, seen: set[str]) -> Iterator[Target]:
    """Yield what was mounted from these disks then and is not now; else the disks themselves."""
    for shot in found.shots:
        carried = found.record.carried.get(shot.disk_id, ()) if found.record else ()
        gone = [path for path in carried if path not in seen]
        if not gone and shot.disk_id not in seen:
            gone = [shot.disk_id]
        for name in gone:
            why = "it is not mounted here now, so where it lies on its disk is not known"
            yield Target(unproved=unproved(name, "", (shot,), code=NOT_MOUNTED, why=why))


def look_into(
    tools: LookingBack,
    proving: Proving,
    found: Found,
    machine: MachineReader,
    target: Target,
    opened: Opened,
) -> FilesystemProof:
    """Return what an open copy proves."""
    assert target.source is not None
    tools.step(f"check {target.source.mount.path}")
    checked = tools.opener.check(opened, limit_s=CHECK_LIMIT_S)
    tools.step("compare with the manifest")
    files = _Files(proving, found, machine, target.source).proof(opened.fd)
    return replace(
        target.unproved,
        opened=True,
        checked=checked,
        files=files,
        verdict=verdict_of(checked, files),
        code="",
        why="",
    )


class _Files:
    """What the run noted, beside what lies in the copy."""

    def __init__(
        self, proving: Proving, found: Found, machine: MachineReader, source: Source
    ) -> None:
        self._proving = proving
        self._found = found
        self._machine = machine
        self._source = source
        self._run_id = RunId(source.shots[0].run_id or "")

    def proof(self, root: int) -> FileProof | None:
        etc, state = self._inside(ETC), self._inside(self._proving.state)
        if etc is None and state is None:
            return None
        held = None
        try:
            noted = self._proving.manifests.read(self._run_id) if self._run_id else None
            if noted is not None and state is not None:
                held = self._proving.facts.holds_manifest(root, state, self._run_id)
            if etc is None:
                return FileProof(manifest_held=held) if held is not None else None
            return self._etc(root, etc, noted, held)
        except StateUnusable as error:
            return FileProof(manifest_held=held, why=error.told)
        except OSError as error:
            why = f"{ETC} of the copy cannot be read: {error.strerror}"
            return FileProof(manifest_held=held, unreadable=(ETC,), why=why)

    def _etc(self, root: int, inside: str, noted: Manifest | None, held: bool | None) -> FileProof:
        if noted is None:
            return FileProof(why="there is no manifest of the run to compare with")
        copied = self._proving.facts.etc(root, inside)
        return file_proof(noted, copied, manifest_held=held)

    def _inside(self, path: str) -> str | None:
        """Return where a path lies in the copy; None if it lies on another filesystem."""
        try:
            place, wanted = wanted_at(self._found, self._machine, path)
        except SnapSelfError:
            return None
        filesystem, mount = self._source.filesystem, self._source.mount
        if place.filesystem is None or place.filesystem.key != filesystem.key:
            return None
        if filesystem.key.startswith(BTRFS_KEY) and place.mount.root != mount.root:
            return None
        return wanted.inside
