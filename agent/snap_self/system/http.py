"""The HTTP adapter over ``requests``: nothing of the environment, bounded in bytes and time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from snap_self import __version__
from snap_self.ports import HttpFailed, HttpRequest, HttpResponse

if TYPE_CHECKING:
    import requests

POOL_SIZE = 10
CHUNK_BYTES = 16384


class RequestsTransport:
    """Implement ``ports.HttpTransport`` with one kept-alive session.

    Proxies, ``.netrc`` and CA variables of the environment are ignored, redirects are answers,
    cookies are neither kept nor sent. Safe to use from several threads.

    Args:
        ca_bundle: file of CA certificates; empty for those that come with ``requests``.
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

        The exchange runs on a thread of its own: neither a name lookup nor an answer that comes
        in drops has a time limit that a socket time-out could enforce.

        Raises:
            HttpFailed: no answer, a longer body than allowed, or the time ran out.
        """
        box: list[HttpResponse | HttpFailed] = []
        worker = threading.Thread(target=self._work, args=(request, box), daemon=True)
        worker.start()
        worker.join(request.total_s)
        if not box:
            raise HttpFailed(f"{shown_url(request.url)}: no whole answer in {request.total_s:g} s")
        if isinstance(box[0], HttpFailed):
            raise box[0]
        return box[0]

    def close(self) -> None:
        """Close the kept connections."""
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
        except foreign as error:
            # The foreign text holds the whole URL, and STS and credential URLs can hold secrets.
            raise HttpFailed(f"{shown_url(request.url)}: {_reason(error)}") from None

    def _session(self) -> requests.Session:
        with self._lock:
            if self._made is None:
                self._made = _new_session(self._ca_bundle)
            return self._made


def shown_url(url: str) -> str:
    """Return scheme, host, port and path; what else a URL holds may be secret."""
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
    from requests.adapters import HTTPAdapter
    from requests.structures import CaseInsensitiveDict

    # At level DEBUG it logs each URL with its query, which holds signatures and secrets.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)
    session = requests.Session()
    session.trust_env = False
    session.proxies = {}
    session.verify = ca_bundle or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = CaseInsensitiveDict(
        {"User-Agent": f"snap-self/{__version__}", "Accept-Encoding": "identity"}
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=POOL_SIZE, max_retries=0))
    return session


def _body(answer: requests.Response, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := answer.raw.read(CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > max_bytes:
            message = f"{shown_url(answer.url)}: answer longer than {max_bytes} bytes"
            raise HttpFailed(message)
    return bytes(body)


def _reason(error: BaseException) -> str:
    """Return why, in words that cannot hold anything of the request."""
    chain = list(_chain(error))
    names = {type(link).__name__ for link in chain}
    if "SSLError" in names or "SSLCertVerificationError" in names:
        return "TLS failed (certificate not trusted, or not a TLS server)"
    if names & {"NameResolutionError", "gaierror"}:
        return "host name not known"
    if names & {"ConnectTimeout", "ConnectTimeoutError"}:
        return "no connection in time"
    if names & {"ReadTimeout", "ReadTimeoutError"}:
        return "no answer in time"
    numbers = [link.errno for link in chain if isinstance(link, OSError) and link.errno]
    if numbers:
        return os.strerror(numbers[-1])
    return f"no usable answer ({type(error).__name__})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what led to it, nearest first; the libraries also nest in ``args``."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
