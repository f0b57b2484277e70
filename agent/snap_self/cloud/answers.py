"""The API's answers as values. Source: ECS API reference, the named operations.

What names a thing, or ties it to another, has to be there. All else is read as far as it can be: a
percentage that is none must not hide that the cut was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from snap_self.cloud.shape import Loose, Node
from snap_self.errors import CloudAnswerUnclear
from snap_self.model.disk_orders import OnSale
from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.executions import Execution, ExecutionTask
from snap_self.model.ids import DiskId, GroupId, InstanceId, SnapshotId
from snap_self.model.snapshots import (
    Cut,
    GroupMember,
    InstanceState,
    MemberDeletion,
    Snapshot,
    SnapshotGroup,
    SnapshotStatus,
)

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

# Members of a group show its id nowhere else; Alibaba's own CSI driver relies on this text too.
_FROM_GROUP = re.compile(r"Created_from_(ssg-[0-9A-Za-z]+)")
NOT_MULTI_ATTACH = ("", "disabled")


# Where the entries of a list stand, and what each is named by.
_LISTS: Mapping[str, tuple[str, str, str]] = {
    "DescribeDisks": ("Disks", "Disk", "DiskId"),
    "DescribeSnapshots": ("Snapshots", "Snapshot", "SnapshotId"),
    "DescribeSnapshotGroups": ("SnapshotGroups", "SnapshotGroup", "SnapshotGroupId"),
}


def next_token(answer: Mapping[str, Any], action: str) -> str:
    """Return where the next page begins; empty after the last."""
    return _root(answer, action).text("NextToken")


def entry_ids(answer: Mapping[str, Any], action: str) -> frozenset[str]:
    """Return what the entries of a page are named by, as far as that can be read."""
    outer, inner, name = _LISTS[action]
    with suppress(CloudAnswerUnclear):
        nodes = _root(answer, action).items(outer, inner)
        return frozenset(str(node.value.get(name)) for node in nodes)
    return frozenset()


def disks(answer: Mapping[str, Any]) -> tuple[CloudDisk, ...]:
    """Return the disks of DescribeDisks."""
    found = _root(answer, "DescribeDisks").required_items("Disks", "Disk")
    return tuple(_disk(node) for node in found)


def instances(answer: Mapping[str, Any]) -> tuple[InstanceState, ...]:
    """Return the instances of DescribeInstances."""
    found = _root(answer, "DescribeInstances").required_items("Instances", "Instance")
    return tuple(_instance(node) for node in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """An entry of a list that does not have the documented form.

    Args:
        name: its id, as far as it can be read.
        tags: the same of its tags, which say whether it is ours.
        why: what is wrong with it.
    """

    name: str
    tags: Mapping[str, str]
    why: str


def snapshots(
    answer: Mapping[str, Any], *, unclear: list[Unclear] | None = None
) -> tuple[Snapshot, ...]:
    """Return the snapshots of DescribeSnapshots.

    Args:
        unclear: gets those that cannot be understood; without it they are an error.
    """
    found = _root(answer, "DescribeSnapshots").required_items("Snapshots", "Snapshot")
    return tuple(_understood(found, _snapshot, "SnapshotId", unclear))


def groups(
    answer: Mapping[str, Any], *, unclear: list[Unclear] | None = None
) -> tuple[SnapshotGroup, ...]:
    """Return the groups of DescribeSnapshotGroups.

    Args:
        unclear: as for ``snapshots``.
    """
    root = _root(answer, "DescribeSnapshotGroups")
    found = root.required_items("SnapshotGroups", "SnapshotGroup")
    return tuple(_understood(found, _group, "SnapshotGroupId", unclear))


def created_snapshot(answer: Mapping[str, Any]) -> SnapshotId:
    """Return the id that CreateSnapshot gave."""
    return SnapshotId(_root(answer, "CreateSnapshot").identifier("SnapshotId"))


def started_execution(answer: Mapping[str, Any]) -> Execution:
    """Return what StartExecution started."""
    return _execution(_root(answer, "StartExecution").child("Execution"))


def executions(answer: Mapping[str, Any]) -> tuple[Execution, ...]:
    """Return the executions of ListExecutions."""
    found = _root(answer, "ListExecutions").plain_items("Executions")
    return tuple(_execution(node) for node in found)


def _execution(node: Node) -> Execution:
    read, text = Loose().read, node.text
    tags = read(node.child, "Tags", Node(path=node.path, value={}))
    return Execution(
        execution_id=node.identifier("ExecutionId"),
        status=read(text, "Status", ""),
        said=read(text, "StatusMessage", ""),
        by=read(text, "ExecutedBy", ""),
        began=read(node.instant, "StartDate", None),
        finished=read(node.instant, "EndDate", None),
        tags={key: value for key, value in tags.value.items() if isinstance(value, str)},
        tasks=_current_tasks(node),
    )


def _current_tasks(node: Node) -> tuple[str, ...]:
    if not isinstance(node.value.get("CurrentTasks"), list):
        return ()
    return tuple(each.text("TaskName") for each in node.plain_items("CurrentTasks"))


def execution_tasks(answer: Mapping[str, Any]) -> tuple[ExecutionTask, ...]:
    """Return the tasks of ListTaskExecutions."""
    found = _root(answer, "ListTaskExecutions").plain_items("TaskExecutions")
    return tuple(
        ExecutionTask(name=node.identifier("TaskName"), status=node.text("Status"))
        for node in found
    )


def created_group(answer: Mapping[str, Any]) -> GroupId:
    """Return the id that CreateSnapshotGroup gave."""
    return GroupId(_root(answer, "CreateSnapshotGroup").identifier("SnapshotGroupId"))


def created_disk(answer: Mapping[str, Any]) -> DiskId:
    """Return the id that CreateDisk gave."""
    return DiskId(_root(answer, "CreateDisk").identifier("DiskId"))


def on_sale(answer: Mapping[str, Any]) -> tuple[OnSale, ...]:
    """Return the categories of DescribeAvailableResource that are to be had now."""
    root = _root(answer, "DescribeAvailableResource")
    found: dict[str, OnSale] = {}
    for zone in root.items("AvailableZones", "AvailableZone"):
        for resource in zone.items("AvailableResources", "AvailableResource"):
            for each in resource.items("SupportedResources", "SupportedResource"):
                if _is_in_stock(each) and (category := each.text("Value")):
                    found[category] = OnSale(
                        category=category,
                        least_gib=Loose().read(each.number, "Min", 0),
                        most_gib=Loose().read(each.number, "Max", 0),
                    )
    return tuple(found.values())


def _is_in_stock(node: Node) -> bool:
    """Tell whether it is to be had now; one about which nothing is said may be."""
    stock = node.text("StatusCategory")
    return node.text("Status") in ("", "Available") and stock not in (
        "WithoutStock",
        "ClosedWithoutStock",
    )


def deletions(answer: Mapping[str, Any]) -> tuple[MemberDeletion, ...]:
    """Return what DeleteSnapshotGroup did to each member; HTTP 200 does not mean all are gone."""
    root = _root(answer, "DeleteSnapshotGroup")
    done = []
    read = Loose().read
    for node in root.items("OperationProgressSet", "OperationProgress"):
        deleted = node.text("OperationStatus") == "Success"
        for item in node.items("RelatedItemSet", "RelatedItem"):
            if item.text("Name") == "SnapshotId":
                done.append(
                    MemberDeletion(
                        snapshot_id=SnapshotId(item.identifier("Value")),
                        deleted=deleted,
                        api_code=node.text("ErrorCode"),
                        api_message=read(node.text, "ErrorMsg", ""),
                        request_id=read(root.text, "RequestId", ""),
                    )
                )
    return tuple(done)


def _understood(
    nodes: Iterator[Node], read: Callable[[Node], T], name: str, unclear: list[Unclear] | None
) -> Iterator[T]:
    for node in nodes:
        try:
            value = read(node)
        except CloudAnswerUnclear as error:
            if unclear is None:
                raise
            unclear.append(_unclear(node, name, error.message))
            continue
        yield value


def _unclear(node: Node, name: str, why: str) -> Unclear:
    """Return what can be read of a node that is not as documented."""
    loose = Loose()
    known = loose.read(node.optional_identifier, name, "")
    return Unclear(name=known, tags=_tags(node, loose), why=why)


def _root(answer: Mapping[str, Any], action: str) -> Node:
    return Node(path=action, value=answer)


def _disk(node: Node) -> CloudDisk:
    read, text = Loose().read, node.text
    return CloudDisk(
        disk_id=DiskId(node.identifier("DiskId")),
        name=read(text, "DiskName", ""),
        serial=read(text, "SerialNumber", "").strip(),
        category=read(text, "Category", ""),
        kind=_one_of(read(text, "Type", ""), DiskKind, DiskKind.UNKNOWN),
        size_gib=read(node.number, "Size", 0),
        status=read(text, "Status", ""),
        zone=read(text, "ZoneId", ""),
        device_label=read(text, "Device", ""),
        attached_to=_attached_to(node),
        multi_attach=read(text, "MultiAttach", "").lower() not in NOT_MULTI_ATTACH,
        encrypted=read(node.flag, "Encrypted", False),
        locks=_locks(node, "OperationLock"),
        level=read(text, "PerformanceLevel", ""),
        portable=_flag_or_none(node, "Portable") is not False,
        delete_with_instance=_flag_or_none(node, "DeleteWithInstance"),
        snapshot_id=read(node.optional_identifier, "SourceSnapshotId", ""),
        tags=_tags(node, Loose()),
    )


def _flag_or_none(node: Node, name: str) -> bool | None:
    """Return a truth value, None where the cloud tells none that can be read."""
    if node.value.get(name) in (None, ""):
        return None
    loose = Loose()
    value = loose.read(node.flag, name, False)
    return None if loose.unread else value


def _attached_to(node: Node) -> frozenset[InstanceId]:
    # InstanceId is empty for a multi-attach disk; Attachments name each instance.
    names = {node.optional_identifier("InstanceId")}
    try:
        entries = node.items("Attachments", "Attachment")
        names |= {entry.optional_identifier("InstanceId") for entry in entries}
    except CloudAnswerUnclear:
        if not any(names):
            raise
    return frozenset(InstanceId(name) for name in names if name)


def _instance(node: Node) -> InstanceState:
    read = Loose().read
    return InstanceState(
        instance_id=InstanceId(node.identifier("InstanceId")),
        status=read(node.text, "Status", ""),
        instance_type=read(node.text, "InstanceType", ""),
        locks=_locks(node, "LockReason"),
        stopped_mode=read(node.text, "StoppedMode", ""),
    )


def _snapshot(node: Node) -> Snapshot:
    loose = Loose()
    read, text = loose.read, node.text
    name, description = read(text, "SnapshotName", ""), read(text, "Description", "")
    group = _FROM_GROUP.search(name) or _FROM_GROUP.search(description)
    status = _one_of(read(text, "Status", ""), SnapshotStatus, SnapshotStatus.UNKNOWN)
    return Snapshot(
        snapshot_id=SnapshotId(node.identifier("SnapshotId")),
        name=name,
        description=description,
        # Empty once the source disk is released, as the documentation of that field leaves open.
        disk_id=DiskId(read(node.optional_identifier, "SourceDiskId", "")),
        disk_kind=read(text, "SourceDiskType", "").lower(),
        status=status,
        progress=read(node.percent, "Progress", None),
        available=read(node.flag, "Available", False),
        cut_time=read(node.instant, "CreationTime", None),
        retention_days=read(node.number, "RetentionDays", 0) or None,
        size_gib=read(node.number, "SourceDiskSize", 0),
        usage=read(text, "Usage", "") or "none",
        group_id=GroupId(group.group(1)) if group else None,
        tags=_tags(node, loose),
        automatic=read(text, "SnapshotType", "") in ("auto", "timer"),
        # Seen above 0 with snapshots that are finished.
        remaining_s=read(node.number, "RemainTime", 0) or None
        if status is SnapshotStatus.PROGRESSING
        else None,
        cut_unread=_cut_unread(node, loose.unread),
        unread=frozenset(loose.unread),
    )


def _cut_unread(node: Node, unread: Collection[str]) -> Cut:
    """Return what a ``CreationTime`` that is no time tells: it is empty until the cut is made."""
    if "CreationTime" not in unread:
        return Cut.NOT_YET
    return Cut.MADE if isinstance(node.value.get("CreationTime"), str) else Cut.NOT_KNOWN


def _group(node: Node) -> SnapshotGroup:
    loose = Loose()
    read, text = loose.read, node.text
    instance = read(node.optional_identifier, "InstanceId", "")
    return SnapshotGroup(
        group_id=GroupId(node.identifier("SnapshotGroupId")),
        name=read(text, "Name", ""),
        description=read(text, "Description", ""),
        status=_one_of(read(text, "Status", ""), SnapshotStatus, SnapshotStatus.UNKNOWN),
        instance_id=InstanceId(instance) if instance else None,
        created=read(node.instant, "CreationTime", None),
        members=tuple(_members(node)),
        tags=_tags(node, loose),
        unread=frozenset(loose.unread),
    )


def _members(node: Node) -> Iterator[GroupMember]:
    """Yield the members that have an id; those of a young group get theirs late."""
    for member in node.items("Snapshots", "Snapshot"):
        if member.optional_identifier("SnapshotId"):
            yield _member(member)


def _member(node: Node) -> GroupMember:
    read = Loose().read
    return GroupMember(
        snapshot_id=SnapshotId(node.identifier("SnapshotId")),
        disk_id=DiskId(read(node.optional_identifier, "SourceDiskId", "")),
        progress=read(node.percent, "Progress", None),
        available=read(node.flag, "Available", False),
    )


def _tags(node: Node, loose: Loose) -> Mapping[str, str]:
    # TagKey and TagValue in DescribeSnapshots, Key and Value in DescribeSnapshotGroups.
    try:
        tags = node.pairs("Tags", "Tag", key="TagKey", value="TagValue")
        return tags or node.pairs("Tags", "Tag", key="Key", value="Value")
    except CloudAnswerUnclear:
        loose.unread.add("Tags")
        return dict(_readable_tags(node.value.get("Tags")))


def _readable_tags(tags: object) -> Iterator[tuple[str, str]]:
    """Yield what can be read of tags that are not as documented."""
    listed = tags.get("Tag") if isinstance(tags, dict) else None
    for tag in listed if isinstance(listed, list) else ():
        if isinstance(tag, dict):
            key, value = tag.get("TagKey", tag.get("Key")), tag.get("TagValue", tag.get("Value"))
            if isinstance(key, str) and isinstance(value, str):
                yield key, value


def _locks(node: Node, inner: str) -> tuple[str, ...]:
    def reasons(outer: str) -> tuple[str, ...]:
        return tuple(lock.text("LockReason") or "unknown" for lock in node.items(outer, inner))

    return Loose().read(reasons, "OperationLocks", ())


def _one_of(word: str, kinds: type[E], otherwise: E) -> E:
    try:
        return kinds(word.lower())
    except ValueError:
        return otherwise
