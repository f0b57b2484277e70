"""Data disks that go back while the system runs: what will be done, what was, what is half-way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from snap_self.errors import ExitStatus
from snap_self.model.going_back import (
    DamagedReturn,
    DiskSeen,
    Heading,
    ReturnRecord,
    SetAside,
)
from snap_self.model.result import Result
from snap_self.output.jsonform import when, write_json
from snap_self.output.rollback import loss_lines, rollback_json
from snap_self.output.streams import Streams
from snap_self.output.text import instant_words
from snap_self.recovery.online import (
    GOES_ON,
    damaged_hint,
    fate_words,
    mind_words,
    unfinished,
)
from snap_self.usecases.going_back.judging import OnlineJudged
from snap_self.usecases.going_back.online import Returned

STILL = "it was interrupted"


def status_of(record: ReturnRecord) -> ExitStatus:
    """Return what the command ends with."""
    partly = record.not_started or record.not_mounted or record.beneath
    return ExitStatus.RESTORED_IN_PART if partly else ExitStatus.DONE


def online_lines(online: OnlineJudged, now: datetime, *, snapshot_first: bool) -> Iterator[str]:
    """Yield what is to be done now, and what is lost by it."""
    yield from loss_lines(online.judged, now)
    if snapshot_first:
        yield "Made       first, a snapshot of the present state, which is waited for"
    else:
        yield "Made       no snapshot of the present state (--snapshot-first makes one)"
    record = online.record
    if record.places:
        yield f"Unmounted  meanwhile: {', '.join(record.places)}"
    running = [unit.name for unit in record.units if unit.was_active]
    if running:
        yield f"Stopped    meanwhile: {', '.join(running)}"
    idle = [unit.name for unit in record.units if not unit.was_active]
    if idle:
        yield f"Stays off  {', '.join(idle)}: it does not run now"
    yield from (f"Mind       {line}" for line in mind_words(record, online.standing))
    yield from (f"Note       {line}" for line in online.judged.notes)


def write_returned(streams: Streams, returned: Returned) -> None:
    """Write what went back, and what is in use again."""
    record = returned.record
    if streams.json:
        done = rollback_json(
            returned.judged.judged,
            result=Result.DONE if status_of(record) is ExitStatus.DONE else Result.PARTIAL,
            exit_status=status_of(record),
            online=online_json(record),
        )
        write_json(streams, done)
        return
    for disk in record.disks:
        streams.data(f"Went back  {disk.disk_id}, to {disk.snapshot_id}")
    if record.places and not record.not_mounted:
        streams.data(f"Mounted    {', '.join(record.places)}")
    for why in record.not_mounted:
        streams.fault(f"snap-self: not mounted again: {why}")
    started = [unit.name for unit in record.units if unit.was_active]
    if started and not record.not_started:
        streams.data(f"Started    {', '.join(started)}")
    for why in record.not_started:
        streams.fault(f"snap-self: not started again: {why}")
    for who in record.beneath:
        streams.fault(f"snap-self: {who}")
    if record.present:
        streams.message(f"The state before is kept by run {record.present}.")


def online_json(record: ReturnRecord) -> dict[str, Any]:
    """Return the journal's record of it."""
    return {
        "id": record.return_id,
        "step": record.step.value,
        "units": [unit.name for unit in record.units if unit.was_active],
        "mounts": list(record.places),
        "not_started": list(record.not_started),
        "not_mounted": list(record.not_mounted),
        "beneath": list(record.beneath),
        "present_run": record.present or None,
        "ended": when(record.ended),
    }


def returned_notes(done: Sequence[ReturnRecord], run: str) -> Iterator[str]:
    """Yield what is known of disks that went back while the system ran.

    Args:
        done: newest first.
        run: only those to this run; empty for the last one, to whatever run.
    """
    left = [each for each in done if each.heading is not Heading.BACK and run in ("", each.run)]
    for record in left if run else left[:1]:
        at = instant_words(record.ended) if record.ended else "at a time that was not noted"
        if not record.went_back:
            yield f"rollback to run {record.run} was given up {at}: {fate_words(record)}"
            continue
        disks = ", ".join(record.disk_ids)
        kept = f"; the state before is kept by run {record.present}" if record.present else ""
        failed = _failed_words(record)
        yield f"{disks} went back to run {record.run} {at} (rollback --online){kept}{failed}"


def _failed_words(record: ReturnRecord) -> str:
    told = [f"not mounted again: {why}" for why in record.not_mounted]
    told += [f"not started again: {why}" for why in record.not_started]
    told += record.beneath
    return "".join(f"; {words}" for words in told)


def write_given_up(streams: Streams, record: ReturnRecord) -> None:
    """Write what is known of disks to which nothing is done any more, and what is left to do."""
    streams.data(f"Given up   rollback {record.return_id} to run {record.run}")
    streams.data(f"Disks      {fate_words(record)}")
    ids = ", ".join(record.disk_ids)
    streams.data(f"Attached   the ECS console tells whether {ids} are; if not, attach them there")
    if record.groups:
        streams.data(f"Activate   {', '.join(f'vgchange -ay {each}' for each in record.groups)}")
    if record.places:
        streams.data(f"Mount      what of this is not: {', '.join(record.places)}")
    if units := [unit.name for unit in record.units if unit.was_active]:
        streams.data(f"Start      what of this does not run: {', '.join(units)}")
    if not record.whole and not record.untouched:
        streams.message("The disks are of two times: what lies on several of them is torn.")
    if record.present:
        streams.message(f"The state before is kept by run {record.present}.")


def write_set_aside(streams: Streams, aside: SetAside) -> None:
    """Write where the disks of a record are that could not be read, and what is left to do."""
    damaged = aside.damaged
    streams.data(
        f"Given up   rollback {damaged.return_id}, whose record cannot be read: {damaged.why}"
    )
    streams.data(f"Kept       what is left of the record: {aside.kept}")
    if aside.guessed:
        streams.data("Disks      it names none; those of the last run are:")
    for disk in aside.disks:
        streams.data(f"Disk       {disk.disk_id} {_place_words(disk)}")
    if not aside.disks:
        streams.data("Disks      none is known; see in the ECS console that all are attached")
    streams.data(
        "Mount      what of /etc/fstab is not: `mount --all`, after `vgchange -ay` for LVM"
    )
    streams.data("Start      what does not run: `systemctl list-units --state=inactive,failed`")
    streams.message(
        "Whether a disk went back is not known any more: what lies on several may be of two times."
    )


def _place_words(disk: DiskSeen) -> str:
    if disk.elsewhere:
        return f"is attached to {', '.join(disk.elsewhere)}"
    if disk.here:
        return f"is attached here ({disk.status})"
    if not disk.status:
        return "is not shown by the cloud"
    return f"is {disk.status}, not attached: attach it in the ECS console"


def ended_words(record: ReturnRecord) -> str:
    """Return what became of one that was interrupted, and has ended now."""
    disks = ", ".join(record.disk_ids)
    failed = _failed_words(record)
    if not record.went_back:
        why = f": {record.trouble}" if record.trouble else ""
        return (
            f"rollback {record.return_id} has turned back, no disk was reset and nothing of "
            f"{disks} is lost{why}{failed}"
        )
    return (
        f"rollback {record.return_id}, which was interrupted, has ended: {disks} went back{failed}"
    )


def half_way_lines(
    records: Sequence[ReturnRecord], damaged: Sequence[DamagedReturn]
) -> tuple[str, ...]:
    """Return what every command says at its end as long as a rollback is not finished."""
    return (
        *(f"snap-self: {unfinished(each, each.trouble or STILL).message}" for each in records),
        *(
            f"snap-self: {each.where} cannot be read ({each.why}): a rollback may be half-way, and "
            "its disks not be attached, mounted or whole"
            for each in damaged
        ),
        *(f"  -> {damaged_hint(each)}" for each in damaged),
        *([f"  -> {GOES_ON}"] if records else []),
    )
