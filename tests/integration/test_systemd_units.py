"""The systemd units: read by systemd's own checker, and what they run."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snap_self.cli.adapters import MARKER, RUN_DIRECTORY

FOLDER = Path(__file__).resolve().parents[2] / "packaging"
AGENT = "/opt/snap-self/bin/snap-self"
UNITS = sorted(path.name for path in (FOLDER / "systemd").iterdir())
# These give a unit a mount namespace of its own in which a filesystem can be missing.
HIDING = (
    "PrivateTmp",
    "PrivateMounts",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "RootDirectory",
)
Unit = Callable[[str], configparser.ConfigParser]


@pytest.fixture
def unit() -> Unit:
    """Return what reads one unit; of a repeated key the last value is kept."""

    def read(name: str) -> configparser.ConfigParser:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = lambda optionstr: optionstr  # type: ignore[assignment,method-assign]
        parser.read(FOLDER / "systemd" / name, encoding="utf-8")
        return parser

    return read


def test_there_are_the_documented_units() -> None:
    assert UNITS == [
        "snap-self-follow@.service",
        "snap-self-prune.service",
        "snap-self-prune.timer",
        "snap-self-thaw.service",
    ]


def test_units_are_understood_by_systemd(tmp_path: Path) -> None:
    checker = shutil.which("systemd-analyze")
    if checker is None:
        pytest.skip("systemd-analyze is not installed")
    for name in UNITS:
        text = (FOLDER / "systemd" / name).read_text(encoding="utf-8")
        # The checker wants programs to be there.
        (tmp_path / name).write_text(text.replace(AGENT, "/bin/true"), encoding="utf-8")
    names = [str(tmp_path / name.replace("@.", "@run.")) for name in UNITS]
    result = subprocess.run(
        [checker, "verify", "--man=no", "--recursive-errors=no", *names],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_service_that_may_thaw_sees_every_mount(unit: Unit, name: str) -> None:
    service = unit(name)["Service"]
    assert [key for key in HIDING if key in service] == []
    assert service.get("ProtectHome", "no") in ("no", "read-only")
    assert service.get("ProtectSystem", "no") in ("no", "yes", "full")


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_service_keeps_what_a_thaw_needs(unit: Unit, name: str) -> None:
    service = unit(name)["Service"]
    assert {"CAP_SYS_ADMIN", "CAP_KILL"} <= set(service["CapabilityBoundingSet"].split())


def test_thaw_does_not_get_a_mount_namespace(unit: Unit) -> None:
    service = unit("snap-self-thaw.service")["Service"]
    assert [key for key in service if key.startswith(("Protect", "Private"))] == []


def test_thaw_runs_early_and_again_before_filesystems_are_unmounted(unit: Unit) -> None:
    thaw = unit("snap-self-thaw.service")
    assert thaw["Service"]["ExecStart"] == thaw["Service"]["ExecStop"]
    # Only a service that counts as running is stopped, and with an order that makes it the first.
    assert thaw["Service"]["RemainAfterExit"] == "yes"
    assert thaw["Unit"]["After"] == "local-fs.target"
    assert "shutdown.target" in thaw["Unit"]["Conflicts"]
    assert "sysinit.target" in thaw["Unit"]["Before"]


@pytest.mark.parametrize("marked", [False, True])
def test_thaw_starts_the_agent_only_where_there_is_a_marker(
    unit: Unit, tmp_path: Path, *, marked: bool
) -> None:
    marker, agent, started = tmp_path / "frozen.json", tmp_path / "agent", tmp_path / "started"
    agent.write_text(f'#!/bin/sh\necho "$*" >{started}\n', encoding="utf-8")
    agent.chmod(0o755)
    if marked:
        marker.touch()
    line = unit("snap-self-thaw.service")["Service"]["ExecStart"]
    assert str(MARKER) in line
    line = line.replace(str(MARKER), str(marker)).replace(AGENT, str(agent))
    subprocess.run(shlex.split(line), timeout=60, check=True)
    assert started.exists() is marked
    assert not marked or started.read_text(encoding="utf-8") == "thaw\n"


def test_follower_that_is_asked_to_end_has_not_failed(unit: Unit) -> None:
    ended = str(128 + signal.SIGTERM)
    assert unit("snap-self-follow@.service")["Service"]["SuccessExitStatus"] == ended


def test_prune_timer_is_daily_and_its_service_asks_nobody(unit: Unit) -> None:
    assert unit("snap-self-prune.timer")["Timer"]["OnCalendar"] == "daily"
    assert " prune --yes " in unit("snap-self-prune.service")["Service"]["ExecStart"]


def test_tmpfiles_make_the_folder_of_the_marker_for_root_only() -> None:
    text = (FOLDER / "tmpfiles/snap-self.conf").read_text(encoding="utf-8")
    assert re.search(rf"^d {RUN_DIRECTORY} 0700 root root -$", text, re.MULTILINE)


def test_tmpfiles_are_understood_by_systemd(tmp_path: Path) -> None:
    program = shutil.which("systemd-tmpfiles")
    if program is None:
        pytest.skip("systemd-tmpfiles is not installed")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/:/bin/sh\n", encoding="utf-8")
    (etc / "group").write_text("root:x:0:\n", encoding="utf-8")
    result = subprocess.run(
        [program, "--create", f"--root={tmp_path}", str(FOLDER / "tmpfiles/snap-self.conf")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    made = tmp_path / "run/snap-self"
    assert (result.returncode, result.stderr) == (0, "")
    assert made.stat().st_mode & 0o777 == 0o700
