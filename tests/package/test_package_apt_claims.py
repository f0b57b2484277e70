"""The machine's own apt with our hook: nothing is claimed, or passed over, unasked."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

import pytest
from apt_world import LIFE, NOBODY, Cloud, World
from world_terminal import terminal

pytestmark = pytest.mark.root

ABORT = 'on_failure = "abort"'
NETWORK = "/etc/snap-self/conf.d/90-network.toml"
NOBODY_ANSWERS = f'[network]\nmetadata_url = "{NOBODY}"\necs_endpoint = "{NOBODY}"\n'
PATIENCE_S = 60.0
LEFT_OVER = """
Package: linux-image-5.10.0-1-amd64
Status: deinstall ok config-files
Maintainer: Nobody <nobody@example.com>
Architecture: amd64
Version: 5.10-1
Config-Version: 5.10-1
Description: of a test

"""


def wait_until(true: Callable[[], object]) -> None:
    """Return when it is true."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_what_the_change_writes_to_and_the_snapshot_lacks_is_told(
    world: World, cloud: Cloud
) -> None:
    world.configure('on_failure = "abort"')
    done = world.apt("install", "libc6")
    assert done.status == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "Not in the snapshot" in line]
    # The world's folders are overlays on no cloud disk; a neighbour's mounts may be more.
    told, _, more = line.partition(" and ")
    assert told == "snap-self: Not in the snapshot: /etc, /opt, /usr, /var"
    assert re.fullmatch(r"|\d+ more", more)
    assert "snapshot made" in done.err
    assert len(cloud.befores()) == 1


def test_removals_that_apts_oldest_list_does_not_tell_get_a_snapshot(
    world: World, cloud: Cloud
) -> None:
    # Somebody else's clean-up, after which apt names the unpacked files and nothing else.
    world.write("/etc/apt/apt.conf.d/99local", "#clear DPkg::Tools::Options;\n")
    done = world.apt("remove", "systemd", "grub-pc")
    assert (done.status, world.version("systemd")) == (0, ""), done.err
    assert "the list of packages is not complete" in done.err
    assert len(cloud.befores()) == 1


def test_removal_beside_a_harmless_upgrade_is_not_passed_over_by_the_oldest_list(
    world: World, cloud: Cloud
) -> None:
    world.write("/etc/apt/apt.conf.d/99local", "#clear DPkg::Tools::Options;\n")
    done = world.apt("install", "hello-harmless", "systemd-")
    assert (done.status, world.version("systemd")) == (0, ""), done.err
    assert len(cloud.befores()) == 1


def test_removal_of_which_dpkg_does_not_tell_whether_it_is_essential_gets_a_snapshot(
    world: World, cloud: Cloud
) -> None:
    world.path("/usr/bin/dpkg-query").unlink()
    world.write("/usr/bin/dpkg-query", "#!/bin/sh\nexit 2\n", 0o755)
    done = world.apt("--allow-remove-essential", "remove", "harmless-essential")
    assert (done.status, world.version("harmless-essential")) == (0, ""), done.err
    assert "removed, and not known whether essential: harmless-essential" in done.err
    assert cloud.befores() == ["apt: remove harmless-essential"]


def test_packages_that_dpkg_puts_into_another_root_get_no_snapshot(
    world: World, cloud: Cloud
) -> None:
    assert world.run("cp", "-a", "/var/lib/dpkg", "/mnt/").status == 0
    world.run("sh", "-c", "mkdir -p /mnt/r/var/lib && cp -a /var/lib/dpkg /mnt/r/var/lib/")
    options = ("DPkg::Options::=--root=/mnt/r", "Dir::State::status=/mnt/r/var/lib/dpkg/status")
    done = world.apt(*(word for option in options for word in ("-o", option)), "install", "libc6")
    assert done.status == 0, done.err
    assert world.path("/mnt/r/usr/share/snap-self-test/libc6").exists()
    assert world.version("libc6") == "2.36-9"
    assert not cloud.asked_anything()


def test_purge_of_a_kernels_left_over_configuration_gets_no_snapshot(
    world: World, cloud: Cloud
) -> None:
    status = world.path("/var/lib/dpkg/status")
    status.write_text(status.read_text() + LEFT_OVER)
    done = world.apt("purge", "linux-image-5.10.0-1-amd64")
    assert done.status == 0, done.err
    assert "linux-image-5.10.0-1-amd64" not in status.read_text()
    assert "snap-self" not in done.err
    assert not cloud.asked_anything()


def test_snapshot_that_was_deleted_meanwhile_covers_no_further_change(
    world: World, cloud: Cloud
) -> None:
    world.configure('reuse = "off"')
    world.write("/root/next", "")
    script = (
        "apt-get -y install libc6; while test -e /root/next; do sleep 0.1; done; "
        "apt-get -y install openssl; true"
    )
    folder = world.run_directory.new_folder("agent", "world-deleted")
    with (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            world.argv("sh", "-c", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            env=world.variables({}),
        )
        wait_until(lambda: world.version("libc6") == "2.36-10")
        cloud.process.control("DELETE", "snapshots")
        world.path("/root/next").unlink()
        assert process.wait(60) == 0
    said = (folder / "stderr").read_text()
    assert "does not serve: no longer there: s-" in said
    assert "no new snapshot" not in said
    assert cloud.befores() == ["apt: upgrade openssl"]


@pytest.mark.parametrize(("lines", "version"), [((), "3.0.15-1"), ((ABORT,), "3.0.11-1")])
def test_earlier_snapshot_that_cannot_be_asked_for_is_not_claimed(
    world: World, cloud: Cloud, lines: tuple[str, ...], version: str
) -> None:
    world.configure(*lines)
    world.write("/root/away", NOBODY_ANSWERS)
    script = f"apt-get -y install libc6; cp /root/away {NETWORK}; apt-get -y install openssl; true"
    done = world.run("sh", "-c", script)
    assert "no new snapshot" not in done.err
    assert "whether it is still there is not known" in done.err
    assert world.version("openssl") == version


def test_interruption_tells_that_what_the_cloud_was_asked_for_goes_on(
    world: World, cloud: Cloud
) -> None:
    cloud.process.control("PUT", "life", LIFE | {"cut_s": 60.0})
    with terminal(world, "bash", "-c", "apt-get -y install libc6; echo apt: $?") as screen:
        screen.wait_for("taking a snapshot")
        wait_until(cloud.befores)
        screen.type("\x03")
        screen.finish()
    assert "apt: 100" in screen.seen
    assert "interrupted; a snapshot that the cloud was asked for goes on" in screen.seen
    assert "the change is not made" in screen.seen
    assert "no snapshot" not in screen.seen
    assert (world.version("libc6"), len(cloud.befores())) == ("2.36-9", 1)


def test_hook_without_its_guard_says_nothing_of_the_change(world: World, cloud: Cloud) -> None:
    cloud.process.control("PUT", "life", LIFE | {"cut_s": 60.0})
    folder = world.run_directory.new_folder("agent", "world-orphan")
    with (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            world.argv("apt-get", "-y", "install", "libc6"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            env=world.variables({}),
        )
        wait_until(cloud.befores)
        pids = world.run("pgrep", "-x", "timeout").out.split()
        hooks = world.run("pgrep", "-f", "snap-self hook apt$").out.split()
        hook = next(pid for pid in reversed(hooks) if pid not in pids)
        assert world.run("kill", "-KILL", *pids).status == 0
        assert process.wait(60) == 0
        assert world.version("libc6") == "2.36-10"
        world.run("kill", "-TERM", hook)
        wait_until(lambda: "interrupted" in (folder / "stderr").read_text())
    said = (folder / "stderr").read_text()
    assert "the change goes on without a snapshot" in said
    assert "the change is not made" not in said
