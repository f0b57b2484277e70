"""Which addresses plain HTTP may be spoken to."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

METADATA_HOST = "100.100.100.200"


def split_url(text: str) -> SplitResult | None:
    """Return the parts of an absolute http or https URL without user name, or None."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (raises for a port that is no number)
    except ValueError:
        return None
    if not parts.hostname or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        return None
    return parts if text.isascii() and text.isprintable() and " " not in text else None


def is_loopback(host: str) -> bool:
    """Tell whether a host of a URL is this machine itself."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def is_local(host: str) -> bool:
    """Tell whether packets to the host cannot leave the instance and its hypervisor.

    Loopback, link-local (RFC 3927, RFC 4291) and the metadata service's address.
    """
    address = _address(host)
    link_local = address is not None and address.is_link_local
    return host == METADATA_HOST or link_local or is_loopback(host)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
