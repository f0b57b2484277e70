"""Give up a rollback that is half-way: nothing is done to its disks any more, by any command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snap_self.errors import UsageError
from snap_self.model.going_back import (
    DamagedReturn,
    DiskSeen,
    Heading,
    ReturnRecord,
    SetAside,
    Step,
)
from snap_self.model.ids import DiskId
from snap_self.usecases.going_back.tools import GoingBack
from snap_self.usecases.listing import journal_records
from snap_self.usecases.tools import Here, Tools


def give_up(tools: Tools, going: GoingBack, wanted: str) -> ReturnRecord | SetAside:
    """Close the record of one that is not finished; return it. The cloud is not asked.

    A record that cannot be read is set aside, and the cloud is asked where its disks are: which
    these are, and what became of them, nobody else knows any more.

    Raises:
        UsageError: none with that id is half-way.
        LockHeld: a command is at work on it.
        StateUnusable: the journal could not be read or written; it is not given up.
        SnapSelfError: the cloud could not be asked, so a damaged record is not set aside.
    """
    with (
        tools.lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"),
        going.copies_lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"),
    ):
        damaged = [each for each in going.returns.damaged() if each.return_id == wanted]
        if damaged:
            return _set_aside(tools.here(), going, damaged[0])
        record = going.returns.load(wanted)
        if record is None or record.is_done:
            raise UsageError(
                f"no rollback {wanted} is half-way", hint="`snap-self list` names those that are"
            )
        closed = replace(record.at(Step.DONE), heading=Heading.GIVEN_UP, ended=going.clock.now())
        going.returns.save(closed)
        return closed


def _set_aside(here: Here, going: GoingBack, damaged: DamagedReturn) -> SetAside:
    disk_ids = damaged.disk_ids or _of_the_last_run(here)
    seen = tuple(_seen(here, going, disk_id) for disk_id in disk_ids)
    return SetAside(
        damaged=damaged,
        kept=going.returns.set_aside(damaged),
        disks=seen,
        guessed=not damaged.disk_ids,
    )


def _of_the_last_run(here: Here) -> Sequence[DiskId]:
    """Return the disks that this instance's last run snapshotted."""
    runs = journal_records(here.tools.store, here.identity.instance_id).values()
    last = max(runs, key=lambda run: run.started, default=None)
    orders = last.orders if last else ()
    return tuple(disk_id for order in orders for disk_id in order.snapshot_ids)


def _seen(here: Here, going: GoingBack, disk_id: DiskId) -> DiskSeen:
    disk = going.disks(here).disk(disk_id)
    if disk is None:
        return DiskSeen(disk_id=disk_id, status="", here=False)
    own = here.identity.instance_id
    return DiskSeen(
        disk_id=disk_id,
        status=disk.status,
        here=own in disk.attached_to,
        elsewhere=tuple(sorted(disk.attached_to - {own})),
    )
