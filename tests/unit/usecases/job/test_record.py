"""What makes two requests ask for the same snapshots."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from snap_self.model.disks import Selection
from snap_self.model.request import OnQuiesceFailure, Request
from snap_self.model.snapshots import Consistency, WaitFor
from snap_self.usecases.job.record import BESIDE, fingerprint

REQUEST = Request(before="os upgrade")
OTHERS: dict[str, Any] = {
    "before": "schema change",
    "selection": Selection(paths=("/srv",)),
    "consistency": Consistency.APPLICATION,
    "on_quiesce_failure": OnQuiesceFailure.ABORT,
    "wait": WaitFor.CUT,
    "timeout_s": 60.0,
    "keep_s": None,
    "name": "mine",
    "description": "by hand",
    "tags": {"k": "v"},
    "reuse_s": 60.0,
    "waited_for": True,
    "spread_s": 60,
    "change_of": "4711:99",
    "confirm_within_s": 1800,
    "check": "true",
    "trigger": "apt",
}


@pytest.mark.parametrize("field", [field.name for field in fields(Request)])
def test_field_of_a_request_counts_unless_it_says_only_how_to_wait(field: str) -> None:
    other = replace(REQUEST, **{field: OTHERS[field]})
    assert (fingerprint(other) == fingerprint(REQUEST)) is (field in BESIDE)


@pytest.mark.parametrize(
    "selection",
    [Selection(disks=("/srv",)), Selection(exclude=("/srv",)), Selection(paths=("/srv",))],
    ids=["disks", "exclude", "paths"],
)
def test_disks_that_are_meant_count(selection: Selection) -> None:
    others = (Selection(), Selection(paths=("/opt",)), Selection(paths=("/srv", "/opt")))
    told = {fingerprint(replace(REQUEST, selection=each)) for each in (selection, *others)}
    assert len(told) == 4


def test_who_named_an_excluded_disk_does_not_count() -> None:
    typed = replace(REQUEST, selection=Selection(exclude=("/srv",)))
    selection = Selection(exclude=("/srv",), configured=frozenset({"/srv"}))
    assert fingerprint(replace(REQUEST, selection=selection)) == fingerprint(typed)


def test_order_of_tags_does_not_count() -> None:
    one, other = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    assert fingerprint(replace(REQUEST, tags=one)) == fingerprint(replace(REQUEST, tags=other))
