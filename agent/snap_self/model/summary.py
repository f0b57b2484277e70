"""What can be told of this machine's protection without asking anybody: of it, for watchers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from snap_self.model.snapshots import Consistency

# The cloud's limit of manual snapshots of a disk.
SNAPSHOT_LIMIT = 256
# The file of what happened and could not be counted so far.
UNTOLD = "untold.jsonl"
# The same once it is counted, until it is removed.
COUNTED = "untold-counted.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSummary:
    """The newest good snapshot of a disk that this machine knows of.

    Args:
        cut: when its content was fixed; None where no good snapshot is known.
        consistency: what it is worth; None where that is not known.
        snapshots: how many the disk was last seen to have; None where they were never counted.
        expires: when it may be deleted; None for never.
    """

    disk_id: str
    snapshot_id: str = ""
    run_id: str = ""
    cut: datetime | None = None
    consistency: Consistency | None = None
    snapshots: int | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The last run that was started in one way.

    Args:
        trigger: ``cli``, ``run`` or a package manager's name.
        exit_status: None while it has not ended, or where its end is not known.
        result: as the report has it; empty likewise.
        seconds: how long it took; None likewise.
        frozen_s: how long filesystems were frozen; None where none was.
    """

    trigger: str
    started: datetime
    exit_status: int | None = None
    result: str = ""
    code: str = ""
    seconds: float | None = None
    frozen_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unprotected:
    """The last change that a package manager went on with without a good snapshot.

    Args:
        code: why; of the error, or the name of a reason.
        settled: a good snapshot has been made since.
    """

    at: datetime
    manager: str
    code: str = ""
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The last hook that was interrupted, and whose change may have been made all the same.

    Args:
        settled: a good snapshot has been made since.
    """

    at: datetime
    manager: str
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted since this state directory was made; never goes down.

    Args:
        runs: by trigger, then by result (``done``, ``reused``, ``partial``, ``asked``, ``failed``).
        unprotected: by package manager.
        interrupted: hooks whose change may have been made all the same, likewise.
        calls: of the cloud's API, by action.
        throttled: of them those that were refused as one too many, by action.
    """

    runs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unprotected: Mapping[str, int] = field(default_factory=dict)
    interrupted: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    throttled: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What no record of a run holds, kept from one command to the next.

    Args:
        machine: the firmware's name of this machine; another one means that the file was copied.
        last: the last run of each trigger.
        seen: how many snapshots each disk was last seen to have.
        gone: snapshots that were deleted, or that the cloud does not show any more.
        attached: the disks that the last run saw, without those that every run leaves out; empty
            where none has looked.
        wanted: of them those that a snapshot is to be made of: nobody left them out.
    """

    instance_id: str = ""
    region: str = ""
    machine: str = ""
    counts: Counts = field(default_factory=Counts)
    last: Mapping[str, LastRun] = field(default_factory=dict)
    unprotected: Unprotected | None = None
    interrupted: Interrupted | None = None
    seen: Mapping[str, int] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the cloud was seen to have.

    Args:
        counts: of each disk here how many snapshots it has, whosever they are.
        shown: this instance's own; None where some may be missing.
    """

    instance_id: str
    counts: Mapping[str, int]
    shown: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The whole of it; holds no texts of users and no names of packages.

    Args:
        written: when it was put together.
        boot_id: of the boot in which that was.
        disks: those that snapshots were asked of, unless they are not attached any more.
        runs: one for each way that runs were started in, by its name.
        unprotected, interrupted: None where there was none.
        uploading: runs whose upload was not seen to end.
        upload_failed: runs whose upload came to nothing, and after which no good one was made.
        retention_pending: snapshots whose retention could not be set so far.
        goes_back: when this machine goes back unless somebody confirms; None for never.
        went_back: when it was last seen to have gone back; None where it was not, or where a good
            snapshot has been made since.
        back_in_part: not each of the disks is known to have gone back then.
    """

    written: datetime
    version: str
    instance_id: str = ""
    region: str = ""
    boot_id: str = ""
    disks: tuple[DiskSummary, ...] = ()
    runs: tuple[LastRun, ...] = ()
    unprotected: Unprotected | None = None
    interrupted: Interrupted | None = None
    uploading: int = 0
    upload_failed: int = 0
    retention_pending: int = 0
    goes_back: datetime | None = None
    went_back: datetime | None = None
    back_in_part: bool = False
    counts: Counts = field(default_factory=Counts)
