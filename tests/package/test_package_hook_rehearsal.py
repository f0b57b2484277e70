"""`hook status` has the real package managers rehearse: what it shows, and that nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apt_world import GUARD, Base, Cloud, World
from dnf_world import PLUGIN as DNF_PLUGIN
from dnf_world import DnfWorld, dnf_world_running
from pacman_world import HOOK as PACMAN_HOOK
from pacman_world import PacmanWorld, pacman_world_running
from zypper_world import PLUGIN as ZYPPER_PLUGIN
from zypper_world import ZypperWorld, zypper_world_running

from run_directory import RunDirectory

pytestmark = pytest.mark.root

APT_LOCAL = "/etc/apt/apt.conf.d/99local"
OVERRIDE = "/etc/pacman.d/hooks/05-snap-self.hook"
FAULTY = 4
OTHER_PLUGIN = """
import dnf
class Other(dnf.Plugin):
    name = "other"
    def pre_transaction(self):
        open("/root/other", "w").close()
"""


@pytest.fixture
def dnf(
    dnf_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[DnfWorld]:
    """Run a machine with dnf 4."""
    with dnf_world_running(dnf_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


@pytest.fixture
def zypper(
    zypper_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[ZypperWorld]:
    """Run a machine with zypper."""
    with zypper_world_running(zypper_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


@pytest.fixture
def pacman(
    pacman_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[PacmanWorld]:
    """Run a machine with pacman."""
    with pacman_world_running(pacman_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


def asked(world: World, manager: str) -> dict[str, Any]:
    """Return what `hook status` says of one manager."""
    done = world.run("snap-self", "hook", "status", manager, "--json")
    said = json.loads(done.out)
    assert said["exit_status"] == done.status
    assert isinstance(said, dict)
    return said


def assert_lie_is_seen(world: World, manager: str, **expected: object) -> None:
    """Check that what is not so is told with a mend, and by the exit status."""
    said = asked(world, manager)
    (hook,) = said["hooks"]
    assert said["exit_status"] == FAULTY, said
    assert hook["faults"], said
    assert all(fault["mend"] for fault in hook["faults"])
    assert {key: hook[key] for key in expected} == expected, said


def seen(world: World, *places: str) -> set[str]:
    """Return names, sizes, times and contents of all files below these places."""
    script = 'find "$@" -type f -exec sha256sum {} +; find "$@" -printf "%p %s %m %T@ %y\\n"'
    return set(world.run("sh", "-c", script, "sh", *places).out.splitlines())


def test_rehearsal_of_apt_reaches_the_hook_stops_there_and_changes_nothing(
    world: World, cloud: Cloud
) -> None:
    world.write(
        APT_LOCAL,
        'DPkg::Pre-Invoke { "touch /root/other"; };\n'
        'DPkg::Pre-Install-Pkgs { other "touch /root/other; exit 1"; };\n'
        'DPkg::Post-Invoke { "touch /root/other"; };\n',
    )
    places = ("/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/var/log", "/etc/apt")
    before = seen(world, *places)
    said = asked(world, "apt")
    (hook,) = said["hooks"]
    assert (said["exit_status"], hook["faults"]) == (0, [])
    assert hook["rehearsal"] == {"reached": True, "stopped": True, "skipped": "", "why": ""}
    assert (hook["loaded"], hook["can_veto"]) == ("yes", True)
    assert seen(world, *places) ^ before == set()
    assert not world.path("/root/other").exists()
    assert not cloud.asked_anything()
    assert "rehearsal" not in world.run("ls", "-A", "/run/snap-self/hooks").out


@pytest.mark.parametrize("options", ["exec", "noexec"])
def test_guard_that_ends_before_the_agent_is_seen(world: World, options: str) -> None:
    # Debian mounts /run so that nothing there can be executed.
    assert world.run("mount", "-o", f"remount,nosuid,nodev,{options}", "/run").status == 0
    assert asked(world, "apt")["exit_status"] == 0
    text = world.path(GUARD).read_text()
    world.write(GUARD, text.replace("\n", "\nexit 0\n", 1), 0o755)
    assert_lie_is_seen(world, "apt", loaded="no")


def test_agent_that_is_elsewhere_than_where_the_guard_looks_is_seen(world: World) -> None:
    assert world.run("mv", "/usr/bin/snap-self", "/usr/local/bin/snap-self").status == 0
    done = world.run("/usr/local/bin/snap-self", "hook", "status", "apt")
    assert done.status == FAULTY
    assert "/usr/bin/snap-self is not there" in done.out


@pytest.mark.parametrize(
    ("line", "loaded"),
    [
        ("#clear DPkg::Tools::Options;", "yes"),
        (f'DPkg::Tools::Options::{GUARD}::Version "1";', "yes"),
        (f'DPkg::Pre-Install-Pkgs::snap-self "true # {GUARD} apt";', "no"),
        ('SnapSelf::Skip "1";', "yes"),
    ],
    ids=["options-cleared", "oldest-list", "command-replaced", "skipped-for-good"],
)
def test_line_of_apts_configuration_that_takes_the_hook_its_sight_is_seen(
    world: World, line: str, loaded: str
) -> None:
    world.write(APT_LOCAL, f"{line}\n")
    assert_lie_is_seen(world, "apt", loaded=loaded)


def test_configuration_by_which_nothing_is_risky_is_seen(world: World) -> None:
    world.configure('never = ["*"]')
    done = world.run("snap-self", "hook", "status", "apt")
    assert done.status == FAULTY
    assert "by package_managers.never nothing counts as risky" in done.out


def test_rehearsal_is_not_asked_of_a_hook_that_is_switched_off(world: World) -> None:
    world.configure("enabled = []")
    said = asked(world, "apt")
    assert (said["exit_status"], said["hooks"][0]["rehearsal"]) == (0, None)


def test_real_change_beside_a_rehearsals_folder_gets_its_snapshot(
    world: World, cloud: Cloud
) -> None:
    # Left by a status that was killed; its number is that of no process above the hook.
    world.run("mkdir", "-p", "-m", "700", "/run/snap-self/hooks/rehearsal-999999-1")
    world.run("chmod", "700", "/run/snap-self/hooks")
    assert world.apt("install", "libc6").status == 0
    assert cloud.befores() == ["apt: upgrade libc6"]


def test_rehearsal_of_dnf_reaches_the_hook_stops_there_and_changes_nothing(
    dnf: DnfWorld, cloud: Cloud
) -> None:
    dnf.write(str(Path(DNF_PLUGIN).with_name("other.py")), OTHER_PLUGIN)
    places = ("/var/lib/dnf", "/etc/dnf", "/var/lib/rpm/rpmdb.sqlite")
    asked(dnf, "dnf4")  # dnf itself makes files when it is asked for its plugins
    before = seen(dnf, *places)
    said = asked(dnf, "dnf4")
    (hook,) = said["hooks"]
    assert (said["exit_status"], hook["faults"]) == (0, [])
    assert hook["rehearsal"] == {"reached": True, "stopped": True, "skipped": "", "why": ""}
    assert seen(dnf, *places) ^ before == set()
    assert not dnf.path("/root/other").exists()
    assert not cloud.asked_anything()


@pytest.mark.parametrize(
    ("old", "new", "loaded", "can_veto"),
    [
        ("def pre_transaction(", "def before_transaction(", "no", False),
        ("raise dnf.exceptions.Error(", "print(", "yes", False),
    ],
    ids=["not-called", "stops-nothing"],
)
def test_plugin_of_dnf_that_was_changed_is_seen(
    dnf: DnfWorld, old: str, new: str, loaded: str, can_veto: bool
) -> None:
    text = dnf.path(DNF_PLUGIN).read_text()
    assert old in text
    dnf.write(DNF_PLUGIN, text.replace(old, new))
    assert_lie_is_seen(dnf, "dnf4", loaded=loaded, can_veto=can_veto, placed="changed")
    assert dnf.installed("snap-self-rehearsal") == []


def test_rehearsal_of_zypper_reaches_the_hook_stops_there_and_changes_nothing(
    zypper: ZypperWorld, cloud: Cloud
) -> None:
    zypper.write("/usr/lib/zypp/plugins/commit/other", "#!/bin/sh\n: >/root/other\n", 0o755)
    places = ("/var/lib/rpm", "/var/lib/zypp", "/var/cache/zypp", "/etc/zypp", "/usr/lib/zypp")
    before = seen(zypper, *places)
    said = asked(zypper, "zypper")
    (hook,) = said["hooks"]
    assert (said["exit_status"], hook["faults"]) == (0, [])
    assert hook["rehearsal"] == {"reached": True, "stopped": True, "skipped": "", "why": ""}
    assert seen(zypper, *places) ^ before == set()
    assert not zypper.path("/root/other").exists()
    assert not cloud.asked_anything()


def test_plugin_of_zypper_that_does_nothing_is_seen(zypper: ZypperWorld) -> None:
    zypper.write(ZYPPER_PLUGIN, "#!/bin/sh\nexit 0\n", 0o755)
    assert_lie_is_seen(zypper, "zypper", loaded="no", placed="changed")
    assert zypper.installed("snap-self-rehearsal") == ""


def test_rehearsal_of_pacman_reaches_the_hook_stops_there_and_changes_nothing(
    pacman: PacmanWorld, cloud: Cloud
) -> None:
    hook_text = pacman.path(PACMAN_HOOK).read_text()
    other = hook_text.replace("Exec = /bin/sh -c", "Exec = /bin/touch /root/other #")
    pacman.write("/usr/share/libalpm/hooks/00-other.hook", other)
    places = ("/var/lib/pacman", "/var/cache/pacman", "/etc/pacman.d", "/usr/share/libalpm")
    before = seen(pacman, *places)
    said = asked(pacman, "pacman")
    (hook,) = said["hooks"]
    assert (said["exit_status"], hook["faults"]) == (0, [])
    assert hook["rehearsal"] == {"reached": True, "stopped": True, "skipped": "", "why": ""}
    assert seen(pacman, *places) ^ before == set()
    assert not pacman.path("/root/other").exists()
    assert not cloud.asked_anything()


@pytest.mark.parametrize(
    ("path", "old", "new", "loaded"),
    [
        (OVERRIDE, "*", "", "no"),
        (OVERRIDE, "Exec = ", "Exec = /bin/true #", "no"),
        (PACMAN_HOOK, "[Action]", "[Bogus]", "no"),
        (PACMAN_HOOK, "\nAbortOnFail", "", "yes"),
        (PACMAN_HOOK, "\nNeedsTargets", "", "yes"),
        (PACMAN_HOOK, "Target = *", "Target = linux", "no"),
    ],
    ids=["empty", "another-program", "refused", "stops-nothing", "untold", "one-package"],
)
def test_hook_of_pacman_that_was_changed_is_seen(
    pacman: PacmanWorld, cloud: Cloud, path: str, old: str, new: str, loaded: str
) -> None:
    text = pacman.path(PACMAN_HOOK).read_text()
    pacman.write(path, "" if old == "*" else text.replace(old, new))
    can_veto = new == "" and "Needs" in old
    assert_lie_is_seen(pacman, "pacman", loaded=loaded, can_veto=can_veto, placed="changed")
    assert not cloud.asked_anything()
    assert pacman.installed("snap-self-rehearsal") == ""
