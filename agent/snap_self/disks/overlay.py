"""Find the directories that make up an overlay."""

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
    upper layer and are left out. If an upper layer is relative, nothing tells where its files are.
    Then no layers are returned: the lower ones alone would be the wrong place.

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
    if any(path[:1] != "/" for path in upper):
        return []
    return [path for path in dict.fromkeys(upper + lower) if path[:1] == "/"]


def upper(mount: MountLine) -> str:
    """Return the directory that holds what was written to an overlay; empty if there is none."""
    for option in mount.super_options.split(","):
        name, _, value = option.partition("=")
        if name == "upperdir":
            return _ESCAPED.sub(r"\1", unescape(value))
    return ""


def _unescaped(name: str, value: str) -> list[str]:
    parts = _COLON.split(value) if name == "lowerdir" else [value]
    return [_ESCAPED.sub(r"\1", part) for part in parts]
