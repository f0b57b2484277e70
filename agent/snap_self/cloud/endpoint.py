"""Which host the ECS API is spoken to at; pure but for the probe it is given."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from snap_self.errors import CloudUnreachable, ConfigError
from snap_self.model.endpoint import Endpoint
from snap_self.model.ids import REGION_ID, RegionId
from snap_self.ports import HostProbe

# Regions whose public host does not follow the rule. Source: the SDK's own endpoint map.
PUBLIC_HOSTS = {RegionId("cn-hangzhou"): "ecs-cn-hangzhou.aliyuncs.com"}
# The second window is for a network that is slow, not absent.
WINDOWS_S = (1.0, 5.0)


def candidates(region: RegionId) -> tuple[Endpoint, ...]:
    """Return the region's hosts, the one inside the VPC first: it needs no way to the Internet.

    Raises:
        ConfigError: that cannot be a region's name, and must not become part of a host's.
    """
    if not REGION_ID.fullmatch(region):
        raise ConfigError(
            f"region {region!r} is not the name of a region",
            hint="a region's name looks like cn-hangzhou or ap-southeast-1",
        )
    public = PUBLIC_HOSTS.get(region, f"ecs.{region}.aliyuncs.com")
    return (Endpoint(host=f"ecs-vpc.{region}.aliyuncs.com"), Endpoint(host=public))


def choose(
    hosts: tuple[Endpoint, ...], probe: HostProbe, remembered: Endpoint | None = None
) -> Endpoint:
    """Return the host to use; the caller remembers it for its next run.

    Args:
        remembered: what an earlier run chose. Taken unseen if it is one of ``hosts``, so the
            caller must forget it when calls to it end in ``CloudUnreachable``.

    Raises:
        CloudUnreachable: none of the hosts takes a connection.
    """
    if remembered in hosts:
        return remembered
    if len(hosts) == 1:
        return hosts[0]
    for window_s in WINDOWS_S:
        found = probe.first(hosts, window_s=window_s)
        if found is not None:
            return found
    names = " nor ".join(host.host for host in hosts)
    raise CloudUnreachable(
        f"neither {names} takes a TLS connection",
        hint="check the instance's DNS, its security group's outbound rules for TCP port 443, "
        "and that its CA certificates are up to date",
    )


def parse_override(url: str) -> Endpoint:
    """Return the endpoint that a URL of the configuration names.

    Raises:
        ConfigError: it is no URL of a host, or plain HTTP to a host that is not loopback.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("is not a URL") from None
    if parts.scheme not in ("https", "http") or not host:
        raise _wrong("must begin with https:// and a host")
    if _has_more(parts):
        raise _wrong("must be only scheme, host and port")
    secure = parts.scheme == "https"
    if not secure and not _is_loopback(host):
        raise _wrong(f"uses plain http, which is allowed for a loopback host only, not for {host}")
    return Endpoint(host=host, port=port or (443 if secure else 80), secure=secure)


def _has_more(parts: SplitResult) -> bool:
    return bool(parts.username or parts.password or parts.query or parts.fragment) or (
        parts.path not in ("", "/")
    )


def _wrong(why: str) -> ConfigError:
    return ConfigError(
        f"the ECS endpoint {why}",
        hint="give a URL such as https://ecs.cn-hangzhou.aliyuncs.com in SNAP_SELF_ECS_ENDPOINT "
        "or the configuration, or leave it out to have the region's own host found",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
