"""The create calls: what is sent once and never again, and what is found of an interrupted run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc, Outcome, refusal
from fakes.taken import snapshot_of
from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudThrottled, DiskNotReady, PermissionRefused
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, RunId, SnapshotId
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import SnapshotOrder
from snap_self.usecases.job.create import Made, adopt, make

ME = InstanceId("i-bp1iiiijjjjkkkkllllm")
RUN = RunId("20261122t083225z-000001")
DISKS = tuple(DiskId(f"d-{letter}") for letter in "abc")
BUSY_DISK = refusal("IncorrectDiskStatus.CreatingSnapshot")
NO_GROUP_HERE = refusal("InvalidRegion.NotSupport")
DENIED = refusal("Forbidden.RAM")


def single(disk: DiskId = DISKS[0], **known: Any) -> OrderRecord:
    """Return the order of one disk's snapshot."""
    return OrderRecord(order=order(disk), sent=True, **known)


def group(*disks: DiskId, **known: Any) -> OrderRecord:
    """Return the order of a group."""
    return OrderRecord(order=order(*disks, grouped=True), sent=True, **known)


def order(*disks: DiskId, grouped: bool = False) -> SnapshotOrder:
    """Return what the cloud is asked for."""
    return SnapshotOrder(
        disk_ids=disks,
        grouped=grouped,
        name="before-os-upgrade",
        description="",
        tags={},
        retention_days=None,
        client_token=f"token-{'-'.join(disks)}",
    )


class Cloud:
    """Answers a create as the test has it for the disk, and shows what it is given.

    Args:
        refused: the outcome of a disk's create instead of a snapshot.
        shots, groups: what is there.
    """

    def __init__(
        self,
        *,
        refused: Mapping[str, Outcome] | None = None,
        shots: list[dict[str, Any]] | None = None,
        groups: list[dict[str, Any]] | None = None,
    ) -> None:
        self.refused = refused or {}
        self.shots, self.groups = shots or [], groups or []
        self.clock = FakeClock()
        self.rpc = FakeRpc(answering=self._answer)
        self.client = EcsClient(
            self.rpc,
            region=RegionId("cn-hangzhou"),
            credentials=lambda _force: KEYS,
            clock=self.clock,
            random=lambda: 0.5,
        )

    @property
    def actions(self) -> list[str]:
        """Return what was called."""
        return [call.action for call in self.rpc.calls]

    @property
    def tokens(self) -> list[str]:
        """Return the client token of each create."""
        return [c.params["ClientToken"] for c in self.rpc.calls if "ClientToken" in c.params]

    def make(self, *records: OrderRecord, hurried: bool = False) -> Made:
        """Send the orders."""
        return make(self.client, records, instance_id=ME, deadline_s=100.0, hurried=hurried)

    def adopt(self, *records: OrderRecord) -> tuple[OrderRecord, ...]:
        """Look for what became of the orders."""
        return adopt(self.client, RUN, records)

    def _answer(self, action: str, params: Mapping[str, str]) -> Outcome:
        if action == "DescribeSnapshots":
            return {"Snapshots": {"Snapshot": self.shots}}
        if action == "DescribeSnapshotGroups":
            return {"SnapshotGroups": {"SnapshotGroup": self.groups}}
        disk = params.get("DiskId") or params["DiskId.1"]
        if disk in self.refused:
            return self.refused[disk]
        name = disk.removeprefix("d-")
        if action == "CreateSnapshot":
            return {"RequestId": "R", "SnapshotId": f"s-{name}"}
        return {"RequestId": "R", "SnapshotGroupId": f"ssg-{name}"}


def shown_group(group_id: str, *disks: str) -> dict[str, Any]:
    """Return a group as the cloud shows it."""
    members = [{"SnapshotId": f"s-{d}", "SourceDiskId": d, "Progress": "1%"} for d in disks]
    return {
        "SnapshotGroupId": group_id,
        "InstanceId": ME,
        "Status": "progressing",
        "Snapshots": {"Snapshot": members},
        "Tags": {"Tag": []},
    }


def test_what_is_made_is_never_asked_for_again() -> None:
    cloud = Cloud()
    made = single(snapshot_ids={DISKS[0]: SnapshotId("s-old")}, error="kept")
    whole = group(*DISKS[:2], group_id=GroupId("ssg-old"))
    assert cloud.make(made, whole) == Made(records=(made, whole), errors=())
    assert cloud.make(made) == Made(records=(made,), errors=())
    assert cloud.actions == []


def test_group_and_single_orders_are_noted_in_their_order() -> None:
    cloud = Cloud()
    first, second = cloud.make(group(*DISKS[:2]), single(DISKS[2])).records
    assert (first.group_id, first.snapshot_ids) == ("ssg-a", {})
    assert (second.group_id, second.snapshot_ids) == (None, {DISKS[2]: "s-c"})


@pytest.mark.parametrize("before", [single(), group(*DISKS[:2])])
def test_error_of_an_earlier_try_ends_with_what_is_made(before: OrderRecord) -> None:
    (record,) = Cloud().make(replace(before, error="refused once")).records
    assert record.is_made
    assert record.error == ""


def test_refused_order_takes_none_of_the_others_with_it() -> None:
    cloud = Cloud(refused={"d-a": BUSY_DISK, "d-c": DENIED})
    made = cloud.make(*map(single, DISKS))
    assert [record.is_made for record in made.records] == [False, True, False]
    assert [type(error) for error in made.errors] == [DiskNotReady, PermissionRefused]
    assert [record.error for record in made.records] == [
        made.errors[0].told,
        "",
        made.errors[1].told,
    ]
    assert "request id REQ-1" in made.records[0].error


def test_order_keeps_its_token_through_retries_and_runs() -> None:
    cloud = Cloud(refused={"d-a": refusal("ServiceUnavailable", 503)})
    (failed,) = cloud.make(single()).records
    cloud.make(failed)
    assert len(cloud.tokens) > 2
    assert set(cloud.tokens) == {"token-d-a"}


def test_hurried_order_is_given_up_at_once_when_throttled() -> None:
    cloud = Cloud(refused={"d-a": refusal("Throttling.User", 400)})
    made = cloud.make(single(), hurried=True)
    assert isinstance(made.errors[0], CloudThrottled)
    assert (cloud.actions, cloud.clock.sleeps) == (["CreateSnapshot"], [])


@pytest.mark.parametrize("before", [single(), group(*DISKS[:2])])
def test_hurry_is_told_to_either_kind_of_order(before: OrderRecord) -> None:
    busy = refusal("Throttling.User", 400)
    patient, hurried = Cloud(refused={"d-a": busy}), Cloud(refused={"d-a": busy})
    patient.make(before)
    hurried.make(before, hurried=True)
    assert (len(patient.actions) > 1, len(hurried.actions)) == (True, 1)


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ({}, False),
        ({"d-a": NO_GROUP_HERE}, True),
        ({"d-a": NO_GROUP_HERE, "d-c": NO_GROUP_HERE}, True),
        ({"d-a": NO_GROUP_HERE, "d-c": DENIED}, False),
        ({"d-a": DENIED}, False),
        ({"d-a": BUSY_DISK}, False),
    ],
)
def test_group_is_refused_only_where_nothing_else_is_wrong(
    refused: Mapping[str, Outcome], expected: bool
) -> None:
    made = Cloud(refused=refused).make(group(*DISKS[:2]), group(DISKS[2]))
    assert made.group_refused is expected


def test_code_that_only_a_group_may_have_is_no_refused_group_in_a_single_order() -> None:
    category = {"d-a": refusal("DiskCategory.OperationNotSupported")}
    assert Cloud(refused=category).make(group(*DISKS[:2])).group_refused
    assert not Cloud(refused=category).make(single()).group_refused


def test_nothing_is_looked_for_where_all_is_known() -> None:
    cloud = Cloud(shots=[snapshot_of("d-a")])
    made = single(snapshot_ids={DISKS[0]: SnapshotId("s-known")})
    assert cloud.adopt(made) == (made,)
    assert cloud.actions == []


@pytest.mark.parametrize(
    ("lost", "asked"),
    [(single(), "DescribeSnapshots"), (group(*DISKS[:2]), "DescribeSnapshotGroups")],
)
def test_only_the_kind_that_is_not_known_is_looked_for_by_the_runs_tag(
    lost: OrderRecord, asked: str
) -> None:
    cloud = Cloud()
    known = (
        single(DISKS[2], snapshot_ids={DISKS[2]: SnapshotId("s-known")}),
        group(DISKS[1], group_id=GroupId("ssg-known")),
    )
    assert cloud.adopt(lost, *known) == (lost, *known)
    assert cloud.actions == [asked]
    params = cloud.rpc.calls[0].params
    assert (params["Tag.1.Key"], params["Tag.1.Value"]) == ("snap-self-run", RUN)


def test_single_that_is_there_is_adopted_for_its_own_disk_alone() -> None:
    cloud = Cloud(shots=[snapshot_of("d-a"), snapshot_of("d-c")])
    first, second = cloud.adopt(single(DISKS[0]), single(DISKS[1]))
    assert first.snapshot_ids == {DISKS[0]: "s-a"}
    assert not second.is_made


def test_known_snapshot_is_not_exchanged_for_one_that_is_shown() -> None:
    cloud = Cloud(shots=[snapshot_of("d-a"), snapshot_of("d-b")])
    known = single(DISKS[0], snapshot_ids={DISKS[0]: SnapshotId("s-known")})
    first, second = cloud.adopt(known, single(DISKS[1]))
    assert first is known
    assert second.snapshot_ids == {DISKS[1]: "s-b"}


@pytest.mark.parametrize(
    ("members", "adopted"),
    [
        (("d-a", "d-b"), True),
        (("d-a",), True),  # the cloud left the other one out
        ((), False),  # too young to tell
        (("d-a", "d-c"), False),
        (("d-a", "d-b", "d-c"), False),
    ],
)
def test_group_is_adopted_by_its_members(members: tuple[str, ...], adopted: bool) -> None:
    cloud = Cloud(groups=[shown_group("ssg-1", *members)])
    (record,) = cloud.adopt(group(*DISKS[:2]))
    assert record.group_id == ("ssg-1" if adopted else None)


def test_each_group_is_adopted_by_the_order_it_belongs_to() -> None:
    cloud = Cloud(groups=[shown_group("ssg-c", "d-c"), shown_group("ssg-ab", "d-b")])
    first, second = cloud.adopt(group(*DISKS[:2]), group(DISKS[2]))
    assert (first.group_id, second.group_id) == ("ssg-ab", "ssg-c")
