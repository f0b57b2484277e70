"""The units under a real systemd: a stale freeze ends at boot and at shutdown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_rig import Disk, Rig
from freeze_rig import skip_reason as no_disks
from systemd_world import World, skip_reason, systemd_running

from snap_self.quiesce.freeze.marker import MarkedFilesystem, Marker

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(skip_reason() or no_disks()), reason=skip_reason() or no_disks()),
]
MARKER = "/run/snap-self/frozen.json"
STARTED = "/run/agent-started"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def freeze(rig: Rig, disk: Disk) -> None:
    """Freeze as a run does that is then killed with all that watched it."""
    rig.arm(60)
    subprocess.run(["fsfreeze", "--freeze", str(disk.path)], check=True)


def is_frozen(disk: Disk) -> bool:
    """Tell whether it is frozen, and thaw it: the kernel says nothing else."""
    return subprocess.run(["fsfreeze", "--unfreeze", str(disk.path)], check=False).returncode == 0


def marker(disk: Disk) -> str:
    """Return what a run leaves that was killed together with its guardian."""
    device = disk.path.stat().st_dev
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Marker(
        boot_id=boot_id,
        agent_pid=1,
        processes=(),
        filesystems=(
            MarkedFilesystem(
                path="/srv",
                fstype="ext4",
                listed_device=f"{os.major(device)}:{os.minor(device)}",
            ),
        ),
    ).encode()


def started(world: World) -> list[str]:
    path = world.path(STARTED)
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def status_of(world: World, unit: str) -> tuple[str, str]:
    """Return the exit status of the unit's main process, and what became of the unit."""
    shown = world.run("systemctl", "show", unit, "-p", "ExecMainStatus", "-p", "Result")
    values = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    return values["ExecMainStatus"], values["Result"]


def test_freeze_left_behind_ends_early_at_boot(rig: Rig, tmp_path: Path) -> None:
    disk = rig.disk()
    freeze(rig, disk)
    with systemd_running(tmp_path / "world", disk=disk.path, marker=marker(disk)) as world:
        assert not is_frozen(disk)
        assert started(world) == ["thaw"]
        assert not world.path(MARKER).exists()
        said = world.run("journalctl", "--no-pager", "-o", "cat", "-t", "snap-self").stdout
        assert "its processes are gone, so it was ended now" in said


def test_freeze_left_behind_ends_at_shutdown(rig: Rig, tmp_path: Path) -> None:
    disk = rig.disk()
    with systemd_running(tmp_path / "world", disk=disk.path) as world:
        assert started(world) == []
        freeze(rig, disk)
        world.path("/run/snap-self").mkdir(mode=0o700)
        world.path(MARKER).write_text(marker(disk), encoding="utf-8")
        world.shut_down()
    assert not is_frozen(disk)


def test_boot_and_shutdown_without_a_freeze_never_start_the_agent(tmp_path: Path) -> None:
    with systemd_running(tmp_path / "world") as world:
        thaw = world.run("systemctl", "is-active", "snap-self-thaw.service")
        assert thaw.stdout == "active\n"
        world.run("systemctl", "stop", "snap-self-thaw.service")
        assert started(world) == []


def drop_in(world: World, unit: str, text: str) -> None:
    """Change a unit as its owner does; and let it run here, which looks like a container."""
    path = world.path(f"/etc/systemd/system/{unit}.d/test.conf")
    path.parent.mkdir()
    path.write_text(f"[Unit]\nConditionVirtualization=\n{text}", encoding="utf-8")
    world.run("systemctl", "daemon-reload")


def test_agent_runs_inside_the_limits_of_each_unit(tmp_path: Path) -> None:
    with systemd_running(tmp_path / "world") as world:
        drop_in(world, "snap-self-prune.service", "")
        world.run("systemctl", "start", "snap-self-prune.service")
        # There is no metadata service; what systemd itself could not do has numbers above 200.
        assert status_of(world, "snap-self-prune.service") == ("4", "exit-code")
        assert started(world) == ["prune --yes --quiet"]
        follower = "snap-self-follow@20260102t030405z-abcdef.service"
        world.run("systemctl", "start", follower)
        world.wait(lambda: started(world)[1:] == ["follow 20260102t030405z-abcdef"])


def test_options_of_the_timer_come_from_a_drop_in(tmp_path: Path) -> None:
    with systemd_running(tmp_path / "world") as world:
        options = '[Service]\nEnvironment="PRUNE_OPTIONS=--keep-last 5"\n'
        drop_in(world, "snap-self-prune.service", options)
        world.run("systemctl", "start", "snap-self-prune.service")
        assert started(world) == ["prune --yes --quiet --keep-last 5"]
