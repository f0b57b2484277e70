"""What doctor says of keys, hooks and a wrong configuration, beside a simulated ECS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator
from fakes.main_job import main_job
from json_schemas import hold
from snap_self.errors import ExitStatus, NoCredentials
from snap_self.usecases.doctor import Readiness, Verdict, diagnose


def _none() -> Sequence[tuple[str, str]]:
    raise NoCredentials("no credentials found", details=("environment: not set", "OIDC: not set"))


def test_doctor_when_no_source_gives_keys_then_names_each_and_tells_it_once() -> None:
    with main_job() as job:
        found = diagnose(job.tools, credentials=_none, root=True, try_freeze=None)
    said = {finding.check: finding for finding in found.findings}
    assert "environment: not set; OIDC: not set" in said["credentials"].text
    assert said["api"].verdict is Verdict.SKIPPED
    assert found.exit_status is ExitStatus.CREDENTIALS


@pytest.mark.parametrize(
    ("missing", "verdict", "words"),
    [
        ([], Verdict.OK, "in place for apt, dnf4"),
        (["zypper"], Verdict.WARN, "zypper: risky changes get no snapshot"),
    ],
)
def test_doctor_tells_which_hooks_are_in_place(
    missing: list[str], verdict: Verdict, words: str
) -> None:
    def look() -> tuple[list[str], list[str]]:
        return ["apt", "dnf4"], missing

    with main_job() as job:
        found = diagnose(job.tools, credentials=list, root=True, try_freeze=None, hooks=look)
    said = {finding.check: finding for finding in found.findings}["hooks"]
    assert said.verdict is verdict
    assert words in said.text
    assert bool(said.hint) == bool(missing)


WRONG = {"SNAP_SELF_SNAPSHOT_KEEP": "x", "SNAP_SELF_FREEZE_LIMIT": "9"}


def test_doctor_with_a_wrong_configuration_fails_it_and_checks_the_rest(
    agent: AgentRunner, simulator: Simulator
) -> None:
    said = agent.against(simulator).with_env(**WRONG).run("doctor", "--json").json
    hold(said, "doctor")
    assert said["exit_status"] == 3
    assert said["ready"] == Readiness.NO.value
    found = [(check["check"], check["verdict"]) for check in said["checks"]]
    assert found.count(("configuration", "fail")) == len(WRONG)
    assert ("api", "ok") in found


def test_doctor_with_a_wrong_state_directory_looks_for_no_other_one(
    agent: AgentRunner, simulator: Simulator
) -> None:
    wrong = agent.against(simulator).with_env(SNAP_SELF_STATE_DIR="not/absolute")
    said = wrong.run("doctor", "--json").json
    found = {check["check"]: check["verdict"] for check in said["checks"]}
    assert (found["configuration"], found["api"], found["journal"]) == ("fail", "ok", "skipped")


def test_doctor_with_an_unusable_ca_file_says_so_once_and_goes_on(
    agent: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    user = agent.against(simulator, ca_bundle=tmp_path / "not-there.pem")
    said = user.run("doctor", "--json").json
    failed = [check["text"] for check in said["checks"] if check["check"] == "configuration"]
    assert len(failed) == 1
    assert "ca_bundle" in failed[0]
    assert said["exit_status"] == 3
    assert "ok" in [check["verdict"] for check in said["checks"] if check["check"] == "api"]


def test_hook_status_with_a_wrong_configuration_fails_it_and_shows_the_rest(
    agent: AgentRunner,
) -> None:
    said = agent.with_env(SNAP_SELF_SNAPSHOT_KEEP="x").run("hook", "status", "--json").json
    hold(said, "hook status")
    assert (said["exit_status"], said["error"]["code"]) == (3, "config-invalid")
    assert "SNAP_SELF_SNAPSHOT_KEEP" in said["configuration"][0]["text"]
    assert said["hooks"] or said["absent"]
