"""A kind of disk that is not to be had, or not taken, makes room for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from fakes.looking_back import OWN, Killed, World, copy_record
from snap_self.errors import (
    CloudUnreachable,
    DiskCategoryRefused,
    DiskLeft,
    PermissionRefused,
    SnapSelfError,
)
from snap_self.model.disk_orders import DiskChoice, OnSale
from snap_self.model.ids import DiskId
from snap_self.model.opening import CopyShape
from snap_self.model.temporary import CopyRecord, DiskStage
from snap_self.usecases.looking_back.ending import end_copy
from snap_self.usecases.looking_back.opening import Plan, opened_copy

PL0, AUTO, ENTRY, SSD = (
    DiskChoice(category=category, size_gib=20, level=level)
    for category, level in (
        ("cloud_essd", "PL0"),
        ("cloud_auto", ""),
        ("cloud_essd_entry", ""),
        ("cloud_ssd", ""),
    )
)
KINDS = (PL0, AUTO, ENTRY)


def of_these(_: DiskId, on_sale: Sequence[OnSale]) -> tuple[DiskChoice, ...]:
    """Return which of all kinds are on sale."""
    had = {each.category for each in on_sale}
    return tuple(kind for kind in (*KINDS, SSD) if kind.category in had)


def sale(*kinds: DiskChoice) -> tuple[OnSale, ...]:
    return tuple(OnSale(category=each.category, least_gib=1, most_gib=99) for each in kinds)


def live(world: World, *, disks: int = 1) -> CopyRecord:
    """Open a copy and end it; return its record as it was while it was open."""
    record = copy_record(world.clock.now(), disks=disks)
    plan = Plan(
        record=record,
        choices={disk.source: KINDS for disk in record.disks},
        shape=CopyShape(fstype="ext4"),
        of_these=of_these,
    )
    with opened_copy(world.tools(), world.disks, plan) as life:
        assert set(life.record.serials) <= world.opener.rules
        return life.record


def asked_for(world: World) -> list[DiskChoice]:
    """Return the kinds that were asked for, once each."""
    return [order.choice for order in dict.fromkeys(world.disks.orders)]


def test_first_kind_is_taken_and_nobody_asks_what_is_on_sale() -> None:
    world = World()
    live(world)
    assert (asked_for(world), world.disks.asked_on_sale) == ([PL0], 0)


def test_kind_that_is_sold_out_makes_room_for_the_next_with_a_token_of_its_own() -> None:
    world = World()
    world.disks.sold_out = {"cloud_essd", "cloud_auto"}
    record = live(world)
    assert asked_for(world) == [PL0, AUTO, ENTRY]
    assert record.disks[0].order.choice == ENTRY
    assert len({order.client_token for order in world.disks.orders}) == len(KINDS)
    assert world.leftovers() == []


def test_what_is_on_sale_is_asked_once_and_tried_first() -> None:
    world = World()
    world.disks.sold_out = {"cloud_essd", "cloud_essd_entry"}
    world.disks.sale = sale(ENTRY, SSD)
    live(world)
    assert asked_for(world) == [PL0, ENTRY, SSD]
    assert world.disks.asked_on_sale == 1


def test_list_of_what_is_on_sale_that_is_wrong_does_not_keep_from_the_others() -> None:
    world = World()
    world.disks.sold_out = {"cloud_essd", "cloud_ssd"}
    world.disks.sale = sale(PL0, SSD)
    live(world)
    assert asked_for(world) == [PL0, SSD, AUTO]


@pytest.mark.parametrize("error", [PermissionRefused("no"), CloudUnreachable("no answer")])
def test_fixed_order_goes_on_where_the_cloud_does_not_tell(error: SnapSelfError) -> None:
    world = World()
    world.disks.sold_out = {"cloud_essd"}
    world.disks.sale = error
    live(world)
    assert asked_for(world) == [PL0, AUTO]


def test_last_refusal_is_told_and_nothing_is_left() -> None:
    world = World()
    world.disks.sold_out = {kind.category for kind in KINDS}
    with pytest.raises(DiskCategoryRefused, match="cloud_essd_entry is sold out"):
        live(world)
    assert asked_for(world) == list(KINDS)
    assert world.leftovers() == []


def test_second_disk_is_not_asked_for_in_a_kind_that_the_first_was_refused() -> None:
    world = World()
    world.disks.sold_out = {"cloud_essd"}
    record = live(world, disks=2)
    assert asked_for(world) == [PL0, AUTO, AUTO]
    assert [disk.order.choice for disk in record.disks] == [AUTO, AUTO]


# --- what the instance does not take ---------------------------------------------------------


@pytest.mark.parametrize("disks", [1, 2])
def test_kind_that_the_instance_does_not_take_is_deleted_before_another_is_made(disks: int) -> None:
    world = World()
    world.disks.not_taken = {"cloud_essd"}
    record = live(world, disks=disks)
    assert {disk.order.choice.category for disk in record.disks} == {"cloud_auto"}
    effects = [each for each in world.life.effects if each in ("create", "attach", "delete")]
    assert effects[disks:][:3] == ["delete", "create", "attach"]
    assert world.disks.asked_on_sale == 1
    assert world.leftovers() == []


def test_instance_that_takes_no_kind_is_told_and_nothing_is_left() -> None:
    world = World()
    world.disks.not_taken = {kind.category for kind in KINDS}
    with pytest.raises(DiskCategoryRefused, match="does not take it"):
        live(world)
    assert asked_for(world) == list(KINDS)
    assert world.leftovers() == []


def test_disk_that_is_not_taken_and_cannot_be_deleted_is_told_and_no_other_is_made() -> None:
    world = World()
    world.disks.not_taken = {"cloud_essd"}
    world.life.broken["delete"] = [PermissionRefused("no")] * 9
    with pytest.raises(DiskLeft):
        live(world)
    assert asked_for(world) == [PL0]
    world.new_process()
    sweep(world)
    assert world.leftovers() == []


def sweep(world: World) -> None:
    """End what is unfinished, as the next command does."""
    for record in world.copies.unfinished():
        ended = end_copy(world.tools(), world.disks, record)
        assert ended.why == ""


def effects_of(disks: int) -> int:
    """Return how many effects there are in such a life."""
    world = World()
    world.disks.not_taken = {"cloud_essd"}
    live(world, disks=disks)
    return len(world.life.effects)


POINTS = [(disks, point) for disks in (1, 2) for point in range(1, effects_of(disks) + 1)]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("disks", "point"), POINTS)
def test_killed_while_one_kind_is_exchanged_for_another_when_swept_leaves_nothing(
    disks: int, point: int, *, after: bool
) -> None:
    world = World()
    world.disks.put(OWN, {})
    world.disks.not_taken = {"cloud_essd"}
    world.life.die_at, world.life.after = point, after
    with suppress(Killed):
        live(world, disks=disks)
    assert world.life.dead
    world.new_process()
    sweep(world)
    assert world.leftovers() == []
    assert OWN not in world.disks.touched


def test_record_of_an_exchanged_disk_has_nothing_of_the_first() -> None:
    world = World()
    world.disks.not_taken = {"cloud_essd"}
    (disk,) = live(world).disks
    (known,) = (each for each in world.disks.touched[-1:] if each == disk.disk_id)
    assert disk == replace(disk, disk_id=known, serial=known[2:], stage=DiskStage.MADE)
