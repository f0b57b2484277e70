"""The RAM policies that are handed out, put to work on a simulated ECS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.main_job import DISKS, MainJob, main_job
from snap_self.errors import PermissionRefused
from snap_self.model.ids import SnapshotId
from snap_self.model.request import Request
from snap_self.model.snapshots import EXPIRES_TAG, OUTCOME_TAG, OWNER_TAG, RUN_TAG, WaitFor

FOLDER = Path(__file__).resolve().parents[2] / "packaging/ram"
REQUEST = Request(before="os upgrade", wait=WaitFor.ACCOMPLISHED)


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        # Where they do not reach them, nothing but a describe is allowed on members.
        one.simulator.set_group_behaviour(propagate_tags=True)
        yield one


def _filled_in(job: MainJob, name: str) -> dict[str, Any]:
    identity = job.tools.identify()
    text = (FOLDER / name).read_text(encoding="utf-8")
    text = text.replace(
        'disk/DISK_ID"', f'disk/{DISKS[0]}", "acs:ecs:REGION:ACCOUNT:disk/{DISKS[1]}"'
    )
    for placeholder, value in {
        "REGION": identity.region,
        "ACCOUNT": identity.account,
        "INSTANCE_ID": identity.instance_id,
    }.items():
        text = text.replace(placeholder, value)
    policy: dict[str, Any] = json.loads(text)
    return policy


def _allow(job: MainJob, *names: str) -> None:
    documents = [_filled_in(job, f"snap-self-{name}.json") for name in names]
    job.simulator.set_policies("SnapSelfRole", *documents)


def _made(job: MainJob) -> list[SnapshotId]:
    report = job.run(REQUEST)
    assert report.result == "done", report.error
    return [SnapshotId(str(shot.snapshot_id)) for shot in report.snapshots]


def _tag(job: MainJob, snapshot_id: SnapshotId, key: str, value: str = "x") -> None:
    job.tools.connect(job.tools.identify()).tag_snapshots([snapshot_id], {key: value})


def test_default_policy_lets_the_main_job_pass_and_nothing_be_tagged(job: MainJob) -> None:
    _allow(job, "create")
    first, _ = _made(job)
    with pytest.raises(PermissionRefused):
        _tag(job, first, OUTCOME_TAG)


def test_tag_policy_lets_the_outcome_be_tagged_on_own_snapshots(job: MainJob) -> None:
    _allow(job, "create", "tags")
    for snapshot_id in _made(job):
        _tag(job, snapshot_id, OUTCOME_TAG, "done after 1 s")
        tags = job.simulator.dump()["snapshots"][snapshot_id]["tags"]
        assert tags[OUTCOME_TAG] == "done after 1 s"


@pytest.mark.parametrize("key", [OWNER_TAG, EXPIRES_TAG, RUN_TAG])
def test_tag_policy_lets_no_tag_be_set_that_prune_decides_by(job: MainJob, key: str) -> None:
    _allow(job, "create", "tags")
    with pytest.raises(PermissionRefused):
        _tag(job, _made(job)[0], key)


def test_tag_policy_lets_no_foreign_snapshot_be_tagged(job: MainJob) -> None:
    _allow(job, "create", "tags")
    foreign = job.simulator.add_snapshots(DISKS[0], 1, tags={OWNER_TAG: "i-other"})
    (bare,) = job.simulator.add_snapshots(DISKS[0], 1, tags={})
    for name in (*foreign, bare):
        for key in (OUTCOME_TAG, OWNER_TAG):
            with pytest.raises(PermissionRefused):
                _tag(job, SnapshotId(name), key, job.tools.identify().instance_id)


def test_default_policy_deletes_nothing_and_the_second_only_what_is_own(job: MainJob) -> None:
    _allow(job, "create")
    own = _made(job)
    cloud = job.tools.connect(job.tools.identify())
    with pytest.raises(PermissionRefused):
        cloud.delete_snapshot(own[0])
    _allow(job, "create", "prune")
    (foreign,) = job.simulator.add_snapshots(DISKS[0], 1, tags={OWNER_TAG: "i-other"})
    with pytest.raises(PermissionRefused):
        cloud.delete_snapshot(SnapshotId(foreign))
    cloud.delete_snapshot(own[0])
    assert own[0] not in job.simulator.dump()["snapshots"]
    assert foreign in job.simulator.dump()["snapshots"]


def test_default_policy_refuses_a_disk_that_it_does_not_name(job: MainJob) -> None:
    document = json.loads(
        json.dumps(_filled_in(job, "snap-self-create.json")).replace(DISKS[1], "d-x")
    )
    job.simulator.set_policies("SnapSelfRole", document)
    report = job.run(replace(REQUEST, before="one disk is not named"))
    assert report.error
    assert report.error.code == "permission-refused"
