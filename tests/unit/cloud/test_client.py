"""The ECS client: parameters, pages, retries and deadlines."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc, no_answer, refusal
from snap_self import errors
from snap_self.cloud.client import EcsClient
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId
from snap_self.model.snapshots import Credentials, SnapshotOrder, SnapshotStatus
from snap_self.ports import RpcFailed

INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
DISKS = (DiskId("d-1"), DiskId("d-2"))
SINGLE = SnapshotOrder(
    disk_ids=DISKS[:1],
    grouped=False,
    name="before-upgrade",
    description="before upgrade",
    tags={"b": "2", "a": "1"},
    retention_days=14,
    client_token="token-1",
)
GROUPED = replace(SINGLE, disk_ids=DISKS, grouped=True, retention_days=None)
MADE = {"RequestId": "R", "SnapshotId": "s-1"}
GROUP_MADE = {"RequestId": "R", "SnapshotGroupId": "ssg-1"}
NO_SNAPSHOTS: dict[str, Any] = {"Snapshots": {"Snapshot": []}, "NextToken": ""}
FRESH = replace(KEYS, security_token="CAISfresh")


def no_fresh_keys(force: bool) -> Credentials:
    return KEYS


def client(
    rpc: FakeRpc,
    clock: FakeClock | None = None,
    *,
    credentials: Callable[[bool], Credentials] = no_fresh_keys,
    told: list[str] | None = None,
) -> EcsClient:
    return EcsClient(
        rpc,
        region=RegionId("cn-hangzhou"),
        credentials=credentials,
        clock=clock or FakeClock(),
        random=lambda: 0.5,
        on_retry=(told if told is not None else []).append,
    )


def page_of(ids: range, token: str = "") -> dict[str, Any]:
    items = [{"SnapshotId": f"s-{number}", "Status": "accomplished"} for number in ids]
    return {"Snapshots": {"Snapshot": items}, "NextToken": token}


def test_create_snapshot_when_asked_then_sends_the_whole_order() -> None:
    rpc = FakeRpc(MADE)
    assert client(rpc).create_snapshot(SINGLE, deadline_s=30) == "s-1"
    assert rpc.calls[0].action == "CreateSnapshot"
    assert rpc.calls[0].params == {
        "RegionId": "cn-hangzhou",
        "DiskId": "d-1",
        "SnapshotName": "before-upgrade",
        "Description": "before upgrade",
        "RetentionDays": "14",
        "ClientToken": "token-1",
        "Tag.1.Key": "a",
        "Tag.1.Value": "1",
        "Tag.2.Key": "b",
        "Tag.2.Value": "2",
    }


def test_create_group_when_asked_then_sends_disks_and_no_retention() -> None:
    rpc = FakeRpc(GROUP_MADE)
    found = client(rpc).create_group(
        replace(GROUPED, retention_days=14), instance_id=INSTANCE, deadline_s=30
    )
    params = rpc.calls[0].params
    assert found == "ssg-1"
    assert (params["DiskId.1"], params["DiskId.2"]) == DISKS
    assert (params["InstanceId"], params["Name"]) == (INSTANCE, "before-upgrade")
    assert "RetentionDays" not in params


@pytest.mark.parametrize(
    "trouble",
    [
        no_answer(),
        no_answer(status=502),
        no_answer(status=200),
        refusal("InternalError", 500),
        refusal("IdempotentProcessing"),
        refusal("Throttling.User", 400),
        refusal("SignatureNonceUsed", 400),
        refusal("OperationConflict", 409),
    ],
    ids=lambda failure: failure.code or str(failure.http_status),
)
def test_create_when_it_can_be_repeated_then_repeats_the_very_same_call(trouble: Any) -> None:
    rpc = FakeRpc(trouble, trouble, GROUP_MADE)
    assert client(rpc).create_group(GROUPED, instance_id=INSTANCE, deadline_s=300) == "ssg-1"
    assert [call.params for call in rpc.calls] == [rpc.calls[0].params] * 3
    assert rpc.calls[0].params["ClientToken"] == "token-1"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("IdempotentParameterMismatch", errors.CloudRefused),
        ("Forbidden.RAM", errors.PermissionRefused),
        ("IncorrectDiskStatus.CreatingSnapshot", errors.DiskNotReady),
    ],
)
def test_create_when_refused_then_is_called_once(
    code: str, kind: type[errors.SnapSelfError]
) -> None:
    rpc = FakeRpc(refusal(code))
    with pytest.raises(kind):
        client(rpc).create_snapshot(SINGLE, deadline_s=30)
    assert len(rpc.calls) == 1


@pytest.mark.parametrize(
    ("code", "tries"),
    [
        ("Throttling", 1),
        ("OperationConflict", 1),
        ("IdempotentProcessing", 2),
        ("InternalError", 2),
    ],
)
def test_hurried_create_when_refused_then_waits_only_for_what_passes_soon(
    code: str, tries: int
) -> None:
    rpc = FakeRpc(refusal(code), MADE)
    with suppress(errors.CloudRefused):
        client(rpc).create_snapshot(SINGLE, deadline_s=9, hurried=True)
    assert len(rpc.calls) == tries


def test_create_when_throttled_beyond_the_deadline_then_ends_before_it() -> None:
    clock = FakeClock()
    with pytest.raises(errors.CloudThrottled):
        client(FakeRpc(refusal("Throttling", 403)), clock).create_snapshot(SINGLE, deadline_s=20)
    assert sum(clock.sleeps) < 20


def test_create_when_the_first_try_was_lost_then_the_final_error_says_so() -> None:
    rpc = FakeRpc(no_answer(), no_answer(maybe_done=False))
    with pytest.raises(errors.CloudUnreachable) as caught:
        client(rpc).create_snapshot(SINGLE, deadline_s=30)
    assert caught.value.maybe_done
    assert "may have been made" in caught.value.hint


def test_create_when_nothing_was_ever_sent_then_nothing_can_be_made() -> None:
    rpc = FakeRpc(no_answer(maybe_done=False))
    with pytest.raises(errors.CloudUnreachable) as caught:
        client(rpc).create_snapshot(SINGLE, deadline_s=30)
    assert not caught.value.maybe_done


def test_create_when_time_is_short_then_leaves_time_for_a_second_try() -> None:
    rpc = FakeRpc(MADE)
    client(rpc).create_snapshot(SINGLE, deadline_s=10)
    assert rpc.calls[0].timeout_s == 5.0


def test_call_when_retried_then_the_watcher_is_told() -> None:
    told: list[str] = []
    rpc = FakeRpc(refusal("OperationConflict"), MADE)
    client(rpc, told=told).create_snapshot(SINGLE, deadline_s=30)
    assert told == ["CreateSnapshot: OperationConflict; trying again in 0.4 s"]


def test_call_when_the_certificate_is_not_trusted_then_is_not_repeated() -> None:
    rpc = FakeRpc(no_answer(lasting=True, maybe_done=False))
    with pytest.raises(errors.CloudUnreachable, match="DescribeDisks"):
        client(rpc).describe_disks(INSTANCE)
    assert len(rpc.calls) == 1


def test_call_when_the_token_expired_then_goes_on_with_fresh_keys() -> None:
    forced: list[bool] = []

    def credentials(force: bool) -> Credentials:
        forced.append(force)
        return FRESH if force else KEYS

    rpc = FakeRpc(refusal("InvalidSecurityToken.Expired", 400), MADE)
    client(rpc, credentials=credentials).create_snapshot(SINGLE, deadline_s=30)
    assert [call.credentials for call in rpc.calls] == [KEYS, FRESH]
    assert forced.count(True) == 1


def test_call_when_another_thread_renewed_the_keys_then_does_not_force() -> None:
    given = [KEYS, FRESH]

    def credentials(force: bool) -> Credentials:
        assert not force
        return given.pop(0)

    rpc = FakeRpc(refusal("InvalidSecurityToken.Expired", 400), MADE)
    client(rpc, credentials=credentials).create_snapshot(SINGLE, deadline_s=30)
    assert rpc.calls[1].credentials == FRESH


def test_call_when_fresh_keys_are_refused_too_then_ends() -> None:
    rpc = FakeRpc(refusal("InvalidSecurityToken.Expired", 400))
    with pytest.raises(errors.CredentialsRefused):
        client(rpc).create_snapshot(SINGLE, deadline_s=30)
    assert len(rpc.calls) == 2


@pytest.mark.parametrize(
    "refused",
    [
        refusal("Forbidden.RAM"),
        refusal("InvalidAccessKeyId.NotFound", 404),
        refusal("InvalidParameter", 400, 'The parameter "SecurityToken.Expired" is not valid.'),
    ],
    ids=lambda failure: failure.code,
)
def test_call_when_its_keys_are_refused_and_others_are_there_by_now_then_goes_on_with_them(
    refused: RpcFailed,
) -> None:
    rpc = FakeRpc(refused, MADE)
    keys = client(rpc, credentials=lambda force: FRESH if force else KEYS)
    assert keys.create_snapshot(SINGLE, deadline_s=30) == "s-1"
    assert [call.credentials for call in rpc.calls] == [KEYS, FRESH]


@pytest.mark.parametrize("code", ["Forbidden.RAM", "InvalidAccessKeyId.NotFound"])
def test_call_when_its_keys_are_refused_and_no_others_are_there_then_is_not_sent_again(
    code: str,
) -> None:
    def gone(force: bool) -> Credentials:
        if force:
            raise errors.MetadataUnreachable("nobody answers")
        return KEYS

    for credentials in (no_fresh_keys, gone):
        rpc = FakeRpc(refusal(code))
        with pytest.raises(errors.CredentialsError, match=code):
            client(rpc, credentials=credentials).create_snapshot(SINGLE, deadline_s=30)
        assert len(rpc.calls) == 1


def test_call_when_its_keys_are_refused_while_frozen_then_looks_for_no_others() -> None:
    rpc = FakeRpc(refusal("Forbidden.RAM"))
    asked: list[bool] = []

    def keys(force: bool) -> Credentials:
        asked.append(force)
        return FRESH if force else KEYS

    with pytest.raises(errors.PermissionRefused):
        client(rpc, credentials=keys).create_snapshot(SINGLE, deadline_s=30, hurried=True)
    assert asked == [False]


def test_describe_snapshots_when_there_are_pages_then_follows_them() -> None:
    rpc = FakeRpc(page_of(range(100), "t1"), page_of(range(100, 150)))
    found = client(rpc).describe_snapshots(tags={"k": "v"}, status=SnapshotStatus.ACCOMPLISHED)
    assert len(found) == 150
    assert [call.params.get("NextToken") for call in rpc.calls] == [None, "t1"]
    first = rpc.calls[0].params
    assert (first["MaxResults"], first["Status"]) == ("100", "accomplished")
    assert (first["Tag.1.Key"], first["Tag.1.Value"]) == ("k", "v")


def test_describe_snapshots_when_pages_are_limited_then_stops() -> None:
    rpc = FakeRpc(page_of(range(100), "t1"), page_of(range(100, 200), "t2"))
    assert len(client(rpc).describe_snapshots(instance_id=INSTANCE, max_pages=1)) == 100
    assert len(rpc.calls) == 1


def test_describe_snapshots_when_a_page_token_comes_back_then_ends_in_an_error() -> None:
    rpc = FakeRpc(page_of(range(1), "t1"))
    with pytest.raises(errors.CloudAnswerUnclear, match="twice"):
        client(rpc).describe_snapshots(instance_id=INSTANCE)
    assert len(rpc.calls) == 2


def test_describe_snapshots_when_given_many_ids_then_asks_for_a_hundred_at_a_time() -> None:
    rpc = FakeRpc(NO_SNAPSHOTS)
    client(rpc).describe_snapshots(ids=[SnapshotId(f"s-{n}") for n in range(250)])
    asked = [json.loads(call.params["SnapshotIds"]) for call in rpc.calls]
    assert [len(ids) for ids in asked] == [100, 100, 50]
    assert asked[2][-1] == "s-249"


def test_describe_snapshots_when_given_no_ids_then_does_not_list_everything() -> None:
    rpc = FakeRpc(NO_SNAPSHOTS)
    assert client(rpc).describe_snapshots(ids=[]) == ()
    assert rpc.calls == []


def test_describe_groups_when_given_many_ids_then_asks_for_ten_at_a_time() -> None:
    rpc = FakeRpc({"SnapshotGroups": {"SnapshotGroup": []}})
    client(rpc).describe_groups(ids=[GroupId(f"ssg-{n}") for n in range(11)])
    assert "SnapshotGroupId.10" in rpc.calls[0].params
    assert rpc.calls[1].params["SnapshotGroupId.1"] == "ssg-10"


def test_describe_groups_when_given_no_ids_then_does_not_list_everything() -> None:
    rpc = FakeRpc({"SnapshotGroups": {"SnapshotGroup": []}})
    assert client(rpc).describe_groups(ids=[]) == ()
    assert rpc.calls == []


def test_describe_when_many_pages_are_slow_then_the_deadline_holds_for_all() -> None:
    clock = FakeClock()

    def answering(action: str, params: Mapping[str, str]) -> Any:
        clock.advance(4)
        token = f"{params.get('NextToken', '')}x"
        return refusal("Throttling") if len(token) > 4 else page_of(range(1), token)

    with pytest.raises(errors.CloudThrottled):
        client(FakeRpc(answering=answering), clock).describe_snapshots(
            instance_id=INSTANCE, deadline_s=20
        )
    assert clock.monotonic() - 1000 <= 24


def test_describe_instance_when_the_cloud_shows_none_then_is_none() -> None:
    rpc = FakeRpc({"Instances": {"Instance": []}})
    assert client(rpc).describe_instance(INSTANCE) is None
    assert json.loads(rpc.calls[0].params["InstanceIds"]) == [INSTANCE]


def test_set_retention_when_asked_then_modifies_the_snapshot() -> None:
    rpc = FakeRpc({"RequestId": "R"})
    client(rpc).set_retention(SnapshotId("s-1"), 14)
    assert rpc.calls[0].action == "ModifySnapshotAttribute"
    assert rpc.calls[0].params == {
        "RegionId": "cn-hangzhou",
        "SnapshotId": "s-1",
        "RetentionDays": "14",
    }


def test_tag_snapshots_when_given_many_then_tags_fifty_at_a_time() -> None:
    rpc = FakeRpc({"RequestId": "R"})
    client(rpc).tag_snapshots([SnapshotId(f"s-{n}") for n in range(51)], {"k": "v"})
    assert len(rpc.calls) == 2
    assert rpc.calls[1].params["ResourceId.1"] == "s-50"
    assert rpc.calls[1].params["ResourceType"] == "snapshot"


def test_delete_snapshot_when_it_is_gone_then_is_content() -> None:
    rpc = FakeRpc(refusal("InvalidSnapshotId.NotFound", 404))
    client(rpc).delete_snapshot(SnapshotId("s-1"))
    assert rpc.calls[0].params["Force"] == "false"


def test_delete_snapshot_when_a_disk_was_made_from_it_then_is_refused() -> None:
    with pytest.raises(errors.PreconditionRefused):
        client(FakeRpc(refusal("SnapshotCreatedDisk"))).delete_snapshot(SnapshotId("s-1"))


def test_delete_group_when_it_is_gone_then_returns_nothing() -> None:
    rpc = FakeRpc(refusal("InvalidSnapshotGroupId.NotFound", 404))
    assert client(rpc).delete_group(GroupId("ssg-1")) == ()


OPTIONAL: dict[str, Callable[[EcsClient], object]] = {
    "DescribeInstances": lambda cloud: cloud.describe_instance(INSTANCE, optional=True),
    "DescribeSnapshots": lambda cloud: cloud.describe_snapshots(optional=True),
    "DescribeSnapshotGroups": lambda cloud: cloud.describe_groups(optional=True),
    "ModifySnapshotAttribute": lambda cloud: cloud.set_retention(
        SnapshotId("s-1"), 14, optional=True
    ),
}


@pytest.mark.parametrize("action", OPTIONAL)
def test_optional_call_when_throttled_then_is_sent_once_and_waits_for_nothing(action: str) -> None:
    clock, rpc = FakeClock(), FakeRpc(refusal("Throttling.User", 400))
    with pytest.raises(errors.CloudThrottled):
        OPTIONAL[action](client(rpc, clock))
    assert [call.action for call in rpc.calls] == [action]
    assert clock.sleeps == []


@pytest.mark.parametrize("trouble", [no_answer(), refusal("InternalError", 500)])
def test_optional_call_when_in_other_trouble_then_is_sent_again(trouble: RpcFailed) -> None:
    rpc = FakeRpc(trouble, NO_SNAPSHOTS)
    assert client(rpc).describe_snapshots(optional=True) == ()
    assert len(rpc.calls) == 2


def test_optional_list_when_a_later_page_is_throttled_then_is_not_sent_again() -> None:
    rpc = FakeRpc(page_of(range(2), "more"), refusal("Throttling", 400))
    with pytest.raises(errors.CloudThrottled):
        client(rpc).describe_snapshots(optional=True)
    assert len(rpc.calls) == 2
