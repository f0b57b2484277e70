"""The signed call to the ECS API: sent once, within a total time, and its answer judged."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from snap_self.cloud.window import told_s
from snap_self.model.endpoint import Endpoint, NoWay
from snap_self.model.snapshots import Credentials
from snap_self.ports import RpcFailed
from snap_self.system.net import sdk
from snap_self.system.net.sdk import NoAnswer, RawAnswer
from snap_self.threads.thread import Thread

MAX_MESSAGE = 400
REQUEST_ID = "x-acs-request-id"
# Codes after which the call, or an earlier one with its token, may have taken effect, whatever the
# HTTP status. Source: ECS API reference, common error codes.
OPEN_OUTCOME = frozenset(
    {"InternalError", "UnknownError", "IdempotentProcessing", "LastTokenProcessing"}
)

# The server repeats the string it signed, with the token in it, in signature errors.
_SIGNED_STRING = re.compile(r"(string to sign is:).*", re.IGNORECASE | re.DOTALL)
_URL_QUERY = re.compile(r"(https?://[^\s?]*)\?\S*", re.IGNORECASE)
_SECRET_PARAM = re.compile(
    r"(SecurityToken|Signature|AccessKeyId|AccessKeySecret)(=|%3D|\"?:\s*\"?)[^\s&\"]+",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Sender(Protocol):
    """Sends one signed request; the one for the real cloud is ``system.net.sdk.SdkSender``."""

    def send(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> RawAnswer:
        """Return the answer as it came.

        Raises:
            NoAnswer: there was none.
        """
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...


def warm() -> None:
    """Do the SDK's slow imports now."""
    sdk.warm()


class SdkRpc:
    """Implement ``ports.Rpc``; safe to use from several threads.

    Args:
        ca_bundle: file of CA certificates; empty for the system's.
        sender: another way to send, for tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        region: str,
        ca_bundle: str = "",
        sender: Sender | None = None,
    ) -> None:
        self._host = endpoint.host
        self._sender = sender or sdk.SdkSender(endpoint, region=region, ca_bundle=ca_bundle)

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the answer's JSON object.

        The exchange runs on a thread of its own, since neither a name lookup nor an answer that
        comes in drops is bounded by a socket's time-out. A thread left behind ends with the
        connection's own time-out; it may still send, so the outcome is open then.

        Raises:
            RpcFailed: there was no good answer.
        """
        box: list[RawAnswer | NoAnswer] = []

        def work() -> None:
            try:
                answer = self._sender.send(
                    action, params, timeout_s=timeout_s, credentials=credentials
                )
            except NoAnswer as failed:
                box.append(failed)
            else:
                box.append(answer)

        worker = Thread(target=work, name=f"rpc-{action}", daemon=True)
        worker.start()
        worker.join(timeout_s)
        running = worker.is_alive()  # asked first: whatever ended before this is in the box
        if not box and running:
            message = f"{self._host}: no whole answer in {timeout_s:.3g} s"
            raise self._silent(message, maybe_done=True, way=NoWay.SILENCE)
        if not box:
            raise RuntimeError(f"{action}: the exchange ended without an outcome")
        return self._outcome(box[0], credentials)

    def close(self) -> None:
        """Close idle connections."""
        self._sender.close()

    def _outcome(
        self, outcome: RawAnswer | NoAnswer, credentials: Credentials
    ) -> Mapping[str, Any]:
        if isinstance(outcome, RawAnswer):
            return judge(outcome, host=self._host, credentials=credentials)
        fault = outcome.fault
        raise self._silent(
            f"{self._host}: {fault.reason}",
            maybe_done=not fault.unsent,
            lasting=fault.lasting,
            way=fault.way,
        ) from None

    def _silent(
        self, message: str, *, maybe_done: bool, way: NoWay, lasting: bool = False
    ) -> RpcFailed:
        return RpcFailed(
            code="",
            http_status=0,
            message=message,
            maybe_done=maybe_done,
            lasting=lasting,
            host=self._host,
            way=way,
        )


def judge(answer: RawAnswer, *, host: str, credentials: Credentials) -> Mapping[str, Any]:
    """Return the JSON object of a good answer.

    Raises:
        RpcFailed: it is an error, or no JSON object.
    """
    body = _json_object(answer.body)
    good = 200 <= answer.status < 300
    if good and body is not None:
        return body
    code = _said(body, "Code") if body is not None else None
    if good or body is None or not isinstance(code, str) or not code:
        # Not from the API itself: a gateway, a proxy, a portal. What it hid is not known.
        raise RpcFailed(
            code="",
            http_status=answer.status,
            message=f"{host}: the answer is not one of the ECS API (HTTP status {answer.status})",
            maybe_done=True,
            host=host,
            way=NoWay.STRANGER,
            limited_s=told_s(answer.headers),
        )
    raise RpcFailed(
        code=clean(code, credentials),
        http_status=answer.status,
        message=clean(str(_said(body, "Message") or ""), credentials),
        request_id=clean(str(_said(body, "RequestId") or _request_id(answer)), credentials),
        maybe_done=answer.status >= 500 or code in OPEN_OUTCOME,
        host=host,
        limited_s=told_s(answer.headers),
    )


def _said(body: Mapping[str, Any], name: str) -> Any:
    """Return what an error says under a name; some gateways before the API write it small."""
    if name in body:
        return body[name]
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


def _request_id(answer: RawAnswer) -> str:
    """Return the id that the answer's headers tell; empty if none does."""
    told = (value for key, value in answer.headers.items() if key.lower() == REQUEST_ID)
    return next(told, "")


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def clean(text: str, credentials: Credentials) -> str:
    """Return an API text without keys, tokens, signatures, signed URLs and control characters."""
    text = _SIGNED_STRING.sub(r"\1 …", text)
    for secret in (
        credentials.security_token,
        credentials.access_key_secret,
        credentials.access_key_id,
    ):
        for form in _forms(secret):
            text = text.replace(form, "***")
    text = _URL_QUERY.sub(r"\1", text)
    text = _SECRET_PARAM.sub(r"\1\2***", text)
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _forms(secret: str) -> tuple[str, ...]:
    """Return a secret as it is and as it stands in a URL and in the string that is signed."""
    if not secret:
        return ()
    once = quote(secret, safe="~")
    return (quote(once, safe="~"), once, secret)
