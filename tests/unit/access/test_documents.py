"""Policies as data: what each allows, how long it is, and what a fleet's tag may be."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_simulator.ram import ALLOW, context_of, decide
from ecs_simulator.ram import Resource as Touched
from snap_self.access.documents import (
    BOUND_LIMIT,
    CUSTOM_LIMIT,
    Document,
    as_read,
    as_sent,
    fleet_policy,
    parse_fleet_tag,
    role_policy,
    session_policy,
)
from snap_self.errors import RuleError
from snap_self.model.actions import ACTIONS, Holder, Policy
from snap_self.model.snapshots import EXPIRES_TAG, OUTCOME_TAG, OWNER_TAG, RUN_TAG, TEMPORARY_TAG

ME = "i-bp1aaaabbbbccccdddde"
OTHER = "i-bp1other0000000000o"
# One lets the own disks be detached, which the others must not, and fleets and sessions take none.
ALL = tuple(policy for policy in Policy if policy is not Policy.ONLINE)


def holder(disks: int = 2) -> Holder:
    """Return an instance with ids as long as the cloud's are."""
    ids = tuple(f"d-bp1ffffgggghhhh{number:05}" for number in range(disks))
    return Holder(region="cn-hangzhou", account="1234567890123456", instance_id=ME, disks=ids)


def allowed(
    document: Document,
    action: str,
    kind: str,
    name: str,
    *,
    tags: dict[str, str] | None = None,
    sets: Sequence[tuple[str, str]] = (),
) -> bool:
    """Tell whether the simulated cloud's evaluator lets a call touch a resource."""
    arn = f"acs:ecs:cn-hangzhou:1234567890123456:{kind}/{name}"
    context = context_of(Touched(kind=kind, name=name, tags=tags or {}), sets)
    return decide([document], action=f"ecs:{action}", arn=arn, context=context) == ALLOW


def test_role_policy_allows_each_action_of_its_parts_and_no_other() -> None:
    document = role_policy(holder(), [Policy.CREATE])
    named = {
        action
        for statement in document["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert named == {a.ram_action for a in ACTIONS.values() if a.policy is Policy.CREATE}


def test_role_policy_names_own_disks_alone() -> None:
    document = role_policy(holder(), ALL)
    mine = holder().disks
    assert all(allowed(document, "CreateSnapshot", "disk", each) for each in mine)
    assert not allowed(document, "CreateSnapshot", "disk", "d-bp1foreign")
    assert not allowed(document, "CreateSnapshotGroup", "instance", OTHER)


@pytest.mark.parametrize("make", [role_policy, session_policy], ids=["role", "session"])
@pytest.mark.parametrize("action", ["DeleteSnapshot", "ModifySnapshotAttribute"])
def test_policy_touches_only_snapshots_that_are_tagged_as_own(make: object, action: str) -> None:
    document = make(holder(), ALL)  # type: ignore[operator]
    assert allowed(document, action, "snapshot", "s-1", tags={OWNER_TAG: ME})
    assert not allowed(document, action, "snapshot", "s-1", tags={OWNER_TAG: OTHER})
    assert not allowed(document, action, "snapshot", "s-1")


@pytest.mark.parametrize("key", [OWNER_TAG, EXPIRES_TAG, RUN_TAG])
def test_tag_policy_denies_what_prune_decides_by(key: str) -> None:
    document = role_policy(holder(), ALL)
    own = {OWNER_TAG: ME}
    assert allowed(document, "TagResources", "snapshot", "s-1", tags=own, sets=[(OUTCOME_TAG, "x")])
    assert not allowed(document, "TagResources", "snapshot", "s-1", tags=own, sets=[(key, "x")])


def test_fleet_policy_takes_members_by_their_tag_and_snapshots_by_any_owner() -> None:
    document = fleet_policy(holder(), parse_fleet_tag("team=web"), [Policy.CREATE])
    web = {"team": "web"}
    for action, kind in (
        ("CreateSnapshot", "disk"),
        ("CreateSnapshotGroup", "disk"),
        ("CreateSnapshotGroup", "instance"),
    ):
        assert allowed(document, action, kind, "x", tags=web)
        assert not allowed(document, action, kind, "x", tags={"team": "other"})
        assert not allowed(document, action, kind, "x")
    assert allowed(document, "CreateSnapshot", "snapshot", "*")
    assert allowed(document, "CreateSnapshotGroup", "snapshotgroup", "*")
    assert allowed(document, "ModifySnapshotAttribute", "snapshot", "s", tags={OWNER_TAG: OTHER})
    assert not allowed(document, "ModifySnapshotAttribute", "snapshot", "s", tags=web)
    assert not allowed(document, "DeleteSnapshot", "snapshot", "s", tags={OWNER_TAG: OTHER})


MADE = [(TEMPORARY_TAG, ME)]
# What is done with a temporary disk: of which kind of resource, with which tags on it.
LIFE = [
    ("CreateDisk", "disk", "*", {}),
    ("CreateDisk", "snapshot", "s-1", {OWNER_TAG: ME}),
    ("AttachDisk", "instance", ME, {}),
    ("AttachDisk", "disk", "d-new", {TEMPORARY_TAG: ME}),
    ("DetachDisk", "instance", ME, {}),
    ("DetachDisk", "disk", "d-new", {TEMPORARY_TAG: ME}),
    ("DeleteDisk", "disk", "d-new", {TEMPORARY_TAG: ME}),
]
FOREIGN = [
    ("CreateDisk", "snapshot", "s-1", {}),
    ("CreateDisk", "snapshot", "s-1", {OWNER_TAG: OTHER}),
    ("AttachDisk", "instance", OTHER, {}),
    ("AttachDisk", "disk", "d-other", {}),
    ("DetachDisk", "disk", holder().disks[0], {OWNER_TAG: ME}),
    ("DetachDisk", "disk", "d-other", {TEMPORARY_TAG: OTHER}),
    ("DeleteDisk", "disk", holder().disks[0], {}),
    ("DeleteDisk", "disk", "d-other", {TEMPORARY_TAG: OTHER}),
    ("ResetDisk", "disk", "d-new", {TEMPORARY_TAG: ME}),
    ("TagResources", "disk", holder().disks[0], {}),
    ("UntagResources", "disk", "d-new", {TEMPORARY_TAG: ME}),
]


@pytest.mark.parametrize("make", [role_policy, session_policy], ids=["role", "session"])
@pytest.mark.parametrize("parts", [[Policy.CREATE, Policy.RESTORE], ALL], ids=["it", "all"])
def test_restore_policy_allows_a_temporary_disks_life_and_nothing_else(
    make: Callable[[Holder, Sequence[Policy]], Document], parts: Sequence[Policy]
) -> None:
    document = make(holder(), parts)
    for action, kind, name, tags in LIFE:
        assert allowed(document, action, kind, name, tags=tags, sets=MADE), (action, kind)
    for action, kind, name, tags in FOREIGN:
        assert not allowed(document, action, kind, name, tags=tags, sets=MADE), (action, kind)


@pytest.mark.parametrize("sets", [[], [(TEMPORARY_TAG, OTHER)], [(OWNER_TAG, ME)]])
def test_restore_policy_lets_no_disk_be_made_without_its_mark(
    sets: Sequence[tuple[str, str]],
) -> None:
    document = role_policy(holder(), ALL)
    assert not allowed(document, "CreateDisk", "disk", "*", sets=sets)


def test_restore_policy_of_a_fleet_marks_disks_by_members_alone() -> None:
    parts = [Policy.CREATE, Policy.RESTORE]
    document = fleet_policy(holder(), parse_fleet_tag("team=web"), parts)
    web = {"team": "web"}
    for action, kind, name, tags in LIFE:
        assert allowed(document, action, kind, name, tags={**web, **tags}, sets=MADE)
    assert not allowed(document, "AttachDisk", "instance", ME)
    assert not allowed(document, "DetachDisk", "disk", holder().disks[0], tags=web)
    assert not allowed(document, "DeleteDisk", "disk", holder().disks[0], tags=web)
    assert not allowed(document, "CreateDisk", "disk", "*", tags=web)


def test_session_policy_narrows_to_one_instance_and_denies_nothing_by_itself() -> None:
    document = session_policy(holder(), ALL)
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
    assert allowed(document, "CreateSnapshotGroup", "instance", ME)
    assert not allowed(document, "CreateSnapshotGroup", "instance", OTHER)
    assert not allowed(document, "CreateSnapshot", "disk", "d-bp1foreign")
    assert allowed(document, "DescribeDisks", "disk", "*")


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        (len(as_sent(session_policy(holder(8), [Policy.CREATE]))), BOUND_LIMIT),
        (len(as_sent(session_policy(holder(8), [Policy.CREATE, Policy.PRUNE]))), BOUND_LIMIT),
        (len(as_sent(session_policy(holder(1), [Policy.CREATE, Policy.RESTORE]))), BOUND_LIMIT),
        (len(as_sent(role_policy(holder(16), ALL))), CUSTOM_LIMIT),
        (len(as_sent(fleet_policy(holder(), parse_fleet_tag("a=b"), ALL))), CUSTOM_LIMIT),
    ],
    ids=[
        "session of 8",
        "session of 8 with prune",
        "session of 1 with restore",
        "role of 16",
        "fleet",
    ],
)
def test_policy_of_an_ordinary_instance_fits(size: int, fits: int) -> None:
    assert size <= fits


def test_sent_text_is_the_same_policy_as_the_readable_one() -> None:
    document = role_policy(holder(), ALL)
    assert json.loads(as_sent(document)) == json.loads(as_read(document)) == document
    assert " " not in as_sent(document)


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "=web",
        "team=",
        "snap-self-owner=i-1",
        "aliyun=x",
        "acs:x=y",
        "a b=c",
        "a=${x}",
        "a=*",
    ],
)
def test_fleet_tag_that_a_policy_cannot_ask_for_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse_fleet_tag(text)


@given(st.text(max_size=40))
def test_fleet_tag_that_is_taken_holds_nothing_that_acts(text: str) -> None:
    try:
        tag = parse_fleet_tag(text)
    except RuleError:
        return
    assert f"{tag.key}={tag.value}" == text
    assert not set(text) & set("'\"\\*?${} \n\t")
    assert text.isascii()
