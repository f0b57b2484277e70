"""From the journal and what was counted to what can be told of this machine's protection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from snap_self.errors import ExitStatus
from snap_self.model.executions import DONE
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
    records: Iterable[RunRecord], tally: Tally, moment: Moment, known: Summary | None = None
) -> Summary:
    """Return the summary of this machine; of another one's journal nothing is taken.

    Args:
        records: of the journal, newest first; all, or the newest of them.
        known: an earlier summary, for the disks that no such record is of; None where ``records``
            are all there are.
    """
    if is_of_another(tally, machine=moment.machine):
        tally, known = Tally(machine=moment.machine), None
    latest = moment.now + SLACK
    own = [
        each for each in records if each.instance_id == tally.instance_id and each.started <= latest
    ]
    judge = _Judge(gone=frozenset(tally.gone), now=moment.now)
    if known is not None and known.instance_id != tally.instance_id:
        known = None
    every = _disks(own, tally, judge, known)
    attached = frozenset(tally.attached or (disk.disk_id for disk in every))
    disks = tuple(disk for disk in every if disk.disk_id in attached)
    # Since then each disk has a good one; None where one has none.
    cuts = [disk.cut for disk in disks]
    since = min((cut for cut in cuts if cut), default=None) if all(cuts) else None
    return Summary(
        written=moment.now,
        version=moment.version,
        instance_id=tally.instance_id,
        region=tally.region,
        boot_id=moment.boot_id,
        disks=disks,
        runs=tuple(tally.last[trigger] for trigger in sorted(tally.last)),
        unprotected=_settled(tally.unprotected, since),
        interrupted=_settled(tally.interrupted, since),
        uploading=sum(1 for each in own if each.upload and each.upload.going_on),
        upload_failed=_upload_failed(own, judge),
        retention_pending=sum(len(o.retention_pending) for each in own for o in each.orders),
        goes_back=min((each.waiting.deadline for each in own if each.waiting), default=None),
        went_back=_went_back(own, since),
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
        """Return disk to snapshot of what a run made and what was not seen to come to nothing."""
        if not _is_made(record) or (record.expires is not None and record.expires <= self.now):
            return {}
        lost = {*self.gone, *_lost(record)}
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


_Doubt = TypeVar("_Doubt", Unprotected, Interrupted)


def _settled(last: _Doubt | None, since: datetime | None) -> _Doubt | None:
    settled = last is not None and since is not None and since > last.at
    return replace(last, settled=True) if last is not None and settled else last


def _upload_failed(own: Iterable[RunRecord], judge: _Judge) -> int:
    """Count runs whose upload came to nothing, and whose disks have no good snapshot since."""
    count, since = 0, set[str]()
    for record in own:
        good, upload = judge.good(record), record.upload
        lost = upload is not None and not upload.going_on and not upload.accomplished
        if lost and not since.issuperset(record.disk_ids):
            count += 1
        since.update(good)
    return count


def _went_back(own: Iterable[RunRecord], since: datetime | None) -> datetime | None:
    times = (
        each.went_back.finished or each.went_back.began
        for each in own
        if each.went_back is not None and each.went_back.status == DONE
    )
    last = max((time for time in times if time), default=None)
    return last if last is not None and (since is None or since < last) else None
