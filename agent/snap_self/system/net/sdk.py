"""The adapter over aliyun-python-sdk: it builds, signs and sends; it does not judge answers.

What the SDK (core 2.16.1) would do by default, and what this module does about it:

* It turns every transport error into text with the whole signed URL, and its parser of error
  answers fails on several bodies (no colon in a SignatureDoesNotMatch message, not UTF-8, a JSON
  number). So it sends through ``Line``, which keeps the answer and raises our own errors.
* A pair ALIYUN_ACCESS_KEY_ID/_SECRET in the environment overrides ``credential=``. Only a key given
  as ``ak`` and ``secret`` overrides that pair, so the token is given as the request parameter.
* It uses HTTP(S)_PROXY and ignores NO_PROXY, unless the proxies are given as None by name.
* Plain HTTP is the default, and it recognises HTTPS by the identity of one constant.
* It makes TLS contexts and compares host names in ways that Python has deprecated, so it gets a
  context that does both.
* It puts all parameters, also the security token and the signature, into the URL even of a POST,
  where the log of a gateway in between keeps them. They are moved to the body, as in Alibaba
  Cloud's SDK for Node.js; the signature covers them in either place.
* Its loggers print headers and URLs to stderr if DEBUG=sdk is set.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snap_self.model.actions import ACTIONS, Action, Policy
from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.model.snapshots import Credentials
from snap_self.system.applications.peers import PeerRefused, checked_pool
from snap_self.system.net.netfault import describe
from snap_self.system.net.tls import client_context

CONNECT_S = 5.0
POOL_SIZE = 16
# A full page of DescribeDisks is about 200 KB.
MAX_BYTES = 8 * 1024 * 1024
KEPT_CLIENTS = 4
FORM = "application/x-www-form-urlencoded"
# Debian and Alpine; Red Hat, Alibaba Cloud Linux and Anolis; SUSE; an older place on Debian.
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
    """An answer as received; header names are in lower case."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def warm() -> None:
    """Import everything a call needs, so that no call imports anything."""
    import importlib

    _leave_rsa_aside()
    importlib.import_module("aliyunsdkcore.client")
    for action in ACTIONS.values():
        # What only makes disks, or goes back, is not called while something is frozen.
        if action.policy not in (Policy.RESTORE, Policy.ROLLBACK):
            importlib.import_module(action.sdk_module)
    # Otherwise the codec for host names is loaded at the first connection.
    "localhost".encode("idna")
    _silence()


def system_ca_bundle() -> str:
    """Return the system's file of CA certificates; empty if no known place has one."""
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
            # The command that the agent ran upgraded or removed the agent itself.
            reason = f"the agent's own files are gone: {type(lost).__name__}"
            raise NoAnswer(_own_fault(reason)) from None
        for name, value in params.items():
            request.add_query_param(name, value)
        if credentials.security_token:
            request.add_query_param("SecurityToken", credentials.security_token)
        try:
            client.do_action_with_exception(request)
        except ClientException:
            # Its text may hold the URL. Nothing was sent: the SDK does not catch the line's errors.
            reason = "the SDK refused to send the request"
            raise NoAnswer(_own_fault(reason)) from None
        return line.take()

    def close(self) -> None:
        with self._lock:
            for _, line in self._clients.values():
                line.close()
            self._clients.clear()

    def _request(self, action: str, timeout_s: float) -> Any:
        from aliyunsdkcore.http import protocol_type

        request = _new_request(ACTIONS[action])
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
        client.session.mount("http://", _plain_adapter())
        line = Line(client.session)
        client.session = line
        return client, line


def _new_request(action: Action) -> Any:
    """Return the SDK's request; where no package has one, what those are all made of."""
    import importlib

    if action.sdk_module:
        return getattr(importlib.import_module(action.sdk_module), f"{action.name}Request")()
    from aliyunsdkcore.request import RpcRequest

    make: Any = RpcRequest  # the SDK has no types
    return make(action.product, action.version, action.name)


@dataclass(frozen=True, slots=True)
class _Shown:
    """The empty successful answer that the SDK gets instead of the real one."""

    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b"{}"


class Line:
    """Replaces the SDK's session: it sends, and keeps each answer for the thread that asked."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._kept = threading.local()
        self.cookies = session.cookies

    def prepare_request(self, request: Any) -> Any:
        """Return the prepared request with its parameters in the body."""
        request.url, _, request.data = request.url.partition("?")
        request.headers["Content-Type"] = FORM
        return self._session.prepare_request(request)

    def send(self, prepared: Any, **options: Any) -> _Shown:
        """Exchange request and answer.

        Raises:
            NoAnswer: there was none, or it was too large. It is not an IOError, which the SDK
                would swallow.
        """
        from aliyunsdkcore.vendored import requests
        from aliyunsdkcore.vendored.requests.packages import urllib3

        foreign = (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
            PeerRefused,
        )
        try:
            with self._session.send(prepared, **{**options, "stream": True}) as answer:
                body = answer.raw.read(MAX_BYTES + 1, decode_content=False)
                status = answer.status_code
                headers = {name.lower(): value for name, value in answer.headers.items()}
        except foreign as error:
            raise NoAnswer(describe(error)) from None
        if len(body) > MAX_BYTES:
            reason = f"the answer is longer than {MAX_BYTES} bytes"
            raise NoAnswer(NetFault(reason=reason, unsent=False, way=NoWay.STRANGER))
        self._kept.answer = RawAnswer(status=status, body=body, headers=headers)
        return _Shown()

    def take(self) -> RawAnswer:
        """Return the answer to this thread's last call; only once."""
        answer: RawAnswer = self._kept.answer
        del self._kept.answer
        return answer

    def close(self) -> None:
        self._session.close()


def _plain_adapter() -> Any:
    from aliyunsdkcore.vendored.requests.adapters import HTTPAdapter
    from aliyunsdkcore.vendored.requests.packages.urllib3 import connectionpool

    make: Any = HTTPAdapter  # the SDK has no types
    adapter = make(pool_maxsize=POOL_SIZE)
    adapter.poolmanager.pool_classes_by_scheme = {"http": checked_pool(connectionpool)}
    return adapter


def _own_fault(reason: str) -> NetFault:
    return NetFault(reason=reason, unsent=True, lasting=True, way=NoWay.OWN)


def _https_adapter(host: str) -> Any:
    from functools import partial

    from aliyunsdkcore.vendored.requests.adapters import HTTPAdapter

    context: Any = client_context()
    # The SDK's urllib3 passes no name for an address; with one, the TLS library checks it too.
    context.wrap_socket = partial(context.wrap_socket, server_hostname=host)
    make: Any = HTTPAdapter  # the SDK has no types
    adapter = make()
    adapter.init_poolmanager(1, POOL_SIZE, ssl_context=context)
    return adapter


def _leave_rsa_aside() -> None:
    """Make the SDK load its RSA signing module only when it uses it, which is never.

    That module loads ``cryptography``, which takes 8 MiB of memory.
    """
    import importlib
    from importlib.util import LazyLoader, find_spec, module_from_spec

    package = importlib.import_module("aliyunsdkcore.auth.algorithm")
    spec = find_spec(f"{package.__name__}.sha_hmac256")
    if spec is None or spec.loader is None or hasattr(package, "sha_hmac256"):
        return  # another version of the SDK, or loaded already
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # `from package import module` takes the package's attribute.
    package.sha_hmac256 = module  # type: ignore[attr-defined]


def _silence() -> None:
    for name, logger in tuple(logging.root.manager.loggerDict.items()):
        if name.startswith("aliyunsdk") and isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.setLevel(logging.CRITICAL + 1)
