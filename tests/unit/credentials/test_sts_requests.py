"""The Security Token Service over the real HTTP adapter: what goes out, and what is told of it.

Only the wire is replaced, by ``requests-mock``; session, headers, redirects and limits are real.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests
import requests_mock

from fakes.clock import FakeClock
from fakes.instance import SECRET, TOKEN_MARK, role_keys, surroundings
from snap_self.cloud.credentials.sources import Surroundings
from snap_self.cloud.credentials.sts import RoleRequest, assume_role
from snap_self.errors import (
    CloudUnreachable,
    CredentialsRefused,
    CredentialsUnusable,
    PermissionRefused,
    SnapSelfError,
)
from snap_self.model.snapshots import Credentials
from snap_self.system.net.http import RequestsTransport

URL = "https://sts.aliyuncs.com/"
ELSEWHERE = "https://198.51.100.7/"
ROLE = RoleRequest(role_arn="acs:ram::123456:role/SnapMaker")
REQUEST_ID = "1F2E3D4C-0000-1111-2222-333344445555"
GOOD = json.dumps({"Credentials": role_keys(), "RequestId": REQUEST_ID})
BASE = Credentials(
    access_key_id="LTAIbase00000001",
    access_key_secret=SECRET,
    security_token=TOKEN_MARK,
    source="test",
    expires=None,
)


@pytest.fixture
def wire() -> Iterator[requests_mock.Mocker]:
    """Give a wire on which nobody answers yet."""
    with requests_mock.Mocker() as mocker:
        yield mocker


@pytest.fixture
def clock() -> FakeClock:
    """Give the caller's clock."""
    return FakeClock()


@pytest.fixture
def around(clock: FakeClock) -> Iterator[Surroundings]:
    """Give what a source of keys reads, with the real transport."""
    transport = RequestsTransport()
    yield surroundings(transport=transport, clock=clock)
    transport.close()


def refused(around: Surroundings, kind: type[SnapSelfError]) -> SnapSelfError:
    """Return the error of a call that fails, which shows no secret anywhere."""
    with pytest.raises(kind) as caught:
        assume_role(around, BASE, ROLE)
    shown = "".join(traceback.format_exception(caught.value))
    told = f"{shown} {caught.value.hint} {caught.value.details} {caught.value.told}"
    assert [mark for mark in (SECRET, TOKEN_MARK, "Signature=") if mark in told] == []
    return caught.value


def refusal(code: str) -> str:
    """Return a refusal as the service answers it, with a secret in its words."""
    message = f"string to sign is: POST&SecurityToken={TOKEN_MARK} {SECRET}"
    return json.dumps({"Code": code, "Message": message, "RequestId": REQUEST_ID})


def test_role_is_asked_for_with_its_secrets_in_the_body_alone(
    wire: requests_mock.Mocker, around: Surroundings
) -> None:
    wire.post(URL, text=GOOD)
    found = assume_role(around, BASE, ROLE)
    assert (found.security_token, found.source) == (TOKEN_MARK, "role SnapMaker")
    (request,) = wire.request_history
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    body = parse_qs(request.body.decode())
    assert (body["SecurityToken"], body["RoleArn"]) == ([TOKEN_MARK], [ROLE.role_arn])
    assert TOKEN_MARK not in request.url
    assert SECRET not in request.url + request.body.decode()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidAccessKeyId.NotFound", 404, CredentialsRefused),
        ("SignatureDoesNotMatch", 400, CredentialsRefused),
        ("InvalidTimeStamp.Expired", 400, CredentialsRefused),
        ("NoPermission", 403, PermissionRefused),
        ("EntityNotExist.Role", 404, CredentialsUnusable),
    ],
)
def test_refusal_is_told_by_code_and_request_and_not_tried_again(
    wire: requests_mock.Mocker,
    around: Surroundings,
    code: str,
    status: int,
    kind: type[SnapSelfError],
) -> None:
    wire.post(URL, text=refusal(code), status_code=status)
    error = refused(around, kind)
    assert code in error.message
    assert REQUEST_ID in error.message
    assert wire.call_count == 1


@pytest.mark.parametrize(("status", "code"), [(500, "Odd"), (429, "Odd"), (400, "Throttling.User")])
def test_busy_service_is_asked_three_times(
    wire: requests_mock.Mocker, around: Surroundings, clock: FakeClock, status: int, code: str
) -> None:
    wire.post(URL, text=refusal(code), status_code=status)
    refused(around, CloudUnreachable)
    assert wire.call_count == 3
    assert clock.sleeps == [0.5, 1.0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(
    wire: requests_mock.Mocker, around: Surroundings, status: int
) -> None:
    wire.post(URL, status_code=status, headers={"Location": ELSEWHERE}, text=GOOD)
    wire.register_uri(requests_mock.ANY, ELSEWHERE, text=GOOD)
    refused(around, CredentialsUnusable)
    assert [request.hostname for request in wire.request_history] == ["sts.aliyuncs.com"]


@pytest.mark.parametrize(
    "body",
    [
        f"<html>{SECRET}</html>".encode(),
        f'{{"Credentials": "{SECRET}"}}'.encode(),
        json.dumps({"Credentials": {"AccessKeySecret": SECRET}}).encode(),
        b"\xff" + SECRET.encode(),
        b"",
    ],
)
def test_answer_that_holds_no_keys_is_refused_without_its_text(
    wire: requests_mock.Mocker, around: Surroundings, body: bytes
) -> None:
    wire.post(URL, content=body)
    refused(around, CredentialsUnusable)
    assert wire.call_count == 1


def test_body_over_the_bound_is_no_answer(wire: requests_mock.Mocker, around: Surroundings) -> None:
    wire.post(URL, text=GOOD + " " * (65537 - len(GOOD)))
    assert "answer longer than 65536 bytes" in refused(around, CloudUnreachable).message


def test_body_as_long_as_allowed_is_read(wire: requests_mock.Mocker, around: Surroundings) -> None:
    wire.post(URL, text=GOOD + " " * (65536 - len(GOOD)))
    assert assume_role(around, BASE, ROLE).security_token == TOKEN_MARK


def test_words_of_the_library_are_not_passed_on(
    wire: requests_mock.Mocker, around: Surroundings
) -> None:
    words = f"{URL}?Signature=abc&SecurityToken={TOKEN_MARK} {SECRET}"
    wire.post(URL, exc=requests.exceptions.ConnectionError(words))
    assert URL in refused(around, CloudUnreachable).message


def test_lost_answer_is_asked_for_again_with_another_nonce(
    wire: requests_mock.Mocker, clock: FakeClock
) -> None:
    wire.post(URL, [{"exc": requests.exceptions.ReadTimeout}, {"text": GOOD}])
    nonces = iter(("one", "two"))
    transport = RequestsTransport()
    around = surroundings(transport=transport, clock=clock, nonce=lambda: next(nonces))
    assert assume_role(around, BASE, ROLE).security_token == TOKEN_MARK
    transport.close()
    asked = [parse_qs(request.query)["signaturenonce"] for request in wire.request_history]
    assert asked == [["one"], ["two"]]


def test_environment_names_neither_proxy_nor_authorities_nor_password(
    wire: requests_mock.Mocker,
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine sts.aliyuncs.com login me password {SECRET}\n", encoding="utf-8")
    for name, value in (
        ("NETRC", str(netrc)),
        ("https_proxy", "http://198.51.100.7:3128"),
        ("REQUESTS_CA_BUNDLE", str(netrc)),
    ):
        monkeypatch.setenv(name, value)
    wire.post(URL, text=GOOD)
    assume_role(around, BASE, ROLE)
    (request,) = wire.request_history
    assert dict(request.proxies) == {}
    assert request.verify is True
    assert "Authorization" not in request.headers
