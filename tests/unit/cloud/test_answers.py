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
from snap_self.model.snapshots import Cut, SnapshotStatus

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


@pytest.mark.parametrize("attachments", [[], "", None, {"Attachment": [7]}, 5])
def test_disks_when_their_instance_is_named_then_an_odd_list_of_attachments_hides_it_not(
    attachments: Any,
) -> None:
    assert disk(Attachments=attachments).attached_to == {"i-bp1iiiijjjjkkkkllllm"}


def test_disks_when_nothing_else_names_their_instance_then_odd_attachments_are_an_error() -> None:
    with pytest.raises(CloudAnswerUnclear):
        disk(InstanceId="", Attachments={"Attachment": [7]})


@pytest.mark.parametrize(("word", "several"), [("disabled", False), ("ENABLED", True)])
def test_disks_when_multi_attach_is_written_otherwise_then_it_means_the_same(
    word: str, *, several: bool
) -> None:
    assert disk(MultiAttach=word).multi_attach is several


def test_instances_when_documented_then_state_and_locks_are_read() -> None:
    item = {
        "InstanceId": "i-one",
        "Status": "Running",
        "InstanceType": "ecs.g7.large",
        "OperationLocks": {"LockReason": [{"LockReason": "financial"}]},
        "StoppedMode": "KeepCharging",
    }
    (found,) = answers.instances({"Instances": {"Instance": [item]}})
    assert (found.status, found.instance_type, found.locks, found.stopped_mode) == (
        "Running",
        "ecs.g7.large",
        ("financial",),
        "KeepCharging",
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
    assert (found.progress, found.available, found.usage) == (None, False, "none")
    assert (found.retention_days, found.cut, found.unread) == (None, Cut.NOT_YET, frozenset())


@pytest.mark.parametrize("size", [100, "100", " 100 ", 100.0, "100.0"])
def test_snapshots_when_numbers_are_texts_then_they_are_read(size: Any) -> None:
    assert snapshot(SourceDiskSize=size).size_gib == 100


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        *[("100%", 100), ("7", 7), (7, 7), ("12.5%", 12), (12.5, 12), ("99.99 %", 99)],
        *[("250%", 100), ("", None), (None, None)],
    ],
)
def test_snapshots_when_progress_varies_then_it_is_read(text: Any, percent: int | None) -> None:
    found = snapshot(Progress=text)
    assert (found.progress, found.unread) == (percent, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        *["2026-11-22T08:32:27Z", "2026-11-22T08:32:27.123Z", "2026-11-22T08:32:27.123456789Z"],
        *["2026-11-22T16:32:27+08:00", "2026-11-22T16:32:27.5+0800", "2026-11-22T05:02:27-03:30"],
        *["2026-11-22 08:32:27Z", "2026-11-22t08:32:27z"],
    ],
)
def test_snapshots_when_the_cut_is_told_as_rfc_3339_has_it_then_it_is_that_instant(
    text: str,
) -> None:
    found = snapshot(CreationTime=text)
    assert found.cut_time == datetime(2026, 11, 22, 8, 32, 27, tzinfo=timezone.utc)
    assert found.unread == frozenset()


@pytest.mark.parametrize(
    ("value", "cut"),
    [("yesterday", Cut.MADE), ("2026-02-30T00:00Z", Cut.MADE), (5, Cut.NOT_KNOWN)],
)
def test_snapshots_when_the_cut_cannot_be_read_then_its_being_there_still_tells(
    value: Any, cut: Cut
) -> None:
    found = snapshot(CreationTime=value)
    assert (found.cut_time, found.cut, found.unread) == (None, cut, {"CreationTime"})


@pytest.mark.parametrize("word", ["melting", "", None, 5])
def test_snapshots_when_the_status_is_no_known_word_then_it_is_none_of_them_yet(word: Any) -> None:
    assert snapshot(Status=word).status is SnapshotStatus.UNKNOWN
    assert group(Status=word).status is SnapshotStatus.UNKNOWN


@pytest.mark.parametrize("value", [-1, "soon", [], {}, True])
@pytest.mark.parametrize("name", ["Progress", "RetentionDays", "SourceDiskSize"])
def test_snapshots_when_a_number_is_none_then_it_is_not_known_and_the_rest_is(
    name: str, value: Any
) -> None:
    found = snapshot(**{name: value})
    assert found.unread == {name}
    assert (found.status, found.available) == (SnapshotStatus.PROGRESSING, True)


@pytest.mark.parametrize("value", [5, [], {"x": 1}, "\ud800"])
@pytest.mark.parametrize(
    "name",
    [
        *["SnapshotName", "Description", "Usage", "SourceDiskType", "SnapshotType"],
        *["Available", "Tags", "SourceDiskId"],
    ],
)
def test_snapshots_when_what_nothing_hangs_on_is_odd_then_the_cut_is_told_all_the_same(
    name: str, value: Any
) -> None:
    found = snapshot(**{name: value})
    assert found.snapshot_id == SNAPSHOT["SnapshotId"]
    assert (found.cut, found.progress) == (Cut.MADE, 45)


@pytest.mark.parametrize("name", ["Name", "Description", "Status", "CreationTime", "Tags"])
@pytest.mark.parametrize("value", [5, "odd", [], None])
def test_groups_when_what_nothing_hangs_on_is_odd_then_the_members_are_told_all_the_same(
    name: str, value: Any
) -> None:
    (member,) = group(**{name: value}).members
    assert (member.disk_id, member.progress) == ("d-bp1aaaabbbbccccdddde", 12)


def test_groups_when_a_member_s_progress_is_odd_then_only_that_is_not_known() -> None:
    odd = {**GROUP["Snapshots"]["Snapshot"][0], "Progress": "half"}
    (member,) = group(Snapshots={"Snapshot": [odd]}).members
    assert (member.disk_id, member.progress, member.available) == (odd["SourceDiskId"], None, True)


@pytest.mark.parametrize("value", [5, "odd", None, -1, [], {}])
@pytest.mark.parametrize(
    "name",
    [
        *["Type", "DiskName", "SerialNumber", "Category", "Size", "Status", "ZoneId", "Device"],
        *["MultiAttach", "Encrypted", "OperationLocks"],
    ],
)
def test_disks_when_what_does_not_name_them_is_odd_then_they_are_told_all_the_same(
    name: str, value: Any
) -> None:
    found = disk(**{name: value})
    assert (found.disk_id, found.attached_to) == (DISK["DiskId"], {DISK["InstanceId"]})
    if name == "Type":
        assert found.kind is DiskKind.UNKNOWN


@pytest.mark.parametrize("name", ["Status", "InstanceType", "OperationLocks"])
def test_instances_when_what_does_not_name_them_is_odd_then_they_are_told_all_the_same(
    name: str,
) -> None:
    item = {"InstanceId": "i-one", name: 5}
    (found,) = answers.instances({"Instances": {"Instance": [item]}})
    assert found.instance_id == "i-one"


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


@pytest.mark.parametrize("name", [None, ""])
def test_groups_when_a_member_has_no_id_yet_then_the_others_are_told(name: str | None) -> None:
    young = {"SnapshotId": name, "SourceDiskId": "d-bp1late", "Progress": "0%"}
    found = group(Snapshots={"Snapshot": [young, *GROUP["Snapshots"]["Snapshot"]]})
    assert [member.snapshot_id for member in found.members] == ["s-bp1a2b3c4d5e6f7g8h9i"]


def test_lists_when_there_is_nothing_in_them_then_an_empty_list_may_stand_for_the_object() -> None:
    assert answers.snapshots({"Snapshots": []}) == ()
    assert group(Snapshots=[], Tags=[]).unread == frozenset()


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
    ],
)
def test_snapshots_when_what_names_them_is_wrong_then_the_error_names_its_path(
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


def test_disks_when_temporary_then_tags_source_and_release_are_read() -> None:
    read = disk(
        Tags={"Tag": [{"TagKey": "snap-self-temp", "TagValue": "i-1"}]},
        SourceSnapshotId="s-1",
        PerformanceLevel="PL0",
        DeleteWithInstance=True,
        Portable=True,
    )
    assert read.tags == {"snap-self-temp": "i-1"}
    assert (read.snapshot_id, read.level, read.delete_with_instance) == ("s-1", "PL0", True)
    assert read.portable


@pytest.mark.parametrize(
    ("told", "known"),
    [(True, True), (False, False), ("true", True), (None, None), ("", None), ("perhaps", None)],
)
def test_disks_when_their_release_is_not_told_then_it_is_not_made_up(
    told: object, known: bool | None
) -> None:
    assert disk(DeleteWithInstance=told).delete_with_instance is known
    assert disk(Portable=told).portable is (known is not False)


def test_disks_when_tags_differ_then_are_the_same_only_with_the_same_tags() -> None:
    one = disk(Tags={"Tag": [{"TagKey": "a", "TagValue": "1"}]})
    assert one != disk()
    assert len({one, disk()}) == 2


def sold(*resources: dict[str, Any]) -> Any:
    kinds = {"AvailableResource": [{"SupportedResources": {"SupportedResource": list(resources)}}]}
    zones = {"AvailableZone": [{"ZoneId": "z", "AvailableResources": kinds}]}
    return answers.on_sale({"AvailableZones": zones})


@pytest.mark.parametrize(
    ("changes", "had"),
    [
        ({}, True),
        ({"Status": "Available", "StatusCategory": "WithStock"}, True),
        ({"Status": "Available", "StatusCategory": "ClosedWithStock"}, True),
        ({"Status": "Available", "StatusCategory": "WithoutStock"}, False),
        ({"Status": "SoldOut", "StatusCategory": "ClosedWithoutStock"}, False),
        ({"Status": "SoldOut"}, False),
    ],
)
def test_on_sale_when_in_stock_then_is_told_with_its_sizes(
    changes: dict[str, str], had: bool
) -> None:
    found = sold({"Value": "cloud_auto", "Min": 1, "Max": 65536, "Unit": "GiB", **changes})
    assert [(one.category, one.least_gib, one.most_gib) for one in found] == (
        [("cloud_auto", 1, 65536)] if had else []
    )


@pytest.mark.parametrize("answer", [{}, {"AvailableZones": {}}, {"AvailableZones": ""}])
def test_on_sale_when_nothing_is_told_then_is_nothing(answer: dict[str, Any]) -> None:
    assert answers.on_sale(answer) == ()


def test_on_sale_when_sizes_are_odd_then_they_are_not_known() -> None:
    (found,) = sold({"Value": "cloud_auto", "Min": "?", "Max": None})
    assert (found.least_gib, found.most_gib) == (0, 0)
