"""Signs a call in the RPC style, version 1.0.

Source: Alibaba Cloud, "Request syntax and signature method V2 for RPC APIs" (HMAC-SHA1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote


def encode(text: str) -> str:
    """Percent-encode everything except RFC 3986's unreserved characters."""
    return quote(text, safe="~")


def encode_form(params: Mapping[str, str]) -> str:
    """Return parameters as a query or form, sorted."""
    return "&".join(f"{encode(key)}={encode(params[key])}" for key in sorted(params))


def sign(method: str, params: Mapping[str, str], secret: str) -> str:
    """Return the signature over all parameters of a request, also those in its body."""
    text = f"{method}&{encode('/')}&{encode(encode_form(params))}"
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
