"""Find the kernel's name of a block device from any name that people or programs use."""

from __future__ import annotations

import re
from collections.abc import Mapping

from snap_self.disks.blocks import Block, last_name
from snap_self.model.machine import MachineText

_DEV = "/dev/"
_LONE_HYPHEN = re.compile(r"(?<!-)-(?!-)")


class DeviceNames:
    """The names of block devices: nodes, device-mapper names, links below ``/dev``."""

    def __init__(self, blocks: Mapping[str, Block], machine: MachineText) -> None:
        self._names: dict[str, str] = {}
        self._files = machine.files
        self._by_devno = {block.devno: name for name, block in blocks.items()}
        for path, target in machine.links.items():
            if path.startswith(_DEV[1:]):
                self._add_link(path[len(_DEV) - 1 :], last_name(target), blocks)
        for name, block in blocks.items():
            if mapper := block.text.get("dm/name"):
                self._names[mapper] = self._names[f"mapper/{mapper}"] = name
                if block.text.get("dm/uuid", "").startswith("LVM-"):
                    self._names[_volume_path(mapper)] = name
        for name, block in blocks.items():
            self._names[block.node] = name

    def find(self, name: str) -> str | None:
        """Return the kernel's name, or None if no block device has that name.

        Args:
            name: with or without ``/dev/`` in front.
        """
        return self._names.get(name.removeprefix(_DEV))

    def named_by_mount(self, name: str, namespace: int | None) -> str | None:
        """Return the kernel's name of a device that a mount option names.

        The device that the name leads to counts: through any link, and to a node in any folder.

        Args:
            namespace: the mount namespace in which it was read; None for the agent's own.
        """
        place = "proc/self" if namespace is None else f"proc/ns/{namespace}"
        number = self._files.get(f"{place}/number{name}", "").strip()
        return self._by_devno.get(number) if number else self.find(name)

    def aliases(self) -> Mapping[str, str]:
        """Return every name, without ``/dev/``, to the kernel's name."""
        return self._names

    def _add_link(self, bare: str, target: str, blocks: Mapping[str, Block]) -> None:
        if target in blocks:
            self._names[bare] = target


def _volume_path(mapper: str) -> str:
    """Return ``group/volume``; device-mapper names double the hyphens of both."""
    return _LONE_HYPHEN.sub("/", mapper, count=1).replace("--", "-")
