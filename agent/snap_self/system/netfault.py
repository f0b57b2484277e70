"""Say why a connection failed, in words that cannot hold anything of the request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

# Class names instead of classes: the SDK carries its own copies of requests and urllib3.
CERTIFICATE = frozenset({"SSLCertVerificationError", "CertificateError"})
TLS = frozenset({"SSLError", "SSLEOFError", "SSLZeroReturnError"})
NAME = frozenset({"gaierror", "NameResolutionError"})
CONNECT_TIME = frozenset({"ConnectTimeout", "ConnectTimeoutError"})
CONNECT = frozenset({"NewConnectionError", "ConnectionRefusedError"})
READ_TIME = frozenset({"ReadTimeout", "ReadTimeoutError", "TimeoutError"})
HANDSHAKE_REASONS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "HANDSHAKE_FAILURE"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetFault:
    """Why there is no answer.

    Args:
        unsent: nothing of the request can have reached the server.
        lasting: trying again cannot mend it.
    """

    reason: str
    unsent: bool
    lasting: bool = False


def describe(error: BaseException) -> NetFault:
    """Return what an exception of requests, urllib3 or the system means."""
    links = list(_chain(error))
    names = {type(link).__name__ for link in links}
    if names & CERTIFICATE:
        return NetFault(reason="its certificate is not trusted", unsent=True, lasting=True)
    if _no_tls_there(links):
        return NetFault(reason="it does not speak TLS as needed", unsent=True, lasting=True)
    if names & NAME:
        return NetFault(reason="host name not known", unsent=True)
    if names & CONNECT:
        return NetFault(reason=_system_reason(links) or "no connection", unsent=True)
    if names & CONNECT_TIME:
        return NetFault(reason="no connection in time", unsent=True)
    if names & READ_TIME:
        return NetFault(reason="no answer in time", unsent=False)
    if names & TLS:
        return NetFault(reason="the TLS connection broke off", unsent=False)
    return NetFault(reason=_system_reason(links) or "the connection broke off", unsent=False)


def _no_tls_there(links: list[BaseException]) -> bool:
    return any(getattr(link, "reason", None) in HANDSHAKE_REASONS for link in links)


def _system_reason(links: list[BaseException]) -> str:
    numbers = [link.errno for link in links if isinstance(link, OSError) and link.errno]
    return os.strerror(numbers[-1]) if numbers else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it; the libraries also nest them in ``args``."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
