"""jq selectors and the types of what they find."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.selecting import check_selector, converted, select, typed

DISKS = {"Disks": {"Disk": [{"Id": "d-1", "Size": 40}, {"Id": "d-2", "Size": 20}]}, "length": 5}


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("Disks.Disk[].Id", ["d-1", "d-2"]),
        (".Disks.Disk[].Id", ["d-1", "d-2"]),
        ("length", [5]),
        ("[.Disks.Disk[].Size]", [[40, 20]]),
        ("Disks.Disk[] | select(.Size > 30).Id", ["d-1"]),
        ("keys(.)", None),
        ("Nothing.There", [None]),
        ("Nothing[]?", []),
    ],
)
def test_selector_finds_also_without_its_first_dot(selector: str, found: Any) -> None:
    if found is None:
        with pytest.raises(TaskFault):
            select(selector, DISKS)
    else:
        assert select(selector, DISKS) == found


@pytest.mark.parametrize("selector", ["", "  ", None, "Disks.[", 5])
def test_selector_that_is_none_is_refused(selector: Any) -> None:
    with pytest.raises(TemplateFault):
        check_selector(selector)


@pytest.mark.parametrize(
    ("found", "kind", "value"),
    [
        (["a"], "List", ["a"]),
        (["a", "b"], "List", ["a", "b"]),
        ([["a", "b"]], "List", ["a", "b"]),
        ([], "List", []),
        (["a", "b"], "String", "a"),
        ([], "String", None),
        ([None], "String", None),
        ([40], "String", "40"),
        ([{"a": 1}], "String", '{"a": 1}'),
        (["40"], "Number", 40),
        ([True], "Boolean", True),
        ([{"a": 1}], "Json", {"a": 1}),
    ],
)
def test_output_has_its_type(found: Any, kind: str, value: Any) -> None:
    assert typed(found, kind) == value


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        ("7", "Number", 7),
        ("7.5", "Number", 7.5),
        ("TRUE", "Boolean", True),
        (False, "Boolean", False),
        ('["a"]', "List", ["a"]),
        ('{"a": 1}', "Json", {"a": 1}),
        (7, "String", "7"),
        (True, "String", "true"),
    ],
)
def test_value_is_read_in_another_type(value: Any, kind: str, read: Any) -> None:
    assert converted(value, kind) == read


@pytest.mark.parametrize(
    ("value", "kind"),
    [("a", "Number"), (True, "Number"), ("yes", "Boolean"), ("a", "List"), ({}, "List")],
)
def test_value_that_is_not_of_a_type_is_a_fault(value: Any, kind: str) -> None:
    with pytest.raises(TaskFault, match=kind):
        converted(value, kind)
