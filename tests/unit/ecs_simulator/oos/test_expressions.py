"""References and functions in a template's values."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_simulator.oos.expressions import Scope, evaluate, holds, references, unknown_functions
from ecs_simulator.oos.faults import TaskFault

SCOPE = Scope(
    names={"number": 7, "text": "a", "list": ["x", "y"], "map": {"k": "v"}, "yes": True},
    outputs={"look": {"ids": ["d-1", "d-2"], "none": None}},
    conditions={"isA": {"Fn::Equals": ["{{ text }}", "a"]}, "isB": {"Fn::Not": "isA"}},
)
PERSON = {"name": "ann", "pets": [{"kind": "cat"}, {"kind": "dog"}]}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("{{ number }}", 7),
        ("{{number}}", 7),
        (" {{ list }} ", ["x", "y"]),
        ("{{ look.ids }}", ["d-1", "d-2"]),
        ("{{ map.k }}", "v"),
        ("{{ look.other }}", None),
        ("{{ never.ran }}", None),
        ("n={{ number }} l={{ list }} {{ yes }}{{ look.none }}", 'n=7 l=["x", "y"] true'),
        ("{{ not a name }}", "{{ not a name }}"),
        ({"a": ["{{ text }}", 1]}, {"a": ["a", 1]}),
        (None, None),
    ],
)
def test_reference_takes_its_value(given: Any, value: Any) -> None:
    assert evaluate(given, SCOPE) == value


def test_value_with_braces_of_its_own_is_not_looked_at_again() -> None:
    scope = Scope(names={"command": "docker ps --format '{{ .Names }} {{ other }}'"})
    assert evaluate("{{ command }}", scope) == "docker ps --format '{{ .Names }} {{ other }}'"


def test_name_that_is_unknown_is_a_fault() -> None:
    with pytest.raises(TaskFault, match="'nobody'"):
        evaluate("{{ nobody }}", SCOPE)


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    [
        ("Base64Encode", "hello", "aGVsbG8="),
        ("Base64Decode", "aGVsbG8=", "hello"),
        ("MergeMap", [{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
        ("Join", [",", ["a", "{{ number }}"]], "a,7"),
        ("Select", [1, "{{ list }}"], "y"),
        ("Select", ["0", "{{ list }}"], "x"),
        ("Select", ["k", "{{ map }}"], "v"),
        ("Split", [",", "a,b"], ["a", "b"]),
        ("Replace", [{"a": "b"}, "aca"], "bcb"),
        ("Min", [3, 1, 2], 1),
        ("Max", [3, 1, 2], 3),
        ("First", "{{ list }}", "x"),
        ("Last", "{{ list }}", "y"),
        ("ListJoin", ["a", "{{ text }}"], ["a", "a"]),
        ("Equals", ["{{ number }}", 7], True),
        ("Equals", ["7", "{{ number }}"], False),
        ("Equals", [[""], "{{ list }}"], False),
        ("If", ["isA", "yes", "{{ nobody }}"], "yes"),
        ("If", [{"Fn::Equals": [1, 2]}, "yes", None], None),
        ("Not", True, False),
        ("Not", ["isB"], True),
        ("And", ["isA", True], True),
        ("And", ["isA", "isB"], False),
        ("Or", ["isB", "true"], True),
        ("Or", ["isB", "false"], False),
        ("AddHour", ["2026-11-22T23:30:00Z", 1], "2026-11-23T00:30:00Z"),
        ("FormatUTCTime", ["2026-11-22T23:30:00Z", "%Y%m%d"], "20261122"),
        ("Intersection", [["a", "b"], ["b", "c"]], ["b"]),
        ("Union", [["a", "b"], ["b", "c"]], ["a", "b", "c"]),
        ("Difference", [["a", "b"], ["b", "c"]], ["a", "c"]),
        ("Jq", ["First", ".pets[].kind", PERSON], "cat"),
        ("Jq", ["All", "pets[].kind", PERSON], ["cat", "dog"]),
        ("Jq", ["First", '.pets[] | select(.kind == "cow")', PERSON], None),
        ("MapJoin", [["a", "b"], [1, 2]], {"a": 1, "b": 2}),
        ("ConvertMapToList", {"a": 1}, [{"Key": "a", "Value": 1}]),
    ],
)
def test_function_gives_its_value(function: str, argument: Any, value: Any) -> None:
    assert evaluate({f"Fn::{function}": argument}, SCOPE) == value


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        ("Select", [5, ["a"]]),
        ("Select", ["missing", {}]),
        ("Select", ["a"]),
        ("Join", [",", None]),
        ("Jq", ["Some", ".a", {}]),
        ("Jq", ["All", ".a.b", {"a": 1}]),
        ("MapJoin", [["a"], []]),
        ("Base64Decode", "no base64!"),
        ("AddHour", ["today", 1]),
        ("If", [True, "a"]),
        ("And", 5),
        ("Nonsense", []),
    ],
)
def test_function_with_a_wrong_argument_is_a_fault(function: str, argument: Any) -> None:
    with pytest.raises(TaskFault):
        evaluate({f"Fn::{function}": argument}, SCOPE)


def test_function_works_on_what_another_gives() -> None:
    value = {"Fn::Join": ["-", {"Fn::Split": [",", {"Fn::Select": [0, ["a,b"]]}]}]}
    assert evaluate(value, SCOPE) == "a-b"


@pytest.mark.parametrize(
    ("condition", "true"),
    [("isA", True), ("isB", False), ("True", True), ("no", False), (1, True), ([], False)],
)
def test_condition_is_a_name_a_text_or_a_value(condition: Any, true: bool) -> None:
    assert holds(condition, SCOPE) is true


def test_references_and_unknown_functions_are_found_at_any_depth() -> None:
    value = {"a": ["x {{ one }} {{ two.three }}", {"Fn::Foo": [{"Fn::Bar": "{{ four }}"}]}]}
    assert [*references(value)] == ["one", "two.three", "four"]
    assert [*unknown_functions(value)] == ["Fn::Foo", "Fn::Bar"]
