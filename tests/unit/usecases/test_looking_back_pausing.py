"""A pause before the cloud is asked again ends when the disk's device comes or goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.clock import FakeClock
from fakes.looking_back import INSTANCE, World
from snap_self.usecases.looking_back.pausing import LONGEST_S, LOOK_S, longer, pause_until


def world_where_device(*, comes: bool, after_s: float) -> World:
    """Return a world in which the device of a disk comes, or goes, a while after the start."""
    world = World()
    world.disks.put("d-temp0", {}, status="Available" if comes else "In_use")
    begun = world.clock.monotonic()

    def change(_: float) -> None:
        if world.clock.monotonic() >= begun + after_s:
            here = frozenset({INSTANCE}) if comes else frozenset()
            (name,) = world.disks.disks
            world.disks.disks[name] = replace(world.disks.disks[name], attached_to=here)

    clock = FakeClock(on_sleep=change)
    world.clock = clock
    return world


@pytest.mark.parametrize("there", [True, False], ids=["comes", "goes"])
def test_pause_ends_soon_after_the_device_has_changed(*, there: bool) -> None:
    world = world_where_device(comes=there, after_s=0.3)
    begun = world.clock.monotonic()
    pause_until(world.tools(), "temp0", there=there, longest_s=1.0)
    assert world.clock.monotonic() - begun == pytest.approx(0.3, abs=1.5 * LOOK_S)


@pytest.mark.parametrize("there", [True, False], ids=["is there", "is gone"])
def test_device_that_has_changed_before_wakes_nobody(*, there: bool) -> None:
    world = world_where_device(comes=not there, after_s=9.0)
    begun = world.clock.monotonic()
    pause_until(world.tools(), "temp0", there=there, longest_s=0.4)
    assert world.clock.monotonic() - begun == pytest.approx(0.4)


def test_pause_without_a_change_has_its_length() -> None:
    world = world_where_device(comes=True, after_s=9.0)
    begun = world.clock.monotonic()
    pause_until(world.tools(), "temp0", there=True, longest_s=0.73)
    assert world.clock.monotonic() - begun == pytest.approx(0.73)


def test_pauses_grow_to_the_longest() -> None:
    assert (longer(0.1), longer(0.9), longer(LONGEST_S)) == (pytest.approx(0.125), 1.0, 1.0)
