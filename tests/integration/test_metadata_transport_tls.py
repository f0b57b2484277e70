"""Which certificates the real HTTP adapter believes."""

from pathlib import Path

import pytest

from fakes.certificates import write_certificate
from fakes.http import answer
from fakes.loopback import serving
from snap_self.ports import HttpFailed, HttpRequest, HttpResponse
from snap_self.system.net.http import RequestsTransport


def fetch(url: str, ca_bundle: Path | str) -> bytes:
    transport = RequestsTransport(ca_bundle=str(ca_bundle))
    try:
        return transport.send(HttpRequest(method="GET", url=url)).body
    finally:
        transport.close()


def test_send_when_the_bundle_holds_the_certificate_then_is_answered(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path)
    with serving(lambda r: answer("safe"), context) as server:
        assert fetch(server.url, pem) == b"safe"


def test_send_when_nobody_vouches_for_it_then_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, context = write_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(pem))
    with (
        serving(lambda r: answer("safe"), context) as server,
        pytest.raises(HttpFailed, match="authority that is not trusted"),
    ):
        fetch(server.url, "")


def test_send_when_the_certificate_is_for_another_host_then_fails(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path, "127.0.0.2")
    with (
        serving(lambda r: answer("safe"), context) as server,
        pytest.raises(HttpFailed, match="for another address"),
    ):
        fetch(server.url, pem)


def test_send_when_only_the_common_name_fits_then_nothing_is_sent(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path, None, common_name="localhost")
    asked: list[HttpRequest] = []

    def note(request: HttpRequest) -> HttpResponse:
        asked.append(request)
        return answer("safe")

    with serving(note, context) as server, pytest.raises(HttpFailed, match="another host name"):
        fetch(server.url.replace("127.0.0.1", "localhost"), pem)
    assert asked == []


def test_send_when_a_file_for_session_keys_is_named_then_none_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, context = write_certificate(tmp_path)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with serving(lambda r: answer("safe"), context) as server:
        assert fetch(server.url, pem) == b"safe"
    assert not (tmp_path / "keys").exists()


def test_send_when_the_bundle_does_not_exist_then_fails(tmp_path: Path) -> None:
    with pytest.raises(HttpFailed):
        fetch("https://127.0.0.1:9/", tmp_path / "absent.pem")
