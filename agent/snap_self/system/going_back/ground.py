"""What stands on data disks of the running system: found out, taken away and made again.

Source: mount(8), proc_pid_mountinfo(5), lvm(8), sysfs of the kernel's block layer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from snap_self.errors import DisksInUse, PreconditionRefused, RollbackUnfinished
from snap_self.model.going_back import MountedPlace, Stacked, Standing, UnitFacts, User
from snap_self.model.shown import printable
from snap_self.model.users import in_use
from snap_self.ports import Commands
from snap_self.system.going_back.fstab import fstab_text, has_kernel_name, lines_of
from snap_self.system.going_back.mounted import Mounted, mounted_now
from snap_self.system.going_back.names import names_of
from snap_self.system.going_back.units import Units, unit_of_path
from snap_self.system.going_back.users import (
    FIRST,
    mounted_by,
    own_units,
    shares_mounts_with,
    users_below,
    users_of,
)
from snap_self.system.opening import kernel
from snap_self.system.opening.finding import Serials
from snap_self.system.opening.lvm import split_mapped_name
from snap_self.system.opening.stacked import CLASS, attribute, name_of, node_of, others_on, stack
from snap_self.system.opening.stacked import users_of as standing_on

# A process that was stopped may need a moment until its files are closed; udev looks at devices.
BUSY_S = 10.0
LOOK_S = 0.1
MOUNT_S = 300.0
LVM_S = 120.0
_DM_KINDS = {"LVM": "lvm", "CRYPT": "crypt", "mpath": "multipath", "part1": "partition"}


class SystemGround:
    """Implement ``ports_going_back.Ground``.

    Args:
        serials: finds disks by their serials.
    """

    def __init__(self, commands: Commands, serials: Serials) -> None:
        self._commands = commands
        self._serials = serials
        self._units = Units(commands)

    def device_of(self, serial: str) -> str | None:
        """Return the device node of the disk with that serial; None as long as there is none."""
        return self._serials.device_of(serial)

    def unit(self, name: str) -> UnitFacts:
        """Return what systemd tells of a unit."""
        return self._units.facts(name)

    def stop(self, unit: str) -> None:
        """Stop a unit, and wait until it has stopped."""
        self._units.stop(unit)

    def start(self, unit: str) -> str:
        """Start a unit; return why it did not start, empty if it did."""
        return self._units.start(unit)

    def is_the_machines(self) -> bool:
        """Tell whether what is mounted and unmounted here is so for the whole machine."""
        return shares_mounts_with(FIRST)

    # --- what is there -----------------------------------------------------------------------

    def survey(self, devices: Mapping[str, str]) -> Standing:
        """Return what stands on disks; changes nothing."""
        nodes = tuple(dict.fromkeys(stack(devices.values())))
        lines = mounted_now()
        ours = _ours(lines, nodes)
        kept = {line.number for line in ours}
        below = [line.place for line in lines if line.number not in kept and line.below in kept]
        top = [node for node in nodes if node not in devices.values()] + others_on(nodes)
        mounts = tuple(self._place(line, devices, nodes) for line in ours)
        groups = self._groups(nodes)
        fstab = lines_of(fstab_text(), {mount.place for mount in mounts}, nodes)
        return Standing(
            mounts=mounts,
            below=tuple(below),
            on_top=tuple(Stacked(name=_title(node), kind=_kind(node)) for node in top),
            users=users_of(_filesystems(ours), _numbers(nodes)),
            groups=groups,
            nodes=nodes,
            elsewhere=mounted_by(
                {line.devno for line in ours}, {line.group for line in ours if line.group}
            ),
            idle_groups=frozenset(group for group in groups if not _active(group)),
            waits_in_fstab=tuple(dict.fromkeys(line.place for line in fstab if line.needed)),
            kernel_names=tuple(dict.fromkeys(line.node for line in fstab if has_kernel_name(line))),
            own_units=own_units(),
            bound_units=self._units.bound_to(_units_of(mounts, nodes)),
        )

    def _place(
        self, line: Mounted, devices: Mapping[str, str], nodes: Sequence[str]
    ) -> MountedPlace:
        node = _node_of(line, nodes)
        name = name_of(node)
        mapped = attribute(name, "dm/name")
        disks = [one for one in devices.items() if node in stack([one[1]])]
        return MountedPlace(
            place=line.place,
            fstype=line.fstype,
            root=line.root,
            options=line.options,
            serial=disks[0][0] if disks else "",
            partition=0 if mapped else int(attribute(name, "partition") or 0),
            mapped=mapped,
        )

    def _groups(self, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the groups of LVM with a part on these devices, each with all of its parts."""
        if not any(_kind(node) == "lvm" for node in nodes) and not self._labelled(nodes):
            return {}
        status, out, err = self._lvm("pvs", "--noheadings", "-o", "pv_name,vg_name")
        if status != 0:
            raise PreconditionRefused(
                "LVM does not tell which volume groups lie on the disks", details=err.strip()
            )
        parts: dict[str, list[str]] = {}
        for words in (line.split() for line in out.split("\n")):
            if len(words) == 2:
                parts.setdefault(words[1], []).append(os.path.realpath(words[0]))
        return {name: tuple(of) for name, of in parts.items() if {*of} & {*nodes}}

    def _labelled(self, nodes: Sequence[str]) -> bool:
        """Tell whether a group may lie there of which nothing is active."""
        for node in nodes:
            with suppress(OSError), open(node, "rb") as file:
                if b"LABELONE" in file.read(2048):
                    return True
        return False

    def users_at(self, places: Sequence[str]) -> tuple[User, ...]:
        """Return the processes that have open what lies at these places now."""
        return users_below(places)

    # --- taken away --------------------------------------------------------------------------

    def is_mounted(self, place: MountedPlace) -> bool:
        """Tell whether that filesystem is mounted there; never waits for its disk."""
        device = self.device_of(place.serial)
        nodes = stack([device]) if device else []
        return any(
            line.place == place.place and line.root == place.root
            for line in _ours(mounted_now(), nodes)
        )

    def unmount(self, place: MountedPlace) -> None:
        """Unmount it; nothing mounted is fine."""
        end = time.monotonic() + BUSY_S
        while self.is_mounted(place):
            try:
                kernel.unmount(place.place)
            except OSError as error:
                if time.monotonic() >= end:
                    raise self._busy(place, error) from error
                time.sleep(LOOK_S)

    def _busy(self, place: MountedPlace, error: OSError) -> DisksInUse:
        told = None
        with suppress(OSError):
            told = in_use(users_of({os.stat(place.place).st_dev}, ()))
        if told is not None:
            return told
        return DisksInUse(
            f"{place.place} cannot be unmounted: {error.strerror}",
            hint="an export of NFS, a swap file or a loop device may use it",
        )

    def deactivate(self, group: str) -> None:
        """Take a volume group's devices away; none is fine."""
        status, _, err = self._lvm("vgchange", "-an", group)
        if status != 0 and (left := _active(group)):
            raise DisksInUse(
                f"volume group {group} is still in use: {', '.join(left)}",
                hint=f"dmsetup info tells what has them open; vgchange -an {group}",
                details=err.strip(),
            )

    def refuse_held(self, serials: Sequence[str]) -> None:
        """Refuse disks that something still holds; those that are not there are held by nobody."""
        end = time.monotonic() + BUSY_S
        nodes = [node for node in map(self.device_of, serials) if node]
        while held := [node for node in stack(nodes) if not _is_free(node)]:
            if time.monotonic() >= end:
                raise _held(held)
            time.sleep(LOOK_S)

    # --- made again --------------------------------------------------------------------------

    def activate(self, group: str) -> None:
        """Make a volume group's devices."""
        with suppress(OSError):  # with the daemon of old versions it has to be looked at again
            self._commands.run(("pvscan", "--cache"), timeout_s=LVM_S)
        status, _, err = self._lvm("vgchange", "-ay", group)
        if status != 0:
            raise RollbackUnfinished(
                f"volume group {group} was not activated: vgchange ended with status {status}",
                hint=f"vgchange -ay {group}",
                details=err.strip(),
            )

    def mount(self, place: MountedPlace, device: str) -> None:
        """Mount it as it was; what is mounted there already is fine."""
        if self.is_mounted(place):
            return
        if _taken(place):
            if self.is_mounted(place):  # systemd may mount it as soon as its device is there
                return
            raise RollbackUnfinished(
                f"something else is mounted at {place.place} by now", hint=f"umount {place.place}"
            )
        source = _source(place, device)
        told = []
        # A kernel that does not take its own words again has what the system mounts it by.
        for argv in (
            ("mount", "-t", place.fstype, "-o", place.options, source, place.place),
            ("mount", place.place),
        ):
            status, _, err = self._run(*argv)
            if self.is_mounted(place):
                return
            told.append(err.strip() or f"mount ended with status {status}")
            if status == 0 and _taken(place):
                # By its name in /etc/fstab it is another disk by now.
                told[-1] = "what /etc/fstab names for it is another filesystem"
                with suppress(OSError):
                    kernel.unmount(place.place)
        raise RollbackUnfinished(
            f"{place.place} could not be mounted: {told[0]}",
            hint=f"mount {place.place}",
            details=tuple(told[1:]),
        )

    def _lvm(self, *argv: str) -> tuple[int, str, str]:
        return self._run(*argv, limit_s=LVM_S)

    def _run(self, *argv: str, limit_s: float = MOUNT_S) -> tuple[int, str, str]:
        try:
            return self._commands.run(argv, timeout_s=limit_s)
        except TimeoutError as error:
            return 124, "", str(error)
        except OSError as error:
            return 127, "", f"{argv[0]}: {error.strerror or error}"


def _taken(place: MountedPlace) -> bool:
    """Tell whether anything is mounted there, not counting what waits to be asked for it."""
    return any(line.place == place.place and line.fstype != "autofs" for line in mounted_now())


def _ours(lines: Sequence[Mounted], nodes: Sequence[str]) -> list[Mounted]:
    """Return the mounts of devices, the outer ones first; a btrfs has a number of its own."""
    devnos = {attribute(name_of(node), "dev") for node in nodes} - {""}
    return [line for line in lines if line.devno in devnos or line.source in nodes]


def _node_of(line: Mounted, nodes: Sequence[str]) -> str:
    if line.source in nodes:
        return line.source
    found = (node for node in nodes if attribute(name_of(node), "dev") == line.devno)
    return next(found, line.source)


def _units_of(mounts: Sequence[MountedPlace], nodes: Sequence[str]) -> list[str]:
    """Return the units that systemd has for places, and for devices by each of their names."""
    units = [unit_of_path(mount.place, "mount") for mount in mounts]
    return units + [unit_of_path(name, "device") for node in nodes for name in names_of(node)]


def _filesystems(lines: Sequence[Mounted]) -> set[int]:
    found = set()
    for line in lines:
        with suppress(OSError):
            found.add(os.stat(line.place).st_dev)
    return found


def _numbers(nodes: Sequence[str]) -> set[int]:
    found = set()
    for node in nodes:
        with suppress(OSError):
            found.add(os.stat(node).st_rdev)
    return found


def _kind(node: str) -> str:
    """Return what a device is that stands on a disk."""
    name = name_of(node)
    if name.startswith("md"):
        return "md"
    if name.startswith("loop"):
        return "loop"
    if name.startswith("dm-"):
        begin = attribute(name, "dm/uuid").partition("-")[0]
        return _DM_KINDS.get(begin, "dm")
    return "partition" if attribute(name, "partition") else name.rstrip("0123456789")


def _title(node: str) -> str:
    return attribute(name_of(node), "dm/name") or node.removeprefix("/dev/")


def _active(group: str) -> tuple[str, ...]:
    found = []
    with suppress(OSError):
        for name in sorted(os.listdir(CLASS)):
            mapped = attribute(name, "dm/name")
            parts = split_mapped_name(mapped) if mapped else None
            if parts and parts[0] == group:
                found.append(mapped)
    return tuple(found)


def _is_free(node: str) -> bool:
    try:
        return kernel.is_free(node)
    except OSError:
        return not os.path.exists(node)


def _held(nodes: Sequence[str]) -> DisksInUse:
    """Return who still holds devices of which nothing is mounted here any more."""
    if who := in_use(users_of((), _numbers(nodes))):
        return who
    devnos = {attribute(name_of(node), "dev") for node in nodes} - {""}
    if elsewhere := mounted_by(devnos):
        names = ", ".join(f"{printable(each.program)} (pid {each.pid})" for each in elsewhere)
        return DisksInUse(
            f"{', '.join(nodes)} is still mounted in another mount namespace, of {names}",
            hint="end the container or sandbox that has it",
        )
    return DisksInUse(
        f"{', '.join(nodes)} is still held",
        hint="lsblk and /proc/mdstat tell what stands on it",
        details=tuple(line for node in nodes for line in standing_on(node)),
    )


def _source(place: MountedPlace, device: str) -> str:
    if place.mapped:
        return f"/dev/mapper/{place.mapped}"
    if not place.partition:
        return device
    name = name_of(device)
    for part in sorted(os.listdir(f"{CLASS}/{name}")):
        if attribute(part, "partition") == str(place.partition):
            return node_of(part)
    return f"{device}{'p' if device[-1:].isdigit() else ''}{place.partition}"
