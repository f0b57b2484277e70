"""Request signatures: RPC signature version 1.0 (HMAC-SHA1) and ACS3-HMAC-SHA256. Pure.

Source: "Request syntax and signature method V1.0/V3" of the Alibaba Cloud SDK documentation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

V3_ALGORITHM = "ACS3-HMAC-SHA256"


def encode(text: str) -> str:
    """Return ``text`` percent-encoded; only letters, digits and ``-_.~`` stay."""
    return quote(text, safe="~")


def v1_string_to_sign(method: str, params: Mapping[str, str]) -> str:
    """Return what signature version 1.0 signs: all parameters except ``Signature``, sorted."""
    pairs = sorted((k, v) for k, v in params.items() if k != "Signature")
    canonical = "&".join(f"{encode(k)}={encode(v)}" for k, v in pairs)
    return f"{method}&%2F&{encode(canonical)}"


def v1_signature(secret: str, string_to_sign: str) -> str:
    """Return the base64 HMAC-SHA1 of a string under ``secret`` + ``&``."""
    digest = hmac.new(f"{secret}&".encode(), string_to_sign.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class V3Authorization:
    """The parts of an ``Authorization: ACS3-HMAC-SHA256 ...`` header."""

    access_key_id: str
    signed_headers: tuple[str, ...]
    signature: str


def parse_v3_authorization(header: str) -> V3Authorization | None:
    """Return the header's parts, or None when it is not a well-formed one."""
    algorithm, _, rest = header.partition(" ")
    if algorithm != V3_ALGORITHM:
        return None
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        name, equals, value = piece.strip().partition("=")
        if not equals:
            return None
        parts[name] = value
    if not all(parts.get(name) for name in ("Credential", "SignedHeaders", "Signature")):
        return None
    return V3Authorization(
        access_key_id=parts["Credential"],
        signed_headers=tuple(parts["SignedHeaders"].split(";")),
        signature=parts["Signature"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class V3Request:
    """What signature version 3 covers; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    payload_sha256: str


def v3_canonical_request(request: V3Request, signed_headers: Sequence[str]) -> str:
    """Return the canonical request; its hash is signed."""
    query = "&".join(f"{encode(k)}={encode(v)}" for k, v in sorted(request.query.items()))
    lines = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed_headers)
    return "\n".join(
        (
            request.method,
            quote(request.path or "/", safe="/~"),
            query,
            lines,
            ";".join(signed_headers),
            request.payload_sha256,
        )
    )


def v3_string_to_sign(canonical_request: str) -> str:
    """Return the algorithm's name and the canonical request's hash."""
    return f"{V3_ALGORITHM}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"


def v3_signature(secret: str, string_to_sign: str) -> str:
    """Return the hexadecimal HMAC-SHA256 of a string under ``secret``."""
    return hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


def same(left: str, right: str) -> bool:
    """Tell whether two signatures are equal."""
    return hmac.compare_digest(left.encode(), right.encode())
