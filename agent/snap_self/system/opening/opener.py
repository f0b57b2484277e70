"""The real ``CopyOpener``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snap_self.errors import CopyNotOpened, CopyUnlike
from snap_self.model.disks import Filesystem
from snap_self.model.opening import (
    Checked,
    Closed,
    CopyShape,
    CopySign,
    CopySigns,
    Held,
    Holder,
    Note,
    Opened,
    Refusal,
)
from snap_self.model.refusals import refusal_of
from snap_self.ports import Clock, Commands
from snap_self.system.disks.aside import AsideProcess, SideCalls
from snap_self.system.opening import labels, shapes
from snap_self.system.opening.aside import Aside, Limits
from snap_self.system.opening.checker import check
from snap_self.system.opening.finding import Serials
from snap_self.system.opening.lvm import PREFIX, VolumeGroups
from snap_self.system.opening.rules import UDEV, UdevRules
from snap_self.system.opening.stacked import (
    CLASS,
    attribute,
    copies_of,
    name_of,
    stack,
    visible_mounts,
)

UNMOUNT_WAIT_S = 10.0
_BTRFS_BESIDE = Path("/sys/fs/btrfs/features/temp_fsid")
_MARK = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


class SystemCopyOpener:
    """Opens copies with the kernel's own calls, and LVM's programs where LVM is between.

    Args:
        limits: how long a disk may take to answer.
        udev: the folder of udev's run time data.
        by_id: the folder of the links by serial.
        sysfs: the folder of block devices, for serials.
        calls: for questions to disks that may never answer.
        old_calls: mount as on kernels before Linux 5.2.
        unmount_wait_s: so long the users of a visible mount may take to leave it.
    """

    def __init__(
        self,
        commands: Commands,
        clock: Clock,
        *,
        limits: Limits | None = None,
        udev: str = UDEV,
        by_id: str = labels.BY_ID,
        sysfs: str = CLASS,
        calls: SideCalls | None = None,
        old_calls: bool = False,
        unmount_wait_s: float = UNMOUNT_WAIT_S,
    ) -> None:
        self._commands = commands
        self._aside = Aside(clock, limits or Limits())
        self._rules = UdevRules(commands, udev=udev)
        self._groups = VolumeGroups(commands)
        self._by_id = by_id
        self._serials = Serials(calls or AsideProcess(), by_id=by_id, sysfs=sysfs)
        self._old_calls = old_calls
        self._prepares = False
        self._unmount_wait_s = unmount_wait_s

    def prepare(self) -> None:
        """Start the processes that opening and closing take, which answer at once then."""
        self._prepares = True
        self._aside.prepare()
        self._serials.prepare()

    def shape_of(self, filesystem: Filesystem, *, subvolume: str = "") -> CopyShape:
        """See the port."""
        return shapes.shape_of(filesystem, subvolume=subvolume, serials=self._serials)

    def refusal(self, shapes: Sequence[CopyShape]) -> Refusal | None:
        """See the port."""
        lvm = any(shape.lvm for shape in shapes) and self._groups.is_usable()
        found = (
            refusal_of(shape, btrfs_beside=_BTRFS_BESIDE.exists(), lvm_usable=lvm)
            for shape in shapes
        )
        return next(filter(None, found), None)

    def hold_back(self, serials: Sequence[str]) -> Held:
        """See the port."""
        return self._rules.add(serials)

    def let_go(self, serials: Sequence[str]) -> None:
        """See the port."""
        self._rules.drop(serials)

    def device_of(self, serial: str) -> str | None:
        """See the port."""
        return self._serials.device_of(serial)

    def open(
        self, devices: Mapping[str, str], shape: CopyShape, *, at: str | None, mark: str = ""
    ) -> Opened:
        """See the port."""
        disks = self._checked(devices)
        if shape.lvm is None and len(disks) != 1:
            raise CopyUnlike(f"{shape.what or shape.fstype} lies on one disk, not on {len(disks)}")
        order: dict[str, object] = {
            "fstype": shape.fstype,
            "partition": None if shape.lvm else shape.partition,
            "subvolume": shape.subvolume,
            "at": at or "",
            "old_calls": self._old_calls,
            "only_checked": shape.only_checked,
        }
        if shape.lvm is None:
            if shape.partition is not None:
                self._rules.add((), backing=disks)
            return self._opened(devices, shape, at, "", order)
        group = group_name(mark, devices)
        nodes, held = self._ask("physical_volumes", disks)
        # As long as the disks are held, the names that LVM's programs get are theirs.
        try:
            volume, own = self._groups.activate(shape.lvm, nodes, group)
            try:
                order |= {"volume": volume, "labels": own}
                return self._opened(devices, shape, at, group, order)
            except CopyNotOpened:
                self._groups.deactivate(group, own)
                raise
        finally:
            for fd in held:
                os.close(fd)

    def _opened(
        self,
        devices: Mapping[str, str],
        shape: CopyShape,
        at: str | None,
        group: str,
        order: dict[str, object],
    ) -> Opened:
        disks = self._checked(devices)
        facts, fds = self._ask("open", disks, order)
        if not fds:
            raise CopyNotOpened("the process that opens the copy sent no directory")
        if self._prepares and at is None:  # then this process closes it too, before long
            self._aside.prepare()
        notes = {
            Note.MAGIC_STAYS: not facts["hidden"],
            Note.NOT_READ_ONLY: not facts["sealed"],
            Note.OLD_CALLS: facts["old_calls"],
            Note.LINKS_FOLLOWED: facts["follows_links"],
        }
        return Opened(
            fd=fds[0],
            device=facts["device"],
            fstype=shape.fstype,
            mounted_at=at,
            devices=dict(devices),
            notes=tuple(note for note, is_so in notes.items() if is_so),
            loops=facts["loops"],
            taken=facts["taken"],
            shown=facts["shown"],
            group=group,
        )

    def signs(self, serial: str, device: str) -> CopySigns:
        """See the port."""
        disks = self._checked({serial: device})
        (signs, used), _ = self._ask("signs", disks)
        return CopySigns(
            signs=tuple(CopySign(kind=kind, mounted=mounted) for kind, mounted in signs),
            used_at=tuple(used),
        )

    def close(self, opened: Opened) -> Closed:
        """See the port."""
        with suppress(OSError):
            os.close(opened.fd)
        return self._close(opened.devices, opened.mounted_at, opened.group)

    def close_left(self, devices: Mapping[str, str], at: str | None, *, mark: str = "") -> Closed:
        """See the port."""
        return self._close(devices, at, group_name(mark, devices) if devices else "")

    def _close(self, devices: Mapping[str, str], at: str | None, group: str) -> Closed:
        if silent := self._silent(devices):
            return Closed(busy=silent)
        there = {serial: node for serial, node in devices.items() if node}
        disks = {
            node: known for node, known in _known(there).items() if self.device_of(known[0]) == node
        }
        arguments = {"at": at or "", "wait_s": self._unmount_wait_s}
        stay: tuple[str, ...] = ()
        before: tuple[bool, tuple[tuple[int, str], ...]] = (False, ())
        try:
            if group and self._groups.active(group):
                before, _ = self._ask("unmount", disks, arguments)
                stay = self._groups.deactivate(group)
            (lazily, holders, busy, magic_stays), _ = self._ask("close", disks, arguments)
            self._rules.forget(disks)
        except CopyNotOpened:  # a disk that does not answer
            return Closed(busy=tuple(disks))
        lazily, holders = lazily or before[0], (*before[1], *holders)
        return Closed(
            lazily=lazily,
            holders=tuple(Holder(pid=pid, program=program) for pid, program in holders),
            busy=tuple(dict.fromkeys((*busy, *stay, *self._still_at(at, disks)))),
            magic_stays=magic_stays,
        )

    def _silent(self, devices: Mapping[str, str]) -> tuple[str, ...]:
        """Return the disks that do not tell who they are, and so may be among those meant."""
        if all(devices.values()):
            return self._serials.silent([*devices.values()])
        return self._serials.silent()

    def _still_at(self, at: str | None, disks: Iterable[str]) -> tuple[str, ...]:
        """Return the devices of copies that are mounted at a place still, or may be."""
        if not any(mount.place == at for mount in visible_mounts()):
            return ()
        nodes = stack((*disks, *self._serials.silent()))
        return tuple(mount.source for mount in copies_of(nodes, at or "") if mount.place == at)

    def _ask(
        self,
        name: str,
        disks: Mapping[str, tuple[str, str]],
        arguments: Mapping[str, object] | None = None,
    ) -> tuple[Any, Sequence[int]]:
        """Ask a process about disks; it looks anew whether they are the ones that are meant."""
        told = {"disks": dict(disks), "by_id": self._by_id, **(arguments or {})}
        return self._aside.ask(name, disks, told)

    def check(self, opened: Opened, *, limit_s: float) -> Checked:
        """See the port."""
        return check(self._commands, opened, limit_s=limit_s)

    def _checked(self, devices: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Return device node to serial and ``major:minor``, each found anew by its serial."""
        known = _known(devices)
        for serial, node in devices.items():
            if self.device_of(serial) != node:
                raise CopyUnlike(f"{node} is not the disk with the serial {serial}")
        if not devices:
            raise CopyUnlike("no disk was given")
        return known


def _known(devices: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return device node to serial and ``major:minor``."""
    return {node: (serial, attribute(name_of(node), "dev")) for serial, node in devices.items()}


def group_name(mark: str, devices: Iterable[str]) -> str:
    """Return what LVM's group of the copies is called; without a mark, by the first serial.

    Raises:
        CopyNotOpened: no name of LVM.
    """
    chosen = mark or min(devices)
    if not _MARK.fullmatch(chosen):
        raise CopyNotOpened(f"{chosen!r} cannot be a part of a name of LVM")
    return PREFIX + chosen
