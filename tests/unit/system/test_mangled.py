"""Names in the kernel's tables."""

from __future__ import annotations

import pytest

from snap_self.system.mangled import unmangled


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a", "a"),
        (r"\040", " "),
        (r"\303\251", "é"),
        ("é\\011", "é\t"),
        ("\\9", "\\9"),
        ("\\", "\\"),
        (r"/\089\48\400\x41\04", r"/\089\48\400\x41\04"),
    ],
)
def test_escape_of_the_mount_table_is_undone(text: str, plain: str) -> None:
    assert unmangled(text) == plain
