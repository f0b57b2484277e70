"""The machine's own apt with our hook: no snapshot, a broken agent, one that hangs, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from apt_world import ALLOW_ALL, DENY_CREATES, GUARD, PROGRAM, Cloud, Done, World
from world_terminal import terminal

pytestmark = pytest.mark.root

ABORT = 'on_failure = { apt = "abort" }'
LIMIT_FILE = "/var/lib/snap-self/hook-limit"
OLD, NEW = "2.36-9", "2.36-10"


def assert_went_on(world: World, done: Done, *words: str) -> None:
    """Check that apt did its work and the person was told."""
    assert done.status == 0, done.err
    assert world.version("libc6") == NEW
    for word in ("snap-self: ", *words):
        assert word in done.err
    assert "snap-self" not in done.out


def assert_stopped(world: World, done: Done, *words: str) -> None:
    """Check that apt changed nothing, the person was told why, and apt works the next time."""
    assert done.status == 100, done.err
    assert world.version("libc6") == OLD
    assert "Unpacking" not in done.out
    for word in ("snap-self: ", *words):
        assert word in done.err
    assert "Traceback" not in done.err
    assert world.apt("install", "tree-tool").status == 0


def fail(world: World, cloud: Cloud, how: str) -> None:
    """Bring it about that no snapshot can be made."""
    if how == "nobody answers":
        world.cut_off()
    else:
        cloud.policies(ALLOW_ALL, DENY_CREATES)


FAILURES = ("nobody answers", "refused")


@pytest.mark.parametrize("how", FAILURES)
def test_without_a_snapshot_apt_goes_on_and_says_so(world: World, cloud: Cloud, how: str) -> None:
    fail(world, cloud, how)
    assert_went_on(world, world.apt("install", "libc6"), "NO SNAPSHOT")
    assert cloud.befores() == []


@pytest.mark.parametrize("how", FAILURES)
def test_without_a_snapshot_apt_is_stopped_by_policy(world: World, cloud: Cloud, how: str) -> None:
    world.configure(ABORT)
    fail(world, cloud, how)
    assert_stopped(world, world.apt("install", "libc6"), "NO SNAPSHOT")
    assert cloud.befores() == []


def test_policy_for_all_managers_stops_apt_too(world: World) -> None:
    world.configure('on_failure = "abort"')
    world.cut_off()
    assert_stopped(world, world.apt("install", "libc6"))


def test_policy_of_another_manager_does_not_stop_apt(world: World) -> None:
    world.configure('on_failure = { dnf = "abort" }')
    world.cut_off()
    assert_went_on(world, world.apt("install", "libc6"))


def test_harmless_change_is_never_stopped(world: World) -> None:
    world.configure(ABORT)
    world.cut_off()
    done = world.apt("install", "tree-tool")
    assert (done.status, world.version("tree-tool")) == (0, "1.0")
    assert "snap-self" not in done.err


def test_slow_cloud_within_the_limit_is_waited_for(world: World, cloud: Cloud) -> None:
    world.configure(ABORT, 'limit = "60s"')
    cloud.latencies(DescribeDisks=2.0)
    done = world.apt("install", "libc6")
    assert_went_on(world, done)
    assert cloud.befores() == ["apt: upgrade libc6"]


def test_cloud_that_hangs_holds_apt_up_for_the_limit_and_no_longer(
    world: World, cloud: Cloud
) -> None:
    world.configure('limit = "5s"')
    cloud.latencies(DescribeDisks=600.0)
    done = world.apt("install", "libc6")
    assert_went_on(world, done, "NO SNAPSHOT")
    assert 2 <= done.seconds < 25


# Stands for the agent where a snapshot is to be made, and does not end when asked to.
HANGING = """
import signal, time
def main():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""


@pytest.mark.parametrize("policy", ["abort", "continue"])
def test_snapshot_that_hangs_is_ended_at_the_limit(world: World, policy: str) -> None:
    world.configure(f'on_failure = "{policy}"', 'limit = "5s"')
    program = world.path(PROGRAM).read_text()
    for package in ("snap_self", "snap_self/cli"):
        world.write(f"/opt/hanging/{package}/__init__.py", "")
    world.write("/opt/hanging/snap_self/cli/entry.py", HANGING)
    # What answers apt is loaded by then; the process that makes the snapshot gets this path.
    begun = program.replace("\nmain()", "\nsys.path.insert(0, '/opt/hanging')\nmain()")
    world.write(PROGRAM, begun, 0o755)
    done = world.apt("install", "libc6")
    assert "not made within 5 s" in done.err
    assert done.status == (100 if policy == "abort" else 0)
    assert world.version("libc6") == (OLD if policy == "abort" else NEW)
    assert "sleep" not in world.run("ps", "-eo", "args").out
    assert done.seconds < 25


def test_agent_that_hangs_at_once_is_ended_by_its_guard(world: World) -> None:
    world.configure(ABORT, 'limit = "5s"')
    assert world.apt("install", "tree-tool").status == 0
    # The agent told the guard, which allows it 5 s more. So that the test takes less:
    assert world.path(LIMIT_FILE).read_text() == "10\n305\n"
    world.write(LIMIT_FILE, "2\n")
    world.write(PROGRAM, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", 0o755)
    done = world.apt("install", "libc6")
    assert_went_on(world, done, "did not end within 2 s")
    assert done.seconds < 20


BROKEN = {
    "an exception": "#!/usr/bin/python3\nraise RuntimeError('half an update')\n",
    "status 1": "#!/bin/sh\nexit 1\n",
    "no interpreter": "#!/opt/snap-self/bin/python3\n",
    "status 124": "#!/bin/sh\nexit 124\n",
    "killed": "#!/bin/sh\nkill -9 $$\n",
    "segmentation fault": "#!/bin/sh\nkill -SEGV $$\n",
    "an empty file": "",
    "no program": "\x7fELF and no more",
}


def test_broken_agent_never_stops_apt_and_is_told(world: World) -> None:
    world.configure(ABORT)
    for how, program in BROKEN.items():
        world.write(PROGRAM, program, 0o755)
        done = world.apt("install", "--reinstall", "libc6=2.36-9")
        assert done.status == 0, (how, done.err)
        assert "snap-self" in done.err, how
        assert "goes on without a snapshot" in done.err, how
        assert "Unpacking libc6" in done.out, how


def test_agent_that_is_not_executable_never_stops_apt(world: World) -> None:
    world.path(PROGRAM).chmod(0o644)
    done = world.apt("install", "libc6")
    assert (done.status, world.version("libc6")) == (0, NEW)


@pytest.mark.parametrize("left", ["dangling link", "guard", "hook file only"])
def test_hook_files_of_a_removed_product_never_stop_apt(world: World, left: str) -> None:
    world.run("rm", "-rf", "/opt/snap-self")
    if left != "dangling link":
        world.run("rm", "-f", "/usr/bin/snap-self")
    if left == "hook file only":
        world.run("rm", "-rf", "/etc/snap-self")
    for arguments in (("install", "libc6", "tree-tool"), ("remove", "grub-pc")):
        done = world.apt(*arguments)
        assert done.status == 0, done.err
    assert world.version("libc6") == NEW


def test_guard_that_is_not_executable_never_stops_apt(world: World) -> None:
    world.path(GUARD).chmod(0o644)
    done = world.apt("install", "libc6")
    assert (done.status, world.version("libc6")) == (0, NEW)


def test_broken_configuration_never_stops_apt_and_is_told(world: World) -> None:
    world.configure('on_failure = "perhaps"')
    assert_went_on(world, world.apt("install", "libc6"), "on_failure")


def test_change_of_the_configuration_holds_from_the_next_call_on(world: World) -> None:
    assert world.apt("install", "tree-tool").status == 0
    world.configure(ABORT)
    world.cut_off()
    done = world.apt("install", "libc6")
    assert done.status == 100
    world.configure('on_failure = "continue"')
    assert_went_on(world, world.apt("install", "libc6"), "NO SNAPSHOT")


def test_run_directory_that_cannot_be_written_never_stops_apt(world: World) -> None:
    world.run("mount", "-t", "tmpfs", "-o", "ro", "none", "/run")
    assert_went_on(world, world.apt("install", "libc6"))


def test_release_upgrade_is_never_stopped(world: World) -> None:
    # do-release-upgrade itself is Ubuntu's: these are the variables it sets.
    world.configure(ABORT)
    world.cut_off()
    done = world.apt(
        "install", "libc6", RELEASE_UPGRADE_IN_PROGRESS="1", RELEASE_UPGRADE_MODE="server"
    )
    assert_went_on(world, done, "NO SNAPSHOT")


def test_release_upgrade_gets_a_snapshot_whatever_is_installed(world: World, cloud: Cloud) -> None:
    done = world.apt("install", "tree-tool", RELEASE_UPGRADE_IN_PROGRESS="1")
    assert done.status == 0, done.err
    assert len(cloud.befores()) == 1


@pytest.fixture
def frozen_at_the_create(world: World, cloud: Cloud) -> Iterator[None]:
    """Have the hook hang while its disks are frozen; thaw them from outside in any case."""
    world.write("/etc/snap-self/conf.d/60.toml", '[snapshot]\nconsistency = "filesystem"\n')
    cloud.hang("CreateSnapshotGroup")
    thaw = "; ".join(f"fsfreeze --unfreeze {mount}" for mount in cloud.mounts)
    timer = subprocess.Popen(["sh", "-c", f"sleep 25; {thaw}"], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(timer.pid, signal.SIGKILL)
        timer.wait()


@pytest.mark.usefixtures("frozen_at_the_create")
def test_ctrl_c_in_the_hook_stops_apt_and_leaves_nothing(world: World, cloud: Cloud) -> None:
    # What still runs when apt has ended is told before anything else can end it.
    script = "apt-get -y install libc6; echo apt: $?; ps -eo args"
    with terminal(world, "bash", "-c", script) as screen:
        screen.wait_for("snap-self: ")
        cloud.wait_until_struck()
        screen.type("\x03")
        screen.finish()
    _, _, after = screen.seen.partition("apt: 100\n")
    assert "COMMAND" in after, screen.seen
    assert "snap" not in after
    assert_nothing_left(world, cloud)


@pytest.mark.usefixtures("frozen_at_the_create")
@pytest.mark.parametrize("how", ["ctrl-backslash", "terminal closed"])
def test_apt_that_does_not_wait_for_the_hook_leaves_nothing_either(
    world: World, cloud: Cloud, how: str
) -> None:
    with terminal(world, "apt-get", "-y", "install", "libc6") as screen:
        screen.wait_for("snap-self: ")
        cloud.wait_until_struck()
        if how == "ctrl-backslash":
            screen.type("\x1c")
            assert screen.finish() == 100
    end = time.monotonic() + 10
    while "snap" in world.run("ps", "-eo", "args").out:
        assert time.monotonic() < end
    assert_nothing_left(world, cloud)


def assert_nothing_left(world: World, cloud: Cloud) -> None:
    """Check that nothing is installed, frozen or locked."""
    assert world.version("libc6") == OLD
    for mount in cloud.mounts:  # would wait for ever where frozen
        assert world.run("timeout", "5", "touch", f"{mount}/written").status == 0
    assert world.apt("install", "tree-tool").status == 0
