"""What the codes of temporary disks mean, and which calls are made for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc, no_answer, refusal
from snap_self import errors
from snap_self.cloud.client import EcsClient
from snap_self.cloud.codes import DISK_CALLS, find
from snap_self.cloud.disk_codes import DISK_ACTIONS
from snap_self.cloud.faults import explain
from snap_self.cloud.retry import Trouble, classify
from snap_self.cloud.temporary_disks import EcsTemporaryDisks
from snap_self.model.actions import ACTIONS, Holder, Policy
from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.snapshots import Credentials
from snap_self.ports import Rpc, RpcFailed

DISK, INSTANCE = DiskId("d-1"), InstanceId("i-1")
ORDER = DiskOrder(
    snapshot_id=SnapshotId("s-1"),
    choice=DiskChoice(category="cloud_essd", level="PL0", size_gib=40),
    zone="cn-x-a",
    client_token="token",
    name="snap-self-restore",
    tags={"b": "2", "a": "1"},
)
# The codes of each page that a call as it is made here can meet. Source: ECS API reference.
PAGES = {
    "CreateDisk": (
        *("InvalidDiskCategory.NotSupported", "InvalidDiskCategory.ValueNotSupported"),
        *("InvalidDiskSize.TooSmall", "InvalidDiskSize.NotSupported", "Zone.NotOnSale"),
        *("InvalidSnapshotId.NotFound", "InvalidSnapshotId.NotReady", "InvalidSnapshot.NotReady"),
        *("InvalidSnapshotId.NotDataDiskSnapshot", "OperationDenied"),
        *("OperationDenied.SnapshotNotAllowed", "QuotaExceed.PortableCloudDisk"),
        *("QuotaExceed.PostPaidDisk", "QuotaExceeded.PostpaidDataDiskCapacity"),
        *("InvalidOperation.CreateFromSnapshotUnsupported", "IdempotentParameterMismatch"),
        *("LastTokenProcessing", "InvalidAccountStatus.NotEnoughBalance"),
        *("InvalidParameter.KMSKeyId.NotFound", "InvalidParameter.KMSKeyId.CMKNotEnabled"),
        *("InvalidParameter.KMSKeyId.CMKUnauthorized", "InvalidParameter.Encrypted"),
    ),
    "AttachDisk": (
        *("IncorrectInstanceStatus", "InvalidOperation.InstanceTypeNotSupport"),
        *("OperationConflict.DisksAttachingParallellyExceed", "InstanceDiskLimitExceeded"),
        *("IncorrectDiskStatus", "DiskNotPortable", "ResourcesNotInSameZone"),
        *("InvalidInstanceType.NvmeRequired", "InvalidInstanceType.NvmeUnsupported"),
        *("InvalidInstanceType.NotSupportDiskCategory", "InvalidDiskId.NotFound"),
        *("InvalidOperation.DiskQueueNumberNotEnough", "InvalidDisk.InUse"),
        *("InvalidOperation.Conflict", "InstanceLockedForSecurity", "InvalidInstanceId.NotFound"),
    ),
    "DetachDisk": (
        *("DisksDetachingOnEcsExceeded", "IncorrectDiskStatus", "DiskTypeViolation"),
        *("DiskNotPortable", "InvalidOperation.DiskDetachingFromThisEcs"),
        *("InvalidOperation.InstanceTypeNotSupport", "IncorrectInstanceStatus"),
    ),
    "DeleteDisk": (
        *("DiskCreatingSnapshot", "DiskStillAttached", "IncorrectDiskStatus"),
        *("IncorrectDiskStatus.Initializing", "DiskTypeViolation"),
        *("InvalidDiskStatus.DeleteProtection", "InvalidDiskId.NotFound"),
    ),
    "ResetDisk": (
        *("IncorrectDiskStatus", "IncorrectInstanceStatus", "InvalidDiskId.NotFound"),
        *("InvalidSnapshotId.NotFound", "InvalidSnapshotId.NotReady", "InvalidParameter.Mismatch"),
        "InstanceLockedForSecurity",
    ),
}
ON_A_PAGE = [(action, code) for action, codes in PAGES.items() for code in codes]


class ByAction:
    """Gives each call of an action the same answer."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.actions: list[str] = []

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        self.actions.append(action)
        answer = self._answers[action]
        if isinstance(answer, RpcFailed):
            raise answer
        return dict(answer)


def disks(rpc: Rpc, clock: FakeClock | None = None) -> EcsTemporaryDisks:
    client = EcsClient(
        rpc,
        region=RegionId("cn-x"),
        credentials=lambda _force: KEYS,
        clock=clock or FakeClock(),
        random=lambda: 0.5,
    )
    return EcsTemporaryDisks(client.caller)


def explained(code: str, action: str) -> errors.SnapSelfError:
    return explain(
        refusal(code),
        action=action,
        trouble=classify(refusal(code)),
        maybe_done=False,
        about=(DISK,),
        holder=Holder(region="cn-x", account="42", instance_id=INSTANCE),
    )


RIGHTS = (Policy.RESTORE, Policy.ONLINE)


def test_table_of_disks_is_looked_into_for_every_call_that_changes_one() -> None:
    assert set(DISK_CALLS) == set(DISK_ACTIONS)
    changing = {name for name, each in ACTIONS.items() if each.policy in RIGHTS}
    assert changing - set(DISK_CALLS) == {"DescribeAvailableResource"}


@pytest.mark.parametrize(("action", "code"), ON_A_PAGE)
def test_code_that_stands_on_the_page_is_explained(action: str, code: str) -> None:
    assert find(code, action) is not None
    error = explained(code, action)
    assert error.message
    assert error.hint
    assert "snapshots of it" not in error.message  # that is what others' calls are about


@pytest.mark.parametrize("action", DISK_ACTIONS)
def test_every_row_says_what_and_what_to_do(action: str) -> None:
    for code in DISK_ACTIONS[action]:
        error = explained(code.replace("*", ".Any"), action)
        assert error.message
        assert error.hint
        assert "{" not in error.message + error.hint


@pytest.mark.parametrize("action", DISK_ACTIONS)
def test_want_of_permission_names_what_the_policy_must_allow_and_on_what(action: str) -> None:
    error = explained("Forbidden.RAM", action)
    assert isinstance(error, errors.PermissionRefused)
    assert error.action == f"ecs:{action}"
    assert f"ecs:{action} on " in error.hint
    if action == "ResetDisk":
        assert "snap-self policy --online" in error.hint
        assert "snapshot/*, where it is tagged snap-self-owner=i-1" in error.hint
        return
    marked = "disk/*, where it is"
    assert f"acs:ecs:cn-x:42:{marked}" in error.hint
    assert "tagged snap-self-temp=i-1" in error.hint
    own = "snapshot/*, where it is tagged snap-self-owner=i-1"
    assert (own in error.hint) is (action == "CreateDisk")


def test_want_of_room_of_one_category_is_no_want_of_room_for_disks() -> None:
    kinds = {
        code: type(explained(code, "CreateDisk"))
        for code in ("QuotaExceeded.PostpaidDataDiskCapacity", "QuotaExceed.PostPaidDisk")
    }
    assert list(kinds.values()) == [errors.DiskCategoryRefused, errors.QuotaReached]


def test_order_when_sent_then_the_whole_of_it_is_and_nothing_else() -> None:
    rpc = FakeRpc({"DiskId": "d-new"})
    assert disks(rpc).create_disk(ORDER) == "d-new"
    assert rpc.calls[0].params == {
        "RegionId": "cn-x",
        "ZoneId": "cn-x-a",
        "SnapshotId": "s-1",
        "Size": "40",
        "DiskCategory": "cloud_essd",
        "PerformanceLevel": "PL0",
        "DiskName": "snap-self-restore",
        "ClientToken": "token",
        "Tag.1.Key": "a",
        "Tag.1.Value": "1",
        "Tag.2.Key": "b",
        "Tag.2.Value": "2",
    }


def test_disk_of_several_zones_names_none() -> None:
    rpc = FakeRpc({"DiskId": "d-new"})
    choice = DiskChoice(category="cloud_regional_disk_auto", size_gib=40)
    several = DiskOrder(snapshot_id=ORDER.snapshot_id, choice=choice, zone="z", client_token="t")
    disks(rpc).create_disk(several)
    assert "ZoneId" not in rpc.calls[0].params


@pytest.mark.parametrize(
    "trouble",
    [no_answer(), no_answer(status=502), refusal("InternalError", 500),
     refusal("LastTokenProcessing"), refusal("Throttling", 400), refusal("OperationConflict", 409)],
    ids=lambda failure: failure.code or str(failure.http_status),
)  # fmt: skip
def test_order_when_it_can_be_repeated_then_the_very_same_call_is_made(trouble: Any) -> None:
    rpc = FakeRpc(trouble, trouble, {"DiskId": "d-new"})
    assert disks(rpc).create_disk(ORDER, deadline_s=300) == "d-new"
    assert [call.params for call in rpc.calls] == [rpc.calls[0].params] * 3


BUSY = "OperationConflict.DisksAttachingParallellyExceed"


@pytest.mark.parametrize("code", ["InvalidDisk.InUse", "IncorrectDiskStatus", BUSY])
@pytest.mark.parametrize(
    ("seen", "good"),
    [
        ({"Status": "In_use", "InstanceId": INSTANCE}, True),
        ({"Status": "Attaching"}, True),
        ({"Status": "Attaching", "InstanceId": INSTANCE}, True),
        ({"Status": "Attaching", "InstanceId": "i-other"}, False),
        ({"Status": "Detaching", "InstanceId": INSTANCE}, False),
        ({"Status": "In_use", "InstanceId": "i-other"}, False),
        ({"Status": "Available"}, False),
        (None, False),
    ],
)
def test_attach_when_refused_for_the_disks_state_then_what_is_seen_of_it_counts(
    code: str, seen: dict[str, str] | None, good: bool
) -> None:
    shown = [] if seen is None else [{"DiskId": DISK, **seen}]
    answers = {"AttachDisk": refusal(code), "DescribeDisks": {"Disks": {"Disk": shown}}}
    rpc = ByAction(answers)
    if good:
        disks(rpc).attach_disk(DISK, INSTANCE, deadline_s=20)
    else:
        with pytest.raises(errors.CloudRefused) as caught:
            disks(rpc).attach_disk(DISK, INSTANCE, deadline_s=20)
        assert caught.value.api_code == code
    assert rpc.actions[-1] == "DescribeDisks"
    assert (rpc.actions.count("AttachDisk") > 1) is (code == BUSY)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("InvalidDisk.AlreadyDetached", False),
        ("DependencyViolation", False),
        ("InvalidDiskId.NotFound", False),
        ("InvalidOperation.DiskDetachingFromThisEcs", True),
    ],
)
def test_detach_when_refused_then_tells_whether_anything_is_being_detached(
    code: str, outcome: bool
) -> None:
    assert disks(FakeRpc(refusal(code))).detach_disk(DISK, INSTANCE) is outcome


@pytest.mark.parametrize("code", ["IncorrectDiskStatus", "DisksDetachingOnEcsExceeded"])
@pytest.mark.parametrize(("status", "good"), [("Detaching", True), ("Attaching", False)])
def test_detach_when_refused_for_the_disks_state_then_what_is_seen_of_it_counts(
    code: str, status: str, good: bool
) -> None:
    shown = {"Disks": {"Disk": [{"DiskId": DISK, "Status": status}]}}
    rpc = ByAction({"DetachDisk": refusal(code), "DescribeDisks": shown})
    if good:
        assert disks(rpc).detach_disk(DISK, INSTANCE, deadline_s=20)
    else:
        with pytest.raises(errors.CloudRefused) as caught:
            disks(rpc).detach_disk(DISK, INSTANCE, deadline_s=20)
        assert caught.value.api_code == code


def test_attach_when_the_disk_cannot_be_looked_at_then_the_refusal_is_told() -> None:
    rpc = ByAction({"AttachDisk": refusal("InvalidDisk.InUse"), "DescribeDisks": no_answer()})
    with pytest.raises(errors.CloudRefused, match="another instance"):
        disks(rpc).attach_disk(DISK, INSTANCE, deadline_s=20)


def test_disks_by_tag_when_the_cloud_shows_others_too_then_they_are_left_out() -> None:
    tag = {"TagKey": "snap-self-temp", "TagValue": "i-1"}
    shown = [{"DiskId": "d-1", "Tags": {"Tag": [tag]}}, {"DiskId": "d-own"}]
    rpc = FakeRpc({"Disks": {"Disk": shown}})
    (found,) = disks(rpc).disks_by_tag({"snap-self-temp": "i-1"})
    assert found.disk_id == "d-1"


def test_what_is_on_sale_is_only_advice_and_not_waited_for() -> None:
    clock = FakeClock()
    rpc = FakeRpc(refusal("Throttling"))
    with pytest.raises(errors.CloudThrottled):
        disks(rpc, clock).on_sale(zone="cn-x-a", instance_type="ecs.g6.large")
    assert clock.sleeps == []
    assert (
        rpc.calls[0].params.items()
        >= {
            "DestinationResource": "DataDisk",
            "ZoneId": "cn-x-a",
            "InstanceType": "ecs.g6.large",
        }.items()
    )


def test_young_disk_when_permission_comes_late_then_is_asked_for_until_then() -> None:
    clock = FakeClock()
    rpc = FakeRpc(*[refusal("Forbidden.RAM")] * 4, {})
    disks(rpc, clock).attach_disk(DISK, INSTANCE, young_s=30)
    assert sum(clock.sleeps) == 8.0


def test_young_disk_when_the_deadline_comes_first_then_is_not_waited_for_longer() -> None:
    clock = FakeClock()
    rpc = FakeRpc(*[refusal("Forbidden.RAM")] * 40)
    with pytest.raises(errors.PermissionRefused):
        disks(rpc, clock).delete_disk(DISK, young_s=30, deadline_s=5)
    assert sum(clock.sleeps) <= 5


def test_trouble_of_one_disk_after_the_other_is_waited_out() -> None:
    for code in ("OperationConflict.DisksAttachingParallellyExceed", "DisksDetachingOnEcsExceeded"):
        assert classify(refusal(code)) is Trouble.BUSY
