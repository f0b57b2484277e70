"""The metadata service: items, access modes, status codes, credential rotation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.metadata import MetadataReply
from fakes.simulated_cloud import TWO_DISKS, Signer, SocketlessCloud

TTL = "x-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN = "x-aliyun-ecs-metadata-token"
ROLE_PATH = "/latest/meta-data/ram/security-credentials/"


def with_instance(**changes: Any) -> SocketlessCloud:
    own = replace(TWO_DISKS.instances[0], **changes)
    return SocketlessCloud(replace(TWO_DISKS, instances=(own,)))


def get(cloud: SocketlessCloud, path: str, **headers: str) -> MetadataReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return cloud.metadata.answer("GET", path, named)


def token_of(cloud: SocketlessCloud, ttl: str = "60") -> str:
    reply = cloud.metadata.answer("PUT", "/latest/api/token", {TTL: ttl})
    assert reply.status == 200
    return reply.body.decode()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "2016-01-01\nlatest"),
        ("/latest/meta-data/instance-id", "i-own"),
        ("/2016-01-01/meta-data/instance-id", "i-own"),
        ("/latest/meta-data/region-id", "cn-hangzhou"),
        ("/latest/meta-data/zone-id", "cn-hangzhou-i"),
        ("/latest/meta-data/owner-account-id", "1234567890123456"),
        ("/latest/meta-data/instance/instance-type", "ecs.g7.large"),
        ("/latest/meta-data/instance/virtualization-solution", "ECS Virt"),
        ("/latest/meta-data/disks/", "sys/\ndata/"),
        ("/latest/meta-data/disks/data/id", "d-data"),
        ("/latest/meta-data/disks/data/name", ""),
        (ROLE_PATH, "SnapSelfRole"),
    ],
)
def test_item_has_its_text_without_a_newline_at_the_end(path: str, text: str) -> None:
    reply = get(SocketlessCloud(), path)
    assert (reply.status, reply.body.decode()) == (200, text)


@pytest.mark.parametrize(
    "path",
    [
        "/1.0/meta-data/instance-id",
        "/latest/meta-data/none",
        "/latest/meta-data/instance-id/deeper",
        "/latest/meta-data/instance/spot/termination-time",
        "/latest/meta-data/tags/instance/",
        "/latest/meta-data/public-keys/",
        "/latest/user-data",
        "/latest/vendor-data",
        "/latest/dynamic/instance-identity/pkcs7",
        ROLE_PATH + "OtherRole",
    ],
)
def test_absent_item_is_not_found(path: str) -> None:
    assert get(SocketlessCloud(), path).status == 404


def test_instance_without_role_has_no_credentials() -> None:
    assert get(with_instance(role=""), ROLE_PATH).status == 404


def test_optional_items_when_set_are_served() -> None:
    cloud = with_instance(
        tags={"team": "db"},
        metadata_tags="enabled",
        user_data=b"\x00raw",
        spot_termination="2026-11-22T09:00:00Z",
        public_keys={"0": "ssh-ed25519 AAAA"},
    )
    served = {
        path: get(cloud, f"/latest/{path}").body
        for path in (
            "meta-data/tags/instance/",
            "meta-data/tags/instance/team",
            "user-data",
            "meta-data/instance/spot/termination-time",
            "meta-data/public-keys/0/openssh-key",
        )
    }
    assert list(served.values()) == [
        *(b"team", b"db", b"\x00raw", b"2026-11-22T09:00:00Z", b"ssh-ed25519 AAAA")
    ]


def test_identity_document_has_the_documented_keys() -> None:
    document = json.loads(get(SocketlessCloud(), "/latest/dynamic/instance-identity/document").body)
    assert document["instance-id"] == "i-own"
    assert set(document) == {
        *("zone-id", "serial-number", "instance-id", "region-id", "private-ipv4"),
        *("owner-account-id", "mac", "image-id", "instance-type"),
    }


def test_all_items_at_once_hold_disks_and_interfaces() -> None:
    everything = json.loads(get(SocketlessCloud(), "/2016-01-01/meta-data/all").body)
    assert everything["disks"]["data"]["id"] == "d-data"
    mac = TWO_DISKS.instances[0].mac
    assert everything["network"]["interfaces"]["macs"][mac]["private-ipv4s"] == '["172.16.0.10"]'


def test_disks_follow_attaching_and_skip_those_without_serial() -> None:
    cloud = SocketlessCloud()
    cloud.cloud.state.disks["d-data"].serial = ""
    assert get(cloud, "/latest/meta-data/disks/").body == b"sys/"


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "1.5", "soon", "²"])
def test_token_with_bad_lifetime_is_refused(ttl: str) -> None:
    reply = SocketlessCloud().metadata.answer("PUT", "/latest/api/token", {TTL: ttl})
    assert reply.status == 400


def test_token_without_lifetime_is_refused() -> None:
    assert SocketlessCloud().metadata.answer("PUT", "/latest/api/token", {}).status == 400


def test_token_through_a_proxy_is_refused() -> None:
    headers = {TTL: "60", "x-forwarded-for": "10.0.0.1"}
    assert SocketlessCloud().metadata.answer("PUT", "/latest/api/token", headers).status == 403


def test_token_by_get_is_refused() -> None:
    assert get(SocketlessCloud(), "/latest/api/token").status == 405


def test_item_by_post_is_refused() -> None:
    reply = SocketlessCloud().metadata.answer("POST", "/latest/meta-data/instance-id", {})
    assert reply.status == 405


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_token_works_until_it_expires(mode: str) -> None:
    cloud = with_instance(http_tokens=mode)
    headers = {TOKEN: token_of(cloud)}
    path = "/latest/meta-data/instance-id"
    assert cloud.metadata.answer("GET", path, headers).status == 200
    cloud.pass_time(60)
    assert cloud.metadata.answer("GET", path, headers).status == 401


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_unknown_token_is_refused_in_either_mode(mode: str) -> None:
    cloud = with_instance(http_tokens=mode)
    assert cloud.metadata.answer("GET", "/latest/", {TOKEN: "forged"}).status == 401


def test_item_without_token_where_required_is_forbidden() -> None:
    cloud = with_instance(http_tokens="required")
    assert get(cloud, "/latest/meta-data/instance-id").status == 403


def test_disabled_endpoint_forbids_everything() -> None:
    cloud = with_instance(http_endpoint="disabled")
    assert cloud.metadata.answer("PUT", "/latest/api/token", {TTL: "60"}).status == 403
    assert get(cloud, "/").status == 403


def test_requests_over_the_limit_are_throttled_until_the_next_second() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, metadata_limit_per_s=2))
    statuses = [get(cloud, "/").status for _ in range(3)]
    cloud.pass_time(1)
    assert [*statuses, get(cloud, "/").status] == [200, 200, 429, 200]


def role_keys(cloud: SocketlessCloud) -> dict[str, str]:
    body = json.loads(get(cloud, ROLE_PATH + "SnapSelfRole").body)
    return {str(key): str(value) for key, value in body.items()}


def test_role_credentials_have_documented_fields_and_lifetime() -> None:
    keys = role_keys(SocketlessCloud())
    assert (keys["Code"], keys["LastUpdated"]) == ("Success", "2026-11-22T08:32:25Z")
    assert keys["Expiration"] == "2026-11-22T14:32:25Z"


def test_role_credentials_stay_the_same_until_half_an_hour_before_their_end() -> None:
    cloud = SocketlessCloud()
    first = role_keys(cloud)
    cloud.pass_time(21600 - 1801)
    assert role_keys(cloud) == first
    cloud.pass_time(1)
    assert role_keys(cloud)["AccessKeyId"] != first["AccessKeyId"]


def test_both_sets_of_role_credentials_work_in_the_overlap() -> None:
    cloud = SocketlessCloud()
    sets = [role_keys(cloud)]
    cloud.pass_time(21600 - 1000)
    sets.append(role_keys(cloud))
    for keys in sets:
        signer = Signer(
            access_key_id=keys["AccessKeyId"],
            secret=keys["AccessKeySecret"],
            token=keys["SecurityToken"],
        )
        assert cloud.call("DescribeDisks", signer=signer).status == 200


def test_everything_handed_out_counts_as_secret() -> None:
    cloud = SocketlessCloud()
    keys = role_keys(cloud)
    handed_out = {token_of(cloud), keys["AccessKeySecret"], keys["SecurityToken"]}
    assert handed_out <= cloud.cloud.keys.secrets()


def test_log_of_metadata_requests_holds_no_secret() -> None:
    cloud = SocketlessCloud()
    cloud.metadata.answer("GET", "/latest/", {TOKEN: token_of(cloud)})
    logged = str(cloud.metadata.calls.all())
    assert not [secret for secret in cloud.cloud.keys.secrets() if secret in logged]
