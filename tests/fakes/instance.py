"""A metadata service in memory, and what credential sources read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from fakes.clock import START, FakeClock
from fakes.http import FakeTransport, answer, nobody
from snap_self.cloud.credentials.sources import Surroundings
from snap_self.instance.metadata import TOKEN_HEADER, MetadataClient
from snap_self.ports import Clock, FileText, HttpRequest, HttpResponse, HttpTransport

SECRET = "S3cr3tMarker9aZ"
TOKEN_MARK = "T0kenMarker7bY"
ROLE_LISTING = "meta-data/ram/security-credentials/"


class MetadataService:
    """Answers like the metadata service; use it as the function of a ``FakeTransport``.

    Args:
        items: path below ``/latest/`` to text; all else is 404.
    """

    def __init__(self, items: Mapping[str, str]) -> None:
        self.items = dict(items)
        self.token_statuses: list[int] = []
        self.statuses: list[int] = []
        self.token_required = True
        self.tokens = 0
        self.valid: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        path = unquote(urlsplit(request.url).path).removeprefix("/latest/")
        with self._lock:
            if request.method == "PUT":
                return self._hand_out()
            return self._read(path, request.headers.get(TOKEN_HEADER, ""))

    def forget_tokens(self) -> None:
        """Make every token handed out so far invalid."""
        self.valid.clear()

    def _hand_out(self) -> HttpResponse:
        status = self.token_statuses.pop(0) if self.token_statuses else 200
        if status != 200:
            return answer("<html>no</html>", status=status)
        self.tokens += 1
        token = f"token-{self.tokens}"
        self.valid.add(token)
        return answer(token)

    def _read(self, path: str, token: str) -> HttpResponse:
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return answer("<html>no</html>", status=status)
        if token and token not in self.valid:
            return answer("<html>no</html>", status=401)
        if not token and self.token_required:
            return answer("<html>no</html>", status=403)
        if path not in self.items:
            return answer("<html>no</html>", status=404)
        return answer(self.items[path])


def client(
    transport: HttpTransport, clock: Clock | None = None, *, plain_allowed: bool = True
) -> MetadataClient:
    """Return a metadata client over a fake."""
    return MetadataClient(transport, clock or FakeClock(), plain_allowed=plain_allowed)


def role_answer(*, life_s: float = 21600, key_id: str = "STS.abcdefgh1234") -> str:
    """Return the JSON of a role's keys as the metadata service answers it."""
    return json.dumps({**role_keys(life_s=life_s, key_id=key_id), "Code": "Success"})


def role_keys(*, life_s: float = 21600, key_id: str = "STS.abcdefgh1234") -> dict[str, str]:
    """Return a role's keys as STS answers them."""
    return {
        "AccessKeyId": key_id,
        "AccessKeySecret": SECRET,
        "SecurityToken": TOKEN_MARK,
        "Expiration": f"{START + timedelta(seconds=life_s):%Y-%m-%dT%H:%M:%SZ}",
    }


class MemoryFiles:
    """Files by path; an exception in place of a text is raised."""

    def __init__(self, files: Mapping[str, str | OSError], *, mode: int = 0o600) -> None:
        self.files = dict(files)
        self.mode = mode

    def __call__(self, path: str) -> FileText:
        """Read one."""
        found = self.files.get(path)
        if found is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        if isinstance(found, OSError):
            raise found
        return FileText(text=found, mode=self.mode)


class FakeCommands:
    """Answers every command with one function's result and keeps what was run."""

    def __init__(self, result: Callable[[Sequence[str]], tuple[int, str, str]]) -> None:
        self._result = result
        self.ran: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return the function's result."""
        self.ran.append(tuple(argv))
        return self._result(argv)


def no_commands() -> FakeCommands:
    """Return commands of which none exists."""

    def missing(argv: Sequence[str]) -> tuple[int, str, str]:
        raise FileNotFoundError(2, "No such file or directory", argv[0])

    return FakeCommands(missing)


def surroundings(
    *,
    items: Mapping[str, str] | None = None,
    files: Mapping[str, str | OSError] | None = None,
    mode: int = 0o600,
    **given: Any,
) -> Surroundings:
    """Return what sources read: by default an instance without any key or role.

    Args:
        items: of the metadata service.
        mode: permission bits of every file.
        given: fields of ``Surroundings`` that are to be others than the defaults.
    """
    clock = given.get("clock") or FakeClock()
    fields: dict[str, Any] = {
        "env": {},
        "home": "/home/u",
        "read": MemoryFiles(files or {}, mode=mode),
        "transport": FakeTransport(nobody),
        "commands": no_commands(),
        "clock": clock,
        "metadata": client(FakeTransport(MetadataService(items or {})), clock),
        "nonce": lambda: "nonce",
    }
    return Surroundings(**{**fields, **given})
