"""The limits of the units: what systemd itself thinks of them, and that the agent works inside."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_rig import Rig
from freeze_rig import skip_reason as no_disks
from systemd_world import ROOT, World, configured, skip_reason, systemd_running
from test_thaw_service import MARKER, freeze, is_frozen, marker, started

from fixtures_simulator import simulator_running

UNITS = ROOT / "packaging" / "systemd"
AGENT = "/opt/snap-self/bin/snap-self"
CAP_SYS_ADMIN = 1 << 21
# systemd-analyze's marks of systemd 252: 0 shut in, 10 free to do anything.
MARKS = {
    "snap-self-thaw.service": 3.9,
    "snap-self-prune.service": 3.7,
    "snap-self-follow@.service": 3.0,
}

root = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(skip_reason() or no_disks()), reason=skip_reason() or no_disks()),
]
pytestmark = root


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", MARKS)
def test_mark_of_a_unit_does_not_rise(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MARKS[name]


def mount_namespace(world: World) -> str:
    """Return that of process 1 there."""
    return str(Path(f"/proc/{world.pid}/ns/mnt").readlink())


def limits(world: World, verb: str) -> dict[str, str]:
    """Return what the kernel told of the agent when it was started for this, by field."""
    lines = world.path("/run/agent-limits").read_text(encoding="utf-8").splitlines()
    words = next(line.split() for line in lines if line.startswith(f"{verb} "))
    return {"mnt": words[1], **dict(itertools.pairwise(words))}


def test_thaw_runs_in_the_machines_mount_namespace_and_ends_a_freeze_inside_its_limits(
    rig: Rig, tmp_path: Path
) -> None:
    disk = rig.disk()
    freeze(rig, disk)
    with systemd_running(tmp_path / "world", disk=disk.path, marker=marker(disk)) as world:
        assert not is_frozen(disk)
        found = limits(world, "thaw")
        assert found["mnt"] == mount_namespace(world)
        assert (found["Seccomp:"], found["NoNewPrivs:"]) == ("2", "1")
        assert int(found["CapBnd:"], 16) & CAP_SYS_ADMIN


def test_process_of_the_thaw_that_goes_on_outlives_its_unit(tmp_path: Path) -> None:
    with systemd_running(tmp_path / "world") as world:
        left = "#!/bin/sh\nsleep 1000 &\necho $! >/run/left\n"
        world.path(AGENT).write_text(left, encoding="utf-8")
        world.path("/run/snap-self").mkdir(mode=0o700)
        world.path(MARKER).touch()
        world.run("systemctl", "restart", "snap-self-thaw.service")
        pid = world.path("/run/left").read_text(encoding="ascii").strip()
        world.path(MARKER).unlink()
        world.run("systemctl", "stop", "snap-self-thaw.service")
        assert world.run("systemctl", "is-active", "snap-self-thaw.service").stdout == "inactive\n"
        assert world.run("kill", "-0", pid).returncode == 0


def test_prune_that_was_killed_leaves_no_freeze(rig: Rig, tmp_path: Path) -> None:
    disk = rig.disk()
    with systemd_running(tmp_path / "world", disk=disk.path) as world:
        real = world.path(f"{AGENT}-real")
        shutil.copy2(world.path(AGENT), real)
        killed = f'#!/bin/sh\n[ "$1" != prune ] || kill -9 $$\nexec {AGENT}-real "$@"\n'
        world.path(AGENT).write_text(killed, encoding="utf-8")
        drop_in = world.path("/etc/systemd/system/snap-self-prune.service.d/test.conf")
        drop_in.parent.mkdir()
        drop_in.write_text("[Unit]\nConditionVirtualization=\n", encoding="utf-8")
        world.run("systemctl", "daemon-reload")
        freeze(rig, disk)
        world.path("/run/snap-self").mkdir(mode=0o700)
        world.path(MARKER).write_text(marker(disk), encoding="utf-8")
        world.run("systemctl", "start", "snap-self-prune.service")
        assert not is_frozen(disk)
        assert not world.path(MARKER).exists()
        assert limits(world, "thaw")["mnt"] != mount_namespace(world)


def test_follower_follows_an_upload_inside_its_limits(tmp_path: Path) -> None:
    slow = tmp_path / "cloud.toml"
    slow.write_text("[life]\naccomplished_s = 4.0\n", encoding="utf-8")
    options = ("--storage", "loop", "--no-https", "--config", str(slow), "--disk", "size=1")
    with (
        systemd_running(tmp_path / "world") as world,
        simulator_running(*options, wrapper=world.network) as cloud,
    ):
        configured(world, cloud)
        job = ("--before", "x", "--consistency", "crash", "--wait", "cut", "--json")
        # With variables of its own the agent starts the follower another way.
        made = world.run("env", "-i", "PATH=/usr/sbin:/usr/bin", AGENT, *job)
        assert made.returncode == 0, made.stderr
        run_id = json.loads(made.stdout)["run"]["id"]
        record = world.path(f"/var/lib/snap-self/runs/{run_id}.json")
        assert json.loads(record.read_text())["upload"]["going_on"]
        world.wait(lambda: not json.loads(record.read_text())["upload"]["going_on"])
        assert json.loads(record.read_text())["upload"]["text"] == "accomplished"
        assert started(world)[-1] == f"follow {run_id}"
        found = limits(world, "follow")
        assert (int(found["CapBnd:"], 16) & CAP_SYS_ADMIN, found["Seccomp:"]) == (0, "2")
