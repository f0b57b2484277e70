"""Choose the ECS API's host and make the client for it."""

from __future__ import annotations

import random

from snap_self.cli.adapters import Adapters, check_ca_bundle
from snap_self.cloud.caller import Caller
from snap_self.cloud.client import EcsClient
from snap_self.cloud.endpoint import ECS, candidates, choose, parse_override
from snap_self.cloud.hosts import Hosts
from snap_self.cloud.rpc import SdkRpc
from snap_self.cloud.watched import Watched
from snap_self.errors import StateUnusable
from snap_self.model.actions import OOS
from snap_self.model.endpoint import Endpoint
from snap_self.model.snapshots import Identity
from snap_self.ports import FactStore
from snap_self.system.net.probe import TlsProbe

FACT = "endpoint"


def connect(adapters: Adapters, identity: Identity) -> EcsClient:
    """Return a client for the instance's region; the first call opens the connection.

    Raises:
        CloudUnreachable: no host of the region takes a connection.
        ConfigError: the configured endpoint or CA file cannot be used.
    """
    rpc = make_rpc(adapters, identity)
    return EcsClient(
        _watched(adapters, rpc),
        region=identity.region,
        credentials=adapters.credentials,
        clock=adapters.clock,
        random=random.random,
        on_retry=adapters.tell_retry,
        elsewhere=rpc.elsewhere,
        holder=identity.holder,
    )


def make_rpc(adapters: Adapters, identity: Identity) -> Hosts:
    """Return the signed calls to the host that is configured, remembered or found."""
    override = adapters.config.network.ecs_endpoint
    return _hosts(adapters, identity, ECS, override, _Memory(adapters.store))


def connect_oos(adapters: Adapters, identity: Identity) -> Caller:
    """Return what calls the region's OOS, which carries out what the instance cannot itself.

    Raises:
        CloudUnreachable: no host of the region takes a connection.
        ConfigError: the configured endpoint or CA file cannot be used.
    """
    rpc = _hosts(adapters, identity, OOS, adapters.config.network.oos_endpoint)
    return Caller(
        _watched(adapters, rpc),
        region=identity.region,
        credentials=adapters.credentials,
        clock=adapters.clock,
        random=random.random,
        on_retry=adapters.tell_retry,
        elsewhere=rpc.elsewhere,
        holder=identity.holder,
    )


def _watched(adapters: Adapters, rpc: Hosts) -> Watched:
    def throttled(action: str) -> None:
        adapters.refused_calls.append(action)
        if adapters.throttled is not None:
            adapters.throttled()

    return Watched(rpc, called=adapters.calls.append, throttled=throttled)


def _hosts(
    adapters: Adapters,
    identity: Identity,
    product: str,
    override: str,
    memory: _Memory | None = None,
) -> Hosts:
    """Return the signed calls of a product.

    Args:
        override: the configured endpoint; empty for none.
        memory: of the host that answered last; None where it is asked for once in a while.
    """
    ca_bundle = adapters.config.network.ca_bundle
    check_ca_bundle(ca_bundle)
    probe = TlsProbe(ca_bundle=ca_bundle)
    if override:
        hosts: tuple[Endpoint, ...] = (parse_override(override, product),)
        memory, known = None, hosts[0].host
    else:
        hosts = candidates(identity.region, product)
        known = memory.recall() if memory else ""
    remembered = next((host for host in hosts if host.host == known), None)
    return Hosts(
        hosts,
        remembered or choose(hosts, probe, product),
        proved=remembered is None,
        probe=probe,
        make=lambda host: SdkRpc(host, region=identity.region, ca_bundle=ca_bundle),
        remember=memory.remember if memory else _nothing,
        quiet=lambda: adapters.gate.is_shut,
    )


class _Memory:
    """The host that answered an earlier command; without it each would begin with a probe."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts

    def recall(self) -> str:
        return self._facts.recall(FACT).get("host", "")

    def remember(self, host: str) -> None:
        try:
            self._facts.remember(FACT, {"host": host})
        except StateUnusable:
            return  # `list` for somebody who may not write the state works without the memory


def _nothing(host: str) -> None:
    """Remember nothing."""
