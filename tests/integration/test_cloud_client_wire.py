"""The SDK adapter on the wire: what it sends, what it trusts, what it lets out."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from fakes.certificates import write_certificate
from fakes.loopback import LoopbackServer, serving, speaking
from fakes.rpc import KEYS
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.model.endpoint import Endpoint, NoWay
from snap_self.ports import HttpRequest, HttpResponse, RpcFailed
from snap_self.system.net.probe import TlsProbe

GOOD = HttpResponse(status=200, headers={}, body=b'{"RequestId": "R"}')


class Wire:
    """Answers always the same and keeps what was asked."""

    def __init__(self, response: HttpResponse = GOOD) -> None:
        self._response = response
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self._response

    def params(self) -> Mapping[str, str]:
        form = parse_qs(self.requests[-1].body.decode(), keep_blank_values=True)
        return {name: values[0] for name, values in form.items()}


def call(url: str, *, ca_bundle: str = "", timeout_s: float = 5.0) -> Mapping[str, Any]:
    with closing(SdkRpc(parse_override(url), region="cn-hangzhou", ca_bundle=ca_bundle)) as rpc:
        return rpc.call("DescribeDisks", {"A": "ä /+*~"}, timeout_s=timeout_s, credentials=KEYS)


def failure_of(url: str, **options: Any) -> RpcFailed:
    with pytest.raises(RpcFailed) as caught:
        call(url, **options)
    return caught.value


@pytest.fixture
def hostile_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set all that would lead the SDK astray: other keys, proxies, debug output, a CA bundle."""
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "stray-id")
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", "stray-secret")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("DEBUG", "sdk")
    monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", "/nonexistent")


@pytest.mark.usefixtures("hostile_environment")
def test_call_when_the_environment_is_hostile_then_sends_our_keys_to_our_host(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    pem, context = write_certificate(tmp_path)
    wire = Wire()
    with serving(wire, context) as server:
        assert call(server.url, ca_bundle=pem) == {"RequestId": "R"}
    params = wire.params()
    assert params["AccessKeyId"] == KEYS.access_key_id
    assert params["SecurityToken"] == KEYS.security_token
    assert (params["Action"], params["A"]) == ("DescribeDisks", "ä /+*~")
    assert params["Format"] == "JSON"
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_call_when_a_netrc_names_the_host_then_its_password_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login stray password stray-secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    wire = Wire()
    with serving(wire) as server:
        call(server.url)
    assert "authorization" not in {name.lower() for name in wire.requests[0].headers}


def test_call_when_sent_then_no_parameter_stands_in_the_url() -> None:
    wire = Wire()
    with serving(wire) as server:
        call(server.url)
    (request,) = wire.requests
    assert (request.method, request.url) == ("POST", f"{server.url}/")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert {"AccessKeyId", "SecurityToken", "Signature", "A"} <= set(wire.params())


def test_call_when_repeated_then_keeps_the_connection() -> None:
    with (
        serving(Wire()) as server,
        closing(SdkRpc(parse_override(server.url), region="cn-hangzhou")) as rpc,
    ):
        for _ in range(5):
            rpc.call("DescribeDisks", {}, timeout_s=5, credentials=KEYS)
        assert server.connections == 1


def test_call_when_used_from_eight_threads_then_each_gets_its_own_answer() -> None:
    def echo(request: HttpRequest) -> HttpResponse:
        mark = parse_qs(request.body.decode())["Mark"][0]
        return HttpResponse(status=200, headers={}, body=f'{{"Mark": "{mark}"}}'.encode())

    wrong: list[str] = []
    with (
        serving(echo) as server,
        closing(SdkRpc(parse_override(server.url), region="cn-hangzhou")) as rpc,
    ):

        def work(name: str) -> None:
            for turn in range(20):
                mark = f"{name}-{turn}"
                answer = rpc.call("DescribeDisks", {"Mark": mark}, timeout_s=20, credentials=KEYS)
                if answer != {"Mark": mark}:
                    wrong.append(mark)

        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_call_when_the_certificate_is_not_in_the_bundle_then_nothing_is_sent(
    tmp_path: Path,
) -> None:
    _, context = write_certificate(tmp_path)
    wire = Wire()
    with serving(wire, context) as server:
        failure = failure_of(server.url)
    assert (failure.maybe_done, failure.lasting) == (False, True)
    assert "certificate" in failure.message
    assert wire.requests == []


def test_call_when_the_certificate_is_of_another_host_then_nothing_is_sent(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path, "127.0.0.2")
    wire = Wire()
    with serving(wire, context) as server:
        failure = failure_of(server.url, ca_bundle=pem)
    assert (failure.maybe_done, failure.lasting) == (False, True)
    assert wire.requests == []


def test_call_when_only_the_common_name_fits_then_nothing_is_sent(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path, None, common_name="localhost")
    wire = Wire()
    with serving(wire, context) as server:
        failure = failure_of(server.url.replace("127.0.0.1", "localhost"), ca_bundle=pem)
    assert (failure.maybe_done, failure.lasting) == (False, True)
    assert "certificate" in failure.message
    assert wire.requests == []


def test_call_when_the_server_speaks_no_tls_then_says_so() -> None:
    with serving(Wire()) as server:
        failure = failure_of(server.url.replace("http:", "https:"))
    assert (failure.maybe_done, failure.lasting) == (False, True)


def test_call_when_nobody_listens_then_nothing_was_sent() -> None:
    failure = failure_of("http://127.0.0.1:1")
    assert (failure.maybe_done, failure.lasting) == (False, False)
    assert "refused" in failure.message


def test_call_when_redirected_then_does_not_follow() -> None:
    elsewhere = Wire()
    with serving(elsewhere) as other:
        moved = HttpResponse(status=302, headers={"Location": other.url}, body=b"")
        with serving(Wire(moved)) as server:
            assert failure_of(server.url).http_status == 302
    assert elsewhere.requests == []


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def in_drops(data: bytes) -> Iterator[bytes]:
    for byte in data:
        yield bytes([byte])


@pytest.mark.parametrize(
    "pieces",
    [HEAD + b"x" * 1000, b"HTTP/1.1 200 OK\r\n" + b"X-Long: y\r\n" * 200],
    ids=["body", "headers"],
)
def test_call_when_the_answer_comes_in_drops_then_the_total_time_holds(pieces: bytes) -> None:
    with speaking(in_drops(pieces)) as url:
        failure = failure_of(url, timeout_s=0.5)
    assert failure.maybe_done
    assert "no whole answer in 0.5 s" in failure.message


def test_call_when_nothing_comes_then_the_outcome_is_open() -> None:
    with speaking(iter([b""])) as url:
        assert failure_of(url, timeout_s=0.3).maybe_done


def test_call_when_the_body_never_ends_then_it_is_cut_off() -> None:
    endless = HttpResponse(status=200, headers={}, body=b" " * (9 * 1024 * 1024))
    with serving(Wire(endless)) as server:
        failure = failure_of(server.url, timeout_s=20)
    assert "longer than" in failure.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"Code": "SignatureDoesNotMatch", "Message": "no colon"}',
        b'{"Code": "SignatureDoesNotMatch", "Message": "server string to sign is:AccessKeyId%s"}',
        b"\xff\xfe not UTF-8",
        b"5",
        b'"Code"',
    ],
)
def test_call_when_an_error_body_would_break_the_sdk_then_it_is_an_ordinary_failure(
    body: bytes,
) -> None:
    bad = HttpResponse(status=400, headers={}, body=body)
    with serving(Wire(bad)) as server:
        assert failure_of(server.url).http_status == 400


def test_call_when_refused_for_a_limit_then_its_headers_say_how_long() -> None:
    body = b'{"Code": "Throttling.User", "Message": "no", "RequestId": "R"}'
    headers = {
        "X-RateLimit-User-API": "Limit:1,Remain:0,TimeLeft:2000,Reset:1234",
        "X-RateLimit-User": "Limit:9,Remain:0,TimeLeft:35000,Reset:1234",
    }
    with serving(Wire(HttpResponse(status=400, headers=headers, body=body))) as server:
        failure = failure_of(server.url)
    assert (failure.code, failure.limited_s) == ("Throttling.User", 35.0)


def endpoint(server: LoopbackServer) -> Endpoint:
    return parse_override(server.url)


def test_probe_when_both_answer_then_the_first_is_chosen(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path)
    with serving(Wire(), context) as vpc, serving(Wire(), context) as public:
        hosts = [endpoint(vpc), endpoint(public)]
        assert TlsProbe(ca_bundle=pem).first(hosts, window_s=5).found == hosts[0]


def test_probe_when_the_first_speaks_no_tls_then_the_second_is_chosen(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path)
    with serving(Wire()) as vpc, serving(Wire(), context) as public:
        bare = parse_override(vpc.url.replace("http:", "https:"))
        hosts = [bare, endpoint(public)]
        assert TlsProbe(ca_bundle=pem).first(hosts, window_s=5).found == hosts[1]


def test_probe_when_the_first_hangs_then_the_second_is_chosen_at_the_windows_end(
    tmp_path: Path,
) -> None:
    pem, context = write_certificate(tmp_path)
    with speaking(iter([b""])) as vpc, serving(Wire(), context) as public:
        hosts = [parse_override(vpc.replace("http:", "https:")), endpoint(public)]
        assert TlsProbe(ca_bundle=pem).first(hosts, window_s=0.5).found == hosts[1]


def test_probe_when_only_the_common_name_fits_then_there_is_none(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path, None, common_name="localhost")
    with serving(Wire(), context) as server:
        host = parse_override(server.url.replace("127.0.0.1", "localhost"))
        probed = TlsProbe(ca_bundle=pem).first([host], window_s=5)
        assert probed.found is None
        assert probed.faults[host].way is NoWay.CERTIFICATE_NAME


def test_probe_when_no_certificate_is_trusted_then_there_is_none(tmp_path: Path) -> None:
    _, context = write_certificate(tmp_path)
    with serving(Wire(), context) as server:
        probed = TlsProbe().first([endpoint(server)], window_s=5)
        assert probed.found is None
        assert probed.faults[endpoint(server)].way is NoWay.CERTIFICATE_UNKNOWN
