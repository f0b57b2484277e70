"""LVM on copies: a group of its own name, made of the temporary disks alone.

The original group is neither named nor seen: every command is told the only devices it may look at.

Source: vgimportclone(8), lvmdevices(8), lvm.conf(5), dmsetup(8).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from snap_self.errors import CopyNotOpened, CopyToolsMissing, CopyUnlike
from snap_self.model.opening import LogicalVolume
from snap_self.ports import Commands
from snap_self.system.opening.stacked import CLASS, attribute, node_of

PREFIX = "snapself_"
_LIMIT_S = 120.0
_QUICK_S = 20.0
_DEVICES_SINCE = (2, 3, 12)
_REMOVE_TRIES = 5
# LVM keeps what a group was below /etc/lvm by the name it had: an old state of the original's group
# would lie there as its newest one.
_NOTHING_KEPT = "backup { backup=0 archive=0 }"


class VolumeGroups:
    """Opens and closes the group of copies."""

    def __init__(self, commands: Commands, *, sysfs: str = CLASS) -> None:
        self._commands = commands
        self._sysfs = sysfs

    def is_usable(self) -> bool:
        """Tell whether the programs are there."""
        try:
            return self._commands.run(("lvm", "version"), timeout_s=_QUICK_S)[0] == 0
        except OSError:
            return False

    def activate(
        self, volume: LogicalVolume, nodes: Sequence[str], group: str
    ) -> tuple[str, tuple[str, ...]]:
        """Give the copies' group its own name and ids, and activate one volume of it.

        Args:
            nodes: all physical volumes on the temporary disks.
            group: the name it gets.

        Returns:
            The volume's device, and the group's own physical volumes.

        Raises:
            CopyNotOpened: LVM refuses, or the group is not on these disks.
        """
        own = self._members(volume.group, nodes)
        self._run("vgimportclone", "--yes", "-n", group, *self._only(own), *own)
        try:
            alone = f'activation {{ volume_list=["{group}"] }}'
            which = f"{group}/{volume.name}"
            self._run("lvchange", "-ay", "--yes", *self._only(own, alone), which)
            return self._device(group, volume.name), own
        except CopyNotOpened:
            with suppress(CopyNotOpened):
                self.deactivate(group, own)
            raise

    def deactivate(self, group: str, nodes: Sequence[str] = ()) -> tuple[str, ...]:
        """Take the group's devices away; return the names of those that stay.

        Their labels may be zeroed already, so LVM may not know the group any more: then they are
        removed by the names that only this group has.

        Args:
            nodes: its physical volumes, as far as they are known.
        """
        if not (left := self.active(group)):
            return ()
        if nodes:
            with suppress(CopyNotOpened):
                self._run("vgchange", "-an", *self._only(nodes), group)
        for _ in range(_REMOVE_TRIES):
            if not (left := self.active(group)):
                break
            for name in left:  # those that others stand on fail until those are gone
                with suppress(CopyNotOpened):
                    self._run("dmsetup", "remove", "--retry", name)
        return left

    def active(self, group: str) -> tuple[str, ...]:
        """Return the device mapper's names of what is active of a group."""
        begin = f"{group.replace('-', '--')}-"
        return tuple(sorted(name for name in self._mapped() if name.startswith(begin)))

    def _mapped(self) -> dict[str, str]:
        """Return the device mapper's names of what is active, each with its name in sysfs."""
        names: list[str] = []
        with suppress(OSError):
            names = [name for name in sorted(os.listdir(self._sysfs)) if name.startswith("dm-")]
        return {attribute(name, "dm/name", sysfs=self._sysfs): name for name in names}

    def _members(self, group: str, nodes: Sequence[str]) -> tuple[str, ...]:
        """Return those of the physical volumes that are of a group."""
        told: list[list[str]] = []
        if nodes:
            out = self._run("pvs", "--noheadings", "-o", "pv_name,vg_name", *self._only(nodes))
            told = [line.split() for line in out.split("\n")]
        own = tuple(words[0] for words in told if words[1:] == [group])
        if not own or not {*own} <= {*nodes}:
            there = ", ".join(sorted({words[1] for words in told if len(words) > 1}))
            raise CopyUnlike(
                f"the copies hold {there or 'no group of LVM'} where the original has {group}",
                hint="the group was renamed or moved since the snapshot",
            )
        return own

    def _only(self, nodes: Sequence[str], config: str = "") -> tuple[str, ...]:
        """Return the options that let a command see these devices and no other."""
        config = f"{_NOTHING_KEPT} {config}".strip()
        if self._knows_devices():
            return ("--devices", ",".join(nodes), "--config", config)
        accepted = ", ".join(f'"a|^{re.escape(node)}$|"' for node in nodes)
        filters = f'filter=[{accepted}, "r|.*|"] global_filter=[{accepted}, "r|.*|"]'
        return ("--config", f"devices {{ {filters} }} global {{ use_lvmetad=0 }} {config}")

    def _knows_devices(self) -> bool:
        found = re.search(r"LVM version:\s*(\d+)\.(\d+)\.(\d+)", self._run("lvm", "version"))
        return found is not None and tuple(map(int, found.groups())) >= _DEVICES_SINCE

    def _device(self, group: str, name: str) -> str:
        if found := self._mapped().get(mapped_name(group, name)):
            return node_of(found)
        raise CopyNotOpened(f"LVM activated {group}/{name}, and the kernel shows no such device")

    def _run(self, *argv: str) -> str:
        try:
            status, out, err = self._commands.run(argv, timeout_s=_LIMIT_S)
        except FileNotFoundError as error:
            raise CopyToolsMissing(
                f"there is no program {argv[0]}, which a copy on LVM needs",
                hint="install the packages lvm2 and dmsetup (device-mapper)",
            ) from error
        except OSError as error:
            raise CopyNotOpened(f"{argv[0]}: {error.strerror or error}") from error
        if status != 0:
            raise CopyNotOpened(f"{argv[0]} ended with status {status}", details=err.strip())
        return out


def mapped_name(group: str, name: str) -> str:
    """Return the device mapper's name of a logical volume: hyphens are doubled."""
    return f"{group.replace('-', '--')}-{name.replace('-', '--')}"


def split_mapped_name(mapped: str) -> tuple[str, str] | None:
    """Return group and name of a logical volume from the device mapper's name of it."""
    found = re.fullmatch(r"((?:[^-]|--)+)-((?:[^-]|--)+)", mapped)
    if found is None:
        return None
    group, name = found.groups()
    return group.replace("--", "-"), name.replace("--", "-")
