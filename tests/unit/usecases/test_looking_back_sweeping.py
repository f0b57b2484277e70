"""Ending what is left: beside the runs, never in their way, and told as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from fakes.clock import FakeClock
from fakes.lock import FakeLock
from fakes.looking_back import INSTANCE, World
from snap_self.errors import LockHeld, SnapSelfError
from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.opening import CopyShape
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.model.temporary import (
    CopyRecord,
    DamagedRecord,
    DiskStage,
    Purpose,
    RestoreId,
    Stage,
    TemporaryDisk,
)
from snap_self.output.unmounted import ended_words
from snap_self.usecases.looking_back.ending import Ended
from snap_self.usecases.looking_back.opening import Plan, opened_copy
from snap_self.usecases.looking_back.sweeping import sweep, unmount
from snap_self.usecases.tools import Tools

CHOICE = DiskChoice(category="cloud_essd", size_gib=20, level="PL0")
TAGS = {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "r1"}


@dataclass
class Run:
    """The tools of the runs; their lock is another one's for ever."""

    lock: FakeLock = field(default_factory=lambda: FakeLock(FakeClock(), free_after_s=1e9))
    lock_wait_s: float = 60.0

    def here(self) -> object:
        """Return who this is."""
        identity = SimpleNamespace(instance_id=INSTANCE, region=RegionId("cn-hangzhou"))
        return SimpleNamespace(identity=identity, cloud=None)


def run() -> Tools:
    return cast("Tools", Run())


def record_of(world: World, *, until_s: float = -1.0) -> CopyRecord:
    now = world.clock.now()
    order = DiskOrder(
        snapshot_id=SnapshotId("s-0"), choice=CHOICE, zone="z", client_token="t", tags=TAGS
    )
    return CopyRecord(
        restore_id=RestoreId("r1"),
        purpose=Purpose.MOUNT,
        instance_id=INSTANCE,
        region=RegionId("cn-hangzhou"),
        run_id="run",
        snapshot="s-1",
        source="/srv",
        started=now,
        until=now + timedelta(seconds=until_s),
        stage=Stage.PLANNED,
        disks=(TemporaryDisk(source=DiskId("d-source"), order=order),),
        attached_before=(),
    )


def opened(world: World) -> CopyRecord:
    """Leave a mount open whose time is up."""
    record = record_of(world)
    choices = {DiskId("d-source"): (CHOICE,)}
    plan = Plan(record=record, choices=choices, shape=CopyShape(fstype="ext4"))
    with opened_copy(world.tools(), world.disks, plan, at="/mnt/x") as life:
        life.note(life.record.at(Stage.OPEN))
        life.kept_open = True
    return life.record


@contextmanager
def at_work(world: World) -> Iterator[None]:
    with world.lock.hold(timeout_s=0.0, purpose="restore"):
        yield


def test_copies_are_ended_while_a_run_holds_its_lock() -> None:
    world = World()
    opened(world)
    assert [each.why for each in unmount(run(), world.tools(), None, every=True).ended] == [""]
    assert world.leftovers() == []


def test_copies_have_one_command_at_work_at_a_time() -> None:
    world = World()
    opened(world)
    with at_work(world):
        with pytest.raises(LockHeld):
            unmount(run(), world.tools(), None, every=True)
        assert sweep(run(), world.tools()).busy
    assert "detach" not in world.life.effects


def test_sweep_waits_for_no_disk_and_the_next_goes_on() -> None:
    world = World()
    opened(world)
    before = world.clock.monotonic()
    (first,) = sweep(run(), world.tools()).ended
    assert first.why
    assert world.clock.monotonic() == before
    world.clock.advance(10)
    assert sweep(run(), world.tools()).left == ()
    assert world.leftovers() == []


# --- damaged records -------------------------------------------------------------------------


def damaged_of(world: World) -> DamagedRecord:
    name = RestoreId(f"{world.clock.now():%Y%m%dt%H%M%Sz}abcdef")
    lost = DamagedRecord(restore_id=name, where="/x.json", why="it is empty")
    world.copies.broken.append(lost)
    return lost


@pytest.mark.parametrize("named", [False, True])
def test_unmount_ends_what_a_damaged_record_told_of(*, named: bool) -> None:
    world = World()
    lost = damaged_of(world)
    world.disks.put("d-temp9", {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: lost.restore_id})
    which = lost.restore_id if named else None
    swept = unmount(run(), world.tools(), which, every=not named)
    assert (swept.damaged, swept.left) == ((), ())
    assert world.disks.disks == {}
    assert "Its disk is deleted" in ended_words(swept.ended[0])


def test_unmount_goes_on_telling_of_a_damaged_record_whose_disk_is_not_seen() -> None:
    world = World()
    lost = damaged_of(world)
    assert unmount(run(), world.tools(), None, every=True).damaged == (lost,)


def test_unmount_ends_the_others_where_a_damaged_record_cannot_be_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    opened(world)
    lost = damaged_of(world)

    def refuse(tags: Mapping[str, str]) -> tuple[()]:
        if tags[RESTORE_TAG] == lost.restore_id:
            raise SnapSelfError("not allowed")
        return ()

    monkeypatch.setattr(world.disks, "disks_by_tag", refuse)
    swept = unmount(run(), world.tools(), None, every=True)
    assert [each.why for each in swept.ended] == [""]
    assert swept.damaged == (lost,)
    assert any("not allowed" in said for said in world.said)


# --- what is said ----------------------------------------------------------------------------


def test_record_of_another_instance_is_dropped_and_its_disk_not_said_to_be_deleted() -> None:
    world = World()
    record = replace(opened(world), instance_id=InstanceId("i-other"))
    world.copies.save(record)
    (ended,) = unmount(run(), world.tools(), None, every=True).ended
    assert "d-temp0" in world.disks.disks
    assert "i-other" in ended_words(ended)
    assert "deleted" not in ended_words(ended)


@pytest.mark.parametrize(
    ("disk_id", "stage", "word"),
    [
        ("d-1", DiskStage.GONE, "Its disk is deleted."),
        (None, DiskStage.GONE, "No disk was there to delete."),
        ("d-1", DiskStage.GIVEN_UP, "d-1 is not deleted"),
        (None, DiskStage.GIVEN_UP, "Whether the cloud made a disk was never told"),
    ],
)
def test_a_disk_is_said_to_be_deleted_only_if_it_was(
    disk_id: str | None, stage: DiskStage, word: str
) -> None:
    record = record_of(World())
    disk = replace(record.disks[0], disk_id=DiskId(disk_id) if disk_id else None, stage=stage)
    words = ended_words(Ended(record=record.with_disk(0, disk).at(Stage.DONE)))
    assert word in words
    assert ("deleted." in words) is (stage is DiskStage.GONE and disk_id is not None)


def test_never_seen_disk_is_given_up_and_not_said_to_be_deleted() -> None:
    world = World()
    record = record_of(world)
    disk = replace(record.disks[0], stage=DiskStage.CREATING, asked=world.clock.now())
    world.copies.save(record.with_disk(0, disk).at(Stage.CREATING))
    world.disks.forgets = True
    world.life.broken["create"] = [SnapSelfError("no")] * 9
    world.clock.advance(25 * 3600)
    (ended,) = unmount(run(), world.tools(), None, every=True).ended
    assert ended.record.disks[0].stage is DiskStage.GIVEN_UP
    assert "never told" in ended_words(ended)
