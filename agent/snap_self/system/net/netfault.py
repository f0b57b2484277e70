"""Describe why a connection failed, in words that cannot contain any part of the request."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from snap_self.model.endpoint import NetFault, NoWay
from snap_self.system.applications.peers import PeerRefused

# Class names instead of classes: the SDK carries its own copies of requests and urllib3.
CERTIFICATE = frozenset({"SSLCertVerificationError", "CertificateError"})
TLS = frozenset({"SSLError", "SSLEOFError", "SSLZeroReturnError"})
NAME = frozenset({"gaierror", "NameResolutionError"})
CONNECT_TIME = frozenset({"ConnectTimeout", "ConnectTimeoutError"})
CONNECT = frozenset({"NewConnectionError", "ConnectionRefusedError"})
READ_TIME = frozenset({"ReadTimeout", "ReadTimeoutError", "TimeoutError"})
# Errors of a bare socket when no connection was made.
UNREACHED = frozenset(
    {
        *(errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH),
        *(errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM),
    }
)
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})
OLD_TLS = frozenset(
    {
        *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"),
        *("HANDSHAKE_FAILURE", "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_HANDSHAKE_FAILURE"),
    }
)

_UNKNOWN = "its certificate is from an authority that is not trusted here"
# Source: OpenSSL, x509_vfy.h: X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED,
# _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH; the last ones all mean an unknown issuer.
_VERDICTS = {
    9: (NoWay.CERTIFICATE_EARLY, "its certificate is not valid yet by this machine's clock"),
    10: (NoWay.CERTIFICATE_EXPIRED, "its certificate has expired by this machine's clock"),
    62: (NoWay.CERTIFICATE_NAME, "its certificate is for another host name"),
    64: (NoWay.CERTIFICATE_NAME, "its certificate is for another address"),
    **dict.fromkeys((2, 18, 19, 20, 21, 27), (NoWay.CERTIFICATE_UNKNOWN, _UNKNOWN)),
}


def describe(error: BaseException) -> NetFault:
    """Return what an exception of requests, urllib3 or the system means."""
    links = list(_chain(error))
    names = {type(link).__name__ for link in links}
    refused = next((link for link in links if isinstance(link, PeerRefused)), None)
    if refused is not None:
        way = NoWay.OTHER_USER
        return NetFault(reason=refused.reason, unsent=True, lasting=refused.lasting, way=way)
    if names & CERTIFICATE:
        way, reason = _certificate(links)
        return NetFault(reason=reason, unsent=True, lasting=True, way=way)
    if reason := _no_tls_there(links):
        return NetFault(reason=reason, unsent=True, lasting=True, way=NoWay.TLS)
    if names & NAME:
        return NetFault(reason="host name not known", unsent=True, way=NoWay.NAME)
    if names & CONNECT or UNREACHED.intersection(_numbers(links)):
        why = _system_reason(links) or "no connection"
        return NetFault(reason=why, unsent=True, way=NoWay.CONNECTION)
    if names & CONNECT_TIME:
        return NetFault(reason="no connection in time", unsent=True, way=NoWay.CONNECTION)
    if names & READ_TIME:
        return NetFault(reason="no answer in time", unsent=False)
    if names & TLS:
        return NetFault(reason="the TLS connection broke off", unsent=False)
    return NetFault(reason=_system_reason(links) or "the connection broke off", unsent=False)


def _certificate(links: list[BaseException]) -> tuple[NoWay, str]:
    codes = (getattr(link, "verify_code", None) for link in links)
    # The SDK's urllib3 compares names itself; then there is no OpenSSL code.
    found = next((code for code in codes if isinstance(code, int)), 62)
    other = (NoWay.CERTIFICATE_UNKNOWN, f"its certificate is not accepted (OpenSSL: {found})")
    return _VERDICTS.get(found, other)


def _no_tls_there(links: list[BaseException]) -> str:
    reasons = {str(getattr(link, "reason", "")) for link in links}
    if reasons & NOT_TLS:
        return "it does not speak TLS"
    return "it speaks no version of TLS that is safe (1.2 or newer)" if reasons & OLD_TLS else ""


def _system_reason(links: list[BaseException]) -> str:
    numbers = _numbers(links)
    return os.strerror(numbers[-1]) if numbers else ""


def _numbers(links: list[BaseException]) -> list[int]:
    return [link.errno for link in links if isinstance(link, OSError) and link.errno]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all its causes; the libraries also nest them in ``args``."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
