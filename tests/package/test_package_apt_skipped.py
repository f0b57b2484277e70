"""The machine's own apt with our hook: where it must do nothing at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from apt_world import Base, Cloud, Done, World, world_running

from run_directory import RunDirectory

pytestmark = pytest.mark.root

NEW = "2.36-10"
ABORT = 'on_failure = "abort"'
# A root of its own on another filesystem, with the world's files in it.
OTHER_ROOT = """
set -e
mount -t tmpfs other /mnt
mkdir /mnt/usr /mnt/etc /mnt/var /mnt/dev /mnt/proc /mnt/tmp /mnt/opt /mnt/run /mnt/sys
for name in usr etc var dev proc opt sys; do mount --rbind /$name /mnt/$name; done
for path in "$@"; do mkdir -p "/mnt$path"; mount --bind "$path" "/mnt$path"; done
for name in bin sbin lib lib64; do ln -s usr/$name /mnt/$name; done
"""


def assert_left_alone(world: World, cloud: Cloud, done: Done) -> None:
    """Check that apt did its work and nobody was asked anything."""
    assert done.status == 0, done.err
    assert world.version("libc6") == NEW
    assert not cloud.asked_anything()
    assert "Warning" not in done.err
    assert "snap-self" not in done.out


@pytest.mark.parametrize(
    "lines", [("enabled = []",), ('enabled = ["dnf", "zypper"]',), ("enabled = []", ABORT)]
)
def test_hook_switched_off_by_its_key_does_nothing(
    world: World, cloud: Cloud, lines: tuple[str, ...]
) -> None:
    world.configure(*lines)
    assert_left_alone(world, cloud, world.apt("install", "libc6"))


def test_hook_disable_and_enable_hold_from_the_next_call_on(world: World, cloud: Cloud) -> None:
    assert world.run("snap-self", "hook", "disable", "apt").status == 0
    assert_left_alone(world, cloud, world.apt("install", "libc6"))
    assert world.run("snap-self", "hook", "enable", "apt").status == 0
    assert world.apt("install", "systemd").status == 0
    assert cloud.befores() == ["apt: upgrade systemd"]


@pytest.mark.parametrize(
    ("line", "loaded"), [("", "yes"), ("#clear DPkg::Pre-Install-Pkgs;\n", "no")]
)
def test_hook_status_tells_whether_apt_really_reads_the_hook(
    world: World, line: str, loaded: str
) -> None:
    world.write("/etc/apt/apt.conf.d/99local", line)
    done = world.run("snap-self", "hook", "status", "apt", "--json")
    assert done.status == (0 if loaded == "yes" else 4)
    (found,) = json.loads(done.out)["hooks"]
    assert found["loaded"] == loaded, found


def test_variable_switches_the_hook_off_for_one_run(world: World, cloud: Cloud) -> None:
    assert_left_alone(world, cloud, world.apt("install", "libc6", SNAP_SELF_SKIP="1"))


@pytest.mark.parametrize("value", ["", "0"])
def test_variable_that_says_no_switches_nothing_off(world: World, cloud: Cloud, value: str) -> None:
    assert world.apt("install", "libc6", SNAP_SELF_SKIP=value).status == 0
    assert cloud.befores() == ["apt: upgrade libc6"]


@pytest.mark.parametrize("option", ["SnapSelf::Skip=1", "DPkg::Pre-Install-Pkgs::snap-self="])
def test_option_of_apt_switches_the_hook_off_for_one_run(
    world: World, cloud: Cloud, option: str
) -> None:
    assert_left_alone(world, cloud, world.apt("-o", option, "install", "libc6"))
    assert world.apt("install", "systemd").status == 0
    assert cloud.befores() == ["apt: upgrade systemd"]


def test_moment_in_the_skip_file_switches_the_hook_off_until_then(
    world: World, cloud: Cloud
) -> None:
    world.write("/run/snap-self/skip-until", "2999-01-01T00:00:00Z\n")
    assert_left_alone(world, cloud, world.apt("install", "libc6"))
    world.write("/run/snap-self/skip-until", "2001-01-01T00:00:00Z\n")
    assert world.apt("install", "systemd").status == 0
    assert cloud.befores() == ["apt: upgrade systemd"]


@pytest.mark.parametrize("marker", ["/run/.containerenv", "/.dockerenv"])
def test_with_a_containers_file_nothing_is_done_and_that_is_told(
    world: World, cloud: Cloud, marker: str
) -> None:
    world.configure(ABORT)
    world.write(marker, "")
    done = world.apt("install", "libc6")
    assert_left_alone(world, cloud, done)
    assert f"inside a container ({marker})" in done.err
    assert world.run("snap-self", "hook", "status", "apt").status == 4


@pytest.mark.parametrize("marker", ["", "/run/systemd/container"])
def test_in_a_container_of_systemd_or_lxc_nothing_is_done(
    apt_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory, marker: str
) -> None:
    init = [("container", "lxc")]
    with world_running(apt_base, cloud, tmp_path / "world", run_directory, init) as world:
        if marker:
            world.write(marker, "lxc")
        done = world.apt("install", "libc6")
        assert_left_alone(world, cloud, done)
        assert ("inside a container" in done.err) == (not marker)


@pytest.mark.parametrize("name", ["container", "KUBERNETES_SERVICE_HOST"])
def test_variable_of_an_administrators_script_switches_nothing_off(
    world: World, cloud: Cloud, name: str
) -> None:
    assert world.apt("install", "libc6", **{name: "web"}).status == 0
    assert cloud.befores() == ["apt: upgrade libc6"]


def test_policy_that_may_not_be_executed_switches_nothing_off(world: World, cloud: Cloud) -> None:
    world.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o644)
    assert world.apt("install", "libc6").status == 0
    assert cloud.befores() == ["apt: upgrade libc6"]


def test_in_a_chroot_nothing_is_done(world: World, cloud: Cloud) -> None:
    _other_root(world)
    done = world.run("chroot", "/mnt", "apt-get", "-y", "install", "libc6")
    assert_left_alone(world, cloud, done)


def test_in_a_chroot_with_a_process_1_of_its_own_nothing_is_done(
    world: World, cloud: Cloud
) -> None:
    _other_root(world)
    enter = "chroot /mnt apt-get -y install libc6"
    done = world.run("unshare", "--mount", "--pid", "--fork", "sh", "-c", f"{enter}; exit $?")
    assert_left_alone(world, cloud, done)


def test_with_users_of_its_own_nothing_is_done(world: World, cloud: Cloud) -> None:
    done = world.run(
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("apt-get", "-y", "-o", "APT::Sandbox::User=root", "install", "libc6"),
    )
    assert_left_alone(world, cloud, done)


def test_packages_for_another_root_get_no_snapshot(world: World, cloud: Cloud) -> None:
    _other_root(world)
    done = world.apt("-o", "DPkg::Chroot-Directory=/mnt", "install", "libc6")
    assert_left_alone(world, cloud, done)


def test_while_an_image_is_built_nothing_is_done_and_status_says_so(
    world: World, cloud: Cloud
) -> None:
    before = world.run("snap-self", "hook", "status", "apt").out
    assert "at present" not in before
    world.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    assert_left_alone(world, cloud, world.apt("install", "libc6"))
    assert "no change gets a snapshot: an image" in world.run("snap-self", "hook", "status").out


@pytest.mark.parametrize("product", ["Standard PC (Q35 + ICH9, 2009)\n", "", "Alibaba Cloud ECS\n"])
def test_what_the_firmware_says_tells_an_ecs_instance(world: World, product: str) -> None:
    # Nothing is to be asked of a real metadata service, so there is no network at all.
    world.path("/etc/snap-self/conf.d/10-world.toml").unlink()
    world.write("/sys/class/dmi/id/product_name", product)
    done = world.run("unshare", "--net", "apt-get", "-y", "install", "libc6")
    assert (done.status, world.version("libc6")) == (0, NEW)
    assert ("NO SNAPSHOT" in done.err) == ("ECS" in product)
    assert ("snap-self" in done.err) == ("ECS" in product)


def _other_root(world: World) -> None:
    paths = [line.split()[4] for line in world.path("/proc/1/mountinfo").read_text().splitlines()]
    shared = [path for path in paths if path.startswith("/tmp/")]
    done = world.run("sh", "-c", OTHER_ROOT, "sh", *shared)
    assert done.status == 0, done.err
