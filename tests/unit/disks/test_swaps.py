"""Swap areas from ``/proc/swaps``."""

from __future__ import annotations

import pytest

from snap_self.disks.swaps import SwapArea, parse_swaps

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/swapfile", "/swapfile"),
        ("/a\\040b", "/a b"),
        ("/x\\040(deleted)", "/x"),
        *((f"/x{end}/y", f"/x{end}/y") for end in "\r\x0b\x0c\x85\u2028\xa0"),
    ],
    ids=ascii,
)
def test_swap_file_of_any_name_is_one(written: str, path: str) -> None:
    text = f"{HEAD}{written}{' ' * 30}file\t\t2097148\t\t0\t\t-2\n"
    assert parse_swaps(text) == [SwapArea(path=path, is_file=True)]


@pytest.mark.parametrize("kind", ["file", "partition"])
def test_areas_are_every_line_after_the_head_by_its_path_and_type_alone(kind: str) -> None:
    text = f"{HEAD}/a {kind}\n/b\t\t{kind}\t8\n"
    expected = [SwapArea(path=path, is_file=kind == "file") for path in ("/a", "/b")]
    assert parse_swaps(text) == expected


@pytest.mark.parametrize("text", ["", HEAD, f"{HEAD}/x\n"])
def test_no_line_with_a_path_and_a_type_is_no_area(text: str) -> None:
    assert parse_swaps(text) == []
