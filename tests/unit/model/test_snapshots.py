"""Levels are ordered by what they prove."""

from __future__ import annotations

from itertools import pairwise

import pytest

from snap_self.model.snapshots import Consistency


@pytest.mark.parametrize(("weaker", "stronger"), tuple(pairwise(Consistency)))
def test_each_level_is_worth_more_than_the_one_before(
    weaker: Consistency, stronger: Consistency
) -> None:
    assert weaker < stronger
    assert not stronger < weaker
    assert stronger.at_least(weaker)
    assert not weaker.at_least(stronger)


@pytest.mark.parametrize("level", Consistency)
def test_level_is_worth_as_much_as_itself(level: Consistency) -> None:
    assert level.at_least(level)
    assert not level < level


def test_filesystems_are_frozen_from_the_level_of_that_name_on() -> None:
    held = [level for level in Consistency if level.is_held]
    assert held == [Consistency.FILESYSTEM, Consistency.APPLICATION]
