"""Which URLs are accepted, what is added to them, and that none is ever quoted."""

from __future__ import annotations

import pytest

from snap_self.model.notifying import SecretFault
from snap_self.notifying.urls import check_url, with_end, with_query

GOOD = (
    "https://hc-ping.example/uuid",
    "https://robots.example:8443/hook?key=k",
    "http://127.0.0.1:8000/p",
    "http://[::1]/p",
)
BAD = (
    "t0ken",
    "ftp://h.example/t0ken",
    "https:///t0ken",
    "https://h.example/t0ken#x",
    "https://user:t0ken@h.example/",
    "https://h.example:0/t0ken",
    "https://h.example:99999/t0ken",
    "https://h.example/t0 ken",
    "https://h.exämple/t0ken",
    "http://h.example/t0ken",
    "http://localhost/t0ken",
    "https://[t0ken/",
    "file:///t0ken",
)


@pytest.mark.parametrize("url", GOOD)
def test_https_url_or_one_of_this_machine_is_accepted(url: str) -> None:
    assert check_url(url, "/f") == url


@pytest.mark.parametrize("url", BAD)
def test_other_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(SecretFault) as caught:
        check_url(url, "/etc/snap-self/robot-url")
    said = f"{caught.value.message} {caught.value.hint}"
    assert "/etc/snap-self/robot-url" in said
    assert "t0ken" not in said


@pytest.mark.parametrize(
    ("url", "end", "made"),
    [
        ("https://h.example/uuid", "/fail", "https://h.example/uuid/fail"),
        ("https://h.example/uuid/", "/start", "https://h.example/uuid/start"),
        ("https://h.example/k/web?create=1", "/fail", "https://h.example/k/web/fail?create=1"),
        ("https://h.example/uuid", "", "https://h.example/uuid"),
    ],
)
def test_end_goes_behind_the_path(url: str, end: str, made: str) -> None:
    assert with_end(url, end) == made


def test_query_is_added_to_the_one_that_is_there() -> None:
    assert with_query("https://h.example/s?a=1", "b=2") == "https://h.example/s?a=1&b=2"
    assert with_query("https://h.example/s", "b=2") == "https://h.example/s?b=2"
    assert with_query("https://h.example/s?a=1", "") == "https://h.example/s?a=1"
