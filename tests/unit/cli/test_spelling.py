"""A group of options stands in a signature as its parameters, and comes to the function as one."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature

import pytest

from snap_self.cli.options import JOB, MANNER, PLAN, RUN, SPEECH, Manner, job_options
from snap_self.cli.spelling import Group, spelled_out


def option(name: str) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=str)


PAIR = Group(parameters=(option("left"), option("right")), collect=tuple)


@spelled_out(pair=PAIR)
def command(first: str, *, pair: tuple[str, ...], last: str = "z") -> int:
    """Do it."""
    return len(first) * 100 + len(pair) * 10 + len(last)


def test_parameters_stand_where_the_one_stood() -> None:
    assert list(signature(command).parameters) == ["first", "left", "right", "last"]
    assert signature(command).parameters["last"].default == "z"
    assert command.__doc__ == "Do it."


def test_function_gets_them_as_one() -> None:
    assert command(first="a", left="b", right="c", last="ddd") == 123


@pytest.mark.parametrize(
    ("taken_by", "only_here", "not_here"),
    [
        (JOB, {"waited_for", "spread", "confirm_within"}, {"on_snapshot_failure"}),
        (PLAN, {"confirm_within"}, {"waited_for", "spread", "on_snapshot_failure"}),
        (RUN, {"spread", "on_snapshot_failure", "check"}, {"waited_for"}),
    ],
)
def test_command_takes_its_options_and_no_others(
    taken_by: str, only_here: set[str], not_here: set[str]
) -> None:
    words = {parameter.name for parameter in job_options(taken_by).parameters}
    assert words >= {"before", "path", "keep", "tag", "description"} | only_here
    assert not words & not_here


def test_typed_values_are_found_by_the_names_of_their_options() -> None:
    group = job_options(PLAN)
    values: Mapping[str, object] = {each.name: each.name for each in group.parameters}
    typed = group.collect(values)
    assert isinstance(typed, dict)
    assert typed["--on-quiesce-failure"] == "on_quiesce_failure"


def test_manner_without_json_is_text() -> None:
    assert MANNER.collect({"json": True, "quiet": False, "verbose": True}) == Manner(
        json=True, quiet=False, verbose=True
    )
    assert SPEECH.collect({"quiet": True, "verbose": False}) == Manner(
        json=False, quiet=True, verbose=False
    )
