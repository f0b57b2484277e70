"""Collect what sysfs says about each block device into one value per device."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from snap_self.errors import TopologyError
from snap_self.model.machine import MachineText

SYSFS = "sys/class/block/"
BY_ID = "dev/disk/by-id/"
SECTOR_BYTES = 512

UNREADABLE = "unreadable"
AMBIGUOUS = "ambiguous"

_BY_ID_PREFIXES = ("virtio-", "nvme-Alibaba_Cloud_Elastic_Block_Storage_")
# Newer udev rules add a second NVMe link with the namespace's number behind the serial.
_NAMESPACE_NUMBER = re.compile(r"_\d+$")
_PARTITION_LINK = re.compile(r"-part\d+$")
_SERIAL_FILES = ("serial", "device/serial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block device as sysfs shows it.

    Args:
        name: directory name in ``/sys/class/block``, where ``!`` stands for ``/`` in ``/dev``.
        parent: name of the disk that a partition belongs to; empty otherwise.
        lower: names of the devices it is stacked on (``slaves/``).
        text: the other attributes by their path below the device, stripped.
        links: the other symbolic links by their path below the device.
    """

    name: str
    devno: str
    size_bytes: int
    parent: str
    lower: tuple[str, ...]
    serial: str
    serial_from: str
    text: Mapping[str, str] = field(repr=False)
    links: Mapping[str, str] = field(repr=False)

    @property
    def node(self) -> str:
        """The device node's name below ``/dev``."""
        return self.name.replace("!", "/")


def read_blocks(machine: MachineText) -> dict[str, Block]:
    """Return the block devices by name, without hidden ones (paths of native NVMe multipath).

    Raises:
        TopologyError: a size is not a number.
    """
    texts = _by_device(machine.files)
    links = _by_device(machine.links)
    by_id = _by_id_serials(machine.links)
    blocks = {}
    for name, text in texts.items():
        if "dev" not in text or text.get("hidden") == "1":
            continue
        own_links = links.get(name, {})
        serial, serial_from = _serial(name, text, by_id, machine.failures)
        blocks[name] = Block(
            name=name,
            devno=text["dev"],
            size_bytes=_size_bytes(name, text),
            parent=_parent(own_links) if "partition" in text else "",
            lower=tuple(
                sorted(key.removeprefix("slaves/") for key in own_links if key[:7] == "slaves/")
            ),
            serial=serial,
            serial_from=serial_from,
            text=text,
            links=own_links,
        )
    return blocks


def last_name(target: str) -> str:
    """Return the last component of a link's target."""
    return target.rpartition("/")[2]


def _by_device(entries: Mapping[str, str]) -> dict[str, dict[str, str]]:
    grouped: dict[str, dict[str, str]] = defaultdict(dict)
    for path, content in entries.items():
        if path.startswith(SYSFS):
            name, _, attribute = path[len(SYSFS) :].partition("/")
            grouped[name][attribute] = _clean(content)
    return grouped


def _clean(content: str) -> str:
    """Strip what pads sysfs values: newline, spaces (NVMe), NULs."""
    return content.strip(" \t\r\n\0")


def _size_bytes(name: str, text: Mapping[str, str]) -> int:
    raw = text.get("size", "0")
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 20):
        raise TopologyError(
            f"/{SYSFS}{name}/size is {raw[:40]!r}, not a number of sectors",
            hint="please report this together with the kernel's version",
        )
    return int(raw) * SECTOR_BYTES


def _parent(links: Mapping[str, str]) -> str:
    """Return the disk of a partition: the directory that its device directory lies in."""
    return last_name(links.get("", "").rpartition("/")[0])


def _by_id_serials(links: Mapping[str, str]) -> dict[str, set[str]]:
    """Return device name to serial, from the links udev makes for whole cloud disks.

    A link that outlived its disk gives the next one at that device a second serial.
    """
    serials: dict[str, set[str]] = defaultdict(set)
    for path, target in links.items():
        if not path.startswith(BY_ID) or _PARTITION_LINK.search(path):
            continue
        label = path[len(BY_ID) :]
        for prefix in _BY_ID_PREFIXES:
            if label.startswith(prefix):
                serial = _NAMESPACE_NUMBER.sub("", label[len(prefix) :])
                serials[last_name(target)].add(serial)
    return serials


def _serial(
    name: str,
    text: Mapping[str, str],
    by_id: Mapping[str, Collection[str]],
    failures: Mapping[str, str],
) -> tuple[str, str]:
    if "partition" in text:
        return "", ""
    for attribute in _SERIAL_FILES:
        if serial := text.get(attribute):
            return serial, "sysfs"
    if linked := by_id.get(name):
        return (min(linked), "by-id") if len(linked) == 1 else ("", AMBIGUOUS)
    if any(f"{SYSFS}{name}/{attribute}" in failures for attribute in _SERIAL_FILES):
        return "", UNREADABLE
    return "", ""
