"""The RAM policies that are handed out allow what is needed and nothing that destroys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from code_shape import read_package
from snap_self.cli.app import app
from snap_self.model.actions import ACTIONS, Effect, Policy

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging/ram"
PLACEHOLDERS = ("REGION", "ACCOUNT", "INSTANCE_ID", "DISK_ID")
OWNER_TAG = "acs:ResourceTag/snap-self-owner"


PRUNE = FOLDER / Policy.PRUNE.value


def aslist(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.fixture
def statements() -> list[dict[str, Any]]:
    """Return the statements of the default policy."""
    policy = json.loads((FOLDER / Policy.CREATE.value).read_text(encoding="utf-8"))
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


@pytest.mark.parametrize("policy", Policy, ids=lambda each: each.value)
def test_policy_allows_what_the_agent_calls_and_nothing_else(policy: Policy) -> None:
    text = json.loads((FOLDER / policy.value).read_text(encoding="utf-8"))
    allowed: dict[str, tuple[str, ...]] = {}
    for action, statement in actions(text["Statement"]):
        if statement["Effect"] == "Allow":
            allowed[action] = (*allowed.get(action, ()), *aslist(statement["Resource"]))
    called = [action for action in ACTIONS.values() if action.policy is policy]
    # It is no operation: what one service is given by another.
    passed = allowed.pop("ram:PassRole", ())
    role = ("acs:ram::ACCOUNT:role/snap-self-rollback-INSTANCE_ID",)
    assert passed == (role if policy is Policy.ROLLBACK else ())
    further = {
        action.ram_action: set(names)
        for action in ACTIONS.values()
        if (names := action.arns_in(policy))
    }
    assert {name: set(resources) for name, resources in allowed.items()} == further | {
        action.ram_action: set(action.arns()) for action in called
    }


def test_reading_needs_the_first_policy_alone() -> None:
    reading = [
        action for action in ACTIONS.values() if action.name.startswith(("Describe", "List"))
    ]
    assert [a.name for a in reading if a.effect is not Effect.READS] == []
    # What is on sale is asked only by those who make disks.
    others = [a.name for a in reading if a.policy is not Policy.CREATE]
    assert others == ["DescribeAvailableResource", "ListExecutions", "ListTaskExecutions"]


def test_whatever_deletes_snapshots_stands_in_the_policy_for_it_alone() -> None:
    apart = [a.name for a in ACTIONS.values() if a.policy is Policy.PRUNE]
    assert apart == [a.name for a in ACTIONS.values() if a.name.startswith("DeleteSnapshot")]
    deleting = [a.name for a in ACTIONS.values() if a.name.startswith("Delete")]
    assert deleting == [*apart, "DeleteDisk"]


def test_restore_policy_touches_only_what_is_marked_as_temporary_or_own() -> None:
    policy = json.loads((FOLDER / Policy.RESTORE.value).read_text(encoding="utf-8"))
    marked = {"acs:ResourceTag/snap-self-temp": "INSTANCE_ID"}
    allowed = {
        (action, resource.rpartition(":")[2]): statement.get("Condition", {}).get("StringEquals")
        for action, statement in actions(policy["Statement"])
        for resource in aslist(statement["Resource"])
        if statement["Effect"] == "Allow"
    }
    assert allowed == {
        ("ecs:DescribeAvailableResource", "*"): None,
        ("ecs:CreateDisk", "disk/*"): {"acs:RequestTag/snap-self-temp": "INSTANCE_ID"},
        ("ecs:CreateDisk", "snapshot/*"): {OWNER_TAG: "INSTANCE_ID"},
        ("ecs:AttachDisk", "instance/INSTANCE_ID"): None,
        ("ecs:DetachDisk", "instance/INSTANCE_ID"): None,
        **{(f"ecs:{word}Disk", "disk/*"): marked for word in ("Attach", "Detach", "Delete")},
    }


def test_restore_policy_lets_no_disk_be_marked_by_whoever_else_may_tag() -> None:
    policy = json.loads((FOLDER / Policy.RESTORE.value).read_text(encoding="utf-8"))
    (denied,) = (s for s in policy["Statement"] if s["Effect"] == "Deny")
    assert denied == {
        "Effect": "Deny",
        "Action": ["ecs:TagResources", "ecs:UntagResources"],
        "Resource": "acs:ecs:REGION:ACCOUNT:disk/*",
    }


def test_role_of_oos_is_bound_to_the_instance_its_disks_and_its_own_snapshots() -> None:
    policy = json.loads((FOLDER / "snap-self-rollback-role.json").read_text(encoding="utf-8"))
    allowed = {
        (action, resource.rpartition(":")[2]): statement.get("Condition", {}).get("StringEquals")
        for action, statement in actions(policy["Statement"])
        for resource in aslist(statement["Resource"])
        if not action.startswith("ecs:Describe")
    }
    assert allowed == {
        ("ecs:StopInstance", "instance/INSTANCE_ID"): None,
        ("ecs:StartInstance", "instance/INSTANCE_ID"): None,
        ("ecs:RunCommand", "instance/INSTANCE_ID"): None,
        ("ecs:RunCommand", "command/*"): None,
        ("ecs:ResetDisk", "disk/DISK_ID"): None,
        ("ecs:ResetDisk", "snapshot/*"): {OWNER_TAG: "INSTANCE_ID"},
        ("ecs:CreateSnapshot", "disk/DISK_ID"): None,
        ("ecs:CreateSnapshot", "snapshot/*"): None,
        ("ecs:CreateSnapshotGroup", "instance/INSTANCE_ID"): None,
        ("ecs:CreateSnapshotGroup", "disk/DISK_ID"): None,
        ("ecs:CreateSnapshotGroup", "snapshotgroup/*"): None,
    }
    assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])


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


def test_table_has_exactly_what_the_code_calls() -> None:
    called = {
        name
        for module in read_package(ROOT / "agent/snap_self/cloud")
        for name in re.findall(r"\b_?(?:call|pages)\(\s*\"([A-Z]\w+)\"", module.source)
    }
    assert called == set(ACTIONS)


def test_prune_policy_deletes_only_what_is_tagged_as_its_own() -> None:
    policy = json.loads(PRUNE.read_text(encoding="utf-8"))
    conditions = [statement["Condition"] for statement in policy["Statement"]]
    assert conditions == [{"StringEquals": {OWNER_TAG: "INSTANCE_ID"}}] * 2


@pytest.mark.parametrize("policy", Policy, ids=lambda each: each.value)
def test_template_has_no_placeholder_but_the_documented_ones(policy: Policy) -> None:
    text = (FOLDER / policy.value).read_text(encoding="utf-8")
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    for placeholder in PLACEHOLDERS:
        assert f"| `{placeholder}` |" in guide
        # An editor that replaces the first one of a line only has replaced all.
        assert all(line.count(placeholder) <= 1 for line in text.splitlines())
        text = text.replace(placeholder, "x")
    assert not re.findall(r"\b[A-Z][A-Z_]+\b", text)


def test_guide_tells_every_option_of_the_command_that_prints_them() -> None:
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    command: Any = typer.main.get_command(app)
    options = {name for each in command.commands["policy"].params for name in each.opts}
    common = {"--json", "--quiet", "--verbose", "-q", "-v"}
    assert [name for name in sorted(options - common) if f"| `{name}" not in guide] == []
