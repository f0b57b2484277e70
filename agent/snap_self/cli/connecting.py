"""Choose the ECS API's host and make the client for it."""

from __future__ import annotations

import random
from pathlib import Path

from snap_self.cli.adapters import Adapters
from snap_self.cloud.client import EcsClient
from snap_self.cloud.endpoint import candidates, choose, parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.errors import ConfigError, StateUnusable
from snap_self.model.endpoint import Endpoint
from snap_self.model.snapshots import Identity
from snap_self.ports import FactStore
from snap_self.system.probe import TlsProbe

FACT = "endpoint"


def connect(adapters: Adapters, identity: Identity) -> EcsClient:
    """Return a client for the instance's region; the first call opens the connection.

    Raises:
        CloudUnreachable: no host of the region takes a connection.
        ConfigError: the configured endpoint or CA file cannot be used.
    """
    return EcsClient(
        make_rpc(adapters, identity),
        region=identity.region,
        credentials=adapters.credentials,
        clock=adapters.clock,
        random=random.random,
        on_retry=adapters.tell_retry,
    )


def make_rpc(adapters: Adapters, identity: Identity) -> SdkRpc:
    """Return the signed calls to the host that is configured, remembered or found."""
    network = adapters.config.network
    check_ca_bundle(network.ca_bundle)
    if network.ecs_endpoint:
        endpoint = parse_override(network.ecs_endpoint)
    else:
        endpoint = _found(adapters.store, identity, network.ca_bundle)
    return SdkRpc(endpoint, region=identity.region, ca_bundle=network.ca_bundle)


def check_ca_bundle(path: str) -> None:
    """Refuse a file of CA certificates that cannot be read: TLS would only say it broke off.

    Raises:
        ConfigError: it cannot be read.
    """
    if not path:
        return
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ConfigError(
            f"network.ca_bundle {path!r} cannot be read: {error.strerror}",
            hint="name a readable file of PEM certificates, or leave it empty",
        ) from None


def forget_endpoint(facts: FactStore) -> None:
    """Have the next command look for a host again: the remembered one did not answer."""
    _remember(facts, "")


def _found(facts: FactStore, identity: Identity, ca_bundle: str) -> Endpoint:
    hosts = candidates(identity.region)
    known = facts.recall(FACT).get("host", "")
    remembered = next((host for host in hosts if host.host == known), None)
    endpoint = choose(hosts, TlsProbe(ca_bundle=ca_bundle), remembered)
    if endpoint != remembered:
        _remember(facts, endpoint.host)
    return endpoint


def _remember(facts: FactStore, host: str) -> None:
    try:
        facts.remember(FACT, {"host": host})
    except StateUnusable:
        return  # `list` for somebody who may not write the state works without the memory
