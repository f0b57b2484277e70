"""Lines broken between words, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.model.wrapping import GLUE, wrapped

words = st.lists(st.text(st.sampled_from("abc`ü"), min_size=1, max_size=9), min_size=1)


@given(words=words, most=st.integers(min_value=5, max_value=30))
def test_text_when_wrapped_then_no_word_is_lost_broken_or_in_another_place(
    words: list[str], most: int
) -> None:
    lines = list(wrapped(" ".join(words), most, indent="  "))
    assert " ".join(line.strip() for line in lines) == " ".join(words)
    # A line is longer only where it is one word, or one command between backquotes.
    assert all(len(line) <= most or " " not in line.strip() or "`" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("a   b", ["a   b"]),
        ("one two three", ["one two", "  three"]),
        ("  -> one two", ["  -> one", "  two"]),
        ("see `snap-self show x` now", ["see", "`snap-self show x`", "  now"]),
        (f"see snap-self{GLUE}show", ["see", "snap-self show"]),
        ("an `open end of it", ["an `open", "  end of", "  it"]),
    ],
)
def test_text_when_it_is_too_long_then_goes_on_behind_the_indent(
    text: str, lines: list[str]
) -> None:
    assert list(wrapped(text, 9, indent="  ")) == lines


def test_text_when_its_letters_are_wide_then_cells_count() -> None:
    assert list(wrapped("升级 内核", 5, measure=lambda text: 2 * len(text))) == ["升级", "内核"]
