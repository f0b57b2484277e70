"""The addresses to which plain HTTP is allowed."""

from __future__ import annotations

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
