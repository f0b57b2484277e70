"""Our line for dnf 5's plugin ``actions``, the guard and the agent, against a stand-in for dnf 5.

There is no dnf 5 for Debian 12. The stand-in speaks what the plugin's documentation says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from apt_world import PROGRAM, Base, Cloud, Done
from dnf_world import GUARD, DnfWorld, dnf_world_running

from agent_runner import CHECKOUT
from fakes.dnf5_actions import ParseError, package, parse_file
from run_directory import RunDirectory

ACTIONS_LINE = CHECKOUT / "packaging" / "hooks" / "dnf5" / "actions-line"
STAND_IN = Path(__file__).resolve().parent / "dnf5_standin.py"
ACTIONS = "/etc/dnf/libdnf5-plugins/actions.d/snap-self.actions"
ABORT = 'on_failure = { dnf = "abort" }'
# Release of libdnf5-plugin-actions to the version that the plugin gives of itself.
NEW, OLD = ("5.2.11.0", (1, 4, 0)), ("5.2.6.0", (1, 1, 0))

GLIBC = [package("U", "glibc", "2.34-2"), package("O", "glibc", "2.34-1")]
TREE = [package("I", "tree", "1.7-1")]


def line_for(release: str) -> subprocess.CompletedProcess[str]:
    """Return what the script says for a release of the plugin's package."""
    return subprocess.run([ACTIONS_LINE, release], capture_output=True, text=True)


@pytest.mark.parametrize(("release", "version"), [NEW, OLD, ("5.3.0.0", (1, 4, 1))])
def test_each_plugin_gets_a_line_that_it_can_read(
    release: str, version: tuple[int, int, int]
) -> None:
    (action,) = parse_file(line_for(release).stdout, version)

    assert (action.hook, action.options["enabled"]) == ("pre_transaction", "host-only")
    assert action.argv[:2] == ("/bin/sh", "-c")
    assert action.argv[2].endswith(f"exec {GUARD} dnf5")


def test_a_new_line_would_spoil_an_old_plugin() -> None:
    with pytest.raises(ParseError):
        parse_file(line_for(NEW[0]).stdout, OLD[1])


@pytest.mark.parametrize(
    ("release", "mode", "raises"),
    [
        ("5.2.11.0", "json", "1"),
        ("5.2.17", "json", "1"),
        ("6.0.0", "json", "1"),
        ("5.2.10.0", None, None),
        ("5.2.0", None, None),
    ],
)
def test_a_line_has_the_options_that_the_release_knows(
    release: str, mode: str | None, raises: str | None
) -> None:
    (action,) = parse_file(line_for(release).stdout, (9, 0, 0))

    assert (action.options.get("mode"), action.options.get("raise_error")) == (mode, raises)


@pytest.mark.parametrize("release", ["5.1.17", "4.9", "", "no version", "package is missing"])
def test_there_is_no_line_for_a_plugin_that_is_too_old_or_unknown(release: str) -> None:
    done = line_for(release)

    assert (done.returncode, done.stdout) == (1, "")


@pytest.fixture
def world(
    dnf_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[DnfWorld]:
    """Run a machine with the agent, the guard and our line."""
    with dnf_world_running(dnf_base, cloud, tmp_path / "world", run_directory) as running:
        running.write(ACTIONS, line_for(NEW[0]).stdout)
        yield running


def dnf5(
    world: DnfWorld,
    packages: list[dict[str, str]],
    *,
    version: tuple[int, int, int] = NEW[1],
    root: str = "/",
) -> Done:
    """Let the stand-in call our action before a transaction."""
    number = ".".join(map(str, version))
    argv = (sys.executable, str(STAND_IN), ACTIONS, number, json.dumps(packages), root)
    return world.run(*argv, PYTHONPATH=str(CHECKOUT / "tests"))


@pytest.mark.root
def test_risky_change_gets_one_snapshot(world: DnfWorld, cloud: Cloud) -> None:
    done = dnf5(world, GLIBC)

    assert (done.status, done.out) == (0, "Complete!\n")
    assert cloud.befores() == ["dnf5: upgrade glibc"]


@pytest.mark.root
def test_harmless_change_asks_nobody_and_says_nothing(world: DnfWorld, cloud: Cloud) -> None:
    done = dnf5(world, TREE)

    assert (done.status, done.out, done.err) == (0, "Complete!\n", "")
    assert not cloud.asked_anything()


@pytest.mark.root
def test_without_a_snapshot_dnf5_is_stopped_with_the_reason(world: DnfWorld) -> None:
    world.configure(ABORT)
    world.cut_off()

    done = dnf5(world, GLIBC)

    assert (done.status, done.out) == (1, "")
    assert "Action calls for stop: snap-self: " in done.err


@pytest.mark.root
def test_without_a_snapshot_dnf5_goes_on_and_says_so(world: DnfWorld) -> None:
    world.cut_off()

    done = dnf5(world, GLIBC)

    assert (done.status, done.out) == (0, "Complete!\n")
    assert "no snapshot" in done.err.lower()


@pytest.mark.root
def test_other_root_calls_nothing(world: DnfWorld, cloud: Cloud) -> None:
    assert dnf5(world, GLIBC, root="/srv/other").status == 0

    assert not cloud.asked_anything()


@pytest.mark.root
@pytest.mark.parametrize(
    "agent",
    [
        "#!/usr/bin/python3\nraise RuntimeError('half an update')\n",
        "#!/bin/sh\nkill -9 $$\n",
        "#!/bin/sh\ncat >/dev/null\n",
        "#!/no/such/interpreter\n",
    ],
)
def test_broken_agent_never_stops_dnf5(world: DnfWorld, agent: str) -> None:
    world.configure(ABORT)
    world.write(PROGRAM, agent, 0o755)
    world.write("/var/lib/snap-self/hook-limit", "2\n")

    assert dnf5(world, GLIBC).status == 0


@pytest.mark.root
@pytest.mark.parametrize("gone", ["/opt/snap-self", "/etc/snap-self", "/usr/bin/snap-self"])
def test_files_of_a_removed_product_never_stop_dnf5(world: DnfWorld, gone: str) -> None:
    world.run("rm", "-rf", gone)

    done = dnf5(world, GLIBC)

    assert (done.status, done.out) == (0, "Complete!\n")


@pytest.mark.root
def test_an_old_plugin_gets_a_snapshot_before_every_change(world: DnfWorld, cloud: Cloud) -> None:
    world.write(ACTIONS, line_for(OLD[0]).stdout)

    done = dnf5(world, TREE, version=OLD[1])

    assert (done.status, done.out) == (0, "Complete!\n")
    assert len(cloud.befores()) == 1


@pytest.mark.root
def test_an_old_plugin_cannot_be_stopped(world: DnfWorld) -> None:
    world.write(ACTIONS, line_for(OLD[0]).stdout)
    world.configure(ABORT)
    world.cut_off()

    done = dnf5(world, TREE, version=OLD[1])

    assert (done.status, done.out) == (0, "Complete!\n")
    assert "no snapshot" in done.err.lower()
