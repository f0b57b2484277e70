"""Find the directories that an overlay is made of."""

from __future__ import annotations

import re

from snap_self.disks.mountinfo import MountLine, options

_LAYER_OPTIONS = frozenset({"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"})
_LOWER = frozenset({"lowerdir", "lowerdir+", "datadir+"})
_COLON = re.compile(r"(?<!\\):")
_ESCAPED = re.compile(r"\\([:,\\])")


def layers(mount: MountLine) -> list[str]:
    """Return the absolute directories below an overlay, the upper ones first.

    Docker gives lower layers relative to its own folder when there are many; they lie beside the
    upper one and are left out.

    Source: the kernel's Documentation/filesystems/overlayfs.rst.
    """
    upper: list[str] = []
    lower: list[str] = []
    for name, value in options(mount):
        if name not in _LAYER_OPTIONS:
            continue
        kept = lower if name in _LOWER else upper
        if name != "lowerdir":
            kept.append(_plain(value))
        elif "\\" not in value:
            kept.extend(value.split(":"))
        else:
            kept.extend(_plain(part) for part in _COLON.split(value))
    return [path for path in dict.fromkeys((*upper, *lower)) if path.startswith("/")]


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
