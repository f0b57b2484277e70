"""From the journal and what was counted to what can be told of this machine's protection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from snap_self.model.executions import DONE
from snap_self.model.result import Result
from snap_self.model.run import RunRecord
from snap_self.model.summary import DiskSummary, Summary, Tally, Unprotected
from snap_self.watching.counting import is_of_another

_NO_USE = (Result.OPEN, Result.FAILED, Result.ASKED, Result.INTERRUPTED)


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
    own = [each for each in records if each.instance_id == tally.instance_id]
    gone = frozenset(tally.gone)
    if known is not None and known.instance_id != tally.instance_id:
        known = None
    every = _disks(own, tally.seen, gone, known)
    attached = frozenset(tally.attached or (disk.disk_id for disk in every))
    disks = tuple(disk for disk in every if disk.disk_id in attached)
    newest = max((disk.cut for disk in disks if disk.cut), default=None)
    return Summary(
        written=moment.now,
        version=moment.version,
        instance_id=tally.instance_id,
        region=tally.region,
        boot_id=moment.boot_id,
        disks=disks,
        runs=tuple(tally.last[trigger] for trigger in sorted(tally.last)),
        unprotected=_unprotected(tally.unprotected, newest),
        uploading=sum(1 for each in own if each.upload and each.upload.going_on),
        upload_failed=_upload_failed(own, gone),
        retention_pending=sum(len(o.retention_pending) for each in own for o in each.orders),
        goes_back=min((each.waiting.deadline for each in own if each.waiting), default=None),
        went_back=_went_back(own, newest),
        counts=tally.counts,
    )


def _good(record: RunRecord, gone: Collection[str]) -> Mapping[str, str]:
    """Return disk to snapshot of what a run made and what was not seen to come to nothing."""
    upload = record.upload
    doubted = record.result in _NO_USE or record.unseen is not None
    if doubted and not (upload and upload.accomplished):
        return {}
    lost = {*gone, *(upload.failed if upload else ()), *(upload.deleted if upload else ())}
    return {
        disk_id: snapshot_id
        for order in record.orders
        for disk_id, snapshot_id in order.snapshot_ids.items()
        if snapshot_id not in lost
    }


def _disks(
    own: Iterable[RunRecord],
    seen: Mapping[str, int],
    gone: Collection[str],
    known: Summary | None,
) -> tuple[DiskSummary, ...]:
    found: dict[str, DiskSummary] = {}
    asked: set[str] = set()
    looked = set()
    for record in own:
        looked.add(record.run_id)
        asked.update(record.disk_ids)
        for disk_id, snapshot_id in _good(record, gone).items():
            found.setdefault(disk_id, _disk(disk_id, snapshot_id, record))
    for disk in known.disks if known else ():
        # A run that is looked at and was good once is not any more.
        if disk.run_id not in looked and disk.snapshot_id not in gone:
            found.setdefault(disk.disk_id, disk)
        asked.add(disk.disk_id)
    every = (found.get(disk_id) or DiskSummary(disk_id=disk_id) for disk_id in sorted(asked))
    return tuple(replace(disk, snapshots=seen.get(disk.disk_id)) for disk in every)


def _disk(disk_id: str, snapshot_id: str, record: RunRecord) -> DiskSummary:
    # The cut lies between the run's beginning and its end: no younger age is claimed than that.
    return DiskSummary(
        disk_id=disk_id,
        snapshot_id=snapshot_id,
        run_id=record.run_id,
        cut=record.started,
        consistency=record.consistency_reached,
    )


def _unprotected(last: Unprotected | None, newest: datetime | None) -> Unprotected | None:
    settled = last is not None and newest is not None and newest > last.at
    return replace(last, settled=True) if last is not None and settled else last


def _upload_failed(own: Iterable[RunRecord], gone: Collection[str]) -> int:
    """Count runs whose upload came to nothing, and whose disks have no good snapshot since."""
    count, since = 0, set[str]()
    for record in own:
        good, upload = _good(record, gone), record.upload
        if upload and upload.failed and not since.issuperset(record.disk_ids):
            count += 1
        since.update(good)
    return count


def _went_back(own: Iterable[RunRecord], newest: datetime | None) -> datetime | None:
    times = (
        each.went_back.finished or each.went_back.began
        for each in own
        if each.went_back is not None and each.went_back.status == DONE
    )
    last = max((time for time in times if time), default=None)
    return last if last is not None and (newest is None or newest < last) else None
