"""Which host calls go to when hosts come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc, refusal
from snap_self.cloud.client import EcsClient
from snap_self.cloud.hosts import Hosts
from snap_self.errors import CloudUnreachable
from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.model.ids import InstanceId, RegionId
from snap_self.ports import Probed, RpcFailed

VPC, PUBLIC = Endpoint(host="ecs-vpc.example"), Endpoint(host="ecs.example")
INSTANCE = InstanceId("i-1")
GOOD: dict[str, Any] = {"Disks": {"Disk": []}}
LATE = NetFault(reason="no connection in 2 s", unsent=True, way=NoWay.CONNECTION)


def failed(host: Endpoint, way: NoWay, *, lasting: bool = False, status: int = 0) -> RpcFailed:
    message = f"{host.host}: {way.value}"
    return RpcFailed(
        code="",
        http_status=status,
        message=message,
        maybe_done=True,
        lasting=lasting,
        host=host.host,
        way=way,
    )


class Network:
    """Two hosts; ``open`` are those that take a connection."""

    def __init__(self, vpc: FakeRpc, public: FakeRpc, *reachable: Endpoint) -> None:
        self.rpcs = {VPC: vpc, PUBLIC: public}
        self.open = set(reachable)
        self.kept: list[str] = []
        self.probed: list[Sequence[Endpoint]] = []
        self.frozen = False

    def first(self, hosts: Sequence[Endpoint], *, window_s: float) -> Probed:
        self.probed.append(hosts)
        found = next((host for host in hosts if host in self.open), None)
        return Probed(found=found, faults={h: LATE for h in hosts if h not in self.open})

    def client(self, first: Endpoint, *, proved: bool = False) -> EcsClient:
        hosts = Hosts(
            (VPC, PUBLIC),
            first,
            proved=proved,
            probe=self,
            make=self.rpcs.__getitem__,
            remember=self.kept.append,
            quiet=lambda: self.frozen,
        )
        return EcsClient(
            hosts,
            region=RegionId("cn-hangzhou"),
            credentials=lambda _force: KEYS,
            clock=FakeClock(),
            random=lambda: 0.5,
            elsewhere=hosts.elsewhere,
        )


@pytest.mark.parametrize(
    "way",
    [NoWay.CONNECTION, NoWay.NAME, NoWay.SILENCE, NoWay.CERTIFICATE_UNKNOWN, NoWay.STRANGER],
)
@pytest.mark.parametrize(("first", "then"), [(VPC, PUBLIC), (PUBLIC, VPC)])
def test_remembered_host_when_it_does_not_serve_then_the_other_does_and_is_remembered(
    first: Endpoint, then: Endpoint, way: NoWay
) -> None:
    lasting = way is NoWay.CERTIFICATE_UNKNOWN
    bad, good = FakeRpc(failed(first, way, lasting=lasting)), FakeRpc(GOOD)
    network = Network(*((bad, good) if first is VPC else (good, bad)), first, then)
    assert network.client(first).describe_disks(INSTANCE) == ()
    assert len(bad.calls) == 1
    assert network.kept == [then.host]


def test_host_when_it_is_only_remembered_then_its_first_answer_is_not_waited_for_long() -> None:
    vpc, public = FakeRpc(failed(VPC, NoWay.SILENCE)), FakeRpc(GOOD)
    Network(vpc, public, PUBLIC).client(VPC).describe_disks(INSTANCE)
    assert vpc.calls[0].timeout_s <= 5
    assert public.calls[0].timeout_s > 5


def test_host_when_it_has_answered_and_one_connection_breaks_then_is_asked_again() -> None:
    vpc = FakeRpc(GOOD, failed(VPC, NoWay.SILENCE), GOOD)
    network = Network(vpc, FakeRpc(GOOD), VPC, PUBLIC)
    client = network.client(VPC)
    for _ in range(2):
        client.describe_disks(INSTANCE)
    assert len(vpc.calls) == 3
    assert network.kept == []


def test_host_when_it_stops_answering_in_the_middle_then_the_other_is_used() -> None:
    vpc = FakeRpc(GOOD, failed(VPC, NoWay.SILENCE))
    public = FakeRpc(GOOD)
    network = Network(vpc, public, VPC, PUBLIC)
    client = network.client(VPC)
    for _ in range(3):
        client.describe_disks(INSTANCE)
    assert len(vpc.calls) == 3
    assert len(public.calls) == 2
    assert network.kept == [PUBLIC.host]


def test_host_when_no_other_takes_a_connection_then_is_forgotten_and_each_is_told() -> None:
    network = Network(FakeRpc(failed(VPC, NoWay.SILENCE)), FakeRpc(GOOD))
    with pytest.raises(CloudUnreachable) as caught:
        network.client(VPC).describe_disks(INSTANCE)
    assert network.kept == [""]
    assert "ecs-vpc.example: silence; ecs.example: no connection in 2 s" in caught.value.message


def test_host_when_it_comes_back_after_all_were_gone_then_is_remembered_again() -> None:
    gone = [failed(VPC, NoWay.SILENCE)] * 3
    network = Network(FakeRpc(*gone, GOOD), FakeRpc(GOOD))
    network.client(VPC).describe_disks(INSTANCE)
    assert network.kept == ["", VPC.host]


def test_both_hosts_when_each_takes_connections_and_none_answers_then_the_call_ends() -> None:
    vpc, public = FakeRpc(failed(VPC, NoWay.SILENCE)), FakeRpc(failed(PUBLIC, NoWay.SILENCE))
    network = Network(vpc, public, VPC, PUBLIC)
    with pytest.raises(CloudUnreachable):
        network.client(VPC).describe_disks(INSTANCE)
    assert len(vpc.calls) + len(public.calls) < 16


@pytest.mark.parametrize(
    "failure", [refusal("Forbidden.RAM"), failed(VPC, NoWay.OWN, lasting=True)]
)
def test_host_when_it_is_not_at_fault_then_stays(failure: RpcFailed) -> None:
    network = Network(FakeRpc(failure), FakeRpc(GOOD), VPC, PUBLIC)
    with pytest.raises(Exception, match=r"may not do|own"):
        network.client(VPC).describe_disks(INSTANCE)
    assert network.probed == []


def test_host_when_it_changes_while_filesystems_are_frozen_then_nothing_is_written_till_later() -> (
    None
):
    network = Network(FakeRpc(failed(VPC, NoWay.CONNECTION)), FakeRpc(GOOD), PUBLIC)
    client = network.client(VPC)
    network.frozen = True
    client.describe_disks(INSTANCE)
    assert network.kept == []
    network.frozen = False
    client.describe_disks(INSTANCE)
    assert network.kept == [PUBLIC.host]
