"""What does not answer, or is not there before it is asked for, in the way of a path or a sync."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_servers import falling_silent, on_demand, unanswering
from main_job_rig import wait_for_words
from mounts_rig import Mounts, bare_cloud, consistency, mounts_on, run

from agent_runner import AgentRunner
from fixtures_simulator import SimulatorProcess
from snap_self.model.flushing import MountWay
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.freeze.launch import MountDirectories
from snap_self.system.watching.summary_file import read_summary

pytestmark = pytest.mark.root

FITHAW, TIMER_S = 0xC0045878, 60
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatorProcess]:
    with bare_cloud(disks=2) as process:
        yield process


@pytest.fixture
def mounts(cloud: SimulatorProcess) -> Iterator[Mounts]:
    with mounts_on(cloud) as found:
        yield found


@pytest.mark.parametrize("inside", ["", "/x"], ids=["mount-point", "below"])
def test_path_on_a_filesystem_that_never_answers_is_given_up(
    agent: AgentRunner, mounts: Mounts, inside: str
) -> None:
    place = mounts.place("hung")
    runner = agent.against(mounts.cloud)
    with unanswering(place), runner.start("plan", "--path", f"{place}{inside}") as running:
        result = running.wait(PATIENCE_S)
    assert result.status in (2, 6), result.err
    assert "no answer within 5 s" in result.err or "fuse" in result.err


def test_hung_filesystem_elsewhere_holds_up_nothing(agent: AgentRunner, mounts: Mounts) -> None:
    disk = mounts.make(0)
    mounts.canary(mounts.mount(disk.device, "data"), disk)
    runner = agent.against(mounts.cloud)
    with unanswering(mounts.place("hung")), runner.start("--before", "x", "--json") as running:
        result = running.wait(PATIENCE_S)
    assert result.status in (0, 101), result.err
    assert consistency(result)["reached"] == "flush"
    assert mounts.caught(result, disk)


def test_metrics_for_a_filesystem_that_never_answers_hold_up_no_command(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk = mounts.make(0)
    mounts.canary(mounts.mount(disk.device, "data"), disk)
    place = mounts.place("hung")
    runner = agent.against(mounts.cloud).with_env(
        SNAP_SELF_METRICS_TEXTFILE=f"{place}/snap-self.prom"
    )
    words = ("run", "--before", "x", "--", "echo", "changed")
    with unanswering(place), runner.start(*words) as running:
        result = running.wait(PATIENCE_S)
    assert (result.status, "changed" in result.out) == (0, True), result.err
    summary = read_summary(agent.state)
    # What comes after the metrics is told all the same.
    assert summary is not None
    assert (agent.state / "watch/tally.json").exists()


def test_metrics_on_a_filesystem_that_never_answers_do_not_hold_a_removal_up(
    agent: AgentRunner, mounts: Mounts
) -> None:
    place = mounts.place("hung")
    runner = agent.with_env(SNAP_SELF_METRICS_TEXTFILE=f"{place}/snap-self.prom")
    with unanswering(place), runner.start("metrics", "--remove") as running:
        result = running.wait(PATIENCE_S)
    assert (result.status, result.out) == (4, "")
    assert "is still there" in result.err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_sync_that_hangs_is_told_and_does_not_keep_the_agent_from_ending(
    agent: AgentRunner, mounts: Mounts, ending: signal.Signals
) -> None:
    disk = mounts.make(0, "xfs")
    outer = mounts.mount(disk.device, "outer")
    image = outer / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-F", image)
    inner = mounts.mount(image, "inner", "-o", "loop")
    (inner / "file").write_bytes(os.urandom(1 << 20))
    fd = os.open(outer, os.O_RDONLY)
    thaw = f"import fcntl, time; time.sleep({TIMER_S}); fcntl.ioctl({fd}, {FITHAW}, 0)"
    timer = subprocess.Popen([sys.executable, "-c", thaw], pass_fds=[fd])
    try:
        run("fsfreeze", "--freeze", outer)
        with agent.against(mounts.cloud).start("--before", "x") as running:
            wait_for_words(running, "still syncing")
            assert str(inner) in running.err
            running.signal(ending)
            start = time.monotonic()
            running.wait(PATIENCE_S)
            assert time.monotonic() - start < 5.0
    finally:
        run("fsfreeze", "--unfreeze", outer)
        timer.kill()
        timer.wait()
        os.close(fd)


def test_opening_for_a_freeze_is_given_up_when_a_directory_on_the_way_answers_no_more(
    mounts: Mounts,
) -> None:
    place = mounts.place("silent")
    opener = MountDirectories(AsideProcess())
    with falling_silent(place) as silent:
        run("mount", mounts.make(0).device, place / "data")
        device = (place / "data").stat().st_dev
        way = next(
            MountWay(path=path, mount_id=mount_id, devno=number)
            for mount_id, number, path in opener.listing()
            if path == str(place / "data")
        )
        opened = opener.open(way)
        silent.set()
        with pytest.raises(TimeoutError):
            opener.open(way)
        # What was opened before asks nobody on the way.
        assert os.fstat(opened.fd).st_dev == device == opened.device
        opener.close(opened.fd)


@pytest.mark.parametrize("inside", ["", "/", "/lost+found"], ids=["mount-point", "slash", "below"])
def test_path_that_is_mounted_on_demand_is_found_at_once(
    agent: AgentRunner, mounts: Mounts, inside: str
) -> None:
    disk = mounts.make(0)
    place = mounts.place("demand")
    with on_demand(place, disk.device):
        result = agent.against(mounts.cloud).run(
            "--before", "x", "--json", "--path", f"{place}{inside}"
        )
    assert result.status == 0, result.err
    assert [each["disk_id"] for each in result.json["snapshots"]] == [disk.disk_id]


def test_path_through_another_process_is_found_by_its_filesystem(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk = mounts.make(0)
    space = mounts.namespace()
    space.run("mount", disk.device, mounts.place("data"))
    mine = mounts.make(1)
    mounts.mount(mine.device, "mine")
    other = mounts.namespace()
    seen = (
        (f"/proc/{space.pid}/root{mounts.folder}/data", disk),
        (f"/proc/{other.pid}/root{mounts.folder}/mine", mine),
    )
    for path, wanted in seen:
        assert Path(path).is_dir()
        result = agent.against(mounts.cloud).run("--before", "x", "--json", "--path", path)
        assert result.status == 0, result.err
        assert [each["disk_id"] for each in result.json["snapshots"]] == [wanted.disk_id]
