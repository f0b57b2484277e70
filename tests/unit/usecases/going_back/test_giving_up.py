"""Who repaired it by hand ends a rollback that is half-way, and nothing goes on with it."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import cast

import pytest

from fakes.going_back import UNIT, Journeys
from fakes.lock import FakeLock
from snap_self.errors import CloudRefused, RollbackUnfinished, UsageError
from snap_self.model.going_back import Heading, ReturnRecord
from snap_self.output.rollback_online import returned_notes, write_given_up
from snap_self.output.streams import make_streams
from snap_self.usecases.going_back.giving_up import give_up
from snap_self.usecases.going_back.journey import travel
from snap_self.usecases.tools import Tools


def torn() -> Journeys:
    """Return a machine of whose disks one went back and one did not."""
    world = Journeys("one", "two", lvm=True)
    world.returns.save(world.record())
    world.cloud.unreset[world.ids[1]] = CloudRefused("no")
    with pytest.raises(RollbackUnfinished) as caught:
        travel(world.tools(), world.cloud, world.record())
    assert "snap-self rollback r1 --give-up" in caught.value.hint
    return world


def end(world: Journeys, wanted: str = "r1") -> ReturnRecord:
    """Give it up."""
    tools = SimpleNamespace(lock=FakeLock(world.clock), lock_wait_s=0.0)
    closed = give_up(cast("Tools", tools), world.tools(), wanted)
    assert isinstance(closed, ReturnRecord)
    return closed


def test_what_is_given_up_is_not_gone_on_with_and_never_told_as_gone_back() -> None:
    world = torn()
    effects = len(world.life.effects)
    closed = end(world)
    assert world.life.effects[effects:] == ["journal done"]
    assert world.returns.unfinished() == ()
    assert (closed.heading, closed.went_back) == (Heading.GIVEN_UP, False)
    (note,) = returned_notes(world.returns.done(), "run")
    assert note.startswith("rollback to run run was given up ")
    assert note.endswith("d-one went back; d-two did not")


def test_it_says_what_lies_where_and_what_is_left_to_do() -> None:
    out, err = io.StringIO(), io.StringIO()
    write_given_up(make_streams(out, err, env={}, verbosity=0, json=False), end(torn()))
    said = out.getvalue()
    assert "d-one went back; d-two did not" in said
    assert "whether d-one, d-two are" in said
    assert "vgchange -ay vg0" in said
    assert "not: /srv" in said
    assert f"not run: {UNIT}" in said
    assert "torn" in err.getvalue()


def test_only_what_is_half_way_can_be_given_up() -> None:
    world = torn()
    with pytest.raises(UsageError, match="no rollback r2 is half-way"):
        end(world, "r2")
    end(world)
    with pytest.raises(UsageError, match="no rollback r1 is half-way"):
        end(world)
