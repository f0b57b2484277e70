"""The calls to the Security Token Service, and what its refusals mean."""

import itertools
import json
from urllib.parse import parse_qsl

import pytest

from fakes.clock import FakeClock
from fakes.http import FakeTransport, answer, json_answer, nobody, stranger
from fakes.instance import SECRET, TOKEN_MARK, role_keys, surroundings
from snap_self.cloud.credentials.signature import encode, sign
from snap_self.cloud.credentials.sources import Surroundings
from snap_self.cloud.credentials.sts import RoleRequest, assume_role, sts_url
from snap_self.errors import (
    CloudUnreachable,
    ConfigError,
    CredentialsRefused,
    CredentialsUnusable,
    PermissionRefused,
    SnapSelfError,
)
from snap_self.model.snapshots import Credentials
from snap_self.ports import HttpRequest, HttpResponse

ROLE = RoleRequest(role_arn="acs:ram::123456:role/SnapMaker")
BASE = Credentials(
    access_key_id="LTAIbase00000001",
    access_key_secret=SECRET,
    security_token=TOKEN_MARK,
    source="test",
    expires=None,
)
REQUEST_ID = "1F2E3D4C-0000-1111-2222-333344445555"


def good(request: HttpRequest) -> HttpResponse:
    return json_answer({"Credentials": role_keys(), "RequestId": REQUEST_ID})


def refusal(code: str, status: int) -> HttpResponse:
    body = {"Code": code, "Message": f"text with {SECRET}", "RequestId": REQUEST_ID}
    return json_answer(body, status=status)


def params(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.url.partition("?")[2]) + parse_qsl(request.body.decode()))


def asked_with(around: Surroundings, base: Credentials = BASE) -> Credentials:
    return assume_role(around, base, ROLE)


def test_sign_when_given_the_documented_example_then_gives_its_signature() -> None:
    example = {
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "Format": "XML",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "SignatureVersion": "1.0",
        "Timestamp": "2016-02-23T12:46:24Z",
        "Version": "2014-05-26",
    }
    assert sign("GET", example, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_encode_when_special_then_keeps_only_unreserved_letters() -> None:
    assert encode("a ~*+/ü") == "a%20~%2A%2B%2F%C3%BC"


def test_assume_role_when_answered_then_returns_the_roles_keys() -> None:
    found = asked_with(surroundings(transport=FakeTransport(good)))
    assert (found.security_token, found.source) == (TOKEN_MARK, "role SnapMaker")


def test_assume_role_when_sent_then_the_signature_covers_the_body() -> None:
    transport = FakeTransport(good)
    asked_with(surroundings(transport=transport))
    sent = params(transport.requests[0])
    signature = sent.pop("Signature")
    assert signature == sign("POST", sent, SECRET)
    assert sent["RoleSessionName"] == "snap-self"


def test_assume_role_when_sent_then_the_url_holds_no_secret() -> None:
    transport = FakeTransport(good)
    asked_with(surroundings(transport=transport))
    assert params(transport.requests[0])["SecurityToken"] == TOKEN_MARK
    assert TOKEN_MARK not in repr(transport.requests[0])


def test_assume_role_when_busy_then_tries_again_with_a_new_nonce() -> None:
    replies = itertools.chain([refusal("Throttling.User", 400), answer("<html>", status=502)])
    transport = FakeTransport(lambda request: next(replies, None) or good(request))
    nonces = itertools.count()
    clock = FakeClock()
    asked_with(surroundings(transport=transport, clock=clock, nonce=lambda: f"nonce{next(nonces)}"))
    assert [params(r)["SignatureNonce"] for r in transport.requests] == [
        "nonce0",
        "nonce1",
        "nonce2",
    ]
    assert clock.sleeps == [0.5, 1.0]


def test_assume_role_when_nobody_answers_then_gives_up_after_three() -> None:
    transport = FakeTransport(nobody)
    with pytest.raises(CloudUnreachable, match="Connection refused") as caught:
        asked_with(surroundings(transport=transport))
    assert len(transport.requests) == 3
    assert "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED" in caught.value.hint


def test_assume_role_when_a_stranger_would_answer_then_asks_once_and_says_what_mends_it() -> None:
    transport = FakeTransport(stranger)
    with pytest.raises(CloudUnreachable, match="a stranger's") as caught:
        asked_with(surroundings(transport=transport))
    assert len(transport.requests) == 1
    assert caught.value.hint == "send the stranger away"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidAccessKeyId.NotFound", 404, CredentialsRefused),
        ("SignatureDoesNotMatch", 400, CredentialsRefused),
        ("InvalidSecurityToken.Expired", 400, CredentialsRefused),
        ("InvalidTimeStamp.Expired", 400, CredentialsRefused),
        ("NoPermission", 403, PermissionRefused),
        ("EntityNotExist.Role", 404, CredentialsUnusable),
        ("AuthenticationFail.OIDCToken.Expired", 400, CredentialsUnusable),
        ("ServiceUnavailable", 503, CloudUnreachable),
    ],
)
def test_assume_role_when_refused_then_the_code_decides(
    code: str, status: int, kind: type[SnapSelfError]
) -> None:
    with pytest.raises(kind, match=code) as caught:
        asked_with(surroundings(transport=FakeTransport(lambda request: refusal(code, status))))
    assert type(caught.value) is kind
    assert REQUEST_ID in caught.value.message
    assert SECRET not in f"{caught.value!r}{caught.value.hint}{caught.value.details}"


@pytest.mark.parametrize("body", ["", "<html>", "[]", json.dumps({"Code": SECRET})])
def test_assume_role_when_the_refusal_is_unreadable_then_shows_nothing_of_it(body: str) -> None:
    transport = FakeTransport(lambda request: answer(body, status=400))
    with pytest.raises(CredentialsUnusable, match="no readable code") as caught:
        asked_with(surroundings(transport=transport))
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("body", ["", "{}", '{"Credentials": 1}', '{"Credentials": {}}'])
def test_assume_role_when_a_good_answer_is_malformed_then_says_so(body: str) -> None:
    with pytest.raises(CredentialsUnusable, match="answer to AssumeRole"):
        asked_with(surroundings(transport=FakeTransport(lambda request: answer(body))))


@pytest.mark.parametrize(
    ("env", "role", "expected"),
    [
        ({}, ROLE, "https://sts.aliyuncs.com"),
        (
            {"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou"},
            ROLE,
            "https://sts.cn-hangzhou.aliyuncs.com",
        ),
        (
            {
                "ALIBABA_CLOUD_STS_REGION": "cn-hangzhou",
                "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true",
            },
            ROLE,
            "https://sts-vpc.cn-hangzhou.aliyuncs.com",
        ),
        ({"ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"}, ROLE, "https://sts.aliyuncs.com"),
        (
            {
                "ALIBABA_CLOUD_STS_REGION": "cn-hangzhou",
                "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true",
            },
            RoleRequest(role_arn="x", region="cn-beijing", vpc=False),
            "https://sts.cn-beijing.aliyuncs.com",
        ),
    ],
)
def test_sts_url_when_region_and_vpc_are_set_then_picks_the_host(
    env: dict[str, str], role: RoleRequest, expected: str
) -> None:
    assert sts_url(surroundings(env=env), role) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("sts-vpc.cn-hangzhou.aliyuncs.com", "https://sts-vpc.cn-hangzhou.aliyuncs.com"),
        ("https://sts.example:8443/", "https://sts.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_sts_url_when_overridden_well_then_takes_it(override: str, expected: str) -> None:
    assert sts_url(surroundings(sts_endpoint=override), ROLE) == expected


@pytest.mark.parametrize(
    "override", ["http://sts.aliyuncs.com", "https://h/path", "https://u:p@h", "ftp://h", "a b"]
)
def test_sts_url_when_overridden_badly_then_is_a_configuration_error(override: str) -> None:
    with pytest.raises(ConfigError):
        sts_url(surroundings(sts_endpoint=override), ROLE)
