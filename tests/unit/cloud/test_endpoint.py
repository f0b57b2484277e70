"""Which host is spoken to."""

from collections.abc import Sequence

import pytest

from snap_self.cloud.endpoint import candidates, choose, parse_override
from snap_self.errors import CloudUnreachable, ConfigError
from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.model.ids import RegionId
from snap_self.ports import Probed

HOSTS = candidates(RegionId("cn-beijing"))
REFUSED = NetFault(reason="Connection refused", unsent=True, way=NoWay.CONNECTION)
VPC = "ecs-vpc.{}.aliyuncs.com"
RULE = "ecs.{}.aliyuncs.com"


class Probe:
    """Reaches some hosts from some window on."""

    def __init__(self, *reachable: Endpoint, from_window: int = 1) -> None:
        self._reachable = reachable
        self._from = from_window
        self.windows: list[float] = []

    def first(self, hosts: Sequence[Endpoint], *, window_s: float) -> Probed:
        self.windows.append(window_s)
        faults = dict.fromkeys(hosts, REFUSED)
        if len(self.windows) < self._from:
            return Probed(found=None, faults=faults)
        found = next((host for host in hosts if host in self._reachable), None)
        return Probed(found=found, faults=faults)


@pytest.mark.parametrize(
    ("region", "more"),
    [
        ("cn-beijing", []),
        ("na-south-1", []),
        # The endpoint page follows the rule, the SDK's map does not.
        ("cn-hangzhou", ["ecs-cn-hangzhou.aliyuncs.com"]),
        ("cn-shanghai-finance-1", ["ecs-cn-hangzhou.aliyuncs.com"]),
        ("cn-shenzhen-finance-1", ["ecs-cn-hangzhou.aliyuncs.com"]),
        ("cn-north-2-gov-1", ["ecs.aliyuncs.com"]),
        ("cn-hangzhou-finance", ["ecs.aliyuncs.com"]),
    ],
)
def test_candidates_when_given_a_region_then_vpc_comes_first(region: str, more: list[str]) -> None:
    found = candidates(RegionId(region))
    assert [host.host for host in found] == [VPC.format(region), RULE.format(region), *more]
    assert all(host.secure and host.port == 443 for host in found)


@pytest.mark.parametrize("region", ["", "evil.example/", "cn-hangzhou@evil", "cn_x", "CN-BEIJING"])
def test_candidates_when_the_region_is_no_name_then_refuses(region: str) -> None:
    with pytest.raises(ConfigError, match="region"):
        candidates(RegionId(region))


def test_choose_when_only_the_public_host_answers_then_takes_it() -> None:
    assert choose(HOSTS, Probe(HOSTS[1])) == HOSTS[1]


def test_choose_when_the_network_is_slow_then_probes_longer() -> None:
    probe = Probe(HOSTS[0], from_window=2)
    assert choose(HOSTS, probe) == HOSTS[0]
    assert probe.windows == [1.0, 5.0]


def test_choose_when_none_answers_then_names_each_with_its_reason() -> None:
    with pytest.raises(CloudUnreachable) as caught:
        choose(HOSTS, Probe())
    for host in HOSTS:
        assert f"{host.host}: Connection refused" in caught.value.message
    assert "443" in caught.value.hint
    assert "network.ecs_endpoint" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "netloc", "secure"),
    [
        ("https://ecs.example", "ecs.example:443", True),
        ("https://ecs.example:8443/", "ecs.example:8443", True),
        ("http://127.0.0.1:8123", "127.0.0.1:8123", False),
        ("https://localhost:8123", "localhost:8123", True),
        ("http://[::1]:8123", "[::1]:8123", False),
        ("http://127.9.9.9", "127.9.9.9:80", False),
    ],
)
def test_parse_override_when_allowed_then_returns_it(url: str, netloc: str, secure: bool) -> None:
    endpoint = parse_override(url)
    assert (endpoint.netloc, endpoint.secure) == (netloc, secure)


@pytest.mark.parametrize(
    "url",
    [
        *("http://ecs.example", "http://10.0.0.1:80", "http://127.0.0.1.evil.example"),
        "http://localhost:8123",
        *("ftp://ecs.example", "ecs.example", "", "https://", "https://h:99999", "https://[::1"),
        *("https://user:word@ecs.example", "https://ecs.example/path", "https://ecs.example?x=1"),
    ],
)
def test_parse_override_when_not_allowed_then_refuses(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_override(url)
    assert "word" not in caught.value.message


def test_endpoint_that_is_not_allowed_is_told_with_its_product_and_variable() -> None:
    with pytest.raises(ConfigError, match="the OOS endpoint") as caught:
        parse_override("ftp://host", "oos")
    assert "https://oos.cn-hangzhou" in caught.value.hint
    assert "SNAP_SELF_OOS_ENDPOINT" in caught.value.hint
