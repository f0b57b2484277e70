"""An HTTP transport backed by a function, as ``ports.HttpTransport`` wants one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from snap_self.ports import HttpFailed, HttpRequest, HttpResponse

Handler = Callable[[HttpRequest], HttpResponse]


class FakeTransport:
    """Hands every request to a function and keeps it in ``requests``.

    The function returns the answer or raises ``HttpFailed``; a body longer than the request
    allows fails, as with the real transport.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        """Return what the function answers."""
        with self._lock:
            self.requests.append(request)
        response = self._handler(request)
        if len(response.body) > request.max_bytes:
            message = f"answer longer than {request.max_bytes} bytes"
            raise HttpFailed(message)
        return response


def answer(
    body: str | bytes = "", *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return an answer with a text body."""
    raw = body.encode() if isinstance(body, str) else body
    return HttpResponse(status=status, headers=headers or {}, body=raw)


def json_answer(value: Any, *, status: int = 200) -> HttpResponse:
    """Return an answer with a JSON body."""
    return answer(json.dumps(value), status=status)


def stranger(request: HttpRequest) -> HttpResponse:
    """Refuse to ask, as where another user listens."""
    message = "a stranger's"
    raise HttpFailed(message, hint="send the stranger away", lasting=True)


def nobody(request: HttpRequest) -> HttpResponse:
    """Answer nothing, as where nobody listens."""
    message = "Connection refused"
    raise HttpFailed(message)
