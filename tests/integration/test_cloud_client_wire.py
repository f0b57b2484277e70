"""The SDK adapter on the wire: what it sends, what it trusts, what it lets out."""

import logging
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes.loopback import LoopbackServer, serving, speaking
from fakes.rpc import KEYS
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.model.endpoint import Endpoint
from snap_self.ports import HttpRequest, HttpResponse, RpcFailed
from snap_self.system.probe import TlsProbe

GOOD = HttpResponse(status=200, headers={}, body=b'{"RequestId": "R"}')


def write_certificate(folder: Path, address: str = "127.0.0.1") -> tuple[str, ssl.SSLContext]:
    """Return a self-signed certificate's file and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return str(pem), context


class Wire:
    """Answers always the same and keeps what was asked."""

    def __init__(self, response: HttpResponse = GOOD) -> None:
        self._response = response
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self._response

    def params(self) -> Mapping[str, str]:
        query = urlsplit(self.requests[-1].url).query
        return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


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
        mark = parse_qs(urlsplit(request.url).query)["Mark"][0]
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


def endpoint(server: LoopbackServer) -> Endpoint:
    return parse_override(server.url)


def test_probe_when_both_answer_then_the_first_is_chosen(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path)
    with serving(Wire(), context) as vpc, serving(Wire(), context) as public:
        hosts = [endpoint(vpc), endpoint(public)]
        assert TlsProbe(ca_bundle=pem).first(hosts, window_s=5) == hosts[0]


def test_probe_when_the_first_speaks_no_tls_then_the_second_is_chosen(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path)
    with serving(Wire()) as vpc, serving(Wire(), context) as public:
        bare = parse_override(vpc.url.replace("http:", "https:"))
        hosts = [bare, endpoint(public)]
        assert TlsProbe(ca_bundle=pem).first(hosts, window_s=5) == hosts[1]


def test_probe_when_the_first_hangs_then_the_second_is_chosen_at_the_windows_end(
    tmp_path: Path,
) -> None:
    pem, context = write_certificate(tmp_path)
    with speaking(iter([b""])) as vpc, serving(Wire(), context) as public:
        hosts = [parse_override(vpc.replace("http:", "https:")), endpoint(public)]
        assert TlsProbe(ca_bundle=pem).first(hosts, window_s=0.5) == hosts[1]


def test_probe_when_no_certificate_is_trusted_then_there_is_none(tmp_path: Path) -> None:
    _, context = write_certificate(tmp_path)
    with serving(Wire(), context) as server:
        assert TlsProbe().first([endpoint(server)], window_s=5) is None
