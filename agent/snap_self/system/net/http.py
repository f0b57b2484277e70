"""The HTTP adapter over ``requests``: it ignores the environment and limits bytes and time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from snap_self import __version__
from snap_self.model.addresses import OTHERS_LISTENER
from snap_self.ports import HttpFailed, HttpRequest, HttpResponse
from snap_self.threads.thread import Thread

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

POOL_SIZE = 10
CHUNK_BYTES = 16384


class RequestsTransport:
    """Implement ``ports.HttpTransport`` with one kept-alive session.

    It ignores the environment's proxies, ``.netrc`` and CA variables, returns redirects as
    answers, and neither keeps nor sends cookies. It is safe to use from several threads.

    Args:
        ca_bundle: file of CA certificates; empty for those bundled with ``requests``.
    """

    def __init__(self, *, ca_bundle: str = "") -> None:
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._made: requests.Session | None = None

    def warm(self) -> None:
        """Do the slow import now instead of at the first request."""
        self._session()

    def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer.

        The exchange runs on its own thread: a socket time-out can limit neither a name lookup nor
        an answer that trickles in.

        Raises:
            HttpFailed: no answer, a body that is too long, or the time ran out.
        """
        box: list[HttpResponse | HttpFailed] = []
        worker = Thread(target=self._work, args=(request, box), daemon=True)
        worker.start()
        worker.join(request.total_s)
        if not box:
            raise _failed(request.url, f"no whole answer in {request.total_s:g} s")
        if isinstance(box[0], HttpFailed):
            raise box[0]
        return box[0]

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    def _work(self, request: HttpRequest, box: list[HttpResponse | HttpFailed]) -> None:
        try:
            box.append(self._exchange(request))
        except HttpFailed as failed:
            box.append(failed)

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        import requests
        import urllib3.exceptions

        from snap_self.system.applications.peers import PeerRefused
        from snap_self.system.net.netfault import describe

        foreign = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
        try:
            with self._session().request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,
                timeout=request.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = _body(answer, request.max_bytes)
                return HttpResponse(
                    status=answer.status_code, headers=dict(answer.headers), body=body
                )
        except PeerRefused as refused:
            raise _failed(
                request.url, refused.reason, hint=OTHERS_LISTENER, lasting=refused.lasting
            ) from None
        except foreign as error:
            # The library's text holds the whole URL, and STS and credential URLs can hold secrets.
            raise _failed(request.url, describe(error).reason) from None

    def _session(self) -> requests.Session:
        with self._lock:
            if self._made is None:
                self._made = _new_session(self._ca_bundle)
            return self._made


def _failed(url: str, reason: str, *, hint: str = "", lasting: bool = False) -> HttpFailed:
    return HttpFailed(f"{shown_url(url)}: {reason}", hint=hint, lasting=lasting, reason=reason)


def shown_url(url: str) -> str:
    """Return scheme, host, port and path; the rest of a URL may be secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "malformed URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _new_session(ca_bundle: str) -> requests.Session:
    import logging
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.structures import CaseInsensitiveDict

    # At level DEBUG urllib3 logs each URL with its query, which holds signatures and secrets.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)

    class Session(requests.Session):
        """Takes no answer for a redirect: the library reads one whole, however long it is."""

        def get_redirect_target(self, _answer: requests.Response) -> None:
            return None

    session = Session()
    session.trust_env = False
    session.proxies = {}
    session.verify = ca_bundle or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = CaseInsensitiveDict(
        {"User-Agent": f"snap-self/{__version__}", "Accept-Encoding": "identity"}
    )
    session.mount("http://", _plain_adapter())
    session.mount("https://", _https_adapter())
    return session


def _plain_adapter() -> HTTPAdapter:
    import urllib3.connectionpool
    from requests.adapters import HTTPAdapter

    from snap_self.system.applications.peers import checked_pool

    adapter = HTTPAdapter(pool_maxsize=POOL_SIZE, max_retries=0)
    pools = {"http": checked_pool(urllib3.connectionpool)}
    adapter.poolmanager.pool_classes_by_scheme = pools
    return adapter


def _https_adapter() -> HTTPAdapter:
    from requests.adapters import HTTPAdapter

    from snap_self.system.net.tls import client_context

    adapter = HTTPAdapter(max_retries=0)
    adapter.init_poolmanager(POOL_SIZE, POOL_SIZE, ssl_context=client_context())
    return adapter


def _body(answer: requests.Response, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := answer.raw.read(CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > max_bytes:
            raise _failed(answer.url, f"answer longer than {max_bytes} bytes")
    return bytes(body)
