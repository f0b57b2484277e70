"""The machine's own apt with our hook: one snapshot for one human action."""

from __future__ import annotations

from pathlib import Path

import pytest
from apt_world import ALLOW_ALL, DENY_CREATES, GUARD, LIFE, Cloud, World
from built_packages import need

pytestmark = pytest.mark.root
needs_python_apt = pytest.mark.skipif(
    not Path("/usr/lib/python3/dist-packages/apt").exists(),
    reason="no python-apt here (Debian: python3-apt)",
)

UPGRADES_LOG = "/var/log/unattended-upgrades/unattended-upgrades-dpkg.log"
CALLS = "/var/tmp/hook-calls"
PYTHON_APT = """
import apt
cache = apt.Cache()
for name in {names!r}:
    cache[name].mark_upgrade()
    cache.commit()
    cache.open()
"""
BACK_AND_FORTH = """
for turn in 1 2; do
    apt-get -y install libc6=2.36-10 && apt-get -y --allow-downgrades install libc6=2.36-9 || exit
done
"""


@pytest.fixture
def counted(world: World) -> World:
    """Return the world with every call of the guard noted down."""
    world.run("mv", GUARD, f"{GUARD}.own")
    world.write(GUARD, f'#!/bin/sh\necho "$@" >>{CALLS}\nexec {GUARD}.own "$@"\n', 0o755)
    return world


def calls(world: World) -> list[str]:
    """Return the arguments of each call of the guard."""
    return world.path(CALLS).read_text().splitlines()


def test_apt_get_calls_the_hook_once(counted: World, cloud: Cloud) -> None:
    assert counted.apt("install", "libc6", "openssl", "systemd").status == 0
    assert calls(counted) == ["apt"]


def test_unattended_upgrades_small_steps_get_one_snapshot(counted: World, cloud: Cloud) -> None:
    need("unattended-upgrade")
    done = counted.run("unattended-upgrade", "--verbose")
    assert done.status == 0, done.err
    assert [counted.version(name) for name in ("libc6", "grub-pc")] == ["2.36-10", "2.06-14"]
    # One step for each package, and each step is one call, not two.
    assert calls(counted) == ["apt"] * 9
    assert len(cloud.befores()) == 1


def test_unattended_upgrades_ends_at_the_first_step_that_the_policy_stops(
    counted: World,
) -> None:
    world = counted
    world.configure('on_failure = "abort"')
    world.cut_off()
    need("unattended-upgrade")
    done = world.run("unattended-upgrade", "--verbose")
    assert done.status == 1
    assert "NO SNAPSHOT" in world.path(UPGRADES_LOG).read_text()
    assert world.version("openssl") == "3.0.11-1"


@needs_python_apt
def test_python_apt_gets_a_snapshot(world: World, cloud: Cloud) -> None:
    done = world.run("/usr/bin/python3", "-c", PYTHON_APT.format(names=["libc6"]))
    assert done.status == 0, done.err
    assert cloud.befores() == ["apt: upgrade libc6"]


@needs_python_apt
def test_python_apts_many_commits_get_one_snapshot(world: World, cloud: Cloud) -> None:
    names = ["libc6", "openssl", "systemd"]
    done = world.run("/usr/bin/python3", "-c", PYTHON_APT.format(names=names))
    assert done.status == 0, done.err
    assert cloud.befores() == ["apt: upgrade libc6"]


@needs_python_apt
def test_release_upgrades_many_commits_get_one_snapshot(world: World, cloud: Cloud) -> None:
    # do-release-upgrade itself is Ubuntu's: its variable, and python-apt, which it works with.
    program = PYTHON_APT.format(names=["hello-harmless", "libc6", "openssl"])
    done = world.run("/usr/bin/python3", "-c", program, RELEASE_UPGRADE_IN_PROGRESS="1")
    assert done.status == 0, done.err
    assert cloud.befores() == ["apt: release upgrade: upgrade hello-harmless"]


def test_runs_in_a_row_get_one_snapshot(counted: World, cloud: Cloud) -> None:
    done = counted.run("sh", "-c", BACK_AND_FORTH)
    assert done.status == 0, done.err
    assert len(calls(counted)) == 4
    assert cloud.befores() == ["apt: upgrade libc6"]


def test_apt_below_a_run_of_ours_needs_no_second_snapshot(world: World, cloud: Cloud) -> None:
    words = ("apt-get", "-y", "install", "libc6")
    done = world.run("snap-self", "run", "--before", "os upgrade", "--", *words)
    assert (done.status, world.version("libc6")) == (0, "2.36-10"), done.err
    assert cloud.befores() == ["os upgrade"]


def test_runs_without_a_common_parent_share_a_fresh_snapshot(world: World, cloud: Cloud) -> None:
    assert world.apt("install", "libc6").status == 0
    done = world.apt("install", "openssl")
    assert done.status == 0, done.err
    assert cloud.befores() == ["apt: upgrade libc6"]


def test_second_action_later_gets_a_snapshot_of_its_own(world: World, cloud: Cloud) -> None:
    world.configure('reuse = "1s"')
    assert world.apt("install", "libc6").status == 0
    assert world.run("sleep", "1.2").status == 0
    assert world.apt("install", "openssl").status == 0
    assert cloud.befores() == ["apt: upgrade libc6", "apt: upgrade openssl"]


def test_always_rule_makes_a_snapshot_of_its_own(world: World, cloud: Cloud) -> None:
    world.configure('always = ["openssl"]')
    assert world.apt("install", "libc6").status == 0
    assert world.apt("install", "openssl").status == 0
    assert cloud.befores() == ["apt: upgrade libc6", "apt: upgrade openssl"]


def test_snapshot_that_failed_covers_nothing(world: World, cloud: Cloud) -> None:
    cloud.policies(ALLOW_ALL, DENY_CREATES)
    assert world.apt("install", "libc6").status == 0
    cloud.policies(ALLOW_ALL)
    assert world.apt("install", "openssl").status == 0
    assert cloud.befores() == ["apt: upgrade openssl"]


def test_reader_of_apts_output_does_not_wait_for_the_upload(world: World, cloud: Cloud) -> None:
    cloud.process.control("PUT", "life", LIFE | {"accomplished_s": 60.0})
    done = world.run("sh", "-c", "apt-get -y install libc6 2>&1 | cat")
    assert done.seconds < 30
    assert cloud.befores() == ["apt: upgrade libc6"]
