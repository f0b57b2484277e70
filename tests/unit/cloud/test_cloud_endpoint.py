"""Which host is spoken to."""

from collections.abc import Sequence

import pytest

from snap_self.cloud.endpoint import candidates, choose, parse_override
from snap_self.errors import CloudUnreachable, ConfigError
from snap_self.model.endpoint import Endpoint
from snap_self.model.ids import RegionId

HOSTS = candidates(RegionId("cn-beijing"))


class Probe:
    """Reaches some hosts from some window on."""

    def __init__(self, *reachable: Endpoint, from_window: int = 1) -> None:
        self._reachable = reachable
        self._from = from_window
        self.windows: list[float] = []

    def first(self, hosts: Sequence[Endpoint], *, window_s: float) -> Endpoint | None:
        self.windows.append(window_s)
        if len(self.windows) < self._from:
            return None
        return next((host for host in hosts if host in self._reachable), None)


@pytest.mark.parametrize(
    ("region", "names"),
    [
        ("cn-beijing", ["ecs-vpc.cn-beijing.aliyuncs.com", "ecs.cn-beijing.aliyuncs.com"]),
        ("cn-hangzhou", ["ecs-vpc.cn-hangzhou.aliyuncs.com", "ecs-cn-hangzhou.aliyuncs.com"]),
        ("na-south-1", ["ecs-vpc.na-south-1.aliyuncs.com", "ecs.na-south-1.aliyuncs.com"]),
    ],
)
def test_candidates_when_given_a_region_then_vpc_comes_first(region: str, names: list[str]) -> None:
    found = candidates(RegionId(region))
    assert [host.host for host in found] == names
    assert all(host.secure and host.port == 443 for host in found)


@pytest.mark.parametrize("region", ["", "evil.example/", "cn-hangzhou@evil", "cn_x", "CN-BEIJING"])
def test_candidates_when_the_region_is_no_name_then_refuses(region: str) -> None:
    with pytest.raises(ConfigError, match="region"):
        candidates(RegionId(region))


def test_choose_when_one_is_remembered_then_does_not_probe() -> None:
    probe = Probe()
    assert choose(HOSTS, probe, HOSTS[1]) == HOSTS[1]
    assert probe.windows == []


def test_choose_when_the_remembered_is_of_another_region_then_probes() -> None:
    probe = Probe(HOSTS[0])
    assert choose(HOSTS, probe, Endpoint(host="ecs.other.aliyuncs.com")) == HOSTS[0]


def test_choose_when_only_the_public_host_answers_then_takes_it() -> None:
    assert choose(HOSTS, Probe(HOSTS[1])) == HOSTS[1]


def test_choose_when_the_network_is_slow_then_probes_longer() -> None:
    probe = Probe(HOSTS[0], from_window=2)
    assert choose(HOSTS, probe) == HOSTS[0]
    assert probe.windows == [1.0, 5.0]


def test_choose_when_none_answers_then_names_both() -> None:
    with pytest.raises(CloudUnreachable, match=r"ecs-vpc\.cn-beijing.*ecs\.cn-beijing"):
        choose(HOSTS, Probe())


@pytest.mark.parametrize(
    ("url", "netloc", "secure"),
    [
        ("https://ecs.example", "ecs.example:443", True),
        ("https://ecs.example:8443/", "ecs.example:8443", True),
        ("http://127.0.0.1:8123", "127.0.0.1:8123", False),
        ("http://localhost:8123", "localhost:8123", False),
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
        *("ftp://ecs.example", "ecs.example", "", "https://", "https://h:99999", "https://[::1"),
        *("https://user:word@ecs.example", "https://ecs.example/path", "https://ecs.example?x=1"),
    ],
)
def test_parse_override_when_not_allowed_then_refuses(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_override(url)
    assert "word" not in caught.value.message
