"""The metadata services of all instances of a cloud, each at an address of loopback of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import unquote

from ecs_simulator.metadata import Metadata
from ecs_simulator.peers import Peers
from ecs_simulator.servers import Answer, HttpIn, HttpOut, Listener, Service
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
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for number, name in enumerate(instance_ids, start=1):
            service = Service(answer=_answer_of(simulator, name), admits=Peers().admits)
            listener = Listener((f"127.0.1.{number}", 0), service)
            listener.start()
            stack.callback(listener.stop)
            urls[name] = f"http://{listener.host}:{listener.port}"
        yield urls


def _answer_of(simulator: Simulator, instance_id: str) -> Answer:
    service = Metadata(simulator.cloud, instance_id=instance_id)

    def answer(request: HttpIn) -> HttpOut:
        reply = service.answer(request.method, unquote(request.path), request.headers)
        return HttpOut(status=reply.status, body=reply.body, content_type=reply.content_type)

    return answer
