"""The API's JSON as values; samples from the ECS API reference."""

import contextlib
import copy
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.cloud import answers
from snap_self.errors import CloudAnswerUnclear
from snap_self.model.disks import DiskKind
from snap_self.model.snapshots import SnapshotStatus

DISK: dict[str, Any] = {
    "DiskId": "d-bp1aaaabbbbccccdddde",
    "DiskName": "sys",
    "SerialNumber": "bp1aaaabbbbccccdddde",
    "ZoneId": "cn-hangzhou-i",
    "Type": "system",
    "Category": "cloud_essd",
    "Size": 40,
    "Status": "In_use",
    "Device": "/dev/xvda",
    "InstanceId": "i-bp1iiiijjjjkkkkllllm",
    "MultiAttach": "Disabled",
    "Encrypted": False,
    "Attachments": {"Attachment": [{"InstanceId": "i-bp1iiiijjjjkkkkllllm"}]},
    "OperationLocks": {"OperationLock": []},
}
SNAPSHOT: dict[str, Any] = {
    "SnapshotId": "s-bp1a2b3c4d5e6f7g8h9i",
    "SnapshotName": "before-upgrade",
    "Description": "before kernel upgrade",
    "Status": "progressing",
    "Progress": "45%",
    "Available": True,
    "CreationTime": "2026-11-22T08:32:27Z",
    "Usage": "none",
    "RetentionDays": 7,
    "SourceDiskId": "d-bp1aaaabbbbccccdddde",
    "SourceDiskType": "system",
    "SourceDiskSize": "40",
    "Tags": {"Tag": [{"TagKey": "snap-self-owner", "TagValue": "i-bp1iiiijjjjkkkkllllm"}]},
}
GROUP: dict[str, Any] = {
    "SnapshotGroupId": "ssg-bp1a2b3c4d5e6f7g8h9i",
    "Name": "before-upgrade",
    "InstanceId": "i-bp1iiiijjjjkkkkllllm",
    "Status": "progressing",
    "CreationTime": "2026-11-22T08:32:26Z",
    "Tags": {"Tag": [{"Key": "snap-self-owner", "Value": "i-bp1iiiijjjjkkkkllllm"}]},
    "Snapshots": {
        "Snapshot": [
            {
                "SnapshotId": "s-bp1a2b3c4d5e6f7g8h9i",
                "SourceDiskId": "d-bp1aaaabbbbccccdddde",
                "Progress": "12%",
                "Available": True,
            }
        ]
    },
}


def disk(**changes: Any) -> Any:
    return answers.disks({"Disks": {"Disk": [{**DISK, **changes}]}})[0]


def snapshot(**changes: Any) -> Any:
    return answers.snapshots({"Snapshots": {"Snapshot": [{**SNAPSHOT, **changes}]}})[0]


def group(**changes: Any) -> Any:
    return answers.groups({"SnapshotGroups": {"SnapshotGroup": [{**GROUP, **changes}]}})[0]


def test_disks_when_documented_then_all_is_read() -> None:
    found = disk()
    assert (found.disk_id, found.kind, found.size_gib) == (DISK["DiskId"], DiskKind.SYSTEM, 40)
    assert found.attached_to == {"i-bp1iiiijjjjkkkkllllm"}
    assert not found.multi_attach


def test_disks_when_attached_to_several_then_all_are_named() -> None:
    attachments = {"Attachment": [{"InstanceId": "i-one"}, {"InstanceId": "i-two"}]}
    found = disk(InstanceId="", MultiAttach="Enabled", Attachments=attachments)
    assert found.attached_to == {"i-one", "i-two"}
    assert found.multi_attach


def test_disks_when_locked_then_the_reasons_are_kept() -> None:
    found = disk(OperationLocks={"OperationLock": [{"LockReason": "security"}]})
    assert found.locks == ("security",)


def test_instances_when_documented_then_state_and_locks_are_read() -> None:
    item = {
        "InstanceId": "i-one",
        "Status": "Running",
        "InstanceType": "ecs.g7.large",
        "OperationLocks": {"LockReason": [{"LockReason": "financial"}]},
    }
    (found,) = answers.instances({"Instances": {"Instance": [item]}})
    assert (found.status, found.instance_type, found.locks) == (
        "Running",
        "ecs.g7.large",
        ("financial",),
    )


def test_snapshots_when_documented_then_all_is_read() -> None:
    found = snapshot()
    assert found.status is SnapshotStatus.PROGRESSING
    assert (found.progress, found.size_gib, found.retention_days) == (45, 40, 7)
    assert found.cut_time == datetime(2026, 11, 22, 8, 32, 27, tzinfo=timezone.utc)
    assert found.tags == {"snap-self-owner": "i-bp1iiiijjjjkkkkllllm"}
    assert found.group_id is None


@pytest.mark.parametrize("empty", [{"CreationTime": ""}, {"CreationTime": None}])
def test_snapshots_when_the_cut_is_not_made_then_there_is_no_time(empty: dict[str, Any]) -> None:
    assert snapshot(**empty).cut_time is None


def test_snapshots_when_optional_fields_are_absent_then_they_have_defaults() -> None:
    item = {"SnapshotId": "s-1", "Status": "progressing"}
    (found,) = answers.snapshots({"Snapshots": {"Snapshot": [item]}})
    assert (found.progress, found.available, found.usage) == (0, False, "none")
    assert found.retention_days is None


@pytest.mark.parametrize("size", [100, "100", " 100 "])
def test_snapshots_when_numbers_are_texts_then_they_are_read(size: Any) -> None:
    assert snapshot(SourceDiskSize=size).size_gib == 100


@pytest.mark.parametrize(("text", "percent"), [("100%", 100), ("7", 7), (7, 7), ("", 0)])
def test_snapshots_when_progress_varies_then_it_is_read(text: Any, percent: int) -> None:
    assert snapshot(Progress=text).progress == percent


@pytest.mark.parametrize("field", ["SnapshotName", "Description"])
def test_snapshots_when_made_by_a_group_then_the_group_is_known(field: str) -> None:
    found = snapshot(**{field: "Created_from_ssg-bp1abc and more"})
    assert found.group_id == "ssg-bp1abc"


def test_snapshots_when_a_name_holds_control_characters_then_they_are_spaces() -> None:
    assert snapshot(SnapshotName="a\x1b[2Jb\n").name == "a [2Jb "


@pytest.mark.parametrize(
    ("listed", "tags"),
    [
        ([{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b"}], {"a": "1", "b": ""}),
        ([{"TagKey": "a", "TagValue": "1\n2"}, {"TagKey": "b", "TagValue": ""}],
         {"a": "1 2", "b": ""}),
        ([{"TagKey": "a", "TagValue": "1"}, {"TagValue": "2"}, {}], {"a": "1"}),
        ([{"Key": "a", "Value": "1"}], {"a": "1"}),
        ([], {}),
    ],
)  # fmt: skip
def test_snapshots_when_tags_are_odd_then_what_has_a_key_is_kept(
    listed: list[dict[str, str]], tags: dict[str, str]
) -> None:
    assert snapshot(Tags={"Tag": listed}).tags == tags


def test_groups_when_documented_then_members_and_tags_are_read() -> None:
    found = group()
    assert found.tags == {"snap-self-owner": "i-bp1iiiijjjjkkkkllllm"}
    assert [(m.disk_id, m.progress, m.available) for m in found.members] == [
        ("d-bp1aaaabbbbccccdddde", 12, True)
    ]


def test_groups_when_members_are_late_then_there_are_none() -> None:
    assert group(Snapshots={"Snapshot": []}).members == ()


def test_deletions_when_one_member_stays_then_it_is_told_why() -> None:
    def progress(status: str, code: str, name: str) -> dict[str, Any]:
        related = {"RelatedItem": [{"Name": "SnapshotId", "Value": name}]}
        return {"OperationStatus": status, "ErrorCode": code, "RelatedItemSet": related}

    items = [progress("Success", "", "s-1"), progress("Failed", "SnapshotCreatedImage", "s-2")]
    found = answers.deletions({"OperationProgressSet": {"OperationProgress": items}})
    assert [(d.snapshot_id, d.deleted, d.api_code) for d in found] == [
        ("s-1", True, ""),
        ("s-2", False, "SnapshotCreatedImage"),
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"SnapshotId": ""}, r"DescribeSnapshots.Snapshots.Snapshot\[0\].SnapshotId is missing"),
        ({"SnapshotId": "s-1 x"}, "SnapshotId is not an identifier"),
        ({"Status": "melting"}, "Status is none of progressing, accomplished, failed"),
        ({"Progress": "half"}, "Progress is not a whole number"),
        ({"Progress": -1}, "Progress is not a whole number"),
        ({"SourceDiskSize": True}, "SourceDiskSize is not a whole number"),
        ({"Available": "yes"}, "Available is neither true nor false"),
        ({"CreationTime": "yesterday"}, "CreationTime is not a UTC time"),
        ({"CreationTime": "2026-02-30T00:00Z"}, "CreationTime is not a time that exists"),
        ({"SnapshotName": 5}, "SnapshotName is not a text"),
        ({"Tags": []}, "Tags is not an object"),
        ({"Tags": {"Tag": {}}}, "Tags.Tag is not a list"),
        ({"Tags": {"Tag": [5]}}, r"Tags.Tag\[0\] is not an object"),
        (
            {"Tags": {"Tag": [{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": 2}]}},
            r"Tags.Tag\[1\].TagValue is not a text",
        ),
    ],
)
def test_snapshots_when_a_field_is_wrong_then_the_error_names_its_path(
    changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(CloudAnswerUnclear, match=path):
        snapshot(**changes)


def test_disks_when_the_list_is_missing_then_it_is_an_error_not_an_empty_list() -> None:
    with pytest.raises(CloudAnswerUnclear, match=r"DescribeDisks\.Disks is missing"):
        answers.disks({"RequestId": "R"})


@pytest.mark.parametrize("parse", [answers.created_snapshot, answers.created_group])
def test_created_when_no_id_comes_then_it_is_an_error(parse: Any) -> None:
    with pytest.raises(CloudAnswerUnclear, match="is missing"):
        parse({"RequestId": "R"})


PARSERS = (
    answers.disks,
    answers.instances,
    answers.snapshots,
    answers.groups,
    answers.created_snapshot,
    answers.created_group,
    answers.deletions,
    answers.tagged,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
GOOD: dict[str, Any] = {
    "Disks": {"Disk": [DISK]},
    "Instances": {"Instance": [{"InstanceId": "i-1", "OperationLocks": {"LockReason": [{}]}}]},
    "Snapshots": {"Snapshot": [SNAPSHOT]},
    "SnapshotGroups": {"SnapshotGroup": [GROUP]},
    "SnapshotId": "s-1",
    "SnapshotGroupId": "ssg-1",
    "OperationProgressSet": {"OperationProgress": [{"RelatedItemSet": {"RelatedItem": [{}]}}]},
    "TagResources": {"TagResource": [{"ResourceId": "s-1", "TagKey": "a", "TagValue": "b"}]},
    "NextToken": "",
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = []
    if isinstance(value, dict):
        inner = [p for key, each in value.items() for p in places(each, (*path, key))]
    if isinstance(value, list):
        inner = [p for index, each in enumerate(value) for p in places(each, (*path, index))]
    return [path, *inner] if path else inner


@given(st.dictionaries(st.text() | st.sampled_from(sorted(GOOD)), JSON))
def test_parsers_when_given_any_json_then_raise_only_our_error(answer: dict[str, Any]) -> None:
    parse_all(answer)


@given(st.sampled_from(places(GOOD)), JSON)
def test_parsers_when_one_place_holds_anything_then_raise_only_our_error(
    place: tuple[Any, ...], anything: Any
) -> None:
    answer = copy.deepcopy(GOOD)
    target: Any = answer
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = anything
    parse_all(answer)


def parse_all(answer: dict[str, Any]) -> None:
    for parse in PARSERS:
        with contextlib.suppress(CloudAnswerUnclear):
            parse(answer)
    with contextlib.suppress(CloudAnswerUnclear):
        answers.next_token(answer, "Any")


@pytest.mark.parametrize(
    ("kind", "automatic"), [("auto", True), ("timer", True), ("user", False), ("", False)]
)
def test_snapshot_of_a_policy_is_automatic(kind: str, automatic: bool) -> None:
    assert snapshot(SnapshotType=kind).automatic is automatic
