"""Load recorded machines: the kernel's text, the cloud's disk list and what must come of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snap_self.disks import recording
from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, InstanceId
from snap_self.model.machine import MachineText

FOLDER = Path(__file__).resolve().parents[1] / "machines"
INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")


def names() -> list[str]:
    """Return the names of the recorded machines."""
    return sorted(path.parent.name for path in FOLDER.glob("*/machine.json"))


def machine(name: str) -> MachineText:
    """Return what the kernel said."""
    path = FOLDER / name / "machine.json"
    return recording.load(path.read_text("utf-8"), origin=str(path))


def cloud_disks(name: str) -> list[CloudDisk]:
    """Return what the cloud said."""
    return disks_of(json.loads((FOLDER / name / "describe_disks.json").read_text("utf-8")))


def expected(name: str) -> Mapping[str, Any]:
    """Return what must come of both."""
    loaded: Mapping[str, Any] = json.loads((FOLDER / name / "expected.json").read_text("utf-8"))
    return loaded


def disks_of(answer: Mapping[str, Any]) -> list[CloudDisk]:
    """Return the disks of a DescribeDisks answer."""
    return [_disk(item) for item in answer["Disks"]["Disk"]]


def answer_of(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a DescribeDisks answer with these disks."""
    return {
        "RequestId": "473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E",
        "TotalCount": len(items),
        "PageNumber": 1,
        "PageSize": 100,
        "NextToken": "",
        "Disks": {"Disk": list(items)},
    }


def described(
    serial: str,
    gib: int,
    *,
    kind: str = "data",
    category: str = "cloud_essd",
    device: str = "/dev/xvdb",
    disk_id: str = "",
    instances: Sequence[str] = (INSTANCE,),
    multi_attach: bool = False,
    zone: str = "cn-hangzhou-i",
) -> dict[str, Any]:
    """Return one disk as DescribeDisks shows it."""
    sole = instances[0] if len(instances) == 1 and not multi_attach else ""
    return {
        "DiskId": disk_id or f"d-{serial}",
        "DiskName": kind,
        "Description": "",
        "SerialNumber": serial,
        "RegionId": "cn-hangzhou",
        "ZoneId": zone,
        "Type": kind,
        "Category": category,
        "Size": gib,
        "Status": "In_use" if instances else "Available",
        "Device": device if sole else "",
        "InstanceId": sole,
        "MultiAttach": "Enabled" if multi_attach else "Disabled",
        "Encrypted": False,
        "KMSKeyId": "",
        "Portable": kind == "data",
        "DeleteWithInstance": kind == "system",
        "DiskChargeType": "PostPaid",
        "CreationTime": "2026-06-07T06:08:54Z",
        "AttachedTime": "2026-06-07T06:08:56Z" if instances else "",
        "SourceSnapshotId": "",
        "ResourceGroupId": "",
        "BdfId": "",
        "Attachments": {
            "Attachment": [
                {"InstanceId": name, "Device": device, "AttachedTime": "2026-06-07T06:08:56Z"}
                for name in instances
            ]
        },
        "MountInstances": {"MountInstance": []},
        "OperationLocks": {"OperationLock": []},
        "Tags": {"Tag": []},
    }


def _disk(item: Mapping[str, Any]) -> CloudDisk:
    attached = {entry["InstanceId"] for entry in item["Attachments"]["Attachment"]}
    locks = item["OperationLocks"]["OperationLock"]
    return CloudDisk(
        disk_id=DiskId(item["DiskId"]),
        name=item["DiskName"],
        serial=item["SerialNumber"],
        category=item["Category"],
        kind=DiskKind(item["Type"]),
        size_gib=item["Size"],
        status=item["Status"],
        zone=item["ZoneId"],
        device_label=item["Device"],
        attached_to=frozenset({item["InstanceId"], *attached} - {""}),
        multi_attach=item["MultiAttach"] == "Enabled",
        encrypted=item["Encrypted"],
        locks=tuple(lock["LockReason"] for lock in locks),
        portable=item["Portable"],
        delete_with_instance=item["DeleteWithInstance"],
        snapshot_id=item["SourceSnapshotId"],
        tags={tag["TagKey"]: tag["TagValue"] for tag in item["Tags"]["Tag"]},
    )
