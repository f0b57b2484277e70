"""The document's table of a patch night is the arithmetic of its formula."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fakes.fleet_oos import template_of
from fakes.patch_night import AGENT_CALLS, LOOKS_A_MINUTE, PatchNight, table

DOCUMENT = Path(__file__).resolve().parents[3] / "packaging/docs/oos.md"


def test_document_has_the_table_and_the_calls() -> None:
    text = DOCUMENT.read_text("utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| [\d,]+ \| \d+ \|", line)]
    assert rows == table()
    for action, calls in AGENT_CALLS.items():
        assert f"`{action}` {calls}" in text


@pytest.mark.parametrize(
    ("machines", "at_a_time", "lasts", "busiest"),
    [(10, 10, 5, 20), (11, 10, 10, 20), (3, 10, 5, 6), (1000, 50, 100, 100)],
)
def test_night_lasts_as_many_rounds_as_are_needed(
    machines: int, at_a_time: int, lasts: int, busiest: int
) -> None:
    night = PatchNight(machines=machines, at_a_time=at_a_time, minutes=5)
    assert (night.lasts_min, night.busiest, night.quota) == (lasts, busiest, 2 * busiest)


def test_template_looks_as_often_as_is_counted() -> None:
    assert f"Delay: {60 // LOOKS_A_MINUTE}\n          Retries: 300" in template_of("patch")
