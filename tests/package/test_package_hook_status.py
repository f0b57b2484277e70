"""`hook status|enable|disable` against the machine's own package managers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apt_world import Base, World, world_running
from dnf_world import PLUGIN as DNF_PLUGIN
from dnf_world import DnfWorld, dnf_world_running
from pacman_world import HOOK as PACMAN_HOOK
from pacman_world import PacmanWorld, pacman_world_running
from zypper_world import GUARD, ZypperWorld, zypper_world_running
from zypper_world import PLUGIN as ZYPPER_PLUGIN

from run_directory import RunDirectory

pytestmark = pytest.mark.root

OVERRIDE = "/etc/pacman.d/hooks/05-snap-self.hook"
APT_FILE = "/etc/apt/apt.conf.d/65snap-self"
KEY_FILE = "/etc/snap-self/conf.d/80-package-managers.toml"
FAULTY = 4


@pytest.fixture
def apt(apt_base: Base, tmp_path: Path, run_directory: RunDirectory) -> Iterator[World]:
    """Run a machine with apt."""
    with world_running(apt_base, None, tmp_path / "world", run_directory) as running:
        yield running


@pytest.fixture
def dnf(dnf_base: Base, tmp_path: Path, run_directory: RunDirectory) -> Iterator[DnfWorld]:
    """Run a machine with dnf 4."""
    with dnf_world_running(dnf_base, None, tmp_path / "world", run_directory) as running:
        yield running


@pytest.fixture
def zypper(zypper_base: Base, tmp_path: Path, run_directory: RunDirectory) -> Iterator[ZypperWorld]:
    """Run a machine with zypper."""
    with zypper_world_running(zypper_base, None, tmp_path / "world", run_directory) as running:
        yield running


@pytest.fixture
def pacman(pacman_base: Base, tmp_path: Path, run_directory: RunDirectory) -> Iterator[PacmanWorld]:
    """Run a machine with pacman."""
    with pacman_world_running(pacman_base, None, tmp_path / "world", run_directory) as running:
        yield running


def status(world: World, manager: str, *, expected: int = 0) -> dict[str, Any]:
    """Return what is said of one hook."""
    done = world.run("snap-self", "hook", "status", manager, "--json")
    assert done.status == expected, done.out + done.err
    said = json.loads(done.out)
    assert said["guard"] == []
    (hook,) = said["hooks"]
    assert isinstance(hook, dict)
    return hook


def faults(hook: dict[str, Any]) -> str:
    """Return the texts of its faults."""
    return "; ".join(fault["text"] for fault in hook["faults"])


def mends(hook: dict[str, Any]) -> list[str]:
    """Return what mends them."""
    return [fault["mend"] for fault in hook["faults"]]


def assert_working(hook: dict[str, Any], *, version: str) -> None:
    """Check that all is as the packages leave it."""
    assert hook["faults"] == []
    assert (hook["placed"], hook["enabled"], hook["can_veto"]) == ("ours", True, True)
    assert hook["version"].startswith(version)


def version_in(world: World, *command: str) -> str:
    """Return what follows the program's name in what it says of its version."""
    words = world.run(*command).out.split()
    return next(word.lstrip("v") for word in words if word.lstrip("v")[0].isdigit())


def test_apt_that_reads_the_hook_is_told_as_such(apt: World) -> None:
    hook = status(apt, "apt")
    assert_working(hook, version=version_in(apt, "apt-get", "--version"))
    assert hook["loaded"] == "yes"


def test_apt_whose_hooks_were_cleared_is_a_fault(apt: World) -> None:
    apt.write("/etc/apt/apt.conf.d/99-clear", "#clear DPkg::Pre-Install-Pkgs;\n")
    hook = status(apt, "apt", expected=FAULTY)
    assert (hook["placed"], hook["loaded"]) == ("ours", "no")
    assert "apt does not read our file" in faults(hook)


def test_apt_whose_file_was_changed_is_told_and_left(apt: World) -> None:
    changed = apt.path(APT_FILE).read_text() + "// mine\n"
    apt.write(APT_FILE, changed)
    assert status(apt, "apt")["placed"] == "changed"
    assert apt.run("snap-self", "hook", "enable", "apt").status == 0
    assert apt.path(APT_FILE).read_text() == changed


def test_apt_whose_file_is_missing_gets_it_by_enable(apt: World) -> None:
    apt.path(APT_FILE).unlink()
    hook = status(apt, "apt", expected=FAULTY)
    assert mends(hook) == ["snap-self hook enable apt"]
    done = apt.run("snap-self", "hook", "enable", "apt")
    assert f"placed {APT_FILE}" in done.err
    assert status(apt, "apt")["loaded"] == "yes"


def test_dnf_that_loads_the_plugin_is_told_as_such(dnf: DnfWorld) -> None:
    hook = status(dnf, "dnf4")
    assert_working(hook, version=version_in(dnf, "dnf", "--version"))
    assert hook["loaded"] == "yes"


def test_dnf_that_loads_no_plugins_is_a_fault(dnf: DnfWorld) -> None:
    config = dnf.path("/etc/dnf/dnf.conf").read_text()
    dnf.write("/etc/dnf/dnf.conf", config.replace("plugins=1", "plugins=0"))
    hook = status(dnf, "dnf4", expected=FAULTY)
    assert hook["loaded"] == "no"
    assert "plugins=0" in mends(hook)[0]


def test_dnf_whose_plugin_is_switched_off_is_a_fault(dnf: DnfWorld) -> None:
    dnf.write("/etc/dnf/plugins/snap_self.conf", "[main]\nenabled=0\n")
    hook = status(dnf, "dnf4", expected=FAULTY)
    assert (hook["placed"], hook["loaded"]) == ("changed", "no")


def test_dnf_whose_plugin_is_missing_gets_it_by_enable(dnf: DnfWorld) -> None:
    dnf.path(DNF_PLUGIN).unlink()
    assert mends(status(dnf, "dnf4", expected=FAULTY)) == ["snap-self hook enable dnf"]
    assert dnf.run("snap-self", "hook", "enable", "dnf").status == 0
    assert status(dnf, "dnf4")["loaded"] == "yes"


def test_zypper_that_starts_the_plugin_is_told_as_such(zypper: ZypperWorld) -> None:
    hook = status(zypper, "zypper")
    assert_working(hook, version=version_in(zypper, "zypper", "--version"))
    assert hook["loaded"] == "yes"
    assert "only by ending zypper itself" in hook["veto"]


def test_zypper_whose_plugin_may_not_be_executed_is_a_fault(zypper: ZypperWorld) -> None:
    zypper.path(ZYPPER_PLUGIN).chmod(0o644)
    hook = status(zypper, "zypper", expected=FAULTY)
    assert mends(hook) == [f"chmod 755 {ZYPPER_PLUGIN}"]


def test_pacman_that_reads_the_hook_is_told_as_such(pacman: PacmanWorld) -> None:
    hook = status(pacman, "pacman")
    assert_working(hook, version=version_in(pacman, "pacman", "--version"))
    assert hook["loaded"] == "yes"


def test_pacman_whose_hook_is_masked_by_a_link_is_a_fault(pacman: PacmanWorld) -> None:
    pacman.path(OVERRIDE).parent.mkdir(parents=True)
    pacman.path(OVERRIDE).symlink_to("/dev/null")
    hook = status(pacman, "pacman", expected=FAULTY)
    assert hook["loaded"] == "no"
    assert mends(hook) == [f"rm {OVERRIDE}"]


def test_pacman_that_isolates_hooks_gets_one_with_network(pacman: PacmanWorld) -> None:
    library = pacman.run("sh", "-c", "ldd $(command -v pacman) | awk '/libalpm/ {print $3}'")
    # Not resolve(): it would follow the world's root to this machine's own library.
    path = pacman.path(pacman.run("readlink", "-f", library.out.strip()).out.strip())
    plain = path.read_bytes()
    path.write_bytes(plain + b"\0NetworkAccess\0")
    assert "away from the network" in faults(status(pacman, "pacman", expected=FAULTY))
    assert pacman.run("snap-self", "hook", "enable", "pacman").status == 0
    assert pacman.path(OVERRIDE).read_text().endswith("\nNetworkAccess = allowed\n")
    # This one only says the word, and refuses what it does not know, as a rehearsal shows.
    hook = status(pacman, "pacman", expected=FAULTY)
    assert (hook["placed"], hook["loaded"]) == ("ours", "no")
    # Another build of pacman is installed, which refuses what it does not know.
    path.write_bytes(plain)
    assert pacman.pacman("-S", "hello").status != 0
    assert "refuses to work" in faults(status(pacman, "pacman", expected=FAULTY))
    assert pacman.run("snap-self", "hook", "enable", "pacman").status == 0
    assert not pacman.path(OVERRIDE).exists()
    assert pacman.pacman("-S", "hello").status == 0


def test_pacman_whose_hook_is_missing_gets_it_by_enable(pacman: PacmanWorld) -> None:
    pacman.path(PACMAN_HOOK).unlink()
    assert mends(status(pacman, "pacman", expected=FAULTY)) == ["snap-self hook enable pacman"]
    assert pacman.run("snap-self", "hook", "enable", "pacman").status == 0
    assert status(pacman, "pacman")["loaded"] == "yes"


def test_disabled_hook_is_no_fault_and_comes_back(pacman: PacmanWorld) -> None:
    pacman.path(PACMAN_HOOK).unlink()
    done = pacman.run("snap-self", "hook", "disable", "pacman", "--json")
    assert json.loads(done.out) == {
        "schema": 1,
        "command": "hook disable",
        "exit_status": 0,
        "result": "done",
        "error": None,
        "changed": True,
        "enabled": ["apt", "dnf", "zypper"],
        "placed": [],
    }
    assert pacman.path(KEY_FILE).stat().st_mode & 0o777 == 0o644
    hook = status(pacman, "pacman")
    assert not hook["enabled"]
    assert hook["faults"]
    assert pacman.run("snap-self", "hook", "enable", "pacman").status == 0
    assert status(pacman, "pacman")["enabled"]


def test_key_that_a_later_file_sets_again_is_an_error(pacman: PacmanWorld) -> None:
    pacman.write("/etc/snap-self/conf.d/90-mine.toml", '[package_managers]\nenabled = ["apt"]\n')
    done = pacman.run("snap-self", "hook", "enable", "pacman")
    assert done.status == 3
    assert "set again by a file after it" in done.err


def test_key_file_with_more_than_the_key_is_not_replaced(pacman: PacmanWorld) -> None:
    pacman.write(KEY_FILE, "[package_managers]\nthreshold = 3\n")
    done = pacman.run("snap-self", "hook", "disable", "pacman")
    assert done.status == 3
    assert pacman.path(KEY_FILE).read_text().endswith("threshold = 3\n")


def test_guard_that_is_missing_is_a_fault_of_all(pacman: PacmanWorld) -> None:
    pacman.path(GUARD).unlink()
    done = pacman.run("snap-self", "hook", "status")
    assert done.status == FAULTY
    assert f"{GUARD} is not there" in done.out


def test_table_names_every_manager_of_the_machine(pacman: PacmanWorld) -> None:
    done = pacman.run("snap-self", "hook", "status")
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0][:2] == ["HOOK", "VERSION"]
    assert ["pacman", "on", "continue"] in [
        [row[0], row[2], row[-1]] for row in rows if len(row) > 6
    ]
    assert "No change is held up for longer than 1m, or 5m without a terminal" in done.err
