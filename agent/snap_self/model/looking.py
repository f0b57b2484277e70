"""What `diff` found: which manifests were compared, what differs, and contents where asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from snap_self.errors import DiskLeft
from snap_self.model.differences import Differences, Kind
from snap_self.model.ids import RunId
from snap_self.model.temporary import CopyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One of the two that were compared.

    Args:
        run_id: the run that took the manifest; None for the machine as it is now.
        before: what that run was made for.
        taken: when its manifest was.
        complete: every part of it was read to its end.
    """

    run_id: RunId | None
    before: str
    instance_id: str
    taken: datetime
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a path is in a tree of files.

    Args:
        mode: ``st_mode``, whole.
        size: bytes.
        device: ``st_dev``; what lies on another is not of the same tree.
        target: where a link points; empty for anything else.
    """

    mode: int
    size: int
    device: int
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """How one file differs in its content.

    Args:
        lines: a unified diff, without ends of lines; bytes that are no UTF-8 as Python reads them.
        why: there are no lines; empty where there are.
    """

    path: str
    kind: Kind
    lines: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What looking into the snapshot itself gave.

    Args:
        same: how many files are the same.
        notes: what was left out.
    """

    found: tuple[Content, ...] = ()
    same: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What a change has made of the machine.

    Args:
        taken: when that was noted, soon after the change had ended.
        differences: without what changes by itself.
    """

    taken: datetime
    differences: Differences


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffReport:
    """What `diff` has to tell.

    Args:
        differences: all of them; what is usual is marked.
        everything: what is usual counts too.
        paths: nothing else was asked for; empty for all that a manifest has.
        outside: those of the paths of which a manifest has nothing.
        unread: those of the paths whose contents had to be looked at in the snapshot, and were not.
        contents: None where the snapshot was not opened.
        notes: what else is to be known.
        copy: the copy that was opened for it, as it ended; None where none was.
        left: what is to be said of a disk that stays; None if none does.
    """

    before: Looked
    after: Looked
    differences: Differences
    everything: bool = False
    paths: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    contents: Contents | None = None
    notes: tuple[str, ...] = field(default=())
    copy: CopyRecord | None = None
    left: DiskLeft | None = None

    @property
    def different(self) -> bool:
        """Whether anything that was asked for differs."""
        return self.differences.different or bool(self.contents and self.contents.found)
