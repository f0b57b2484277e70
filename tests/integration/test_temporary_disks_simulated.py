"""A temporary disk's calls against the simulated ECS: one disk, or a clear error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator import DiskConfig, Fault, InstanceConfig, Simulator, SimulatorConfig, Throttle
from fakes.clock import FakeClock
from fakes.instance_role import RoleKeys
from snap_self import errors
from snap_self.cloud.client import EcsClient
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.cloud.temporary_disks import EcsTemporaryDisks
from snap_self.model.disk_orders import DiskChoice, DiskOrder, OnSale
from snap_self.model.disks import DiskKind
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG, Credentials
from snap_self.ports import Rpc
from snap_self.recovery.temporary.choosing import choices

INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
OWN = DiskId("d-bp1aaaabbbbccccdddde")
ZONE = "cn-hangzhou-i"
CONFIG = SimulatorConfig(
    instances=(InstanceConfig(instance_id=INSTANCE, disks=(DiskConfig(disk_id=OWN),)),)
)
SHORT_S = 0.4
# How often a call without an answer is made.
MOST_TRIES = 7
TAGS = {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "w3f2"}
PL0 = DiskChoice(category="cloud_essd", level="PL0", size_gib=40)


class Hasty:
    """Allows each call little time, so that a hung one is soon over."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        return self._rpc.call(
            action, params, timeout_s=min(timeout_s, SHORT_S), credentials=credentials
        )


class Rig:
    """The simulated cloud with a snapshot of the instance's one disk, and a client of it."""

    def __init__(self, simulator: Simulator) -> None:
        self.cloud = simulator
        self.clock = FakeClock(on_sleep=self._go_on)
        self.meanwhile: Callable[[], object] = bool
        self._rpc = SdkRpc(parse_override(simulator.ecs_url), region="cn-hangzhou")
        (name,) = simulator.add_snapshots(OWN, 1, tags={"snap-self-owner": INSTANCE})
        self.snapshot = SnapshotId(name)
        self.disks = self.client()

    def client(self, wrap: Callable[[Rpc], Rpc] = lambda rpc: rpc) -> EcsTemporaryDisks:
        """Return a client of its own."""
        ecs = EcsClient(
            wrap(self._rpc),
            region=RegionId("cn-hangzhou"),
            credentials=RoleKeys(self.cloud),
            clock=self.clock,
            random=lambda: 0.5,
        )
        return EcsTemporaryDisks(ecs.caller)

    def _go_on(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.05))
        self.meanwhile()

    @property
    def instance_type(self) -> str:
        return self.cloud.cloud.own_instance.instance_type

    def close(self) -> None:
        """Close its connections."""
        self._rpc.close()

    def order(self, choice: DiskChoice = PL0, token: str = "w3f2-0") -> DiskOrder:
        return DiskOrder(
            snapshot_id=self.snapshot, choice=choice, zone=ZONE, client_token=token, tags=TAGS
        )

    def settle(self, disk_id: DiskId, status: str) -> None:
        """Wait for a status."""
        for _ in range(500):
            if self.status(disk_id) == status:
                return
            time.sleep(0.01)
        raise AssertionError(f"{disk_id} is {self.status(disk_id)}, not {status}")

    def status(self, disk_id: DiskId) -> str:
        return self.cloud.state.disks[disk_id].status

    def made(self, choice: DiskChoice = PL0) -> DiskId:
        """Return a disk that can be attached."""
        disk_id = self.disks.create_disk(self.order(choice))
        self.settle(disk_id, "Available")
        return disk_id

    def attached(self) -> DiskId:
        """Return a disk that is attached."""
        disk_id = self.made()
        self.disks.attach_disk(disk_id, INSTANCE)
        self.settle(disk_id, "In_use")
        return disk_id

    def detached(self) -> DiskId:
        """Return a disk that can be deleted."""
        disk_id = self.attached()
        assert self.disks.detach_disk(disk_id, INSTANCE)
        self.settle(disk_id, "Available")
        return disk_id

    def new(self) -> list[str]:
        """Return the disks that are not the instance's own."""
        return [name for name in self.cloud.state.disks if name != OWN]

    def asked(self, action: str) -> list[Mapping[str, str]]:
        """Return the parameters of each call."""
        return [call.params for call in self.cloud.calls if call.action == action]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Simulator(CONFIG) as simulator:
        one = Rig(simulator)
        yield one
        one.close()


def test_disk_when_made_then_is_marked_and_asks_for_no_key_of_its_own(rig: Rig) -> None:
    disk_id = rig.made()
    (asked,) = rig.asked("CreateDisk")
    assert (
        asked.items()
        >= {
            "SnapshotId": rig.snapshot,
            "Size": "40",
            "DiskCategory": "cloud_essd",
            "PerformanceLevel": "PL0",
            "ZoneId": ZONE,
            "ClientToken": "w3f2-0",
        }.items()
    )
    absent = {"Encrypted", "KMSKeyId", "InstanceId", "BurstingEnabled", "MultiAttach"}
    assert absent.isdisjoint(asked)
    assert rig.cloud.state.disks[disk_id].tags == TAGS


def test_disk_when_seen_then_all_that_its_life_hangs_on_is_told(rig: Rig) -> None:
    disk_id = rig.attached()
    seen = rig.disks.disk(disk_id)
    assert seen is not None
    assert (seen.kind, seen.status, seen.attached_to) == (
        DiskKind.DATA,
        "In_use",
        frozenset({INSTANCE}),
    )
    assert (seen.tags, seen.snapshot_id, seen.level) == (TAGS, rig.snapshot, "PL0")
    assert seen.delete_with_instance is True
    assert seen.serial


def test_bursts_when_the_category_has_them_then_are_not_paid_for(rig: Rig) -> None:
    rig.made(DiskChoice(category="cloud_auto", size_gib=40))
    (asked,) = rig.asked("CreateDisk")
    assert asked["BurstingEnabled"] == "false"
    assert "PerformanceLevel" not in asked


def test_whole_life_when_nothing_goes_wrong_then_leaves_nothing(rig: Rig) -> None:
    disk_id = rig.detached()
    rig.disks.delete_disk(disk_id)
    assert rig.new() == []
    assert rig.disks.disk(disk_id) is None
    assert {params["DeleteWithInstance"] for params in rig.asked("AttachDisk")} == {"true"}


def act(action: str, rig: Rig, disks: EcsTemporaryDisks) -> Callable[[], object]:
    """Bring a disk to where an action begins; return what does it."""
    if action == "CreateDisk":
        return lambda: disks.create_disk(rig.order())
    if action == "AttachDisk":
        disk_id = rig.made()
        return lambda: disks.attach_disk(disk_id, INSTANCE)
    if action == "DetachDisk":
        disk_id = rig.attached()
        return lambda: disks.detach_disk(disk_id, INSTANCE)
    disk_id = rig.detached()
    return lambda: disks.delete_disk(disk_id)


def check_done(action: str, rig: Rig) -> None:
    """Tell whether the action was done, once."""
    if action == "DeleteDisk":
        assert rig.new() == []
        return
    (name,) = rig.new()
    rig.settle(DiskId(name), "In_use" if action == "AttachDisk" else "Available")
    disk = rig.cloud.state.disks[name]
    assert disk.instance_ids == ([INSTANCE] if action == "AttachDisk" else [])
    assert disk.delete_with_instance or action != "AttachDisk"


ACTIONS = ("CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk")
TROUBLE = [
    Fault(kind="lost_reply"),
    Fault(kind="lost_reply", count=3),
    Fault(kind="reset"),
    Fault(kind="reset", when="after"),
    Fault(kind="html_502"),
    Fault(kind="html_502", when="after"),
    Fault(kind="empty_body"),
    Fault(kind="not_json"),
    Fault(kind="truncated"),
    Fault(kind="error:InternalError:500", when="after"),
    Fault(kind="error:ServiceUnavailable:503"),
    Fault(kind="error:OperationConflict:409"),
    Fault(kind="error:OperationConflict.DisksAttachingParallellyExceed:400", count=2),
    Fault(kind="error:InvalidOperation.Conflict:403"),
]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "fault", TROUBLE, ids=lambda f: f"{f.kind}-{f.when or 'as-usual'}-{f.count}"
)
def test_action_when_a_call_goes_wrong_then_is_done_once(
    rig: Rig, action: str, fault: Fault
) -> None:
    do = act(action, rig, rig.disks)
    rig.cloud.inject(replace(fault, action=action))
    do()
    check_done(action, rig)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_action_when_a_call_hangs_then_is_done_once(rig: Rig, action: str, when: str) -> None:
    do = act(action, rig, rig.client(Hasty))
    rig.cloud.inject(Fault(kind="hang", action=action, when=when, seconds=30))
    do()
    check_done(action, rig)


@pytest.mark.parametrize("action", ACTIONS)
def test_action_when_throttled_then_waits_for_the_window(rig: Rig, action: str) -> None:
    do = act(action, rig, rig.disks)
    offset = -(rig.cloud.clock.now() % 60) + 5
    rig.cloud.set_clock_offset(offset)
    slept = len(rig.clock.sleeps)
    rig.meanwhile = lambda: rig.cloud.set_clock_offset(offset + sum(rig.clock.sleeps[slept:]))
    rig.cloud.set_throttles(Throttle(limit=1, action=action))
    do()
    do()
    check_done(action, rig)
    assert sum(rig.clock.sleeps[slept:]) > 30


@pytest.mark.parametrize("action", ACTIONS)
def test_action_when_no_answer_ever_comes_then_the_error_leaves_it_open(
    rig: Rig, action: str
) -> None:
    do = act(action, rig, rig.disks)
    rig.cloud.inject(Fault(kind="lost_reply", action=action, count=MOST_TRIES))
    with pytest.raises(errors.CloudUnreachable) as caught:
        do()
    assert caught.value.maybe_done
    do()
    check_done(action, rig)


@pytest.mark.parametrize("action", ACTIONS)
def test_action_when_the_role_may_not_then_names_action_and_policy(rig: Rig, action: str) -> None:
    do = act(action, rig, rig.disks)
    rig.cloud.set_policies("SnapSelfRole", {"Version": "1", "Statement": []})
    with pytest.raises(errors.PermissionRefused) as caught:
        do()
    assert caught.value.exit_status is errors.ExitStatus.CREDENTIALS
    assert caught.value.action == f"ecs:{action}"
    assert "snap-self-restore" in caught.value.hint
    assert "snap-self policy --restore" in caught.value.hint


@pytest.mark.parametrize("action", ["AttachDisk", "DetachDisk"])
def test_action_when_its_answer_is_lost_and_lists_are_late_then_is_done_once(
    rig: Rig, action: str
) -> None:
    do = act(action, rig, rig.disks)
    rig.cloud.set_sight_lag(1.0)
    rig.cloud.inject(Fault(kind="lost_reply", action=action))
    do()
    check_done(action, rig)


def test_attach_when_refused_without_a_lost_answer_then_is_looked_at_once(rig: Rig) -> None:
    disk_id = rig.made()
    disk = rig.cloud.state.disks[disk_id]
    disk.status, disk.instance_ids = "In_use", ["i-other"]
    with pytest.raises(errors.CloudRefused, match="another instance"):
        rig.disks.attach_disk(disk_id, INSTANCE)
    assert len(rig.asked("DescribeDisks")) == 1
    assert rig.clock.sleeps == []


def test_attach_when_another_instance_gets_the_disk_meanwhile_then_is_refused_in_time(
    rig: Rig,
) -> None:
    disk_id = rig.made()
    disk = rig.cloud.state.disks[disk_id]
    disk.status, disk.instance_ids = "In_use", ["i-other"]
    rig.cloud.inject(Fault(kind="lost_reply", action="AttachDisk", when="before"))
    with pytest.raises(errors.CloudRefused, match="another instance"):
        rig.disks.attach_disk(disk_id, INSTANCE, deadline_s=30)
    assert sum(rig.clock.sleeps) <= 30


@pytest.mark.parametrize("action", ["AttachDisk", "DeleteDisk"])
def test_action_when_the_tags_of_a_young_disk_are_not_known_yet_then_waits_for_them(
    rig: Rig, action: str
) -> None:
    disk_id = rig.made()
    rig.cloud.inject(Fault(kind="error:Forbidden.RAM:403", action=action, count=3))
    if action == "AttachDisk":
        rig.disks.attach_disk(disk_id, INSTANCE, young_s=30)
    else:
        rig.disks.delete_disk(disk_id, young_s=30)
    assert [call.code for call in rig.cloud.calls if call.action == action][-1] == ""


def test_refusal_when_the_disk_is_not_young_any_more_then_is_believed(rig: Rig) -> None:
    disk_id = rig.made()
    rig.cloud.inject(Fault(kind="error:Forbidden.RAM:403", action="AttachDisk", count=99))
    with pytest.raises(errors.PermissionRefused):
        rig.disks.attach_disk(disk_id, INSTANCE, young_s=10)
    assert sum(rig.clock.sleeps) <= 10
    assert len(rig.asked("AttachDisk")) > 3


def test_order_when_sent_again_then_names_the_same_disk(rig: Rig) -> None:
    first = rig.disks.create_disk(rig.order())
    assert rig.client().create_disk(rig.order()) == first
    assert rig.new() == [first]


def test_token_when_used_for_another_order_then_says_so(rig: Rig) -> None:
    rig.disks.create_disk(rig.order())
    with pytest.raises(errors.TokenReused):
        rig.disks.create_disk(rig.order(replace(PL0, size_gib=50)))
    assert len(rig.new()) == 1


def test_attach_when_attached_already_then_is_no_error(rig: Rig) -> None:
    disk_id = rig.attached()
    rig.disks.attach_disk(disk_id, INSTANCE)
    assert rig.status(disk_id) == "In_use"


def test_attach_when_another_instance_has_the_disk_then_is_refused(rig: Rig) -> None:
    disk_id = rig.made()
    disk = rig.cloud.state.disks[disk_id]
    disk.status, disk.instance_ids = "In_use", ["i-other"]
    with pytest.raises(errors.CloudRefused, match="another instance"):
        rig.disks.attach_disk(disk_id, INSTANCE)


def test_detach_when_nothing_is_attached_then_says_so(rig: Rig) -> None:
    disk_id = rig.detached()
    assert rig.disks.detach_disk(disk_id, INSTANCE) is False
    rig.disks.delete_disk(disk_id)
    assert rig.disks.detach_disk(disk_id, INSTANCE) is False


def test_delete_when_it_is_gone_then_is_no_error(rig: Rig) -> None:
    disk_id = rig.detached()
    rig.disks.delete_disk(disk_id)
    rig.disks.delete_disk(disk_id)
    rig.cloud.inject(Fault(kind="error:InvalidDiskId.NotFound:404", action="DeleteDisk"))
    rig.disks.delete_disk(disk_id)


def test_delete_when_attached_then_is_not_settled_and_stays(rig: Rig) -> None:
    disk_id = rig.attached()
    with pytest.raises(errors.DiskNotSettled):
        rig.disks.delete_disk(disk_id)
    assert rig.new() == [disk_id]


def test_disks_by_tag_when_many_then_all_pages_are_read_and_no_other_is_among_them(
    rig: Rig,
) -> None:
    made = {
        rig.disks.create_disk(rig.order(replace(PL0, size_gib=1 + number % 3), f"t-{number}"))
        for number in range(120)
    }
    other = rig.order(token="other")
    rig.disks.create_disk(replace(other, tags={**TAGS, RESTORE_TAG: "another"}))
    assert {one.disk_id for one in rig.disks.disks_by_tag(TAGS)} == made
    assert len(rig.disks.disks_by_tag({TEMPORARY_TAG: INSTANCE})) == 121
    assert rig.disks.disks_by_tag({TEMPORARY_TAG: "i-other"}) == ()


def test_category_when_sold_out_then_what_is_on_sale_makes_the_disk(rig: Rig) -> None:
    def wanted(on_sale: Sequence[OnSale] = ()) -> list[DiskChoice]:
        found = choices(
            snapshot_gib=40, source_category="cloud_essd", uploading=False, on_sale=on_sale
        )
        return list(found)

    rig.cloud.set_account(sold_out=("cloud_essd", f"{ZONE}/cloud_auto"))
    with pytest.raises(errors.DiskCategoryRefused):
        rig.disks.create_disk(rig.order(wanted()[0]))
    on_sale = rig.disks.on_sale(zone=ZONE, instance_type=rig.instance_type)
    best = wanted(on_sale)[0]
    assert best.category == "cloud_essd_entry"
    made = rig.disks.create_disk(rig.order(best, "w3f2-1"))
    assert rig.new() == [made]


def test_what_is_on_sale_when_the_role_may_not_ask_then_is_nothing_or_refused(rig: Rig) -> None:
    rig.cloud.set_policies("SnapSelfRole", {"Version": "1", "Statement": []})
    with suppress(errors.PermissionRefused):
        assert rig.disks.on_sale(zone=ZONE, instance_type=rig.instance_type) == ()


STATES: list[tuple[str, Callable[[Simulator], object], type[errors.ApiFault]]] = [
    ("CreateDisk", lambda c: c.set_account(enough_balance=False), errors.BalanceTooLow),
    ("CreateDisk", lambda c: c.set_account(disk_quota=1), errors.QuotaReached),
    ("CreateDisk", lambda c: c.set_account(sold_out=(f"{ZONE}/*",)), errors.DiskCategoryRefused),
    ("CreateDisk", lambda c: c.set_account(sold_out=("cloud_essd",)), errors.DiskCategoryRefused),
    ("CreateDisk", lambda c: c.delete_snapshots(), errors.ResourceGone),
    ("AttachDisk", lambda c: c.set_instance(disk_quantity=1), errors.NoDiskSlot),
    ("AttachDisk", lambda c: c.set_instance(hot_plug=False), errors.NoHotPlug),
    ("AttachDisk", lambda c: c.set_instance(refused_categories=("cloud_essd",)),
     errors.DiskCategoryRefused),
    ("AttachDisk", lambda c: c.set_instance(status="Stopping"), errors.InstanceNotReady),
]  # fmt: skip


@pytest.mark.parametrize(("action", "change", "kind"), STATES)
def test_cloud_when_in_a_state_that_forbids_it_then_the_refusal_is_of_its_kind(
    rig: Rig, action: str, change: Callable[[Simulator], object], kind: type[errors.ApiFault]
) -> None:
    do = act(action, rig, rig.disks)
    change(rig.cloud)
    with pytest.raises(kind) as caught:
        do()
    assert type(caught.value) is kind


def test_key_when_it_is_deleted_then_its_snapshots_make_no_disk_and_it_is_said(rig: Rig) -> None:
    snapshot = rig.cloud.state.snapshots[rig.snapshot]
    snapshot.encrypted, snapshot.kms_key_id = True, "key-1"
    rig.cloud.set_kms_key("key-1", "enabled")
    disk_id = rig.disks.create_disk(rig.order())
    made = rig.cloud.state.disks[disk_id]
    assert (made.encrypted, made.kms_key_id) == (True, "key-1")
    rig.cloud.set_kms_key("key-1", "deleted")
    with pytest.raises(errors.KeyUnusable):
        rig.disks.create_disk(rig.order(token="w3f2-1"))


def test_token_when_the_cloud_has_forgotten_it_then_the_first_disk_is_found_by_its_tags(
    rig: Rig,
) -> None:
    rig.cloud.set_token_memory(0.0)
    first = rig.disks.create_disk(rig.order())
    time.sleep(0.02)
    second = rig.disks.create_disk(rig.order())
    assert first != second  # nothing here can know; the caller asks for the tags too
    assert {one.disk_id for one in rig.disks.disks_by_tag(TAGS)} == {first, second}


REFUSED = [
    ("CreateDisk", "InvalidDiskCategory.NotSupported", errors.DiskCategoryRefused, 7),
    ("CreateDisk", "InvalidDiskCategory.ValueNotSupported", errors.DiskCategoryRefused, 7),
    ("CreateDisk", "Zone.NotOnSale", errors.DiskCategoryRefused, 7),
    ("CreateDisk", "QuotaExceeded.PostpaidDataDiskCapacity", errors.DiskCategoryRefused, 7),
    ("CreateDisk", "InvalidDiskSize.TooSmall", errors.DiskCategoryRefused, 7),
    ("CreateDisk", "QuotaExceed.PostPaidDisk", errors.QuotaReached, 7),
    ("CreateDisk", "QuotaExceed.PortableCloudDisk", errors.QuotaReached, 7),
    ("CreateDisk", "InvalidAccountStatus.NotEnoughBalance", errors.BalanceTooLow, 7),
    ("CreateDisk", "InvalidParameter.KMSKeyId.NotFound", errors.KeyUnusable, 7),
    ("CreateDisk", "InvalidParameter.KMSKeyId.CMKNotEnabled", errors.KeyUnusable, 7),
    ("CreateDisk", "InvalidSnapshotId.NotFound", errors.ResourceGone, 9),
    ("CreateDisk", "InvalidSnapshotId.NotReady", errors.PreconditionRefused, 7),
    ("CreateDisk", "InvalidSnapshotId.NotDataDiskSnapshot", errors.PreconditionRefused, 7),
    ("CreateDisk", "OperationDenied.SnapshotNotAllowed", errors.PreconditionRefused, 7),
    ("AttachDisk", "InstanceDiskLimitExceeded", errors.NoDiskSlot, 7),
    ("AttachDisk", "InvalidOperation.DiskQueueNumberNotEnough", errors.NoDiskSlot, 7),
    ("AttachDisk", "InvalidOperation.InstanceTypeNotSupport", errors.NoHotPlug, 7),
    ("AttachDisk", "InvalidInstanceType.NvmeRequired", errors.NoHotPlug, 7),
    ("AttachDisk", "InvalidInstanceType.NotSupportDiskCategory", errors.DiskCategoryRefused, 7),
    ("AttachDisk", "IncorrectInstanceStatus", errors.InstanceNotReady, 7),
    ("AttachDisk", "IncorrectDiskStatus", errors.DiskNotSettled, 9),
    ("AttachDisk", "ResourcesNotInSameZone", errors.PreconditionRefused, 7),
    ("DetachDisk", "IncorrectDiskStatus", errors.DiskNotSettled, 9),
    ("DetachDisk", "DiskTypeViolation", errors.PreconditionRefused, 7),
    ("DeleteDisk", "IncorrectDiskStatus", errors.DiskNotSettled, 9),
    ("DeleteDisk", "IncorrectDiskStatus.Initializing", errors.DiskNotSettled, 9),
    ("DeleteDisk", "DiskStillAttached", errors.DiskNotSettled, 9),
    ("DeleteDisk", "InvalidDiskStatus.DeleteProtection", errors.PreconditionRefused, 7),
]


@pytest.mark.parametrize(
    ("action", "code", "kind", "status"), REFUSED, ids=lambda value: str(value)
)
def test_refusal_when_it_means_something_then_is_of_that_kind_and_names_the_code(
    rig: Rig, action: str, code: str, kind: type[errors.ApiFault], status: int
) -> None:
    do = act(action, rig, rig.disks)
    rig.cloud.inject(Fault(kind=f"error:{code}:403", action=action, count=99))
    with pytest.raises(kind) as caught:
        do()
    assert type(caught.value) is kind
    assert (caught.value.exit_status, caught.value.api_code) == (status, code)
    assert caught.value.hint
    assert "{" not in caught.value.message + caught.value.hint
    assert len(rig.asked(action)) == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_conflict_when_it_lasts_then_ends_as_one_by_the_deadline(rig: Rig, action: str) -> None:
    act(action, rig, rig.disks)
    code = "error:OperationConflict.DisksAttachingParallellyExceed:400"
    rig.cloud.inject(Fault(kind=code, action=action, count=999))
    disk_id = DiskId((rig.new() or ["d-none"])[0])
    with pytest.raises(errors.DiskConflict):
        {
            "CreateDisk": lambda: rig.disks.create_disk(rig.order(), deadline_s=20),
            "AttachDisk": lambda: rig.disks.attach_disk(disk_id, INSTANCE, deadline_s=20),
            "DetachDisk": lambda: rig.disks.detach_disk(disk_id, INSTANCE, deadline_s=20),
            "DeleteDisk": lambda: rig.disks.delete_disk(disk_id, deadline_s=20),
        }[action]()
    assert sum(rig.clock.sleeps) <= 20
