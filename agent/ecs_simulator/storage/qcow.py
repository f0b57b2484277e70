"""Disks of a virtual machine as layers of qcow2 images; QEMU itself makes the cut.

A disk is a chain of image files; only the last is written to. A cut puts a new, empty layer on
every disk concerned in one QMP ``transaction``. QEMU lets no request through meanwhile, so earlier
writes are in the layers below, which nobody writes to any longer, and later writes are in the new
layers. This is one instant for all disks, copies nothing, and the guest goes on. A snapshot is the
name of such a layer. While the guest is off, the new layers are simply made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs_simulator.identifiers import check_id
from ecs_simulator.ports import StillInUse
from ecs_simulator.storage import kernel, own
from ecs_simulator.storage.guest import Guest, GuestDisk, GuestSettings, qcow2_node

BUSES = ("virtio", "nvme")
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskForm:
    """Properties of a guest's disk that the cloud does not know.

    Args:
        image: raw or qcow2 image with which it begins; never written to.
        bus: one of ``BUSES``.
    """

    image: str = ""
    bus: str = "virtio"


@dataclass(slots=True, kw_only=True)
class _Disk:
    disk_id: str
    serial: str
    size: int
    bus: str
    layer: Path
    node: str
    link: Path

    def plugged(self) -> GuestDisk:
        return GuestDisk(
            name=self.disk_id, node=self.node, file=self.layer, serial=self.serial, bus=self.bus
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """What a snapshot holds, and how the disk that it was taken of is plugged in."""

    layer: Path
    size: int
    bus: str


class QcowStorage:
    """The disks, and the power switch of the machine that they belong to.

    Args:
        folder: for all files; made by the caller.
        forms: by disk id. Others are empty virtio disks; one that is made from a snapshot is
            plugged in like the disk of that snapshot, as the instance's type decides.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: GuestSettings | None = None,
        forms: Mapping[str, DiskForm] | None = None,
    ) -> None:
        self.guest = Guest(settings or GuestSettings(), folder)
        self._live = folder / "live"
        self._layers = folder / "layers"
        self._raw = folder / "raw"
        for made in (self._live, self._layers, self._raw):
            own.make_folder(made)
        self._forms = forms or {}
        self._disks: dict[str, _Disk] = {}
        self._attached: list[str] = []
        self._cuts: dict[str, _Cut] = {}
        self._count = 0

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:
        """Make a disk, empty or with its image's content; return the link to its last layer."""
        form = self._forms.get(disk_id, DiskForm())
        base = Path(form.image) if form.image else None
        return self._create(disk_id, serial, size_gib * _GIB, base, form.bus)

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        """Make a disk that begins with a snapshot's content and return its link."""
        cut = self._cut(snapshot_id)
        return self._create(disk_id, serial, max(cut.size, size_gib * _GIB), cut.layer, cut.bus)

    def _create(self, disk_id: str, serial: str, size: int, base: Path | None, bus: str) -> str:
        node, layer = self._new_layer(size, base)
        disk = _Disk(
            disk_id=disk_id,
            serial=serial,
            size=size,
            bus=bus,
            layer=layer,
            node=node,
            link=self._live / f"{check_id(disk_id, 'disk_id')}.qcow2",
        )
        self._disks[disk_id] = disk
        self._point(disk)
        return str(disk.link)

    def _new_layer(self, size: int, base: Path | None) -> tuple[str, Path]:
        self._count += 1
        layer = self._layers / f"{self._count}.qcow2"
        on = []
        if base is not None:
            kind = "qcow2" if _is_qcow2(base) else "raw"
            # qemu-img must not look at it: a running guest may have it open.
            on = ["-u", "-b", str(base), "-F", kind]
        kernel.run("qemu-img", "create", "-q", "-f", "qcow2", *on, str(layer), str(size))
        return f"layer{self._count}", layer

    def _point(self, disk: _Disk) -> None:
        with own.folder(self._live) as live:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(disk.link.name, dir_fd=live)
            os.symlink(disk.layer, disk.link.name, dir_fd=live)

    def attach(self, disk_id: str) -> None:
        """Plug the disk in, or have it at the next start."""
        disk = self._disk(disk_id)
        if disk_id in self._attached:
            return
        if self.guest.on:
            self.guest.plug(disk.plugged())
        self._attached.append(disk_id)

    def detach(self, disk_id: str) -> None:
        """Unplug the disk; its content stays.

        Raises:
            StillInUse: the guest does not let go of it for now; to be asked again.
        """
        disk = self._disk(disk_id)
        if disk_id not in self._attached:
            return
        if self.guest.on and not self.guest.unplug(disk.plugged()):
            raise StillInUse(f"the guest does not let go of {disk_id}", proved=False)
        self._attached.remove(disk_id)

    def pull(self, disk_id: str) -> None:
        """Take the disk from a guest that is off; one that is on is asked for it."""
        self.detach(disk_id)

    def delete_disk(self, disk_id: str) -> None:
        """Forget the disk; snapshots of it stay, and so do the layers below."""
        self.detach(disk_id)
        disk = self._disks.pop(disk_id)
        disk.link.unlink()
        disk.layer.unlink()

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Fix the content of all disks now, at one instant."""
        disks = [self._disk(disk_id) for disk_id, _ in pairs]
        fresh = [self._new_layer(disk.size, disk.layer) for disk in disks]
        if self.guest.on:
            self._cut_running(disks, fresh)
        for (_, snapshot_id), disk, (node, layer) in zip(pairs, disks, fresh, strict=True):
            self._cuts[snapshot_id] = _Cut(layer=disk.layer, size=disk.size, bus=disk.bus)
            disk.node, disk.layer = node, layer
            self._point(disk)

    def _cut_running(self, disks: Sequence[_Disk], fresh: Sequence[tuple[str, Path]]) -> None:
        actions = []
        for disk, (node, layer) in zip(disks, fresh, strict=True):
            if disk.disk_id not in self._attached:
                continue
            self.guest.execute("blockdev-add", **qcow2_node(node, layer, backing=False))
            data = {"node": disk.node, "overlay": node}
            actions.append({"type": "blockdev-snapshot", "data": data})
        if actions:
            self.guest.execute("transaction", actions=actions)

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        """Give the disk the snapshot's content back.

        Raises:
            StorageError: the running guest has it.
        """
        disk = self._disk(disk_id)
        cut = self._cut(snapshot_id)
        if self.guest.on and disk_id in self._attached:
            raise kernel.StorageError(f"the running guest has {disk_id}")
        disk.size = max(disk.size, cut.size)
        disk.node, disk.layer = self._new_layer(disk.size, cut.layer)
        self._point(disk)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot; its layer stays, since others lie on it."""
        if self._cuts.pop(snapshot_id, None) is not None:
            self._raw_of(snapshot_id).unlink(missing_ok=True)

    def path_of(self, snapshot_id: str) -> str | None:
        """Return a raw image of what was captured, made on first use, or None."""
        if snapshot_id not in self._cuts:
            return None
        raw = self._raw_of(snapshot_id)
        if not raw.exists():
            layer = self._cuts[snapshot_id].layer
            half = raw.with_suffix(".half")
            kernel.run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(layer), str(half))
            half.rename(raw)
        return str(raw)

    def power_on(self, ports: Mapping[str, int], ended: Callable[[], None]) -> None:
        """Switch the machine on with all disks that are attached, in the order they came."""
        self.guest.start([self._disks[name].plugged() for name in self._attached], ports, ended)

    def power_off(self, *, force: bool) -> None:
        self.guest.stop(force=force)

    def _raw_of(self, snapshot_id: str) -> Path:
        return self._raw / f"{check_id(snapshot_id, 'snapshot_id')}.img"

    def _disk(self, disk_id: str) -> _Disk:
        if disk_id not in self._disks:
            raise kernel.StorageError(f"there is no disk {disk_id}")
        return self._disks[disk_id]

    def _cut(self, snapshot_id: str) -> _Cut:
        if snapshot_id not in self._cuts:
            raise kernel.StorageError(f"{snapshot_id} was never cut")
        return self._cuts[snapshot_id]


def _is_qcow2(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4) == b"QFI\xfb"
    finally:
        os.close(descriptor)
