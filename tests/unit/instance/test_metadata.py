"""The metadata client's rules: which request is sent when, and what each answer means."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.clock import FakeClock
from fakes.http import FakeTransport, answer, nobody, stranger
from fakes.instance import MetadataService, client
from snap_self.errors import ConfigError, MetadataAbsent, MetadataRefused, MetadataUnreachable
from snap_self.instance.metadata import LONG, SHORT, TOKEN_HEADER, MetadataClient, checked_base_url
from snap_self.ports import HttpFailed, HttpRequest, HttpResponse

ITEM = "meta-data/instance-id"


def service(**items: str) -> MetadataService:
    return MetadataService({ITEM: "i-abc\n", **items})


def methods(transport: FakeTransport) -> list[str]:
    return [request.method for request in transport.requests]


def with_token(transport: FakeTransport) -> list[bool]:
    return [TOKEN_HEADER in r.headers for r in transport.requests if r.method == "GET"]


def test_get_when_tokens_work_then_strips_the_text() -> None:
    assert client(FakeTransport(service())).get(ITEM) == "i-abc"


def test_get_when_called_again_then_reuses_the_token() -> None:
    transport = FakeTransport(service())
    metadata = client(transport)
    metadata.get(ITEM)
    metadata.get(ITEM)
    assert methods(transport) == ["PUT", "GET", "GET"]
    assert metadata.mode == "token"


def test_get_when_the_token_has_run_out_then_asks_for_another() -> None:
    transport, clock = FakeTransport(service()), FakeClock()
    metadata = client(transport, clock)
    metadata.get(ITEM)
    clock.advance(1771)
    metadata.get(ITEM)
    assert methods(transport) == ["PUT", "GET", "PUT", "GET"]


def test_get_when_the_token_is_refused_then_asks_for_one_more() -> None:
    fake = service()
    transport = FakeTransport(fake)
    metadata = client(transport)
    metadata.get(ITEM)
    fake.forget_tokens()
    assert metadata.get(ITEM) == "i-abc"
    assert methods(transport) == ["PUT", "GET", "GET", "PUT", "GET"]


def test_get_when_the_new_token_is_refused_too_then_fails() -> None:
    fake = service()
    fake.statuses = [401, 401, 200]
    transport = FakeTransport(fake)
    with pytest.raises(MetadataRefused, match="401"):
        client(transport).get(ITEM)
    assert methods(transport) == ["PUT", "GET", "PUT", "GET"]


@pytest.mark.parametrize("status", [403, 404, 405])
def test_get_when_no_token_is_given_out_then_reads_plain(status: int) -> None:
    fake = service()
    fake.token_statuses, fake.token_required = [status], False
    transport = FakeTransport(fake)
    metadata = client(transport)
    assert metadata.get(ITEM) == "i-abc"
    assert metadata.mode == "plain"
    assert with_token(transport) == [False]


@pytest.mark.parametrize("status", [403, 404, 405])
def test_get_when_plain_is_not_allowed_then_never_reads_plain(status: int) -> None:
    fake = service()
    fake.token_statuses, fake.token_required = [status], False
    transport = FakeTransport(fake)
    with pytest.raises(MetadataRefused, match="no access token") as caught:
        client(transport, plain_allowed=False).get(ITEM)
    assert not isinstance(caught.value, MetadataAbsent)
    assert methods(transport) == ["PUT"]


def test_get_when_the_put_gets_no_answer_then_reads_plain() -> None:
    fake = service()
    fake.token_required = False
    transport = FakeTransport(lambda r: nobody(r) if r.method == "PUT" else fake(r))
    assert client(transport).get(ITEM) == "i-abc"


def test_get_when_the_put_is_bad_then_never_reads_plain() -> None:
    fake = service()
    fake.token_statuses, fake.token_required = [400], False
    transport = FakeTransport(fake)
    with pytest.raises(MetadataRefused, match="400"):
        client(transport).get(ITEM)
    assert methods(transport) == ["PUT"]


@pytest.mark.parametrize("statuses", [[403], [401, 403], [401, 401]])
def test_get_when_a_token_read_is_refused_then_never_reads_plain(statuses: list[int]) -> None:
    fake = service()
    fake.token_required, fake.statuses = False, statuses
    transport = FakeTransport(fake)
    with pytest.raises(MetadataRefused):
        client(transport).get(ITEM)
    assert all(with_token(transport))


def test_get_when_a_dropped_token_gets_no_successor_then_never_reads_plain() -> None:
    fake = service()
    fake.token_required, fake.statuses, fake.token_statuses = False, [401], [200, 403]
    transport = FakeTransport(fake)
    with pytest.raises(MetadataRefused):
        client(transport).get(ITEM)
    assert methods(transport) == ["PUT", "GET", "PUT"]


def test_get_when_forbidden_then_names_all_three_meanings() -> None:
    fake = service()
    fake.statuses = [403]
    with pytest.raises(MetadataRefused, match="403") as caught:
        client(FakeTransport(fake)).get(ITEM)
    assert "only token access" in caught.value.hint
    assert "X-Forwarded-For" in caught.value.hint
    assert "disabled" in caught.value.hint


def test_get_when_the_item_is_absent_then_says_so() -> None:
    with pytest.raises(MetadataAbsent, match="meta-data/nothing"):
        client(FakeTransport(service())).get("meta-data/nothing")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_get_when_busy_for_a_moment_then_tries_again(status: int) -> None:
    fake, clock = service(), FakeClock()
    fake.statuses = [status, status]
    assert client(FakeTransport(fake), clock).get(ITEM) == "i-abc"
    assert clock.sleeps == pytest.approx([0.1, 0.2])


def test_get_when_busy_for_good_then_gives_up_within_the_budget() -> None:
    clock = FakeClock()
    transport = FakeTransport(lambda request: answer(status=503))
    with pytest.raises(MetadataRefused, match="503"):
        client(transport, clock).get(ITEM)
    assert 1.0 < sum(clock.sleeps) <= 3.0


def test_get_when_a_token_read_fails_once_then_tries_again() -> None:
    fake, count = service(), itertools.count()

    def flaky(request: HttpRequest) -> HttpResponse:
        return nobody(request) if next(count) == 1 else fake(request)

    assert client(FakeTransport(flaky)).get(ITEM) == "i-abc"


def test_get_when_nobody_answers_then_asks_twice_and_no_more() -> None:
    transport = FakeTransport(nobody)
    with pytest.raises(MetadataUnreachable, match="Connection refused"):
        client(transport).get(ITEM)
    assert methods(transport) == ["PUT", "GET"]


def test_get_when_a_stranger_would_answer_then_asks_once_and_says_what_mends_it() -> None:
    transport = FakeTransport(stranger)
    with pytest.raises(MetadataUnreachable, match="a stranger's") as caught:
        client(transport).get(ITEM)
    assert methods(transport) == ["PUT"]
    assert caught.value.hint == "send the stranger away"


def test_get_when_nobody_answers_again_then_spares_the_put() -> None:
    transport = FakeTransport(nobody)
    metadata = client(transport)
    for _ in range(2):
        with pytest.raises(MetadataUnreachable):
            metadata.get(ITEM)
    assert methods(transport) == ["PUT", "GET", "GET"]


@pytest.mark.parametrize("token", ["", "two words", "a\nb", "ü", "x" * 2000])
def test_get_when_the_token_is_unusable_then_refuses_it(token: str) -> None:
    with pytest.raises(MetadataRefused, match="unusable access token"):
        client(FakeTransport(lambda request: answer(token))).get(ITEM)


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 418, 500])
def test_get_when_the_status_is_not_200_then_never_shows_the_body(status: int) -> None:
    def speak(request: HttpRequest) -> HttpResponse:
        return answer("t") if request.method == "PUT" else answer("SECRETBODY", status=status)

    with pytest.raises(MetadataRefused) as caught:
        client(FakeTransport(speak)).get(ITEM)
    assert "SECRETBODY" not in f"{caught.value!r}{caught.value.hint}{caught.value.details}"


def test_get_when_the_text_is_not_utf8_then_refuses_it() -> None:
    def speak(request: HttpRequest) -> HttpResponse:
        return answer("t") if request.method == "PUT" else answer(b"\xff\xfe")

    with pytest.raises(MetadataRefused, match="not UTF-8"):
        client(FakeTransport(speak)).get(ITEM)


def test_get_when_many_read_side_by_side_then_one_token_is_fetched() -> None:
    transport = FakeTransport(service())
    metadata = client(transport)
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: metadata.get(ITEM), range(32)))
    assert set(texts) == {"i-abc"}
    assert methods(transport).count("PUT") == 1


def test_get_json_when_the_item_is_no_json_then_does_not_show_it() -> None:
    metadata = client(FakeTransport(service(doc="{SECRETBODY")))
    with pytest.raises(MetadataRefused, match="not JSON") as caught:
        metadata.get_json("doc")
    assert "SECRETBODY" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_list_dir_when_lines_end_in_all_ways_then_returns_bare_names() -> None:
    metadata = client(FakeTransport(service(**{"meta-data/disks/": "bp1/\r\nbp2/\n\n bp3 \n"})))
    assert metadata.list_dir("meta-data/disks") == ("bp1", "bp2", "bp3")


def test_get_when_the_base_url_is_another_then_asks_there() -> None:
    transport = FakeTransport(service())
    metadata = MetadataClient(
        transport, FakeClock(), base_url="http://127.0.0.1:8123/", plain_allowed=True
    )
    metadata.get(ITEM)
    assert transport.requests[1].url == f"http://127.0.0.1:8123/latest/{ITEM}"


class Late:
    """A service whose every answer takes two seconds, as on a machine that is busy upgrading."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._inner = FakeTransport(service())

    def send(self, request: HttpRequest) -> HttpResponse:
        """Answer those who wait so long."""
        self._clock.sleep(min(request.timeout_s, 2.0))
        if request.timeout_s < 2.0:
            raise HttpFailed("no whole answer")
        return self._inner.send(request)


def test_get_when_answers_are_late_then_long_patience_reads_them() -> None:
    clock = FakeClock()
    metadata = MetadataClient(Late(clock), clock, plain_allowed=False, patience=LONG)
    assert metadata.get(ITEM) == "i-abc"


def test_get_when_answers_are_late_then_short_patience_gives_up_soon() -> None:
    clock = FakeClock()
    began = clock.monotonic()
    with pytest.raises(MetadataUnreachable):
        MetadataClient(Late(clock), clock, plain_allowed=False).get(ITEM)
    assert clock.monotonic() - began <= SHORT.budget_s


@pytest.mark.parametrize(
    "url",
    ["http://100.100.100.200", "http://127.0.0.1:80/", "http://[::1]:9"],
)
def test_base_url_when_local_then_is_taken(url: str) -> None:
    assert checked_base_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://metadata.example",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "http://127.0.0.1/path",
        "http://127.0.0.1?x",
        "http://u@127.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost:1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1 ",
        "",
    ],
)
def test_base_url_when_elsewhere_then_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        checked_base_url(url)


def failing_put(status: int | None) -> Callable[[HttpRequest], HttpResponse]:
    def speak(request: HttpRequest) -> HttpResponse:
        if status is None:
            raise HttpFailed("Connection refused")
        return answer(status=status)

    return speak


@pytest.mark.parametrize("status", [None, 404, 500])
def test_get_when_tokens_are_demanded_and_none_comes_then_sends_puts_only(
    status: int | None,
) -> None:
    transport = FakeTransport(failing_put(status))
    with pytest.raises((MetadataRefused, MetadataUnreachable)):
        client(transport, plain_allowed=False).get(ITEM)
    assert set(methods(transport)) == {"PUT"}


def test_get_when_two_reads_lose_one_token_then_one_successor_is_fetched() -> None:
    fake = service()
    late = FakeTransport(fake)
    refused_together = threading.Barrier(2, timeout=10)

    def speak(request: HttpRequest) -> HttpResponse:
        response = late.send(request)
        if response.status == 401:
            refused_together.wait()
        return response

    metadata = client(FakeTransport(speak))
    metadata.get(ITEM)
    fake.forget_tokens()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(metadata.get, [ITEM, ITEM])) == ["i-abc", "i-abc"]
    assert methods(late).count("PUT") == 2


def test_drop_when_a_successor_is_there_already_then_keeps_it() -> None:
    fake = service()
    held_back: list[HttpRequest] = []
    transport = FakeTransport(fake)
    metadata = client(FakeTransport(lambda request: speak(request)))

    def speak(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("late") and not held_back:
            held_back.append(request)
            fake.forget_tokens()
            metadata.get(ITEM)  # another read renews the token while this one is under way
        return transport.send(request)

    fake.items["late"] = "text"
    assert metadata.get("late") == "text"
    assert methods(transport).count("PUT") == 2
