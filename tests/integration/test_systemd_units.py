"""The systemd units: read by systemd's own checker, and what they run."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snap_self.cli.places import MARKER, RUN_DIRECTORY
from snap_self.errors import ExitStatus

FOLDER = Path(__file__).resolve().parents[2] / "packaging"
AGENT = "/opt/snap-self/bin/snap-self"
# The catalog of the journal's messages lies beside them.
UNITS = sorted(
    path.name for path in (FOLDER / "systemd").iterdir() if path.suffix in (".service", ".timer")
)
# With these a filesystem, a device or a process can be missing, or is not what it is outside.
HIDING = (
    *("PrivateTmp", "PrivateMounts", "PrivateDevices", "PrivateUsers", "DynamicUser"),
    *("InaccessiblePaths", "TemporaryFileSystem", "RootDirectory", "RootImage"),
    *("ReadOnlyPaths", "ProtectProc", "ProcSubset", "MemoryDenyWriteExecute"),
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
        "snap-self-confirm.service",
        "snap-self-follow@.service",
        "snap-self-metrics.service",
        "snap-self-metrics.timer",
        "snap-self-prune.service",
        "snap-self-prune.timer",
        "snap-self-thaw.service",
        "snap-self-unmount.service",
        "snap-self-unmount@.service",
        "snap-self-unmount@.timer",
        "snap-self-verify.service",
        "snap-self-verify.timer",
    ]


def test_checks_that_cannot_decide_are_not_tried_again(unit: Unit) -> None:
    service = unit("snap-self-confirm.service")["Service"]
    assert (service["Restart"], service["SuccessExitStatus"]) == (
        "on-failure",
        str(int(ExitStatus.WEAKER)),
    )


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


def test_follower_which_ends_no_freeze_cannot(unit: Unit) -> None:
    service = unit("snap-self-follow@.service")["Service"]
    kept = set(service["CapabilityBoundingSet"].split())
    assert kept == {"CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"}
    assert "thaw" not in " ".join(service.values())


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_service_sees_every_mount_device_and_process(unit: Unit, name: str) -> None:
    service = unit(name)["Service"]
    assert [key for key in HIDING if key in service] == []
    assert service.get("ProtectHome", "no") in ("no", "read-only")
    assert service.get("ProtectSystem", "no") in ("no", "yes", "full")


@pytest.mark.parametrize("name", ["snap-self-prune.service", "snap-self-thaw.service"])
def test_service_that_thaws_keeps_what_a_thaw_needs(unit: Unit, name: str) -> None:
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


@pytest.mark.parametrize(
    ("status", "thaws"),
    [*((str(number), False) for number in (0, 5, 13, 20, 100)), ("KILL", True), ("143", True)],
)
def test_prune_that_was_ended_by_a_signal_thaws_what_is_marked(
    unit: Unit, tmp_path: Path, status: str, *, thaws: bool
) -> None:
    marker, agent, started = tmp_path / "frozen.json", tmp_path / "agent", tmp_path / "started"
    agent.write_text(f'#!/bin/sh\necho "$*" >{started}\n', encoding="utf-8")
    agent.chmod(0o755)
    marker.touch()
    line = unit("snap-self-prune.service")["Service"]["ExecStopPost"].removeprefix("-")
    line = line.replace(str(MARKER), str(marker)).replace(AGENT, str(agent)).replace("$$", "$")
    subprocess.run(shlex.split(line), env={"EXIT_STATUS": status}, timeout=60, check=True)
    assert started.exists() is thaws


def test_thaw_asks_the_guardian_and_never_kills_it(unit: Unit) -> None:
    assert unit("snap-self-thaw.service")["Service"]["KillMode"] == "process"


def test_prune_timer_is_daily_and_its_service_asks_nobody(unit: Unit) -> None:
    assert unit("snap-self-prune.timer")["Timer"]["OnCalendar"] == "daily"
    assert " prune --yes " in unit("snap-self-prune.service")["Service"]["ExecStart"]


def test_tmpfiles_make_a_folder_of_the_marker_that_others_can_only_pass_through() -> None:
    text = (FOLDER / "tmpfiles/snap-self.conf").read_text(encoding="utf-8")
    assert re.search(rf"^d {RUN_DIRECTORY} 0711 root root -$", text, re.MULTILINE)


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
    assert made.stat().st_mode & 0o777 == 0o711


UNMOUNTS = [
    "snap-self-unmount.service",
    "snap-self-unmount@.service",
    "snap-self-verify.service",
]


@pytest.mark.parametrize("name", UNMOUNTS)
def test_what_unmounts_does_not_get_a_mount_namespace(unit: Unit, name: str) -> None:
    service = unit(name)["Service"]
    assert [key for key in service if key.startswith(("Protect", "Private"))] == []


def test_verify_timer_is_weekly_and_its_service_asks_nobody(unit: Unit) -> None:
    assert unit("snap-self-verify.timer")["Timer"]["OnCalendar"] == "weekly"
    service = unit("snap-self-verify.service")["Service"]
    assert " verify last --yes " in service["ExecStart"]
    # Damage, 11, must be a failure of the unit.
    assert service["SuccessExitStatus"].split() == ["13", "100"]


def test_metrics_are_renewed_every_quarter_of_an_hour_with_or_without_network(
    unit: Unit,
) -> None:
    timer, service = unit("snap-self-metrics.timer")["Timer"], unit("snap-self-metrics.service")
    # A boot makes what was known doubtful, so it is not waited for the next quarter.
    assert (timer["OnCalendar"], timer["OnBootSec"]) == ("*:0/15", "1min")
    assert int(timer["RandomizedDelaySec"].removesuffix("min")) < 15
    assert service["Service"]["ExecStart"].endswith(" metrics --refresh --quiet")
    # Of what it counts people are told.
    assert "PrivateNetwork" not in service["Service"]
    assert "network" not in str(dict(service["Unit"]))


def test_open_snapshots_are_closed_while_the_network_is_there(unit: Unit) -> None:
    left = unit("snap-self-unmount.service")
    begun, ended = left["Service"]["ExecStart"], left["Service"]["ExecStop"]
    assert begun.endswith(ended.removeprefix("/bin/sh -c '"))
    # Nothing is mounted and started again while the machine goes down.
    assert "returns" not in ended
    assert left["Service"]["RemainAfterExit"] == "yes"
    # Units are stopped in the reverse order.
    assert "network-online.target" in left["Unit"]["After"].split()


def at_boot(unit: Unit, folder: Path, agent: str, devices: str = "") -> tuple[str, int]:
    """Run what is done at a boot; return what it printed and its status.

    Args:
        agent: stands for the agent's program.
        devices: what lsblk tells.
    """
    (folder / "lsblk").write_text(f"#!/bin/sh\nprintf '{devices}'\n", encoding="utf-8")
    (folder / "lsblk").chmod(0o755)
    line = unit("snap-self-unmount.service")["Service"]["ExecStart"].replace("$$", "$")
    line = line.replace("/var/lib/snap-self/", f"{folder}/").replace(">/dev/null;", ";")
    done = subprocess.run(
        shlex.split(line.replace(AGENT, agent)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    return done.stdout, done.returncode


@pytest.mark.parametrize(
    ("recorded", "started"),
    [
        ((), ""),
        (("restores",), "started unmount --all\n"),
        (("returns",), "started list --quiet\n"),
        (("returns", "restores"), "started list --quiet\nstarted unmount --all\n"),
    ],
)
def test_agent_is_started_after_a_boot_only_where_something_is_left(
    unit: Unit, tmp_path: Path, recorded: tuple[str, ...], started: str
) -> None:
    for folder in (tmp_path / "restores", tmp_path / "returns"):
        (folder / "done").mkdir(parents=True)
        (folder / "done" / "r0.json").touch()
        if folder.name in recorded:
            (folder / "r1.json").touch()
            (folder / "r2.json").touch()
    assert at_boot(unit, tmp_path, "echo started") == (started, 0)


# A volume over two disks is told below each of them.
ONE_EACH = r"aa vda1\n vda\nbb dm-0\nbb dm-0\ncc vdb\n"
TWICE = r"aa vda1\n vda\naa vdb1\n vdb\n"


@pytest.mark.parametrize(
    ("devices", "status", "told"),
    [
        (ONE_EACH, 7, ("", 0)),
        (TWICE, 0, ("plan --quiet\n", 0)),
        (TWICE, 7, ("plan --quiet\n", 7)),
        # That the cloud cannot be asked is no finding.
        (TWICE, 4, ("plan --quiet\n", 0)),
    ],
)
def test_machine_is_asked_what_it_runs_from_where_two_devices_have_one_id(
    unit: Unit, tmp_path: Path, devices: str, status: int, told: tuple[str, int]
) -> None:
    program = tmp_path / "agent"
    program.write_text(f'#!/bin/sh\necho "$@"\nexit {status}\n', encoding="utf-8")
    program.chmod(0o755)
    assert at_boot(unit, tmp_path, str(program), devices) == told


def test_time_limit_is_that_of_the_command_line(unit: Unit) -> None:
    assert unit("snap-self-unmount@.timer")["Timer"]["OnActiveSec"] == "1h"
    assert "%i" in unit("snap-self-unmount@.service")["Service"]["ExecStart"]


def test_time_limit_is_tried_again_until_nothing_is_left(unit: Unit) -> None:
    service = unit("snap-self-unmount@.service")["Service"]
    assert service["Restart"] == "on-failure"
    # Older systemd refuses to load a oneshot that is to be started again.
    assert service["Type"] == "simple"
    assert service["SuccessExitStatus"].split() == ["2"]


@pytest.mark.parametrize("waits", [False, True])
def test_checks_are_run_after_a_boot_only_where_a_change_waits(
    unit: Unit, tmp_path: Path, *, waits: bool
) -> None:
    (tmp_path / "20261122t183928z-000001.json").write_text(
        json.dumps({"armed": {"unconfirmed": waits}}, indent=1)
    )
    line = unit("snap-self-confirm.service")["Service"]["ExecStart"]
    # systemd takes these out, also of quotes in which a shell leaves them.
    assert "\\" not in line
    line = line.replace("/var/lib/snap-self/runs", str(tmp_path))
    argv = shlex.split(line.replace(AGENT, "echo started"))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ("started confirm --checks --quiet\n" if waits else "")


def test_checks_are_tried_again_until_they_succeed(unit: Unit) -> None:
    service = unit("snap-self-confirm.service")
    assert service["Service"]["Restart"] == "on-failure"
    # Older systemd refuses to load a oneshot that is to be started again.
    assert service["Service"]["Type"] == "simple"
    assert "network-online.target" in service["Unit"]["After"].split()
