"""The host of the ECS API, seen by commands that follow each other in a network that changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts_rig import PUBLIC, VPC, HostsRig, hosts_rig

from agent_runner import AgentRunner
from authorities import HOUR, TestAuthority

pytestmark = [pytest.mark.root, pytest.mark.own_root]


@pytest.fixture
def rig(agent: AgentRunner, tmp_path: Path) -> Iterator[HostsRig]:
    with hosts_rig(agent, tmp_path) as made:
        yield made


@pytest.mark.parametrize(("first", "then"), [(VPC, PUBLIC), (PUBLIC, VPC)])
def test_command_when_the_remembered_host_refuses_then_the_other_serves_in_the_same_command(
    rig: HostsRig, first: str, then: str
) -> None:
    rig.set(first, "relay")
    assert rig.agent.run("list").status == 0
    assert first in rig.remembered
    rig.set(first, "closed")
    rig.set(then, "relay")
    done = rig.agent.run("list")
    assert done.status == 0, done.err
    assert then in rig.remembered


def test_command_when_the_remembered_host_hangs_then_the_other_serves_within_seconds(
    rig: HostsRig,
) -> None:
    rig.set(VPC, "relay")
    assert rig.agent.run("list").status == 0
    rig.set(VPC, "hang")
    rig.set(PUBLIC, "relay")
    began = time.monotonic()
    done = rig.agent.run("list")
    assert done.status == 0, done.err
    assert time.monotonic() - began < 15


def test_command_when_no_host_answers_then_none_is_remembered_and_the_best_is_found_later(
    rig: HostsRig,
) -> None:
    rig.set(PUBLIC, "relay")
    assert rig.agent.run("list").status == 0
    rig.set(PUBLIC, "closed")
    failed = rig.agent.run("list")
    assert failed.status == 10
    for said in (VPC, PUBLIC, "Connection refused", "network.ecs_endpoint"):
        assert said in failed.err
    assert PUBLIC not in rig.remembered
    rig.set(VPC, "relay")
    rig.set(PUBLIC, "relay")
    assert rig.agent.run("list").status == 0
    assert VPC in rig.remembered


def test_doctor_when_the_remembered_host_is_gone_then_mends_it(rig: HostsRig) -> None:
    rig.set(VPC, "relay")
    assert rig.agent.run("list").status == 0
    rig.set(VPC, "closed")
    rig.set(PUBLIC, "relay")
    assert "ok    api" in rig.agent.run("doctor").out
    assert PUBLIC in rig.remembered


SHOWN = {
    "expired": ("has expired", "check this machine's clock"),
    "early": ("is not valid yet", "set this machine's clock"),
    "name": ("is for another host name", "under that name"),
    "unknown": ("is not trusted", "CA certificates"),
    "old": ("no version of TLS that is safe", "gateways"),
}


def _certificate(kind: str, folder: Path, trusted: TestAuthority) -> Path:
    names = [VPC, PUBLIC]
    if kind == "expired":
        return trusted.issue(kind, names, begins=-2 * HOUR, ends=-HOUR)
    if kind == "early":
        return trusted.issue(kind, names, begins=HOUR, ends=2 * HOUR)
    if kind == "name":
        return trusted.issue(kind, ["elsewhere.example"])
    return (TestAuthority(folder, "stranger") if kind == "unknown" else trusted).issue(kind, names)


@pytest.mark.parametrize("known", [False, True], ids=["first-command", "remembered"])
@pytest.mark.parametrize("kind", SHOWN)
def test_certificate_when_it_is_no_good_then_the_error_says_what_is_wrong_with_it(
    rig: HostsRig, tmp_path: Path, kind: str, *, known: bool
) -> None:
    trusted = TestAuthority(tmp_path)
    file = _certificate(kind, tmp_path, trusted)
    if known:
        rig.set(VPC, "relay")
        assert rig.agent.run("list").status == 0
    rig.set(VPC, "old" if kind == "old" else "shown", file)
    done = rig.agent.with_env(SNAP_SELF_NETWORK_CA_BUNDLE=str(trusted.file)).run("list")
    assert done.status == 10
    for said in SHOWN[kind]:
        assert said in done.err
    # The other host refuses connections, and is not said to have the same fault.
    assert f"{PUBLIC}: Connection refused" in done.err


def test_host_name_when_it_is_not_known_then_the_error_names_dns(
    agent: AgentRunner, tmp_path: Path
) -> None:
    with hosts_rig(agent, tmp_path, named=False) as rig:
        done = rig.agent.run("list")
    assert done.status == 10
    assert "host name not known" in done.err
    assert "DNS" in done.err
