"""`--confirm-within` and `confirm` as typed, against the simulated ECS and OOS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from ecs_simulator.config import RoleConfig
from ecs_simulator.simulator import Simulator
from fakes.main_job import config, machine
from snap_self.access.documents import OOS_SERVICE
from snap_self.disks import recording
from snap_self.system.disks.recorded import MACHINE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="confirm needs root")
OUTSIDE = "own-rollback"
EXECUTIONS = ("StartExecution", "CancelExecution")


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    roles = (RoleConfig(), RoleConfig(name=OUTSIDE, trusted=(OOS_SERVICE,)))
    with Simulator(replace(config(), roles=roles)) as simulator:
        simulator.set_group_behaviour(propagate_tags=True)
        yield simulator


@pytest.fixture
def user(agent: AgentRunner, cloud: Simulator, tmp_path: Path) -> AgentRunner:
    (tmp_path / MACHINE).write_text(recording.dump(machine()))
    against = agent.against(cloud)
    return against.with_env(SNAP_SELF_OOS_ENDPOINT=cloud.ecs_url, SNAP_SELF_ROLLBACK_ROLE=OUTSIDE)


def within(tmp_path: Path, *more: str) -> tuple[str, ...]:
    return ("--recorded", str(tmp_path), "--before", "os upgrade", "--confirm-within", "30m", *more)


def did(cloud: Simulator) -> list[str]:
    return [call.action for call in cloud.calls if call.action in EXECUTIONS and not call.code]


def test_run_with_a_check_is_confirmed_and_says_so(
    user: AgentRunner, cloud: Simulator, tmp_path: Path
) -> None:
    result = user.run("run", *within(tmp_path, "--check", "test -d /"), "--", "echo", "upgraded")
    assert result.status == 0, result.err
    assert result.out == "upgraded\n"
    assert "This machine goes back by itself at " in result.err
    assert "the check succeeded, and the rollback is called off" in result.err
    assert did(cloud) == [*EXECUTIONS]


def test_check_that_fails_leaves_it_armed_until_confirm_is_said(
    user: AgentRunner, cloud: Simulator, tmp_path: Path
) -> None:
    result = user.run("run", *within(tmp_path, "--check", "echo no >&2; false"), "--", "true")
    assert result.status == 7
    assert "not confirmed, as a check failed" in result.err
    assert "status 1: no" in result.err
    listed = user.run("list")
    assert "this machine goes back to run" in listed.err
    again = user.run("confirm", "--checks")
    assert (again.status, did(cloud)) == (7, ["StartExecution"])
    confirmed = user.run("confirm")
    assert confirmed.status == 0, confirmed.err
    assert confirmed.out.startswith("Confirmed  this machine stays as it is: the rollback to run ")
    assert confirmed.out.endswith(" is called off; its snapshots stay\n")
    assert did(cloud) == [*EXECUTIONS]
    assert user.run("confirm").out == "No rollback waits for a confirmation.\n"
    assert "goes back" not in user.run("list").err


def test_checks_without_any_check_have_a_status_of_their_own(
    user: AgentRunner, cloud: Simulator, tmp_path: Path
) -> None:
    user.run(*within(tmp_path))
    result = user.run("confirm", "--checks")
    assert (result.status, did(cloud)) == (100, ["StartExecution"])
    assert "nothing is confirmed" in result.out
    assert user.run("confirm").status == 0
    result = user.run("confirm", "--checks")
    assert (result.status, "the cloud was not asked" in result.out) == (0, True)


def test_object_of_the_main_job_has_what_waits_and_that_of_confirm_what_did(
    user: AgentRunner, tmp_path: Path
) -> None:
    made = user.run(*within(tmp_path, "--json")).json
    assert made["armed"]["run"] == made["run"]["id"]
    assert made["armed"]["execution_id"].startswith("exec-")
    shown = user.run("show", "last", "--json").json["run"]["armed"]
    assert (shown["unconfirmed"], shown["deadline"]) == (True, made["armed"]["deadline"])
    assert user.run("list", "--json").json["armed"] == [made["armed"]]
    assert user.run("confirm", "--json").json["called_off"] == [made["armed"]]


def test_plan_has_the_arming_as_a_step_and_arms_nothing(
    user: AgentRunner, cloud: Simulator, tmp_path: Path
) -> None:
    steps = user.run(*within(tmp_path, "--dry-run", "--json")).json["steps"]
    reason = "30m: the disks go back by themselves unless `snap-self confirm` is said by then"
    assert [step["reason"] for step in steps if step["name"] == "arm"] == [reason]
    assert did(cloud) == []


def test_role_that_is_not_there_is_status_23_and_125_of_run(
    user: AgentRunner, cloud: Simulator, tmp_path: Path
) -> None:
    wrong = user.with_env(SNAP_SELF_ROLLBACK_ROLE="no-such-role")
    made = wrong.run(*within(tmp_path))
    assert made.status == 23
    assert "no rollback is armed, so nothing else was begun" in made.err
    ran = tmp_path / "ran"
    run = wrong.run("run", *within(tmp_path), "--", "touch", str(ran))
    assert run.status == 125
    assert not ran.exists()
    assert "the command was not started" in run.err


def test_that_it_cannot_be_called_off_is_loud_and_has_the_steps(
    user: AgentRunner, cloud: Simulator, tmp_path: Path
) -> None:
    user.run(*within(tmp_path))
    deny = {"Effect": "Deny", "Action": "oos:CancelExecution", "Resource": "*"}
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    cloud.set_policies("SnapSelfRole", {"Version": "1", "Statement": [allow, deny]})
    result = user.run("confirm", "--quiet")
    assert result.status == 22
    assert "this machine will be rolled back to run" in result.err
    assert "aliyun oos CancelExecution --RegionId cn-hangzhou --ExecutionId exec-" in result.err
