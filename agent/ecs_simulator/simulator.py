"""One running simulated cloud: the listeners and the parts that answer."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl, unquote

from ecs_simulator import control_api
from ecs_simulator.authenticate import ApiRequest
from ecs_simulator.config import SimulatorConfig
from ecs_simulator.controls import Controls
from ecs_simulator.faults import METADATA
from ecs_simulator.oos import keeping
from ecs_simulator.peers import Peers
from ecs_simulator.ports import Storage
from ecs_simulator.servers import HttpIn, HttpOut, Listener, Service

CONTROL_SOCKET = "control.sock"
TlsContexts = Callable[[str], ssl.SSLContext]


class Simulator(Controls):
    """A simulated cloud; ``with Simulator(...) as cloud`` starts and stops it.

    Args:
        tls: returns the server's context for a kind of certificate: ``good``, ``untrusted``,
            ``expired`` or ``wrong_name``; without it there is no HTTPS listener.
        executions: a file that OOS keeps its executions and templates in, for the next simulator
            that is given it; all other resources begin anew. A ClientToken is not remembered.
        control_dir: a folder that nobody else can enter, for the control service's socket; without
            it there is no control service.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        storage: Storage | None = None,
        tls: TlsContexts | None = None,
        control_dir: Path | None = None,
        executions: Path | None = None,
    ) -> None:
        super().__init__(config, storage=storage)
        if executions is not None:
            self.cloud.oos.go_on_with(keeping.load(executions), partial(keeping.save, executions))
        self._tls = tls
        self.control_socket = control_dir / CONTROL_SOCKET if control_dir else None
        self._peers = Peers(self.config.trust_peers_from)
        self._listeners: dict[str, Listener] = {}

    def start(self) -> Simulator:
        """Open all listeners and begin answering; return itself.

        Raises:
            OSError: an address or port cannot be used; then nothing stays open.
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
        config, admits = self.config, self._peers.admits
        metadata = Service(answer=self._answer_metadata, admits=admits)
        api = Service(answer=self._answer_api, admits=admits, idle_close_s=config.idle_close_s)
        self._listeners["metadata"] = Listener((config.host, config.metadata_port), metadata)
        self._listeners["ecs"] = Listener((config.host, config.ecs_port), api)
        if self._tls is not None:
            tls = self._tls
            secure = replace(api, tls=lambda: tls(self.certificate))
            self._listeners["ecs_tls"] = Listener((config.host, config.ecs_tls_port), secure)
        if self.control_socket is not None:
            # Nobody outside reaches it, no matter where the others listen.
            control = Service(answer=self._answer_control, admits=Peers().admits)
            self._listeners["control"] = Listener(self.control_socket, control)

    def stop(self) -> None:
        """Close all listeners and connections; running calls get no answer."""
        self.stopping.set()
        for listener in self._listeners.values():
            listener.stop()
        if "control" in self._listeners and self.control_socket is not None:
            self.control_socket.unlink(missing_ok=True)
        self.cloud.agenda.stop()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _url(self, name: str, scheme: str = "http") -> str:
        listener = self._listeners[name]
        return f"{scheme}://{listener.host}:{listener.port}"

    @property
    def metadata_url(self) -> str:
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
    def connections(self) -> int:
        """Return how many connections the API's listeners have taken so far."""
        names = ("ecs", "ecs_tls")
        return sum(self._listeners[name].accepted for name in names if name in self._listeners)

    def urls(self) -> dict[str, str]:
        """Return every base URL by name; the control service has a socket instead."""
        return {
            "metadata": self.metadata_url,
            "ecs": self.ecs_url,
            "ecs_tls": self.ecs_tls_url,
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
