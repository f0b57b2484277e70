"""Which line of a TOML file a key stands on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.config.lines import find_lines, line_of

TEXT = """\
top = 1
[snapshot]
  keep = "1d"
tags.team = "x"
"quoted key" = 2
# wait = "cut"
[ snapshot . "deep" ]
'a' = 1
[[list]]
b = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 1),
        (("snapshot",), 2),
        (("snapshot", "keep"), 3),
        (("snapshot", "tags", "team"), 4),
        (("snapshot", "quoted key"), 5),
        (("snapshot", "deep"), 7),
        (("snapshot", "deep", "a"), 8),
        (("list", "b"), 10),
    ],
)
def test_key_is_found_on_its_line(path: tuple[str, ...], line: int) -> None:
    assert line_of(find_lines(TEXT), path) == line


def test_key_inside_an_inline_table_is_on_the_tables_line() -> None:
    assert line_of(find_lines('[s]\nt = { a = "b" }'), ("s", "t", "a")) == 2


def test_key_in_a_comment_is_not_found() -> None:
    assert line_of(find_lines(TEXT), ("snapshot", "wait")) == 2


def test_key_of_an_unknown_table_has_no_line() -> None:
    assert line_of(find_lines(TEXT), ("nowhere", "x")) is None


@given(st.text(alphabet=st.sampled_from("ab.='\"[]# \n\t"), max_size=200))
def test_any_text_gives_lines_within_it(text: str) -> None:
    count = text.count("\n") + 1
    assert all(1 <= line <= count for line in find_lines(text).values())
