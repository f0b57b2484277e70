"""Which certificates the real HTTP adapter believes."""

import ssl
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes.http import answer
from fakes.loopback import serving
from snap_self.ports import HttpFailed, HttpRequest
from snap_self.system.http import RequestsTransport


def write_certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """Return a self-signed certificate's file and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return pem, context


def fetch(url: str, ca_bundle: Path | str) -> bytes:
    transport = RequestsTransport(ca_bundle=str(ca_bundle))
    try:
        return transport.send(HttpRequest(method="GET", url=url)).body
    finally:
        transport.close()


def test_send_when_the_bundle_holds_the_certificate_then_is_answered(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path)
    with serving(lambda r: answer("safe"), context) as server:
        assert fetch(server.url, pem) == b"safe"


def test_send_when_nobody_vouches_for_it_then_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, context = write_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(pem))
    with (
        serving(lambda r: answer("safe"), context) as server,
        pytest.raises(HttpFailed, match="TLS failed"),
    ):
        fetch(server.url, "")


def test_send_when_the_certificate_is_for_another_host_then_fails(tmp_path: Path) -> None:
    pem, context = write_certificate(tmp_path, "127.0.0.2")
    with (
        serving(lambda r: answer("safe"), context) as server,
        pytest.raises(HttpFailed, match="TLS failed"),
    ):
        fetch(server.url, pem)


def test_send_when_the_bundle_does_not_exist_then_fails(tmp_path: Path) -> None:
    with pytest.raises(HttpFailed):
        fetch("https://127.0.0.1:9/", tmp_path / "absent.pem")
