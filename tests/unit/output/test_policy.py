"""The policy alone on standard output, the steps on standard error, one JSON object."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from json_schemas import hold
from snap_self.access.documents import as_read, as_sent, parse_fleet_tag, role_policy
from snap_self.access.setup import PolicyKind, fleet_setup, role_setup, session_setup
from snap_self.model.actions import Holder, Policy
from snap_self.output.policy import policy_json, write_policy
from snap_self.output.streams import Streams, make_streams
from snap_self.usecases.policy import PolicyDoubt, PolicyReport, PolicyWarning

HERE = Holder(region="cn-x", account="42", instance_id="i-1", disks=("d-1", "d-2"))
DOCUMENT = role_policy(HERE, [Policy.CREATE])
REPORT = PolicyReport(
    kind=PolicyKind.ROLE,
    holder=HERE,
    bound="",
    fleet=None,
    document=DOCUMENT,
    characters=len(as_sent(DOCUMENT)),
    limit=6144,
    warnings=(PolicyWarning(doubt=PolicyDoubt.DELETES, text="mind this"),),
    setup=role_setup(HERE, DOCUMENT, bound=""),
)


def spoken(report: PolicyReport, *, verbosity: int = 0, as_json: bool = False) -> tuple[str, str]:
    """Return what is written to standard output and to standard error."""
    out, err = io.StringIO(), io.StringIO()
    env: Mapping[str, str] = {}
    streams: Streams = make_streams(out, err, env=env, verbosity=verbosity, json=as_json)
    write_policy(streams, report)
    return out.getvalue(), err.getvalue()


def test_standard_output_is_the_policy_and_nothing_else() -> None:
    out, _ = spoken(REPORT)
    assert json.loads(out) == DOCUMENT
    assert out == f"{as_read(DOCUMENT)}\n"


def test_standard_error_has_every_command_and_warning() -> None:
    _, err = spoken(REPORT)
    lines = err.splitlines()
    assert all(line in lines for line in (*REPORT.setup.lines, REPORT.setup.update))
    assert "Note: mind this." in lines
    assert all(any(step in line for line in lines) for step in REPORT.setup.console)
    assert err.endswith("Then, on the instance: snap-self doctor\n")


def test_quiet_leaves_the_policy() -> None:
    out, err = spoken(REPORT, verbosity=-1)
    assert (json.loads(out), err) == (DOCUMENT, "")


def test_text_that_would_be_too_long_for_its_blanks_is_written_without_them() -> None:
    out, _ = spoken(replace(REPORT, limit=REPORT.characters + 1))
    assert out == f"{as_sent(DOCUMENT)}\n"


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({}, "policy", DOCUMENT),
        ({}, "kind", "role"),
        ({}, "characters", REPORT.characters),
        ({}, "role", {"name": "snap-self-i-1", "bound": False}),
        ({}, "policy_name", "snap-self-i-1"),
        ({}, "warnings", [{"code": "deletes", "text": "mind this"}]),
        ({"bound": "R"}, "role", {"name": "snap-self-i-1", "bound": True}),
        ({"setup": session_setup(HERE, DOCUMENT, bound="")}, "policy_name", None),
        ({"setup": session_setup(HERE, DOCUMENT, bound="")}, "update_command", None),
    ],
)
def test_json_has_the_same_as_fields(changes: Any, field: str, value: object) -> None:
    assert policy_json(replace(REPORT, **changes))[field] == value


FLEET = parse_fleet_tag("team=web")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bound": "R", "warnings": ()},
        {"kind": PolicyKind.SESSION, "setup": session_setup(HERE, DOCUMENT, bound="R")},
        {
            "kind": PolicyKind.FLEET,
            "fleet": FLEET,
            "setup": fleet_setup(HERE, FLEET, DOCUMENT, bound=""),
        },
    ],
    ids=["role", "bound", "session", "fleet"],
)
def test_json_is_what_the_schema_describes(changes: Any) -> None:
    out, err = spoken(replace(REPORT, **changes), as_json=True)
    hold(json.loads(out), "policy")
    assert err == ""
