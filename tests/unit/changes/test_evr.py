"""The order of rpm's versions, by the cases of rpm's own tests."""

from __future__ import annotations

import pytest

from snap_self.changes.evr import compare_evr, compare_part


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "2.0"),
        ("2.0", "2.0.1"),
        ("2.0.1", "2.0.1a"),
        ("5.5p1", "5.5p2"),
        ("5.5p1", "5.5p10"),
        ("10xyz", "10.1xyz"),
        ("xyz.4", "8"),
        ("xyz.4", "2"),
        ("5.5p2", "5.6p1"),
        ("6.0", "6.0.rc1"),
        ("10a2", "10b2"),
        ("1.0~rc1", "1.0"),
        ("1.0~rc1", "1.0~rc2"),
        ("1.0~rc1~git123", "1.0~rc1"),
        ("1.0", "1.0^"),
        ("1.0^git1", "1.01"),
        ("1.0^git1", "1.0.1"),
        ("1.0~rc1^git1", "1.0"),
        ("1.9", "1.10"),
    ],
)
def test_part_is_ordered_as_rpm_does(older: str, newer: str) -> None:
    assert (compare_part(older, newer), compare_part(newer, older)) == (-1, 1)


@pytest.mark.parametrize(("one", "other"), [("2.0", "2_0"), ("20101121", "20101121"), ("01", "1")])
def test_part_is_the_same_where_rpm_says_so(one: str, other: str) -> None:
    assert compare_part(one, other) == 0


@pytest.mark.parametrize(
    ("older", "newer"),
    [("9.9-9", "1:1.0-1"), ("1.0-1", "1.0-2"), ("1:1.0-9", "1:1.1-1"), ("0:1-1", "1-2")],
)
def test_evr_goes_by_epoch_then_version_then_release(older: str, newer: str) -> None:
    assert (compare_evr(older, newer), compare_evr(newer, older)) == (-1, 1)


def test_evr_without_epoch_has_epoch_zero() -> None:
    assert compare_evr("0:1.0-1", "1.0-1") == 0
