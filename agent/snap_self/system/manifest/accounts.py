"""Users and groups of /etc/passwd and /etc/group; never what shadow holds."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[int, int, str, tuple[str, ...]]
"""User id, group id, shell, groups."""


def parse_users(passwd: str, group: str) -> dict[str, Row]:
    """Return the accounts, each with the names of the groups that list it.

    Source: passwd(5), group(5).
    """
    member_of: dict[str, list[str]] = {}
    for name, _, members in _groups(group):
        for member in filter(None, members.split(",")):
            member_of.setdefault(member, []).append(name)
    found: dict[str, Row] = {}
    for line in passwd.split("\n"):
        fields = line.split(":")
        if len(fields) == 7 and fields[0] and _is_number(fields[2]) and _is_number(fields[3]):
            groups = tuple(sorted(member_of.get(fields[0], ())))
            found.setdefault(fields[0], (int(fields[2]), int(fields[3]), fields[6], groups))
    return found


def parse_groups(group: str) -> dict[str, int]:
    """Return the groups with their ids."""
    return {name: number for name, number, _ in reversed([*_groups(group)])}


def _groups(text: str) -> Iterator[tuple[str, int, str]]:
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) == 4 and fields[0] and _is_number(fields[2]):
            yield fields[0], int(fields[2]), fields[3]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
