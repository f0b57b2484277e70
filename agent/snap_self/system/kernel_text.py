"""Reads the kernel's tables unchanged: names in them are bytes that others choose.

Only ``\\n`` ends a line; the kernel escapes it in a name. The kernel does not escape ``\\r`` and
the other characters that ``str.splitlines`` and universal newlines take for the end of a line.

Source: seq_file.c, mangle_path(); proc_namespace.c, show_mountinfo(): ``" \\t\\n\\\\#"``.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def read_kernel_text(path: Path | str) -> str:
    """Return a file of procfs or sysfs without its final newline.

    Raises:
        OSError: it cannot be read.
    """
    # Not by ``pathlib``, which takes longer to load than all that processes beside a command load.
    with open(path, "rb") as file:  # noqa: PTH123
        raw = file.read()
    return raw.decode("utf-8", "surrogateescape").removesuffix("\n")


def text_if_there(path: Path | str) -> str:
    """Return the same, or nothing where it cannot be read: a process may end meanwhile."""
    try:
        return read_kernel_text(path)
    except OSError:
        return ""


def link_if_there(path: str) -> str:
    """Return what a link holds, unfollowed; nothing where it cannot be read."""
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return ""


def names_if_there(folder: str) -> list[str]:
    """Return the names in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []
