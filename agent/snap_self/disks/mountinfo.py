"""Parse ``/proc/PID/mountinfo`` and the escapes it shares with ``/proc/swaps``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from snap_self.errors import TopologyError

_ESCAPE = re.compile(r"\\([0-3][0-7]{2})")
_FIRST_OPTIONAL = 6
_AFTER_SEPARATOR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MountLine:
    """One line of mountinfo, unescaped except for ``super_options``.

    Args:
        devno: ``major:minor`` of the superblock; the only device name that can be trusted.
        read_only: either this mount or its superblock is.
        source: may be stale, ``/dev/root``, ``none`` or a label.
        super_options: still escaped, since a value may hold the comma that separates options.
    """

    mount_id: int
    parent_id: int
    devno: str
    root: str
    path: str
    read_only: bool
    fstype: str
    source: str
    super_options: str

    @property
    def nothing_to_write(self) -> bool:
        """Whether the superblock is read-only; if only this mount is, others may still write."""
        return _is_read_only(self.super_options)


def unescape(text: str) -> str:
    r"""Return the text with ``\ooo`` replaced by the byte it stands for."""
    if "\\" not in text:
        return text
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
    if raw.isascii():
        return raw
    # Escapes are bytes of UTF-8; characters that were not escaped are already whole.
    parts = _ESCAPE.split(text)
    encoded = b"".join(
        bytes([int(part, 8)]) if index % 2 else part.encode(errors="surrogateescape")
        for index, part in enumerate(parts)
    )
    return encoded.decode(errors="surrogateescape")


def parse_mountinfo(text: str, *, origin: str) -> list[MountLine]:
    """Return the mounts in the kernel's order.

    Args:
        origin: the file's path, for messages.

    Raises:
        TopologyError: a line does not have the documented form.

    Source: proc_pid_mountinfo(5).
    """
    mounts = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            mounts.append(_parse_line(line, origin, number))
    return mounts


def _parse_line(line: str, origin: str, number: int) -> MountLine:
    fields = line.split(" ")
    try:
        # Optional fields end at the first lone hyphen; a hyphen in a path comes before field 7.
        tail = fields.index("-", _FIRST_OPTIONAL)
        fstype, source = fields[tail + 1], fields[tail + 2]
        # ext3 and others may show an empty option string.
        options = fields[tail + _AFTER_SEPARATOR] if len(fields) > tail + _AFTER_SEPARATOR else ""
        mount_id, parent_id = int(fields[0]), int(fields[1])
    except (ValueError, IndexError):
        raise TopologyError(
            f"{origin} line {number} is not a mountinfo line: {line[:120]!r}",
            hint="please report this line together with the kernel's version",
        ) from None
    root, path = fields[3], fields[4]
    if "\\" in line:
        root, path, fstype, source = map(unescape, (root, path, fstype, source))
    return MountLine(
        mount_id=mount_id,
        parent_id=parent_id,
        devno=fields[2],
        root=root,
        path=path,
        read_only=_is_read_only(fields[5]) or _is_read_only(options),
        fstype=fstype,
        source=source,
        super_options=options,
    )


def _is_read_only(options: str) -> bool:
    return options == "ro" or options.startswith("ro,")  # always the first


def options(mount: MountLine) -> Iterator[tuple[str, str]]:
    """Yield the superblock options as name and unescaped value."""
    for option in mount.super_options.split(","):
        name, _, value = option.partition("=")
        yield name, unescape(value)
