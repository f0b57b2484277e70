"""Signatures, nonces, times, keys and tokens."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ecs_simulator import signature
from ecs_simulator.config import AccessKeyConfig
from fakes.simulated_cloud import TWO_DISKS, Answer, Signer, SocketlessCloud

HOST = "ecs.cn-hangzhou.aliyuncs.com"


def test_v1_string_to_sign_equals_documented_example() -> None:
    # The worked example of "Request signatures" in the ECS API reference.
    params = {
        "TimeStamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
        "Timestamp": "2016-02-23T12:46:24Z",
    }
    del params["TimeStamp"]
    text = signature.v1_string_to_sign("GET", params)
    assert text == (
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML"
        "%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"
        "%26SignatureVersion%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z"
        "%26Version%3D2014-05-26"
    )
    assert signature.v1_signature("testsecret", text) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("a b", "a%20b"), ("*", "%2A"), ("~", "~"), ("+/", "%2B%2F"), ("盘", "%E7%9B%98")],
)
def test_encode_of_special_letters_follows_rfc3986(text: str, encoded: str) -> None:
    assert signature.encode(text) == encoded


def test_signed_call_when_right_is_answered() -> None:
    assert SocketlessCloud().call("DescribeDisks").outcome == (200, "")


def test_signed_call_with_odd_letters_in_values_is_answered() -> None:
    answer = SocketlessCloud().call("DescribeDisks", DiskName="a *~+/盘&=%")
    assert answer.outcome == (200, "")


def test_parameter_changed_after_signing_is_refused_with_string_to_sign() -> None:
    cloud = SocketlessCloud()
    params = cloud.signer.sign({"Action": "DescribeDisks"}, at=cloud.clock.time)
    reply = cloud.send({**params, "RegionId": "cn-beijing"})
    body = json.loads(reply.body)
    assert (reply.status, body["Code"]) == (400, "SignatureDoesNotMatch")
    assert body["Message"].startswith(
        "Specified signature is not matched with our calculation. "
        "server string to sign is:GET&%2F&AccessKeyId"
    )


def test_method_is_part_of_signature() -> None:
    cloud = SocketlessCloud()
    params = cloud.signer.sign({"Action": "DescribeDisks"}, at=cloud.clock.time, method="GET")
    assert cloud.send(params, method="POST").status == 400


def test_nonce_when_used_again_is_refused() -> None:
    cloud = SocketlessCloud()
    params = cloud.signer.sign(
        {"Action": "DescribeDisks", "RegionId": "cn-hangzhou"}, at=cloud.clock.time
    )
    assert cloud.send(params).status == 200
    assert json.loads(cloud.send(params).body)["Code"] == "SignatureNonceUsed"


@pytest.mark.parametrize(("shift_s", "code"), [(899, ""), (-899, ""), (901, "E"), (-901, "E")])
def test_clock_window_is_fifteen_minutes_either_way(shift_s: int, code: str) -> None:
    cloud = SocketlessCloud()
    params = cloud.signer.sign(
        {"Action": "DescribeDisks", "RegionId": "cn-hangzhou"}, at=cloud.clock.time + shift_s
    )
    expected = "InvalidTimeStamp.Expired" if code else ""
    assert json.loads(cloud.send(params).body).get("Code", "") == expected


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"AccessKeyId": "LTAInobody"}, (404, "InvalidAccessKeyId.NotFound")),
        ({"AccessKeyId": ""}, (400, "MissingParameter")),
        ({"SignatureNonce": ""}, (400, "MissingParameter")),
        ({"Signature": ""}, (400, "IncompleteSignature")),
        ({"Timestamp": ""}, (400, "IllegalTimestamp")),
        ({"Timestamp": "yesterday"}, (400, "InvalidTimeStamp.Format")),
        ({"SecurityToken": "made-up"}, (400, "InvalidSecurityToken.Malformed")),
        ({"Action": "DescribeNothing"}, (400, "InvalidParameter")),
        ({"Version": "2013-01-10"}, (400, "InvalidParameter")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_common_parameter_gives_its_code(
    changes: dict[str, str], outcome: tuple[int, str]
) -> None:
    cloud = SocketlessCloud()
    params = cloud.signer.sign({"Action": "DescribeDisks"}, at=cloud.clock.time)
    reply = cloud.send({**params, **changes})
    assert (reply.status, json.loads(reply.body)["Code"]) == outcome


def test_inactive_key_is_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, keys=(AccessKeyConfig(active=False),)))
    assert cloud.call("DescribeDisks").outcome == (400, "InvalidAccessKeyId.Inactive")


def short_lived(cloud: SocketlessCloud, lifetime_s: float = 900) -> Signer:
    key = cloud.cloud.keys.mint(role="SnapSelfRole", session="s1", lifetime_s=lifetime_s)
    return Signer(access_key_id=key.access_key_id, secret=key.secret, token=key.token)


def test_short_lived_key_works_until_it_expires() -> None:
    cloud = SocketlessCloud()
    signer = short_lived(cloud)
    assert cloud.call("DescribeDisks", signer=signer).status == 200
    cloud.pass_time(900)
    answer = cloud.call("DescribeDisks", signer=signer)
    assert answer.outcome == (400, "InvalidSecurityToken.Expired")


def test_expired_key_when_expiry_is_off_still_works() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, sts_expiry=False))
    signer = short_lived(cloud)
    cloud.pass_time(5000)
    assert cloud.call("DescribeDisks", signer=signer).status == 200


def test_short_lived_key_without_token_is_refused() -> None:
    cloud = SocketlessCloud()
    signer = replace(short_lived(cloud), token="")
    assert cloud.call("DescribeDisks", signer=signer).outcome == (400, "MissingSecurityToken")


def test_token_of_another_key_is_refused() -> None:
    cloud = SocketlessCloud()
    signer = replace(short_lived(cloud), token=short_lived(cloud).token)
    answer = cloud.call("DescribeDisks", signer=signer)
    assert answer.code == "InvalidSecurityToken.MismatchWithAccessKey"


def v3(cloud: SocketlessCloud, signer: Signer | None = None, **header: str) -> Answer:
    query = {"RegionId": "cn-hangzhou", "DiskIds": '["d-sys"]'}
    headers = (signer or cloud.signer).v3_headers(
        "DescribeDisks", query, at=cloud.clock.time, host=HOST
    )
    headers |= {name.replace("_", "-"): value for name, value in header.items()}
    reply = cloud.send(query, method="POST", headers=headers)
    return Answer(reply.status, json.loads(reply.body))


def test_v3_call_when_right_is_answered_as_json() -> None:
    answer = v3(SocketlessCloud())
    assert [disk["DiskId"] for disk in answer.body["Disks"]["Disk"]] == ["d-sys"]


def test_v3_call_with_security_token_is_answered() -> None:
    cloud = SocketlessCloud()
    assert v3(cloud, short_lived(cloud)).status == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"x_acs_action": "DescribeInstances"}, "SignatureDoesNotMatch"),
        ({"x_acs_content_sha256": "0" * 64}, "InvalidParameter.ContentSha256"),
        ({"authorization": "ACS3-HMAC-SHA256 nonsense"}, "IncompleteSignature"),
        ({"x_acs_unsigned": "1"}, "IncompleteSignature"),
        ({"x_acs_date": "2020-01-01T00:00:00Z"}, "InvalidTimeStamp.Expired"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_v3_call_when_a_part_is_wrong_is_refused(header: dict[str, str], code: str) -> None:
    assert v3(SocketlessCloud(), **header).code == code


def test_answer_without_format_is_xml() -> None:
    cloud = SocketlessCloud()
    reply = cloud.send(
        cloud.signer.sign(
            {"Action": "DescribeDisks", "Format": "", "RegionId": "cn-hangzhou"},
            at=cloud.clock.time,
        )
    )
    assert reply.body.startswith(b"<?xml version='1.0' encoding='UTF-8'?><DescribeDisksResponse>")


def test_refusal_names_host_and_page_to_read() -> None:
    body = SocketlessCloud().call("CreateSnapshot", DiskId="d-none").body
    assert body["HostId"] == HOST
    assert body["Recommend"] == (
        "https://api.aliyun.com/troubleshoot?q=InvalidDiskId.NotFound&product=Ecs"
        f"&requestId={body['RequestId']}"
    )


def test_call_log_holds_no_secret_of_the_request() -> None:
    cloud = SocketlessCloud()
    signer = short_lived(cloud)
    cloud.call("DescribeDisks", signer=signer)
    logged = str(cloud.api.calls.all())
    assert not [secret for secret in cloud.cloud.keys.secrets() if secret in logged]
