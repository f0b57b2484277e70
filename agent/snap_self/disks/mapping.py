"""Match local disks to cloud disks, or say why a disk cannot be matched with certainty.

The serial number is the evidence. The cloud's own list must confirm that the disk is attached to
this instance, and both must give the same size. Device letters are never used: they follow the
order of discovery and may differ from the ``Device`` that the API shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snap_self.disks.blocks import AMBIGUOUS, UNREADABLE
from snap_self.disks.kinds import DISK
from snap_self.model.disks import CloudDisk, Layout, LocalDisk, MappedDisk
from snap_self.model.ids import DiskId, InstanceId

GIB = 1 << 30
# Documented: the disk id is "d-" and the serial. Only a guess until the API confirms it.
_ID_PREFIX = "d-"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskMap:
    """Which local disk is which cloud disk.

    Args:
        disks: every disk attached to this instance; ``local`` is None where none was found.
        doubts: disk id to why no local disk could be matched to it with certainty.
        local_only: local disk to why it is not one of the attached cloud disks.
        foreign: those of these whose serial no attached cloud disk has.
    """

    disks: tuple[MappedDisk, ...]
    doubts: Mapping[DiskId, str]
    local_only: Mapping[str, str]
    foreign: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """A local disk with the evidence that it is a certain cloud disk."""

    local: LocalDisk
    evidence: str


def map_disks(
    layout: Layout,
    cloud_disks: Sequence[CloudDisk],
    *,
    instance_id: InstanceId,
    serial_to_disk: Mapping[str, DiskId],
    user_map: Mapping[str, DiskId],
) -> DiskMap:
    """Return what is known; a doubtful disk is refused only when a selection includes it.

    Args:
        serial_to_disk: from the metadata service (``disks/SERIAL/id``); may be empty.
        user_map: device (``vdb``, ``/dev/vdb``) to disk id, from the configuration.
    """
    attached = {disk.disk_id: disk for disk in cloud_disks if instance_id in disk.attached_to}
    local_only: dict[str, str] = {}
    doubts: dict[DiskId, str] = {}
    claims: dict[DiskId, list[_Claim]] = defaultdict(list)
    by_user = _claim_by_user(layout, user_map, claims, doubts)
    serials = _Serials(attached, serial_to_disk)
    foreign = set()
    for local in _sorted_disks(layout):
        if local.serial and not serials.claim(local, claims, doubts) and local.name not in by_user:
            local_only[local.name] = serials.why_foreign(local, instance_id)
            foreign.add(local.name)
    claims = {disk_id: told for disk_id, told in claims.items() if disk_id in attached}
    _claim_without_serial(layout, attached, claims, by_user)
    mapped = _judge(attached, claims, doubts)
    _explain_rest(layout, attached, mapped, doubts, local_only)
    return DiskMap(
        disks=tuple(_mapped(disk, mapped.get(disk.disk_id)) for disk in attached.values()),
        doubts={disk_id: why for disk_id, why in doubts.items() if disk_id in attached},
        local_only=local_only,
        foreign=frozenset(foreign),
    )


class _Serials:
    """Answers which cloud disk has a serial, from every source."""

    def __init__(
        self, attached: Mapping[DiskId, CloudDisk], serial_to_disk: Mapping[str, DiskId]
    ) -> None:
        self._attached = attached
        self._metadata = serial_to_disk
        self._api: dict[str, list[DiskId]] = defaultdict(list)
        for disk in attached.values():
            if disk.serial:
                self._api[disk.serial].append(disk.disk_id)

    def claim(
        self,
        local: LocalDisk,
        claims: Mapping[DiskId, list[_Claim]],
        doubts: dict[DiskId, str],
    ) -> bool:
        """Note which attached disks the serial means; return whether it means any."""
        candidates = self._candidates(local.serial)
        known = [disk_id for disk_id in candidates if disk_id in self._attached]
        for disk_id in known:
            evidence = f"serial {local.serial} ({local.serial_from}), attached here"
            claims[disk_id].append(_Claim(local=local, evidence=evidence))
        if len(candidates) > 1:
            told = " and ".join(candidates)
            doubts.update(dict.fromkeys(known, f"serial {local.serial} stands for {told}"))
        return bool(known)

    def why_foreign(self, local: LocalDisk, instance_id: InstanceId) -> str:
        """Return why a local disk with a serial is not one of the attached disks."""
        candidates = self._candidates(local.serial)
        guess = f" (would be {candidates[0]})" if candidates else ""
        return (
            f"no disk with its serial {local.serial}{guess} is attached to {instance_id} "
            "according to the cloud"
        )

    def _candidates(self, serial: str) -> list[DiskId]:
        """Return the disk ids told by metadata and API, else the guess from the serial."""
        told = list(self._api.get(serial, ()))
        named = self._metadata.get(serial)
        if named is not None and named not in told:
            told.append(named)
        if told:
            return told
        guess = DiskId(_ID_PREFIX + serial)
        # Another serial that the API knows for that disk speaks against the guess.
        if guess in self._attached and self._attached[guess].serial:
            return []
        return [guess]


def _claim_by_user(
    layout: Layout,
    user_map: Mapping[str, DiskId],
    claims: Mapping[DiskId, list[_Claim]],
    doubts: dict[DiskId, str],
) -> set[str]:
    """Note the configuration's claims; return the local disks it names."""
    named = set()
    for device, disk_id in user_map.items():
        names = layout.devices.get(device.removeprefix("/dev/"), frozenset())
        local = layout.disks.get(min(names)) if len(names) == 1 else None
        if local is None:
            doubts[disk_id] = f"[disks.map] names {device}, which is not one disk of this machine"
            continue
        named.add(local.name)
        claims[disk_id].append(_Claim(local=local, evidence="named in [disks.map], attached here"))
    return named


def _claim_without_serial(
    layout: Layout,
    attached: Mapping[DiskId, CloudDisk],
    claims: dict[DiskId, list[_Claim]],
    by_user: set[str],
) -> None:
    """Pair the only cloud disk without a serial with the only local disk without one.

    A local disk whose serial could not be read may have a serial or not, so no disk is known to be
    the only one without.
    """
    cloud = [d for d in attached.values() if not d.serial and d.disk_id not in claims]
    local = [d for d in _sorted_disks(layout) if not d.serial and d.name not in by_user]
    if len(cloud) != 1 or len(local) != 1 or local[0].serial_from in (UNREADABLE, AMBIGUOUS):
        return
    if cloud[0].size_gib * GIB == local[0].size_bytes:
        evidence = "the only disk without a serial, here and in the cloud's list"
        claims[cloud[0].disk_id] = [_Claim(local=local[0], evidence=evidence)]


def _judge(
    attached: Mapping[DiskId, CloudDisk],
    claims: Mapping[DiskId, Sequence[_Claim]],
    doubts: dict[DiskId, str],
) -> dict[DiskId, _Claim]:
    """Return the claims that hold; note a doubt for each disk whose claim fails."""
    rivals: dict[str, set[DiskId]] = defaultdict(set)
    for disk_id, claimed in claims.items():
        for claim in claimed:
            rivals[claim.local.name].add(disk_id)
    mapped = {}
    for disk_id, claimed in claims.items():
        claim = claimed[0]
        if disk_id in doubts:
            continue
        if len(rivals[claim.local.name]) > 1:
            told = " and ".join(sorted(rivals[claim.local.name]))
            doubts[disk_id] = f"{claim.local.name} would be {told} at the same time"
        elif doubt := _doubt(attached[disk_id], claimed):
            doubts[disk_id] = doubt
        else:
            mapped[disk_id] = claim
    return mapped


def _doubt(disk: CloudDisk, claimed: Sequence[_Claim]) -> str:
    locals_ = {claim.local.name: claim.local for claim in claimed}
    if len(locals_) > 1:
        told = "; ".join(f"{claim.local.name}: {claim.evidence}" for claim in claimed)
        return f"{len(locals_)} local disks claim to be it ({told})"
    local = claimed[0].local
    if disk.size_gib and local.size_bytes != disk.size_gib * GIB:
        return (
            f"the cloud says {disk.size_gib} GiB, but {local.name} has "
            f"{local.size_bytes / GIB:g} GiB; a disk that was enlarged must be rescanned, or the "
            "instance rebooted, before its new size is seen here"
        )
    return ""


def _explain_rest(
    layout: Layout,
    attached: Mapping[DiskId, CloudDisk],
    mapped: Mapping[DiskId, _Claim],
    doubts: dict[DiskId, str],
    local_only: dict[str, str],
) -> None:
    """Give a reason for every disk on either side that found no partner."""
    taken = {claim.local.name for claim in mapped.values()}
    for disk in attached.values():
        if disk.disk_id not in mapped and disk.disk_id not in doubts:
            doubts[disk.disk_id] = _why_not_found(layout, disk)
    for local in layout.disks.values():
        if local.name in taken or local.name in local_only:
            continue
        if local.kind != DISK:
            why = f"it is of kind {local.kind}, not a cloud disk"
        elif local.serial_from == UNREADABLE:
            why = "its serial number could not be read in time"
        elif local.serial_from == AMBIGUOUS:
            why = "links under /dev/disk/by-id give it several serial numbers"
        elif local.serial:
            why = "it could not be tied to its cloud disk for certain"
        else:
            why = "it has no serial number that would tell which cloud disk it is, if any"
        local_only[local.name] = why


def _why_not_found(layout: Layout, disk: CloudDisk) -> str:
    if disk.serial:
        return f"no local disk has its serial {disk.serial}"
    nameless = [d.name for d in _sorted_disks(layout) if not d.serial]
    if not nameless:
        return "it has no serial in the cloud's list, and no local disk is without one"
    return (
        "it has no serial in the cloud's list, and the local disks without one "
        f"({', '.join(nameless)}) do not pair with such cloud disks one to one by size"
    )


def _sorted_disks(layout: Layout) -> list[LocalDisk]:
    return sorted((d for d in layout.disks.values() if d.kind == DISK), key=lambda d: d.name)


def _mapped(disk: CloudDisk, claim: _Claim | None) -> MappedDisk:
    if claim is None:
        return MappedDisk(cloud=disk, local=None, how="")
    size = f"both {disk.size_gib} GiB" if disk.size_gib else "its size in the cloud is not known"
    how = f"{claim.evidence}, {size}"
    return MappedDisk(cloud=disk, local=claim.local, how=how)
