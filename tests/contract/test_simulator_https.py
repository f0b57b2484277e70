"""The simulator's HTTPS listener: keep-alive, and certificates that change while it runs."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from ecs_simulator import Simulator
from fakes.simulated_cloud import TWO_DISKS, Signer

pytest.importorskip("cryptography", reason="makes certificates with cryptography: pip install it")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1: a server's context and the file that trusts it."""

    server: ssl.SSLContext
    file: Path


def certificate(folder: Path, name: str) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return Certificate(server=server, file=file)


@pytest.fixture
def good(tmp_path: Path) -> Certificate:
    return certificate(tmp_path, "good")


@pytest.fixture
def secure(tmp_path: Path, good: Certificate) -> Iterator[Simulator]:
    contexts = {"good": good.server, "untrusted": certificate(tmp_path, "untrusted").server}
    with Simulator(TWO_DISKS, tls=lambda kind: contexts[kind]) as simulator:
        yield simulator


def connect(simulator: Simulator, trusted: Path) -> http.client.HTTPSConnection:
    parts = urlsplit(simulator.ecs_tls_url)
    assert parts.hostname is not None
    context = ssl.create_default_context(cafile=str(trusted))
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=10, context=context)


def describe_disks(simulator: Simulator, connection: http.client.HTTPSConnection) -> int:
    key = simulator.config.keys[0]
    signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)
    given = {"Action": "DescribeDisks", "RegionId": "cn-hangzhou"}
    connection.request("GET", f"/?{urlencode(signer.sign(given, at=time.time()))}")
    return int(json.loads(connection.getresponse().read())["TotalCount"])


def test_https_connection_is_kept_for_many_calls(secure: Simulator, good: Certificate) -> None:
    with closing(connect(secure, good.file)) as connection:
        connection.connect()
        socket = connection.sock
        counts = [describe_disks(secure, connection) for _ in range(3)]
        assert connection.sock is socket
    assert counts == [2, 2, 2]


def test_untrusted_certificate_ends_the_handshake_and_no_call_is_seen(
    secure: Simulator, good: Certificate
) -> None:
    secure.set_certificate("untrusted")
    with (
        closing(connect(secure, good.file)) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        describe_disks(secure, connection)
    assert secure.calls == []


def test_certificate_made_good_again_is_believed(secure: Simulator, good: Certificate) -> None:
    secure.set_certificate("untrusted")
    secure.set_certificate("good")
    with closing(connect(secure, good.file)) as connection:
        assert describe_disks(secure, connection) == 2


def test_plain_http_to_the_https_port_gets_no_answer(secure: Simulator) -> None:
    parts = urlsplit(secure.ecs_tls_url)
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)) as plain:
        plain.request("GET", "/")
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            plain.getresponse()
