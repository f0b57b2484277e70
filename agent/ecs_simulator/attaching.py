"""How disks come to an instance and leave it.

A machine that has a disk mounted does not let go of it: then the disk stays ``Detaching``, the
cloud asks again and again, and no device of that instance arrives meanwhile. That is noted as a
fault of the program on the instance. An instance that is off holds nothing.

Source: AttachDisk and DetachDisk of the ECS API reference. What is blocked by a disk that is not
let go: issues 1330 and 1413 of kubernetes-sigs/alibaba-cloud-csi-driver.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isinf

from ecs_simulator.cloud import Cloud
from ecs_simulator.ports import StillInUse
from ecs_simulator.records import Disk, GuestFault, Instance

IN_USE = "detached-in-use"
# A machine that takes longer to let go of a disk has it in use, whether that is proved or not.
SLOW_S = 30.0


def later(
    cloud: Cloud,
    action: str,
    disk: Disk,
    finish: Callable[[], None],
    fail: Callable[[], None] | None = None,
) -> None:
    """Finish an operation after its time; if the storage fails, the disk stays as it is."""
    cloud.pace.begin(action, disk.disk_id, lambda: _noting(cloud, disk, finish), fail)


def _noting(cloud: Cloud, disk: Disk, finish: Callable[[], None]) -> None:
    try:
        finish()
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        cloud.storage_faults.append(f"{disk.status} {disk.disk_id}: {error}")


def begin_attach(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    """Begin to attach a disk that was checked; the caller holds the state's lock."""
    before = disk.status
    with cloud.changing(disk):
        disk.status = "Attaching"
    disk.bound_for = instance_id

    def fail() -> None:
        with cloud.changing(disk):
            disk.status, disk.bound_for = before, ""

    later(cloud, "AttachDisk", disk, lambda: _attached(cloud, disk, instance_id), fail)


def _attached(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    if instance_id not in cloud.state.instances:  # released meanwhile
        with cloud.changing(disk):
            disk.status, disk.bound_for = "Available", ""
        return
    late = cloud.device_lag_s > 0 or _blocked(cloud, instance_id)
    if not late:
        cloud.storage.attach(disk.disk_id)
    with cloud.changing(disk):
        disk.bound_for = ""
        cloud.place(disk, instance_id)
        attached_at = disk.attached_at
    if late and not isinf(cloud.device_lag_s):
        _arrive_later(cloud, disk, attached_at, cloud.device_lag_s)


def _arrive_later(cloud: Cloud, disk: Disk, attached_at: float | None, wait_s: float) -> None:
    """Have the device appear, if the disk is still attached then."""

    def run() -> None:
        with cloud.state.lock:
            here = disk.status == "In_use" and disk.attached_at == attached_at
            blocked = any(_blocked(cloud, name) for name in disk.instance_ids)
        if here and blocked:
            _arrive_later(cloud, disk, attached_at, cloud.config.detach_retry_s)
        elif here:
            cloud.storage.attach(disk.disk_id)

    cloud.agenda.after(wait_s, lambda: _noting(cloud, disk, run))


def _blocked(cloud: Cloud, instance_id: str) -> bool:
    return any(
        fault.instance_id == instance_id and fault.over_at is None for fault in cloud.guest_faults
    )


def begin_detach(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    """Begin to detach a disk that was checked; the caller holds the state's lock."""
    with cloud.changing(disk):
        disk.status = "Detaching"

    def fail() -> None:
        with cloud.changing(disk):
            disk.status = "In_use"

    later(cloud, "DetachDisk", disk, lambda: _detach(cloud, disk, instance_id), fail)


def _detach(cloud: Cloud, disk: Disk, instance_id: str, since: float | None = None) -> None:
    """Take the disk from the instance, or ask again later.

    Args:
        since: when the machine was asked first, on the monotonic clock.
    """
    instance = cloud.state.instances.get(instance_id)
    if instance is None or instance_id not in disk.instance_ids or disk.status != "Detaching":
        return  # released, or taken by force, meanwhile
    now = cloud.clock.monotonic()
    since = now if since is None else since
    try:
        if instance.status == "Stopped":
            cloud.storage.pull(disk.disk_id)
        else:
            cloud.storage.detach(disk.disk_id)
    except StillInUse as error:
        if error.proved or now - since >= SLOW_S:
            _note_fault(cloud, disk, instance_id)
        again = partial(_detach, cloud, disk, instance_id, since)
        cloud.agenda.after(cloud.config.detach_retry_s, partial(_noting, cloud, disk, again))
        return
    leave(cloud, disk, instance_id)


def _note_fault(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    with cloud.state.lock:
        if not any(f.disk_id == disk.disk_id and f.over_at is None for f in cloud.guest_faults):
            now = cloud.clock.now()
            cloud.guest_faults.append(
                GuestFault(what=IN_USE, disk_id=disk.disk_id, instance_id=instance_id, began_at=now)
            )


def leave(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    """Note that a disk is no longer attached to an instance."""
    with cloud.changing(disk):
        now = cloud.clock.now()
        disk.instance_ids.remove(instance_id)
        disk.status = "In_use" if disk.instance_ids else "Available"
        disk.detached_at = now
        if not disk.instance_ids:
            disk.device = ""
            disk.attached_s += now - (disk.attached_at or now)
        for fault in cloud.guest_faults:
            if fault.disk_id == disk.disk_id and fault.over_at is None:
                fault.over_at = now


def moving(cloud: Cloud, instance_id: str, status: str) -> int:
    """Return how many disks are on their way to an instance (Attaching) or from it (Detaching)."""
    return sum(
        disk.status == status and instance_id in (disk.bound_for, *disk.instance_ids)
        for disk in cloud.state.disks.values()
    )


def release(cloud: Cloud, instance: Instance) -> None:
    """Take away an instance: its disks go with it where they shall, the others become free."""
    with cloud.state.lock:
        cloud.state.instances.pop(instance.instance_id, None)
        disks = cloud.state.disks_of(instance.instance_id)
        locked = "security" in instance.locks
    for disk in disks:
        _noting(cloud, disk, partial(_release_disk, cloud, disk, instance, locked=locked))


def _release_disk(cloud: Cloud, disk: Disk, instance: Instance, *, locked: bool) -> None:
    if len(disk.instance_ids) == 1:
        cloud.storage.pull(disk.disk_id)
    leave(cloud, disk, instance.instance_id)
    goes = disk.delete_with_instance or locked
    if not disk.instance_ids and goes and disk.multi_attach != "Enabled":
        remove(cloud, disk)
    elif not disk.instance_ids:
        # It stays as a pay-as-you-go data disk.
        with cloud.changing(disk):
            disk.kind, disk.portable = "data", True


def remove(cloud: Cloud, disk: Disk) -> None:
    """Delete a free disk; its snapshots stay."""
    with cloud.changing(disk):
        cloud.state.drop_disk(disk.disk_id, cloud.clock.now())
    cloud.agenda.after(0.0, lambda: cloud.storage.delete_disk(disk.disk_id))
