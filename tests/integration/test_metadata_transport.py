"""The real HTTP adapter against servers on loopback: what it ignores, bounds and never shows."""

import itertools
import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import snap_self
from fakes.http import answer
from fakes.loopback import serving, speaking
from snap_self.ports import HttpFailed, HttpRequest, HttpResponse
from snap_self.system.net.http import RequestsTransport, shown_url

MARK = "PlantedSecret0x7f"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def transport() -> Iterator[RequestsTransport]:
    made = RequestsTransport()
    yield made
    made.close()


def get(url: str, **how: float) -> HttpRequest:
    return HttpRequest(method="GET", url=url, timeout_s=1.0, total_s=how.get("total_s", 5.0))


def test_send_when_proxies_are_set_then_they_are_not_asked(
    transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda r: answer("direct")) as server, serving(lambda r: answer("proxy")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert transport.send(get(server.url)).body == b"direct"
        assert proxy.connections == 0


def test_send_when_a_cookie_is_set_then_it_is_not_sent_back(transport: RequestsTransport) -> None:
    seen: list[HttpRequest] = []

    def bake(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return answer(headers={"Set-Cookie": "a=b"})

    with serving(bake) as server:
        transport.send(get(server.url))
        transport.send(get(server.url))
    assert all("Cookie" not in request.headers for request in seen)


def test_send_when_sent_then_carries_nothing_of_our_surroundings(
    transport: RequestsTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login u password {MARK}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[HttpRequest] = []

    def note(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return answer()

    with serving(note) as server:
        transport.send(get(server.url))
    names = {name.lower() for name in seen[0].headers}
    assert names == {"host", "user-agent", "accept-encoding"}


def test_send_when_called_again_then_uses_the_same_connection(transport: RequestsTransport) -> None:
    with serving(lambda r: answer("x")) as server:
        for _ in range(5):
            transport.send(get(server.url))
        assert server.connections == 1


def test_send_when_many_send_side_by_side_then_each_gets_its_own(
    transport: RequestsTransport,
) -> None:
    with serving(lambda r: answer(r.url.rpartition("/")[2])) as server, ThreadPoolExecutor(8) as p:
        answers = list(p.map(lambda i: transport.send(get(f"{server.url}/{i}")).body, range(40)))
    assert answers == [str(i).encode() for i in range(40)]


def test_send_when_the_body_comes_in_drops_then_the_total_time_ends_it(
    transport: RequestsTransport,
) -> None:
    drops = itertools.chain([HEAD], itertools.repeat(b"x", 900))
    with speaking(drops) as url, pytest.raises(HttpFailed, match=r"no whole answer in 0.3 s"):
        transport.send(get(url, total_s=0.3))


def test_send_when_the_head_comes_in_drops_then_the_total_time_ends_it(
    transport: RequestsTransport,
) -> None:
    drops = itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"x", 900))
    with speaking(drops) as url, pytest.raises(HttpFailed, match=r"no whole answer in 0.3 s"):
        transport.send(get(url, total_s=0.3))


def test_send_when_nothing_comes_then_the_read_time_ends_it(transport: RequestsTransport) -> None:
    with speaking(iter([b""])) as url, pytest.raises(HttpFailed, match="no answer in time"):
        transport.send(HttpRequest(method="GET", url=url, timeout_s=0.2))


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"short"],
        [b"no http\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"],
    ],
    ids=["cut off", "no http", "bad chunk"],
)
def test_send_when_the_answer_is_damaged_then_fails(
    transport: RequestsTransport, pieces: list[bytes]
) -> None:
    with speaking(iter(pieces)) as url, pytest.raises(HttpFailed):
        transport.send(get(url))


def test_send_when_the_server_speaks_no_tls_then_says_so(transport: RequestsTransport) -> None:
    with (
        serving(lambda r: answer("x")) as server,
        pytest.raises(HttpFailed, match="does not speak TLS"),
    ):
        transport.send(get(server.url.replace("http:", "https:")))


def test_send_when_refused_then_names_host_and_reason_only(
    transport: RequestsTransport,
) -> None:
    with pytest.raises(HttpFailed, match=r"http://127\.0\.0\.1:9/p: Connection refused") as caught:
        transport.send(get(f"http://127.0.0.1:9/p?token={MARK}"))
    assert caught.value.__cause__ is None
    assert MARK not in repr(caught.value)


def test_send_when_everything_is_logged_then_no_url_is(
    transport: RequestsTransport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda r: answer("x")) as server:
        transport.send(get(f"{server.url}/?token={MARK}"))
    assert MARK not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[::1",
        "nonsense",
        "http://a b/",
        "http://127.0.0.1:99999/",
        "http://\ud800/",
    ],
)
def test_send_when_the_url_is_malformed_then_only_our_failure(
    transport: RequestsTransport, url: str
) -> None:
    with pytest.raises(HttpFailed):
        transport.send(get(url))


def test_send_when_a_header_holds_a_line_break_then_only_our_failure(
    transport: RequestsTransport,
) -> None:
    request = HttpRequest(method="GET", url="http://127.0.0.1:9", headers={"X": f"a\r\n{MARK}"})
    with pytest.raises(HttpFailed) as caught:
        transport.send(request)
    assert MARK not in repr(caught.value)


def test_shown_url_when_it_has_user_and_query_then_both_are_gone() -> None:
    assert shown_url(f"https://u:{MARK}@h:1/p?q={MARK}#f") == "https://h:1/p"


def test_import_when_only_imported_then_requests_is_not() -> None:
    code = "import sys, snap_self.system.net.http; sys.exit('requests' in sys.modules)"
    folder = str(Path(snap_self.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
