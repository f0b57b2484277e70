"""What an exception of the network means."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from snap_self.model.endpoint import NoWay
from snap_self.system.net.netfault import describe


def _refused_certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed: secret-of-the-request")
    error.verify_code = code
    return error


def _alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError("alert: secret-of-the-request")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "way"),
    [
        (_refused_certificate(9), NoWay.CERTIFICATE_EARLY),
        (_refused_certificate(10), NoWay.CERTIFICATE_EXPIRED),
        (_refused_certificate(62), NoWay.CERTIFICATE_NAME),
        (_refused_certificate(64), NoWay.CERTIFICATE_NAME),
        (_refused_certificate(18), NoWay.CERTIFICATE_UNKNOWN),
        (_refused_certificate(20), NoWay.CERTIFICATE_UNKNOWN),
        (_refused_certificate(23), NoWay.CERTIFICATE_UNKNOWN),
        (_alert("TLSV1_ALERT_PROTOCOL_VERSION"), NoWay.TLS),
        (_alert("WRONG_VERSION_NUMBER"), NoWay.TLS),
        (socket.gaierror(-2, "secret-of-the-request"), NoWay.NAME),
        (ConnectionRefusedError(errno.ECONNREFUSED, "secret-of-the-request"), NoWay.CONNECTION),
        (OSError(errno.ENETUNREACH, "secret-of-the-request"), NoWay.CONNECTION),
        (OSError(errno.EHOSTUNREACH, "secret-of-the-request"), NoWay.CONNECTION),
        (TimeoutError("secret-of-the-request"), NoWay.SILENCE),
        (ConnectionResetError(errno.ECONNRESET, "secret-of-the-request"), NoWay.SILENCE),
    ],
    ids=lambda value: value.value if isinstance(value, NoWay) else type(value).__name__,
)
def test_fault_when_described_then_names_its_way_and_nothing_of_the_request(
    error: Exception, way: NoWay
) -> None:
    outer = RuntimeError("wrapped", error)
    found = describe(outer)
    assert found.way is way
    assert "secret" not in found.reason
