"""Each promise of SECURITY.md names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = [
    line.strip("| ").split(" | ")
    for line in TEXT.split("## Promises")[1].split("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
]


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 10


@pytest.mark.parametrize("promise", PROMISES, ids=lambda row: row[0][:60])
def test_promise_names_tests_that_are_there(promise: list[str]) -> None:
    named = re.findall(r"`(tests/[^`]+)`", promise[1])
    assert named
    missing = [path for path in named if not (ROOT / path).is_file()]
    assert missing == []
    assert all("def test_" in (ROOT / path).read_text(encoding="utf-8") for path in named)
