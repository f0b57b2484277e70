"""All names below /dev that a device has: systemd has a unit for each.

Source: udev(7), SYMLINK; systemd.device(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from snap_self.system.kernel_text import names_if_there
from snap_self.system.opening.lvm import split_mapped_name
from snap_self.system.opening.stacked import attribute, name_of

LINKS = "/dev/disk"
MAPPER = "/dev/mapper"


def names_of(node: str, *, links: str = LINKS) -> tuple[str, ...]:
    """Return a device node with every link that leads to it.

    Args:
        links: the folder whose folders hold udev's links.
    """
    return tuple(dict.fromkeys((node, *_linked(node, links), *_mapped(node))))


def _linked(node: str, links: str) -> Iterator[str]:
    for folder in sorted(names_if_there(links)):
        for name in sorted(names_if_there(f"{links}/{folder}")):
            path = f"{links}/{folder}/{name}"
            if os.path.realpath(path) == node:
                yield path


def _mapped(node: str) -> Iterator[str]:
    if mapped := attribute(name_of(node), "dm/name"):
        yield f"{MAPPER}/{mapped}"
        if parts := split_mapped_name(mapped):
            yield f"/dev/{'/'.join(parts)}"
