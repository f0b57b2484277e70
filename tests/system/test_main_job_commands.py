"""``list``, ``show``, ``doctor`` and ``plan`` on real loop disks, in good days and bad ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from main_job_rig import ALLOW_ALL, CREATES, Cloud, cloud_running

from agent_runner import AgentResult, AgentRunner

pytestmark = pytest.mark.root


def _denied(*actions: str) -> dict[str, Any]:
    return {
        "Version": "1",
        "Statement": [{"Effect": "Deny", "Action": [f"ecs:{a}" for a in actions], "Resource": "*"}],
    }


@pytest.fixture(scope="module")
def running_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("disks")) as cloud:
        yield cloud


@pytest.fixture
def cloud(running_cloud: Cloud) -> Iterator[Cloud]:
    running_cloud.calm()
    try:
        yield running_cloud
    finally:
        running_cloud.process.control("PUT", "instance", {"role": "SnapSelfRole"})
        running_cloud.calm()


@pytest.fixture
def user(agent: AgentRunner, cloud: Cloud) -> AgentRunner:
    return agent.against(cloud)


def _made(user: AgentRunner, before: str) -> dict[str, Any]:
    result = user.run("--before", before, "--json")
    assert result.status == 0, result.err
    return result.json


def test_list_shows_what_was_made(user: AgentRunner, cloud: Cloud) -> None:
    made = _made(user, "listed")
    listed = user.run("list", "--json").json
    mine = [s for s in listed["snapshots"] if s["before"] == "listed"]
    assert {s["snapshot_id"] for s in mine} == {s["snapshot_id"] for s in made["snapshots"]}
    assert {s["run_id"] for s in mine} == {made["run"]["id"]}
    assert {s["disk_id"] for s in mine} == cloud.disk_ids
    assert {s["expires"] for s in mine} == {made["snapshots"][0]["expires"]}
    text = user.run("list")
    assert text.out.count(made["run"]["id"]) == 1
    each = user.run("list", "--verbose")
    for shot in made["snapshots"]:
        assert shot["snapshot_id"] in each.out


def test_show_prints_the_way_back_by_any_of_its_ids(user: AgentRunner, cloud: Cloud) -> None:
    made = _made(user, "shown")
    shot = made["snapshots"][0]
    for wanted in (shot["snapshot_id"], shot["group_id"], made["run"]["id"]):
        shown = user.run("show", wanted)
        assert shown.status == 0, shown.err
        for one in made["snapshots"]:
            assert f"--DiskId {one['disk_id']} --SnapshotId {one['snapshot_id']}" in shown.out
        assert f"StopInstance --RegionId cn-hangzhou --InstanceId {made['instance']['id']}" in (
            shown.out
        )


def test_show_of_an_unknown_id_says_where_ids_are(user: AgentRunner, cloud: Cloud) -> None:
    shown = user.run("show", "s-nothing")
    assert shown.status == 2
    assert "snap-self list" in shown.err


def test_plan_makes_no_state_and_no_create_call(user: AgentRunner, cloud: Cloud) -> None:
    planned = user.run("plan", "--before", "planned")
    assert planned.status == 0, planned.err
    assert "one snapshot-consistent group: 2 disks" in planned.out
    assert not set(cloud.calls()) & set(CREATES)
    assert not (user.state / "runs").exists()
    dry = user.run("--before", "planned", "--dry-run")
    assert dry.out == planned.out


def test_plan_of_a_recording_says_the_same(user: AgentRunner, cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    recorded = user.run("doctor", "--record", str(folder))
    assert recorded.status == 0, recorded.out
    now = user.run("plan", "--before", "planned", "--path", str(cloud.xfs))
    cloud.process.control("DELETE", "calls")
    later = user.run(
        "plan", "--before", "planned", "--path", str(cloud.xfs), "--recorded", str(folder)
    )
    assert later.status == 0, later.err
    assert later.out == now.out
    assert not cloud.asked_anything()


def test_doctor_is_content_once_a_snapshot_was_made(user: AgentRunner, cloud: Cloud) -> None:
    first = user.run("doctor")
    assert first.status == 0, first.out
    assert "FAIL" not in first.out
    assert "whether snapshots may be created is not known yet" in first.err
    assert '--before "first try" --keep 1d' in first.out
    _made(user, "first try")
    later = user.run("doctor")
    assert later.status == 0, later.out
    assert "ok    permission: the last create worked, on " in later.out
    assert "with keys of: instance role SnapSelfRole" in later.out
    assert "Ready: the main job can run." in later.err


def _no_role(cloud: Cloud) -> None:
    cloud.process.control("PUT", "instance", {"role": ""})
    cloud.process.control("POST", "expire", {"what": "role"})


def _no_describe(cloud: Cloud) -> None:
    cloud.policies(ALLOW_ALL, _denied("DescribeDisks"))


def _metadata_down(cloud: Cloud) -> None:
    cloud.fault("reset", "metadata:/latest", count=1000)


def _clock_off(cloud: Cloud) -> None:
    cloud.process.control("PUT", "clock-skew", {"skew_s": 1200.0})


BAD_DAYS: list[tuple[Callable[[Cloud], None], int, str]] = [
    (_no_role, 5, "role"),
    (_no_describe, 5, "allow ecs:DescribeDisks"),
    (_metadata_down, 4, "ECS instance in a VPC"),
    (_clock_off, 5, "set the clock"),
]


@pytest.mark.parametrize(
    ("spoil", "status", "hint"), BAD_DAYS, ids=[spoil.__name__ for spoil, _, _ in BAD_DAYS]
)
def test_doctor_names_the_mend_and_the_main_job_ends_so(
    user: AgentRunner, cloud: Cloud, spoil: Callable[[Cloud], None], status: int, hint: str
) -> None:
    spoil(cloud)
    result = user.run("doctor")
    assert result.status == status, result.out
    assert hint in _mends(result)
    assert f"would end with status {status}" in result.err
    assert user.run("--before", "bad day").status in ({status, 6} if status == 5 else {status})
    assert not set(cloud.calls()) & set(CREATES)


def test_doctor_says_that_the_endpoint_is_unreachable(user: AgentRunner, cloud: Cloud) -> None:
    closed = "http://127.0.0.1:1"
    result = user.with_env(SNAP_SELF_ECS_ENDPOINT=closed).run("doctor")
    assert result.status == 10, result.out
    assert "check the network" in _mends(result)
    assert result.out.count("FAIL") == 1
    assert "needs the ECS API" in result.out


def test_create_that_is_denied_names_the_action_and_makes_nothing(
    user: AgentRunner, cloud: Cloud
) -> None:
    cloud.policies(ALLOW_ALL, _denied("CreateSnapshotGroup"))
    result = user.run("--before", "denied")
    assert result.status == 5
    assert "ecs:CreateSnapshotGroup" in result.err
    assert cloud.sets("denied") == []


def _mends(result: AgentResult) -> str:
    """Return what is said below the failed checks."""
    lines = result.out.splitlines()
    return "\n".join(
        after
        for line, after in pairwise(lines)
        if line.startswith("FAIL") and after.lstrip().startswith("->")
    )
