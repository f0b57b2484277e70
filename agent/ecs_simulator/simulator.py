"""One running simulated cloud: its listeners around the parts that answer."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import TracebackType
from urllib.parse import parse_qsl, unquote

from ecs_simulator import control_api
from ecs_simulator.authenticate import ApiRequest
from ecs_simulator.config import SimulatorConfig
from ecs_simulator.controls import Controls
from ecs_simulator.faults import METADATA
from ecs_simulator.ports import Storage
from ecs_simulator.servers import HttpIn, HttpOut, Listener

TlsContexts = Callable[[str], ssl.SSLContext]


class Simulator(Controls):
    """A simulated cloud; ``with Simulator(...) as cloud`` starts and stops it.

    Args:
        tls: gives the server's context for a kind of certificate: ``good``, ``untrusted``,
            ``expired`` or ``wrong_name``; without it there is no HTTPS listener.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        storage: Storage | None = None,
        tls: TlsContexts | None = None,
    ) -> None:
        super().__init__(config, storage=storage)
        self._tls = tls
        self._listeners: dict[str, Listener] = {}

    def start(self) -> Simulator:
        """Open all listeners and begin answering; return itself.

        Raises:
            OSError: an address or port cannot be used; nothing stays open then.
        """
        try:
            self._open()
        except OSError:
            self.stop()
            raise
        self.cloud.agenda.start()
        for listener in self._listeners.values():
            listener.start()
        return self

    def _open(self) -> None:
        config = self.config
        plain = (
            ("metadata", config.metadata_port, self._answer_metadata),
            ("ecs", config.ecs_port, self._answer_api),
            ("control", config.control_port, self._answer_control),
        )
        for name, port, answer in plain:
            # The control service stays on loopback wherever the others listen.
            host = "127.0.0.1" if name == "control" else config.host
            idle = config.idle_close_s if name == "ecs" else None
            self._listeners[name] = Listener(host=host, port=port, answer=answer, idle_close_s=idle)
        if self._tls is not None:
            tls = self._tls
            self._listeners["ecs_tls"] = Listener(
                host=config.host,
                port=config.ecs_tls_port,
                answer=self._answer_api,
                tls=lambda: tls(self.certificate),
                idle_close_s=config.idle_close_s,
            )

    def stop(self) -> None:
        """Close all listeners and connections; calls under way get no answer."""
        self.stopping.set()
        for listener in self._listeners.values():
            listener.stop()
        self.cloud.agenda.stop()

    def __enter__(self) -> Simulator:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _url(self, name: str, scheme: str = "http") -> str:
        listener = self._listeners[name]
        return f"{scheme}://{listener.host}:{listener.port}"

    @property
    def metadata_url(self) -> str:
        """Return the metadata service's base URL."""
        return self._url("metadata")

    @property
    def ecs_url(self) -> str:
        """Return the API's base URL over plain HTTP; STS answers there too."""
        return self._url("ecs")

    @property
    def ecs_tls_url(self) -> str:
        """Return the API's base URL over HTTPS; empty without certificates."""
        return self._url("ecs_tls", "https") if "ecs_tls" in self._listeners else ""

    @property
    def control_url(self) -> str:
        """Return the control service's base URL."""
        return self._url("control") + control_api.PREFIX.rstrip("/")

    def urls(self) -> dict[str, str]:
        """Return every base URL by name."""
        return {
            "metadata": self.metadata_url,
            "ecs": self.ecs_url,
            "ecs_tls": self.ecs_tls_url,
            "control": self.control_url,
        }

    def _answer_api(self, request: HttpIn) -> HttpOut:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        params = dict(query)
        kind = request.headers.get("content-type", "")
        if request.body and kind.startswith("application/x-www-form-urlencoded"):
            text = request.body.decode("utf-8", "replace")
            params |= dict(parse_qsl(text, keep_blank_values=True))
        reply = self.api.answer(
            ApiRequest(
                method=request.method,
                path=unquote(request.path),
                query=query,
                params=params,
                headers=request.headers,
                body=request.body,
            )
        )
        return HttpOut(
            status=reply.status,
            body=reply.body,
            content_type=reply.content_type,
            headers=reply.headers,
            send=reply.send,
        )

    def _answer_metadata(self, request: HttpIn) -> HttpOut:
        path = unquote(request.path)
        fault = self.api.faults.take(f"metadata:{path}")
        if fault is not None:
            broken = self.api.strike_metadata(fault)
            if broken is not None:
                return HttpOut(
                    status=broken.status,
                    body=broken.body,
                    content_type="text/html",
                    send=broken.send,
                )
        self.stopping.wait(self.api.latencies.of(METADATA))
        reply = self.metadata.answer(request.method, path, request.headers)
        return HttpOut(status=reply.status, body=reply.body, content_type=reply.content_type)

    def _answer_control(self, request: HttpIn) -> HttpOut:
        status, body = control_api.answer(
            self, self.urls(), method=request.method, path=request.path, body=request.body
        )
        return HttpOut(status=status, body=body)
