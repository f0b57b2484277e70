"""The next command goes on with what was interrupted, as long as that is what was agreed to."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fakes.going_back import INSTANCE, UNIT, Journeys
from fakes.lock import FakeLock
from fakes.looking_back import Killed
from snap_self.errors import CloudRefused, PermissionRefused, RollbackUnfinished, StateUnusable
from snap_self.model.going_back import Heading, ReturnRecord, Step
from snap_self.model.ids import InstanceId
from snap_self.output.rollback_online import ended_words
from snap_self.usecases.going_back.journey import travel
from snap_self.usecases.going_back.sweeping import AGREED_S, GoneOn, go_on
from snap_self.usecases.tools import Tools


def sweep(
    world: Journeys, *, instance: str = INSTANCE, lock: FakeLock | None = None
) -> list[GoneOn]:
    identity = SimpleNamespace(instance_id=InstanceId(instance))
    tools = SimpleNamespace(
        lock=lock or FakeLock(world.clock),
        here=lambda: SimpleNamespace(identity=identity),
    )
    return list(go_on(cast("Tools", tools), world.tools()))


def interrupted(effect: str, *disks: str) -> Journeys:
    """Return a machine on which the process was killed before an effect."""
    trial = Journeys(*disks)
    trial.returns.save(trial.record())
    travel(trial.tools(), trial.cloud, trial.record())
    world = Journeys(*disks)
    world.returns.save(world.record())
    world.life.die_at = trial.life.effects.index(effect) + 1
    with pytest.raises(Killed):
        travel(world.tools(), world.cloud, world.record())
    world.new_process()
    return world


def test_nothing_is_asked_where_nothing_is_left() -> None:
    world = Journeys()
    tools: Any = SimpleNamespace(lock=FakeLock(world.clock), here=lambda: pytest.fail("asked"))
    assert go_on(tools, world.tools()) == ()


@pytest.mark.parametrize("effect", ["unmount /srv", "detach d-one", "reset d-one", "mount /srv"])
def test_interrupted_one_is_brought_forward_at_once(effect: str) -> None:
    world = interrupted(effect, "one")
    (ended,) = sweep(world)
    assert ended.error is None
    assert world.went_back()
    assert world.all_is_in_use()


@pytest.mark.parametrize("late", [True, False], ids=["late", "other boot"])
@pytest.mark.parametrize("effect", ["unmount /srv", "detach d-two"])
def test_interrupted_before_a_reset_and_long_ago_it_turns_back(effect: str, *, late: bool) -> None:
    # What was written since was never agreed to be lost.
    world = interrupted(effect, "one", "two")
    if late:
        world.clock.advance(AGREED_S + 1)
    else:
        world.boot_id = "another"
    (ended,) = sweep(world)
    assert ended.record.heading is Heading.BACK
    assert world.untouched()
    assert world.all_is_in_use()


def test_interrupted_after_a_reset_it_goes_forward_however_late() -> None:
    world = interrupted("reset d-two", "one", "two")
    world.clock.advance(AGREED_S + 1)
    world.boot_id = "another"
    sweep(world)
    assert world.went_back()
    assert world.all_is_in_use()


def test_nothing_is_done_while_another_command_is_at_work() -> None:
    world = interrupted("reset d-one", "one")
    lock = FakeLock(world.clock)
    with lock.hold(timeout_s=0.0, purpose="run"):
        assert sweep(world, lock=lock) == []
    assert world.untouched()


def test_nothing_is_done_and_that_is_said_in_a_mount_namespace_of_its_own() -> None:
    # What it mounts there, as a service with ProtectSystem= would, nobody else has.
    world = interrupted("reset d-one", "one")
    world.ground.sandboxed = True
    effects = list(world.life.effects)
    assert sweep(world) == []
    assert world.life.effects == effects
    assert "mount namespace of its own" in world.events[-1].text
    world.ground.sandboxed = False
    assert [each.error for each in sweep(world)] == [None]
    assert world.all_is_in_use()


def test_record_of_the_machine_it_was_copied_from_is_dropped() -> None:
    world = interrupted("reset d-one", "one")
    (ended,) = sweep(world, instance="i-copy")
    assert ended.record.step is Step.DONE
    assert not ended.record.went_back
    assert world.untouched()
    assert world.returns.unfinished() == ()


def test_what_is_still_half_way_is_told_with_its_reason() -> None:
    world = interrupted("reset d-two", "one", "two")
    world.cloud.unreset[world.ids[1]] = CloudRefused("no")
    (ended,) = sweep(world)
    assert ended.error is not None
    assert ended.error.exit_status == 24
    assert not world.torn_in_use()
    assert ended.record == replace(ended.record, trouble="no")


@pytest.mark.parametrize("step", [Step.UNMOUNTING, Step.DETACHING, Step.RESETTING])
def test_disks_that_are_in_use_again_are_turned_back_and_not_reset(step: Step) -> None:
    # As after a turn back that a full state directory did not take.
    world = Journeys("one")
    world.returns.save(replace(world.record(), step=step))
    (ended,) = sweep(world)
    assert (ended.error, ended.record.heading) == (None, Heading.BACK)
    assert "in use again" in ended_words(ended.record)
    assert world.untouched()
    assert world.all_is_in_use()


@pytest.mark.parametrize("late", [True, False])
def test_full_state_directory_is_not_told_as_an_end_and_what_can_be_done_is(*, late: bool) -> None:
    world = interrupted("detach d-one", "one")
    if late:
        world.boot_id = "another"

    def save(record: ReturnRecord) -> None:
        raise StateUnusable("no space left on device")

    world.returns.save = save  # type: ignore[method-assign]
    (one,) = sweep(world)
    assert isinstance(one.error, RollbackUnfinished)
    assert "no space left" in one.error.message
    assert world.untouched()
    assert world.all_is_in_use()


def test_one_that_turns_back_is_not_told_as_gone_back() -> None:
    world = interrupted("detach d-one", "one")
    world.ground.unstartable = {UNIT}
    world.life.broken["detach d-one"] = [PermissionRefused("may not")]
    (one,) = sweep(world)
    assert one.error is None
    said = ended_words(one.record)
    assert "has turned back, no disk was reset" in said
    assert f"may not; not started again: {UNIT}: it says no" in said
