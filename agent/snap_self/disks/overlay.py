"""Find the directories that an overlay is made of."""

from __future__ import annotations

import re

from snap_self.disks.mountinfo import MountLine, options

_LAYER_OPTIONS = frozenset({"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"})
_COLON = re.compile(r"(?<!\\):+")  # "::" separates data-only layers
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
        if name == "lowerdir":
            lower.extend(_ESCAPED.sub(r"\1", part) for part in _COLON.split(value))
        else:
            (lower if name.endswith("+") else upper).append(_ESCAPED.sub(r"\1", value))
    return [path for path in dict.fromkeys((*upper, *lower)) if path.startswith("/")]
