"""Plan a copy: which disks are made of which snapshots, and what they are asked for with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from snap_self.errors import PreconditionRefused
from snap_self.model.disk_orders import DiskChoice, DiskOrder, OnSale
from snap_self.model.disks import CloudDisk
from snap_self.model.listed import ListedSnapshot
from snap_self.model.opening import ONLY_CHECKED, Refusal
from snap_self.model.restored import Intent
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG, UNTIL_TAG, Identity
from snap_self.model.temporary import CopyRecord, Purpose, RestoreId, Stage, TemporaryDisk
from snap_self.recovery.temporary.choosing import choices
from snap_self.usecases.looking_back.finding import Found, Source, subvolume_of
from snap_self.usecases.looking_back.opening import Plan
from snap_self.usecases.looking_back.tools import LookingBack

# What a command opens for itself takes minutes; a disk that is older was left behind.
LIFE = timedelta(hours=6)


def intent_of(plan: Plan, found: Found, source: Source) -> Intent:
    """Return what a plan will make."""
    return Intent(
        purpose=plan.record.purpose,
        run=found.name,
        before=source.shots[0].before,
        cut_time=source.shots[0].cut_time,
        snapshot_ids=tuple(shot.snapshot_id for shot in source.shots),
        fstype=source.filesystem.fstype,
        source=source.mount.path,
        gib=plan.record.gib,
        disks=len(plan.record.disks),
        until=plan.record.until,
    )


def check_size(looking: LookingBack, intent: Intent, *, sure: bool) -> None:
    """Refuse a disk that costs more than anybody may have thought of.

    Raises:
        PreconditionRefused: it is larger than the configuration allows without ``--yes``.
    """
    if intent.gib > looking.max_gib and not sure:
        raise PreconditionRefused(
            f"a disk of {intent.gib} GiB would be made, and restore.max_gib is {looking.max_gib}",
            hint="give --yes to agree to its cost, or raise restore.max_gib in the configuration",
        )


def plan_copy(
    tools: LookingBack, found: Found, source: Source, purpose: Purpose, *, life: timedelta
) -> Plan:
    """Return what opening a filesystem's copy takes.

    Args:
        life: how long it may be open.

    Raises:
        PreconditionRefused: it cannot be opened beside its original, or no disk can be made.
    """
    shape = tools.opener.shape_of(source.filesystem, subvolume=subvolume_of(source))
    if purpose is Purpose.VERIFY and shape.fstype in ONLY_CHECKED:
        shape = replace(shape, only_checked=True)
    refusal = tools.opener.refusal([shape])
    if refusal:
        raise refused(refusal)
    identity = found.survey.identity
    now = tools.clock.now()
    restore_id = tools.new_id()
    pairs = {
        disk.disk_id: (shot, disk) for shot, disk in zip(source.shots, source.disks, strict=True)
    }
    picked = {disk_id: _choices(*pair) for disk_id, pair in pairs.items()}
    record = CopyRecord(
        restore_id=restore_id,
        purpose=purpose,
        instance_id=identity.instance_id,
        region=identity.region,
        run_id=source.shots[0].run_id or "",
        snapshot=found.name,
        started=now,
        until=now + life,
        stage=Stage.PLANNED,
        disks=tuple(
            _disk(identity, restore_id, shot, picked[shot.disk_id][0], until=now + life, place=n)
            for n, shot in enumerate(source.shots)
        ),
        attached_before=tuple(disk.disk_id for disk in found.survey.disks),
        source=source.mount.path,
        boot_id=tools.boot_id,
    )
    return Plan(
        record=record,
        choices=picked,
        shape=shape,
        instance_type=identity.instance_type,
        of_these=lambda disk_id, on_sale: _kinds(*pairs[disk_id], on_sale),
        untagged=frozenset(shot.snapshot_id for shot in source.shots if not shot.tagged),
    )


def refused(refusal: Refusal) -> PreconditionRefused:
    """Return the error for a copy that is not opened here, with what does work."""
    return PreconditionRefused(
        f"{refusal.what} cannot be opened beside its original: {refusal.why}",
        hint="; ".join(refusal.steps),
    )


def _kinds(
    shot: ListedSnapshot, disk: CloudDisk, on_sale: Sequence[OnSale] = ()
) -> tuple[DiskChoice, ...]:
    return choices(
        snapshot_gib=shot.size_gib or disk.size_gib,
        source_category=disk.category,
        source_level=disk.level,
        uploading=not shot.uploaded,
        on_sale=on_sale,
    )


def _choices(shot: ListedSnapshot, disk: CloudDisk) -> tuple[DiskChoice, ...]:
    found = _kinds(shot, disk)
    if not found:
        raise PreconditionRefused(
            f"no kind of disk can be made of {shot.snapshot_id} yet",
            hint="while it is being uploaded only ESSDs can; `snap-self list` shows how far it is",
        )
    return found


def _disk(
    identity: Identity,
    restore_id: RestoreId,
    shot: ListedSnapshot,
    choice: DiskChoice,
    *,
    until: datetime,
    place: int,
) -> TemporaryDisk:
    tags = {
        TEMPORARY_TAG: identity.instance_id,
        RESTORE_TAG: restore_id,
        UNTIL_TAG: f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
    order = DiskOrder(
        snapshot_id=shot.snapshot_id,
        choice=choice,
        zone=identity.zone,
        client_token=f"snap-self-{restore_id}-{place}",
        name=f"snap-self-temp-{restore_id}",
        tags=tags,
    )
    return TemporaryDisk(source=shot.disk_id, order=order)
