"""What to do when a host gives no answer, for each thing that can be in the way; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snap_self.model.addresses import OTHERS_LISTENER
from snap_self.model.endpoint import Endpoint, NetFault, NoWay

_MENDS: Mapping[NoWay, str] = {
    NoWay.OTHER_USER: OTHERS_LISTENER,
    NoWay.CERTIFICATE_EARLY: "set this machine's clock, which seems to be behind "
    "(timedatectl, chronyc tracking)",
    NoWay.CERTIFICATE_EXPIRED: "check this machine's clock (timedatectl, chronyc tracking); if it "
    "is right, something else than the cloud shows that certificate",
    NoWay.CERTIFICATE_NAME: "something else than the cloud answers under that name: check DNS, "
    "/etc/hosts, gateways that open TLS, and network.ecs_endpoint",
    NoWay.CERTIFICATE_UNKNOWN: "update the system's CA certificates (package ca-certificates); "
    "behind a gateway that opens TLS name its authority's file in network.ca_bundle",
    NoWay.TLS: "something old or foreign answers there: check gateways and network.ecs_endpoint",
    NoWay.STRANGER: "something between this machine and the cloud answers in its place: check "
    "gateways and network.ecs_endpoint",
    NoWay.NAME: "check the instance's DNS (/etc/resolv.conf)",
    NoWay.CONNECTION: "check the network and the security group's outbound rules for TCP port 443",
    NoWay.SILENCE: "check the network and the security group's outbound rules",
    NoWay.OWN: "install snap-self anew",
}
_ELSEWHERE = "network.ecs_endpoint can name another host of the ECS API"


def mend(ways: Iterable[NoWay]) -> str:
    """Return what to check, each thing once; what names its cause best comes first."""
    met = set(ways) or {NoWay.SILENCE}
    if NoWay.CONNECTION in met:
        met.discard(NoWay.SILENCE)
    known = [text for way, text in _MENDS.items() if way in met]
    if met & {NoWay.NAME, NoWay.CONNECTION, NoWay.SILENCE}:
        known.append(_ELSEWHERE)
    return "; ".join(known)


def told(faults: Mapping[Endpoint, NetFault]) -> str:
    """Return each host with what is in the way of its answer."""
    return "; ".join(f"{host.host}: {fault.reason}" for host, fault in faults.items())
