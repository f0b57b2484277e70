"""Whatever ends a process that has a copy open, the next command leaves nothing of it."""

from __future__ import annotations

from contextlib import suppress

import pytest

from fakes.copy_life import live, sweep
from fakes.looking_back import OWN, Killed, World
from snap_self.errors import CloudRefused, CloudUnreachable, SnapSelfError
from snap_self.model.ids import DiskId


def effects_of(*, disks: int = 1, at: str | None = None) -> int:
    """Return how many effects a whole life has."""
    world = World()
    live(world, disks=disks, at=at)
    assert world.leftovers() == []
    return len(world.life.effects)


def test_copy_that_ends_well_leaves_nothing() -> None:
    world = World()
    world.disks.put(OWN, {})
    live(world)
    assert world.leftovers() == []
    assert world.disks.touched.count(DiskId("d-temp0")) == 3
    assert OWN not in world.disks.touched


POINTS = [
    (at, disks, point)
    for at in (None, "/mnt/x")
    for disks in (1, 2)
    for point in range(1, effects_of(disks=disks, at=at) + 1)
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("at", "disks", "point"), POINTS)
def test_killed_at_any_effect_when_next_command_runs_leaves_nothing(
    at: str | None, disks: int, point: int, *, after: bool
) -> None:
    world = World()
    world.disks.put(OWN, {})
    world.life.die_at, world.life.after = point, after
    with pytest.raises(Killed):
        live(world, disks=disks, at=at)
    world.new_process()
    assert [ended.why for ended in sweep(world) if ended.why] == []
    assert world.leftovers() == []
    assert OWN not in world.disks.touched


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("second", range(1, 12))
@pytest.mark.parametrize("first", [3, 5, 7, 9, 11])
def test_killed_again_in_the_clean_up_when_next_command_runs_leaves_nothing(
    first: int, second: int, *, after: bool
) -> None:
    world = World()
    world.life.die_at = first
    with pytest.raises(Killed):
        live(world, at="/mnt/x")
    world.new_process()
    world.life.effects.clear()
    world.life.die_at, world.life.after = second, after
    with suppress(Killed):
        sweep(world)
    world.new_process()
    sweep(world)
    assert world.leftovers() == []


@pytest.mark.parametrize("call", ["create", "attach", "detach", "delete"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_lost_answer_of_a_call_leaves_nothing_after_the_next_command(call: str, times: int) -> None:
    world = World()
    world.life.lost[call] = times
    with suppress(SnapSelfError):
        live(world)
    world.new_process()
    sweep(world)
    assert world.leftovers() == []


@pytest.mark.parametrize("point", range(1, 20))
def test_lost_create_when_the_token_is_forgotten_is_found_by_its_tags(point: int) -> None:
    world = World()
    world.life.die_at, world.life.after = point, True
    with pytest.raises(Killed):
        live(world)
    world.new_process()
    world.disks.forgets = True
    sweep(world)
    assert world.leftovers() == []


def test_lost_create_when_nothing_shows_is_kept_in_mind_for_a_day() -> None:
    world = World()
    world.life.lost["create"] = 9
    world.disks.blind = True
    with suppress(SnapSelfError):
        live(world)
    world.new_process()
    world.disks.forgets = True
    (ended,) = sweep(world)
    assert ended.error is not None
    assert ended.error.exit_status == 21
    world.disks.blind = False
    assert [each.why for each in sweep(world)] == [""]
    assert world.leftovers() == []


def test_create_that_never_came_is_forgotten_after_a_day() -> None:
    world = World()
    world.life.broken["create"] = [CloudUnreachable("no answer", maybe_done=True)] * 3
    with suppress(SnapSelfError):
        live(world)
    world.disks.forgets = True
    world.clock.advance(25 * 3600)
    world.life.broken["create"] = [CloudRefused("no")]
    assert [each.why for each in sweep(world)] == [""]
    assert world.leftovers() == []


@pytest.mark.parametrize("call", ["create", "attach", "rule", "mount", "write"])
def test_refused_call_ends_the_copy_and_leaves_nothing(call: str) -> None:
    world = World()
    world.life.broken[call] = [CloudRefused("no")]
    with pytest.raises(SnapSelfError, match="no"):
        live(world, at="/mnt/x")
    assert world.leftovers() == []


def test_refused_create_asks_for_no_disk_again() -> None:
    world = World()
    world.life.broken["create"] = [CloudRefused("no")]
    with pytest.raises(CloudRefused):
        live(world)
    assert len(world.disks.orders) == 1
    assert world.leftovers() == []
