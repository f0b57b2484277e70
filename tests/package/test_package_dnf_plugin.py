"""Debian's own dnf 4 with our plugin, and a guard that notes what it is told.

What the agent makes of it is tested in ``test_package_dnf_snapshots``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apt_world import LIMIT_S, Base
from dnf_world import (
    AUTOMATIC,
    AUTOMATIC_CONFIG,
    GUARD,
    PLUGIN,
    PLUGIN_CONFIG,
    DnfWorld,
    dnf_world_running,
)

from agent_runner import CHECKOUT
from run_directory import RunDirectory
from snap_self.changes.dnf import WORDS, parse_event
from snap_self.model.packages import Package

pytestmark = pytest.mark.root

# The rest of the statuses, of which the guard has quick tests of its own.
LONG = pytest.mark.long

NOTES = "/root/noted"
NOTING = f"""#!/bin/sh
cat >{NOTES}
echo "manager $1" >>{NOTES}.manager
echo GUARD-SPEAKS
echo guard-speaks-of-it >&2
exit "$(cat /root/status 2>/dev/null || echo 0)"
"""
ANSWERS_NOTHING = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def world(dnf_base: Base, tmp_path: Path, run_directory: RunDirectory) -> Iterator[DnfWorld]:
    """Run a machine with dnf and our plugin, whose guard notes what it is told."""
    with dnf_world_running(dnf_base, None, tmp_path / "world", run_directory) as running:
        running.write(GUARD, NOTING, 0o755)
        yield running


def noted(world: DnfWorld) -> dict[str, Any]:
    """Return the event that the guard was told."""
    event: dict[str, Any] = json.loads(world.path(NOTES).read_bytes())
    return event


def calls(world: DnfWorld) -> int:
    """Return how often the guard was started."""
    path = world.path(f"{NOTES}.manager")
    return len(path.read_text().splitlines()) if path.exists() else 0


def announced(world: DnfWorld) -> set[Package]:
    """Return the packages that the agent reads from it."""
    transaction = parse_event(world.path(NOTES).read_bytes(), WORDS, "dnf")
    assert transaction is not None
    return set(transaction.packages)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(
            ["install", "tree", "libstdc++.test"],
            {
                Package("tree", "install", arch="noarch", new="1.7-1"),
                Package("libstdc++.test", "install", arch="noarch", new="1.7-1"),
            },
            id="install",
        ),
        pytest.param(
            ["upgrade", "glibc", "openssl-libs"],
            {
                Package("glibc", "upgrade", arch="noarch", old="2.34-1", new="2.34-2"),
                Package("openssl-libs", "upgrade", arch="noarch", old="1:3.0-1", new="1:3.2-1"),
            },
            id="upgrade",
        ),
        pytest.param(
            ["reinstall", "hello-1-1"],
            {Package("hello", "reinstall", arch="noarch", old="1-1", new="1-1")},
            id="reinstall",
        ),
        pytest.param(
            ["remove", "hello"],
            {Package("hello", "remove", arch="noarch", old="1-1")},
            id="remove",
        ),
        pytest.param(
            ["install", "new-tool"],
            {
                Package("new-tool", "install", arch="noarch", new="2-1"),
                Package("old-tool", "remove", arch="noarch", old="1-1"),
            },
            id="obsoleted",
        ),
        pytest.param(
            ["upgrade", "kernel"],
            {
                Package("kernel", "install", arch="noarch", new="5.14.0-3"),
                Package("kernel", "remove", arch="noarch", old="5.14.0-1"),
            },
            id="a kernel beside the older one, and the oldest away",
        ),
    ],
)
def test_what_dnf_does_is_announced(
    world: DnfWorld, command: list[str], expected: set[Package]
) -> None:
    done = world.dnf(*command)

    assert done.status == 0, done.err
    assert announced(world) == expected


def test_a_downgrade_is_announced(world: DnfWorld) -> None:
    world.dnf("upgrade", "hello")

    done = world.dnf("downgrade", "hello")

    assert done.status == 0, done.err
    assert announced(world) == {Package("hello", "downgrade", arch="noarch", old="2-1", new="1-1")}


def test_a_mixed_transaction_is_announced_once(world: DnfWorld) -> None:
    world.write("/root/steps", "install tree\nremove old-tool\nupgrade hello\nrun\n")

    done = world.dnf("shell", "/root/steps")

    assert done.status == 0, done.err
    assert {(package.name, package.action) for package in announced(world)} == {
        ("tree", "install"),
        ("old-tool", "remove"),
        ("hello", "upgrade"),
    }
    assert calls(world) == 1


def test_a_group_is_announced_by_its_packages(world: DnfWorld) -> None:
    done = world.dnf("group", "install", "tools")

    assert done.status == 0, done.err
    assert announced(world) == {Package("tree", "install", arch="noarch", new="1.7-1")}


def test_the_command_and_the_manager_are_told(world: DnfWorld) -> None:
    world.dnf("install", "tree")

    assert noted(world)["arguments"] == ["-y", "install", "tree"]
    assert world.path(f"{NOTES}.manager").read_text() == "manager dnf4\n"


def test_nothing_of_the_guard_gets_into_standard_output(world: DnfWorld) -> None:
    done = world.dnf("install", "tree")

    assert "GUARD-SPEAKS" not in done.out
    assert "guard-speaks-of-it" in done.err


def test_with_the_status_for_it_dnf_stops_and_nothing_is_changed(world: DnfWorld) -> None:
    world.write("/root/status", "99")

    done = world.dnf("install", "tree")

    assert done.status == 1
    assert "snap-self stopped this transaction, nothing was changed" in done.err
    assert world.installed("tree") == []


@pytest.mark.parametrize("status", [130, *(pytest.param(n, marks=LONG) for n in (129, 143))])
def test_when_the_agent_was_interrupted_dnf_stops(world: DnfWorld, status: int) -> None:
    world.write("/root/status", str(status))

    done = world.dnf("install", "tree")

    assert done.status == 1
    assert world.installed("tree") == []


@pytest.mark.parametrize(
    "status", [1, 126, 137, *(pytest.param(n, marks=LONG) for n in (2, 20, 124, 127))]
)
def test_with_any_other_status_dnf_goes_on_with_a_warning(world: DnfWorld, status: int) -> None:
    world.write("/root/status", str(status))

    done = world.dnf("install", "tree")

    assert done.status == 0
    assert f"its guard ended with {status}" in done.err
    assert world.installed("tree") == ["1.7-1"]


@pytest.mark.parametrize(
    ("guard", "mode"),
    [
        pytest.param(NOTING, 0o644, id="not executable"),
        pytest.param("#!/no/such/interpreter\n", 0o755, id="no interpreter"),
        pytest.param("\x7fELF nonsense", 0o755, id="not a program"),
        pytest.param("#!/bin/sh\nkill -9 $$\n", 0o755, id="killed"),
        pytest.param("#!/bin/sh\nif then\n", 0o755, id="a syntax error"),
    ],
)
def test_with_a_broken_guard_dnf_goes_on_with_a_warning(
    world: DnfWorld, guard: str, mode: int
) -> None:
    world.write(GUARD, guard, mode)

    done = world.dnf("install", "tree")

    assert done.status == 0
    assert "snap-self: no snapshot was considered" in done.err
    assert world.installed("tree") == ["1.7-1"]


def test_with_no_guard_dnf_goes_on_with_a_warning(world: DnfWorld) -> None:
    world.path(GUARD).unlink()

    done = world.dnf("install", "tree")

    assert done.status == 0
    assert f"No such file or directory: '{GUARD}'" in done.err


def test_a_guard_that_does_not_listen_is_no_fault(world: DnfWorld) -> None:
    world.write(GUARD, ANSWERS_NOTHING, 0o755)

    # More than a pipe holds, so that the write meets the closed end.
    done = world.dnf("install", "bulk-*", "--setopt=x=" + "y" * 100_000)

    assert done.status == 0
    assert "snap-self" not in done.err


def test_a_fault_in_the_plugin_itself_does_not_stop_dnf(world: DnfWorld) -> None:
    broken = world.path(PLUGIN).read_text().replace('"v": 1,', '"v": no_such_name,')
    world.write(PLUGIN, broken)

    done = world.dnf("install", "tree")

    assert done.status == 0
    assert "snap-self: no snapshot was considered: name 'no_such_name' is not defined" in done.err


def test_no_other_exception_than_dnfs_own_would_stop_dnf(world: DnfWorld) -> None:
    # Why the plugin raises dnf.exceptions.Error and nothing else.
    stopping = (
        world.path(PLUGIN).read_text().replace("raise dnf.exceptions.Error(", "raise RuntimeError(")
    )
    world.write(PLUGIN, stopping)
    world.write("/root/status", "99")

    done = world.dnf("install", "tree")

    assert done.status == 0
    assert "RuntimeError: snap-self stopped this transaction" in done.err
    assert world.installed("tree") == ["1.7-1"]


@pytest.mark.parametrize(
    "command",
    [
        ["install", "tree", "--downloadonly"],
        ["install", "tree", "--assumeno"],
        ["install", "tree", "--setopt=tsflags=test"],
        ["install", "hello-1-1"],
        ["install", "tree", "--noplugins"],
        ["install", "tree", "--disableplugin=snap_self"],
        ["install", "no-such-package"],
        ["makecache"],
    ],
)
def test_where_nothing_is_changed_or_it_is_switched_off_nothing_is_called(
    world: DnfWorld, command: list[str]
) -> None:
    world.dnf(*command)

    assert calls(world) == 0


def test_with_its_configuration_off_the_plugin_is_not_loaded(world: DnfWorld) -> None:
    world.write(PLUGIN_CONFIG, "[main]\nenabled=0\n")

    done = world.dnf("-v", "install", "tree")

    assert done.status == 0
    assert "snap_self" not in done.out
    assert calls(world) == 0


def test_with_another_root_nothing_is_called(world: DnfWorld) -> None:
    done = world.dnf("--installroot=/srv/other", "--releasever=9", "install", "tree")

    assert done.status == 0, done.err
    assert world.path("/srv/other/usr/share/snap-self-test/tree-1.7-1").exists()
    assert calls(world) == 0


@pytest.mark.parametrize(("status", "ended", "version"), [(0, 0, "2-1"), (99, 1, "1-1")])
def test_dnf_automatic_is_heard_too_and_can_be_stopped(
    world: DnfWorld, status: int, ended: int, version: str
) -> None:
    world.write("/root/status", str(status))
    world.write("/etc/dnf/automatic.conf", AUTOMATIC_CONFIG)

    done = world.run("/usr/bin/python3", "-c", AUTOMATIC, "/etc/dnf/automatic.conf")

    assert done.status == ended, done.err
    assert world.installed("hello") == [version]
    # It has a base without the attribute `args`.
    assert noted(world)["arguments"] == []


def test_ctrl_c_stops_dnf_when_the_agent_has_cleaned_up(world: DnfWorld) -> None:
    world.write(
        GUARD,
        "#!/bin/sh\ntrap 'sleep 0.3; echo yes >/root/cleaned; exit 130' INT\n"
        "cat >/dev/null; echo ready >/root/ready\nwhile :; do sleep 0.05; done\n",
        0o755,
    )
    process = subprocess.Popen(
        world.argv("dnf", "-y", "install", "tree"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=world.variables({}),
        start_new_session=True,
    )
    until = time.monotonic() + LIMIT_S
    while not world.path("/root/ready").exists() and time.monotonic() < until:
        time.sleep(0.02)

    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=LIMIT_S)

    assert process.returncode != 0
    assert world.path("/root/cleaned").exists()
    assert world.installed("tree") == []


def test_dnf_says_that_it_loads_the_plugin(world: DnfWorld) -> None:
    done = world.run("dnf", "-v", "-C", "repolist", LC_ALL="C")

    assert "Loaded plugins: snap_self" in done.out


def test_the_plugins_folder_is_found_by_asking_dnfs_python(world: DnfWorld) -> None:
    found = subprocess.run(
        [CHECKOUT / "packaging/hooks/dnf4/plugin-path"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout == f"{Path(PLUGIN).parent}\n"
