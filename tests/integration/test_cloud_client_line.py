"""What stands where the SDK has its session."""

import io
import threading
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from snap_self.system.net.sdk import Line


class Answer:
    """A streamed answer."""

    status_code = 200
    headers: ClassVar[dict[str, str]] = {"X-RateLimit-User": "TimeLeft:5"}

    def __init__(self, body: bytes) -> None:
        stream = io.BytesIO(body)
        self.raw = SimpleNamespace(read=lambda size, **_options: stream.read(size))

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_error: object) -> None:
        pass


class Session:
    """Answers with what was sent."""

    cookies: Any = None
    prepare_request: Any = None

    def send(self, prepared: bytes, **_options: Any) -> Answer:
        return Answer(prepared)


def test_take_when_another_thread_sent_meanwhile_then_is_this_threads_answer() -> None:
    line = Line(Session())
    line.send(b"mine")
    other = threading.Thread(target=line.send, args=(b"other",))
    other.start()
    other.join()
    assert line.take().body == b"mine"


def test_take_when_taken_before_then_there_is_no_answer_to_take_again() -> None:
    line = Line(Session())
    line.send(b"mine")
    line.take()
    with pytest.raises(AttributeError):
        line.take()


def test_send_when_answered_then_the_sdk_is_shown_nothing_of_it() -> None:
    line = Line(Session())
    assert line.send(b'{"Code": "Any"}').content == b"{}"


def test_take_when_answered_then_the_headers_are_kept_in_lower_case() -> None:
    line = Line(Session())
    line.send(b"mine")
    assert line.take().headers == {"x-ratelimit-user": "TimeLeft:5"}
