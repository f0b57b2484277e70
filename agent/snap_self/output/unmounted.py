"""What `unmount` ended, as text and as JSON (schema 1; fields are only ever added)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from snap_self.errors import ExitStatus
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.model.snapshots import RESTORE_TAG
from snap_self.model.temporary import CopyRecord, DamagedRecord, DiskStage
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.restored import disks_json
from snap_self.output.streams import Streams, Style
from snap_self.output.text import short_instant, write_error, write_paragraph
from snap_self.recovery.temporary.rules import is_due
from snap_self.usecases.looking_back.ending import Ended, disk_left
from snap_self.usecases.looking_back.sweeping import Swept


def status_of(swept: Swept) -> ExitStatus:
    """Return what a command ends with that was to end something."""
    return ExitStatus.DISK_LEFT if swept.left or swept.damaged else ExitStatus.DONE


def write_unmounted(streams: Streams, swept: Swept) -> None:
    """Write what was ended, what is open still, and loudly what could not be ended."""
    if streams.json:
        error = ErrorReport.of(swept.left[0]) if swept.left else None
        write_json(streams, unmounted_json(swept), error=error)
        return
    for ended in swept.ended:
        if not ended.why:
            write_paragraph(streams, ended_words(ended))
    for record in swept.open:
        write_paragraph(streams, open_words(record))
    if not swept.ended and not swept.open:
        streams.message("Nothing is open.")
    for damaged in swept.damaged:
        write_paragraph(
            streams,
            f"snap-self: {damaged.text}: what it told of may exist and cost money: a disk with the "
            f"tag {RESTORE_TAG}={damaged.restore_id}. `snap-self unmount --all` looks for it, and "
            "gives it up a day after it began.",
            style=Style.BAD,
            loud=True,
        )
    for left in swept.left:
        write_error(streams, left)


def left_lines(
    records: Sequence[CopyRecord], damaged: Sequence[DamagedRecord], now: datetime
) -> tuple[str, ...]:
    """Return what every command says at its end as long as anything is left, or open."""
    return (
        *(
            open_words(each) if not is_due(each, now) else f"snap-self: {disk_left(each).message}"
            for each in records
        ),
        *(
            f"snap-self: {each.text}: a temporary disk may be left and cost money"
            for each in damaged
        ),
        *(f"  -> {hint}" for hint in dict.fromkeys(_hints(records, now))),
        *(["  -> `snap-self unmount --all` looks for it by its tags"] if damaged else []),
    )


def _hints(records: Sequence[CopyRecord], now: datetime) -> Iterator[str]:
    """Yield what is to be done about those that are due."""
    yield from (disk_left(each).hint for each in records if is_due(each, now))


def ended_words(ended: Ended) -> str:
    """Return what was done of what was to end; nothing that was not."""
    record = ended.record
    if ended.elsewhere:
        return (
            f"Dropped the record of {name_of(record)}: it is of instance {record.instance_id}, and "
            "so are its disks."
        )
    told = [f"Closed {name_of(record)}."]
    gone = [disk for disk in record.disks if disk.stage is DiskStage.GONE and disk.disk_id]
    if gone:
        told.append("Its disk is deleted." if len(gone) == 1 else "Its disks are deleted.")
    for disk in record.disks:
        if disk.stage is DiskStage.GIVEN_UP and disk.disk_id:
            told.append(
                f"{disk.disk_id} is not deleted, since it is not known to be a temporary disk any "
                "more: see to it in the console."
            )
        elif disk.stage is DiskStage.GIVEN_UP:
            told.append(
                "Whether the cloud made a disk was never told; none was seen for a day. Its tag "
                f"would be {RESTORE_TAG}={record.restore_id}."
            )
    if len(told) == 1:
        told.append("No disk was there to delete.")
    return " ".join(told)


def name_of(record: CopyRecord) -> str:
    """Return how people know a copy."""
    if not record.source:
        return f"{record.restore_id}, whose record was damaged"
    at = f" at {record.mounted_at}" if record.mounted_at else ""
    return f"{record.snapshot} ({record.source}){at}, opened for {record.purpose.value}"


def open_words(record: CopyRecord) -> str:
    """Return what is said of a mount that is still open."""
    return (
        f"Open: {name_of(record)}, until {short_instant(record.until)}; `snap-self unmount "
        f"{record.restore_id}` ends it now."
    )


def unmounted_json(swept: Swept) -> dict[str, Any]:
    """Return the same as a JSON object."""
    status = status_of(swept)
    return {
        **envelope(
            "unmount",
            exit_status=status,
            result=Result.PARTIAL if status else Result.DONE,
            error=ErrorReport.of(swept.left[0]) if swept.left else None,
        ),
        "ended": [_ended(each) for each in swept.ended],
        "open": [open_json(each) for each in swept.open],
        "notes": [each.text for each in swept.damaged],
    }


def open_json(record: CopyRecord) -> dict[str, Any]:
    """Return a mount that is open."""
    return {
        "id": record.restore_id,
        "snapshot": record.snapshot,
        "mounted_at": record.mounted_at or None,
        "until": when(record.until),
    }


def _ended(ended: Ended) -> dict[str, Any]:
    record = ended.record
    return {
        "id": record.restore_id,
        "purpose": record.purpose.value,
        "snapshot": record.snapshot,
        "mounted_at": record.mounted_at or None,
        "disks": disks_json(record),
        "why": ended.why,
    }
