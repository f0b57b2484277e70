"""A rollback by the simulated OOS: the real SDK, the printed policies, the shipped template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import RoleConfig
from ecs_simulator.faults import Fault
from fakes.fleet_oos import ScriptedGuest
from fakes.main_job import DISKS, MainJob, config, main_job
from snap_self.access.documents import (
    OOS_SERVICE,
    Document,
    as_sent,
    role_policy,
    rollback_role_policy,
)
from snap_self.cloud.executions import OosExecutions
from snap_self.errors import ExitStatus, PermissionRefused, RollbackGoesOn
from snap_self.model.actions import Holder, Policy
from snap_self.model.request import Request
from snap_self.model.snapshots import Identity
from snap_self.system.rollback_files import template
from snap_self.usecases.rollback import RollbackRequest, Started, roll_back

ROLE, OUTSIDE = "SnapSelfRole", "own-rollback"
POLICIES = (Policy.CREATE, Policy.ROLLBACK)


@pytest.fixture
def job() -> Iterator[MainJob]:
    roles = (RoleConfig(), RoleConfig(name=OUTSIDE, trusted=(OOS_SERVICE,)))
    with main_job(replace(config(), roles=roles)) as one:
        # Where they do not reach them, the role may not go back to a member.
        one.simulator.set_group_behaviour(propagate_tags=True)
        made = one.run(Request(before="os upgrade"))
        assert made.exit_status is ExitStatus.DONE
        one.clock.sleep(5)
        holder = holder_of(one)
        one.simulator.set_policies(ROLE, read(role_policy(holder, POLICIES, passed=OUTSIDE)))
        one.simulator.set_policies(OUTSIDE, read(rollback_role_policy(holder)))
        settle_uploads(one)
        yield one


def holder_of(job: MainJob) -> Holder:
    return replace(job.tools.identify().holder, disks=DISKS)


def read(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_sent(document))
    return found


def settle_uploads(job: MainJob) -> None:
    for _ in range(500):
        if all(each["progress"] == 100 for each in job.simulator.dump()["snapshots"].values()):
            return
        job.clock.sleep(0.1)


def back(job: MainJob, **changes: Any) -> Started:
    request = RollbackRequest(wanted="last", snapshot_first=False, content=template(), role=OUTSIDE)

    def executions(identity: Identity) -> OosExecutions:
        return OosExecutions(job.tools.connect(identity).caller)

    started = roll_back(
        job.tools, executions, replace(request, **changes), lambda _: True, half_way=lambda: False
    )
    assert started is not None
    return started


def end(job: MainJob, started: Started) -> dict[str, Any]:
    """Wait for the execution's end and return it.

    The boot check waits for a heartbeat of a later minute than that of the instance's start.
    """
    call = job.caller()
    asked = {"Version": "2019-06-01", "ExecutionId": started.execution.execution_id}
    for _ in range(2000):
        (found,) = call("ListExecutions", asked)["Executions"]
        if found["Status"] not in ("Started", "Running"):
            return dict(found)
        if [task["TaskName"] for task in found["CurrentTasks"]] == ["assistantUp"]:
            job.simulator.set_clock_offset(60.0)
        job.clock.sleep(0.1)
    raise AssertionError(found)


def test_machine_goes_back_with_the_printed_policies_and_no_more(job: MainJob) -> None:
    started = back(job)
    ended = end(job, started)
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert (ended["RamRole"], ended["Tags"]["snap-self-owner"]) == (
        OUTSIDE,
        job.tools.identify().instance_id,
    )
    calls = [call for call in job.simulator.calls if call.action == "ResetDisk"]
    assert [call.params["DiskId"] for call in calls] == list(started.judged.plan.pairs)
    assert [call.action for call in job.simulator.calls if call.code] == []


def test_second_one_is_refused_while_the_first_goes_on(job: MainJob) -> None:
    started = back(job)
    with pytest.raises(RollbackGoesOn, match=started.execution.execution_id):
        back(job)


def test_next_one_is_begun_where_the_first_only_waits_for_the_boot(job: MainJob) -> None:
    guest = ScriptedGuest(down={job.tools.identify().instance_id})
    job.simulator.cloud.assistant.guest = guest
    first = back(job).execution.execution_id
    for _ in range(2000):
        if waits_for(job, first) == {"assistantUp"}:
            break
        job.clock.sleep(0.1)
    second = back(job)
    assert second.execution.execution_id != first
    guest.down.clear()
    assert end(job, second)["Status"] == "Success"
    resets = [c for c in job.simulator.calls if c.action == "ResetDisk" and not c.code]
    assert len(resets) == 2 * len(DISKS)


def waits_for(job: MainJob, execution_id: str) -> set[str]:
    """Return the tasks that an execution is at."""
    asked = {"Version": "2019-06-01", "ExecutionId": execution_id}
    (found,) = job.caller()("ListExecutions", asked)["Executions"]
    return {str(each["TaskName"]) for each in found["CurrentTasks"]}


def test_lost_answer_starts_no_second_execution(job: MainJob) -> None:
    job.simulator.inject(Fault(kind="lost_reply", action="StartExecution"))
    back(job)
    found = job.caller()("ListExecutions", {"Version": "2019-06-01"})["Executions"]
    assert len(found) == 1


@pytest.mark.parametrize("action", ["oos:StartExecution", "oos:ListExecutions"])
def test_right_that_the_instance_lacks_is_named_with_what_prints_it(
    job: MainJob, action: str
) -> None:
    policy = read(role_policy(holder_of(job), POLICIES, passed=OUTSIDE))
    job.simulator.set_policies(ROLE, without(policy, action))
    with pytest.raises(PermissionRefused) as caught:
        back(job)
    assert caught.value.action == action
    assert "snap-self policy --rollback" in caught.value.hint


@pytest.mark.parametrize("action", ["ecs:DescribeDisks", "ecs:ResetDisk"])
def test_right_that_the_role_of_oos_lacks_tears_nothing(job: MainJob, action: str) -> None:
    policy = read(rollback_role_policy(holder_of(job)))
    job.simulator.set_policies(OUTSIDE, without(policy, action))
    ended = end(job, back(job))
    assert ended["Status"] == "Failed"
    assert ended["StatusMessage"]
    done = [c for c in job.simulator.calls if c.action == "ResetDisk" and not c.code]
    assert len(done) in (0, len(DISKS))


def without(document: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the policy with one action less."""
    kept = []
    for statement in document["Statement"]:
        named = statement["Action"]
        left = [each for each in ([named] if isinstance(named, str) else named) if each != action]
        if left:
            kept.append({**statement, "Action": left})
    assert kept != document["Statement"]
    return {**document, "Statement": kept}
