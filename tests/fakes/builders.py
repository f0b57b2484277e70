"""Short ways to make values for tests; every default is a valid, ordinary machine."""

from __future__ import annotations

from datetime import datetime, timezone

from snap_self.model.disks import (
    MOUNT,
    PARTITION,
    CloudDisk,
    Coverage,
    DiskKind,
    Filesystem,
    Layer,
    LocalDisk,
    Mount,
    Skipped,
    Span,
    Target,
)
from snap_self.model.flushing import FlushTarget
from snap_self.model.ids import DiskId, InstanceId, RunId, SnapshotId
from snap_self.model.request import Request
from snap_self.model.snapshots import InstanceState, Snapshot, SnapshotStatus
from snap_self.plan import Situation

INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
NOW = datetime(2026, 11, 22, 18, 39, 28, tzinfo=timezone.utc)
RUN = RunId("20261122t183928z-abcdef")


def cloud_disk(
    number: int = 1,
    *,
    category: str = "cloud_essd",
    status: str = "In_use",
    zone: str = "cn-hangzhou-i",
    multi_attach: bool = False,
    locks: tuple[str, ...] = (),
) -> CloudDisk:
    """Return the machine's disk of that number; number 1 is the system disk."""
    return CloudDisk(
        disk_id=DiskId(f"d-bp1aaaabbbbccccddd{number:02}"),
        name=f"disk{number}",
        serial=f"bp1aaaabbbbccccddd{number:02}",
        category=category,
        kind=DiskKind.SYSTEM if number == 1 else DiskKind.DATA,
        size_gib=40,
        status=status,
        zone=zone,
        device_label=f"/dev/xvd{chr(96 + number)}",
        attached_to=frozenset({INSTANCE}),
        multi_attach=multi_attach,
        encrypted=False,
        locks=locks,
    )


def filesystem(disk: str, path: str, fstype: str = "ext4") -> Filesystem:
    """Return a filesystem on one disk mounted at one place."""
    mount = Mount(
        mount_id=27,
        path=path,
        fstype=fstype,
        root="/",
        read_only=False,
        namespace=None,
        hidden=False,
    )
    return Filesystem(
        key=f"254:{len(path)}",
        fstype=fstype,
        source=f"/dev/{disk}1",
        mounts=(mount,),
        disks=frozenset({disk}),
        ways=(
            (
                Layer(kind=MOUNT, name=path),
                Layer(kind=PARTITION, name=f"{disk}1", device=f"{disk}1"),
                Layer(kind="disk", name=disk, device=disk),
            ),
        ),
        parents=frozenset(),
    )


def target(number: int = 1, path: str = "/", disk: CloudDisk | None = None) -> Target:
    """Return a chosen disk that carries one filesystem."""
    cloud = disk or cloud_disk(number)
    name = f"vd{chr(96 + number)}"
    local = LocalDisk(
        name=name,
        devno=f"254:{number * 16}",
        size_bytes=40 << 30,
        serial=cloud.serial,
        serial_from="sysfs",
        kind="disk",
    )
    return Target(
        cloud=cloud,
        local=local,
        how=f"serial {cloud.serial} in sysfs, attached here, both 40 GiB",
        filesystems=(filesystem(name, path),),
        why="all attached cloud disks",
    )


def coverage(
    *targets: Target,
    spans: tuple[Span, ...] = (),
    torn: tuple[Span, ...] = (),
    skipped: tuple[Skipped, ...] = (),
) -> Coverage:
    """Return what a run covers."""
    return Coverage(targets=targets, skipped=skipped, spans=spans, torn=torn, not_covered=())


def situation(
    *targets: Target,
    request: Request | None = None,
    covered: Coverage | None = None,
    instance: InstanceState | None = None,
    history: tuple[Snapshot, ...] = (),
    flushes: tuple[FlushTarget, ...] = (),
    busy: str = "",
) -> Situation:
    """Return everything the plan is made from."""
    return Situation(
        request=request or Request(before="os upgrade"),
        coverage=covered or coverage(*targets),
        instance_id=INSTANCE,
        instance=instance,
        run_id=RUN,
        now=NOW,
        flushes=flushes,
        history=history,
        busy=busy,
    )


def snapshot(
    number: int = 1,
    *,
    status: SnapshotStatus = SnapshotStatus.ACCOMPLISHED,
    progress: int = 100,
    available: bool = True,
    cut_time: datetime | None = NOW,
    tags: dict[str, str] | None = None,
) -> Snapshot:
    """Return a snapshot of the machine's disk of that number."""
    return Snapshot(
        snapshot_id=SnapshotId(f"s-bp1zzzzyyyyxxxxwww{number:02}"),
        name="before-os-upgrade",
        description="",
        disk_id=cloud_disk(number).disk_id,
        disk_kind="system" if number == 1 else "data",
        status=status,
        progress=progress,
        available=available,
        cut_time=cut_time,
        retention_days=None,
        size_gib=40,
        usage="none",
        group_id=None,
        tags=tags or {},
    )
