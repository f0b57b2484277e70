"""Keys from a URL: which URLs may be asked, and what is shown of them."""

import pytest

from fakes.http import FakeTransport, answer, nobody
from fakes.instance import SECRET, role_answer, surroundings
from snap_self.cloud.credentials.key_uri import load, look
from snap_self.cloud.credentials.sources import Offer
from snap_self.errors import CloudUnreachable, CredentialsUnusable


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:7/k",
        "http://127.3.2.1/k",
        "http://[::1]/k",
        "http://[::ffff:127.0.0.1]/k",
        "http://100.100.100.200/k",
        "https://keys.example/k?a=b",
    ],
)
def test_load_when_the_url_is_local_or_https_then_asks_it(uri: str) -> None:
    transport = FakeTransport(lambda request: answer(role_answer()))
    found = load(surroundings(transport=transport), uri, "here")
    assert (found.access_key_id, found.source) == ("STS.abcdefgh1234", "here")
    assert [request.url for request in transport.requests] == [uri]


@pytest.mark.parametrize(
    "uri",
    [
        "http://keys.example/k",
        "http://10.0.0.1/k",
        "http://100.100.100.201/k",
        "http://127.0.0.1.example/k",
        "http://localhost/k",
        "http://169.254.1.1/k",
        "http://[fe80::1]/k",
        "http://[::ffff:10.0.0.1]/k",
        "file:///etc/passwd",
        "https://user:pw@keys.example/",
        "keys",
        "https://",
    ],
)
def test_load_when_the_url_is_neither_then_never_asks(uri: str) -> None:
    transport = FakeTransport(lambda request: answer(role_answer()))
    with pytest.raises(CredentialsUnusable, match="may ask"):
        load(surroundings(transport=transport), uri, "here")
    assert transport.requests == []


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_load_when_refused_then_shows_neither_query_nor_body(status: int) -> None:
    transport = FakeTransport(lambda request: answer(SECRET, status=status))
    with pytest.raises(CredentialsUnusable, match=f"status {status}") as caught:
        load(surroundings(transport=transport), f"https://keys.example/{SECRET}?k={SECRET}", "here")
    assert SECRET not in repr(caught.value)


def test_load_when_nobody_answers_then_is_unreachable_without_the_path() -> None:
    uri = f"https://keys.example/{SECRET}"
    with pytest.raises(
        CloudUnreachable, match=r"https://keys\.example: Connection refused"
    ) as caught:
        load(surroundings(transport=FakeTransport(nobody)), uri, "here")
    assert SECRET not in repr(caught.value)


def test_look_when_set_then_shows_only_the_host() -> None:
    uri = f"https://keys.example/{SECRET}"
    found = look(surroundings(env={"ALIBABA_CLOUD_CREDENTIALS_URI": uri}))
    assert isinstance(found, Offer)
    assert found.how == "keys from https://keys.example"
