"""The life of a copy against twins, and the clean-up of the next command."""

from __future__ import annotations

from dataclasses import replace

from fakes.looking_back import World, copy_record
from snap_self.model.copying import Wanted
from snap_self.model.disk_orders import DiskChoice
from snap_self.model.opening import CopyShape
from snap_self.model.temporary import CopyRecord, Stage
from snap_self.recovery.temporary.rules import is_due
from snap_self.usecases.looking_back.ending import Ended, end_copy
from snap_self.usecases.looking_back.opening import Plan, opened_copy

CHOICES = (
    DiskChoice(category="cloud_essd", size_gib=20, level="PL0"),
    DiskChoice(category="cloud_auto", size_gib=20),
)


def record_of(world: World, *, disks: int = 1) -> CopyRecord:
    """Return the record of a copy that is to be opened."""
    return copy_record(world.clock.now(), disks=disks)


def live(world: World, *, disks: int = 1, at: str | None = None) -> None:
    """Live the life of a restore, or of a mount that is ended at once."""
    record = replace(record_of(world, disks=disks), made_folder=at is not None)
    plan = Plan(
        record=record,
        choices={disk.source: CHOICES for disk in record.disks},
        shape=CopyShape(fstype="ext4"),
    )
    with opened_copy(world.tools(), world.disks, plan, at=at) as life:
        roots = ("/srv/a",)
        life.note(replace(life.record.at(Stage.COPYING), roots=roots))
        world.copier.copy(
            7,
            [Wanted(path="/srv/a", inside="a")],
            mark="r1",
            to=None,
            exact=False,
            aside=None,
            progress=lambda done, of: None,
        )
    if life.left:
        raise life.left


def sweep(world: World) -> list[Ended]:
    """Do what the next command does under the lock."""
    now = world.clock.now()
    due = [record for record in world.copies.unfinished() if is_due(record, now)]
    return [end_copy(world.tools(), world.disks, record) for record in due]
