"""The table of the RAM policies' README is what the simulated cloud's evaluator says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecs_simulator.ram import ALLOW, Resource, context_of, decide
from snap_self.access.documents import (
    Document,
    FleetTag,
    fleet_policy,
    role_policy,
    rollback_role_policy,
    session_policy,
)
from snap_self.model.actions import Holder, Policy
from snap_self.model.snapshots import EXPIRES_TAG, OWNER_TAG, TEMPORARY_TAG

README = Path(__file__).resolve().parents[3] / "packaging/ram/README.md"
ME, OTHER = "i-bp1aaaabbbbccccdddde", "i-bp1other0000000000o"
OWN_DISK, OTHER_DISK = "d-bp1ffffgggghhhh00000", "d-bp1other0000000000o"
HOLDER = Holder(region="cn-hangzhou", account="1234567890123456", instance_id=ME, disks=(OWN_DISK,))
TEAM = FleetTag(key="team", value="web")


@dataclass(frozen=True)
class Touch:
    """A resource that a call needs."""

    kind: str
    name: str
    tags: Mapping[str, str]


def disk(name: str) -> Touch:
    return Touch("disk", name, {TEAM.key: TEAM.value})


def shot(owner: str) -> Touch:
    return Touch("snapshot", "s-1", {OWNER_TAG: owner})


NEW_SHOT, NEW_DISK = Touch("snapshot", "*", {}), Touch("disk", "*", {})
Call = tuple[str, Sequence[Touch], Sequence[tuple[str, str]]]
# What each column asks: the action, all that it needs, and the tags that the request sets.
COLUMNS: dict[str, Call] = {
    "snapshot own disks": ("CreateSnapshot", (disk(OWN_DISK), NEW_SHOT), ()),
    "snapshot others' disks": ("CreateSnapshot", (disk(OTHER_DISK), NEW_SHOT), ()),
    "delete own snapshots": ("DeleteSnapshot", (shot(ME),), ()),
    "delete others' snapshots": ("DeleteSnapshot", (shot(OTHER),), ()),
    "read own snapshots": ("CreateDisk", (NEW_DISK, shot(ME)), ((TEMPORARY_TAG, ME),)),
    "read others' snapshots": ("CreateDisk", (NEW_DISK, shot(OTHER)), ((TEMPORARY_TAG, ME),)),
    "bring own disks back": ("ResetDisk", (disk(OWN_DISK), shot(ME)), ()),
    "bring others' disks back": ("ResetDisk", (disk(OTHER_DISK), shot(OTHER)), ()),
}
# What no policy of ours allows to anybody.
NEVER: dict[str, Call] = {
    "delete a disk": ("DeleteDisk", (disk(OWN_DISK),), ()),
    "lock a snapshot": ("LockSnapshot", (shot(ME),), ()),
    "copy a snapshot": ("CopySnapshot", (shot(ME),), ()),
    "share a snapshot": ("ModifySnapshotSharePermission", (shot(ME),), ()),
    "make a snapshot one's own": ("TagResources", (shot(OTHER),), ((OWNER_TAG, ME),)),
    "move an expiry": ("TagResources", (shot(ME),), ((EXPIRES_TAG, "2020-01-01"),)),
    "snapshot an untagged disk of others": (
        "CreateSnapshot",
        (Touch("disk", OTHER_DISK, {}), NEW_SHOT),
        (),
    ),
    "delete an untagged snapshot": ("DeleteSnapshot", (Touch("snapshot", "s-1", {}),), ()),
}


def own(*policies: Policy) -> tuple[Document, ...]:
    return (role_policy(HOLDER, [Policy.CREATE, *policies]),)


def fleet(*policies: Policy) -> tuple[Document, ...]:
    return (fleet_policy(HOLDER, TEAM, [Policy.CREATE, *policies]),)


def narrowed(*policies: Policy) -> tuple[Document, ...]:
    """Return both documents: what each of them allows is allowed."""
    return (*fleet(*policies), session_policy(HOLDER, [Policy.CREATE, *policies]))


ROWS: dict[str, tuple[Document, ...]] = {
    "`snap-self policy`": own(),
    "`--prune`": own(Policy.PRUNE),
    "`--tags`": own(Policy.TAGS),
    "`--restore`": own(Policy.RESTORE),
    "`--rollback`": own(Policy.ROLLBACK),
    "the role of OOS, of `--rollback`": (rollback_role_policy(HOLDER),),
    "`--online`": own(Policy.ONLINE),
    "`--fleet KEY=VALUE`": fleet(),
    "`--fleet KEY=VALUE --prune`": fleet(Policy.PRUNE),
    "`--fleet KEY=VALUE --restore`": fleet(Policy.RESTORE),
    "the same with `--session`": narrowed(),
    "the same with `--session --prune`": narrowed(Policy.PRUNE),
    "the same with `--session --restore`": narrowed(Policy.RESTORE),
}


def may(documents: Sequence[Document], call: Call) -> bool:
    """Tell whether each of the documents allows the call on all that it needs."""
    action, touched, sets = call
    return all(
        decide(
            [document],
            action=f"ecs:{action}",
            arn=f"acs:ecs:{HOLDER.region}:{HOLDER.account}:{one.kind}/{one.name}",
            context=context_of(Resource(kind=one.kind, name=one.name, tags=dict(one.tags)), sets),
        )
        == ALLOW
        for document in documents
        for one in touched
    )


def table() -> list[str]:
    """Return the lines as they are to stand in the README."""
    head = f"| policy | {' | '.join(COLUMNS)} |"
    ruler = f"| --- |{' --- |' * len(COLUMNS)}"
    rows = [
        f"| {name} | "
        + " | ".join("yes" if may(documents, call) else "no" for call in COLUMNS.values())
        + " |"
        for name, documents in ROWS.items()
    ]
    return [head, ruler, *rows]


def test_table_of_the_readme_is_what_the_evaluator_says() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    start = lines.index(table()[0])
    assert lines[start : start + len(table())] == table()


def test_operator_s_policy_locks_and_copies_snapshots_of_ours_and_no_more() -> None:
    text = (README.parent / "snap-self-keeper.json").read_text(encoding="utf-8")
    filled = text.replace("REGION", HOLDER.region).replace("ACCOUNT", HOLDER.account)
    keeper = (json.loads(filled),)
    allowed = {name for name, call in {**NEVER, **COLUMNS}.items() if may(keeper, call)}
    assert allowed == {"lock a snapshot", "copy a snapshot"}
    for action in ("LockSnapshot", "CopySnapshot"):
        assert not may(keeper, (action, (Touch("snapshot", "s-1", {}),), ()))


def test_readme_names_each_file_and_what_a_thief_of_the_operator_s_could_do() -> None:
    text = README.read_text(encoding="utf-8")
    files = {path.name for path in README.parent.glob("*.json")}
    assert set(re.findall(r"^\| `(\S+\.json)` \|", text, re.MULTILINE)) == files
    assert "| an operator elsewhere, `snap-self-keeper.json` |" in text
    assert "No policy here lets anybody on the instance" in text


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("never", NEVER)
def test_no_policy_allows_what_would_take_the_way_back_or_another_s(name: str, never: str) -> None:
    assert not may(ROWS[name], NEVER[never])


def test_session_takes_from_a_fleet_what_is_of_others() -> None:
    others = [call for column, call in COLUMNS.items() if "others" in column]
    for policies in ((), (Policy.PRUNE,), (Policy.RESTORE,)):
        assert not any(may(narrowed(*policies), call) for call in others)
        assert any(may(fleet(*policies), call) for call in others)
