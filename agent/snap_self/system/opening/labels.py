"""Where a disk's serial is read: its attribute in sysfs, or the name of udev's link to it."""

from __future__ import annotations

import os
import re
from contextlib import suppress

BY_ID = "/dev/disk/by-id"
SERIAL_FILES = ("serial", "device/serial")
# Newer udev rules add a second NVMe link with the namespace's number behind the serial.
_LINK = re.compile(r"(?:virtio-|nvme-Alibaba_Cloud_Elastic_Block_Storage_)(.+?)(?:_\d+)?")


def linked(by_id: str) -> list[tuple[str, str]]:
    """Return serial and device name of every link by serial."""
    labels = [(label, _LINK.fullmatch(label)) for label in listed(by_id)]
    return [(found[1], _target(f"{by_id}/{label}")) for label, found in labels if found]


def only_linked(name: str, by_id: str) -> str:
    """Return the one serial by which links name a device; empty if it is not certain."""
    serials = {serial for serial, target in linked(by_id) if target == name}
    return serials.pop() if len(serials) == 1 else ""


def clean(raw: bytes) -> str:
    """Return the text of a serial's file: controllers pad it."""
    return raw.decode("utf-8", "replace").strip(" \t\r\n\0")


def listed(folder: str) -> list[str]:
    """Return the names in a folder; nothing of one that is not there."""
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _target(link: str) -> str:
    with suppress(OSError):
        return os.readlink(link).rpartition("/")[2]
    return ""
