"""Name patterns, beside the standard library's own."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.changes.patterns import Patterns, fits

SIGNS = st.text(alphabet="ab*?", max_size=8)


@given(pattern=SIGNS, name=st.text(alphabet="ab", max_size=8))
def test_pattern_fits_what_the_library_says(pattern: str, name: str) -> None:
    assert fits(pattern, name) == fnmatchcase(name, pattern)
    assert Patterns([pattern]).match(name) == fnmatchcase(name, pattern)


@given(patterns=st.lists(SIGNS, max_size=5), name=st.text(alphabet="ab", max_size=8))
def test_several_patterns_fit_when_one_does(patterns: list[str], name: str) -> None:
    assert Patterns(patterns).match(name) == any(fnmatchcase(name, each) for each in patterns)


@pytest.mark.parametrize("name", ["libstdc++6", "g++", "python3.11", "lib[a]b"])
def test_signs_of_other_pattern_languages_stand_for_themselves(name: str) -> None:
    assert Patterns([name]).match(name)
    assert not Patterns([name]).match(f"{name}x")


def test_many_stars_take_no_long_time() -> None:
    assert not fits("*a" * 30 + "b", "a" * 3000)
