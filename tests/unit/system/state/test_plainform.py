"""Values to JSON's types and back, with faults that name the attribute."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.records import order_record, run_record
from snap_self.model.run import OrderRecord, RunRecord
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def plain() -> dict[str, Any]:
    form = json.loads(json.dumps(to_plain(run_record())))
    assert isinstance(form, dict)
    return form


def test_record_survives_the_way_through_json() -> None:
    assert from_plain(RunRecord, plain(), "run") == run_record()


def test_instants_are_written_in_utc() -> None:
    assert plain()["started"] == "2026-11-22T08:33:25.250000+00:00"


def test_unknown_attributes_are_passed_over() -> None:
    form = plain() | {"from_the_future": 1}
    assert from_plain(RunRecord, form, "run") == run_record()


def test_attribute_with_a_default_may_be_missing() -> None:
    form = plain()
    del form["outcome"], form["orders"][0]["snapshot_ids"]
    assert from_plain(RunRecord, form, "run") == run_record()


def drop(form: dict[str, Any]) -> None:
    del form["fingerprint"]


def set_to(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(form: Any) -> None:
        for part in path[:-1]:
            form = form[part]
        form[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "run.fingerprint is missing"),
        (set_to("pid", value="1"), "run.pid is str, not int"),
        (set_to("pid", value=True), "run.pid is bool, not int"),
        (set_to("pid", value=None), "run.pid is NoneType, not int"),
        (set_to("stage", value="ended"), "run.stage is none of planned, creating, created"),
        (set_to("stage", value=[]), "run.stage is none of planned"),
        (set_to("started", value="today"), "run.started is no instant"),
        (set_to("started", value="2026-11-22T08:32:25"), "run.started has no time zone"),
        (set_to("started", value="0001-01-01T00:00:00+14:00"), "run.started is out of range"),
        (set_to("keep_days", value=1.5), "run.keep_days is float, not int"),
        (set_to("orders", value={}), "run.orders is dict, not list"),
        (set_to("orders", 0, "sent", value=1), r"run.orders\[0\].sent is int, not bool"),
        (
            set_to("orders", 0, "order", "disk_ids", value=["d", 2]),
            r"run.orders\[0\].order.disk_ids\[1\] is int, not str",
        ),
        (
            set_to("orders", 0, "order", "tags", value={"k": []}),
            r"run.orders\[0\].order.tags.k is list, not str",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_shape_names_the_attribute(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    form = copy.deepcopy(plain())
    change(form)
    with pytest.raises(ShapeError, match=message):
        from_plain(RunRecord, form, "run")


def test_order_alone_is_read_by_its_own_type() -> None:
    order = order_record(sent=True)
    assert from_plain(OrderRecord, to_plain(order), "order") == order


def outcome(kind: Any, data: object) -> object:
    try:
        return from_plain(kind, data, "value")
    except ShapeError as error:
        return error


@given(JSON)
def test_any_json_is_a_record_or_a_shape_error(data: object) -> None:
    assert isinstance(outcome(RunRecord, data), RunRecord | ShapeError)


@given(st.dictionaries(st.sampled_from(sorted(plain())), JSON))
def test_record_with_any_values_is_a_record_or_a_shape_error(changes: Mapping[str, Any]) -> None:
    assert isinstance(outcome(RunRecord, plain() | dict(changes)), RunRecord | ShapeError)
