"""Identity and metadata access against the simulated ECS over real sockets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ecs_simulator import DiskConfig, InstanceConfig, Simulator, SimulatorConfig
from fakes.clock import FakeClock
from snap_self.errors import MetadataAbsent, MetadataRefused
from snap_self.instance.identity import read_identity
from snap_self.instance.metadata import MetadataClient
from snap_self.system.net.http import RequestsTransport

DISKS = (DiskConfig(disk_id="d-bp1aaa"), DiskConfig(disk_id="d-bp1bbb"), DiskConfig(serial=""))

Start = Callable[..., Simulator]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*, limit_per_s: int = 0, **instance: object) -> Simulator:
            made = InstanceConfig(instance_id="i-bp1self", disks=DISKS, **instance)  # type: ignore[arg-type]
            config = SimulatorConfig(instances=(made,), metadata_limit_per_s=limit_per_s)
            return stack.enter_context(Simulator(config))

        yield begin


@pytest.fixture
def transport() -> Iterator[RequestsTransport]:
    made = RequestsTransport()
    yield made
    made.close()


def client(
    transport: RequestsTransport, cloud: Simulator, *, plain_allowed: bool = True
) -> MetadataClient:
    return MetadataClient(
        transport, FakeClock(), base_url=cloud.metadata_url, plain_allowed=plain_allowed
    )


@pytest.mark.parametrize("http_tokens", ["optional", "required"])
def test_identity_when_either_mode_is_set_then_is_read_with_a_token(
    start: Start, transport: RequestsTransport, http_tokens: str
) -> None:
    found = read_identity(client(transport, start(http_tokens=http_tokens)))
    assert (found.instance_id, found.region) == ("i-bp1self", "cn-hangzhou")
    assert (found.source, found.mode) == ("identity document", "token")
    assert found.account == "1234567890123456"


def test_identity_when_disks_have_serials_then_they_are_mapped(
    start: Start, transport: RequestsTransport
) -> None:
    found = read_identity(client(transport, start()))
    assert found.serial_to_disk == {"bp1aaa": "d-bp1aaa", "bp1bbb": "d-bp1bbb"}


def test_read_when_all_tokens_end_then_goes_on_with_a_new_one(
    start: Start, transport: RequestsTransport
) -> None:
    cloud = start(http_tokens="required")
    metadata = client(transport, cloud)
    metadata.get("meta-data/instance-id")
    cloud.metadata.expire_tokens()
    assert metadata.get("meta-data/instance-id") == "i-bp1self"


@pytest.mark.parametrize("plain_allowed", [True, False])
def test_read_when_the_endpoint_is_disabled_then_names_that_meaning(
    start: Start, transport: RequestsTransport, *, plain_allowed: bool
) -> None:
    metadata = client(transport, start(http_endpoint="disabled"), plain_allowed=plain_allowed)
    with pytest.raises(MetadataRefused, match="403") as caught:
        metadata.get("meta-data/instance-id")
    assert "disabled" in caught.value.hint


def test_read_when_the_item_is_absent_then_says_so(
    start: Start, transport: RequestsTransport
) -> None:
    with pytest.raises(MetadataAbsent):
        client(transport, start()).get("user-data")


def test_read_when_throttled_then_ends_in_a_clear_error(
    start: Start, transport: RequestsTransport
) -> None:
    cloud = start(limit_per_s=1)
    cloud.metadata.answer("GET", "/", {})
    metadata = client(transport, cloud)
    with pytest.raises(MetadataRefused, match="429"):
        metadata.get("meta-data/instance-id")
