"""What a verification was to prove, what it has proved, and what not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from snap_self.errors import DiskLeft, ExitStatus, SnapSelfError, SnapshotDamaged
from snap_self.model.ids import SnapshotId
from snap_self.model.manifest import FileFact
from snap_self.model.opening import MOUNTABLE, Checked, CheckResult, Note
from snap_self.model.temporary import CopyRecord
from snap_self.model.verification import Verdict, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedEtc:
    """/etc as it lies in an opened copy.

    Args:
        files: by the path on the running system.
        changed_ns: when each was last changed (``st_ctime``), in nanoseconds.
        key_id: which key the digests are of.
        faults: what could not be looked at, and why, for people; empty if all could.
    """

    files: Mapping[str, FileFact]
    changed_ns: Mapping[str, int]
    key_id: str
    faults: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProof:
    """How /etc of a copy compares with what its run noted right before the cut.

    Args:
        compared: names that both have.
        equal: those of them of which nothing differs, as far as it was noted.
        by_time: those of the equal ones that are large, so that size and time stand for content.
        different: names that differ, are new or gone, although their own time of change is older
            than what was noted: so nobody has changed them since.
        changed: names that differ and were changed after that, before the cut.
        unreadable: names whose content cannot be read in the copy.
        not_known: names whose content was not noted, or by another key.
        manifest_held: the copy holds what the run noted, byte for byte; None where the state
            directory does not lie there, or nothing was noted.
        why: why less was compared than there is; empty if all was.
    """

    compared: int = 0
    equal: int = 0
    by_time: int = 0
    different: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    manifest_held: bool | None = None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """What it comes to."""
        if self.different or self.unreadable or self.manifest_held is False:
            return Verdict.DAMAGED
        if self.changed or self.not_known or self.why:
            return Verdict.IN_PART
        return Verdict.PROVED


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemProof:
    """What was proved of one filesystem.

    Args:
        source: its mount point; of a disk of which nothing is mounted, the disk.
        fstype: empty if it is not known.
        opened: a disk made of the snapshot was looked at.
        checked: what the filesystem's own checker said; None if it was not reached.
        files: None where nothing of what the run noted lies there.
        verdict: what all of it comes to.
        code: the stable code of what kept it from being opened; empty if it was.
        why: the same in words.
        record: the copy as it ended; None if none was begun.
        caveats: what was not as it should be while it was open.
    """

    source: str
    fstype: str
    snapshot_ids: tuple[SnapshotId, ...]
    opened: bool
    checked: Checked | None
    files: FileProof | None
    verdict: Verdict
    code: str = ""
    why: str = ""
    record: CopyRecord | None = None
    caveats: tuple[Note, ...] = ()

    @property
    def replayed(self) -> bool:
        """Whether it was mounted, by which the kernel replays its log."""
        return self.opened and self.fstype in MOUNTABLE


def verdict_of(checked: Checked, files: FileProof | None) -> Verdict:
    """Return what an opened filesystem has come to."""
    told = files.verdict if files else Verdict.PROVED
    if Verdict.DAMAGED is told or checked.result is CheckResult.DAMAGED:
        return Verdict.DAMAGED
    return told if checked.clean else Verdict.IN_PART


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of a verification.

    Args:
        name: the run's, or the group's or snapshot's if no tag tells the run.
        recorded: the journal has it now.
        tagged: the snapshots carry it in the cloud.
        stopped: what ended it before all was looked at; None if nothing did.
        left: what is to be said of a disk that stays; None if none does.
    """

    name: str
    at: datetime
    filesystems: tuple[FilesystemProof, ...]
    recorded: bool = False
    tagged: bool = False
    notes: tuple[str, ...] = ()
    stopped: SnapSelfError | None = None
    left: DiskLeft | None = None

    @property
    def result(self) -> Verdict:
        """What all of it comes to."""
        found = worst([each.verdict for each in self.filesystems])
        whole = found is not Verdict.PROVED or self.stopped is None
        return found if whole else Verdict.IN_PART

    @property
    def error(self) -> SnapSelfError | None:
        """What failed: a disk that costs money, damage, or what ended it; None for a weak proof."""
        if self.left is not None:
            return self.left
        if self.result is Verdict.DAMAGED:
            names = ", ".join(e.source for e in self.filesystems if e.verdict is Verdict.DAMAGED)
            return SnapshotDamaged(
                f"what {self.name} holds of {names} is damaged, or is not what was there",
                hint="do not count on it: look at what is there now, and make a new snapshot",
            )
        return self.stopped

    @property
    def exit_status(self) -> ExitStatus:
        """What the command ends with."""
        if self.error is not None:
            return self.error.exit_status
        return ExitStatus.DONE if self.result is Verdict.PROVED else ExitStatus.WEAKER
