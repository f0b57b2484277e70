"""The end of a copy where not all goes well: no disk is lost, and nothing is claimed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.looking_back import INSTANCE, OWN, Killed, World
from snap_self.errors import ExitStatus, SnapSelfError, StateUnusable
from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.ids import DiskId, RegionId, SnapshotId
from snap_self.model.opening import CopyShape, CopySign, CopySigns
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG, Identity
from snap_self.model.temporary import (
    CopyRecord,
    DamagedRecord,
    DiskStage,
    Purpose,
    RestoreId,
    Stage,
    TemporaryDisk,
)
from snap_self.output.unmounted import left_lines
from snap_self.usecases.looking_back.ending import Ended, end_copy
from snap_self.usecases.looking_back.opening import Life, Plan, opened_copy
from snap_self.usecases.looking_back.rebuilding import rebuilt

SHAPE = CopyShape(fstype="ext4")
CHOICE = DiskChoice(category="cloud_essd", size_gib=20, level="PL0")
TAGS = {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "r1"}
FULL = StateUnusable("no space left on device")


class Interrupt(BaseException):
    """A signal."""


@pytest.fixture
def world() -> World:
    world = World()
    world.disks.put(OWN, {})
    return world


def record_of(world: World, *, at: str = "") -> CopyRecord:
    now = world.clock.now()
    order = DiskOrder(
        snapshot_id=SnapshotId("s-0"), choice=CHOICE, zone="z", client_token="t", tags=TAGS
    )
    return CopyRecord(
        restore_id=RestoreId("r1"),
        purpose=Purpose.MOUNT if at else Purpose.RESTORE,
        instance_id=INSTANCE,
        region=RegionId("cn-hangzhou"),
        run_id="run",
        snapshot="s-1",
        source="/srv",
        started=now,
        until=now + timedelta(hours=6),
        stage=Stage.PLANNED,
        disks=(TemporaryDisk(source=DiskId("d-source"), order=order),),
        attached_before=(OWN,),
    )


def plan_of(world: World, *, at: str = "") -> Plan:
    record = record_of(world, at=at)
    return Plan(record=record, choices={DiskId("d-source"): (CHOICE,)}, shape=SHAPE)


def left_open(world: World, *, at: str = "/mnt/x") -> CopyRecord:
    """Open a copy whose process then goes."""
    with opened_copy(world.tools(), world.disks, plan_of(world, at=at), at=at) as life:
        life.note(life.record.at(Stage.OPEN))
        life.kept_open = True
    return life.record


def ended(world: World, record: CopyRecord, *, patience_s: float = 300.0) -> Ended:
    return end_copy(world.tools(), world.disks, record, patience_s=patience_s)


# --- by the way ------------------------------------------------------------------------------


def test_end_by_the_way_asks_once_a_disk_and_waits_for_nothing(world: World) -> None:
    record = left_open(world)
    before = world.clock.monotonic()
    first = ended(world, record, patience_s=0.0)
    assert world.clock.monotonic() == before
    assert "being detached" in first.why
    world.clock.advance(10)
    assert ended(world, first.record, patience_s=0.0).why == ""
    assert world.leftovers() == []


def test_record_tells_when_it_was_opened_and_of_what_failed_before_that_it_was_not(
    world: World,
) -> None:
    record = left_open(world)
    assert record.opened is not None
    assert world.copies.load(record.restore_id) == record
    assert ended(world, record).record.opened == record.opened
    world.life.broken["attach"] = [FULL] * 9
    with suppress(SnapSelfError), opened_copy(world.tools(), world.disks, plan_of(world)):
        pass
    failed = world.copies.load(record.restore_id)
    assert failed is not None
    assert (failed.stage, failed.opened) == (Stage.DONE, None)


def test_disk_that_is_being_detached_is_looked_at_soon_and_then_less_often(world: World) -> None:
    record = left_open(world)
    before = len(world.clock.sleeps)
    assert ended(world, record).why == ""
    sleeps = world.clock.sleeps[before:]
    assert sleeps == pytest.approx([0.1 * 1.25**number for number in range(len(sleeps))])
    assert sum(sleeps) >= 2.0 > sum(sleeps[:-1])


# --- a journal that cannot be written --------------------------------------------------------


def broken(world: World) -> None:
    for stage in Stage:
        world.life.broken[f"journal {stage.value}"] = [FULL] * 9


def test_copy_is_ended_on_a_full_disk(world: World) -> None:
    with (
        suppress(StateUnusable),
        opened_copy(world.tools(), world.disks, plan_of(world)) as life,
    ):
        broken(world)
        life.begin(Stage.COPYING)
    assert [disk for disk in world.disks.disks if disk != OWN] == []
    assert any("was not written down" in said for said in world.said)
    world.life.broken.clear()
    (record,) = world.copies.unfinished()
    assert ended(world, record).why == ""
    assert world.leftovers() == []


def test_full_disk_is_no_reason_to_say_that_a_disk_is_left(world: World) -> None:
    record = left_open(world)
    broken(world)
    assert ended(world, record).error is None


# --- a device that does not answer -----------------------------------------------------------


def test_disk_whose_device_does_not_answer_is_not_detached(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = left_open(world)
    monkeypatch.setattr(world.opener, "device_of", lambda serial: None)
    end = ended(world, record)
    assert end.error is not None
    assert "does not answer" in end.why
    assert "detach" not in world.life.effects
    monkeypatch.undo()
    assert ended(world, end.record).why == ""
    assert world.leftovers() == []


def test_disk_that_is_still_mounted_is_not_detached(world: World) -> None:
    record = left_open(world)
    world.places.mounted.add("/mnt/x")
    end = ended(world, record)
    assert "still mounted at /mnt/x" in end.why
    assert "detach" not in world.life.effects
    world.places.mounted.clear()
    assert ended(world, end.record).why == ""


def test_disk_that_somebody_detached_is_deleted_though_its_device_is_gone(world: World) -> None:
    record = left_open(world)
    world.disks.detach_disk(record.disk_ids[0], INSTANCE)
    assert ended(world, record).why == ""
    assert world.leftovers() == []


# --- half-written files ----------------------------------------------------------------------


def copying(life: Life) -> None:
    life.note(replace(life.record.at(Stage.COPYING), roots=("/srv/a",)))


def test_nothing_is_looked_for_after_a_copy_that_ended_well(world: World) -> None:
    with opened_copy(world.tools(), world.disks, plan_of(world)) as life:
        copying(life)
        life.copied()
    assert "tidy" not in world.life.effects
    assert world.leftovers() == []


def test_signal_while_half_written_files_are_looked_for_leaves_no_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(roots: object, mark: object) -> int:
        raise Interrupt

    monkeypatch.setattr(world.copier, "tidy", stop)

    def fail() -> None:
        with opened_copy(world.tools(), world.disks, plan_of(world)) as life:
            copying(life)
            raise SnapSelfError("no")

    with pytest.raises(Interrupt):
        fail()
    assert [disk for disk in world.disks.disks if disk != OWN] == []


# --- the time limit --------------------------------------------------------------------------


def test_systemd_ends_a_restore_too_whose_process_goes(world: World) -> None:
    with opened_copy(world.tools(), world.disks, plan_of(world)):
        assert world.places.timers == {"r1": 6 * 3600}
    assert world.places.timers == {}


# --- what is not ours ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "attached", "left"),
    [(1, False, True), (25, False, False), (1, True, True), (25, True, True)],
)
def test_disk_that_is_not_known_to_be_ours_is_told_of_for_a_day_or_until_it_is_detached(
    world: World, hours: int, *, attached: bool, left: bool
) -> None:
    record = left_open(world)
    (disk_id,) = record.disk_ids
    if not attached:
        world.disks.detach_disk(disk_id, INSTANCE)
    world.disks.disks[disk_id] = replace(world.disks.disks[disk_id], tags={})
    world.clock.advance(hours * 3600)
    world.disks.touched.clear()
    end = ended(world, record)
    assert (end.error is not None) is left
    assert world.disks.touched == []
    if not left:
        assert end.record.disks[0].stage is DiskStage.GIVEN_UP
        assert any(disk_id in said for said in world.said)


# --- a record that cannot be read ------------------------------------------------------------

IDENTITY = Identity(
    instance_id=INSTANCE,
    region=RegionId("cn-hangzhou"),
    zone="z",
    account="1",
    instance_type="ecs.g7.large",
    source="",
    mode="token",
)


def damaged(world: World, hours: int) -> DamagedRecord:
    begun = world.clock.now() - timedelta(hours=hours)
    name = RestoreId(f"{begun:%Y%m%dt%H%M%Sz}abcdef")
    return DamagedRecord(restore_id=name, where="/x.json", why="it is empty")


def test_disk_of_a_damaged_record_is_found_by_its_tags_and_ended(world: World) -> None:
    lost = damaged(world, 1)
    world.disks.put("d-temp9", {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: lost.restore_id})
    world.disks.put("d-other", {TEMPORARY_TAG: "i-other", RESTORE_TAG: lost.restore_id})
    record = rebuilt(lost, IDENTITY, world.disks, world.clock.now())
    assert record is not None
    assert ended(world, record).why == ""
    assert set(world.disks.disks) == {OWN, "d-other"}
    assert world.copies.unfinished() == ()


@pytest.mark.parametrize(("hours", "kept"), [(1, True), (23, True), (25, False)])
def test_damaged_record_without_a_disk_is_given_up_after_a_day(
    world: World, hours: int, *, kept: bool
) -> None:
    record = rebuilt(damaged(world, hours), IDENTITY, world.disks, world.clock.now())
    assert (record is None) is kept


def test_damaged_record_of_no_known_age_is_kept(world: World) -> None:
    lost = replace(damaged(world, 99), restore_id=RestoreId("copy-of-a-record"))
    assert rebuilt(lost, IDENTITY, world.disks, world.clock.now()) is None


# --- a boot since it was attached ------------------------------------------------------------


def attached_before_a_boot() -> tuple[World, CopyRecord]:
    """Have a copy attached and not opened when its process is killed, and another boot since."""
    worlds: list[World] = []
    for killed in (False, True):
        world = World()
        world.disks.put(OWN, {})
        plan = plan_of(world)
        plan = replace(plan, record=replace(plan.record, boot_id="before"))
        if killed:
            world.life.die_at, world.life.after = worlds[0].life.effects.index("attach") + 1, True
        with suppress(Killed), opened_copy(world.tools(), world.disks, plan):
            pass
        worlds.append(world)
    world.new_process()
    # The rule of udev is in memory alone.
    world.opener.rules.clear()
    record = world.copies.load("r1")
    assert record is not None
    assert (record.stage, record.opened) == (Stage.ATTACHING, None)
    world.clock.advance(600)
    return world, record


def after_boot(world: World, record: CopyRecord, *, sure: bool = False, wait: bool = True) -> Ended:
    tools = replace(world.tools(), boot_id="now")
    patience_s = 300.0 if wait else 0.0
    return end_copy(tools, world.disks, record, patience_s=patience_s, sure=sure)


def seen(record: CopyRecord, after_s: float) -> CopySigns:
    """Return what is seen of an ext4 that was mounted so long after its disk was made."""
    made = record.disks[0].made
    assert made is not None
    return CopySigns(signs=(CopySign(kind="ext4", mounted=int(made.timestamp() + after_s)),))


def test_copy_that_no_boot_mounted_is_deleted_also_by_commands_that_wait_for_nothing() -> None:
    world, record = attached_before_a_boot()
    world.opener.seen = seen(record, -3600)
    first = after_boot(world, record, wait=False)
    assert "being detached" in first.why
    # Nothing can be read of it now; what was read before stands.
    world.clock.advance(10)
    assert after_boot(world, first.record, wait=False).why == ""
    assert world.leftovers() == []


@pytest.mark.parametrize("after_s", [300.0, None])
def test_copy_that_a_boot_may_have_written_to_is_detached_and_kept_until_it_is_named(
    after_s: float | None,
) -> None:
    world, record = attached_before_a_boot()
    found = CopySigns(signs=(CopySign(kind="xfs", mounted=None),))
    world.opener.seen = found if after_s is None else seen(record, after_s)
    first = after_boot(world, record)
    (kept,) = [each for name, each in world.disks.disks.items() if name != OWN]
    # Attached it could be booted from again.
    assert (kept.status, kept.attached_to) == ("Available", frozenset())
    assert first.error is not None
    assert first.error.exit_status is ExitStatus.DISK_LEFT
    assert "snap-self unmount r1" in first.error.hint
    assert kept.disk_id in first.error.message
    again = after_boot(world, first.record)
    assert again.why == first.why
    assert kept.disk_id in world.disks.disks
    assert after_boot(world, again.record, sure=True).why == ""
    assert world.leftovers() == []


def test_copy_that_this_boot_runs_from_is_not_even_detached() -> None:
    world, record = attached_before_a_boot()
    world.opener.seen = replace(seen(record, 300), used_at=("/srv",))
    for sure in (False, True):
        ending = after_boot(world, record, sure=sure)
        assert "in use since this machine was started: /srv" in ending.why
        assert "Available" not in {disk.status for disk in world.disks.disks.values()}


def test_end_in_the_same_boot_asks_nothing_of_that() -> None:
    world, record = attached_before_a_boot()
    world.opener.seen = seen(record, 300)
    tools = replace(world.tools(), boot_id="before")
    assert end_copy(tools, world.disks, record).why == ""
    assert world.leftovers() == []


def test_every_command_names_what_deletes_a_copy_that_is_kept() -> None:
    world, record = attached_before_a_boot()
    world.opener.seen = seen(record, 300)
    kept = after_boot(world, record).record
    said, then = left_lines([kept], (), kept.until + timedelta(seconds=1))
    assert "a filesystem of it was mounted since" in said
    assert "snap-self unmount r1" in then
    assert "--all" not in then
