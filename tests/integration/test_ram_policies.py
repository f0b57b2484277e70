"""The RAM policies that are handed out and printed, put to work on a simulated ECS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator import DiskConfig
from fakes.inhibitor import FakeInhibitor
from fakes.lock import FakeLock
from fakes.main_job import DISKS, MainJob, main_job
from snap_self.access.documents import Document
from snap_self.cloud.credentials.instance_role import bound_role
from snap_self.cloud.temporary_disks import EcsTemporaryDisks
from snap_self.disks.layout import read_layout
from snap_self.errors import ExitStatus, PermissionRefused
from snap_self.instance.metadata import MetadataClient
from snap_self.model.actions import ACTIONS, Policy
from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.disks import Selection
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.snapshots import (
    EXPIRES_TAG,
    OUTCOME_TAG,
    OWNER_TAG,
    RESTORE_TAG,
    RUN_TAG,
    TEMPORARY_TAG,
    WaitFor,
)
from snap_self.system.clock import SystemClock
from snap_self.system.net.http import RequestsTransport
from snap_self.usecases.aftercare.commands import tag_outcome
from snap_self.usecases.doctor import Readiness, Verdict, diagnose
from snap_self.usecases.follow import Watching, follow
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.policy import PolicyRequest, make_policy
from snap_self.usecases.prune import prune
from snap_self.usecases.show import show

FOLDER = Path(__file__).resolve().parents[2] / "packaging/ram"
ROLE = "SnapSelfRole"
REQUEST = Request(before="os upgrade", wait=WaitFor.ACCOMPLISHED)
ONE_DISK = replace(REQUEST, selection=Selection(paths=("/srv",)))
FLEET = "team=web"


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
    assert report.result is Result.DONE, report.error
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


# --- those that `snap-self policy` prints ----------------------------------------------------


def printed(job: MainJob, **asked: Any) -> Document:
    """Return the policy that is printed on this instance."""
    transport = RequestsTransport()
    metadata = MetadataClient(
        transport, job.clock, base_url=job.simulator.metadata_url, plain_allowed=False
    )
    report = make_policy(
        PolicyRequest(**asked),
        identify=job.tools.identify,
        bound_role=lambda: bound_role(metadata),
        look=lambda: read_layout(job.tools.machine.read()),
        user_map={},
    )
    transport.close()
    assert report.bound == ROLE
    return report.document


def without(document: Document, action: str) -> dict[str, Any]:
    """Return the policy with one action less."""
    changed: dict[str, Any] = json.loads(json.dumps(document))
    kept = []
    for statement in changed["Statement"]:
        named = statement["Action"]
        left = [each for each in ([named] if isinstance(named, str) else named) if each != action]
        if left:
            kept.append({**statement, "Action": left})
    assert kept != changed["Statement"]
    return {**changed, "Statement": kept}


def _pass_a_day(job: MainJob) -> None:
    """Make what the cloud holds a day older, and forget the runs that made it."""
    job.simulator.state.shift(-86400.0)
    job.forget()


def refused(job: MainJob) -> list[str]:
    """Return the calls that the cloud refused."""
    return [call.action for call in job.simulator.calls if call.code]


def make_group(job: MainJob) -> Report:
    """Snapshot both disks at one instant."""
    return job.run(REQUEST)


def make_single(job: MainJob) -> Report:
    """Snapshot one disk."""
    return job.run(ONE_DISK)


def look_back(job: MainJob) -> None:
    """List, show and diagnose."""
    report = make_group(job)
    assert len(list_snapshots(job.tools).snapshots) == len(DISKS)
    assert show(job.tools, str(report.run_id)).snapshots
    found = diagnose(job.tools, credentials=list, root=True, try_freeze=None)
    assert found.readiness is Readiness.YES, found.findings


def follow_up(job: MainJob) -> None:
    """Watch an upload to its end, which sets the retention of a group's members."""
    job.run(replace(REQUEST, wait=WaitFor.CUT))
    job.clock.sleep(120)
    watching = Watching(inhibitor=FakeInhibitor(), lock=FakeLock(SystemClock()), limit_s=3600)
    follow(job.tools, watching)
    shots = job.simulator.dump()["snapshots"].values()
    assert {shot["retention_days"] for shot in shots} == {14}


def reuse(job: MainJob) -> None:
    """Be content with what is there."""
    make_group(job)
    assert job.run(replace(REQUEST, reuse_s=3600)).result is Result.REUSED


MAIN: list[Callable[[MainJob], object]] = [make_group, make_single, look_back, follow_up, reuse]


@pytest.mark.parametrize("use", MAIN, ids=lambda use: use.__name__)
@pytest.mark.parametrize("asked", [{}, {"fleet": FLEET}], ids=["role", "fleet"])
def test_printed_policy_suffices_for_all_but_prune_and_tags(
    job: MainJob, asked: dict[str, Any], use: Callable[[MainJob], object]
) -> None:
    tag_fleet(job)
    job.simulator.set_policies(ROLE, printed(job, **asked))
    use(job)
    assert refused(job) == []


def tag_fleet(job: MainJob) -> None:
    """Give the instance and its disks the tag of a fleet."""
    key, _, value = FLEET.partition("=")
    state = job.simulator.state
    for disk in state.disks.values():
        disk.tags[key] = value
    for instance in state.instances.values():
        instance.tags[key] = value


@pytest.mark.parametrize("asked", [{}, {"fleet": FLEET}], ids=["role", "fleet"])
def test_printed_policy_with_prune_suffices_for_groups_and_singles(
    job: MainJob, asked: dict[str, Any]
) -> None:
    tag_fleet(job)
    job.simulator.set_policies(ROLE, printed(job, policies=(Policy.PRUNE,), **asked))
    for request in (REQUEST, ONE_DISK, REQUEST, ONE_DISK):
        assert job.run(request).error is None
        _pass_a_day(job)
    pruned = prune(job.tools, PrunePolicy(keep_last=1), dry_run=False)
    assert pruned.error is None
    assert refused(job) == []
    calls = {call.action for call in job.simulator.calls}
    assert {"DeleteSnapshot", "DeleteSnapshotGroup"} <= calls


def test_printed_policy_with_prune_suffices_for_a_group_whose_tags_do_not_reach_its_members(
    job: MainJob,
) -> None:
    job.simulator.set_group_behaviour(propagate_tags=False)
    job.simulator.set_policies(ROLE, printed(job, policies=(Policy.PRUNE,)))
    for _ in range(2):  # the cloud lets nobody set their date
        assert {shot.retention for shot in make_group(job).snapshots} == {Retention.REFUSED}
        _pass_a_day(job)
    pruned = prune(job.tools, PrunePolicy(keep_last=1), dry_run=False)
    assert (pruned.error, pruned.deleted) == (None, len(DISKS))


@pytest.mark.parametrize("asked", [{}, {"fleet": FLEET}], ids=["role", "fleet"])
def test_printed_policy_with_tags_suffices_for_the_outcome(
    job: MainJob, asked: dict[str, Any]
) -> None:
    tag_fleet(job)
    job.simulator.set_policies(ROLE, printed(job, policies=(Policy.TAGS,), **asked))
    report = make_group(job)
    tag_outcome(job.tools, report, "done after 1 s")
    assert refused(job) == []
    tags = [shot["tags"].get(OUTCOME_TAG) for shot in job.simulator.dump()["snapshots"].values()]
    assert tags == ["done after 1 s"] * len(DISKS)


def test_fleet_policy_refuses_a_disk_that_does_not_carry_the_tag(job: MainJob) -> None:
    job.simulator.set_policies(ROLE, printed(job, fleet=FLEET))
    error = make_single(job).error
    assert error
    assert error.action == "ecs:CreateSnapshot"


@pytest.mark.parametrize("use", MAIN, ids=lambda use: use.__name__)
def test_session_policy_suffices_as_the_only_one(
    job: MainJob, use: Callable[[MainJob], object]
) -> None:
    # What both allow counts, so the role's own policy may be any that is wider.
    job.simulator.set_policies(ROLE, printed(job, session=True))
    use(job)
    assert refused(job) == []


@pytest.mark.parametrize(
    ("action", "use"),
    [
        ("ecs:DescribeDisks", make_single),
        ("ecs:CreateSnapshot", make_single),
        ("ecs:CreateSnapshotGroup", make_group),
    ],
)
def test_main_job_without_an_action_ends_with_five_and_names_it(
    job: MainJob, action: str, use: Callable[[MainJob], Report]
) -> None:
    job.simulator.set_policies(ROLE, without(printed(job), action))
    report = use(job)
    assert report.exit_status is ExitStatus.CREDENTIALS
    assert report.error
    assert (report.error.code, report.error.action) == ("permission-refused", action)
    assert job.simulator.dump()["snapshots"] == {}


@pytest.mark.parametrize(
    ("action", "request_"),
    [("ecs:DeleteSnapshot", ONE_DISK), ("ecs:DeleteSnapshotGroup", REQUEST)],
)
def test_prune_without_an_action_ends_with_five_and_names_it(
    job: MainJob, action: str, request_: Request
) -> None:
    policy = printed(job, policies=(Policy.PRUNE,))
    job.simulator.set_policies(ROLE, without(policy, action))
    for _ in range(2):
        job.run(request_)
        _pass_a_day(job)
    pruned = prune(job.tools, PrunePolicy(keep_last=1), dry_run=False)
    assert isinstance(pruned.error, PermissionRefused)
    assert pruned.error.exit_status is ExitStatus.CREDENTIALS
    assert pruned.error.action == action


def test_retention_that_may_not_be_set_is_told_as_refused_with_the_action(job: MainJob) -> None:
    action = "ecs:ModifySnapshotAttribute"
    job.simulator.set_policies(ROLE, without(printed(job), action))
    report = make_group(job)
    assert {shot.retention for shot in report.snapshots} == {Retention.REFUSED}
    assert any(action in note for note in report.notes)
    cloud = job.tools.connect(job.tools.identify())
    made = SnapshotId(str(report.snapshots[0].snapshot_id))
    with pytest.raises(PermissionRefused) as caught:
        cloud.set_retention(made, 30)
    assert caught.value.action == action


def test_tag_that_may_not_be_set_names_the_action(job: MainJob) -> None:
    job.simulator.set_policies(ROLE, printed(job))
    with pytest.raises(PermissionRefused) as caught:
        _tag(job, _made(job)[0], OUTCOME_TAG)
    assert caught.value.action == "ecs:TagResources"


@pytest.mark.parametrize(
    ("action", "check", "verdict"),
    [
        ("ecs:DescribeInstances", "instance", Verdict.WARN),
        ("ecs:DescribeDisks", "api", Verdict.FAIL),
        ("ecs:DescribeSnapshots", "snapshots", Verdict.WARN),
        ("ecs:DescribeSnapshotGroups", "snapshots", Verdict.WARN),
    ],
)
def test_read_that_is_denied_is_an_empty_list_which_doctor_explains(
    job: MainJob, action: str, check: str, verdict: Verdict
) -> None:
    assert make_group(job).error is None
    job.simulator.set_policies(ROLE, without(printed(job), action))
    found = diagnose(job.tools, credentials=list, root=True, try_freeze=None)
    said = [one for one in found.findings if one.check == check and one.verdict is verdict]
    assert any(action in one.hint for one in said), found.findings


# --- temporary disks -------------------------------------------------------------------------

RESTORE = (Policy.RESTORE,)
FOREIGN = "i-bp1foreign0000000000"


def disks_of(job: MainJob) -> EcsTemporaryDisks:
    """Return the calls of temporary disks, with the role's keys."""
    return EcsTemporaryDisks(job.tools.connect(job.tools.identify()).caller)


def order(job: MainJob, snapshot_id: str, **changes: Any) -> DiskOrder:
    """Return a disk asked for as it should be."""
    here = job.tools.identify()
    marks = {TEMPORARY_TAG: here.instance_id, RESTORE_TAG: "w3f2"}
    whole = DiskOrder(
        snapshot_id=SnapshotId(snapshot_id),
        choice=DiskChoice(category="cloud_essd", level="PL0", size_gib=100),
        zone=here.zone,
        client_token=f"token-{snapshot_id}-{len(job.simulator.calls)}",
        tags=marks,
    )
    return replace(whole, **changes)


def settle(job: MainJob, disk_id: str, status: str) -> None:
    """Wait until the cloud has done what was asked."""
    for _ in range(500):
        if job.simulator.state.disks[disk_id].status == status:
            return
        job.clock.sleep(0.1)
    raise AssertionError(f"{disk_id} does not come to {status}")


def look_into(job: MainJob) -> None:
    """Make a temporary disk of an own snapshot, attach it, and do away with it."""
    made = make_single(job).snapshots[0].snapshot_id
    disks, here = disks_of(job), job.tools.identify().instance_id
    disk_id = disks.create_disk(order(job, str(made)))
    settle(job, disk_id, "Available")
    disks.attach_disk(disk_id, here)
    settle(job, disk_id, "In_use")
    disks.detach_disk(disk_id, here)
    settle(job, disk_id, "Available")
    assert [one.disk_id for one in disks.disks_by_tag({TEMPORARY_TAG: here})] == [disk_id]
    disks.delete_disk(disk_id)
    assert set(job.simulator.state.disks) == set(DISKS)


@pytest.mark.parametrize(
    "asked", [{}, {"fleet": FLEET}, {"session": True}], ids=["role", "fleet", "session"]
)
def test_printed_policy_with_restore_suffices_for_a_temporary_disks_whole_life(
    job: MainJob, asked: dict[str, Any]
) -> None:
    tag_fleet(job)
    job.simulator.set_policies(ROLE, printed(job, policies=RESTORE, **asked))
    look_into(job)
    assert refused(job) == []


def test_restore_policy_that_is_handed_out_suffices_beside_the_first_one(job: MainJob) -> None:
    _allow(job, "create", "restore")
    look_into(job)
    assert refused(job) == []


@pytest.mark.parametrize(
    "action", ["ecs:CreateDisk", "ecs:AttachDisk", "ecs:DetachDisk", "ecs:DeleteDisk"]
)
def test_temporary_disk_without_an_action_ends_with_five_and_names_it(
    job: MainJob, action: str
) -> None:
    job.simulator.set_policies(ROLE, without(printed(job, policies=RESTORE), action))
    with pytest.raises(PermissionRefused) as caught:
        look_into(job)
    assert caught.value.exit_status is ExitStatus.CREDENTIALS
    assert caught.value.action == action
    assert "snap-self policy --restore" in caught.value.hint


def test_restore_policy_takes_no_disk_away_from_the_instance(job: MainJob) -> None:
    job.simulator.set_policies(ROLE, printed(job, policies=(*RESTORE, Policy.PRUNE, Policy.TAGS)))
    disks, here = disks_of(job), job.tools.identify().instance_id
    (free,) = (job.simulator.add_disk(DiskConfig(disk_id="d-bp1free", size_gib=20)).disk_id,)
    for disk_id in (*DISKS, DiskId(free)):
        for do in (
            lambda one: disks.detach_disk(one, here),
            lambda one: disks.attach_disk(one, here),
            disks.delete_disk,
        ):
            with pytest.raises(PermissionRefused):
                do(disk_id)
    assert set(job.simulator.state.disks) == {*DISKS, free}
    assert all(job.simulator.state.disks[each].instance_ids == [here] for each in DISKS)


def test_restore_policy_leaves_temporary_disks_of_others_alone(job: MainJob) -> None:
    job.simulator.set_policies(ROLE, printed(job, policies=RESTORE))
    disks, here = disks_of(job), job.tools.identify().instance_id
    other = job.simulator.add_disk(DiskConfig(disk_id="d-bp1theirs", size_gib=20))
    other.tags.update({TEMPORARY_TAG: FOREIGN, RESTORE_TAG: "w3f2"})
    with pytest.raises(PermissionRefused):
        disks.attach_disk(DiskId(other.disk_id), here)
    with pytest.raises(PermissionRefused):
        disks.delete_disk(DiskId(other.disk_id))
    assert other.disk_id in job.simulator.state.disks


def test_restore_policy_makes_no_disk_of_a_snapshot_that_is_not_own(job: MainJob) -> None:
    job.simulator.set_policies(ROLE, printed(job, policies=RESTORE))
    foreign = job.simulator.add_snapshots(DISKS[0], 1, tags={OWNER_TAG: FOREIGN})
    bare = job.simulator.add_snapshots(DISKS[0], 1, tags={})
    for name in (*foreign, *bare):
        with pytest.raises(PermissionRefused):
            disks_of(job).create_disk(order(job, name))
    assert set(job.simulator.state.disks) == set(DISKS)


@pytest.mark.parametrize("tags", [{}, {TEMPORARY_TAG: FOREIGN}, {RESTORE_TAG: "w3f2"}])
def test_restore_policy_makes_no_disk_without_its_mark(job: MainJob, tags: dict[str, str]) -> None:
    job.simulator.set_policies(ROLE, printed(job, policies=RESTORE))
    made = str(make_single(job).snapshots[0].snapshot_id)
    with pytest.raises(PermissionRefused):
        disks_of(job).create_disk(order(job, made, tags=tags))
    assert set(job.simulator.state.disks) == set(DISKS)


def test_restore_policy_lets_no_disk_be_marked_even_beside_a_policy_that_would(
    job: MainJob,
) -> None:
    wide = {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}
    statements = [*printed(job, policies=RESTORE)["Statement"], wide]
    job.simulator.set_policies(ROLE, {"Version": "1", "Statement": statements})
    caller = job.tools.connect(job.tools.identify()).caller
    mark = {"Tag.1.Key": TEMPORARY_TAG, "Tag.1.Value": "i-x"}
    params = {"ResourceType": "disk", "ResourceId.1": DISKS[1], **mark}
    with pytest.raises(PermissionRefused):
        caller.call("TagResources", params, deadline_s=None)
    assert TEMPORARY_TAG not in job.simulator.state.disks[DISKS[1]].tags


def test_what_is_on_sale_may_be_asked_with_the_restore_policy_alone(job: MainJob) -> None:
    here, disks = job.tools.identify(), disks_of(job)
    policy = printed(job, policies=RESTORE)
    job.simulator.set_policies(ROLE, policy)
    asked = {"zone": here.zone, "instance_type": here.instance_type}
    assert "cloud_essd" in [one.category for one in disks.on_sale(**asked)]
    for narrower in (printed(job), without(policy, "ecs:DescribeAvailableResource")):
        job.simulator.set_policies(ROLE, narrower)
        assert disks.on_sale(**asked) == ()


def test_every_action_of_the_table_is_taken_away_above() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    # Those of OOS are taken away where a rollback is tried, now or later.
    others = ("test_rollback_oos.py", "test_confirm_within.py")
    there = "".join(Path(__file__).with_name(name).read_text("utf-8") for name in others)
    names = [action.ram_action for action in ACTIONS.values()]
    assert [name for name in names if f'"{name}"' not in here + there] == []
