"""Find the directories that an overlay is made of."""

from __future__ import annotations

import re

from snap_self.disks.mountinfo import MountLine, unescape

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
    for option in mount.super_options.split(","):
        name, _, value = option.partition("=")
        if name not in _LAYER_OPTIONS:
            continue
        kept = lower if name in _LOWER else upper
        if "\\" in value:
            kept += _unescaped(name, unescape(value))
        elif name == "lowerdir":
            kept += value.split(":")
        else:
            kept.append(value)
    return [path for path in dict.fromkeys(upper + lower) if path[:1] == "/"]


def _unescaped(name: str, value: str) -> list[str]:
    parts = _COLON.split(value) if name == "lowerdir" else [value]
    return [_ESCAPED.sub(r"\1", part) for part in parts]
