"""The metadata services of all instances of a cloud, each at an address of loopback of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import unquote

from ecs_simulator.metadata import Metadata
from ecs_simulator.peers import Peers
from ecs_simulator.servers import HttpIn, HttpOut, Listener, Service
from ecs_simulator.simulator import Simulator

_MOST = 254


@contextmanager
def metadata_services(
    simulator: Simulator, instance_ids: Sequence[str]
) -> Iterator[Mapping[str, str]]:
    """Give the URL of each instance's metadata service, by instance id.

    Raises:
        ValueError: there are more than 254.
    """
    if len(instance_ids) > _MOST:
        raise ValueError(f"at most {_MOST} instances have a metadata service of their own")
    hosts = {f"127.0.1.{number}": name for number, name in enumerate(instance_ids, start=1)}
    services = {host: Metadata(simulator.cloud, instance_id=name) for host, name in hosts.items()}

    def answer(request: HttpIn) -> HttpOut:
        service = services[request.headers["host"].partition(":")[0]]
        reply = service.answer(request.method, unquote(request.path), request.headers)
        return HttpOut(status=reply.status, body=reply.body, content_type=reply.content_type)

    listener = Listener(("0.0.0.0", 0), Service(answer=answer, admits=Peers().admits))  # noqa: S104
    listener.start()
    try:
        yield {name: f"http://{host}:{listener.port}" for host, name in hosts.items()}
    finally:
        listener.stop()
