"""Whatever becomes of a CreateDisk and its answer, no disk is left after the next command."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.copy_life import CHOICES, live, sweep
from fakes.looking_back import INSTANCE, OWN, TRIES, Killed, World
from snap_self.errors import DiskCategoryRefused, QuotaReached, SnapSelfError
from snap_self.model.ids import DiskId
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.recovery.temporary.rules import TOKEN_S

HOUR_S = 3600.0


def disks_of(world: World) -> list[DiskId]:
    """Return the temporary disks that exist."""
    return [each for each in world.disks.disks if each.startswith("d-temp")]


def test_token_forgotten_between_two_tries_when_the_copy_ends_leaves_no_disk_of_either() -> None:
    world = World()
    world.disks.amnesia = True
    world.disks.fates = [("lost",)]
    live(world)
    assert world.disks.made == 2
    assert world.leftovers() == []


def test_token_forgotten_after_a_lost_answer_when_asked_again_leaves_no_disk_of_either() -> None:
    world = World()
    world.disks.amnesia = True
    world.disks.fates = [("lost", "silence")]
    with pytest.raises(SnapSelfError):
        live(world)
    assert world.disks.made == 2
    assert world.leftovers() == []


@pytest.mark.parametrize("disks", [1, 2])
def test_lost_answer_found_long_after_is_looked_for_before_another_disk_is_made(disks: int) -> None:
    world = World()
    world.life.die_at, world.life.after = 3, True
    with pytest.raises(Killed):
        live(world, disks=disks)
    world.new_process()
    world.clock.advance(TOKEN_S + 1)
    world.disks.amnesia = True
    assert [ended.why for ended in sweep(world)] == [""]
    assert world.disks.made == 1
    assert world.leftovers() == []


def test_lost_answer_found_long_after_when_no_list_shows_it_is_asked_for_again() -> None:
    world = World()
    world.life.die_at, world.life.after = 3, True
    with pytest.raises(Killed):
        live(world)
    world.new_process()
    world.clock.advance(HOUR_S)
    world.disks.blind = True
    assert [ended.why for ended in sweep(world)] == [""]
    assert world.leftovers() == []


def test_order_that_is_nearly_given_up_is_only_looked_for() -> None:
    world = World()
    world.disks.fates = [("unsure", "silence"), ("denied",)]
    with suppress(SnapSelfError):
        live(world)
    world.clock.advance(23.5 * HOUR_S)
    (ended,) = sweep(world)
    assert ended.error is not None
    assert (len(world.disks.orders), world.disks.made) == (2, 0)
    world.clock.advance(HOUR_S)
    assert [each.why for each in sweep(world)] == [""]


@pytest.mark.parametrize("refusal", ["quota", "sold out", "denied"])
def test_lost_answer_before_a_refusal_leaves_no_disk(refusal: str) -> None:
    world = World()
    # The disk is there, so there is room for no other: not at the end either.
    world.disks.fates = [("lost", refusal), (refusal,), (refusal,)]
    with pytest.raises(TRIES[refusal]):
        live(world)
    assert world.disks.made == 1
    assert world.leftovers() == []


def test_lost_answer_before_the_next_category_is_not_forgotten_for_it() -> None:
    world = World()
    world.disks.fates = [("lost", "sold out"), ("sold out",)]
    with pytest.raises(DiskCategoryRefused):
        live(world)
    assert {order.choice for order in world.disks.orders} == {CHOICES[0]}
    assert world.leftovers() == []


def test_refusal_of_every_try_lets_the_next_category_have_its_turn() -> None:
    world = World()
    world.disks.fates = [("sold out",)]
    live(world)
    assert [order.choice for order in world.disks.orders] == list(CHOICES)
    assert world.leftovers() == []


def test_answer_without_an_id_leaves_no_disk() -> None:
    world = World()
    world.disks.fates = [("unclear",), ("unclear",)]
    with pytest.raises(TRIES["unclear"]):
        live(world)
    assert world.disks.made == 1
    assert world.leftovers() == []


def test_refusal_of_every_try_looks_for_no_disk() -> None:
    world = World()
    world.disks.put("d-temp-strange", {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "r1"})
    world.disks.fates = [("quota",)]
    with pytest.raises(QuotaReached):
        live(world)
    assert world.disks.touched == []


def test_disk_that_only_shares_a_tag_stays_when_the_copy_ends() -> None:
    world = World()
    world.disks.put("d-other", {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "r2"}, status="Available")
    world.disks.put("d-elsewhere", {RESTORE_TAG: "r1"}, status="Available")
    live(world)
    assert set(world.disks.disks) == {"d-other", "d-elsewhere"}
    assert world.leftovers() == []


def test_disk_of_this_copy_that_another_instance_has_is_left_and_said() -> None:
    world = World()
    world.disks.put("d-moved", {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "r1"})
    world.disks.move("d-moved", "i-other")
    with pytest.raises(SnapSelfError) as caught:
        live(world)
    assert caught.value.exit_status == 21
    assert "d-moved is left alone" in caught.value.message
    assert "d-moved" not in world.disks.touched


# --- any of it together ----------------------------------------------------------------------

FATES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["lost", "unsure"]), max_size=3),
        st.sampled_from(["", *TRIES]),
    ).map(lambda each: (*each[0], *filter(None, each[1:]))),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(
    fates=FATES,
    amnesia=st.tuples(st.booleans(), st.booleans()),
    deaths=st.lists(st.tuples(st.integers(1, 24), st.booleans()), max_size=3),
    lost=st.dictionaries(st.sampled_from(["create", "attach", "detach", "delete"]), st.just(1)),
    disks=st.integers(1, 2),
    pause_s=st.sampled_from([0.0, 30.0, TOKEN_S + 1, 5 * HOUR_S, 30 * HOUR_S]),
)
def test_any_row_of_faults_and_deaths_leaves_no_disk_after_one_sweep(
    fates: list[tuple[str, ...]],
    amnesia: tuple[bool, bool],
    deaths: list[tuple[int, bool]],
    lost: dict[str, int],
    disks: int,
    pause_s: float,
) -> None:
    world = World()
    world.disks.put(OWN, {})
    world.disks.fates, world.disks.amnesia = list(fates), amnesia[0]
    world.life.lost |= lost
    # The first process lives the copy; each further one that dies was a clean-up.
    for number, (world.life.die_at, world.life.after) in enumerate([*deaths, (0, False)]):
        with suppress(Killed, SnapSelfError):
            if number == 0:
                live(world, disks=disks, at="/mnt/x")
            else:
                sweep(world)
        world.new_process()
        world.life.effects.clear()
    world.clock.advance(pause_s)
    world.disks.amnesia = amnesia[1]
    sweep(world)
    assert disks_of(world) == []
    assert world.leftovers() == []
    assert OWN not in world.disks.touched
    # One for each try at most, and each process asks at most once more for each disk.
    tries = sum(len(each) for each in fates)
    assert world.disks.made <= tries + disks * (len(deaths) + 3)
