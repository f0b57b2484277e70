"""The secret URLs of pings and robots: which are accepted, and what is added to them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit, urlunsplit

from snap_self.model.addresses import is_loopback
from snap_self.model.notifying import SecretFault

ACCEPTED = "write one https:// URL into it, as the service shows it"
_UNSEEMLY = re.compile(r"[\s\\\x00-\x20\x7f]")


def check_url(url: str, path: str) -> str:
    """Return the URL that a file holds, if it can be used.

    Args:
        path: the file, for messages; no message holds any of the URL.

    Raises:
        SecretFault: it cannot.
    """
    try:
        parts = urlsplit(url)
        good = parts.port != 0 and bool(parts.hostname) and url.isascii()
    except ValueError:
        good = False
    if not good or _UNSEEMLY.search(url) or parts.scheme not in ("http", "https"):
        raise SecretFault(f"{path} holds no URL", hint=ACCEPTED)
    if parts.username is not None or parts.fragment:
        raise SecretFault(
            f"{path} holds a URL with a user name, a password or a fragment", hint=ACCEPTED
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise SecretFault(
            f"{path} holds an http:// URL, and what it has in it would be read on the way",
            hint=f"{ACCEPTED}; http:// only for this machine itself (127.0.0.1)",
        )
    return url


def with_end(url: str, end: str) -> str:
    """Return the URL with something behind its path, before its query."""
    parts = urlsplit(url)
    path = f"{parts.path.rstrip('/')}{end}" if end else parts.path
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, path, parts.query, ""))


def with_query(url: str, query: str) -> str:
    """Return the URL with more in its query.

    Args:
        query: encoded.
    """
    parts = urlsplit(url)
    joined = "&".join(filter(None, (parts.query, query)))
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, parts.path, joined, ""))
