"""The client of the ECS metadata service: token mode first, plain mode if allowed.

Source: ECS User Guide, "Instance metadata" (normal mode and security hardening mode).
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from snap_self.errors import ConfigError, MetadataAbsent, MetadataRefused, MetadataUnreachable
from snap_self.instance.addresses import METADATA_HOST, split_url
from snap_self.model.addresses import is_loopback
from snap_self.ports import Clock, HttpFailed, HttpRequest, HttpResponse, HttpTransport

DEFAULT_URL = f"http://{METADATA_HOST}"
MAX_TTL_S = 21600
TOKEN_HEADER = "X-aliyun-ecs-metadata-token"  # noqa: S105  (a header's name)
TTL_HEADER = "X-aliyun-ecs-metadata-token-ttl-seconds"
NO_TOKEN_STATUSES = frozenset({403, 404, 405})
BUSY_STATUSES = frozenset({429, 500, 502, 503, 504})
FIRST_DELAY_S = 0.1
RENEW_EARLY_S = 30.0
PLAIN_AGAIN_S = 60.0

_TOKEN = re.compile(r"[!-~]{1,1024}")

REFUSED_HINT = (
    "403 has three meanings here: only token access is allowed on this instance, a proxy added "
    "X-Forwarded-For to the request, or the metadata service is disabled for this instance "
    "(ModifyInstanceMetadataOptions: HttpTokens, HttpEndpoint)."
)
UNREACHABLE_HINT = (
    "Check that this is an ECS instance in a VPC and that no firewall rule or route on it "
    "takes 100.100.100.200."
)


def checked_base_url(text: str) -> str:
    """Return a metadata base URL without trailing slash.

    Raises:
        ConfigError: it is neither the service's own address nor a loopback address.
    """
    parts = split_url(text)
    plain = parts is not None and parts.path in ("", "/") and not (parts.query or parts.fragment)
    if parts is None or not plain or not _allowed(parts.hostname or "", parts.scheme):
        raise ConfigError(
            "the metadata URL is not one the agent may ask",
            hint=f"Use {DEFAULT_URL}, or an http URL of a loopback address such as 127.0.0.1 (not "
            "localhost, which is a name) without a path.",
        )
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class _Access:
    """How to read: with a token, or plain if the token is empty."""

    token: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for an answer.

    Args:
        budget_s: no attempt begins later than this after a read began.
        timeout_s: for connecting and for each read of the socket.
    """

    budget_s: float
    timeout_s: float


# For machines where nothing may answer at that address.
SHORT = Patience(budget_s=3.0, timeout_s=1.5)
# An instance that is busy upgrading itself answers its own requests late: an emulated guest under
# load took more than 1.5 s for one request.
LONG = Patience(budget_s=12.0, timeout_s=5.0)


class MetadataClient:
    """Reads metadata; safe for parallel reads, which share one token.

    Args:
        plain_allowed: read without a token if the service gives none out.
        ttl_s: the lifetime asked for with each token, 1 to 21600.
        patience: how long to wait for an answer.

    Raises:
        ConfigError: the base URL is not allowed, see `checked_base_url`.
    """

    def __init__(
        self,
        transport: HttpTransport,
        clock: Clock,
        *,
        base_url: str = DEFAULT_URL,
        plain_allowed: bool,
        ttl_s: int = 1800,
        patience: Patience = SHORT,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._url = checked_base_url(base_url)
        self._plain_allowed = plain_allowed
        self._ttl_s = max(1, min(ttl_s, MAX_TTL_S))
        self._budget_s = patience.budget_s
        self._timeout_s = patience.timeout_s
        self._lock = threading.Lock()
        self._access = _Access("", -1.0)
        self._failure: tuple[float, MetadataRefused | MetadataUnreachable] | None = None

    @property
    def mode(self) -> str:
        """Return ``token`` or ``plain``: how the last read was made."""
        return "token" if self._access.token else "plain"

    def get(self, path: str) -> str:
        """Return the stripped text of an item.

        Args:
            path: below ``/latest/``, such as ``meta-data/instance-id``.

        Raises:
            MetadataAbsent: there is no such item.
            MetadataRefused: an answer other than 200, or not UTF-8.
            MetadataUnreachable: no answer within the budget.
        """
        deadline = self._clock.monotonic() + self._budget_s
        access = self._obtain(deadline)
        response = self._read(path, access, deadline)
        if response.status == 401 and access.token:
            self._drop(access)
            access = self._obtain(deadline, plain_allowed=False)
            response = self._read(path, access, deadline)
        return _text(path, response)

    def get_json(self, path: str) -> Any:
        """Return the parsed JSON of an item.

        Raises:
            MetadataRefused: it is not JSON; otherwise as `get`.
        """
        text = self.get(path)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            # The parser's error contains the whole text, which may be credentials.
            raise MetadataRefused(f"metadata item {path} is not JSON") from None

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return the names of a directory's children, without their trailing slashes.

        Raises:
            As `get`.
        """
        lines = self.get(path.rstrip("/") + "/").splitlines()
        names = (line.strip().rstrip("/") for line in lines)
        return tuple(name for name in names if name)

    def _obtain(self, deadline: float, *, plain_allowed: bool = True) -> _Access:
        began = self._clock.monotonic()
        with self._lock:
            now = self._clock.monotonic()
            if now < self._access.until and (self._access.token or plain_allowed):
                return self._access
            if self._failure is not None and self._failure[0] >= began:
                raise self._failure[1]
            try:
                self._access = self._ask(
                    deadline, plain_allowed=plain_allowed and self._plain_allowed
                )
            except (MetadataRefused, MetadataUnreachable) as error:
                self._failure = (self._clock.monotonic(), error)
                raise
            return self._access

    def _drop(self, used: _Access) -> None:
        with self._lock:
            if self._access is used:
                self._access = _Access("", -1.0)

    def _ask(self, deadline: float, *, plain_allowed: bool) -> _Access:
        began = self._clock.monotonic()
        request = HttpRequest(
            method="PUT",
            url=f"{self._url}/latest/api/token",
            headers={TTL_HEADER: str(self._ttl_s)},
            timeout_s=self._timeout_s,
        )
        try:
            response = self._send(request, deadline, once=True)
        except HttpFailed as failed:
            if plain_allowed and not failed.lasting:
                return _Access("", began + PLAIN_AGAIN_S)
            raise _unreachable(failed) from None
        if response.status in NO_TOKEN_STATUSES:
            if plain_allowed:
                return _Access("", began + PLAIN_AGAIN_S)
            raise MetadataRefused(
                f"the metadata service gives out no access token (status {response.status}) and "
                "reading without one is not allowed",
                hint=f"ALIBABA_CLOUD_IMDSV1_DISABLED=true demands tokens. {REFUSED_HINT}",
            )
        token = _text("api/token", response)
        if not _TOKEN.fullmatch(token):
            raise MetadataRefused("the metadata service answered with an unusable access token")
        return _Access(token, began + max(self._ttl_s - RENEW_EARLY_S, self._ttl_s / 2))

    def _read(self, path: str, access: _Access, deadline: float) -> HttpResponse:
        request = HttpRequest(
            method="GET",
            url=f"{self._url}/latest/{quote(path)}",
            headers={TOKEN_HEADER: access.token} if access.token else {},
            timeout_s=self._timeout_s,
        )
        try:
            # Without a token it is not known yet whether anything answers there: no second try.
            return self._send(request, deadline, once=not access.token)
        except HttpFailed as failed:
            raise _unreachable(failed) from None

    def _send(self, request: HttpRequest, deadline: float, *, once: bool) -> HttpResponse:
        """Send; repeat while the service is busy or, unless ``once``, does not answer."""
        delay_s = FIRST_DELAY_S
        while True:
            left_s = deadline - self._clock.monotonic()
            last = left_s <= delay_s
            bounded = replace(request, total_s=max(left_s, self._timeout_s))
            try:
                response = self._transport.send(bounded)
            except HttpFailed as failed:
                if once or last or failed.lasting:
                    raise
            else:
                if last or response.status not in BUSY_STATUSES:
                    return response
            self._clock.sleep(delay_s)
            delay_s *= 2


def _allowed(host: str, scheme: str) -> bool:
    return is_loopback(host) or (host == METADATA_HOST and scheme == "http")


def _text(path: str, response: HttpResponse) -> str:
    """Return the body of a 200 answer; no other body is looked at."""
    status = response.status
    if status == 404:
        raise MetadataAbsent(f"the metadata service has no item {path}")
    if status != 200:
        hint = REFUSED_HINT if status == 403 else _hint(status)
        raise MetadataRefused(
            f"the metadata service refused {path} with status {status}", hint=hint
        )
    try:
        return response.body.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise MetadataRefused(f"metadata item {path} is not UTF-8 text") from None


def _hint(status: int) -> str:
    if status in BUSY_STATUSES:
        return "The service is busy or in trouble; try again in a minute."
    if status == 401:
        return "The service does not accept the token it gave out a moment ago; try again."
    return "Something else may answer at that address: check proxies and NAT rules."


def _unreachable(failed: HttpFailed) -> MetadataUnreachable:
    return MetadataUnreachable(
        f"the metadata service does not answer: {failed}", hint=failed.hint or UNREACHABLE_HINT
    )
