"""Where the ECS API is spoken to, and why a host of it gives no answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A host of the ECS API.

    Args:
        host: name or address, IPv6 without brackets.
        secure: HTTPS; plain HTTP is for a loopback host only.
    """

    host: str
    port: int = 443
    secure: bool = True

    @property
    def netloc(self) -> str:
        """Return host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class NoWay(Enum):
    """What is in the way of an answer; each kind has its own mend."""

    NAME = "name"
    CONNECTION = "connection"
    SILENCE = "silence"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_EARLY = "certificate-early"
    CERTIFICATE_NAME = "certificate-name"
    CERTIFICATE_UNKNOWN = "certificate-unknown"
    TLS = "tls"
    # A process of another user of this machine listens there.
    OTHER_USER = "other-user"
    # It answers, but not as the ECS API does.
    STRANGER = "stranger"
    # The fault lies with this machine's own software; no other host can mend it.
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetFault:
    """Why there is no answer.

    Args:
        reason: in words that hold nothing of the request.
        unsent: nothing of the request can have reached the server.
        lasting: trying the same host again cannot mend it.
    """

    reason: str
    unsent: bool
    lasting: bool = False
    way: NoWay = NoWay.SILENCE
