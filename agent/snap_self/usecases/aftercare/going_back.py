"""Learn from OOS that disks were brought back to a run, and what became of it.

A disk that went back holds the journal as it was at the cut, in the middle of the very run that cut
it: nothing there tells what came afterwards. What the cloud keeps does. It is asked only where the
journal gives cause: a run that was under way in another boot, or one that a rollback was asked for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from snap_self.errors import SnapSelfError
from snap_self.model.executions import CANCELLED, Back, Execution
from snap_self.model.run import RollbackRecord, RunRecord, rebooted
from snap_self.model.snapshots import RUN_TAG, Identity
from snap_self.ports import Executions
from snap_self.recovery.outside import execution_tags
from snap_self.recovery.went_back import armed_it, how_far, return_words, with_seen
from snap_self.usecases.tools import Tools

# Nobody waits longer for what OOS has to tell.
ASKED_S = 3.0
# What is older is not asked for any more: the cloud forgets it too.
REMEMBERED = timedelta(days=7)
CLOCKS_DIFFER = timedelta(minutes=2)


def returned(tools: Tools, identity: Identity, record: RunRecord) -> Execution | None:
    """Return the execution that brought disks back to a run that was not seen to end.

    No execution names a run before its snapshots are usable. So one that does proves that the run
    came further than its record tells, which is then from a disk that went back.

    Returns:
        None where there is none, or where it cannot be told.
    """
    if not record.snapshot_ids and not any(order.group_id for order in record.orders):
        return None
    if record.armed is not None:
        return None  # noted after the cut, so the disk with this record did not go back to it
    if tools.executions is None or not rebooted(record.boot_id, tools.process.boot_id):
        return None
    tags = {**execution_tags(identity.instance_id), RUN_TAG: record.run_id}
    try:
        calls = tools.executions(identity)
        known = calls.newest(tags, deadline_s=ASKED_S)
    except SnapSelfError:
        return None  # what is said of the run leaves it open
    # One that sleeps on, as it waits for a later confirmation, has brought nothing back.
    begun = (each for each in known if each.status != CANCELLED and not _still_waits(each))
    followed = (how_far_it_came(calls, each) for each in begun)
    found = next((each for each in followed if each.back is not Back.NONE), None)
    # This record is proof that its own disk went back.
    return replace(found, reset=Back.PART) if found and found.is_doubtful else found


def how_far_it_came(calls: Executions, seen: Execution) -> Execution:
    """Return an execution; one that failed with how many disks had gone back, if that is told."""
    if not seen.is_doubtful:
        return seen
    with suppress(SnapSelfError):
        return replace(seen, reset=how_far(calls.tasks(seen.execution_id, deadline_s=ASKED_S)))
    return seen


def follow_returns(tools: Tools, identity: Identity) -> tuple[RunRecord, ...]:
    """Note what became of rollbacks that were not seen to end; return the records that changed.

    Those that waited for a confirmation are among them once their time has come.

    Call it only while holding the lock.

    Raises:
        ApiFault, CloudUnreachable: OOS does not tell; the records are as they were.
    """
    now = tools.clock.now()
    open_records = [each for each in tools.store.brought_back() if _is_open(each, now)]
    open_records += [each for each in tools.store.armed() if _is_due(each, now)]
    open_records = list({each.run_id: each for each in open_records}.values())
    if not open_records or tools.executions is None:
        return ()
    tags = execution_tags(identity.instance_id)
    calls = tools.executions(identity)
    known = calls.newest(tags, deadline_s=ASKED_S)
    changed = []
    for record in open_records:
        meant = (one for one in known if _is_meant(record, one) and not _still_waits(one))
        seen = next((how_far_it_came(calls, one) for one in meant), None)
        if seen is not None and seen != record.went_back:
            changed.append(with_seen(record, seen))
            tools.store.save(changed[-1])
            tell_log(tools, changed[-1])
    return tuple(changed)


def tell_log(tools: Tools, record: RunRecord) -> None:
    """Write to the system's log that disks were brought back to a run."""
    if record.went_back is not None and record.went_back.ended:
        tools.tell_system_log(return_words(record.label, record.went_back))


def _is_open(record: RunRecord, now: datetime) -> bool:
    """Tell whether the cloud may have more to tell of a record's last rollback."""
    seen, asked = record.went_back, record.rollback
    told = (record.started, asked.asked if asked else None, seen.began if seen else None)
    last = max(each for each in told if each)
    if now - last > REMEMBERED:
        return False
    if seen is None or not seen.ended or seen.is_doubtful:
        return True
    return not _is_meant(record, seen)


def _is_due(record: RunRecord, now: datetime) -> bool:
    """Tell whether what waited for a confirmation has begun by now, if nothing hindered it."""
    return record.waiting is not None and record.waiting.deadline <= now < (
        record.waiting.deadline + REMEMBERED
    )


def _still_waits(seen: Execution) -> bool:
    return not seen.ended and seen.deadline is not None and seen.is_harmless


def _is_meant(record: RunRecord, one: Execution) -> bool:
    """Tell whether an execution is of the last rollback to a run that is known."""
    armed, asked, seen = record.armed, record.rollback, record.went_back
    if seen is not None and not seen.ended and one.execution_id == seen.execution_id:
        return True  # also where another was armed since
    if armed is not None and armed.unconfirmed:
        return armed_it(record, one)
    if asked is None or _is_later(seen, asked):
        return seen is not None and one.execution_id == seen.execution_id
    if asked.execution_id:
        return one.execution_id == asked.execution_id
    # The answer was lost; the clocks of the cloud and of the machine differ a little.
    is_later = one.began is not None and one.began > asked.asked - CLOCKS_DIFFER
    return is_later and one.tags.get(RUN_TAG) == record.run_id


def _is_later(seen: Execution | None, asked: RollbackRecord) -> bool:
    """Tell whether an execution is of a rollback after the last that was asked for: one armed."""
    return seen is not None and seen.began is not None and seen.began > asked.asked + CLOCKS_DIFFER
