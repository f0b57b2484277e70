"""Which names in a hook directory are not hooks."""

from __future__ import annotations

# Those that qemu-ga's own dispatcher passes over (scripts/qemu-guest-agent/fsfreeze-hook), to
# which this adds the names that editors and run-parts(8) pass over.
_ENDINGS = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".sample", ".swp")
_DPKG = ".dpkg-"


def is_ignored(name: str) -> bool:
    """Tell whether a file of that name is left alone: a backup, a sample, a hidden file."""
    return name.startswith((".", "#")) or name.endswith(_ENDINGS) or _DPKG in name
