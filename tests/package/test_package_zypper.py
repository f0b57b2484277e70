"""Debian's own zypper with our commit plugin: what gets a snapshot, and what when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from apt_world import PROGRAM, Base, Cloud, Done
from world_terminal import terminal
from zypper_world import (
    GUARD,
    PLUGIN,
    ZypperWorld,
    zypper_world_running,
)

from run_directory import RunDirectory

pytestmark = pytest.mark.root

ABORT = 'on_failure = { zypper = "abort" }'
OLD, NEW = "2.38-1", "2.38-2"
STOPPED = 8  # zypper(8): ZYPPER_EXIT_ON_SIGNAL is what it ends with


@pytest.fixture
def world(
    zypper_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[ZypperWorld]:
    """Run a machine with zypper, our hook and the agent."""
    with zypper_world_running(zypper_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


def assert_went_on(world: ZypperWorld, done: Done, *words: str) -> None:
    """Check that zypper did its work and why it did without a snapshot."""
    assert done.status == 0, done.out + done.err
    assert world.installed("glibc") == NEW
    for word in words:
        assert word in world.log()
    assert "snap-self" not in done.out


def assert_stopped(world: ZypperWorld, done: Done) -> None:
    """Check that zypper changed nothing, and works the next time."""
    assert done.status == STOPPED, done.out + done.err
    assert world.installed("glibc") == OLD
    assert world.zypper("install", "small-00").status == 0
    assert world.installed("small-00")


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (("update", "glibc"), "zypper: upgrade glibc"),
        (("install", "kernel-default"), "zypper: install kernel-default"),
        (("install", "--force", "glibc=2.38-1"), "zypper: reinstall glibc"),
        (("install", "--oldpackage", "--force", "openssl=3.1-1"), "zypper: downgrade openssl"),
        (("remove", "grub2"), "zypper: remove grub2"),
    ],
)
def test_risky_change_gets_one_snapshot(
    world: ZypperWorld, cloud: Cloud, arguments: tuple[str, ...], before: str
) -> None:
    done = world.zypper(*arguments)
    assert done.status == 0, done.out + done.err
    assert cloud.befores() == [before]
    assert "snap" not in done.out
    assert f"{PLUGIN} -> [0]" in world.log()  # it went along to the end


def test_risky_change_is_made_after_its_snapshot(world: ZypperWorld, cloud: Cloud) -> None:
    assert_went_on(world, world.zypper("update", "glibc"), "taking a snapshot first")
    assert cloud.befores()


def test_harmless_change_asks_nobody(world: ZypperWorld, cloud: Cloud) -> None:
    done = world.zypper("install", "hello", "small-00", "small-01")
    assert done.status == 0, done.err
    assert world.installed("small-01")
    assert not cloud.asked_anything()
    assert "snap-self: " not in done.out + done.err


def test_package_that_is_risky_only_when_it_is_there_is_told_apart(
    world: ZypperWorld, cloud: Cloud
) -> None:
    assert world.zypper("install", "sudo=1.9-1").status == 0
    assert not cloud.asked_anything()
    assert world.zypper("update", "sudo").status == 0
    assert cloud.befores() == ["zypper: upgrade sudo"]


@pytest.mark.parametrize("option", ["--dry-run", "--download-only"])
def test_dry_run_and_download_call_nothing(world: ZypperWorld, cloud: Cloud, option: str) -> None:
    done = world.zypper("update", option, "glibc")
    assert done.status == 0, done.out + done.err
    assert not cloud.asked_anything()


def test_other_root_is_left_alone(world: ZypperWorld, cloud: Cloud) -> None:
    world.run("mkdir", "-p", "/mnt/other/etc/zypp")
    world.run("cp", "-r", "/etc/zypp/repos.d", "/mnt/other/etc/zypp/")
    done = world.zypper("--root", "/mnt/other", "--no-gpg-checks", "install", "glibc")
    assert done.status == 0, done.out + done.err
    assert world.path("/mnt/other/usr/share/snap-self-test").exists()
    assert not cloud.asked_anything()


def test_chroot_is_left_alone(world: ZypperWorld, cloud: Cloud) -> None:
    world.configure(ABORT)
    script = """
set -e
mount -t tmpfs other /mnt
for name in usr etc var dev proc opt sys tmp run; do
    mkdir /mnt/$name; mount --rbind /$name /mnt/$name
done
for path in "$@"; do mkdir -p "/mnt$path"; mount --bind "$path" "/mnt$path"; done
for name in bin sbin lib lib64; do ln -s usr/$name /mnt/$name; done
mkdir -p /mnt/root
exec chroot /mnt zypper --non-interactive update glibc
"""
    (repository,) = _places(world)
    assert_went_on(world, world.run("sh", "-c", script, "sh", repository))
    assert not cloud.asked_anything()


def _places(world: ZypperWorld) -> list[str]:
    text = world.path("/etc/zypp/repos.d/test.repo").read_text()
    return [line.removeprefix("baseurl=dir:") for line in text.splitlines() if "dir:" in line]


@pytest.mark.parametrize("userdata", ["snap-self=skip", "ticket=4:2,snap-self=skip"])
def test_userdata_switches_it_off_for_one_run(
    world: ZypperWorld, cloud: Cloud, userdata: str
) -> None:
    done = world.zypper("--userdata", userdata, "update", "glibc")
    assert_went_on(world, done)
    assert not cloud.asked_anything()


def test_new_btrfs_snapshot_is_left_alone(world: ZypperWorld, cloud: Cloud) -> None:
    assert_went_on(world, world.zypper("update", "glibc", TRANSACTIONAL_UPDATE="true"))
    assert not cloud.asked_anything()


def test_ten_changes_in_a_row_cost_one_snapshot(world: ZypperWorld, cloud: Cloud) -> None:
    world.configure('risky = ["small-*"]')
    for number in range(10):
        assert world.zypper("install", f"small-{number:02}").status == 0
    assert len(cloud.befores()) == 1


def test_without_cloud_zypper_goes_on(world: ZypperWorld) -> None:
    world.cut_off()
    assert_went_on(world, world.zypper("update", "glibc"), "NO SNAPSHOT", "goes on without one")


@pytest.mark.parametrize("arguments", [("update", "glibc"), ("remove", "glibc")])
def test_without_cloud_zypper_is_stopped_by_policy(
    world: ZypperWorld, cloud: Cloud, arguments: tuple[str, ...]
) -> None:
    world.configure(ABORT)
    world.cut_off()
    done = world.zypper(*arguments)
    assert_stopped(world, done)
    assert done.seconds < 25  # libzypp's own limit would be 30
    assert cloud.befores() == []
    assert "zypper is told to stop" in world.log()


def test_person_at_the_terminal_is_told_why_zypper_stops(world: ZypperWorld) -> None:
    world.configure(ABORT)
    world.cut_off()
    with terminal(world, "zypper", "--non-interactive", "update", "glibc") as screen:
        assert screen.finish() == STOPPED
    assert "snap-self: taking a snapshot first" in screen.seen
    assert "snap-self: NO SNAPSHOT" in screen.seen


def test_interrupt_ends_zypper_with_nothing_changed(world: ZypperWorld, cloud: Cloud) -> None:
    cloud.hang("CreateSnapshotGroup")
    with terminal(world, "zypper", "--non-interactive", "update", "glibc") as screen:
        screen.wait_for("taking a snapshot first")
        cloud.wait_until_struck()
        screen.type("\x03")
        assert screen.finish() != 0
    assert world.installed("glibc") == OLD


def test_switched_off_does_nothing(world: ZypperWorld, cloud: Cloud) -> None:
    assert world.run("snap-self", "hook", "disable", "zypper").status == 0
    assert_went_on(world, world.zypper("update", "glibc"))
    assert not cloud.asked_anything()


BROKEN = {
    "missing": None,
    "not python": "#!/bin/sh\nnot-there\n",
    "dies": "#!/bin/sh\nkill -9 $$\n",
    "fails": "#!/bin/sh\nexit 1\n",
    "chatters": "#!/bin/sh\necho hello\nexit 0\n",
}


# The guard's own tests have these too, quickly.
MORE_BROKEN = ("not python", "fails")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=how, marks=[pytest.mark.long] if how in MORE_BROKEN else [])
        for how, text in BROKEN.items()
    ],
)
def test_broken_agent_does_not_keep_zypper(world: ZypperWorld, text: str | None) -> None:
    world.configure(ABORT)
    if text is None:
        world.path(PROGRAM).unlink()
    else:
        world.write(PROGRAM, text, 0o755)
    done = world.zypper("update", "glibc")
    assert_went_on(world, done)
    assert done.seconds < 25


def test_person_at_the_terminal_is_told_of_a_broken_agent(world: ZypperWorld) -> None:
    world.write(PROGRAM, "#!/bin/sh\nexit 1\n", 0o755)
    with terminal(world, "zypper", "--non-interactive", "update", "glibc") as screen:
        assert screen.finish() == 0
    assert "snap-self: its hook for zypper is broken (status 1)" in screen.seen
    assert "goes on without a snapshot" in screen.seen


@pytest.mark.parametrize("path", [GUARD, PLUGIN])
def test_half_removed_hook_does_not_keep_zypper(world: ZypperWorld, path: str) -> None:
    world.path(path).unlink()
    assert_went_on(world, world.zypper("update", "glibc"))


def test_hanging_agent_is_given_up_by_libzypp(world: ZypperWorld) -> None:
    world.write(PROGRAM, "#!/bin/sh\nexec sleep 50\n", 0o755)
    assert_went_on(world, world.zypper("update", "glibc", ZYPP_PLUGIN_TIMEOUT="2"))


@pytest.mark.slow
def test_snapshot_longer_than_libzypps_patience_is_waited_for(
    world: ZypperWorld, cloud: Cloud
) -> None:
    cloud.latencies(CreateSnapshotGroup=17.0)
    done = world.zypper("update", "glibc", ZYPP_PLUGIN_TIMEOUT="8")
    assert_went_on(world, done)
    assert done.seconds > 17
    assert cloud.befores() == ["zypper: upgrade glibc"]
