"""From the journal and what was counted to what can be told of this machine's protection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from snap_self.errors import ExitStatus
from snap_self.model.executions import Back
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Upload
from snap_self.model.summary import DiskSummary, Interrupted, Summary, Tally, Unprotected
from snap_self.model.verification import Verdict
from snap_self.watching.counting import is_of_another

_NO_USE = (Result.OPEN, Result.FAILED, Result.ASKED, Result.INTERRUPTED)
# Nobody waited until it was made; whether it was, the end of its upload shows.
_UNSEEN = (Result.ASKED, Result.INTERRUPTED)
# Clocks are set.
SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When, where and by what a summary is put together.

    Args:
        machine: the firmware's name of this machine; empty where it is not known.
    """

    now: datetime
    version: str
    boot_id: str
    machine: str = ""


def summarize(
    records: Iterable[RunRecord],
    tally: Tally,
    moment: Moment,
    earlier: Summary | None = None,
    *,
    whole: bool,
) -> Summary:
    """Return the summary of this machine; of another one's journal nothing is taken.

    Args:
        records: of the journal, newest first.
        earlier: the summary before, if there is one: what was settled stays so.
        whole: the records are all there are; else ``earlier`` tells of the disks that they are
            not of.
    """
    if is_of_another(tally, machine=moment.machine):
        tally, earlier = Tally(machine=moment.machine), None
    latest = moment.now + SLACK
    own = [
        each for each in records if each.instance_id == tally.instance_id and each.started <= latest
    ]
    judge = _Judge(gone=frozenset(tally.gone), now=moment.now)
    if earlier is not None and earlier.instance_id != tally.instance_id:
        earlier = None
    known = None if whole else earlier
    every = _disks(own, tally, judge, known)
    attached = frozenset(tally.attached or (disk.disk_id for disk in every))
    disks = tuple(disk for disk in every if disk.disk_id in attached)
    made = _Made.of(own, judge, known, disks)
    back = _went_back(own, made)
    return Summary(
        written=moment.now,
        version=moment.version,
        instance_id=tally.instance_id,
        region=tally.region,
        boot_id=moment.boot_id,
        disks=disks,
        runs=tuple(tally.last[trigger] for trigger in sorted(tally.last)),
        unprotected=_settled(tally.unprotected, made, earlier.unprotected if earlier else None),
        interrupted=_settled(tally.interrupted, made, earlier.interrupted if earlier else None),
        uploading=sum(1 for each in own if each.upload and each.upload.going_on),
        upload_failed=_upload_failed(own, judge, made),
        retention_pending=sum(len(o.retention_pending) for each in own for o in each.orders),
        goes_back=min((each.waiting.deadline for each in own if each.waiting), default=None),
        went_back=back[0] if back else None,
        back_in_part=back is not None and back[1],
        counts=tally.counts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Tells which snapshots are good.

    Args:
        gone: those that are not there any more.
    """

    gone: Collection[str]
    now: datetime

    def good(self, record: RunRecord) -> Mapping[str, str]:
        """Return disk to snapshot of what a run made and what is a way back now."""
        if record.expires is not None and record.expires <= self.now:
            return {}
        made = self.made(record)
        return {disk: snapshot for disk, snapshot in made.items() if snapshot not in self.gone}

    def made(self, record: RunRecord) -> Mapping[str, str]:
        """Return disk to snapshot of what a run made and what was not seen to come to nothing.

        It may have been deleted since, as is every snapshot in its time.
        """
        if not _is_made(record):
            return {}
        lost = {*_lost(record)}
        return {
            disk_id: snapshot_id
            for order in record.orders
            for disk_id, snapshot_id in order.snapshot_ids.items()
            if snapshot_id not in lost
        }


def _is_made(record: RunRecord) -> bool:
    """Tell whether a run's snapshots are known to be made."""
    upload = record.upload
    if upload is not None and not upload.going_on and not _explains(upload):
        return False
    if record.unseen is None and record.result not in _NO_USE:
        return True
    waited = record.exit_status == ExitStatus.WAIT_RAN_OUT
    unseen = record.unseen is not None or record.result in _UNSEEN or waited
    return unseen and upload is not None and upload.accomplished


def _explains(upload: Upload) -> bool:
    """Tell whether the end of an upload is known: each snapshot is whole, or named as lost."""
    return upload.accomplished or bool(upload.failed or upload.deleted)


def _lost(record: RunRecord) -> Iterable[str]:
    """Return what came to nothing, was deleted, or was opened and found damaged."""
    upload = record.upload
    damaged = (sid for sid, found in record.verified.items() if found.result is Verdict.DAMAGED)
    return (*(upload.failed if upload else ()), *(upload.deleted if upload else ()), *damaged)


def _disks(
    own: Iterable[RunRecord], tally: Tally, judge: _Judge, known: Summary | None
) -> tuple[DiskSummary, ...]:
    found: dict[str, DiskSummary] = {}
    asked: set[str] = set(tally.wanted)
    looked = set()
    for record in own:
        looked.add(record.run_id)
        asked.update(record.disk_ids)
        for disk_id, snapshot_id in judge.good(record).items():
            found.setdefault(disk_id, _disk(disk_id, snapshot_id, record))
    for disk in known.disks if known else ():
        # A run that is looked at and was good once is not any more.
        if disk.run_id not in looked and disk.snapshot_id not in judge.gone:
            found.setdefault(disk.disk_id, disk)
        asked.add(disk.disk_id)
    every = (found.get(disk_id) or DiskSummary(disk_id=disk_id) for disk_id in sorted(asked))
    return tuple(replace(disk, snapshots=tally.seen.get(disk.disk_id)) for disk in every)


def _disk(disk_id: str, snapshot_id: str, record: RunRecord) -> DiskSummary:
    # The cut lies between the run's beginning and its end: no younger age is claimed than that.
    return DiskSummary(
        disk_id=disk_id,
        snapshot_id=snapshot_id,
        run_id=record.run_id,
        cut=record.started,
        consistency=record.consistency_reached,
        expires=record.expires,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """When a good snapshot was last made of each disk, whether or not it is there still.

    Args:
        last: nothing of a disk that none was made of.
        judged: the disks that this machine is judged by.
    """

    last: Mapping[str, datetime]
    judged: frozenset[str]

    @classmethod
    def of(
        cls,
        own: Iterable[RunRecord],
        judge: _Judge,
        known: Summary | None,
        disks: Iterable[DiskSummary],
    ) -> _Made:
        last: dict[str, datetime] = {}
        looked = set()
        for record in own:
            looked.add(record.run_id)
            for disk_id in judge.made(record):
                last.setdefault(disk_id, record.started)
        for disk in known.disks if known else ():
            if disk.cut is not None and disk.run_id not in looked:
                last.setdefault(disk.disk_id, disk.cut)
        return cls(last=last, judged=frozenset(disk.disk_id for disk in disks))

    def since(self, at: datetime, disk_ids: Iterable[str] = ()) -> bool:
        """Tell whether one was made of each of these disks since, or else of each there is."""
        asked = self.judged.intersection(disk_ids) or self.judged
        return bool(asked) and all(
            (made := self.last.get(disk_id)) is not None and made > at for disk_id in asked
        )


_Doubt = TypeVar("_Doubt", Unprotected, Interrupted)


def _settled(last: _Doubt | None, made: _Made, before: _Doubt | None) -> _Doubt | None:
    if last is None:
        return None
    settled = replace(last, settled=True)
    return settled if before == settled or made.since(last.at) else last


def _upload_failed(own: Iterable[RunRecord], judge: _Judge, made: _Made) -> int:
    """Count runs whose upload came to nothing, and whose disks had no good snapshot since."""
    count, since = 0, set[str]()
    for record in own:
        upload = record.upload
        lost = upload is not None and not upload.going_on and not upload.accomplished
        # A disk that was detached, or is left out by now, gets none.
        if lost and not since.issuperset(made.judged.intersection(_hurt(record))):
            count += 1
        since.update(judge.made(record))
    return count


def _hurt(record: RunRecord) -> Iterable[str]:
    """Return the disks whose snapshots came to nothing; all where nobody saw which."""
    lost = frozenset(_lost(record))
    named = [
        disk_id
        for order in record.orders
        for disk_id, snapshot_id in order.snapshot_ids.items()
        if snapshot_id in lost
    ]
    return named or record.disk_ids


def _went_back(own: Iterable[RunRecord], made: _Made) -> tuple[datetime, bool] | None:
    """Return when it last did, and whether not each disk is known to; None where that is settled.

    It is where each disk of that run has had a good snapshot since.
    """
    times = (
        (time, record.disk_ids, back.back is not Back.ALL)
        for record in own
        if (back := record.went_back) is not None and back.brought_back
        # One that still waits for the boot check has no end; what was armed began long before.
        if (time := back.finished or back.deadline or back.began) is not None
    )
    last = max(times, key=lambda each: each[0], default=None)
    return (last[0], last[2]) if last is not None and not made.since(*last[:2]) else None
