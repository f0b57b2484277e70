"""Which places root may take a decision, a program or a secret from: pure rules over a way.

A *way* is every directory, link and file that the kernel passes from ``/`` to what a path names.
Whoever owns or may write one hop of it can change what lies at its end. A thing reached by its
path is as safe as its way, since nobody else can exchange a hop afterwards.

The group's write bit also stands for every entry of an access control list: it holds their mask
(acl(5)).
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from snap_self.model.shell import command

WRITABLE_BY_OTHERS = 0o022
WRITABLE_BY_GROUP = 0o020
ANY_BY_OTHERS = 0o077
STICKY = 0o1000
ROOT_ALONE = frozenset({0})


class PathKind(Enum):
    """What lies at a path."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    SOCKET = "socket"
    OTHER = "other"


# What their modes allow is no change: of a link nothing (symlink(7)), of a socket to connect
# (unix(7)).
_MODE_MEANS_NO_CHANGE = frozenset({PathKind.LINK, PathKind.SOCKET})


@dataclass(frozen=True, slots=True, kw_only=True)
class PathHop:
    """One step on the way to a file: a directory, a symbolic link, or what is there at the end.

    Args:
        mode: permission bits.
        owner: user id.
        group: group id.
    """

    path: str
    kind: PathKind
    mode: int
    owner: int
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Distrust:
    """Why a place is not to be trusted.

    Args:
        hop: what somebody else can change.
        why: a sentence naming it.
        hint: what mends it.
    """

    hop: PathHop
    why: str
    hint: str


class Distrusted(PermissionError):
    """Root does not use what lies at a path, though the kernel would let it."""

    def __init__(self, found: Distrust) -> None:
        super().__init__(errno.EPERM, found.why, found.hop.path)
        self.found = found


def judge_way(
    hops: Sequence[PathHop],
    *,
    owners: Collection[int] = ROOT_ALONE,
    groups: Collection[int] = (),
    sticky: bool = False,
) -> Distrust | None:
    """Return what on the way others than its owners can change; None when nothing is.

    Args:
        hops: the whole way, from ``/`` on; the last is the thing itself.
        owners: user ids that every hop must belong to.
        groups: group ids that may write as its owners may.
        sticky: folders like ``/tmp`` are accepted above the thing: what lies there and belongs to
            one of the owners can be neither renamed nor removed by others (unlink(2), EPERM).
            Never for the thing itself.
    """
    return next(faults_of_way(hops, owners=owners, groups=groups, sticky=sticky), None)


def faults_of_way(
    hops: Sequence[PathHop],
    *,
    owners: Collection[int] = ROOT_ALONE,
    groups: Collection[int] = (),
    sticky: bool = False,
) -> Iterator[Distrust]:
    """Yield everything on the way that others than its owners can change; see ``judge_way``."""
    for place, hop in enumerate(hops):
        above = place < len(hops) - 1
        writable = WRITABLE_BY_OTHERS & ~(WRITABLE_BY_GROUP if hop.group in groups else 0)
        written = _is_written_by(hop, writable, sticky=sticky and above)
        found = _changeable(hop, owners, written=written)
        if found is not None:
            yield found


def _changeable(hop: PathHop, owners: Collection[int], *, written: bool) -> Distrust | None:
    owned = hop.owner in owners
    owner = "root" if 0 in owners else str(min(owners))
    name = owner if 0 in owners else f"user id {owner}"
    mends = []
    if not owned:
        # Without -h it is the link's target that changes hands (chown(1)).
        option = ("-h",) if hop.kind is PathKind.LINK else ()
        mends.append(command("chown", *option, owner, hop.path))
    if written:
        mends.append(command("chmod", "go-w", hop.path))
    if not mends:
        return None
    why = (
        f"{hop.path} can be changed by others than {name} (mode {hop.mode:04o})"
        if owned
        else f"{hop.path} belongs to user id {hop.owner}, not to {name}"
    )
    return Distrust(hop=hop, why=why, hint=" && ".join(mends))


def _is_written_by(hop: PathHop, writable: int, *, sticky: bool) -> bool:
    if hop.kind in _MODE_MEANS_NO_CHANGE or not hop.mode & writable:
        return False
    return not (sticky and hop.kind is PathKind.FOLDER and hop.mode & STICKY)
