"""Debian's own dnf 4 with our plugin and the agent: what gets a snapshot, and what never stops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from apt_world import PROGRAM, Base, Cloud, Done
from dnf_world import AUTOMATIC, AUTOMATIC_CONFIG, GUARD, PLUGIN, DnfWorld, dnf_world_running
from world_terminal import terminal

from run_directory import RunDirectory

pytestmark = pytest.mark.root

ABORT = 'on_failure = { dnf = "abort" }'
OLD, NEW = ["2.34-1"], ["2.34-2"]


@pytest.fixture
def world(
    dnf_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[DnfWorld]:
    """Run a machine with dnf, our plugin and the agent."""
    with dnf_world_running(dnf_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


def assert_went_on(world: DnfWorld, done: Done, *words: str) -> None:
    """Check that dnf did its work and the person was told."""
    assert done.status == 0, done.err
    assert world.installed("glibc") == NEW
    for word in ("snap-self: ", *words):
        assert word.lower() in done.err.lower()
    assert "snap-self" not in done.out


def assert_stopped(world: DnfWorld, done: Done, *words: str) -> None:
    """Check that dnf changed nothing, the person was told why, and dnf works the next time."""
    assert done.status == 1, done.err
    assert world.installed("glibc") == OLD
    for word in ("snap-self: ", "Error: snap-self stopped this transaction", *words):
        assert word.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert world.dnf("install", "tree").status == 0


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (("upgrade", "glibc"), "dnf: upgrade glibc"),
        (("reinstall", "glibc-2.34-1"), "dnf: reinstall glibc"),
        (("remove", "openssl-libs"), "dnf: remove openssl-libs"),
        (("upgrade", "kernel"), "dnf: install kernel"),
    ],
)
def test_risky_change_gets_one_snapshot(
    world: DnfWorld, cloud: Cloud, arguments: tuple[str, ...], before: str
) -> None:
    done = world.dnf(*arguments)

    assert done.status == 0, done.err
    (made,) = cloud.befores()
    assert made.startswith(before)
    assert {row["before"] for row in world.listed()} == {made}
    assert "snap" not in done.out


def test_downgrade_gets_a_snapshot(world: DnfWorld, cloud: Cloud) -> None:
    assert world.dnf("--disableplugin=snap_self", "upgrade", "glibc").status == 0

    assert world.dnf("downgrade", "glibc").status == 0

    assert cloud.befores() == ["dnf: downgrade glibc"]


def test_snapshot_is_made_before_anything_is_installed(world: DnfWorld, cloud: Cloud) -> None:
    done = world.run("sh", "-c", "dnf -y upgrade glibc 2>&1")

    assert cloud.befores() == ["dnf: upgrade glibc"]
    assert done.out.index("snap-self: ") < done.out.index("Upgrading        : glibc")


@pytest.mark.parametrize(
    "arguments", [("install", "tree"), ("upgrade", "hello"), ("remove", "old-tool")]
)
def test_harmless_change_asks_nobody_and_says_nothing(
    world: DnfWorld, cloud: Cloud, arguments: tuple[str, ...]
) -> None:
    done = world.dnf(*arguments)

    assert done.status == 0, done.err
    assert not cloud.asked_anything()
    assert "snap" not in (done.out + done.err).replace("snap-self-test", "")


def test_many_harmless_packages_are_risky(world: DnfWorld, cloud: Cloud) -> None:
    assert world.dnf("install", "bulk-*").status == 0

    (before,) = cloud.befores()
    assert before.startswith("dnf: install bulk-")


def test_ten_transactions_in_a_row_get_one_snapshot(world: DnfWorld, cloud: Cloud) -> None:
    turns = "for turn in 1 2 3 4 5; do dnf -y upgrade glibc && dnf -y downgrade glibc || exit; done"

    done = world.run("sh", "-c", turns)

    assert done.status == 0, done.err
    assert cloud.befores() == ["dnf: upgrade glibc"]


@pytest.mark.parametrize(
    "option", ["--downloadonly", "--assumeno", "--setopt=tsflags=test", "--disableplugin=snap_self"]
)
def test_without_a_change_or_with_the_plugin_off_nothing_happens(
    world: DnfWorld, cloud: Cloud, option: str
) -> None:
    done = world.run("dnf", *([] if option == "--assumeno" else ["-y"]), option, "upgrade", "glibc")

    assert not cloud.asked_anything()
    assert "snap-self" not in done.out + done.err


def test_change_of_another_root_gets_no_snapshot(world: DnfWorld, cloud: Cloud) -> None:
    done = world.dnf("--installroot=/srv/other", "--releasever=9", "install", "glibc")

    assert done.status == 0, done.err
    assert not cloud.asked_anything()


def test_manager_that_is_switched_off_gets_no_snapshot(world: DnfWorld, cloud: Cloud) -> None:
    world.configure('enabled = ["apt"]')

    assert world.dnf("upgrade", "glibc").status == 0

    assert not cloud.asked_anything()


def test_skip_variable_holds_for_dnf_too(world: DnfWorld, cloud: Cloud) -> None:
    done = world.dnf("upgrade", "glibc", SNAP_SELF_SKIP="1")

    assert_went_on(world, done, "SNAP_SELF_SKIP is set")
    assert not cloud.asked_anything()


def test_without_a_snapshot_dnf_goes_on_and_says_so(world: DnfWorld) -> None:
    world.cut_off()

    assert_went_on(world, world.dnf("upgrade", "glibc"), "no snapshot")


def test_without_a_snapshot_dnf_is_stopped_by_policy(world: DnfWorld) -> None:
    world.configure(ABORT)
    world.cut_off()

    assert_stopped(world, world.dnf("upgrade", "glibc"), "no snapshot")


def test_harmless_change_is_never_stopped(world: DnfWorld) -> None:
    world.configure(ABORT)
    world.cut_off()

    done = world.dnf("install", "tree")

    assert (done.status, world.installed("tree")) == (0, ["1.7-1"])
    assert "snap-self" not in done.err


def test_cloud_that_hangs_holds_dnf_up_for_the_limit_and_no_longer(
    world: DnfWorld, cloud: Cloud
) -> None:
    world.configure('limit = "5s"')
    cloud.latencies(DescribeDisks=600.0)

    done = world.dnf("upgrade", "glibc")

    assert_went_on(world, done, "no snapshot")
    assert done.seconds < 25


def test_dnf_automatic_gets_a_snapshot(world: DnfWorld, cloud: Cloud) -> None:
    world.write("/etc/dnf/automatic.conf", AUTOMATIC_CONFIG)

    done = world.run("/usr/bin/python3", "-c", AUTOMATIC, "/etc/dnf/automatic.conf")

    assert done.status == 0, done.err
    assert world.installed("glibc") == NEW
    assert len(cloud.befores()) == 1


def test_dnf_automatic_is_stopped_by_policy(world: DnfWorld) -> None:
    world.configure(ABORT)
    world.cut_off()
    world.write("/etc/dnf/automatic.conf", AUTOMATIC_CONFIG)

    done = world.run("/usr/bin/python3", "-c", AUTOMATIC, "/etc/dnf/automatic.conf")

    assert done.status == 1
    assert world.installed("glibc") == OLD
    assert "Error: snap-self stopped this transaction" in done.err


BROKEN = {
    "traceback": "#!/usr/bin/python3\nraise RuntimeError('half an update')\n",
    "interpreter missing": "#!/opt/snap-self/bin/python3\n",
    "killed": "#!/bin/sh\nkill -9 $$\n",
    "no program at all": "",
}


# The plugin cannot tell how the agent broke: that stands in the guard's own tests, quickly.
HOWS = [
    *((how, "abort") for how in BROKEN),
    ("traceback", "continue"),
    *(pytest.param(how, "continue", marks=pytest.mark.long) for how in (*BROKEN,)[1:]),
]


@pytest.mark.parametrize(("how", "policy"), HOWS)
def test_broken_agent_never_stops_dnf_and_is_told(world: DnfWorld, how: str, policy: str) -> None:
    world.configure(f'on_failure = "{policy}"')
    world.write(PROGRAM, BROKEN[how], 0o755)

    assert_went_on(world, world.dnf("upgrade", "glibc"))


def test_agent_that_hangs_never_stops_dnf(world: DnfWorld) -> None:
    world.configure(ABORT)
    world.write(PROGRAM, "#!/bin/sh\nsleep 600\n", 0o755)
    world.write("/var/lib/snap-self/hook-limit", "2\n")

    done = world.dnf("upgrade", "glibc")

    assert_went_on(world, done, "did not end within 2 s")
    assert done.seconds < 20


@pytest.mark.parametrize("left", ["dangling link", "guard and plugin", "plugin only"])
def test_files_of_a_removed_product_never_stop_dnf(world: DnfWorld, left: str) -> None:
    world.run("rm", "-rf", "/opt/snap-self")
    if left != "dangling link":
        world.run("rm", "-f", "/usr/bin/snap-self")
    if left == "plugin only":
        world.run("rm", "-rf", "/etc/snap-self")

    for arguments in (("upgrade", "glibc"), ("remove", "hello")):
        done = world.dnf(*arguments)
        assert done.status == 0, done.err

    assert world.installed("glibc") == NEW


def test_without_the_plugin_dnf_works(world: DnfWorld, cloud: Cloud) -> None:
    world.path(PLUGIN).unlink()

    assert world.dnf("upgrade", "glibc").status == 0

    assert not cloud.asked_anything()


def test_release_upgrade_gets_a_snapshot_whatever_is_installed(
    world: DnfWorld, cloud: Cloud
) -> None:
    assert world.dnf("--releasever=9", "install", "tree").status == 0

    assert len(cloud.befores()) == 1


def test_ctrl_c_in_the_hook_stops_dnf_and_leaves_nothing(world: DnfWorld, cloud: Cloud) -> None:
    cloud.hang("CreateSnapshotGroup")
    with terminal(world, "dnf", "-y", "upgrade", "glibc") as screen:
        screen.wait_for("snap-self: ")
        cloud.wait_until_struck()
        screen.type("\x03")
        status = screen.finish()

    assert status != 0, screen.seen
    assert world.installed("glibc") == OLD
    left = world.run("ps", "-eo", "args").out.splitlines()[1:]
    assert [line for line in left if "init -ISc" not in line and "ps -eo" not in line] == []
    for mount in cloud.mounts:  # would wait for ever where frozen
        assert world.run("timeout", "5", "touch", f"{mount}/written").status == 0
    assert world.dnf("install", "tree").status == 0
    assert world.path(GUARD).exists()
