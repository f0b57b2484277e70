"""What every HTTP transport does, held against the real one and the one in memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from fakes.http import FakeTransport, answer
from fakes.loopback import Handler, serving
from snap_self.ports import HttpFailed, HttpRequest, HttpTransport
from snap_self.system.net.http import RequestsTransport


@contextmanager
def in_memory(handler: Handler) -> Iterator[tuple[HttpTransport, str]]:
    yield FakeTransport(handler), "http://127.0.0.1:1"


@contextmanager
def real(handler: Handler) -> Iterator[tuple[HttpTransport, str]]:
    transport = RequestsTransport()
    with serving(handler) as server:
        yield transport, server.url
    transport.close()


@pytest.fixture(params=[in_memory, real], ids=["in memory", "real"])
def talking(request: pytest.FixtureRequest) -> object:
    return request.param


class Talk:
    """The type of the fixture."""

    def __call__(self, handler: Handler) -> AbstractContextManager[tuple[HttpTransport, str]]: ...


def test_send_when_answered_then_returns_status_headers_and_body(talking: Talk) -> None:
    with talking(lambda r: answer("text", status=418, headers={"X-Seen": "1"})) as (transport, url):
        response = transport.send(HttpRequest(method="GET", url=url))
    assert (response.status, response.body) == (418, b"text")
    assert response.headers["X-Seen"] == "1"


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_send_when_sent_then_method_path_header_and_body_arrive(talking: Talk, method: str) -> None:
    seen: list[HttpRequest] = []

    def note(request: HttpRequest) -> object:
        seen.append(request)
        return answer()

    with talking(note) as (transport, url):
        sent = HttpRequest(method=method, url=f"{url}/a?b=c", headers={"X-A": "1"}, body=b"x=1")
        transport.send(sent)
    got = seen[0]
    assert (got.method, got.url, got.body) == (method, f"{url}/a?b=c", b"x=1")
    assert got.headers["X-A"] == "1"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_send_when_redirected_then_the_redirect_is_the_answer(talking: Talk, status: int) -> None:
    asked: list[str] = []

    def redirect(request: HttpRequest) -> object:
        asked.append(request.url)
        return answer("gone", status=status, headers={"Location": "/other"})

    with talking(redirect) as (transport, url):
        response = transport.send(HttpRequest(method="GET", url=f"{url}/a"))
    assert response.status == status
    assert asked == [f"{url}/a"]


@pytest.mark.parametrize(
    ("length", "fits"), [(99, True), (100, True), (101, False), (10**6, False)]
)
def test_send_when_the_body_is_long_then_the_limit_decides(
    talking: Talk, length: int, *, fits: bool
) -> None:
    with talking(lambda r: answer(b"x" * length)) as (transport, url):
        request = HttpRequest(method="GET", url=url, max_bytes=100)
        if fits:
            assert len(transport.send(request).body) == length
        else:
            with pytest.raises(HttpFailed, match="longer than 100 bytes"):
                transport.send(request)
