"""The metadata client over the real HTTP adapter: what goes out, and what of an answer gets in.

Only the wire is replaced, by ``requests-mock``; session, headers, redirects and limits are real.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest
import requests
import requests_mock

from fakes.clock import FakeClock
from fakes.instance import SECRET, client
from snap_self.errors import MetadataAbsent, MetadataRefused, MetadataUnreachable
from snap_self.instance.metadata import SHORT, TOKEN_HEADER, TTL_HEADER, MetadataClient
from snap_self.system.net.http import RequestsTransport

ITEM = "meta-data/instance-id"
TOKEN_URL = "http://100.100.100.200/latest/api/token"
ITEM_URL = f"http://100.100.100.200/latest/{ITEM}"
ELSEWHERE = "http://198.51.100.7/latest/"
BOUND = 65536


@pytest.fixture
def wire() -> Iterator[requests_mock.Mocker]:
    """Give a wire on which the service gives out tokens."""
    with requests_mock.Mocker() as mocker:
        mocker.put(TOKEN_URL, [{"text": "token-1"}, {"text": "token-2"}])
        yield mocker


@pytest.fixture
def clock() -> FakeClock:
    """Give the client's clock."""
    return FakeClock()


@pytest.fixture
def metadata(clock: FakeClock) -> Iterator[MetadataClient]:
    """Give a client that may read plain."""
    transport = RequestsTransport()
    yield client(transport, clock)
    transport.close()


def sent(wire: requests_mock.Mocker) -> list[str]:
    """Return what went out: each method, with the token it carried."""
    return [
        f"{request.method} {request.headers.get(TOKEN_HEADER, '')}".strip()
        for request in wire.request_history
    ]


def shown(error: pytest.ExceptionInfo[Exception]) -> str:
    """Return all that a traceback would show."""
    return "".join(traceback.format_exception(error.value))


def test_token_mode_asks_for_a_token_and_sends_it(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, text="i-abc\n")
    assert metadata.get(ITEM) == "i-abc"
    assert metadata.get(ITEM) == "i-abc"
    assert sent(wire) == ["PUT", "GET token-1", "GET token-1"]
    assert wire.request_history[0].headers[TTL_HEADER] == "1800"
    assert metadata.mode == "token"


def test_plain_mode_sends_no_token(wire: requests_mock.Mocker, metadata: MetadataClient) -> None:
    wire.put(TOKEN_URL, status_code=404, text="<html>no</html>")
    wire.get(ITEM_URL, text="i-abc")
    assert metadata.get(ITEM) == "i-abc"
    assert sent(wire) == ["PUT", "GET"]
    assert metadata.mode == "plain"


def test_token_that_expired_is_replaced_once(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, [{"status_code": 401}, {"text": "i-abc"}])
    assert metadata.get(ITEM) == "i-abc"
    assert sent(wire) == ["PUT", "GET token-1", "PUT", "GET token-2"]


def test_second_token_that_is_refused_is_the_last(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, status_code=401)
    with pytest.raises(MetadataRefused, match="401"):
        metadata.get(ITEM)
    assert sent(wire) == ["PUT", "GET token-1", "PUT", "GET token-2"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_of_an_item_is_not_followed(
    wire: requests_mock.Mocker, metadata: MetadataClient, status: int
) -> None:
    wire.get(ITEM_URL, status_code=status, headers={"Location": ELSEWHERE})
    wire.get(ELSEWHERE, text="i-stranger")
    with pytest.raises(MetadataRefused, match=str(status)):
        metadata.get(ITEM)
    assert sent(wire) == ["PUT", "GET token-1"]


def test_redirect_of_the_token_is_not_followed_and_nothing_is_read_plain(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.put(TOKEN_URL, status_code=307, headers={"Location": ELSEWHERE})
    wire.put(ELSEWHERE, text="token-of-a-stranger")
    wire.get(ITEM_URL, text="i-abc")
    with pytest.raises(MetadataRefused, match="307"):
        metadata.get(ITEM)
    assert sent(wire) == ["PUT"]


def test_body_as_long_as_allowed_is_read(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, text="x" * BOUND)
    assert len(metadata.get(ITEM)) == BOUND


def test_body_over_the_bound_is_an_error_within_the_budget(
    wire: requests_mock.Mocker, metadata: MetadataClient, clock: FakeClock
) -> None:
    wire.get(ITEM_URL, text=SECRET + "x" * (BOUND + 1 - len(SECRET)))
    with pytest.raises(MetadataUnreachable, match="answer longer than 65536 bytes") as caught:
        metadata.get(ITEM)
    assert SECRET not in shown(caught)
    assert sum(clock.sleeps) <= SHORT.budget_s


def test_body_of_a_redirect_is_bounded_too(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, status_code=302, headers={"Location": ELSEWHERE}, text="x" * (BOUND + 1))
    with pytest.raises(MetadataUnreachable, match="answer longer than 65536 bytes"):
        metadata.get(ITEM)


def test_missing_item_is_told_apart(wire: requests_mock.Mocker, metadata: MetadataClient) -> None:
    wire.get(ITEM_URL, status_code=404, text=SECRET)
    with pytest.raises(MetadataAbsent) as caught:
        metadata.get(ITEM)
    assert SECRET not in shown(caught)


def test_text_that_is_no_utf8_is_refused(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, content=b"\xff\xfe" + SECRET.encode())
    with pytest.raises(MetadataRefused, match="not UTF-8") as caught:
        metadata.get(ITEM)
    assert SECRET not in shown(caught)


def test_answer_that_is_no_json_is_refused_without_its_text(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, text=f'{{"AccessKeySecret": "{SECRET}",}}')
    with pytest.raises(MetadataRefused, match="not JSON") as caught:
        metadata.get_json(ITEM)
    assert SECRET not in shown(caught)


@pytest.mark.parametrize("token", ["", "two words", "x" * 1025, "zwei\nZeilen"])
def test_unusable_token_is_never_sent(
    wire: requests_mock.Mocker, metadata: MetadataClient, token: str
) -> None:
    wire.put(TOKEN_URL, text=token)
    with pytest.raises(MetadataRefused, match="unusable access token"):
        metadata.get(ITEM)
    assert sent(wire) == ["PUT"]


def test_words_of_the_library_are_not_passed_on(
    wire: requests_mock.Mocker, metadata: MetadataClient
) -> None:
    wire.get(ITEM_URL, exc=requests.exceptions.ConnectTimeout(f"{ITEM_URL}?key={SECRET}"))
    with pytest.raises(MetadataUnreachable) as caught:
        metadata.get(ITEM)
    assert SECRET not in shown(caught)
    assert ITEM_URL in caught.value.message


def test_proxies_of_the_environment_are_not_asked(
    wire: requests_mock.Mocker, metadata: MetadataClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://198.51.100.7:3128")
    wire.get(ITEM_URL, text="i-abc")
    metadata.get(ITEM)
    assert [dict(request.proxies) for request in wire.request_history] == [{}, {}]
