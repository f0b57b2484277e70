"""What /etc/fstab says of disks that are to be away for a while.

Source: fstab(5), systemd.mount(5), systemd-fstab-generator(8).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from snap_self.system.mangled import unmangled

FSTAB = "/etc/fstab"
# With one of these a boot does not wait for it, nor fails without it.
_UNNEEDED = frozenset({"nofail", "noauto", "x-systemd.automount"})
_TAGS = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "partuuid", "PARTLABEL": "partlabel"}
_KERNEL_NAME = re.compile(r"/dev/(?:vd|sd|xvd|hd|nvme)[a-z0-9]+\Z")


class Line(NamedTuple):
    """One filesystem.

    Args:
        node: the device as it is named there, a tag as udev's link.
        needed: a boot waits for it, and fails without it.
    """

    node: str
    place: str
    needed: bool


def fstab_text() -> str:
    """Return its text; empty where there is none."""
    try:
        with open(FSTAB, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def lines_of(
    text: str,
    places: Collection[str],
    nodes: Collection[str],
    *,
    real: Callable[[str], str] = os.path.realpath,
) -> tuple[Line, ...]:
    """Return what stands there of these places and devices."""
    return tuple(line for line in _lines(text) if line.place in places or real(line.node) in nodes)


def has_kernel_name(line: Line) -> bool:
    """Tell whether it is named as the kernel counts disks, which may be another one tomorrow."""
    return _KERNEL_NAME.match(line.node) is not None


def _lines(text: str) -> Iterator[Line]:
    for row in text.split("\n"):
        words = row.split()
        if len(words) >= 3 and not words[0].startswith("#"):
            options = {*words[3].split(",")} if len(words) > 3 else set()
            yield Line(
                node=_node(unmangled(words[0])),
                place=unmangled(words[1]),
                needed=not options & _UNNEEDED,
            )


def _node(source: str) -> str:
    tag, _, value = source.partition("=")
    return f"/dev/disk/by-{_TAGS[tag]}/{value.strip(chr(34))}" if tag in _TAGS else source
