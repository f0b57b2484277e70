"""Tags and the security token service."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import AccessKeyConfig, RoleConfig
from fakes.simulated_cloud import TWO_DISKS, Answer, Signer, SocketlessCloud

DATA_DISK = {"ResourceType": "disk", "ResourceId.1": "d-data"}
ROLE_ARN = "acs:ram::1234567890123456:role/SnapSelfRole"


def tags_of(cloud: SocketlessCloud, **params: Any) -> dict[str, str]:
    answer = cloud.call("ListTagResources", **{**DATA_DISK, **params})
    return {e["TagKey"]: e["TagValue"] for e in answer.body["TagResources"]["TagResource"]}


def test_tags_are_added_replaced_and_taken_away() -> None:
    cloud = SocketlessCloud()
    first = {"Tag.1.Key": "a", "Tag.1.Value": "1", "Tag.2.Key": "b"}
    assert cloud.call("TagResources", **DATA_DISK, **first).status == 200
    cloud.call("TagResources", **DATA_DISK, Tag__1__Key="a", Tag__1__Value="2")
    assert tags_of(cloud) == {"a": "2", "b": ""}
    cloud.call("UntagResources", **DATA_DISK, TagKey__1="a")
    assert tags_of(cloud) == {"b": ""}
    cloud.call("UntagResources", **DATA_DISK, All="true")
    assert tags_of(cloud) == {}


def test_snapshot_tagged_later_is_found_by_that_tag() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateSnapshot", DiskId="d-sys")
    snapshot = {"ResourceType": "snapshot", "ResourceId.1": name}
    cloud.call("TagResources", **snapshot, Tag__1__Key="late", Tag__1__Value="yes")
    assert len(cloud.snapshots(Tag__1__Key="late")) == 1
    cloud.call("UntagResources", **snapshot, TagKey__1="late")
    assert cloud.snapshots(Tag__1__Key="late") == []


def test_system_tag_of_a_group_member_stays() -> None:
    cloud = SocketlessCloud()
    cloud.made("CreateSnapshotGroup", InstanceId="i-own")
    name = cloud.snapshots()[0]["SnapshotId"]
    cloud.call("UntagResources", ResourceType="snapshot", ResourceId__1=name, All="true")
    assert tags_of(cloud, ResourceType="snapshot", ResourceId__1=name, **{"ResourceId.1": name})


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"ResourceType": ""}, (404, "MissingParameter.ResourceType")),
        ({"ResourceType": "snapshotgroup"}, (404, "InvalidResourceType.NotFound")),
        ({"ResourceId.1": "d-x"}, (404, "InvalidResourceId.NotFound")),
        ({"ResourceId.1": ""}, (404, "MissingParameter.ResourceId")),
        ({"Tag.1.Key": "acs:k"}, (400, "InvalidTagKey.Malformed")),
        ({"Tag.1.Key": ""}, (400, "InvalidTagKey.Malformed")),
        ({"Tag.2.Key": "K"}, (400, "Duplicate.TagKey")),
        ({f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)}, (400, "NumberExceed.Tags")),
        ({f"ResourceId.{n}": "d-sys" for n in range(1, 52)}, (400, "NumberExceed.ResourceIds")),
        ({"RegionId": "mars"}, (404, "InvalidRegionId.NotFound")),
        ({"RegionId": ""}, (404, "MissingParameter.RegionId")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tag_resources_gives_documented_refusal(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    given = {**DATA_DISK, "Tag.1.Key": "k", **params}
    assert SocketlessCloud().call("TagResources", **given).outcome == outcome


def test_tags_beyond_twenty_on_a_resource_are_refused() -> None:
    cloud = SocketlessCloud()
    many = {f"Tag.{n}.Key": f"k{n}" for n in range(1, 21)}
    assert cloud.call("TagResources", **DATA_DISK, **many).status == 200
    answer = cloud.call("TagResources", **DATA_DISK, Tag__1__Key="more")
    assert answer.outcome == (403, "QuotaExceed.Tags")


def test_list_tags_without_any_filter_is_refused() -> None:
    answer = SocketlessCloud().call("ListTagResources", ResourceType="disk")
    assert answer.status == 404


def sts(cloud: SocketlessCloud, action: str, signer: Signer | None = None, **params: Any) -> Answer:
    return cloud.call(action, signer=signer, Version="2015-04-01", **params)


def signer_of(answer: Answer) -> Signer:
    given = answer.body["Credentials"]
    return Signer(
        access_key_id=given["AccessKeyId"],
        secret=given["AccessKeySecret"],
        token=given["SecurityToken"],
    )


def test_assumed_role_can_call_and_is_who_it_says() -> None:
    cloud = SocketlessCloud()
    answer = sts(cloud, "AssumeRole", RoleArn=ROLE_ARN, RoleSessionName="s1", DurationSeconds=900)
    assert answer.body["Credentials"]["Expiration"] == "2026-11-22T08:47:25Z"
    signer = signer_of(answer)
    identity = sts(cloud, "GetCallerIdentity", signer)
    assert identity.body["Arn"] == "acs:ram::1234567890123456:assumed-role/SnapSelfRole/s1"
    assert cloud.call("DescribeDisks", signer=signer).status == 200


def test_assumed_role_is_bound_by_its_session_policy() -> None:
    cloud = SocketlessCloud()
    policy = {"Statement": [{"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}]}
    answer = sts(
        cloud,
        "AssumeRole",
        RoleArn=ROLE_ARN,
        RoleSessionName="s1",
        Policy=json.dumps(policy),
    )
    refused = cloud.call("CreateSnapshot", signer=signer_of(answer), DiskId="d-sys")
    assert refused.code == "Forbidden.RAM"


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"RoleArn": "SnapSelfRole"}, (400, "InvalidParameter.RoleArn")),
        ({"RoleArn": ROLE_ARN + "X"}, (404, "EntityNotExist.Role")),
        ({"RoleSessionName": "a b"}, (400, "InvalidParameter.RoleSessionName")),
        ({"DurationSeconds": 899}, (400, "InvalidParameter.DurationSeconds")),
        ({"DurationSeconds": 43201}, (400, "InvalidParameter.DurationSeconds")),
        ({"Policy": "{"}, (400, "InvalidParameter.PolicyGrammar")),
        ({"RoleArn": ""}, (400, "MissingParameter")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_assume_role_gives_documented_refusal(
    params: dict[str, Any], outcome: tuple[int, str]
) -> None:
    given = {"RoleArn": ROLE_ARN, "RoleSessionName": "s1", **params}
    assert sts(SocketlessCloud(), "AssumeRole", **given).outcome == outcome


@pytest.mark.parametrize(
    "config",
    [
        replace(TWO_DISKS, roles=(RoleConfig(trusted=("somebody",)),)),
        replace(TWO_DISKS, roles=(RoleConfig(external_id="secret"),)),
        replace(TWO_DISKS, keys=(AccessKeyConfig(policies=()),)),
    ],
    ids=["not trusted", "external id", "no permission"],
)
def test_assume_role_without_right_is_refused(config: Any) -> None:
    answer = sts(SocketlessCloud(config), "AssumeRole", RoleArn=ROLE_ARN, RoleSessionName="s1")
    assert answer.outcome == (403, "NoPermission")


def oidc(cloud: SocketlessCloud, token: str) -> Answer:
    reply = cloud.send(
        {
            "Action": "AssumeRoleWithOIDC",
            "Version": "2015-04-01",
            "Format": "JSON",
            "RoleArn": ROLE_ARN,
            "OIDCProviderArn": "acs:ram::1234567890123456:oidc-provider/ci",
            "OIDCToken": token,
            "RoleSessionName": "job",
        },
        method="POST",
    )
    return Answer(reply.status, json.loads(reply.body))


def test_role_for_an_oidc_token_needs_no_signature() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, oidc_tokens={"jwt": "ci"}))
    answer = oidc(cloud, "jwt")
    assert cloud.call("DescribeDisks", signer=signer_of(answer)).status == 200


def test_role_for_a_wrong_oidc_token_is_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, oidc_tokens={"jwt": "ci"}))
    assert oidc(cloud, "forged").code == "AuthenticationFail.OIDCToken.Invalid"
