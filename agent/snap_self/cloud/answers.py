"""The API's answers as values. Source: ECS API reference, the named operations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from snap_self.cloud.shape import Node
from snap_self.errors import CloudAnswerUnclear
from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, GroupId, InstanceId, SnapshotId
from snap_self.model.snapshots import (
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
NOT_MULTI_ATTACH = ("", "Disabled")


def next_token(answer: Mapping[str, Any], action: str) -> str:
    """Return where the next page begins; empty after the last."""
    return _root(answer, action).text("NextToken")


def disks(answer: Mapping[str, Any]) -> tuple[CloudDisk, ...]:
    """Return the disks of DescribeDisks."""
    found = _root(answer, "DescribeDisks").required_items("Disks", "Disk")
    return tuple(_disk(node) for node in found)


def instances(answer: Mapping[str, Any]) -> tuple[InstanceState, ...]:
    """Return the instances of DescribeInstances."""
    found = _root(answer, "DescribeInstances").required_items("Instances", "Instance")
    return tuple(
        InstanceState(
            instance_id=InstanceId(node.identifier("InstanceId")),
            status=node.text("Status"),
            instance_type=node.text("InstanceType"),
            locks=_locks(node, "LockReason"),
        )
        for node in found
    )


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


def created_group(answer: Mapping[str, Any]) -> GroupId:
    """Return the id that CreateSnapshotGroup gave."""
    return GroupId(_root(answer, "CreateSnapshotGroup").identifier("SnapshotGroupId"))


def deletions(answer: Mapping[str, Any]) -> tuple[MemberDeletion, ...]:
    """Return what DeleteSnapshotGroup did to each member; HTTP 200 does not mean all are gone."""
    root = _root(answer, "DeleteSnapshotGroup")
    done = []
    for node in root.items("OperationProgressSet", "OperationProgress"):
        deleted = node.text("OperationStatus") == "Success"
        for item in node.items("RelatedItemSet", "RelatedItem"):
            if item.text("Name") == "SnapshotId":
                done.append(
                    MemberDeletion(
                        snapshot_id=SnapshotId(item.identifier("Value")),
                        deleted=deleted,
                        api_code=node.text("ErrorCode"),
                    )
                )
    return tuple(done)


def tagged(answer: Mapping[str, Any]) -> tuple[tuple[SnapshotId, str, str], ...]:
    """Return resource, key and value of each tag in ListTagResources."""
    root = _root(answer, "ListTagResources")
    return tuple(
        (SnapshotId(node.identifier("ResourceId")), node.text("TagKey"), node.text("TagValue"))
        for node in root.items("TagResources", "TagResource")
    )


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
    known, tags = "", {}
    with suppress(CloudAnswerUnclear):
        known = node.optional_identifier(name)
    with suppress(CloudAnswerUnclear):
        tags = dict(_tags(node))
    return Unclear(name=known, tags=tags, why=why)


def _root(answer: Mapping[str, Any], action: str) -> Node:
    return Node(path=action, value=answer)


def _disk(node: Node) -> CloudDisk:
    # InstanceId is empty for a multi-attach disk; Attachments name each instance.
    attached = {node.optional_identifier("InstanceId")}
    attached |= {
        a.optional_identifier("InstanceId") for a in node.items("Attachments", "Attachment")
    }
    return CloudDisk(
        disk_id=DiskId(node.identifier("DiskId")),
        name=node.text("DiskName"),
        serial=node.text("SerialNumber").strip(),
        category=node.text("Category"),
        kind=_one_of(node, "Type", DiskKind),
        size_gib=node.number("Size"),
        status=node.text("Status"),
        zone=node.text("ZoneId"),
        device_label=node.text("Device"),
        attached_to=frozenset(InstanceId(name) for name in attached if name),
        multi_attach=node.text("MultiAttach") not in NOT_MULTI_ATTACH,
        encrypted=node.flag("Encrypted"),
        locks=_locks(node, "OperationLock"),
    )


def _snapshot(node: Node) -> Snapshot:
    name, description = node.text("SnapshotName"), node.text("Description")
    group = _FROM_GROUP.search(name) or _FROM_GROUP.search(description)
    return Snapshot(
        snapshot_id=SnapshotId(node.identifier("SnapshotId")),
        name=name,
        description=description,
        # Empty once the source disk is released, as the documentation of that field leaves open.
        disk_id=DiskId(node.optional_identifier("SourceDiskId")),
        disk_kind=node.text("SourceDiskType").lower(),
        status=_one_of(node, "Status", SnapshotStatus),
        progress=min(node.number("Progress"), 100),
        available=node.flag("Available"),
        cut_time=node.instant("CreationTime"),
        retention_days=node.number("RetentionDays") or None,
        size_gib=node.number("SourceDiskSize"),
        usage=node.text("Usage") or "none",
        group_id=GroupId(group.group(1)) if group else None,
        tags=_tags(node),
        automatic=node.text("SnapshotType") in ("auto", "timer"),
    )


def _group(node: Node) -> SnapshotGroup:
    instance = node.optional_identifier("InstanceId")
    return SnapshotGroup(
        group_id=GroupId(node.identifier("SnapshotGroupId")),
        name=node.text("Name"),
        description=node.text("Description"),
        status=_one_of(node, "Status", SnapshotStatus),
        instance_id=InstanceId(instance) if instance else None,
        created=node.instant("CreationTime"),
        members=tuple(
            GroupMember(
                snapshot_id=SnapshotId(member.identifier("SnapshotId")),
                disk_id=DiskId(member.optional_identifier("SourceDiskId")),
                progress=min(member.number("Progress"), 100),
                available=member.flag("Available"),
            )
            for member in node.items("Snapshots", "Snapshot")
        ),
        tags=_tags(node),
    )


def _tags(node: Node) -> Mapping[str, str]:
    # TagKey and TagValue in DescribeSnapshots, Key and Value in DescribeSnapshotGroups.
    tags = node.pairs("Tags", "Tag", key="TagKey", value="TagValue")
    return tags or node.pairs("Tags", "Tag", key="Key", value="Value")


def _locks(node: Node, inner: str) -> tuple[str, ...]:
    locks = node.items("OperationLocks", inner)
    return tuple(lock.text("LockReason") or "unknown" for lock in locks)


def _one_of(node: Node, name: str, kinds: type[E]) -> E:
    try:
        return kinds(node.text(name).lower())
    except ValueError:
        values = ", ".join(str(kind.value) for kind in kinds)
        raise node.unclear(name, f"is none of {values}") from None
