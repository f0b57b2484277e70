"""``kill -9`` of a restore anywhere: the next commands leave nothing of it, and little is paid."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running, wait_until
from paid_disks import PaidDisks
from test_restore import leftovers, snapshot

from agent_runner import AgentRunner, RunningAgent
from snap_self.recovery.temporary.rules import SIGHT_S

pytestmark = pytest.mark.root

CALLS = ("CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk")
# The first call tells a kill before it is done from one after it; of the others that is the stage
# that the journal has, of which there is a test each.
KILLED_IN = [
    ("CreateDisk", "before"),
    *((call, "after") for call in CALLS),
    *(pytest.param(call, "before", marks=pytest.mark.long) for call in CALLS[1:]),
]
FILESYSTEMS = ["ext4", *(pytest.param(fs, marks=pytest.mark.long) for fs in ("xfs", "btrfs"))]
STAGES = ("guarded", "opening", "copying", "closing", "detaching", "deleting")
# A stage may pass between two looks at the journal.
MOST_TRIES = 10


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a cloud with a disk of each filesystem."""
    with cloud_running(tmp_path_factory.mktemp("killed"), more=["btrfs"]) as running:
        yield running


@pytest.fixture(params=FILESYSTEMS)
def fs(request: pytest.FixtureRequest) -> str:
    """Return the filesystem that is restored from."""
    return str(request.param)


@pytest.fixture
def file(cloud: Cloud, fs: str) -> Path:
    """Return what is brought back."""
    return cloud.tops[fs] / "file"


@pytest.fixture
def restorer(agent: AgentRunner, cloud: Cloud, fs: str, file: Path) -> AgentRunner:
    """Return the agent on that cloud, with a snapshot and a changed file."""
    cloud.calm()
    ready = agent.against(cloud)
    file.write_text("then\n", encoding="utf-8")
    snapshot(ready, cloud, fs=fs)
    file.write_text("now, and longer\n", encoding="utf-8")
    return ready


@pytest.fixture
def paid(cloud: Cloud, restorer: AgentRunner, request: pytest.FixtureRequest) -> PaidDisks:
    """Return the account of the disks that are made from here on."""
    return PaidDisks(cloud, request.node.name)


def stage_of(agent: AgentRunner) -> str:
    """Return the stage that the journal has; empty where there is no record that is not done."""
    for path in (agent.state / "restores").glob("*.json"):
        with suppress(OSError, ValueError):
            return str(json.loads(path.read_text(encoding="utf-8"))["stage"])
    return ""


def over(running: RunningAgent) -> bool:
    """Tell whether it has ended by itself."""
    return running.process.poll() is not None


def killed_at(agent: AgentRunner, file: Path, stage: str) -> bool:
    """Restore, and kill that at a stage; tell whether it had not ended by itself before."""
    file.write_text("now, and longer\n", encoding="utf-8")
    with agent.start("restore", "last", str(file), "--yes") as running:
        wait_until(lambda: stage_of(agent) == stage or over(running), stage, limit_s=120.0)
        return running.kill().status == -9


def a_minute_passes(agent: AgentRunner) -> None:
    """Let the disks of the journal be so old that the cloud would show them if they were there."""
    for path in (agent.state / "restores").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        for disk in record["disks"]:
            made = datetime.fromisoformat(disk["made"]) - timedelta(seconds=SIGHT_S)
            disk["made"] = made.isoformat()
        path.write_text(json.dumps(record), encoding="utf-8")


def nothing_is_left(cloud: Cloud, agent: AgentRunner, file: Path, *, soon: bool = True) -> None:
    """Run the next commands, which end what was left; then restore as if nothing had been.

    ``list`` does what it can without waiting, ``unmount`` waits for the cloud.

    Args:
        soon: at once. Of a disk that may be deleted already that is a minute of waiting, so it is
            a minute later then.
    """
    if not soon:
        a_minute_passes(agent)
    for command in (("list",), ("unmount", "--all")):
        next_one = agent.run(*command)
        assert next_one.status == 0, next_one.err
    assert leftovers(cloud, agent) == []
    again = agent.run("restore", "last", str(file), "--yes")
    assert again.status == 0, again.err
    assert file.read_text(encoding="utf-8") == "then\n"
    assert leftovers(cloud, agent) == []
    assert cloud.process.control("GET", "guest-faults")["faults"] == []


@pytest.mark.parametrize(("call", "when"), KILLED_IN)
def test_killed_in_a_call_leaves_nothing_after_the_next_commands(
    cloud: Cloud, restorer: AgentRunner, paid: PaidDisks, file: Path, call: str, when: str
) -> None:
    cloud.fault("hang", call, when=when)
    with restorer.start("restore", "last", str(file), "--yes") as running:
        wait_until(lambda: cloud.faults_struck() or over(running), call, limit_s=120.0)
        assert running.kill().status == -9, running.err
    nothing_is_left(cloud, restorer, file, soon=call != "DeleteDisk")
    paid.check(most=2)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_a_stage_leaves_nothing_after_the_next_commands(
    cloud: Cloud, restorer: AgentRunner, paid: PaidDisks, file: Path, stage: str
) -> None:
    tries = 0
    killed = False
    while not killed and tries < MOST_TRIES:
        tries += 1
        killed = killed_at(restorer, file, stage)
    assert killed, f"{stage} passed unseen {tries} times"
    nothing_is_left(cloud, restorer, file, soon=stage != "deleting")
    paid.check(most=tries + 1)


@pytest.mark.parametrize("fs", ["ext4"], indirect=True)
@pytest.mark.parametrize("call", ["CreateDisk", "AttachDisk"])
def test_ended_by_a_signal_leaves_nothing_by_itself(
    cloud: Cloud, restorer: AgentRunner, paid: PaidDisks, file: Path, call: str
) -> None:
    cloud.fault("hang", call, when="after")
    with restorer.start("restore", "last", str(file), "--yes") as running:
        wait_until(lambda: cloud.faults_struck() or over(running), call, limit_s=120.0)
        running.signal(signal.SIGTERM)
        ended = running.wait()
    assert ended.status == 128 + signal.SIGTERM, ended.err
    assert leftovers(cloud, restorer) == []
    assert file.read_text(encoding="utf-8") == "now, and longer\n"
    paid.check(most=1)


def test_every_answer_lost_once_leaves_nothing_and_makes_one_disk(
    cloud: Cloud, restorer: AgentRunner, file: Path
) -> None:
    cloud.process.control("DELETE", "calls")
    assert restorer.run("restore", "last", str(file), "--yes").status == 0
    actions = sorted(set(cloud.calls()))
    assert set(CALLS) <= set(actions)
    for action in actions:
        file.write_text("now, and longer\n", encoding="utf-8")
        paid = PaidDisks(cloud, f"{action} without an answer")
        cloud.fault("lost_reply", action)
        done = restorer.run("restore", "last", str(file), "--yes")
        assert cloud.faults_struck(), action
        assert done.status == 0, f"{action}: {done.err}"
        assert file.read_text(encoding="utf-8") == "then\n", action
        assert leftovers(cloud, restorer) == [], action
        paid.check(most=1)
