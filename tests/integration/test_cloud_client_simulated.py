"""The ECS client and the SDK against the simulated ECS: one set or a clear error."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ecs_simulator import DiskConfig, Fault, InstanceConfig, Simulator, SimulatorConfig, Throttle
from fakes.clock import FakeClock
from fakes.instance_role import RoleKeys as Keys
from snap_self import errors
from snap_self.cloud.client import EcsClient
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.model.ids import DiskId, InstanceId, RegionId
from snap_self.model.snapshots import Credentials, SnapshotOrder
from snap_self.ports import Rpc

INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
DISKS = (DiskId("d-bp1aaaabbbbccccdddde"), DiskId("d-bp1eeeeffffgggghhhhi"))
CONFIG = SimulatorConfig(
    instances=(
        InstanceConfig(
            instance_id=INSTANCE, disks=tuple(DiskConfig(disk_id=name) for name in DISKS)
        ),
    )
)
SHORT_S = 0.4
OPENED: list[SdkRpc] = []


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a running simulated cloud with one instance and two disks."""
    with Simulator(CONFIG) as simulator:
        yield simulator
    while OPENED:
        OPENED.pop().close()


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


def client(
    cloud: Simulator,
    *,
    clock: FakeClock | None = None,
    keys: Keys | None = None,
    wrap: Callable[[Rpc], Rpc] = lambda rpc: rpc,
) -> EcsClient:
    rpc = SdkRpc(parse_override(cloud.ecs_url), region="cn-hangzhou")
    OPENED.append(rpc)
    return EcsClient(
        wrap(rpc),
        region=RegionId("cn-hangzhou"),
        credentials=keys or Keys(cloud),
        clock=clock or FakeClock(),
        random=lambda: 0.5,
    )


def order(*disks: DiskId, token: str = "run-1-0") -> SnapshotOrder:
    grouped = len(disks) > 1
    return SnapshotOrder(
        disk_ids=disks,
        grouped=grouped,
        name="before-upgrade",
        description="before: os upgrade ~*+/",
        tags={"snap-self-owner": INSTANCE, "snap-self-run": "run-1"},
        retention_days=None if grouped else 14,
        client_token=token,
    )


ACTIONS = ("CreateSnapshot", "CreateSnapshotGroup")


def create(ecs: EcsClient, action: str, *, deadline_s: float = 60.0) -> str:
    if action == "CreateSnapshot":
        return ecs.create_snapshot(order(DISKS[0]), deadline_s=deadline_s)
    return ecs.create_group(order(*DISKS), instance_id=INSTANCE, deadline_s=deadline_s)


def made(cloud: Simulator, action: str) -> list[str]:
    return list(cloud.state.snapshots if action == "CreateSnapshot" else cloud.state.groups)


def calls(cloud: Simulator, action: str) -> list[str]:
    return [call.fault or call.code for call in cloud.calls if call.action == action]


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
    Fault(kind="error:SignatureNonceUsed:400"),
]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "fault", TROUBLE, ids=lambda f: f"{f.kind}-{f.when or 'as-usual'}-{f.count}"
)
def test_create_when_a_call_goes_wrong_then_exactly_one_is_made(
    cloud: Simulator, action: str, fault: Fault
) -> None:
    cloud.inject(replace(fault, action=action))
    name = create(client(cloud), action)
    assert made(cloud, action) == [name]
    assert len(calls(cloud, action)) == fault.count + 1


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_create_when_a_call_hangs_then_exactly_one_is_made(
    cloud: Simulator, action: str, when: str
) -> None:
    cloud.inject(Fault(kind="hang", action=action, when=when, seconds=30))
    name = create(client(cloud, wrap=Hasty), action)
    assert made(cloud, action) == [name]


@pytest.mark.parametrize("action", ACTIONS)
def test_create_when_the_first_try_still_runs_then_its_result_is_waited_for(
    cloud: Simulator, action: str
) -> None:
    clock = FakeClock(on_sleep=lambda seconds: time.sleep(min(seconds, 0.2)))
    cloud.inject(Fault(kind="lost_reply", action=action, when="during", seconds=0.5))
    name = create(client(cloud, clock=clock), action)
    assert made(cloud, action) == [name]
    assert "IdempotentProcessing" in calls(cloud, action)


@pytest.mark.parametrize("action", ACTIONS)
def test_create_when_every_reply_is_lost_then_one_is_made_and_the_error_says_so(
    cloud: Simulator, action: str
) -> None:
    cloud.inject(Fault(kind="lost_reply", action=action, count=99))
    with pytest.raises(errors.CloudUnreachable) as caught:
        create(client(cloud), action)
    assert caught.value.maybe_done
    assert len(made(cloud, action)) == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_create_when_the_minute_is_used_up_then_waits_for_the_next(
    cloud: Simulator, action: str
) -> None:
    # The cloud's clock begins five seconds into a minute and moves on with the client's sleeps.
    offset = -(cloud.clock.now() % 60) + 5
    cloud.set_clock_offset(offset)
    clock = FakeClock(on_sleep=lambda _s: cloud.set_clock_offset(offset + sum(clock.sleeps)))
    ecs = client(cloud, clock=clock)
    cloud.set_throttles(Throttle(limit=1, action=action, code="Throttling.User"))
    name = create(ecs, action)
    again = create(ecs, action, deadline_s=90)
    assert again == name
    assert made(cloud, action) == [name]
    assert sum(clock.sleeps) > 30


@pytest.mark.parametrize(
    ("told", "wrong_s"), [(True, 0.0), (True, 20.0), (False, 0.0)], ids=["told", "odd", "untold"]
)
def test_calls_of_an_account_without_room_then_one_is_refused_per_action_and_window(
    cloud: Simulator, told: bool, wrong_s: float
) -> None:
    offset = -(cloud.clock.now() % 60) + 5
    cloud.set_clock_offset(offset)
    start = datetime(2026, 11, 22, 8, 32, 5, tzinfo=timezone.utc) + timedelta(seconds=wrong_s)
    clock = FakeClock(start, on_sleep=lambda _s: cloud.set_clock_offset(offset + sum(clock.sleeps)))
    ecs = client(cloud, clock=clock)
    cloud.set_throttles(Throttle(limit=2, told=told))
    for _ in range(7):
        ecs.describe_disks(INSTANCE, deadline_s=3600)
        ecs.describe_snapshots(deadline_s=3600)
    refused = Counter(
        (call.action, call.time // 60) for call in cloud.calls if call.code == "Throttling"
    )
    assert set(refused.values()) == {1}
    assert len(refused) >= 3


@pytest.mark.parametrize("action", ACTIONS)
def test_create_when_throttled_beyond_the_deadline_then_nothing_is_made(
    cloud: Simulator, action: str
) -> None:
    cloud.set_throttles(Throttle(limit=0, action=action))
    with pytest.raises(errors.CloudThrottled):
        create(client(cloud), action, deadline_s=20)
    assert made(cloud, action) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_create_when_the_token_expires_in_the_middle_then_goes_on_with_fresh_keys(
    cloud: Simulator, action: str
) -> None:
    keys = Keys(cloud)
    ecs = client(cloud, keys=keys)
    assert len(ecs.describe_disks(INSTANCE)) == 2
    cloud.expire("sts")
    name = create(ecs, action)
    assert made(cloud, action) == [name]
    assert keys.forced == 1
    assert calls(cloud, action) == ["InvalidSecurityToken.Expired", ""]


def test_create_when_a_lost_reply_meets_an_expired_token_then_exactly_one_is_made(
    cloud: Simulator,
) -> None:
    clock = FakeClock(on_sleep=lambda _s: cloud.expire("sts"))  # once: renewing takes no sleep
    cloud.inject(Fault(kind="lost_reply", action="CreateSnapshotGroup"))
    name = create(client(cloud, clock=clock), "CreateSnapshotGroup")
    assert made(cloud, "CreateSnapshotGroup") == [name]


def test_create_when_a_token_is_used_for_another_order_then_is_refused(cloud: Simulator) -> None:
    ecs = client(cloud)
    ecs.create_snapshot(order(DISKS[0]), deadline_s=30)
    with pytest.raises(errors.CloudRefused) as caught:
        ecs.create_snapshot(order(DISKS[1]), deadline_s=30)
    assert caught.value.api_code == "IdempotentParameterMismatch"


def test_create_when_policy_denies_then_names_the_action(cloud: Simulator) -> None:
    deny: Mapping[str, Any] = {"Version": "1", "Statement": []}
    cloud.set_policies("SnapSelfRole", deny)
    ecs = client(cloud)
    with pytest.raises(errors.PermissionRefused, match="CreateSnapshot"):
        create(ecs, "CreateSnapshot")
    # A denied describe is an empty list, so an empty list proves nothing.
    assert ecs.describe_disks(INSTANCE) == ()
    assert ecs.describe_instance(INSTANCE) is None


def test_create_when_the_machines_clock_is_wrong_then_says_so(cloud: Simulator) -> None:
    cloud.set_clock_offset(3600)
    with pytest.raises(errors.CredentialsRefused) as caught:
        client(cloud).describe_disks(INSTANCE)
    assert "clock" in caught.value.message


def test_describe_when_a_group_was_made_then_members_and_tags_are_seen(cloud: Simulator) -> None:
    ecs = client(cloud)
    name = create(ecs, "CreateSnapshotGroup")
    (group,) = ecs.describe_groups(tags={"snap-self-run": "run-1"})
    shots = ecs.describe_snapshots(ids=[member.snapshot_id for member in group.members])
    assert group.group_id == name
    assert {shot.disk_id for shot in shots} == set(DISKS)
    assert {shot.group_id for shot in shots} == {name}


def test_snapshot_when_tagged_kept_longer_and_deleted_then_the_cloud_agrees(
    cloud: Simulator,
) -> None:
    cloud.set_life(cut_s=0.0, available_s=0.0, accomplished_s=0.0)
    ecs = client(cloud)
    name = ecs.create_snapshot(order(DISKS[0]), deadline_s=30)
    ecs.tag_snapshots([name], {"more": "yes"})
    (tagged,) = ecs.describe_snapshots(tags={"more": "yes"})
    assert tagged.snapshot_id == name
    for _ in range(200):
        (shot,) = ecs.describe_snapshots(ids=[name])
        if shot.progress == 100:
            break
    ecs.set_retention(name, 30)
    (shot,) = ecs.describe_snapshots(ids=[name])
    assert shot.retention_days == 30
    ecs.delete_snapshot(name)
    assert ecs.describe_snapshots(ids=[name]) == ()
    ecs.delete_snapshot(name)


def test_group_when_deleted_then_each_member_is_accounted_for(cloud: Simulator) -> None:
    ecs = client(cloud)
    group_id = ecs.create_group(order(*DISKS), instance_id=INSTANCE, deadline_s=30)
    outcomes = ecs.delete_group(group_id)
    assert [outcome.deleted for outcome in outcomes] == [True, True]
    assert ecs.delete_group(group_id) == ()
