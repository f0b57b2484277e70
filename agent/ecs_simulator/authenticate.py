"""Finds who sent a request; checks time, key, security token, signature and nonce in this order.

Source: common error codes of the ECS API; signature methods V1.0 and V3.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecs_simulator import signature
from ecs_simulator.clock import Clock, parse_iso
from ecs_simulator.errors import ApiError
from ecs_simulator.keys import Key, KeyStore, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One HTTP request to the API; header names in lower case, ``params`` are query and form."""

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class NonceStore:
    """Remembers nonces for as long as their timestamp would be accepted."""

    def __init__(self, *, clock: Clock, window_s: float) -> None:
        self._clock = clock
        self._window_s = window_s
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._swept_at = clock.monotonic()

    def use(self, access_key_id: str, nonce: str) -> bool:
        """Return whether the nonce is new, and remember it."""
        now = self._clock.monotonic()
        name = f"{access_key_id} {nonce}"
        with self._lock:
            if now - self._swept_at > self._window_s:
                self._seen = {k: t for k, t in self._seen.items() if now - t < 2 * self._window_s}
                self._swept_at = now
            if name in self._seen:
                return False
            self._seen[name] = now
            return True


class Authenticator:
    """Turns a signed request into a principal, or refuses it."""

    def __init__(
        self, *, keys: KeyStore, clock: Clock, window_s: float, sts_expiry: bool = True
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._window_s = window_s
        self._nonces = NonceStore(clock=clock, window_s=window_s)
        self.sts_expiry = sts_expiry

    def identify(self, request: ApiRequest) -> Principal:
        """Return who sent the request.

        Raises:
            ApiError: the signature, nonce, time, key or token is not right.
        """
        if request.headers.get("authorization", "").startswith("ACS3-"):
            return self._identify_v3(request)
        return self._identify_v1(request)

    def _identify_v1(self, request: ApiRequest) -> Principal:
        params = request.params
        key_id = _needed(params, "AccessKeyId")
        nonce = _needed(params, "SignatureNonce")
        given = params.get("Signature", "")
        if not given:
            raise ApiError("IncompleteSignature")
        self._check_method(params)
        self._check_time(params.get("Timestamp", ""))
        key = self._key(key_id, params.get("SecurityToken", ""))
        to_sign = signature.v1_string_to_sign(request.method, params)
        self._keys.remember_secret(given)
        if not signature.same(signature.v1_signature(key.secret, to_sign), given):
            raise _mismatch(to_sign)
        self._check_nonce(key_id, nonce)
        return key.principal

    def _identify_v3(self, request: ApiRequest) -> Principal:
        headers = request.headers
        parts = signature.parse_v3_authorization(headers["authorization"])
        if parts is None or not _covers(headers, parts.signed_headers):
            raise ApiError("IncompleteSignature")
        nonce = _needed(headers, "x-acs-signature-nonce")
        self._check_time(headers.get("x-acs-date", ""))
        payload = hashlib.sha256(request.body).hexdigest()
        if headers.get("x-acs-content-sha256") != payload:
            raise ApiError(
                "InvalidParameter.ContentSha256", "The x-acs-content-sha256 is not the payload's."
            )
        key = self._key(parts.access_key_id, headers.get("x-acs-security-token", ""))
        canonical = signature.v3_canonical_request(
            signature.V3Request(
                method=request.method,
                path=request.path,
                query=request.query,
                headers=headers,
                payload_sha256=payload,
            ),
            parts.signed_headers,
        )
        to_sign = signature.v3_string_to_sign(canonical)
        self._keys.remember_secret(parts.signature)
        if not signature.same(signature.v3_signature(key.secret, to_sign), parts.signature):
            raise _mismatch(f"{to_sign}, server canonical request is:[{canonical}]")
        self._check_nonce(parts.access_key_id, nonce)
        return key.principal

    def _check_method(self, params: Mapping[str, str]) -> None:
        if params.get("SignatureMethod", "HMAC-SHA1").upper() != "HMAC-SHA1":
            raise ApiError("InvalidParameter.SignatureMethod", "SignatureMethod is not valid.")
        if params.get("SignatureVersion", "1.0") != "1.0":
            raise ApiError("InvalidParameter.SignatureVersion", "SignatureVersion is not valid.")

    def _check_time(self, text: str) -> None:
        if not text:
            raise ApiError("IllegalTimestamp")
        instant = parse_iso(text)
        if instant is None:
            raise ApiError("InvalidTimeStamp.Format")
        if abs(instant - self._clock.now()) > self._window_s:
            raise ApiError("InvalidTimeStamp.Expired")

    def _check_nonce(self, key_id: str, nonce: str) -> None:
        if not self._nonces.use(key_id, nonce):
            raise ApiError("SignatureNonceUsed")

    def _key(self, key_id: str, token: str) -> Key:
        key = self._keys.find(key_id)
        if key is None:
            raise ApiError("InvalidAccessKeyId.NotFound")
        if not key.active:
            raise ApiError("InvalidAccessKeyId.Inactive")
        if key.token and not token:
            raise ApiError("MissingSecurityToken")
        if token and token != key.token:
            owner = self._keys.owner_of(token)
            kind = "Malformed" if owner is None else "MismatchWithAccessKey"
            raise ApiError(f"InvalidSecurityToken.{kind}")
        expired = key.expires_at is not None and key.expires_at <= self._clock.now()
        if expired and self.sts_expiry:
            raise ApiError("InvalidSecurityToken.Expired")
        return key


def _needed(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "")
    if not value:
        text = f'The input parameter "{name}" that is mandatory for processing this request'
        raise ApiError("MissingParameter", f"{text} is not supplied.")
    return value


def _covers(headers: Mapping[str, str], signed: tuple[str, ...]) -> bool:
    """Tell whether the signature covers the host and every ``x-acs-`` header."""
    needed = {name for name in headers if name.startswith("x-acs-")} | {"host"}
    return needed <= set(signed) and list(signed) == sorted(signed)


def _mismatch(string_to_sign: str) -> ApiError:
    # The first Python SDK takes the string after the first colon and compares it with its own.
    return ApiError(
        "SignatureDoesNotMatch",
        "Specified signature is not matched with our calculation. "
        f"server string to sign is:{string_to_sign}",
    )
