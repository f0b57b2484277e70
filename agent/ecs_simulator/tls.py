"""A throw-away certificate authority and the server certificates for tests.

Needs the package ``cryptography`` (the extra ``simulator``).
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ecs_simulator.storage import own

_DAY = timedelta(days=1)
_NAME = "Simulated ECS throw-away CA"
_KEEP_DAYS = 20


class Authority:
    """A certificate authority that nobody trusts by default."""

    def __init__(self, name: str, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        now = datetime.now(timezone.utc)
        builder = _builder(self._name, self._name, self._key, now - _DAY, now + 30 * _DAY)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_usage(authority=True), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())

    def issue(self, names: Sequence[str], *, days: int = 29) -> bytes:
        """Return a server certificate with its key, as PEM.

        Args:
            names: host names and addresses.
            days: until it expires; a negative number makes an expired one.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(timezone.utc)
        begin = now - _DAY if days > 0 else now + days * _DAY - 30 * _DAY
        builder = _builder(_name(names[0]), self._name, key, begin, now + days * _DAY)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, critical in (
            (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(authority=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (authority_key, False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self._key, hashes.SHA256())
        return _pem(certificate) + _key_pem(key)

    def pem(self) -> bytes:
        """Return the authority's certificate, for clients that must trust it."""
        return _pem(self.certificate)

    def key_pem(self) -> bytes:
        return _key_pem(self._key)


def make_contexts(
    folder: Path, names: Sequence[str], *, keep: Path | None = None
) -> Callable[[str], ssl.SSLContext]:
    """Make all certificates and return a function from kind to server context.

    Args:
        keep: folder for the trusted authority, so that a machine that trusts it also trusts the
            next simulator.

    Kinds: ``good``, ``untrusted`` (another authority with the same name), ``expired`` and
    ``wrong_name``. A client must trust ``ca.pem`` in the folder.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    trusted = Authority(_NAME) if keep is None else kept_authority(keep)
    (folder / "ca.pem").write_bytes(trusted.pem())
    issued = {
        "good": trusted.issue(names),
        "untrusted": Authority(_NAME).issue(names),
        "expired": trusted.issue(names, days=-1),
        "wrong_name": trusted.issue(["wrong-name.invalid"]),
    }
    contexts = {kind: _context(folder / f"{kind}.pem", pem) for kind, pem in issued.items()}
    return contexts.__getitem__


def kept_authority(folder: Path) -> Authority:
    """Return the folder's authority; make a new one if there is none or it expires soon.

    Raises:
        StorageError: others could put their own authority there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own.check_way(folder)
    key_file, ca_file = folder / "ca.key", folder / "ca.pem"
    if ca_file.exists() and time.time() - ca_file.stat().st_mtime < _KEEP_DAYS * 86400:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        # Another certificate, but with the same name and key: trust in one is trust in the other.
        return Authority(_NAME, key)
    made = Authority(_NAME)
    key_file.unlink(missing_ok=True)
    key_file.touch(mode=0o600, exist_ok=False)
    key_file.write_bytes(made.key_pem())
    ca_file.write_bytes(made.pem())
    return made


def _context(path: Path, pem: bytes) -> ssl.SSLContext:
    path.touch(mode=0o600)
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    return context


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=end,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
