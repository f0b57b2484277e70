"""Disks go to their snapshots and back to their places, whatever happens on the way."""

from __future__ import annotations

from contextlib import suppress

import pytest

from fakes.going_back import UNIT, Journeys
from fakes.looking_back import Killed
from snap_self.errors import (
    CloudRefused,
    CloudUnreachable,
    DisksInUse,
    ExitStatus,
    RollbackUnfinished,
    SnapSelfError,
)
from snap_self.model.going_back import DiskState, Heading, ReturnRecord, Step
from snap_self.usecases.going_back.journey import travel

SHAPES = [("one",), ("one", "two")]


def go(world: Journeys, record: ReturnRecord | None = None) -> ReturnRecord:
    """Begin a journey, or go on with one."""
    if record is None:
        record = world.record()
        world.returns.save(record)
    return travel(world.tools(), world.cloud, record)


def go_on(world: Journeys) -> None:
    """Do what the next command does, if there is anything."""
    for record in world.returns.unfinished():
        go(world, record)


def effects_of(*disks: str, lvm: bool = False) -> int:
    world = Journeys(*disks, lvm=lvm)
    go(world)
    return len(world.life.effects)


@pytest.mark.parametrize("lvm", [False, True], ids=["plain", "lvm"])
@pytest.mark.parametrize("disks", SHAPES)
def test_disks_go_back_and_all_is_in_use_as_it_was(disks: tuple[str, ...], *, lvm: bool) -> None:
    world = Journeys(*disks, lvm=lvm)
    record = go(world)
    assert world.went_back()
    assert world.all_is_in_use()
    assert record.went_back
    assert record.trouble == ""
    assert world.returns.load("r1") == record


def test_outer_filesystems_are_unmounted_last_and_mounted_first() -> None:
    world = Journeys("one", "two", lvm=False)
    go(world)
    assert world.ground.trace == [
        f"stop {UNIT}",
        "unmount /srv/d-two",
        "unmount /srv",
        "mount /srv",
        "mount /srv/d-two",
        f"start {UNIT}",
    ]


def test_all_disks_are_rehearsed_before_the_first_is_reset() -> None:
    world = Journeys("one", "two")
    go(world)
    assert world.cloud.rehearsed == list(world.ids)
    names = [each for each in world.life.effects if not each.startswith("journal")]
    assert [each for each in names if "d-" in each and "mount" not in each] == [
        *("detach d-one", "detach d-two", "reset d-one", "reset d-two"),
        *("attach d-one", "attach d-two"),
    ]


def test_each_reset_is_written_down_before_it_is_asked_for() -> None:
    world = Journeys("one")
    seen: list[DiskState] = []
    real = world.cloud.reset

    def reset(*args: object, **named: object) -> None:
        record = world.returns.load("r1")
        assert record is not None
        seen.append(record.disks[0].state)
        real(*args, **named)  # type: ignore[arg-type]

    world.cloud.reset = reset  # type: ignore[method-assign,assignment]
    go(world)
    assert seen == [DiskState.ASKED]


POINTS = [
    (disks, lvm, point)
    for disks in SHAPES
    for lvm in (False, True)
    for point in range(2, effects_of(*disks, lvm=lvm) + 1)
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("disks", "lvm", "point"), POINTS)
def test_killed_at_any_effect_the_next_command_brings_it_forward(
    disks: tuple[str, ...], point: int, *, lvm: bool, after: bool
) -> None:
    world = Journeys(*disks, lvm=lvm)
    world.life.die_at, world.life.after = point, after
    with pytest.raises(Killed):
        go(world)
    assert not world.torn_in_use()
    world.new_process()
    go_on(world)
    assert world.went_back()
    assert world.all_is_in_use()
    assert world.returns.unfinished() == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("second", range(1, 16))
@pytest.mark.parametrize("first", [4, 8, 12, 16, 19])
def test_killed_again_while_it_goes_on_the_one_after_that_ends_it(
    first: int, second: int, *, after: bool
) -> None:
    world = Journeys("one", "two")
    world.life.die_at = first
    with pytest.raises(Killed):
        go(world)
    world.new_process()
    world.life.effects.clear()
    world.life.die_at, world.life.after = second, after
    with suppress(Killed):
        go_on(world)
    assert not world.torn_in_use()
    world.new_process()
    go_on(world)
    assert world.went_back()
    assert world.all_is_in_use()


CALLS = [f"{what} d-{disk}" for what in ("detach", "reset", "attach") for disk in ("one", "two")]


@pytest.mark.parametrize("call", CALLS)
def test_lost_answer_of_any_call_tears_nothing_and_the_next_command_ends_it(call: str) -> None:
    world = Journeys("one", "two")
    world.life.lost[call] = 1
    with suppress(SnapSelfError):
        go(world)
    assert not world.torn_in_use()
    go_on(world)
    assert world.all_is_in_use()
    assert world.went_back() or world.untouched()
    assert world.returns.unfinished() == ()


@pytest.mark.parametrize("call", ["stop database.service", "unmount /srv", "detach d-two"])
def test_refusal_before_the_first_reset_turns_back_and_nothing_is_lost(call: str) -> None:
    world = Journeys("one", "two")
    world.life.broken[call] = [DisksInUse("no")]
    with pytest.raises(DisksInUse, match="no"):
        go(world)
    assert world.untouched()
    assert world.all_is_in_use()
    (record,) = world.returns.done()
    assert (record.heading, record.trouble) == (Heading.BACK, "no")
    assert not record.went_back


def test_first_reset_refused_turns_back_and_nothing_is_lost() -> None:
    world = Journeys("one", "two")
    world.cloud.unreset[world.ids[0]] = CloudRefused("the cloud says no")
    with pytest.raises(CloudRefused, match="the cloud says no"):
        go(world)
    assert world.untouched()
    assert world.all_is_in_use()


@pytest.mark.parametrize("lvm", [False, True], ids=["plain", "lvm"])
def test_second_reset_refused_leaves_no_torn_set_in_use_and_tells_the_truth(*, lvm: bool) -> None:
    world = Journeys("one", "two", lvm=lvm)
    world.cloud.unreset[world.ids[1]] = CloudRefused("the cloud says no")
    with pytest.raises(RollbackUnfinished) as caught:
        go(world)
    assert caught.value.exit_status is ExitStatus.HALF_BACK
    said = caught.value.message
    assert "d-one went back; d-two did not" in said
    assert "the cloud says no" in said
    assert "would not fit together" in said
    assert "reset d-two to s-two" in caught.value.hint
    assert world.ground.mounts == {}
    assert world.ground.units == {UNIT: False}
    assert not world.stay.held
    (record,) = world.returns.unfinished()
    assert record.trouble == "the cloud says no"
    world.cloud.unreset.clear()
    go_on(world)
    assert world.went_back()
    assert world.all_is_in_use()


def test_refused_after_a_kill_in_the_reset_it_is_not_claimed_that_nothing_was_lost() -> None:
    world = Journeys("one")
    effects = []
    go(world)
    effects = world.life.effects
    world = Journeys("one")
    world.life.die_at, world.life.after = effects.index("reset d-one") + 1, True
    with pytest.raises(Killed):
        go(world)
    world.new_process()
    world.cloud.unreset[world.ids[0]] = CloudRefused("no")
    with pytest.raises(RollbackUnfinished, match="whether d-one did is not known"):
        go_on(world)


def test_cloud_that_is_silent_after_the_reset_leaves_it_to_the_next_command() -> None:
    world = Journeys("one")
    world.life.broken["attach d-one"] = [CloudUnreachable("no answer")]
    with pytest.raises(RollbackUnfinished, match="d-one went back"):
        go(world)
    go_on(world)
    assert world.went_back()
    assert world.all_is_in_use()


def test_disk_that_failed_to_be_reset_is_not_attached() -> None:
    world = Journeys("one")
    real = world.cloud.disk

    def disk(*args: object, **named: object) -> object:
        seen = real(*args, **named)  # type: ignore[arg-type]
        failed = world.cloud.content["d-one"] != "now"  # type: ignore[index]
        from dataclasses import replace

        return replace(seen, status="ReInitFailed") if seen and failed else seen

    world.cloud.disk = disk  # type: ignore[method-assign,assignment]
    with pytest.raises(RollbackUnfinished, match="began to reset d-one and failed"):
        go(world)
    assert "attach d-one" not in world.life.effects


def test_unit_that_does_not_start_is_named_and_does_not_undo_the_rest() -> None:
    world = Journeys("one")
    world.ground.unstartable = {UNIT}
    record = go(world)
    assert record.went_back
    assert record.not_started == (f"{UNIT}: it says no",)


def test_unit_that_did_not_run_is_not_started() -> None:
    from dataclasses import replace

    world = Journeys("one")
    world.ground.units = {UNIT: False}
    record = world.record()
    units = tuple(replace(unit, was_active=False) for unit in record.units)
    go(world, replace(record, units=units))
    assert world.ground.units == {UNIT: False}


class Signal(BaseException):
    """As a SIGTERM comes."""


def test_signal_before_the_first_reset_puts_all_back_before_it_ends_the_process() -> None:
    world = Journeys("one")
    world.life.broken["detach d-one"] = [Signal()]
    with pytest.raises(Signal):
        go(world)
    assert world.untouched()
    assert world.all_is_in_use()
    (record,) = world.returns.done()
    assert record.heading is Heading.BACK


def test_signal_after_a_reset_leaves_the_way_forward_to_the_next_command() -> None:
    world = Journeys("one")
    world.life.broken["attach d-one"] = [Signal()]
    with pytest.raises(Signal):
        go(world)
    (record,) = world.returns.unfinished()
    assert (record.heading, record.step) == (Heading.FORWARD, Step.ATTACHING)
    go_on(world)
    assert world.went_back()
    assert world.all_is_in_use()


def test_disk_that_somebody_gave_to_another_instance_is_left_alone() -> None:
    from dataclasses import replace

    world = Journeys("one")
    disk = world.cloud.disks[world.ids[0]]
    world.life.broken["reset d-one"] = [CloudRefused("no")]
    world.cloud.detach = lambda *_, **__: world.cloud.disks.update(  # type: ignore[method-assign,assignment]
        {world.ids[0]: replace(disk, attached_to=frozenset({"i-other"}))}  # type: ignore[arg-type]
    )
    with pytest.raises(RollbackUnfinished, match="attached to i-other by now"):
        go(world)
