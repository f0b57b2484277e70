"""The RAM policies that are handed out allow what is needed and nothing that destroys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from code_shape import read_package

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging/ram"
# ECS actions that the RAM authorization table of the ECS API reference names, as far as ours.
DOCUMENTED = frozenset(
    f"ecs:{name}"
    for name in (
        "DescribeInstances",
        "DescribeDisks",
        "DescribeSnapshots",
        "DescribeSnapshotGroups",
        "ListTagResources",
        "CreateSnapshot",
        "CreateSnapshotGroup",
        "ModifySnapshotAttribute",
    )
)
PLACEHOLDERS = ("REGION", "ACCOUNT", "INSTANCE_ID", "DISK_ID")
OWNER_TAG = "acs:ResourceTag/snap-self-owner"


def aslist(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.fixture
def statements() -> list[dict[str, Any]]:
    """Return the statements of the default policy."""
    policy = json.loads((FOLDER / "snap-self-create.json").read_text(encoding="utf-8"))
    assert policy["Version"] == "1"
    return list(policy["Statement"])


def actions(statements: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for statement in statements:
        for action in aslist(statement["Action"]):
            yield action, statement


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_policy_file_is_json_with_statements(path: Path) -> None:
    policy = json.loads(path.read_text(encoding="utf-8"))
    assert policy["Statement"]


def test_policy_holds_only_documented_actions(statements: list[dict[str, Any]]) -> None:
    assert {action for action, _ in actions(statements)} == DOCUMENTED


def test_policy_neither_deletes_nor_tags_nor_uses_wildcards(
    statements: list[dict[str, Any]],
) -> None:
    named = [action.partition(":")[2] for action, _ in actions(statements)]
    risky = ("Delete", "Tag", "Untag", "Reset", "*")
    assert [name for name in named if name.startswith(risky) or "*" in name] == []


def test_policy_that_changes_something_names_its_resources(
    statements: list[dict[str, Any]],
) -> None:
    wide = [
        action
        for action, statement in actions(statements)
        if not action.startswith(("ecs:Describe", "ecs:List"))
        and "*" in aslist(statement["Resource"])
    ]
    assert wide == []


def test_policy_lets_disks_be_snapshotted_only_by_id(statements: list[dict[str, Any]]) -> None:
    disks = {
        resource
        for _, statement in actions(statements)
        for resource in aslist(statement["Resource"])
        if ":disk/" in resource
    }
    assert disks == {"acs:ecs:REGION:ACCOUNT:disk/DISK_ID"}


def test_policy_changes_only_snapshots_of_its_own(statements: list[dict[str, Any]]) -> None:
    (statement,) = (s for a, s in actions(statements) if a == "ecs:ModifySnapshotAttribute")
    assert statement["Condition"] == {"StringEquals": {OWNER_TAG: "INSTANCE_ID"}}


def test_policy_has_every_reading_action_that_the_agent_calls(
    statements: list[dict[str, Any]],
) -> None:
    allowed = {action.partition(":")[2] for action, _ in actions(statements)}
    called = {
        text
        for module in read_package(ROOT / "agent/snap_self/cloud")
        for text in re.findall(r"\"((?:Describe|List)[A-Z]\w+)\"", module.source)
    }
    assert called <= allowed


def test_policy_after_the_documented_replacement_has_no_placeholder() -> None:
    text = (FOLDER / "snap-self-create.json").read_text(encoding="utf-8")
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in PLACEHOLDERS:
        assert f"s/{name}/" in guide
        # sed replaces the first one of a line only.
        assert all(line.count(name) <= 1 for line in text.splitlines())
        text = text.replace(name, "x")
    assert not re.findall(r"\b[A-Z][A-Z_]+\b", text)
