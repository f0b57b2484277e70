"""Debian's own pacman with our hook: what gets a snapshot, and what when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from apt_world import PROGRAM, Base, Cloud, Done
from pacman_world import GUARD, HOOK, PacmanWorld, pacman_world_running
from world_terminal import terminal

from run_directory import RunDirectory

pytestmark = pytest.mark.root

ABORT = 'on_failure = { pacman = "abort" }'
OLD, NEW = "2.39-1", "2.40-1"
LOCK = "/var/lib/pacman/db.lck"


@pytest.fixture
def world(
    pacman_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[PacmanWorld]:
    """Run a machine with pacman, our hook and the agent."""
    with pacman_world_running(pacman_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


def assert_went_on(world: PacmanWorld, done: Done, *words: str) -> None:
    """Check that pacman did its work and the person was told."""
    assert done.status == 0, done.out + done.err
    assert world.installed("glibc") == NEW
    for word in words:
        assert word in done.out + done.err


def assert_stopped(world: PacmanWorld, done: Done) -> None:
    """Check that pacman changed nothing, the person was told why, and it works the next time."""
    assert done.status == 1, done.out + done.err
    assert world.installed("glibc") == OLD
    assert "snap-self: NO SNAPSHOT" in done.out + done.err
    assert not world.path(LOCK).exists()
    assert world.pacman("-S", "new++.tool").status == 0
    assert world.installed("new++.tool")


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (("-S", "linux-lts"), "pacman: install linux-lts"),
        (("-S", "glibc", "hello"), "pacman: change glibc and 1 more"),
        (("-Rdd", "openssl"), "pacman: remove openssl"),
        (("-Syu",), None),
    ],
)
def test_risky_change_gets_one_snapshot(
    world: PacmanWorld, cloud: Cloud, arguments: tuple[str, ...], before: str | None
) -> None:
    done = world.pacman(*arguments)
    assert done.status == 0, done.out + done.err
    (made,) = cloud.befores()
    assert made == (before or made)
    assert "linux" in made or before


def test_local_file_gets_a_snapshot_too(
    world: PacmanWorld, cloud: Cloud, pacman_base: Base
) -> None:
    done = world.pacman("-U", str(pacman_base.repository / "glibc-2.39-1-any.pkg.tar.gz"))
    assert done.status == 0, done.out + done.err
    assert cloud.befores() == ["pacman: change glibc"]


def test_snapshot_is_made_before_anything_is_changed(world: PacmanWorld, cloud: Cloud) -> None:
    done = world.run("sh", "-c", "pacman --noconfirm -S glibc 2>&1")
    assert cloud.befores()
    assert done.out.index("snapshot made") < done.out.index("upgrading glibc")


def test_harmless_change_asks_nobody(world: PacmanWorld, cloud: Cloud) -> None:
    done = world.pacman("-S", "hello", "new++.tool", "small-00")
    assert done.status == 0, done.out + done.err
    assert world.installed("new++.tool")
    assert not cloud.asked_anything()
    assert "snap-self: " not in (done.out + done.err).replace("snap-self: a snapshot before", "")


@pytest.mark.parametrize("option", ["-Sp", "-Sw"])
def test_print_and_download_call_nothing(world: PacmanWorld, cloud: Cloud, option: str) -> None:
    done = world.pacman(option, "glibc")
    assert done.status == 0, done.out + done.err
    assert (
        "snap" not in done.out.replace("snap-self-test", "").replace("pkg", "") or option == "-Sw"
    )
    assert not cloud.asked_anything()


def test_other_root_is_left_alone(world: PacmanWorld, cloud: Cloud) -> None:
    """pacman runs hooks inside the other root, so it gets what a hook needs."""
    world.configure(ABORT)
    script = """
set -e
mkdir -p /mnt/other/var/lib/pacman /mnt/other/usr/share/libalpm
for name in usr etc var dev proc opt sys tmp run; do mkdir -p /mnt/other/$name; done
for name in usr etc dev proc opt sys; do mount --rbind /$name /mnt/other/$name; done
for name in bin sbin lib lib64; do ln -s usr/$name /mnt/other/$name; done
mkdir -p "/mnt/other$1"; mount --bind "$1" "/mnt/other$1"
cp -a /var/lib/pacman/. /mnt/other/var/lib/pacman/
exec pacman --noconfirm --root /mnt/other --cachedir /mnt/other/var/cache/pacman/pkg -S glibc
"""
    text = world.path("/etc/pacman.conf").read_text()
    repository = text.partition("file://")[2].splitlines()[0]
    done = world.run("sh", "-c", script, "sh", repository)
    assert done.status == 0, done.out + done.err
    assert "upgrading glibc" in done.out
    assert not cloud.asked_anything()
    assert world.installed("glibc") == OLD


def test_variable_switches_it_off_for_one_run(world: PacmanWorld, cloud: Cloud) -> None:
    assert_went_on(world, world.pacman("-S", "glibc", SNAP_SELF_SKIP="1"))
    assert not cloud.asked_anything()


def test_ten_changes_in_a_row_cost_one_snapshot(world: PacmanWorld, cloud: Cloud) -> None:
    world.configure('risky = ["small-*"]')
    for number in range(10):
        assert world.pacman("-S", f"small-{number:02}").status == 0
    assert len(cloud.befores()) == 1


def test_without_cloud_pacman_goes_on(world: PacmanWorld) -> None:
    world.cut_off()
    done = world.pacman("-S", "glibc")
    assert_went_on(world, done, "snap-self: NO SNAPSHOT", "goes on without one")


@pytest.mark.parametrize("arguments", [("-S", "glibc"), ("-Rdd", "glibc")])
def test_without_cloud_pacman_is_stopped_by_policy(
    world: PacmanWorld, cloud: Cloud, arguments: tuple[str, ...]
) -> None:
    world.configure(ABORT)
    world.cut_off()
    assert_stopped(world, world.pacman(*arguments))
    assert cloud.befores() == []


def test_interrupt_ends_pacman_with_nothing_changed(world: PacmanWorld, cloud: Cloud) -> None:
    cloud.hang("CreateSnapshotGroup")
    with terminal(world, "pacman", "--noconfirm", "-S", "glibc") as screen:
        screen.wait_for("taking a snapshot first")
        cloud.wait_until_struck()
        screen.type("\x03")
        assert screen.finish() != 0
    assert world.installed("glibc") == OLD
    assert not world.path(LOCK).exists()


def test_switched_off_does_nothing(world: PacmanWorld, cloud: Cloud) -> None:
    assert world.run("snap-self", "hook", "disable", "pacman").status == 0
    assert_went_on(world, world.pacman("-S", "glibc"))
    assert not cloud.asked_anything()


BROKEN = {
    "missing": None,
    "not python": "#!/bin/sh\nnot-there\n",
    "dies": "#!/bin/sh\nkill -9 $$\n",
    "fails": "#!/bin/sh\nexit 1\n",
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
def test_broken_agent_does_not_keep_pacman(world: PacmanWorld, text: str | None) -> None:
    world.configure(ABORT)
    if text is None:
        world.path(PROGRAM).unlink()
    else:
        world.write(PROGRAM, text, 0o755)
    assert_went_on(world, world.pacman("-S", "glibc"), "snap-self: ", "without a snapshot")


def test_removed_agent_is_not_even_mentioned(world: PacmanWorld) -> None:
    world.path(PROGRAM).unlink()
    world.path("/usr/bin/snap-self").unlink()
    done = world.pacman("-S", "glibc")
    assert_went_on(world, done)
    assert "without a snapshot" not in done.out + done.err


@pytest.mark.parametrize("path", [GUARD, HOOK])
def test_half_removed_hook_does_not_keep_pacman(world: PacmanWorld, path: str) -> None:
    world.path(path).unlink()
    assert_went_on(world, world.pacman("-S", "glibc"))


def test_hanging_agent_is_ended_by_the_guard(world: PacmanWorld) -> None:
    world.write("/var/lib/snap-self/hook-limit", "2\n")
    world.write(PROGRAM, "#!/bin/sh\nexec sleep 50\n", 0o755)
    done = world.pacman("-S", "glibc")
    assert_went_on(world, done, "did not end within 2 s")
    assert done.seconds < 20
