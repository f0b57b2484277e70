"""A stranger's walk on a bare Debian: README's own commands, until nothing of ours is left.

The instance goes through its life once; what there is to see is noted at each station, and the
tests look at the notes. Only README and what the programs themselves say is followed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from apt_world import Done
from bare_root import PYTHONS, bare_root
from built_packages import need
from readme_commands import readme_commands
from stranger_rig import (
    BESIDE,
    CLONE,
    KERNEL,
    NEWER_KERNEL,
    Entry,
    Stranger,
    differences,
    stranger_arriving,
)

from kept_builds import CannotBuild
from run_directory import RunDirectory

# Two bare systems, from README to purge: minutes; with nothing kept yet a quarter of an hour.
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.long]

NAME = "snap-self"
TRY_IT = "Try it"
STEPS = "Protect an instance in three steps"
APT_COMMAND = re.compile(r"apt-get (?:install|autoremove --purge)(?: [a-z0-9][a-z0-9.+-]*)+")
# A follower without a unit looks into the journal at least so often, and ends when it is gone.
FOLLOWER_S = 60.0
# By hand: what the stranger changed, and would have changed without us.
OWN_DOINGS = {KERNEL.installed_path, f"/var/lib/dpkg/info/{KERNEL.name}.md5sums"}
# Debian's tools keep these for a package whose configuration stays.
KEPT_FOR_CONFIGURATION = (
    *("/etc/snap-self", "/var/lib/snap-self", "/var/lib/dpkg/info/snap-self."),
    *("/etc/systemd/system/", "/var/lib/systemd/deb-systemd-helper-"),
    "/etc/apt/apt.conf.d/65snap-self",
)


def told_to(done: Done) -> str:
    """Return the command for apt that a program told to give."""
    found = APT_COMMAND.search(done.out + done.err)
    assert found, f"no command for apt in:\n{done.out}{done.err}"
    return found[0]


def step(begin: str) -> str:
    """Return README's command that begins so; of several in one line the last."""
    found = [line for line in readme_commands(STEPS) if line.split(" && ")[-1].startswith(begin)]
    assert found, f"README's three steps have no {begin}"
    return found[0].split(" && ")[-1]


def everything(*done: Done) -> str:
    """Return what several commands said, for a message."""
    return "\n".join(f"$ {each.argv[-1]}\n{each.out}{each.err}[{each.status}]" for each in done)


@pytest.fixture(scope="module", params=PYTHONS)
def stranger(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    run_directory: RunDirectory,
) -> Iterator[Stranger]:
    """Run a bare machine in a simulated cloud."""
    need("ip", "nsenter", "dpkg-deb", "git", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs")
    try:
        bare = bare_root(request.param)
    except CannotBuild as error:
        pytest.skip(f"no bare Debian {request.param}: {error}")
    folder = tmp_path_factory.mktemp(request.param)
    with stranger_arriving(bare, folder, run_directory) as arrived:
        yield arrived


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How README's two commands went, and what they left."""

    demo: Done
    removal: Done
    packages: set[str]
    left: dict[str, str]
    files: dict[str, Entry]


@pytest.fixture(scope="module")
def tried(stranger: Stranger) -> Tried:
    """Try the demo, remove it, and follow what it says of the packages that it installed."""
    before, packages = stranger.files(), stranger.packages()
    demo, removal = readme_commands(TRY_IT)
    demo_done = stranger.gives(demo, CLONE)
    removal_done = stranger.gives(removal, CLONE)
    stranger.does(told_to(removal_done))
    files = stranger.files()
    return Tried(
        demo=demo_done,
        removal=removal_done,
        packages=stranger.packages() ^ packages,
        left=differences(before, files),
        files=files,
    )


def test_demo_on_a_bare_machine_then_shows_a_snapshot_that_it_is_safe_to_go_on_with(
    tried: Tried,
) -> None:
    assert tried.demo.status == 0, everything(tried.demo)
    assert "Safe to go on" in tried.demo.out
    assert "/dev/loop" in tried.demo.out


def test_demo_when_removed_as_told_then_nothing_of_it_is_left(tried: Tried) -> None:
    assert tried.removal.status == 0, everything(tried.removal)
    assert tried.packages == set(), everything(tried.removal)
    assert tried.left == {}


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What there was to see after README's first step.

    Args:
        demo: of the installed package, with one of its disk tools and without the others.
    """

    apt: Done
    demo: Done


@pytest.fixture(scope="module")
def installed(stranger: Stranger, tried: Tried) -> Installed:  # comes after it
    """Install the package, and try its own demo with the disk tools that there happen to be."""
    done = stranger.gives(step("apt-get install ./build/"), CLONE)
    stranger.does("apt-get install btrfs-progs")
    demo = stranger.gives("snap-self demo")
    stranger.does("apt-get autoremove --purge btrfs-progs")
    return Installed(apt=done, demo=demo)


def test_package_when_installed_then_says_where_to_go_on(installed: Installed) -> None:
    assert installed.apt.status == 0, everything(installed.apt)
    said = [line for line in installed.apt.out.splitlines() if line.startswith("snap-self:")]
    assert len(said) == 1
    assert "snap-self policy" in said[0]
    assert "snap-self doctor" in said[0]


def test_installed_demo_without_a_disk_tool_then_shows_a_made_up_machine_and_names_the_tool(
    installed: Installed,
) -> None:
    assert installed.demo.status == 0, everything(installed.demo)
    assert "need root" not in installed.demo.out
    assert "xfsprogs" in told_to(installed.demo)


@dataclass(frozen=True, kw_only=True)
class Protected:
    """How README's other two steps went.

    Args:
        seen: what was to be seen in the cloud then.
    """

    without_role: Done
    policy: Done
    doctor: Done
    first: Done
    hook_status: Done
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def protected(stranger: Stranger, installed: Installed) -> Protected:
    """Give the instance its role as the agent says, check it, make the first snapshot."""
    without_role = stranger.gives(step("snap-self doctor"))
    policy = stranger.gives(step("snap-self policy"))
    written = stranger.world.path("/root/policy.json")
    stranger.binds_role(json.loads(written.read_text()))
    written.unlink()
    return Protected(
        without_role=without_role,
        policy=policy,
        doctor=stranger.gives(step("snap-self doctor")),
        first=stranger.gives(step("snap-self --before")),
        hook_status=stranger.gives(step("snap-self hook status")),
        seen=stranger.cloud.control("GET", "state"),
    )


def test_doctor_without_a_role_then_fails_with_the_way_to_one(protected: Protected) -> None:
    assert protected.without_role.status == 5, everything(protected.without_role)
    assert "snap-self policy" in protected.without_role.out + protected.without_role.err


def test_policy_as_printed_then_suffices_for_the_first_snapshot(protected: Protected) -> None:
    assert protected.policy.status == 0, everything(protected.policy)
    assert protected.doctor.status == 0, everything(protected.doctor)
    assert protected.first.status == 0, everything(protected.first)


def test_first_snapshot_then_holds_both_disks_and_says_it_is_safe_to_go_on(
    protected: Protected, stranger: Stranger
) -> None:
    shots = protected.seen["snapshots"].values()
    assert {shot["disk_id"] for shot in shots} == {d.disk_id for d in stranger.cloud.disks}
    assert "Safe to go on" in protected.first.err + protected.first.out


def test_hook_status_then_says_that_apt_calls(protected: Protected) -> None:
    assert protected.hook_status.status == 0, everything(protected.hook_status)
    assert "apt" in protected.hook_status.out


@dataclass(frozen=True, kw_only=True)
class Upgraded:
    """What there was to see after the upgrade of a risky package."""

    apt: Done
    version: str
    listed: Done
    shown: Done
    runs: dict[str, Any]


@pytest.fixture(scope="module")
def upgraded(stranger: Stranger, protected: Protected) -> Upgraded:
    """Upgrade the machine, of which one package is risky; the first try's snapshot is too old."""
    done = stranger.gives("SNAP_SELF_PACKAGE_MANAGERS_REUSE=off apt-get upgrade")
    listed, shown = stranger.gives("snap-self list"), stranger.gives("snap-self show last")
    return Upgraded(
        apt=done,
        version=stranger.world.version(KERNEL.name),
        listed=listed,
        shown=shown,
        runs=stranger.cloud.control("GET", "state")["groups"],
    )


def test_upgrade_of_a_risky_package_then_gets_a_snapshot_first(upgraded: Upgraded) -> None:
    assert (upgraded.apt.status, upgraded.version) == (0, NEWER_KERNEL.version), everything(
        upgraded.apt
    )
    befores = [group["tags"]["snap-self-before"] for group in upgraded.runs.values()]
    assert befores == ["first try", f"apt: upgrade {KERNEL.name}"]


def test_list_after_the_upgrade_then_has_a_line_a_run_the_newest_first(upgraded: Upgraded) -> None:
    assert upgraded.listed.status == 0, everything(upgraded.listed)
    lines = upgraded.listed.out.splitlines()
    rows = [line for line in lines if "first try" in line or "apt: upgrade" in line]
    assert ["first try" in row for row in rows] == [False, True]


def test_show_last_then_has_the_way_back_from_the_upgrade(
    upgraded: Upgraded, stranger: Stranger
) -> None:
    assert upgraded.shown.status == 0, everything(upgraded.shown)
    assert f"apt: upgrade {KERNEL.name}" in upgraded.shown.out
    for disk in stranger.cloud.disks:
        assert f"ResetDisk --RegionId cn-hangzhou --DiskId {disk.disk_id}" in upgraded.shown.out


@dataclass(frozen=True, kw_only=True)
class Purged:
    """What was left after the removal, and after the purge."""

    removal: Done
    removed: dict[str, str]
    others: Done
    purge: Done
    left: dict[str, str]
    processes: list[str]


@pytest.fixture(scope="module")
def purged(stranger: Stranger, tried: Tried, upgraded: Upgraded) -> Purged:
    """Remove the package, have apt do something else, purge it."""
    stranger.keeps_traces()
    removal = stranger.gives(f"apt-get remove {NAME}")
    removed = differences(tried.files, stranger.files())
    others = stranger.gives(f"apt-get install --reinstall {KERNEL.name}")
    purge = stranger.gives(f"apt-get purge {NAME}")
    end = time.monotonic() + FOLLOWER_S
    while stranger.processes() and time.monotonic() < end:
        time.sleep(0.2)
    return Purged(
        removal=removal,
        removed=removed,
        others=others,
        purge=purge,
        left=differences(tried.files, stranger.files()),
        processes=stranger.processes(),
    )


def test_removal_then_leaves_configuration_and_journal_alone(purged: Purged) -> None:
    assert purged.removal.status == 0, everything(purged.removal)
    others = {path for path in purged.removed if not path.startswith(KEPT_FOR_CONFIGURATION)}
    assert others <= OWN_DOINGS
    assert "/etc/snap-self/config.toml" in purged.removed


def test_removal_then_says_that_snapshots_stay_and_cost_money(purged: Purged) -> None:
    assert "snapshots in the cloud stay, and cost money" in purged.removal.out


def test_apt_after_the_removal_then_works_without_a_word_of_ours(purged: Purged) -> None:
    assert purged.others.status == 0, everything(purged.others)
    assert NAME not in purged.others.out + purged.others.err


def test_purge_then_nothing_of_ours_is_left(purged: Purged) -> None:
    assert purged.purge.status == 0, everything(purged.purge)
    assert purged.left.keys() <= OWN_DOINGS
    assert purged.processes == []


@dataclass(frozen=True, kw_only=True)
class FromCheckout:
    """What install.sh put down and took away again."""

    install: Done
    doctor: Done
    uninstall: Done
    uninstalled: dict[str, str]
    purge: Done
    left: dict[str, str]


@pytest.fixture(scope="module")
def from_checkout(stranger: Stranger, purged: Purged) -> FromCheckout:
    """Install from the clone what was built elsewhere, use it, take it away again."""
    before = stranger.files()
    install = stranger.gives(f"./install.sh install --tree {BESIDE}/tree", CLONE)
    doctor = stranger.gives("snap-self doctor")
    uninstall = stranger.gives("./install.sh uninstall", CLONE)
    uninstalled = differences(before, stranger.files())
    purge = stranger.gives("./install.sh uninstall --purge", CLONE)
    return FromCheckout(
        install=install,
        doctor=doctor,
        uninstall=uninstall,
        uninstalled=uninstalled,
        purge=purge,
        left=differences(before, stranger.files()),
    )


def test_install_sh_then_installs_what_works(from_checkout: FromCheckout) -> None:
    assert from_checkout.install.status == 0, everything(from_checkout.install)
    assert from_checkout.doctor.status == 0, everything(from_checkout.doctor)


def test_uninstall_then_leaves_what_it_says(from_checkout: FromCheckout) -> None:
    assert from_checkout.uninstall.status == 0, everything(from_checkout.uninstall)
    said = re.findall(r"left: (/\S+)", from_checkout.uninstall.err)
    left = [path for path in from_checkout.uninstalled if not path.startswith(tuple(said))]
    assert (left, set(said)) == ([], {"/etc/snap-self", "/var/lib/snap-self"})


def test_uninstall_with_purge_then_nothing_of_ours_is_left(from_checkout: FromCheckout) -> None:
    assert from_checkout.purge.status == 0, everything(from_checkout.purge)
    assert from_checkout.left == {}


@pytest.mark.long
def test_build_with_what_readme_names_then_makes_the_package(
    stranger: Stranger,
    from_checkout: FromCheckout,  # comes after it
) -> None:
    needs, build = step("apt-get install python3"), "packaging/deb/build.sh"
    stranger.does(needs)
    stranger.does("rm build/*.deb", CLONE)
    done = stranger.gives(f"{build} --compression gzip", CLONE)
    assert done.status == 0, everything(done)
    install = stranger.gives(step("apt-get install ./build/"), CLONE)
    assert install.status == 0, everything(install)
    stranger.does("snap-self doctor")
