"""How an answer is judged and what is taken out of its text."""

import json
import threading
from collections.abc import Mapping
from urllib.parse import quote

import pytest

from fakes.rpc import KEYS, FakeSender
from snap_self.cloud.rpc import SdkRpc, clean, judge
from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.model.snapshots import Credentials
from snap_self.ports import RpcFailed
from snap_self.system.net.sdk import RawAnswer

HOST = Endpoint(host="ecs.example")


def failure_of(status: int, body: bytes) -> RpcFailed:
    with pytest.raises(RpcFailed) as caught:
        judge(RawAnswer(status=status, body=body), host="ecs.example", credentials=KEYS)
    return caught.value


def error_body(code: object, message: object = "text") -> bytes:
    return json.dumps({"Code": code, "Message": message, "RequestId": "REQ-1"}).encode()


def test_judge_when_2xx_holds_an_object_then_returns_it() -> None:
    answer = RawAnswer(status=200, body=b'{"RequestId": "R"}')
    assert judge(answer, host="h", credentials=KEYS) == {"RequestId": "R"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b'"Code"', b"\xff\xfe", b"null"])
@pytest.mark.parametrize("status", [200, 302, 403, 502])
def test_judge_when_no_object_comes_then_the_outcome_is_open(status: int, body: bytes) -> None:
    failure = failure_of(status, body)
    assert (failure.code, failure.http_status, failure.maybe_done) == ("", status, True)


def test_judge_when_json_is_nested_too_deep_then_fails_as_unreadable() -> None:
    assert failure_of(200, b"[" * 100_000).code == ""


@pytest.mark.parametrize("code", [None, 5, {}, [], ""])
def test_judge_when_the_code_is_no_text_then_fails_as_unreadable(code: object) -> None:
    assert failure_of(400, error_body(code)).code == ""


def test_judge_when_refused_then_nothing_was_done() -> None:
    failure = failure_of(403, error_body("Forbidden.RAM"))
    assert (failure.code, failure.request_id) == ("Forbidden.RAM", "REQ-1")
    assert not failure.maybe_done


def test_judge_when_the_names_are_written_small_then_the_error_is_the_same() -> None:
    body = json.dumps({"code": "Forbidden.RAM", "message": "no", "requestId": "REQ-2"}).encode()
    failure = failure_of(403, body)
    assert (failure.code, failure.message, failure.request_id) == ("Forbidden.RAM", "no", "REQ-2")


def test_judge_when_only_a_header_tells_the_request_id_then_it_is_that() -> None:
    answer = RawAnswer(
        status=403, body=b'{"Code": "Forbidden.RAM"}', headers={"X-Acs-Request-Id": "REQ-3"}
    )
    with pytest.raises(RpcFailed) as caught:
        judge(answer, host="h", credentials=KEYS)
    assert caught.value.request_id == "REQ-3"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((500, "Any"), (503, "ServiceUnavailable"), (400, "InternalError")),
        *((403, "IdempotentProcessing"), (403, "LastTokenProcessing"), (400, "UnknownError")),
    ],
)
def test_judge_when_the_server_failed_or_is_at_work_then_the_outcome_is_open(
    status: int, code: str
) -> None:
    assert failure_of(status, error_body(code)).maybe_done


@pytest.mark.parametrize("message", ["no colon here", 5, None, {"a": 1}])
def test_judge_when_a_signature_is_refused_then_any_message_will_do(message: object) -> None:
    assert failure_of(400, error_body("SignatureDoesNotMatch", message)).code == (
        "SignatureDoesNotMatch"
    )


LIMIT = {"x-ratelimit-user-api": "Limit:9,Remain:0,TimeLeft:35000,Reset:1"}


@pytest.mark.parametrize(
    ("status", "body"), [(400, error_body("Throttling.User")), (429, b"<html>")]
)
@pytest.mark.parametrize(("headers", "seconds"), [(LIMIT, 35.0), ({}, None)])
def test_judge_when_a_limit_refused_the_call_then_tells_how_long_it_lasts(
    status: int, body: bytes, headers: dict[str, str], seconds: float | None
) -> None:
    with pytest.raises(RpcFailed) as caught:
        judge(RawAnswer(status=status, body=body, headers=headers), host="h", credentials=KEYS)
    assert caught.value.limited_s == seconds


def leaked(text: str) -> bool:
    secrets = (KEYS.access_key_id, KEYS.access_key_secret, KEYS.security_token)
    forms = [form for s in secrets for form in (s, quote(s, safe=""), quote(quote(s, safe="")))]
    return any(form in text for form in forms)


SIGNED = quote(
    f"AccessKeyId={KEYS.access_key_id}&SecurityToken={quote(KEYS.security_token, safe='')}", safe=""
)


@pytest.mark.parametrize(
    "text",
    [
        f"server string to sign is:POST&%2F&{SIGNED}",
        f"token {KEYS.security_token} is expired",
        f"see https://ecs.example/?SecurityToken={quote(KEYS.security_token, safe='')}&Signature=a",
        f"odd {quote(quote(KEYS.security_token, safe=''), safe='')} text",
        f"key {KEYS.access_key_id} with {KEYS.access_key_secret}",
    ],
)
def test_clean_when_a_text_holds_secrets_then_they_are_gone(text: str) -> None:
    assert leaked(text)
    assert not leaked(clean(text, KEYS))


def test_clean_when_somebody_elses_signature_stands_there_then_it_is_gone() -> None:
    assert "AbCd" not in clean("Signature=AbCd%3D and SecurityToken%3DAbCd", KEYS)


def test_clean_when_control_characters_stand_there_then_they_are_gone() -> None:
    assert clean("a\x1b[31mb\nc", KEYS) == "a [31mb c"


def test_clean_when_a_text_is_long_then_it_is_cut() -> None:
    assert len(clean("x" * 5000, KEYS)) == 400


def call(sender: FakeSender) -> Mapping[str, object]:
    rpc = SdkRpc(HOST, region="cn-hangzhou", sender=sender)
    return rpc.call("DescribeDisks", {}, timeout_s=30, credentials=KEYS)


def test_call_when_answered_then_returns_the_object() -> None:
    assert call(FakeSender(RawAnswer(status=200, body=b'{"a": 1}'))) == {"a": 1}


@pytest.mark.parametrize("unsent", [True, False])
def test_call_when_the_line_failed_then_tells_whether_it_may_be_done(unsent: bool) -> None:
    with pytest.raises(RpcFailed) as caught:
        call(FakeSender(NetFault(reason="broke", unsent=unsent, lasting=unsent, way=NoWay.TLS)))
    assert caught.value.way is NoWay.TLS
    assert caught.value.maybe_done is not unsent
    assert caught.value.lasting is unsent
    assert caught.value.message == "ecs.example: broke"


class Stuck:
    """A sender that does not come back before it is let go."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def send(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> RawAnswer:
        self.over.wait(30)
        return RawAnswer(status=200, body=b"{}")

    def close(self) -> None:
        self.over.set()


def test_call_when_the_exchange_does_not_end_then_the_caller_goes_on() -> None:
    stuck = Stuck()
    rpc = SdkRpc(HOST, region="cn-hangzhou", sender=stuck)
    with pytest.raises(RpcFailed, match="no whole answer") as caught:
        rpc.call("CreateSnapshot", {}, timeout_s=0.01, credentials=KEYS)
    rpc.close()
    assert caught.value.maybe_done


class Broken(Stuck):
    """A sender with a bug."""

    def send(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> RawAnswer:
        raise KeyError("bug")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_call_when_the_exchange_breaks_by_a_bug_then_it_is_no_network_trouble() -> None:
    rpc = SdkRpc(HOST, region="cn-hangzhou", sender=Broken())
    with pytest.raises(RuntimeError, match="CreateSnapshot"):
        rpc.call("CreateSnapshot", {}, timeout_s=30, credentials=KEYS)


def test_clean_when_the_signed_string_is_repeated_then_none_of_it_is_kept() -> None:
    text = "Specified signature is not matched. server string to sign is:POST&%2F&Anything%3Dx"
    assert clean(text, KEYS).endswith("string to sign is: …")
