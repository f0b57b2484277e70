"""The machine's own apt with our hook: a snapshot asked for whose cut was not seen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest
from apt_world import LIFE, Cloud, World
from world_terminal import terminal

pytestmark = pytest.mark.root

LOOKS = ("DescribeSnapshots", "DescribeSnapshotGroups")
THROTTLED = "error:Throttling.User:400"
TWO_CALLS = "apt-get -y install libc6; echo first: $?; apt-get -y install openssl; echo second: $?"
UNSEEN = "snapshot asked for, but its cut was not seen"
PATIENCE_S = 60.0


def throttle(cloud: Cloud) -> None:
    """Refuse each look for a snapshot, but no create."""
    for action in LOOKS:
        cloud.fault(THROTTLED, action, count=1000)


def wait_until(true: Callable[[], object]) -> None:
    """Return when it is true."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("policy", "status", "version"), [("continue", 0, "2.36-10"), ("abort", 100, "2.36-9")]
)
def test_cut_that_may_not_be_looked_for_is_told_with_the_ids_and_the_policy_applies(
    world: World, cloud: Cloud, policy: str, status: int, version: str
) -> None:
    world.configure(f'on_failure = "{policy}"', 'limit = "10s"', 'throttled_limit = "10s"')
    throttle(cloud)
    done = world.apt("install", "libc6")
    assert (done.status, world.version("libc6")) == (status, version), done.err
    assert UNSEEN in done.err, done.err
    (line,) = [line for line in done.err.splitlines() if UNSEEN in line]
    assert f"{UNSEEN} (too many calls in this account): s" in line
    assert "look at it before you rely on it: `snap-self show " in line
    assert "NO SNAPSHOT" not in done.err
    assert len(cloud.befores()) == 1


def test_next_call_of_the_action_asks_for_just_that_one(world: World, cloud: Cloud) -> None:
    world.configure('on_failure = "abort"', 'limit = "10s"', 'throttled_limit = "10s"')
    cloud.process.control("PUT", "life", LIFE | {"cut_s": 12.0})
    done = world.run("sh", "-c", f"({TWO_CALLS.replace('; apt', '; sleep 8; apt')}) 2>&1")
    assert ("first: 100" in done.out, "second: 0" in done.out) == (True, True), done.out
    assert f"{UNSEEN} (the cloud had not made it yet)" in done.out, done.out
    assert "no new snapshot: run " in done.out
    assert len(cloud.befores()) == 1
    assert sum(call.startswith("CreateSnapshot") for call in cloud.calls()) == 1


def test_job_that_is_killed_is_told_with_what_it_had_asked_for(world: World, cloud: Cloud) -> None:
    world.configure('on_failure = "abort"')
    cloud.process.control("PUT", "life", LIFE | {"cut_s": 60.0})
    folder = world.run_directory.new_folder("agent", "world-killed")
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            world.argv("apt-get", "-y", "install", "libc6"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=world.variables({}),
        )
        wait_until(cloud.befores)
        time.sleep(1.0)  # until the answer is in the journal
        (job,) = world.run("pgrep", "-f", "--", "--waited-for").out.split()
        assert world.run("kill", "-KILL", job).status == 0
        assert process.wait(PATIENCE_S) == 100
    said = (folder / "output").read_text()
    assert f"{UNSEEN} (the process that makes it was killed): s" in said
    assert "NO SNAPSHOT" not in said


def test_throttled_call_may_take_longer_only_where_nobody_waits(world: World, cloud: Cloud) -> None:
    world.configure('limit = "8s"', 'throttled_limit = "20s"')
    throttle(cloud)
    begun = time.monotonic()
    done = world.apt("install", "libc6")
    assert 8.5 < time.monotonic() - begun < 40, done.err
    assert "too many calls in this account; nobody waits at a terminal" in done.err
    assert f"{UNSEEN} (too many calls in this account)" in done.err
    with terminal(world, "bash", "-c", "apt-get -y install openssl; echo apt: $?") as screen:
        begun = time.monotonic()
        screen.finish()
    assert time.monotonic() - begun < 14
    assert "nobody waits" not in screen.seen
    assert "apt: 0" in screen.seen


def test_spread_goes_before_and_is_no_part_of_the_limit(world: World, cloud: Cloud) -> None:
    world.configure('limit = "10s"', 'spread = "7s"')
    world.apt("install", "hello-harmless")  # tells the guard of it
    done = world.apt("install", "libc6")
    assert done.status == 0, done.err
    assert "nobody waits at a terminal: beginning in " in done.err
    assert "snapshot made" in done.err
    assert len(cloud.befores()) == 1
