"""The adapter over aliyun-python-sdk: it builds, signs and sends; it judges no answer.

What the SDK (core 2.16.1) would do by itself and what is done about it here:

* It turns every transport error into text with the whole signed URL, and its reading of error
  answers fails on several bodies (no colon in a SignatureDoesNotMatch message, not UTF-8, a JSON
  number). So it sends through ``Line``, which keeps the answer and raises errors of our own.
* A pair ALIYUN_ACCESS_KEY_ID/_SECRET in the environment beats ``credential=``. Only the key given
  as ``ak`` and ``secret`` beats that pair, and the token goes in as the parameter it becomes.
* HTTP(S)_PROXY are used and NO_PROXY is not, unless the proxies are given as None by name.
* Plain HTTP is the default, and HTTPS is recognised by the identity of one constant.
* It makes TLS contexts and compares host names in ways that Python has deprecated, so it is given
  a context that does both.
* Its loggers print headers and URLs to stderr where DEBUG=sdk is set.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snap_self.model.endpoint import Endpoint
from snap_self.model.snapshots import Credentials
from snap_self.system.netfault import NetFault, describe

ACTIONS = (
    "CreateSnapshot",
    "CreateSnapshotGroup",
    "DeleteSnapshot",
    "DeleteSnapshotGroup",
    "DescribeDisks",
    "DescribeInstances",
    "DescribeSnapshotGroups",
    "DescribeSnapshots",
    "ListTagResources",
    "ModifySnapshotAttribute",
    "TagResources",
)
CONNECT_S = 5.0
POOL_SIZE = 16
# A full page of DescribeDisks is about 200 KB.
MAX_BYTES = 8 * 1024 * 1024
KEPT_CLIENTS = 4
# Debian and Alpine; Red Hat, Alibaba Cloud Linux and Anolis; SUSE; the same as Debian's, older.
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class NoAnswer(Exception):
    """The exchange ended without an answer; the text holds no secret."""

    def __init__(self, fault: NetFault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """An answer as it came."""

    status: int
    body: bytes = field(repr=False)


def warm() -> None:
    """Import all that a call needs, so that none imports later."""
    import importlib

    importlib.import_module("aliyunsdkcore.client")
    for action in ACTIONS:
        importlib.import_module(f"aliyunsdkecs.request.v20140526.{action}Request")
    # The codec that host names go through is loaded at the first connection otherwise.
    "localhost".encode("idna")
    _silence()


def system_ca_bundle() -> str:
    """Return the system's file of CA certificates; empty if there is none in a known place."""
    return next((path for path in CA_BUNDLES if Path(path).is_file()), "")


class SdkSender:
    """Sends signed calls to one endpoint over kept-alive connections; safe from several threads.

    Args:
        ca_bundle: file of CA certificates; empty for the system's, or else the SDK's own.
    """

    def __init__(self, endpoint: Endpoint, *, region: str, ca_bundle: str = "") -> None:
        self._endpoint = endpoint
        self._region = region
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._clients: dict[Credentials, tuple[Any, Line]] = {}

    def send(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> RawAnswer:
        """Return the answer to one call, sent once.

        Raises:
            NoAnswer: there was none.
        """
        from aliyunsdkcore.acs_exception.exceptions import ClientException

        try:
            client, line = self._client(credentials)
            request = self._request(action, timeout_s)
        except (ImportError, OSError) as lost:
            # An upgrade or a removal of the agent itself, by the very command that it ran.
            reason = f"the agent's own files have gone: {type(lost).__name__}"
            raise NoAnswer(NetFault(reason=reason, unsent=True, lasting=True)) from None
        for name, value in params.items():
            request.add_query_param(name, value)
        if credentials.security_token:
            request.add_query_param("SecurityToken", credentials.security_token)
        try:
            client.do_action_with_exception(request)
        except ClientException:
            # Its text may hold the URL. Nothing was sent: what the line raises passes the SDK.
            reason = "the SDK refused to send the request"
            raise NoAnswer(NetFault(reason=reason, unsent=True, lasting=True)) from None
        return line.take()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for _, line in self._clients.values():
                line.close()
            self._clients.clear()

    def _request(self, action: str, timeout_s: float) -> Any:
        import importlib

        from aliyunsdkcore.http import protocol_type

        module = importlib.import_module(f"aliyunsdkecs.request.v20140526.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_method("POST")
        request.set_endpoint(self._endpoint.netloc)
        secure = self._endpoint.secure
        request.set_protocol_type(protocol_type.HTTPS if secure else protocol_type.HTTP)
        request.set_connect_timeout(min(CONNECT_S, timeout_s))
        request.set_read_timeout(timeout_s)
        return request

    def _client(self, credentials: Credentials) -> tuple[Any, Line]:
        with self._lock:
            found = self._clients.get(credentials)
            if found is None:
                found = self._new_client(credentials)
                while len(self._clients) >= KEPT_CLIENTS:
                    _, oldest = self._clients.pop(next(iter(self._clients)))
                    oldest.close()
                self._clients[credentials] = found
            return found

    def _new_client(self, credentials: Credentials) -> tuple[Any, Line]:
        warm()
        from aliyunsdkcore.client import AcsClient

        make: Any = AcsClient  # the SDK has no types
        client = make(
            ak=credentials.access_key_id,
            secret=credentials.access_key_secret,
            region_id=self._region,
            auto_retry=False,
            verify=self._ca_bundle or system_ca_bundle() or True,
            pool_size=POOL_SIZE,
            proxy={"http": None, "https": None},
        )
        client.session.trust_env = False  # no .netrc
        client.session.mount("https://", _https_adapter(self._endpoint.host))
        line = Line(client.session)
        client.session = line
        return client, line


@dataclass(frozen=True, slots=True)
class _Shown:
    """The empty good answer that the SDK is shown instead of the real one."""

    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b"{}"


class Line:
    """Stands where the SDK has its session: sends, and keeps the answer for its own thread."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._kept = threading.local()
        self.cookies = session.cookies
        self.prepare_request = session.prepare_request

    def send(self, prepared: Any, **options: Any) -> _Shown:
        """Exchange request and answer.

        Raises:
            NoAnswer: there was none, or one beyond the limit of size. No IOError, which the SDK
                would swallow.
        """
        from aliyunsdkcore.vendored import requests
        from aliyunsdkcore.vendored.requests.packages import urllib3

        foreign = (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        )
        try:
            with self._session.send(prepared, **{**options, "stream": True}) as answer:
                body = answer.raw.read(MAX_BYTES + 1, decode_content=False)
                status = answer.status_code
        except foreign as error:
            raise NoAnswer(describe(error)) from None
        if len(body) > MAX_BYTES:
            reason = f"the answer is longer than {MAX_BYTES} bytes"
            raise NoAnswer(NetFault(reason=reason, unsent=False))
        self._kept.answer = RawAnswer(status=status, body=body)
        return _Shown()

    def take(self) -> RawAnswer:
        """Return the answer that this thread's last call got, once."""
        answer: RawAnswer = self._kept.answer
        del self._kept.answer
        return answer

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


def _https_adapter(host: str) -> Any:
    import ssl
    from functools import partial

    from aliyunsdkcore.vendored.requests.adapters import HTTPAdapter

    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The SDK's urllib3 leaves an address unnamed; named, the TLS library checks it like a name.
    context.wrap_socket = partial(context.wrap_socket, server_hostname=host)
    make: Any = HTTPAdapter  # the SDK has no types
    adapter = make()
    adapter.init_poolmanager(1, POOL_SIZE, ssl_context=context)
    return adapter


def _silence() -> None:
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("aliyunsdk") and isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.setLevel(logging.CRITICAL + 1)
