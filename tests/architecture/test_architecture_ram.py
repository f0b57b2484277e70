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


PRUNE = FOLDER / "snap-self-prune.json"
# What each deletion names. Source: ECS API reference, RAM authorization table.
DELETIONS = {
    "ecs:DeleteSnapshot": "acs:ecs:REGION:ACCOUNT:snapshot/*",
    "ecs:DeleteSnapshotGroup": "acs:ecs:REGION:ACCOUNT:snapshotgroup/*",
}


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


def test_prune_policy_deletes_snapshots_and_groups_and_nothing_else() -> None:
    policy = json.loads(PRUNE.read_text(encoding="utf-8"))
    named = [(a, s["Effect"], s["Resource"]) for a, s in actions(policy["Statement"])]
    assert named == [(action, "Allow", resource) for action, resource in DELETIONS.items()]


def test_prune_policy_deletes_only_what_is_tagged_as_its_own() -> None:
    policy = json.loads(PRUNE.read_text(encoding="utf-8"))
    conditions = [statement["Condition"] for statement in policy["Statement"]]
    assert conditions == [{"StringEquals": {OWNER_TAG: "INSTANCE_ID"}}] * len(DELETIONS)


def test_prune_policy_has_every_deletion_that_the_agent_calls() -> None:
    called = {
        f"ecs:{text}"
        for module in read_package(ROOT / "agent/snap_self/cloud")
        for text in re.findall(r"_call\(\"(Delete[A-Z]\w+)\"", module.source)
    }
    assert called == set(DELETIONS)


@pytest.mark.parametrize(
    "name", ["snap-self-create.json", "snap-self-prune.json", "snap-self-tags.json"]
)
def test_policy_after_the_documented_replacement_has_no_placeholder(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    for placeholder in PLACEHOLDERS:
        assert f"s/{placeholder}/" in guide
        # sed replaces the first one of a line only.
        assert all(line.count(placeholder) <= 1 for line in text.splitlines())
        text = text.replace(placeholder, "x")
    assert not re.findall(r"\b[A-Z][A-Z_]+\b", text)
