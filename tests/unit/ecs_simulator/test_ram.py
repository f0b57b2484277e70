"""RAM policies: the pure decision, and what the API does with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import AccessKeyConfig
from ecs_simulator.ram import ALLOW, EXPLICIT_DENY, IMPLICIT_DENY, Resource, context_of, decide
from fakes.simulated_cloud import TWO_DISKS, SocketlessCloud

ARN = "acs:ecs:cn-hangzhou:1234567890123456:"


def policy(action: Any, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return {"Version": "1", "Statement": [statement]}


@pytest.mark.parametrize(
    ("policies", "verdict"),
    [
        ([], IMPLICIT_DENY),
        ([policy("*")], ALLOW),
        ([policy("ecs:*")], ALLOW),
        ([policy("ecs:Delete*")], ALLOW),
        ([policy("ECS:deletesnapshot")], ALLOW),
        ([policy(["ecs:CreateSnapshot", "ecs:DeleteSnapshot"])], ALLOW),
        ([policy("ecs:DeleteSnapshotGroup")], IMPLICIT_DENY),
        ([policy("ecs:DeleteSnapshot", "acs:ecs:*:*:snapshot/*")], ALLOW),
        ([policy("ecs:DeleteSnapshot", f"{ARN}snapshot/s-1")], ALLOW),
        ([policy("ecs:DeleteSnapshot", f"{ARN}snapshot/s-2")], IMPLICIT_DENY),
        ([policy("*"), policy("ecs:Delete*", effect="Deny")], EXPLICIT_DENY),
        ([policy("ecs:Delete*", effect="Deny"), policy("*")], EXPLICIT_DENY),
        ([{"Statement": {"Effect": "Allow", "NotAction": "ecs:Run*", "Resource": "*"}}], ALLOW),
        (
            [{"Statement": {"Effect": "Allow", "NotAction": "ecs:*", "Resource": "*"}}],
            IMPLICIT_DENY,
        ),
    ],
)
def test_decide_on_actions_and_resources(policies: list[Any], verdict: str) -> None:
    found = decide(policies, action="ecs:DeleteSnapshot", arn=f"{ARN}snapshot/s-1", context={})
    assert found == verdict


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"acs:ResourceTag/owner": "i-own"}}, True),
        ({"StringEquals": {"ecs:tag/owner": "i-own"}}, True),
        ({"StringEquals": {"ecs:tag/owner": ["i-x", "i-own"]}}, True),
        ({"StringEquals": {"acs:ResourceTag/owner": "i-other"}}, False),
        ({"StringEquals": {"acs:ResourceTag/absent": "i-own"}}, False),
        ({"StringEquals": {"acs:RequestTag/owner": "new"}}, True),
        ({"StringLike": {"acs:ResourceTag/owner": "i-*"}}, True),
        ({"StringLike": {"acs:ResourceTag/owner": "d-*"}}, False),
        ({"StringNotEquals": {"acs:ResourceTag/owner": "i-other"}}, True),
        ({"StringNotLike": {"acs:ResourceTag/owner": "i-*"}}, False),
        ({"StringEqualsIgnoreCase": {"acs:ResourceTag/owner": "I-OWN"}}, True),
        ({"Null": {"acs:ResourceTag/absent": "true"}}, True),
        ({"Null": {"acs:ResourceTag/owner": "true"}}, False),
        ({"NumericEquals": {"acs:ResourceTag/owner": "i-own"}}, False),
        (
            {
                "StringEquals": {"acs:ResourceTag/owner": "i-own"},
                "StringLike": {"acs:RequestTag/owner": "old*"},
            },
            False,
        ),
    ],
    ids=str,
)
def test_decide_on_conditions(condition: dict[str, Any], allowed: bool) -> None:
    context = context_of(
        Resource(kind="snapshot", name="s-1", tags={"owner": "i-own"}), [("owner", "new")]
    )
    verdict = decide(
        [policy("ecs:*", Condition=condition)],
        action="ecs:DeleteSnapshot",
        arn=f"{ARN}snapshot/s-1",
        context=context,
    )
    assert (verdict == ALLOW) == allowed


def cloud_with(*policies: dict[str, Any]) -> SocketlessCloud:
    return SocketlessCloud(replace(TWO_DISKS, keys=(AccessKeyConfig(policies=policies),)))


def test_create_without_permission_is_forbidden_and_says_who_and_what() -> None:
    answer = cloud_with(policy("ecs:Describe*")).call("CreateSnapshot", DiskId="d-sys")
    assert answer.outcome == (403, "Forbidden.RAM")
    detail = answer.body["AccessDeniedDetail"]
    assert detail["AuthAction"] == "ecs:CreateSnapshot"
    assert detail["AuthPrincipalDisplayName"] == "tester"
    assert detail["NoPermissionType"] == "ImplicitDeny"


def test_create_with_permission_on_the_disk_only_is_forbidden() -> None:
    cloud = cloud_with(policy("ecs:CreateSnapshot", f"{ARN}disk/d-sys"))
    assert cloud.call("CreateSnapshot", DiskId="d-sys").code == "Forbidden.RAM"


def test_create_with_permission_on_disk_and_snapshots_is_allowed() -> None:
    both = [f"{ARN}disk/d-sys", f"{ARN}snapshot/*"]
    cloud = cloud_with(policy("ecs:CreateSnapshot", both))
    assert cloud.call("CreateSnapshot", DiskId="d-sys").status == 200
    assert cloud.call("CreateSnapshot", DiskId="d-data").code == "Forbidden.RAM"


def test_list_without_permission_is_empty() -> None:
    answer = cloud_with(policy("ecs:CreateSnapshot")).call("DescribeDisks")
    assert answer.status == 200
    assert answer.body["Disks"]["Disk"] == []
    assert answer.body["TotalCount"] == 0


@pytest.mark.parametrize(
    ("tag", "outcome"), [("i-own", (200, "")), ("i-other", (403, "Forbidden.RAM"))]
)
def test_delete_scoped_by_tag_reaches_only_own_snapshots(
    tag: str, outcome: tuple[int, str]
) -> None:
    condition = {"StringEquals": {"acs:ResourceTag/owner": "i-own"}}
    cloud = cloud_with(
        policy("ecs:CreateSnapshot"), policy("ecs:DeleteSnapshot", Condition=condition)
    )
    name = cloud.made("CreateSnapshot", DiskId="d-sys", Tag__1__Key="owner", Tag__1__Value=tag)
    assert cloud.call("DeleteSnapshot", SnapshotId=name).outcome == outcome


def test_list_scoped_by_tag_is_empty_unless_the_call_filters_by_it() -> None:
    condition = {"StringEquals": {"acs:ResourceTag/owner": "me"}}
    cloud = cloud_with(
        policy("ecs:CreateSnapshot"), policy("ecs:DescribeSnapshots", Condition=condition)
    )
    cloud.made("CreateSnapshot", DiskId="d-sys", Tag__1__Key="owner", Tag__1__Value="me")
    assert cloud.snapshots() == []
    assert len(cloud.snapshots(Tag__1__Key="owner", Tag__1__Value="me")) == 1


def test_policy_change_reaches_keys_given_out_before() -> None:
    cloud = SocketlessCloud()
    cloud.cloud.keys.set_policies("tester", ())
    assert cloud.call("CreateSnapshot", DiskId="d-sys").code == "Forbidden.RAM"
