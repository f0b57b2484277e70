"""The ECS calls that the agent makes: parameters in, values out, each tried until its deadline.

A call that changes something is safe to repeat: creations carry a client token and keep all their
parameters, the others come to the same when done twice. So a lost reply never makes a second
snapshot.

A describe that finds nothing may also have been denied: for RAM, "not allowed to see" is an empty
list and no error. Whoever gets an empty answer must not take it as proof of absence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy

from snap_self.cloud import answers
from snap_self.cloud.caller import Caller
from snap_self.cloud.codes import is_no_group, is_no_snapshot
from snap_self.cloud.hosts import NO_DETOUR, Detour
from snap_self.cloud.params import chunks, given, numbered, tag_params
from snap_self.errors import ApiFault, CloudThrottled
from snap_self.model.actions import CREATES, TEMPLATE, Holder
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId
from snap_self.model.snapshots import (
    Credentials,
    InstanceState,
    MemberDeletion,
    Snapshot,
    SnapshotGroup,
    SnapshotOrder,
    SnapshotStatus,
)
from snap_self.ports import Clock, Rpc, RpcFailed

# Most of each in one call. Source: ECS API reference, the operations' parameters.
SNAPSHOT_IDS = 100
GROUP_IDS = 10
RESOURCE_IDS = 50


class EcsClient:
    """Calls one region's ECS API; safe to use from several threads.

    ``deadline_s`` bounds a method as a whole, with all its tries, waits and pages; without it the
    job's end does (``until``), and where there is none, ``caller.DEADLINE_S``. Every method
    raises what ``cloud.faults`` makes of a refusal, ``CloudUnreachable`` when no answer came and
    ``CloudAnswerUnclear`` when an answer is not as documented.

    A call that is ``optional`` gives only advice: throttled, it is not sent again but raises
    ``CloudThrottled`` at once. Any other trouble is waited out within its deadline as ever.

    Args:
        rpc, region, credentials, clock, random, on_retry, elsewhere, holder: as for ``Caller``.

    Attributes:
        caller: sends the calls; another set of calls is built over it, with the same connections,
            keys and known limits.
    """

    def __init__(
        self,
        rpc: Rpc,
        *,
        region: RegionId,
        credentials: Callable[[bool], Credentials],
        clock: Clock,
        random: Callable[[], float],
        on_retry: Callable[[str], None] = lambda _text: None,
        elsewhere: Callable[[RpcFailed, float], Detour] = lambda _failure, _window_s: NO_DETOUR,
        holder: Holder = TEMPLATE,
    ) -> None:
        caller = Caller(
            rpc,
            region=region,
            credentials=credentials,
            clock=clock,
            random=random,
            on_retry=on_retry,
            elsewhere=elsewhere,
            holder=holder,
        )
        self._use(caller)

    def _use(self, caller: Caller) -> None:
        self.caller = caller
        self._call, self._pages = caller.call, caller.pages
        self._end, self._left = caller.end, caller.left

    def until(self, job_end: float | None) -> EcsClient:
        """Return a client that shares connections, keys and known limits with this one.

        Args:
            job_end: every call ends by then, on the monotonic clock, and has no other end unless
                ``deadline_s`` is given; None for none.
        """
        return self._with(self.caller.until(job_end))

    def in_passing(self, limit_s: float) -> EcsClient:
        """Return this client for what is only of use: each of its calls is optional, and all of
        them together take at most so long.
        """
        return self._with(self.caller.in_passing(limit_s))

    def _with(self, caller: Caller) -> EcsClient:
        other = copy(self)
        other._use(caller)
        return other

    def creates_only_refused(self) -> bool:
        """Tell whether creates were sent, and none of them can have made anything."""
        return self.caller.only_refused(CREATES)

    @property
    def created_with(self) -> str:
        """The source of the keys with which something was made; empty if nothing was."""
        return self.caller.keys_for(CREATES)

    def warm(self, instance_id: InstanceId, *, deadline_s: float | None = None) -> None:
        """Look up the host and open a connection that later calls use, by a cheap question.

        A throttled answer has come over that connection too.
        """
        params = {"InstanceIds": json.dumps([instance_id])}
        with suppress(CloudThrottled):
            self._call(
                "DescribeInstances", params, deadline_s=deadline_s, optional=True, anyway=True
            )

    def describe_disks(
        self, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> tuple[CloudDisk, ...]:
        """Return the disks attached to an instance."""
        pages = self._pages("DescribeDisks", {"InstanceId": instance_id}, deadline_s=deadline_s)
        found = {disk.disk_id: disk for page in pages for disk in answers.disks(page)}
        return tuple(found.values())

    def describe_instance(
        self, instance_id: InstanceId, *, deadline_s: float | None = None, optional: bool = False
    ) -> InstanceState | None:
        """Return an instance's state, None if the cloud shows no such instance."""
        params = {"InstanceIds": json.dumps([instance_id])}
        answer = self._call("DescribeInstances", params, deadline_s=deadline_s, optional=optional)
        found = answers.instances(answer)
        return next((each for each in found if each.instance_id == instance_id), None)

    def describe_snapshots(
        self,
        *,
        ids: Sequence[SnapshotId] | None = None,
        instance_id: InstanceId | None = None,
        disk_id: DiskId | None = None,
        tags: Mapping[str, str] | None = None,
        status: SnapshotStatus | None = None,
        max_pages: int | None = None,
        deadline_s: float | None = None,
        optional: bool = False,
        unclear: list[answers.Unclear] | None = None,
    ) -> tuple[Snapshot, ...]:
        """Return the snapshots that fit all conditions given, newest first as the API has it.

        Args:
            ids: unknown ones are left out; none at all makes no call.
            max_pages: stop after so many pages of 100, whatever is left.
            unclear: gets entries that are not as documented; without it one is an error.
        """
        if ids is not None and not ids:
            return ()
        params = given(InstanceId=instance_id, DiskId=disk_id, Status=status and status.value)
        params |= tag_params(tags or {})
        end = self._end(deadline_s)
        found: dict[SnapshotId, Snapshot] = {}
        for some in chunks(ids, SNAPSHOT_IDS) if ids is not None else (None,):
            own = params if some is None else {**params, "SnapshotIds": json.dumps(list(some))}
            pages = self._pages(
                "DescribeSnapshots",
                own,
                deadline_s=self._left(end),
                max_pages=max_pages,
                optional=optional,
            )
            for page in pages:
                shots = answers.snapshots(page, unclear=unclear)
                found.update((shot.snapshot_id, shot) for shot in shots)
        return tuple(found.values())

    def describe_groups(
        self,
        *,
        ids: Sequence[GroupId] | None = None,
        instance_id: InstanceId | None = None,
        tags: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        optional: bool = False,
        unclear: list[answers.Unclear] | None = None,
    ) -> tuple[SnapshotGroup, ...]:
        """Return the snapshot-consistent groups that fit all conditions given.

        Args:
            unclear: as for ``describe_snapshots``.
        """
        if ids is not None and not ids:
            return ()
        params = given(InstanceId=instance_id) | tag_params(tags or {})
        end = self._end(deadline_s)
        found: dict[GroupId, SnapshotGroup] = {}
        for some in chunks(ids, GROUP_IDS) if ids is not None else ((),):
            own = {**params, **numbered("SnapshotGroupId", some)}
            pages = self._pages(
                "DescribeSnapshotGroups", own, deadline_s=self._left(end), optional=optional
            )
            for page in pages:
                groups = answers.groups(page, unclear=unclear)
                found.update((group.group_id, group) for group in groups)
        return tuple(found.values())

    def create_snapshot(
        self, order: SnapshotOrder, *, deadline_s: float, hurried: bool = False
    ) -> SnapshotId:
        """Ask for a snapshot of one disk; the same order always names the same snapshot.

        Args:
            hurried: filesystems are frozen, so wait for no trouble that lasts longer than that may.
        """
        (disk_id,) = order.disk_ids
        params = {"DiskId": disk_id, **given(SnapshotName=order.name), **_order_params(order)}
        if order.retention_days is not None:
            params["RetentionDays"] = str(order.retention_days)
        answer = self._call(
            "CreateSnapshot", params, deadline_s=deadline_s, hurried=hurried, about=order.disk_ids
        )
        return answers.created_snapshot(answer)

    def create_group(
        self,
        order: SnapshotOrder,
        *,
        instance_id: InstanceId,
        deadline_s: float,
        hurried: bool = False,
    ) -> GroupId:
        """Ask for a snapshot-consistent group; the same order always names the same group.

        Args:
            hurried: as for ``create_snapshot``.
        """
        params = {
            "InstanceId": instance_id,
            **numbered("DiskId", order.disk_ids),
            **given(Name=order.name),
            **_order_params(order),
        }
        answer = self._call(
            "CreateSnapshotGroup",
            params,
            deadline_s=deadline_s,
            hurried=hurried,
            about=order.disk_ids,
        )
        return answers.created_group(answer)

    def set_retention(
        self,
        snapshot_id: SnapshotId,
        days: int,
        *,
        deadline_s: float | None = None,
        optional: bool = False,
    ) -> None:
        """Set for how many days from its creation a snapshot is kept; the API only extends."""
        params = {"SnapshotId": snapshot_id, "RetentionDays": str(days)}
        self._call("ModifySnapshotAttribute", params, deadline_s=deadline_s, optional=optional)

    def tag_snapshots(
        self,
        ids: Sequence[SnapshotId],
        tags: Mapping[str, str],
        *,
        deadline_s: float | None = None,
    ) -> None:
        """Add tags to snapshots; groups cannot be tagged after their creation."""
        end = self._end(deadline_s)
        for some in chunks(ids, RESOURCE_IDS):
            params = {"ResourceType": "snapshot", **numbered("ResourceId", some)}
            self._call("TagResources", params | tag_params(tags), deadline_s=self._left(end))

    def delete_snapshot(
        self, snapshot_id: SnapshotId, *, force: bool = False, deadline_s: float | None = None
    ) -> None:
        """Delete a snapshot, or cancel its making; one that is gone already is no error.

        Args:
            force: also if disks were made from it, which can then not be re-initialised.
        """
        params = {"SnapshotId": snapshot_id, "Force": "true" if force else "false"}
        try:
            self._call("DeleteSnapshot", params, deadline_s=deadline_s)
        except ApiFault as error:
            if not is_no_snapshot(error):
                raise

    def delete_group(
        self, group_id: GroupId, *, deadline_s: float | None = None
    ) -> tuple[MemberDeletion, ...]:
        """Delete a group with its members and return what became of each; none if it is gone."""
        params = {"SnapshotGroupId": group_id}
        try:
            answer = self._call("DeleteSnapshotGroup", params, deadline_s=deadline_s)
        except ApiFault as error:
            if is_no_group(error):
                return ()
            raise
        return answers.deletions(answer)


def _order_params(order: SnapshotOrder) -> dict[str, str]:
    told = given(Description=order.description, ClientToken=order.client_token)
    return told | tag_params(order.tags)
