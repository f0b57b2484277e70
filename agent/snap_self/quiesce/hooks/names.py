"""The names in a hook directory that are not hooks."""

from __future__ import annotations

# The endings that qemu-ga's own dispatcher ignores (scripts/qemu-guest-agent/fsfreeze-hook), and
# those of editors' files and files that run-parts(8) ignores.
_ENDINGS = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".sample", ".swp")
_DPKG = ".dpkg-"


def is_ignored(name: str) -> bool:
    """Return whether a file of that name is ignored: a backup, a sample, a hidden file."""
    return name.startswith((".", "#")) or name.endswith(_ENDINGS) or _DPKG in name
