"""One running simulated cloud: its listeners, and what a test may ask and change."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from urllib.parse import parse_qsl, unquote

from ecs_simulator.api import Api
from ecs_simulator.authenticate import ApiRequest
from ecs_simulator.clock import SystemClock
from ecs_simulator.cloud import Cloud
from ecs_simulator.config import SimulatorConfig
from ecs_simulator.faults import CallRecord, Fault
from ecs_simulator.metadata import Metadata
from ecs_simulator.ports import NoStorage, Storage
from ecs_simulator.servers import HttpIn, HttpOut, Listener
from ecs_simulator.state import State

TlsContexts = Callable[[str], ssl.SSLContext]


class Simulator:
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
        self.config = config or SimulatorConfig()
        self.clock = SystemClock()
        self.cloud = Cloud(config=self.config, clock=self.clock, storage=storage or NoStorage())
        self._stopping = threading.Event()
        self.api = Api(self.cloud, stopping=self._stopping)
        self.metadata = Metadata(self.cloud)
        self.certificate = "good"
        self._tls = tls
        self._listeners: dict[str, Listener] = {}

    def start(self) -> Simulator:
        """Open all listeners and begin answering; return itself."""
        config = self.config
        host = config.host
        self._listeners["metadata"] = Listener(
            host=host, port=config.metadata_port, answer=self._answer_metadata
        )
        self._listeners["ecs"] = Listener(host=host, port=config.ecs_port, answer=self._answer_api)
        if self._tls is not None:
            tls = self._tls
            self._listeners["ecs_tls"] = Listener(
                host=host,
                port=config.ecs_tls_port,
                answer=self._answer_api,
                tls=lambda: tls(self.certificate),
            )
        self.cloud.agenda.start()
        for listener in self._listeners.values():
            listener.start()
        return self

    def stop(self) -> None:
        """Close all listeners and connections; calls under way get no answer."""
        self._stopping.set()
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
        return f"{scheme}://{self.config.host}:{self._listeners[name].port}"

    @property
    def metadata_url(self) -> str:
        """Return the metadata service's base URL."""
        return self._url("metadata")

    @property
    def ecs_url(self) -> str:
        """Return the API's base URL over plain HTTP."""
        return self._url("ecs")

    @property
    def ecs_tls_url(self) -> str:
        """Return the API's base URL over HTTPS; empty without certificates."""
        return self._url("ecs_tls", "https") if "ecs_tls" in self._listeners else ""

    @property
    def state(self) -> State:
        """Return the cloud's resources."""
        return self.cloud.state

    @property
    def calls(self) -> list[CallRecord]:
        """Return all API calls so far."""
        return self.api.calls.all()

    def inject(self, fault: Fault) -> None:
        """Queue a fault."""
        self.api.faults.add(fault)

    def secrets(self) -> frozenset[str]:
        """Return every secret ever handed out, and every signature received."""
        return self.cloud.keys.secrets()

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
        reply = self.metadata.answer(request.method, unquote(request.path), request.headers)
        return HttpOut(status=reply.status, body=reply.body, content_type=reply.content_type)
