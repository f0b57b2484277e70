"""What others did meanwhile, and what the cloud or the journal kept back, makes nothing worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fakes.going_back import INSTANCE, UNIT, Journeys
from fakes.looking_back import Killed
from snap_self.errors import (
    CloudRefused,
    CloudUnreachable,
    DiskNotSettled,
    DisksInUse,
    ExitStatus,
    PermissionRefused,
    RollbackUnfinished,
    SnapSelfError,
    StateUnusable,
)
from snap_self.model.disks import CloudDisk
from snap_self.model.going_back import DiskState, Heading, ReturnRecord, Step, User
from snap_self.model.ids import DiskId
from snap_self.model.progress import EventKind
from snap_self.output.rollback_online import returned_notes, status_of
from snap_self.usecases.going_back.journey import travel


def go(world: Journeys) -> ReturnRecord:
    """Begin a journey."""
    record = world.record()
    world.returns.save(record)
    return travel(world.tools(), world.cloud, record)


def go_on(world: Journeys) -> ReturnRecord:
    """Do what the next command does."""
    (record,) = world.returns.unfinished()
    return travel(world.tools(), world.cloud, record)


def put(world: Journeys, disk_id: DiskId, status: str) -> None:
    """Have a disk in another state, by somebody else's hand."""
    attached = frozenset({INSTANCE} if status == "In_use" else ())
    disk = world.cloud.disks[disk_id]
    world.cloud.disks[disk_id] = replace(
        disk, status=status, attached_to=attached, delete_with_instance=status == "In_use"
    )


def interrupted(world: Journeys, step: Step, *states: DiskState) -> None:
    """Have it interrupted at a step, with its disks detached and nothing mounted or running."""
    disks = tuple(
        replace(disk, state=state) for disk, state in zip(world.record().disks, states, strict=True)
    )
    world.returns.save(replace(world.record(), step=step, disks=disks))
    world.ground.mounts, world.ground.units = {}, {UNIT: False}
    world.ground.groups = set()
    for disk_id in world.ids:
        put(world, disk_id, "Available")


def be_full(world: Journeys) -> Callable[[bool], None]:
    """Have the state directory take nothing more from now on, or take it again."""
    save, full = world.returns.save, [True]

    def put_safely(record: ReturnRecord) -> None:
        if full[0]:
            raise StateUnusable("no space left on device")
        save(record)

    world.returns.save = put_safely  # type: ignore[method-assign]
    return lambda value: full.__setitem__(0, value)


# --- a reset that may have been heard --------------------------------------------------------


@pytest.mark.parametrize("last", [DiskNotSettled, CloudRefused])
def test_first_reset_that_may_have_been_heard_is_not_called_untouched(
    last: type[SnapSelfError],
) -> None:
    world = Journeys("one", "two", lvm=True)
    tries = 0

    def reset(*_of: object, **_named: object) -> None:
        nonlocal tries
        tries += 1
        world.cloud.content[world.ids[0]] = "s-one"
        error = DiskNotSettled("no") if tries < 3 else last("no")
        error.maybe_done = tries == 1  # type: ignore[attr-defined]
        raise error

    world.cloud.reset = reset  # type: ignore[method-assign]
    with pytest.raises(RollbackUnfinished, match="whether d-one did is not known"):
        go(world)
    assert not world.torn_in_use()
    assert world.ground.mounts == {}
    (record,) = world.returns.unfinished()
    assert (record.heading, record.disks[0].state) == (Heading.FORWARD, DiskState.ASKED)


@pytest.mark.parametrize("seen", ["ReIniting", "ReInitFailed", ""])
def test_refused_reset_is_looked_at_before_anything_turns_back(seen: str) -> None:
    world = Journeys("one")
    look = world.cloud.disk
    refused = False

    def reset(*_of: object, **_named: object) -> None:
        nonlocal refused
        refused = True
        raise CloudRefused("no")

    def disk(disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        if refused and not seen:
            raise CloudUnreachable("no answer")
        found = look(disk_id, deadline_s=deadline_s)
        return replace(found, status=seen) if found and refused else found

    world.cloud.reset, world.cloud.disk = reset, disk  # type: ignore[method-assign]
    with pytest.raises(RollbackUnfinished, match="whether d-one did is not known"):
        go(world)
    assert world.ground.mounts == {}


# --- disks that others attached --------------------------------------------------------------


def test_disks_that_were_repaired_by_hand_after_a_torn_set_are_left_alone() -> None:
    world = Journeys("one", "two", lvm=True)
    world.cloud.unreset[world.ids[1]] = CloudRefused("no")
    with pytest.raises(RollbackUnfinished):
        go(world)
    world.cloud.unreset.clear()
    for disk_id in world.ids:
        put(world, disk_id, "In_use")
        world.cloud.content[disk_id] = "a week of new work"
    world.ground.groups, world.ground.units = {"vg0"}, {UNIT: True}
    world.ground.mounts = {each.place: each for each in world.places}
    world.ground.trace.clear()
    with pytest.raises(RollbackUnfinished, match="d-one was attached by somebody meanwhile"):
        go_on(world)
    assert world.ground.trace == []
    assert set(world.cloud.content.values()) == {"a week of new work"}
    assert world.all_is_in_use()


@pytest.mark.parametrize("status", ["In_use", "Attaching"])
def test_one_disk_that_was_asked_for_and_attached_by_hand_is_left_alone(status: str) -> None:
    world = Journeys("one")
    interrupted(world, Step.RESETTING, DiskState.ASKED)
    put(world, world.ids[0], status)
    with pytest.raises(RollbackUnfinished, match="attached by somebody meanwhile") as caught:
        go_on(world)
    assert "snap-self has nothing on them mounted" in caught.value.message
    assert world.untouched()
    assert world.ground.trace == []


# --- a journal that cannot be written --------------------------------------------------------


def test_turn_back_that_the_journal_does_not_have_tells_that_it_goes_on_to_reset() -> None:
    world = Journeys("one")

    def detach(*_of: object, **_named: object) -> None:
        be_full(world)
        raise PermissionRefused("may not DetachDisk")

    world.cloud.detach = detach  # type: ignore[method-assign]
    with pytest.raises(RollbackUnfinished, match="no space left") as caught:
        go(world)
    assert world.all_is_in_use()
    assert "what it tries again is to reset d-one to s-one" in caught.value.hint
    assert "nothing on them" not in caught.value.message
    assert "findmnt and systemctl tell" in caught.value.message


def test_full_state_directory_keeps_nothing_from_its_place() -> None:
    world = Journeys("one")
    interrupted(world, Step.RESETTING, DiskState.WENT_BACK)
    world.cloud.content[world.ids[0]] = "s-one"
    full = be_full(world)
    with pytest.raises(RollbackUnfinished, match="no space left"):
        go_on(world)
    assert world.all_is_in_use()
    full(False)
    assert go_on(world).went_back


# --- a cloud that is silent ------------------------------------------------------------------


@pytest.mark.parametrize("effect", [f"stop {UNIT}", "unmount /srv"])
def test_turn_back_before_the_first_detach_needs_no_cloud(effect: str) -> None:
    world = Journeys("one")
    world.life.broken[effect] = [DisksInUse("busy")]

    def disk(*_of: object, **_named: object) -> CloudDisk | None:
        raise CloudUnreachable("no answer")

    world.cloud.disk = disk  # type: ignore[method-assign]
    with pytest.raises(DisksInUse, match="busy"):
        go(world)
    assert world.all_is_in_use()
    (record,) = world.returns.done()
    assert record.heading is Heading.BACK


# --- units -----------------------------------------------------------------------------------


def test_unit_that_does_not_start_after_a_turn_back_is_told() -> None:
    world = Journeys("one")
    world.ground.unstartable = {UNIT}
    world.life.broken["detach d-one"] = [PermissionRefused("no")]
    with pytest.raises(PermissionRefused):
        go(world)
    told = [event.text for event in world.events if event.kind is EventKind.WARNING]
    assert told == [f"not started again: {UNIT}: it says no"]


def test_unit_that_was_started_meanwhile_is_stopped_before_what_it_uses_is_mounted() -> None:
    world = Journeys("one")
    interrupted(world, Step.ATTACHING, DiskState.WENT_BACK)
    world.ground.units = {UNIT: True}
    go_on(world)
    assert world.ground.trace == [f"stop {UNIT}", "mount /srv", f"start {UNIT}"]


def test_unit_that_runs_on_what_is_mounted_again_is_not_stopped() -> None:
    world = Journeys("one")
    interrupted(world, Step.STARTING, DiskState.WENT_BACK)
    put(world, world.ids[0], "In_use")
    world.ground.mounts = {each.place: each for each in world.places}
    world.ground.units = {UNIT: True}
    assert go_on(world).went_back
    assert f"stop {UNIT}" not in world.ground.trace


# --- what the snapshots do not have ----------------------------------------------------------


def test_place_that_the_snapshot_does_not_have_is_told_once_and_starts_nothing() -> None:
    world = Journeys("one", "two")
    world.life.broken["mount /srv/d-two"] = [RollbackUnfinished("wrong fs type")]
    record = go(world)
    assert record.went_back
    assert record.not_mounted == ("wrong fs type",)
    assert list(world.ground.mounts) == ["/srv"]
    assert world.ground.units == {UNIT: False}
    assert record.not_started == (f"{UNIT}: not all is mounted; then: systemctl start {UNIT}",)
    assert world.returns.unfinished() == ()


def test_place_that_is_not_mounted_after_a_turn_back_is_tried_again() -> None:
    world = Journeys("one")
    world.life.broken["detach d-one"] = [PermissionRefused("no")]
    world.life.broken["mount /srv"] = [RollbackUnfinished("not now")]
    with pytest.raises(RollbackUnfinished, match="nothing is lost; findmnt and systemctl tell"):
        go(world)
    go_on(world)
    assert world.all_is_in_use()
    assert world.untouched()


# --- what a mount hides ----------------------------------------------------------------------


LOGGER = User(pid=7, program="logger", unit="log.service", path="/srv/a.log")


def test_who_works_below_a_place_that_is_mounted_over_is_told_and_not_forgotten() -> None:
    world = Journeys("one")
    world.ground.beneath = (LOGGER,)
    record = go(world)
    assert record.went_back
    assert world.all_is_in_use()
    (told,) = record.beneath
    assert "logger (pid 7, unit log.service) goes on with /srv/a.log" in told
    assert status_of(record) is ExitStatus.RESTORED_IN_PART
    (note,) = returned_notes(world.returns.done(), "run")
    assert told in note


def test_who_works_below_is_known_after_a_kill_too() -> None:
    whole, world = Journeys("one"), Journeys("one")
    whole.ground.beneath = world.ground.beneath = (LOGGER,)
    go(whole)
    world.life.die_at = whole.life.effects.index(f"start {UNIT}") + 1
    with pytest.raises(Killed):
        go(world)
    world.new_process()
    assert "logger (pid 7" in go_on(world).beneath[0]


# --- a detach that comes late ----------------------------------------------------------------


def test_each_disk_is_looked_at_again_right_before_it_is_detached() -> None:
    world = Journeys("one", "two")
    seen: list[str] = []
    detach = world.cloud.detach

    def held(serials: object) -> None:
        seen.append(f"held {serials}")

    def away(disk_id: DiskId, *of: object, **named: object) -> None:
        seen.append(f"detach {disk_id}")
        detach(disk_id, *of, **named)  # type: ignore[arg-type]

    world.ground.refuse_held, world.cloud.detach = held, away  # type: ignore[method-assign,assignment]
    go(world)
    assert seen == [
        "held ['one', 'two']",
        *("held ['one']", "detach d-one"),
        *("held ['two']", "detach d-two"),
    ]


class Signal(BaseException):
    """As a SIGTERM comes."""


def test_detach_under_way_when_a_signal_comes_is_waited_for_before_anything_is_mounted() -> None:
    world = Journeys("one")
    detach, attach = world.cloud.detach, world.cloud.attach
    look = world.cloud.disk
    due: list[float] = []

    def away(*_of: object, **_named: object) -> None:
        if due:
            raise AssertionError("asked for twice")
        due.append(world.clock.monotonic() + 3.0)
        raise Signal

    def disk(disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        if due and due[0] <= world.clock.monotonic():
            due[0] = float("inf")
            detach(disk_id, INSTANCE)
        return look(disk_id, deadline_s=deadline_s)

    world.cloud.detach, world.cloud.disk = away, disk  # type: ignore[method-assign,assignment]
    asked: list[str] = []

    def attached(disk_id: DiskId, *of: object, **named: object) -> None:
        asked.append(disk_id)
        attach(disk_id, *of, **named)  # type: ignore[arg-type]

    world.cloud.attach = attached  # type: ignore[method-assign,assignment]
    with pytest.raises(Signal):
        go(world)
    assert asked == ["d-one"]
    assert world.all_is_in_use()
    assert world.untouched()
