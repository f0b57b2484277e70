"""The JSON text: what it says is what it was given, in lines that a person can look through."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest

from json_schemas import schema_of
from snap_self.model.asked import CutUnseen
from snap_self.model.report import GONE
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Cut, SnapshotStatus
from snap_self.output.jsonform import dumps, when
from snap_self.output.report import unseen_json

SCHEMA = schema_of("snapshot")


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


def test_schema_has_every_word_for_a_snapshot_and_for_the_result() -> None:
    shot = SCHEMA["properties"]["snapshots"]["items"]["properties"]
    assert shot["status"]["enum"] == [*(each.value for each in SnapshotStatus), GONE]
    assert shot["cut"]["enum"] == [each.value for each in Cut]
    assert shot["retention"]["enum"] == [each.value for each in Retention]
    assert Result.ASKED.value in SCHEMA["properties"]["result"]["enum"]


@pytest.mark.parametrize("unseen", [None, *CutUnseen])
def test_schema_has_every_reason_why_no_cut_was_seen(unseen: CutUnseen | None) -> None:
    jsonschema.validate(unseen_json(unseen), SCHEMA["properties"]["unseen"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"reason": "tired", "why": "x"}, SCHEMA["properties"]["unseen"])
