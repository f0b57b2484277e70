"""The JSON text: what it says is what it was given, in lines that a person can look through."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from snap_self.output.jsonform import dumps, when


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"schema": 1, "error": None, "frozen_s": 0.25, "dry": False},
        {"run": {"id": None}, "disks": [], "notes": ["a", "b\nc"], "undo": [[1, 2], {"x": []}]},
        {"path \udcff": "caf\u00e9 \udcff \u2028", 'quo"te': ["\udcff"]},
    ],
)
def test_text_is_read_back_as_what_it_was_made_of(value: dict[str, Any]) -> None:
    text = dumps(value)
    assert json.loads(text) == value
    assert text.isascii()


def test_every_entry_of_a_list_has_a_line_of_its_own() -> None:
    text = dumps({"schema": 1, "snapshots": [{"id": "s-1", "at": None}, {"id": "s-2", "at": None}]})
    assert text.splitlines() == [
        "{",
        '  "schema": 1,',
        '  "snapshots": [',
        '    {"id": "s-1", "at": null},',
        '    {"id": "s-2", "at": null}',
        "  ]",
        "}",
    ]


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 11, 22, 8, 32, 25, 999_999, tzinfo=timezone.utc), "2026-11-22T08:32:25Z"),
        (
            datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone(timedelta(hours=8))),
            "2026-11-22T00:32:25Z",
        ),
        (None, None),
    ],
)
def test_instant_is_told_in_utc_to_the_second(instant: datetime | None, text: str | None) -> None:
    assert when(instant) == text
