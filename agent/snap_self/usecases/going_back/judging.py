"""Whether data disks can go back while the system runs, and the record of how they will."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from snap_self.errors import DiskNotReady, RollbackGoesOn, SnapSelfError, TopologyError
from snap_self.model.disks import Layout
from snap_self.model.going_back import (
    ReturnId,
    ReturningDisk,
    ReturnRecord,
    Standing,
    UnitFacts,
    UnitRecord,
)
from snap_self.model.run import RunRecord
from snap_self.recovery.online import Around, lvm_groups, refusals_online
from snap_self.usecases.going_back.tools import GoingBack
from snap_self.usecases.rollback import Judged, judge_rollback
from snap_self.usecases.tools import Here

SERVICE = ".service"
# One that has stopped nothing by then does so no more.
OOS_ENDS = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineJudged:
    """What would be done, and that nothing known speaks against it.

    Args:
        record: as the journal is to have it, nothing of it begun.
    """

    judged: Judged
    record: ReturnRecord
    standing: Standing


def judge_online(here: Here, going: GoingBack, wanted: str, units: Sequence[str]) -> OnlineJudged:
    """Return what bringing data disks back means; changes nothing.

    Args:
        units: that are to be stopped meanwhile.

    Raises:
        SnapSelfError: it would tear something, or something uses the disks: see
            ``recovery.online``; the others are in its details.
    """
    _refuse_oos(here)
    judged = judge_rollback(here, wanted, blind=False, data_only=True)
    layout = judged.layout
    if layout is None:
        raise TopologyError("what lies on which disk could not be looked at")
    devices = _devices(going, judged)
    standing = going.ground.survey(devices)
    around = _around(going, layout, standing, unit_names(units))
    _refuse(refusals_online(judged.plan, around))
    _refuse_unreset(here, going, judged)
    record = _record(here, going, judged, around, devices)
    return OnlineJudged(judged=judged, record=record, standing=standing)


def _around(going: GoingBack, layout: Layout, standing: Standing, named: Sequence[str]) -> Around:
    """Return what lies around the disks, with the units that are stopped meanwhile."""
    ask = going.ground.unit
    meant = {unit.name for unit in units_touched(ask, named)}
    bound = [name for name in standing.bound_units if ask(name).active]
    units = units_touched(ask, (*bound, *named))
    return Around(
        layout=layout,
        standing=standing,
        units=units,
        kept=going.kept,
        unmeant=frozenset(unit.name for unit in units) - meant,
    )


def _refuse_oos(here: Here) -> None:
    """Refuse where OOS will, or may just now, stop the machine and reset its disks.

    Raises:
        RollbackGoesOn: as the journal tells.
    """
    instance_id, store, now = here.identity.instance_id, here.tools.store, here.tools.clock.now()
    waiting = [r.waiting for r in store.armed() if r.waiting and r.instance_id == instance_id]
    if waiting:
        raise RollbackGoesOn(
            f"no disk goes back while another rollback waits: {waiting[0].words(now)}",
            hint="call it off first: snap-self confirm",
        )
    for record in store.brought_back():
        if record.instance_id == instance_id and _may_go_on(record, now):
            raise RollbackGoesOn(
                f"a rollback to run {record.run_id} by OOS is not known to have ended",
                hint="`snap-self list` asks the cloud whether it has; then try again",
            )


def _may_go_on(record: RunRecord, now: datetime) -> bool:
    asked, seen = record.rollback, record.went_back
    if asked is None or not asked.execution_id or now - asked.asked > OOS_ENDS:
        return False
    if seen is None or seen.execution_id != asked.execution_id:
        return True
    return not (seen.ended or seen.over)


def unit_names(units: Sequence[str]) -> tuple[str, ...]:
    """Return units by their full names, once each; one without a type is a service."""
    full = (name if "." in name else name + SERVICE for name in units)
    return tuple(dict.fromkeys(full))


def units_touched(ask: Callable[[str], UnitFacts], names: Sequence[str]) -> tuple[UnitFacts, ...]:
    """Return the named units and the active ones that are stopped for them, in order of the stop.

    What needs a unit is stopped before it and started after it, and so is what upholds it: systemd
    would start it again at once. What triggers it comes after it, and so is started first: systemd
    refuses to start a socket while its service runs.
    """
    seen: dict[str, UnitFacts] = {}
    found: list[UnitFacts] = []

    def visit(name: str) -> None:
        if name in seen:
            return
        seen[name] = facts = ask(name)
        for each in (*facts.stopped_with, *facts.upheld_by):
            visit(each)
        if facts.active or name in names:
            found.append(facts)
        for each in facts.triggered_by:
            visit(each)

    for name in names:
        visit(name)
    return tuple(found)


def _devices(going: GoingBack, judged: Judged) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in judged.plan.returns:
        serial = one.disk.cloud.serial
        if device := going.ground.device_of(serial) if serial else None:
            found[serial] = device
        elif not one.disk.is_system and one.disk.cloud.portable:
            raise DiskNotReady(
                f"no device here has the serial {serial} of {one.disk_id}, by which it would be "
                "found again",
                hint=f"snap-self rollback {judged.plan.run} --oos stops the machine for it",
            )
    return found


def _refuse(refusals: Sequence[SnapSelfError]) -> None:
    """Raise the gravest reason against it, with the others as its details."""
    if refusals:
        first, *others = refusals
        first.details = (*first.details, *(f"also: {each.message}" for each in others))
        raise first


def _refuse_unreset(here: Here, going: GoingBack, judged: Judged) -> None:
    """Have the cloud say that it knows nothing against a reset but that the instance runs."""
    disks = going.disks(here)
    for one in judged.plan.returns:
        disks.may_reset(one.disk_id, one.shot.snapshot_id, attached=True)


def _record(
    here: Here,
    going: GoingBack,
    judged: Judged,
    around: Around,
    devices: Mapping[str, str],
) -> ReturnRecord:
    standing = around.standing
    return ReturnRecord(
        return_id=ReturnId(""),
        instance_id=here.identity.instance_id,
        region=here.identity.region,
        run=judged.plan.run,
        started=going.clock.now(),
        since=judged.plan.since,
        boot_id=going.boot_id,
        disks=tuple(_disks(judged, devices)),
        units=tuple(UnitRecord(name=unit.name, was_active=unit.active) for unit in around.units),
        mounts=standing.mounts,
        groups=lvm_groups(standing),
        waits_in_fstab=standing.waits_in_fstab,
    )


def _disks(judged: Judged, devices: Mapping[str, str]) -> list[ReturningDisk]:
    """Return the disks as their devices are named, so that they are attached in that order.

    The kernel names a disk when it is attached, by the first name that is free.
    """
    found = [
        ReturningDisk(
            disk_id=one.disk_id,
            snapshot_id=one.shot.snapshot_id,
            serial=one.disk.cloud.serial,
            delete_with_instance=one.disk.cloud.delete_with_instance,
        )
        for one in judged.plan.returns
    ]
    return sorted(found, key=lambda disk: (len(devices[disk.serial]), devices[disk.serial]))
