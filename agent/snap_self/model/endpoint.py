"""Where the ECS API is spoken to."""

from __future__ import annotations

from dataclasses import dataclass


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
