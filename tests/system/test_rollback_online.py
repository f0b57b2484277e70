"""`rollback --online` on loop disks: reset and mounted as they were, whatever kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running, wait_until
from terminal_rig import terminal

from agent_runner import AgentRunner, RunningAgent
from json_schemas import hold

# A mount namespace that comes up beside it holds the disks, which is rightly refused: this file
# runs by itself, so not beside the other tests of `.ci/run`.
pytestmark = [pytest.mark.root, pytest.mark.long]

CALLS = ("DetachDisk", "ResetDisk", "AttachDisk")
STEPS = ("unmounting", "detaching", "resetting", "attaching", "mounting")
# A step may pass between two looks at the journal.
MOST_TRIES = 10


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a cloud whose system disk has ext4, with two data disks."""
    with cloud_running(tmp_path_factory.mktemp("online"), more=["btrfs"]) as running:
        yield running


@pytest.fixture
def agent_here(agent: AgentRunner, cloud: Cloud) -> AgentRunner:
    """Return the agent on that cloud, with a run of all disks, and files changed since."""
    cloud.calm()
    # A disk that was away may be another loop device by now.
    ready = replace(agent.against(cloud), disks=devices(cloud))
    for top in data(cloud):
        (top / "file").write_text("then\n", encoding="utf-8")
    disks = [word for disk_id in sorted(cloud.disk_ids) for word in ("--disk", disk_id)]
    made = ready.run("--before", "a change", "--wait", "accomplished", "--json", *disks)
    assert made.status == 0, made.err
    assert len(made.json["snapshots"]) == len(cloud.disk_ids)
    for top in data(cloud):
        (top / "file").write_text("now, and longer\n", encoding="utf-8")
    return ready


def data(cloud: Cloud) -> list[Path]:
    """Return the tops of the data disks."""
    return [cloud.xfs, cloud.tops["btrfs"]]


def devices(cloud: Cloud) -> tuple[str, ...]:
    """Return the loop devices on which the filesystems are now."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        if Path(left.split()[4]) in cloud.tops.values():
            found.append(right.split()[1])
    return tuple(found)


def mounts(cloud: Cloud) -> dict[str, tuple[str, str]]:
    """Return options and root of each mount of the data disks, by its place."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if Path(fields[4]) in data(cloud):
            found[fields[4]] = (f"{fields[5]} {right.split()[-1]}", fields[3])
    return found


def released(cloud: Cloud) -> dict[str, object]:
    """Return of each disk how it is attached."""
    disks = cloud.state()["disks"]
    return {
        name: (disks[name]["status"], disks[name]["delete_with_instance"])
        for name in cloud.disk_ids
    }


def contents(cloud: Cloud) -> list[str]:
    return [(top / "file").read_text(encoding="utf-8") for top in data(cloud)]


def step_of(agent: AgentRunner) -> str:
    for path in (agent.state / "returns").glob("*.json"):
        with suppress(OSError, ValueError):
            return str(json.loads(path.read_text(encoding="utf-8"))["step"])
    return ""


def over(running: RunningAgent) -> bool:
    return running.process.poll() is not None


def all_went_back(cloud: Cloud, agent: AgentRunner) -> None:
    """Run the next command, which brings forward what was left, and look at everything."""
    next_one = agent.run("list")
    assert next_one.status == 0, next_one.err
    assert set(mounts(cloud)) == {str(top) for top in data(cloud)}, next_one.err
    assert contents(cloud) == ["then\n"] * 2
    assert list((agent.state / "returns").glob("*.json")) == []
    assert cloud.process.control("GET", "guest-faults")["faults"] == []


def test_data_disks_go_back_and_are_mounted_and_attached_as_they_were(
    cloud: Cloud, agent_here: AgentRunner
) -> None:
    subprocess.run(["mount", "-o", "remount,noatime,nosuid", cloud.xfs], check=True)
    before = mounts(cloud), released(cloud)

    done = agent_here.run("rollback", "last", "--online", "--yes", "--json")

    assert done.status == 0, done.err
    hold(done.json, "rollback")
    assert done.json["online"]["step"] == "done"
    assert done.json["online"]["mounts"] == [str(top) for top in data(cloud)]
    assert contents(cloud) == ["then\n"] * 2
    assert (mounts(cloud), released(cloud)) == before
    assert cloud.process.control("GET", "guest-faults")["faults"] == []
    listed = agent_here.run("list")
    assert "went back to run" in listed.err
    shown = agent_here.run("show", "last")
    assert "(rollback --online)" in shown.err + shown.out


def test_process_with_an_open_file_is_named_and_nothing_is_touched(
    cloud: Cloud, agent_here: AgentRunner
) -> None:
    with (cloud.xfs / "file").open(encoding="utf-8"):
        refused = agent_here.run("rollback", "last", "--online", "--yes")
    assert refused.status == 7
    assert f"(pid {os.getpid()}, {cloud.xfs}/file)" in refused.err
    assert contents(cloud) == ["now, and longer\n"] * 2
    assert not {*CALLS[::2]} & {*cloud.calls()}


def test_mount_below_and_a_bind_mount_are_refused_by_name(
    cloud: Cloud, agent_here: AgentRunner, tmp_path: Path
) -> None:
    below = cloud.xfs / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
    try:
        refused = agent_here.run("rollback", "last", "--online", "--yes")
    finally:
        subprocess.run(["umount", below], check=True)
    assert refused.status == 7
    assert f"umount {below}" in refused.err
    subprocess.run(["mount", "--bind", below, tmp_path], check=True)
    try:
        refused = agent_here.run("rollback", "last", "--online", "--yes")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert refused.status == 7
    assert f"umount {tmp_path}" in refused.err
    assert contents(cloud) == ["now, and longer\n"] * 2


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_says_what_is_lost_and_asks(
    cloud: Cloud, agent_here: AgentRunner, answer: str
) -> None:
    with terminal(agent_here, "rollback", "last", "--online") as shell:
        shell.wait_for("[y/N]")
        assert "DetachDisk" not in cloud.calls()
        shell.type(f"{answer}\n")
        shell.finish()
    assert "everything written since" in shell.seen
    assert "Unmounted" in shell.seen
    wanted = "then\n" if answer == "y" else "now, and longer\n"
    assert contents(cloud) == [wanted] * 2, shell.seen


def test_state_before_is_kept_first(cloud: Cloud, agent_here: AgentRunner) -> None:
    done = agent_here.run("rollback", "last", "--online", "--snapshot-first", "--yes", "--json")
    assert done.status == 0, done.err
    assert contents(cloud) == ["then\n"] * 2, done.err
    kept = done.json["online"]["present_run"]
    cloud.finish_uploads()
    again = agent_here.run("rollback", kept, "--online", "--yes")
    assert again.status == 0, again.err
    assert contents(cloud) == ["now, and longer\n"] * 2


def test_second_reset_refused_leaves_nothing_mounted_and_every_command_says_so(
    cloud: Cloud, agent_here: AgentRunner
) -> None:
    # Each is asked for twice before, and once rehearsed.
    cloud.fault("error:InvalidParameter.Mismatch:403", "ResetDisk", skip=7, count=2)
    failed = agent_here.run("rollback", "last", "--online", "--yes")
    assert failed.status == 24
    assert "went back" in failed.err
    assert "would not fit together" in failed.err
    assert mounts(cloud) == {}
    said = agent_here.run("list")
    assert "is not finished" in said.err
    assert mounts(cloud) == {}
    all_went_back(cloud, agent_here)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", CALLS)
def test_killed_in_a_call_the_next_command_brings_it_forward(
    cloud: Cloud, agent_here: AgentRunner, call: str, when: str
) -> None:
    before = mounts(cloud), released(cloud)
    # The second disk's, if it is asked for each.
    cloud.fault("hang", call, when=when, skip=7 if call == "ResetDisk" else 1)
    with agent_here.start("rollback", "last", "--online", "--yes") as running:
        wait_until(lambda: cloud.faults_struck() or over(running), call, limit_s=120.0)
        assert running.kill().status == -9, running.err
    all_went_back(cloud, agent_here)
    assert (mounts(cloud), released(cloud)) == before


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_next_command_brings_it_forward(
    cloud: Cloud, agent_here: AgentRunner, step: str
) -> None:
    before = mounts(cloud), released(cloud)
    for _ in range(MOST_TRIES):
        with agent_here.start("rollback", "last", "--online", "--yes") as running:
            wait_until(lambda: step_of(agent_here) == step or over(running), step, limit_s=120.0)
            if running.kill().status == -9:
                break
    all_went_back(cloud, agent_here)
    assert (mounts(cloud), released(cloud)) == before


def test_terminated_before_a_reset_all_is_as_it_was(cloud: Cloud, agent_here: AgentRunner) -> None:
    before = mounts(cloud), released(cloud)
    cloud.fault("hang", "DetachDisk", when="before", skip=1)
    with agent_here.start("rollback", "last", "--online", "--yes") as running:
        wait_until(lambda: cloud.faults_struck() or over(running), "detach", limit_s=120.0)
        running.signal(signal.SIGTERM)
        ended = running.wait()
    assert ended.status == 143, ended.err
    assert contents(cloud) == ["now, and longer\n"] * 2
    assert (mounts(cloud), released(cloud)) == before
    assert list((agent_here.state / "returns").glob("*.json")) == []
