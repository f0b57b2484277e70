"""The throw-away certificates, seen by Python's own TLS client."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

tls = pytest.importorskip("ecs_simulator.tls", reason="cryptography is not installed")

NAMES = ("127.0.0.1", "ecs.cn-hangzhou.aliyuncs.com")
Contexts = Callable[[str], ssl.SSLContext]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates") / "tls"


@pytest.fixture(scope="module")
def contexts(folder: Path) -> Contexts:
    made: Contexts = tls.make_contexts(folder, NAMES)
    return made


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Return the protocol both agree on."""
    client_end, server_end = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(server_end, server_side=True):
                pass
        except OSError:
            server_end.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(client_end, server_hostname=name) as wrapped:
            return wrapped.version() or ""
    finally:
        client_end.close()
        thread.join()


@pytest.fixture
def trusting(contexts: Contexts, folder: Path) -> ssl.SSLContext:
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return client


@pytest.mark.parametrize("name", NAMES)
def test_good_certificate_passes_the_strict_checks(
    contexts: Contexts, trusting: ssl.SSLContext, name: str
) -> None:
    assert shake_hands(contexts("good"), trusting, name) == "TLSv1.3"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("untrusted", "signature failure|unable to get local issuer|self-signed"),
        ("expired", "certificate has expired"),
        ("wrong_name", "mismatch"),
    ],
)
def test_bad_certificate_fails_for_its_own_reason(
    contexts: Contexts, trusting: ssl.SSLContext, kind: str, reason: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        shake_hands(contexts(kind), trusting, NAMES[0])


def test_keys_are_readable_by_the_owner_only(contexts: Contexts, folder: Path) -> None:
    contexts("good")
    assert {path.stat().st_mode & 0o077 for path in folder.glob("*.pem") if path.stem != "ca"} == {
        0
    }
    assert b"PRIVATE" not in (folder / "ca.pem").read_bytes()
