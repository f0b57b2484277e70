"""`snap-self reset` as typed: before an image is made of a machine, and on one made of an image."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator
from fakes.records import run_record
from json_schemas import hold
from snap_self.model.ids import InstanceId
from snap_self.model.run import Stage, Upload
from snap_self.model.summary import Summary
from snap_self.system.clock import SystemClock
from snap_self.system.state.journal import Journal
from snap_self.system.state.lock import FileLock
from snap_self.watching.metrics import exposition

STAYING = ["copies.lock", "follow.lock", "hook-limit", "lock", "watch.lock"]
MANY = 2_000


@pytest.fixture
def used(agent: AgentRunner) -> AgentRunner:
    """Return a runner whose state directory has the journal of another instance."""
    with FileLock(agent.state, SystemClock()).hold(timeout_s=0, purpose="a run"):
        journal = Journal(agent.state)
        for number in range(3):
            journal.save(run_record(number, stage=Stage.FINISHED))
    return agent


def left(agent: AgentRunner) -> list[str]:
    return sorted({path.name for path in agent.state.iterdir()}.difference(STAYING))


def test_all_is_forgotten_without_cloud_or_metadata_and_again_there_is_nothing(
    used: AgentRunner,
) -> None:
    result = used.run("reset", "--yes")
    assert result.status == 0, result.err
    assert "Forgotten: runs (3)." in result.err
    assert left(used) == []
    again = used.run("reset", "--yes", "--json")
    assert again.status == 0
    hold(again.json, "reset")
    assert again.json["forgotten"] == []


def test_object_names_what_is_gone_and_what_stays(used: AgentRunner) -> None:
    (used.state / "mine").write_text("not yours")
    said = used.run("reset", "--yes", "--json").json
    hold(said, "reset")
    assert said["forgotten"] == [{"part": "runs", "files": 3}]
    assert said["strange"] == [str(used.state / "mine")]
    assert said["notes"] == [f"not written by snap-self, and left: {used.state / 'mine'}"]
    assert (used.state / "mine").read_text() == "not yours"


def test_nothing_goes_without_a_terminal_unless_agreed_to(used: AgentRunner) -> None:
    result = used.run("reset")
    assert (result.status, left(used)) == (2, ["runs"])
    assert "--yes" in result.err


def test_clone_forgets_an_upload_of_its_original_and_lists_nothing_of_it(
    agent: AgentRunner, simulator: Simulator
) -> None:
    user = agent.against(simulator)
    record = run_record(stage=Stage.FINISHED)
    with FileLock(agent.state, SystemClock()).hold(timeout_s=0, purpose="a run"):
        upload = Upload(going_on=True, boot_id=record.boot_id)
        Journal(agent.state).save(replace(record, upload=upload))
    refused = agent.run("reset", "--yes")
    assert refused.status == 7, refused.err
    assert f"image of {record.instance_id}" in refused.err
    assert left(agent) == ["runs"]
    forgotten = user.run("reset", "--yes")
    assert forgotten.status == 0, forgotten.err
    assert left(agent) == []
    listed = user.run("list")
    assert record.instance_id not in listed.out + listed.err
    assert record.run_id not in listed.out + listed.err


def test_own_upload_forbids_it_until_it_has_ended(agent: AgentRunner, simulator: Simulator) -> None:
    user = agent.against(simulator)
    simulator.set_life(available_s=0.0, accomplished_s=1e6)
    record = replace(
        run_record(stage=Stage.FINISHED),
        instance_id=InstanceId(simulator.cloud.own_instance.instance_id),
        upload=Upload(going_on=True, boot_id="b"),
    )
    with FileLock(agent.state, SystemClock()).hold(timeout_s=0, purpose="a run"):
        Journal(agent.state).save(record)
    refused = user.run("reset", "--yes", "--json")
    hold(refused.json, "reset")
    assert (refused.status, refused.json["error"]["code"]) == (7, "state-in-use")
    assert "cannot be asked" not in refused.json["error"]["message"]
    assert "snap-self list" in refused.json["error"]["hint"]
    assert left(agent) == ["runs"]


def test_run_at_work_forbids_it(used: AgentRunner) -> None:
    with FileLock(used.state, SystemClock()).hold(timeout_s=0, purpose="before os upgrade"):
        refused = used.run("reset", "--yes")
    assert refused.status == 13
    assert "before os upgrade" in refused.err
    assert left(used) == ["runs"]


@pytest.fixture
def ours() -> str:
    """Return what stands in the file of the metrics."""
    summary = Summary(written=datetime(2026, 11, 22, tzinfo=timezone.utc), version="1")
    return exposition(summary, frozen=False)


def test_metrics_outside_the_state_go_too(used: AgentRunner, tmp_path: Path, ours: str) -> None:
    metrics = tmp_path / "snap-self.prom"
    metrics.write_text(ours)
    said = used.with_env(SNAP_SELF_METRICS_TEXTFILE=str(metrics)).run("reset", "--yes", "--json")
    hold(said.json, "reset")
    assert said.json["notes"] == [f"the metrics in {metrics} (metrics.textfile) were removed too"]
    assert not metrics.exists()


@pytest.mark.parametrize("kind", ["another's", "link", "folder"])
def test_what_is_not_known_to_be_our_metrics_stays_and_is_told(
    used: AgentRunner, tmp_path: Path, ours: str, kind: str
) -> None:
    metrics, target = tmp_path / "snap-self.prom", tmp_path / "target"
    target.write_text(ours)
    if kind == "link":
        metrics.symlink_to(target)
    elif kind == "folder":
        metrics.mkdir()
    else:
        metrics.write_text(f"# HELP other_info Another's.\n{ours}")
    said = used.with_env(SNAP_SELF_METRICS_TEXTFILE=str(metrics)).run("reset", "--yes", "--json")
    assert said.status == 0
    (note,) = said.json["notes"]
    assert note.startswith(f"{metrics} (metrics.textfile) is still there")
    assert os.path.lexists(metrics)
    assert target.read_text() == ours
    assert left(used) == []


def test_killed_in_the_middle_it_does_the_rest_when_started_again(used: AgentRunner) -> None:
    assert any(_killed_in_the_middle(used) for _ in range(5)), "it was over before it was killed"
    result = used.run("reset", "--yes")
    assert result.status == 0, result.err
    assert left(used) == []


def _killed_in_the_middle(used: AgentRunner) -> bool:
    """Kill `reset` once it has removed one of many files; False where it was over by then."""
    changes = used.state / "changes"
    (used.state / "runs").mkdir(mode=0o700, exist_ok=True)
    changes.mkdir(mode=0o700)
    for number in range(MANY):
        (changes / f"r{number}.jsonl").touch()
    full = changes.stat().st_mtime_ns
    with used.start("reset", "--yes") as running:
        with suppress(FileNotFoundError):
            while changes.stat().st_mtime_ns == full and running.process.poll() is None:
                pass
        running.kill()
    return left(used) == ["changes", "runs"]
