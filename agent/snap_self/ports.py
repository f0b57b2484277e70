"""Protocols for every effect outside the process; adapters in ``system/``, twins in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from snap_self.model.machine import MachineText, PathFact
from snap_self.model.snapshots import Credentials


class Clock(Protocol):
    """The time, and waiting for it."""

    def now(self) -> datetime:
        """Return the wall clock, UTC-aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back and go on during suspend (CLOCK_BOOTTIME)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request to an unsigned HTTP service (metadata, credentials URI, STS).

    Args:
        timeout_s: for connecting and for each read.
        max_bytes: a longer body is an error.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    timeout_s: float = 2.0
    max_bytes: int = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What came back; redirects are not followed, so they are answers too."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpFailed(Exception):
    """No usable answer: refused, reset, timed out, body too long. The text holds no secret."""


class HttpTransport(Protocol):
    """Sends one request: no proxy, no redirect, no cookie, body capped."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer.

        Raises:
            HttpFailed: there was none.
        """
        ...


class RpcFailed(Exception):
    """An ECS call without a good answer.

    Args:
        code: the API's ``Code``; empty when no answer came, or none that could be read.
        http_status: 0 when no answer came.
        maybe_done: the request may have taken effect although no good answer came.
        message: the API's message with URLs, tokens and signatures removed.
    """

    def __init__(
        self,
        *,
        code: str,
        http_status: int,
        message: str,
        request_id: str = "",
        maybe_done: bool = False,
    ) -> None:
        super().__init__(f"{code or 'no answer'} ({http_status}): {message}")
        self.code = code
        self.http_status = http_status
        self.message = message
        self.request_id = request_id
        self.maybe_done = maybe_done


class Rpc(Protocol):
    """One signed call to the ECS API, sent once: no retry, HTTPS unless on loopback."""

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the answer's JSON object.

        Raises:
            RpcFailed: there was none, or it is an error.
        """
        ...


class MachineReader(Protocol):
    """Reads what the kernel says about disks and mounts."""

    def read(self) -> MachineText:
        """Return all of it, read once."""
        ...

    def locate(self, path: str) -> PathFact:
        """Return where a path lies.

        Raises:
            UsageError: it does not exist or may not be looked at.
        """
        ...


class Filesystems(Protocol):
    """System calls on mounted filesystems."""

    def sync(self, path: str) -> None:
        """Write all dirty data of the filesystem at ``path`` to its disk (``syncfs``).

        Raises:
            OSError: the kernel refused or the write failed.
        """
        ...


class Commands(Protocol):
    """Runs other programs."""

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return exit status, standard output and standard error.

        Raises:
            OSError: it could not be started.
            TimeoutError: it was killed at its time limit.
        """
        ...
