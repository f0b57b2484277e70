"""The calls that make a disk of a snapshot, attach it, and do away with it again.

A lost answer to any of them leaves nothing behind that is not found again: the creation carries a
token, the others are looked after when a second try is refused because the first was heard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress

from snap_self.cloud import answers
from snap_self.cloud.caller import Caller
from snap_self.cloud.disk_codes import (
    is_being_detached,
    is_not_attached,
    may_be_attached,
    may_be_detaching,
)
from snap_self.cloud.params import given, tag_params
from snap_self.errors import ApiFault, PermissionRefused, ResourceGone, SnapSelfError
from snap_self.model.disk_orders import DiskOrder, OnSale
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId, InstanceId

AUTO, REGIONAL = "cloud_auto", "cloud_regional_disk_auto"
ATTACHING, DETACHING = "Attaching", "Detaching"
LOOK_S = 5.0
# A list may not show for so long what was done.
LATE_S = 60.0
LOOK_PAUSE_S = 1.0
# How often a want of permission is asked about anew while a disk is young.
YOUNG_PAUSE_S = 2.0


class EcsTemporaryDisks:
    """Implement ``ports.TemporaryDisks``; safe to use from several threads.

    Args:
        caller: of the client whose connections, keys and known limits are shared.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._call, self._pages = caller.call, caller.pages

    def create_disk(self, order: DiskOrder, *, deadline_s: float | None = None) -> DiskId:
        """Ask for a disk; the same order always names the same disk.

        Neither ``Encrypted`` nor ``KMSKeyId`` is sent: then the disk is encrypted as the snapshot
        is, with the same key, and a plain one as the account has it.
        """
        choice = order.choice
        params = {
            "SnapshotId": order.snapshot_id,
            "Size": str(choice.size_gib),
            "DiskCategory": choice.category,
            "ClientToken": order.client_token,
            # One that is in several zones names none.
            **given(ZoneId="" if choice.category == REGIONAL else order.zone),
            **given(PerformanceLevel=choice.level, DiskName=order.name),
            # What it does in bursts would be billed apart.
            **given(BurstingEnabled="false" if choice.category == AUTO else ""),
            **tag_params(order.tags),
        }
        return answers.created_disk(self._call("CreateDisk", params, deadline_s=deadline_s))

    def attach_disk(
        self,
        disk_id: DiskId,
        instance_id: InstanceId,
        *,
        deadline_s: float | None = None,
        young_s: float = 0.0,
        released: bool | None = True,
    ) -> None:
        """Attach it; one that is attached there is no error.

        Args:
            released: with the instance; None to leave that to the cloud.
        """
        with_instance = "" if released is None else str(released).lower()
        params = {
            "InstanceId": instance_id,
            "DiskId": disk_id,
            **given(DeleteWithInstance=with_instance),
        }
        end = self._caller.end(deadline_s)

        def attach(left_s: float) -> None:
            self._call("AttachDisk", params, deadline_s=left_s, about=(disk_id,))

        try:
            self._while_young(attach, end - self._look_s(end), young_s)
        except ApiFault as error:
            if not may_be_attached(error):
                raise
            if not self._was_heard(error, disk_id, end, lambda disk: _is_coming(disk, instance_id)):
                raise

    def detach_disk(
        self, disk_id: DiskId, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> bool:
        """Detach it; return False if it is not attached there, or gone."""
        params = {"InstanceId": instance_id, "DiskId": disk_id}
        end = self._caller.end(deadline_s)
        left_s = self._caller.left(end) - self._look_s(end)
        try:
            self._call("DetachDisk", params, deadline_s=left_s, about=(disk_id,))
        except ApiFault as error:
            if is_not_attached(error):
                return False
            if is_being_detached(error):
                return True
            if not may_be_detaching(error):
                raise
            if not self._was_heard(error, disk_id, end, lambda disk: disk.status == DETACHING):
                raise
        return True

    def delete_disk(
        self, disk_id: DiskId, *, deadline_s: float | None = None, young_s: float = 0.0
    ) -> None:
        """Delete it; one that is gone already is no error."""

        def delete(left_s: float) -> None:
            with suppress(ResourceGone):
                self._call("DeleteDisk", {"DiskId": disk_id}, deadline_s=left_s, about=(disk_id,))

        self._while_young(delete, self._caller.end(deadline_s), young_s)

    def disk(self, disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        """Return a disk, None if the cloud shows none: gone, not shown yet, or not allowed."""
        params = {"DiskIds": json.dumps([disk_id])}
        answer = self._call("DescribeDisks", params, deadline_s=deadline_s)
        return next((one for one in answers.disks(answer) if one.disk_id == disk_id), None)

    def disks_by_tag(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[CloudDisk, ...]:
        """Return the disks that carry all of these tags; none proves nothing, as for ``disk``."""
        pages = self._pages("DescribeDisks", tag_params(tags), deadline_s=deadline_s)
        found = {disk.disk_id: disk for page in pages for disk in answers.disks(page)}
        # Whatever the filter let through: what is not marked so is none of ours.
        return tuple(one for one in found.values() if tags.items() <= one.tags.items())

    def on_sale(
        self, *, zone: str, instance_type: str, deadline_s: float | None = None
    ) -> tuple[OnSale, ...]:
        """Return the categories of data disks that are to be had for such an instance now."""
        params = {
            "DestinationResource": "DataDisk",
            "ZoneId": zone,
            "InstanceChargeType": "PostPaid",
            **given(InstanceType=instance_type),
        }
        answer = self._call(
            "DescribeAvailableResource", params, deadline_s=deadline_s, optional=True
        )
        return answers.on_sale(answer)

    def _look_s(self, end: float) -> float:
        """Return how much of the time is kept for a look at the disk after a refusal."""
        return min(LOOK_S, max(0.0, self._caller.left(end)) / 4)

    def _was_heard(
        self, error: ApiFault, disk_id: DiskId, end: float, shows: Callable[[CloudDisk], bool]
    ) -> bool:
        """Tell whether a call was refused because an earlier try of it had been heard.

        Where a try got no answer it is looked for again and again: lists show a change late.
        """
        until = min(end, self._caller.end(LATE_S if error.maybe_done else 0.0))
        while True:
            seen = self._seen(disk_id, end)
            if seen is not None and shows(seen):
                return True
            if self._caller.left(until) < LOOK_PAUSE_S:
                return False
            self._caller.pause(LOOK_PAUSE_S)

    def _seen(self, disk_id: DiskId, end: float) -> CloudDisk | None:
        """Return a disk after a refusal, which is what there is to tell if it cannot be seen."""
        with suppress(SnapSelfError):
            return self.disk(disk_id, deadline_s=self._caller.left(end))
        return None

    def _while_young(self, call: Callable[[float], None], end: float, young_s: float) -> None:
        """Make a call; wait a want of permission out for so long, within the time allowed."""
        young_until = min(end, self._caller.end(young_s))
        while True:
            try:
                call(self._caller.left(end))
            except PermissionRefused:
                if self._caller.left(young_until) < YOUNG_PAUSE_S:
                    raise
                self._caller.pause(YOUNG_PAUSE_S)
            else:
                return


def _is_coming(disk: CloudDisk, instance_id: InstanceId) -> bool:
    """Tell whether a disk is attached to an instance or about to be.

    While it is being attached the cloud may not tell to which one; it is asked for once only.
    """
    if disk.attached_to:
        return instance_id in disk.attached_to and disk.status != DETACHING
    return disk.status == ATTACHING
