"""Which addresses are this machine's own."""

from __future__ import annotations

import ipaddress

OTHERS_LISTENER = (
    "`ss -ltnp` shows what listens there: stop it, or have root start it, since whoever answers "
    "gets the requests and can answer anything"
)
"""What to do where another user's process answers at a loopback address."""


def is_loopback(host: str) -> bool:
    """Tell whether a host of a URL is an address of this machine alone.

    The name ``localhost`` is none: what it stands for is up to whoever answers for names.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Before Python 3.13 a mapped address is not taken for what it maps.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
