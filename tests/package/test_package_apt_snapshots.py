"""The machine's own apt with our hook: what gets a snapshot, and with which words."""

from __future__ import annotations

import pytest
from apt_world import BULK, Base, Cloud, Done, World

pytestmark = pytest.mark.root

KERNEL = "linux-image-6.1.0-99-amd64"


def assert_one_snapshot(world: World, cloud: Cloud, done: Done, before: str) -> None:
    """Check that apt did its work behind exactly one snapshot, on both sides."""
    assert done.status == 0, done.err
    assert cloud.befores() == [before]
    shown = world.listed()
    assert {row["before"] for row in shown} == {before}
    assert len({row["group_id"] for row in shown}) == 1


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (("install", KERNEL), f"apt: install {KERNEL}"),
        (("install", "libc6"), "apt: upgrade libc6"),
        (("install", "--allow-downgrades", "libc6=2.36-8"), "apt: downgrade libc6"),
        (("install", "--reinstall", "libc6=2.36-9"), "apt: reinstall libc6"),
        (("remove", "grub-pc"), "apt: remove grub-pc"),
        (("purge", "openssl"), "apt: remove openssl"),
        (("remove", "--allow-remove-essential", "login"), "apt: remove login"),
        # Risky only because apt calls it essential.
        (
            ("remove", "--allow-remove-essential", "harmless-essential"),
            "apt: remove harmless-essential",
        ),
        (("full-upgrade",), "apt: upgrade grub-pc, libc6, openssl, systemd and 5 more"),
    ],
)
def test_risky_change_gets_one_snapshot(
    world: World, cloud: Cloud, arguments: tuple[str, ...], before: str
) -> None:
    done = world.apt(*arguments)
    assert_one_snapshot(world, cloud, done, before)


def test_snapshot_is_made_before_anything_is_unpacked(world: World, cloud: Cloud) -> None:
    done = world.run("sh", "-c", "apt-get -y install libc6 2>&1")
    assert cloud.befores() == ["apt: upgrade libc6"]
    assert done.out.index("snapshot") < done.out.index("Unpacking libc6")


def test_mixed_change_names_the_risky_ones_first(world: World, cloud: Cloud) -> None:
    done = world.apt("install", "libc6", KERNEL, "hello-harmless", "tree-tool", "grub-pc-")
    assert done.status == 0, done.err
    (before,) = cloud.befores()
    assert before.startswith("apt: ")
    assert KERNEL in before
    assert "libc6" in before
    assert "more" in before
    assert "tree-tool" not in before


def test_harmless_change_asks_nobody_and_says_nothing(world: World, cloud: Cloud) -> None:
    done = world.apt("install", "hello-harmless", "tree-tool")
    assert done.status == 0, done.err
    assert world.version("tree-tool") == "1.0"
    assert not cloud.asked_anything()
    assert "snap-self" not in done.out + done.err


@pytest.mark.parametrize("count", [24, 25])
def test_many_harmless_packages_are_risky_from_the_threshold_on(
    world: World, cloud: Cloud, count: int
) -> None:
    names = [package.name for package in BULK[:count]]
    done = world.apt("install", *names)
    assert done.status == 0, done.err
    befores = cloud.befores()
    assert len(befores) == (1 if count == 25 else 0)
    assert cloud.asked_anything() == (count == 25)
    assert all(names[0] in before for before in befores)


def test_threshold_zero_is_off(world: World, cloud: Cloud) -> None:
    world.configure("threshold = 0")
    assert world.apt("install", *(package.name for package in BULK[:40])).status == 0
    assert not cloud.asked_anything()


def test_always_rule_makes_a_package_risky(world: World, cloud: Cloud) -> None:
    world.configure('always = ["hello-*"]')
    done = world.apt("install", "hello-harmless")
    assert_one_snapshot(world, cloud, done, "apt: upgrade hello-harmless")


def test_risky_rule_of_ones_own_makes_a_package_risky(world: World, cloud: Cloud) -> None:
    world.configure('risky = ["tree-tool"]')
    done = world.apt("install", "tree-tool")
    assert_one_snapshot(world, cloud, done, "apt: install tree-tool")


def test_never_rule_makes_a_package_harmless(world: World, cloud: Cloud) -> None:
    world.configure('never = ["libc6", "linux-*"]')
    assert world.apt("install", "libc6", KERNEL).status == 0
    assert not cloud.asked_anything()


def test_nothing_of_ours_is_on_standard_output(world: World, cloud: Cloud) -> None:
    done = world.apt("install", "libc6")
    assert cloud.befores()
    assert "snap" not in done.out
    assert "snap-self" in done.err


@pytest.mark.parametrize("option", ["--simulate", "--download-only", "--print-uris"])
def test_dry_run_and_download_call_nothing(world: World, cloud: Cloud, option: str) -> None:
    done = world.apt("install", option, "libc6")
    assert done.status == 0, done.err
    assert not cloud.asked_anything()
    assert "snap-self" not in done.out + done.err


def test_list_of_more_than_2000_lines_is_read_to_its_end(world: World, cloud: Cloud) -> None:
    # Two lines a package, and the kernel comes last. The next hook stops apt, which saves a minute.
    stop = "DPkg::Pre-Install-Pkgs::stop=false"
    names = [package.name for package in BULK]
    world.configure("threshold = 0")
    done = world.apt("-o", stop, "install", *names, KERNEL)
    assert done.status == 100
    (before,) = cloud.befores()
    assert before == f"apt: install {KERNEL} and {len(BULK)} more"


def test_apt_itself_is_heard_too(world: World, cloud: Cloud) -> None:
    done = world.run("apt", "install", "-y", "libc6")
    assert_one_snapshot(world, cloud, done, "apt: upgrade libc6")


def test_file_on_the_disk_is_a_package_like_any_other(
    world: World, cloud: Cloud, apt_base: Base
) -> None:
    done = world.apt("install", str(apt_base.repository / "libc6_2.36-10_all.deb"))
    assert_one_snapshot(world, cloud, done, "apt: upgrade libc6")


def test_poor_environment_is_enough(world: World, cloud: Cloud) -> None:
    script = (
        "mkdir /tmp/x; cd /tmp/x; rmdir /tmp/x; umask 0777; exec env -i apt-get -y install libc6"
    )
    assert_one_snapshot(world, cloud, world.run("sh", "-c", script), "apt: upgrade libc6")


def test_strange_environment_of_python_does_no_harm(world: World, cloud: Cloud) -> None:
    done = world.apt("install", "libc6", PYTHONHOME="/nowhere", TMPDIR="/nowhere", LC_ALL="C")
    assert_one_snapshot(world, cloud, done, "apt: upgrade libc6")


def test_hooks_of_others_get_their_lists_beside_ours(world: World, cloud: Cloud) -> None:
    world.write(
        "/etc/apt/apt.conf.d/66others",
        'DPkg::Pre-Install-Pkgs { "tee /tmp/by-stdin >/dev/null"; "cat <&9 >/tmp/by-fd"; };\n'
        'DPkg::Tools::Options::tee { Version "2"; };\n'
        'DPkg::Tools::Options::cat { Version "3"; InfoFD "9"; };\n',
    )
    done = world.apt("install", "libc6")
    assert_one_snapshot(world, cloud, done, "apt: upgrade libc6")
    for place, version in (("/tmp/by-stdin", "VERSION 2"), ("/tmp/by-fd", "VERSION 3")):
        lines = world.path(place).read_text().splitlines()
        assert (lines[0], lines[-1].endswith("**CONFIGURE**")) == (version, True)
