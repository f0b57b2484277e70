"""Which host the ECS API is spoken to at; pure but for the probe it is given."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from snap_self.cloud.unreachable import mend, told
from snap_self.errors import CloudUnreachable, ConfigError
from snap_self.model.addresses import is_loopback
from snap_self.model.endpoint import Endpoint, NetFault
from snap_self.model.ids import REGION_ID, RegionId
from snap_self.ports import HostProbe

ECS = "ecs"
CENTRAL = "ecs.aliyuncs.com"
HANGZHOU = "ecs-cn-hangzhou.aliyuncs.com"
# Regions for which the SDK knows another public host than the rule's. The endpoint pages follow the
# rule for some of them by now, so both are tried.
# Source: aliyun-python-sdk-ecs 4.24 and alibabacloud_ecs20140526 7.11, their endpoint maps.
MAPPED_HOSTS = {
    **dict.fromkeys(
        (
            *("ap-northeast-2-pop", "cn-beijing-finance-pop", "cn-beijing-gov-1"),
            *("cn-hangzhou-finance", "cn-hongkong-finance-pop", "cn-north-2-gov-1"),
            *("cn-shanghai-inner", "cn-shenzhen-inner", "cn-wuhan", "cn-yushanfang"),
            *("cn-zhangbei", "rus-west-1-pop"),
        ),
        CENTRAL,
    ),
    **dict.fromkeys(
        ("cn-hangzhou", "cn-fujian", "cn-shanghai-finance-1", "cn-shenzhen-finance-1"), HANGZHOU
    ),
    **dict.fromkeys(
        ("cn-edge-1", "cn-huhehaote-nebula-1", "cn-zhengzhou-nebula-1"),
        "ecs.cn-qingdao-nebula.aliyuncs.com",
    ),
    "eu-west-1-oxs": "ecs.cn-shenzhen-cloudstone.aliyuncs.com",
}
# The second window is for a network that is slow, not absent.
WINDOWS_S = (1.0, 5.0)


def candidates(region: RegionId, product: str = ECS) -> tuple[Endpoint, ...]:
    """Return the region's hosts, the one inside the VPC first: it needs no way to the Internet.

    Args:
        product: whose API it is, as in the hosts' names.

    Raises:
        ConfigError: that cannot be a region's name, and must not become part of a host's.
    """
    if not REGION_ID.fullmatch(region):
        raise ConfigError(
            f"region {region!r} is not the name of a region",
            hint="a region's name looks like cn-hangzhou or ap-southeast-1",
        )
    names = [f"{product}-vpc.{region}.aliyuncs.com", f"{product}.{region}.aliyuncs.com"]
    if product == ECS:
        names += filter(None, [MAPPED_HOSTS.get(region)])
    return tuple(Endpoint(host=name) for name in names)


def choose(hosts: tuple[Endpoint, ...], probe: HostProbe, product: str = ECS) -> Endpoint:
    """Return the host to use.

    Args:
        product: whose API it is.

    Raises:
        CloudUnreachable: none of the hosts takes a connection.
    """
    faults: Mapping[Endpoint, NetFault] = {}
    for window_s in WINDOWS_S:
        probed = probe.first(hosts, window_s=window_s)
        if probed.found is not None:
            return probed.found
        faults = probed.faults
    raise CloudUnreachable(
        f"no host of the {product.upper()} API takes a TLS connection: {told(faults)}",
        hint=mend(fault.way for fault in faults.values()),
    )


def parse_override(url: str, product: str = ECS) -> Endpoint:
    """Return the endpoint that a URL of the configuration names.

    Args:
        product: whose API it is.

    Raises:
        ConfigError: it is no URL of a host, or plain HTTP to a host that is not loopback.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong(product, "is not a URL") from None
    if parts.scheme not in ("https", "http") or not host:
        raise _wrong(product, "must begin with https:// and a host")
    if _has_more(parts):
        raise _wrong(product, "must be only scheme, host and port")
    secure = parts.scheme == "https"
    if not secure and not is_loopback(host):
        raise _wrong(
            product,
            "uses plain http, which is allowed for a loopback address such as 127.0.0.1 only, "
            f"not for {host}",
        )
    return Endpoint(host=host, port=port or (443 if secure else 80), secure=secure)


def _has_more(parts: SplitResult) -> bool:
    return bool(parts.username or parts.password or parts.query or parts.fragment) or (
        parts.path not in ("", "/")
    )


def _wrong(product: str, why: str) -> ConfigError:
    return ConfigError(
        f"the {product.upper()} endpoint {why}",
        hint=f"give a URL such as https://{product}.cn-hangzhou.aliyuncs.com in "
        f"SNAP_SELF_{product.upper()}_ENDPOINT or the configuration, or leave it out to have the "
        "region's own host found",
    )
