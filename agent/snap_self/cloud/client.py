"""The ECS calls that the agent makes: parameters in, values out, each tried until its deadline.

A call that changes something is safe to repeat: creations carry a client token and keep all their
parameters, the others come to the same when done twice. So a lost reply never makes a second
snapshot.

A describe that finds nothing may also have been denied: for RAM, "not allowed to see" is an empty
list and no error. Whoever gets an empty answer must not take it as proof of absence.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from snap_self.cloud import answers
from snap_self.cloud.faults import explain, retry_text
from snap_self.cloud.retry import Trouble, attempt_s, classify, passes_soon, wait_s
from snap_self.errors import ApiFault, CloudAnswerUnclear, SnapSelfError
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

T = TypeVar("T")

# Long enough to see the end of a throttled minute.
DEADLINE_S = 90.0
# With less time left another try is not worth its start.
LEAST_TRY_S = 0.2
PAGE = 100
# Most of each in one call. Source: ECS API reference, the operations' parameters.
SNAPSHOT_IDS = 100
GROUP_IDS = 10
RESOURCE_IDS = 50


class EcsClient:
    """Calls one region's ECS API; safe to use from several threads.

    ``deadline_s`` bounds a method as a whole, with all its tries, waits and pages. Every method
    raises what ``cloud.faults`` makes of a refusal, ``CloudUnreachable`` when no answer came and
    ``CloudAnswerUnclear`` when an answer is not as documented.

    Args:
        credentials: gives keys with life enough for a call; True forces new ones.
        random: gives 0 to 1, evenly.
        on_retry: is told why a call is sent again; must not block.
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
    ) -> None:
        self._rpc = rpc
        self._region = region
        self._credentials = credentials
        self._clock = clock
        self._random = random
        self._on_retry = on_retry

    def warm(self, instance_id: InstanceId, *, deadline_s: float = DEADLINE_S) -> None:
        """Look up the host and open a connection that later calls use, by a cheap question."""
        self.describe_instance(instance_id, deadline_s=deadline_s)

    def describe_disks(
        self, instance_id: InstanceId, *, deadline_s: float = DEADLINE_S
    ) -> tuple[CloudDisk, ...]:
        """Return the disks attached to an instance."""
        pages = self._pages("DescribeDisks", {"InstanceId": instance_id}, deadline_s=deadline_s)
        return tuple(disk for page in pages for disk in answers.disks(page))

    def describe_instance(
        self, instance_id: InstanceId, *, deadline_s: float = DEADLINE_S
    ) -> InstanceState | None:
        """Return an instance's state, None if the cloud shows no such instance."""
        params = {"InstanceIds": json.dumps([instance_id])}
        answer = self._call("DescribeInstances", params, deadline_s=deadline_s)
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
        deadline_s: float = DEADLINE_S,
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
        params = _given(InstanceId=instance_id, DiskId=disk_id, Status=status and status.value)
        params |= _tag_params(tags or {})
        end = self._end(deadline_s)
        found: list[Snapshot] = []
        for some in _chunks(ids, SNAPSHOT_IDS) if ids is not None else (None,):
            own = params if some is None else {**params, "SnapshotIds": json.dumps(list(some))}
            pages = self._pages(
                "DescribeSnapshots", own, deadline_s=self._left(end), max_pages=max_pages
            )
            for page in pages:
                found += answers.snapshots(page, unclear=unclear)
        return tuple(found)

    def describe_groups(
        self,
        *,
        ids: Sequence[GroupId] | None = None,
        instance_id: InstanceId | None = None,
        tags: Mapping[str, str] | None = None,
        deadline_s: float = DEADLINE_S,
        unclear: list[answers.Unclear] | None = None,
    ) -> tuple[SnapshotGroup, ...]:
        """Return the snapshot-consistent groups that fit all conditions given.

        Args:
            unclear: as for ``describe_snapshots``.
        """
        if ids is not None and not ids:
            return ()
        params = _given(InstanceId=instance_id) | _tag_params(tags or {})
        end = self._end(deadline_s)
        found: list[SnapshotGroup] = []
        for some in _chunks(ids, GROUP_IDS) if ids is not None else ((),):
            own = {**params, **_numbered("SnapshotGroupId", some)}
            pages = self._pages("DescribeSnapshotGroups", own, deadline_s=self._left(end))
            for page in pages:
                found += answers.groups(page, unclear=unclear)
        return tuple(found)

    def create_snapshot(
        self, order: SnapshotOrder, *, deadline_s: float, hurried: bool = False
    ) -> SnapshotId:
        """Ask for a snapshot of one disk; the same order always names the same snapshot.

        Args:
            hurried: filesystems are frozen, so wait for no trouble that lasts longer than that may.
        """
        (disk_id,) = order.disk_ids
        params = {"DiskId": disk_id, **_given(SnapshotName=order.name), **_order_params(order)}
        if order.retention_days is not None:
            params["RetentionDays"] = str(order.retention_days)
        answer = self._call("CreateSnapshot", params, deadline_s=deadline_s, hurried=hurried)
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
            **_numbered("DiskId", order.disk_ids),
            **_given(Name=order.name),
            **_order_params(order),
        }
        answer = self._call("CreateSnapshotGroup", params, deadline_s=deadline_s, hurried=hurried)
        return answers.created_group(answer)

    def set_retention(
        self, snapshot_id: SnapshotId, days: int, *, deadline_s: float = DEADLINE_S
    ) -> None:
        """Set for how many days from its creation a snapshot is kept; the API only extends."""
        params = {"SnapshotId": snapshot_id, "RetentionDays": str(days)}
        self._call("ModifySnapshotAttribute", params, deadline_s=deadline_s)

    def tag_snapshots(
        self,
        ids: Sequence[SnapshotId],
        tags: Mapping[str, str],
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Add tags to snapshots; groups cannot be tagged after their creation."""
        end = self._end(deadline_s)
        for some in _chunks(ids, RESOURCE_IDS):
            params = {"ResourceType": "snapshot", **_numbered("ResourceId", some)}
            self._call("TagResources", params | _tag_params(tags), deadline_s=self._left(end))

    def list_tagged(
        self, tags: Mapping[str, str], *, deadline_s: float = DEADLINE_S
    ) -> Mapping[SnapshotId, Mapping[str, str]]:
        """Return the snapshots with these tags and the tags that were seen of each.

        Unlike a describe with tags as its filter this is not limited to 1000 snapshots.
        """
        params = {"ResourceType": "snapshot", **_tag_params(tags)}
        pages = self._pages("ListTagResources", params, deadline_s=deadline_s)
        found: dict[SnapshotId, dict[str, str]] = {}
        for page in pages:
            for snapshot_id, key, value in answers.tagged(page):
                found.setdefault(snapshot_id, {})[key] = value
        return found

    def delete_snapshot(
        self, snapshot_id: SnapshotId, *, force: bool = False, deadline_s: float = DEADLINE_S
    ) -> None:
        """Delete a snapshot, or cancel its making; one that is gone already is no error.

        Args:
            force: also if disks were made from it, which can then not be re-initialised.
        """
        params = {"SnapshotId": snapshot_id, "Force": "true" if force else "false"}
        try:
            self._call("DeleteSnapshot", params, deadline_s=deadline_s)
        except ApiFault as error:
            if error.api_code != "InvalidSnapshotId.NotFound":
                raise

    def delete_group(
        self, group_id: GroupId, *, deadline_s: float = DEADLINE_S
    ) -> tuple[MemberDeletion, ...]:
        """Delete a group with its members and return what became of each; none if it is gone."""
        params = {"SnapshotGroupId": group_id}
        try:
            answer = self._call("DeleteSnapshotGroup", params, deadline_s=deadline_s)
        except ApiFault as error:
            # The not-found code of groups is not documented.
            if error.api_code.startswith("InvalidSnapshotGroup") and "NotFound" in error.api_code:
                return ()
            raise
        return answers.deletions(answer)

    def _pages(
        self,
        action: str,
        params: Mapping[str, str],
        *,
        deadline_s: float,
        max_pages: int | None = None,
    ) -> Iterator[Mapping[str, Any]]:
        """Yield page after page; the next one is asked for while the caller reads this one."""
        end = self._end(deadline_s)
        seen: set[str] = set()

        def ask(token: str) -> Mapping[str, Any]:
            asked = {**params, "MaxResults": str(PAGE), **_given(NextToken=token)}
            return self._call(action, asked, deadline_s=self._left(end))

        page = ask("")
        pages = 1
        while (token := answers.next_token(page, action)) and pages != max_pages:
            if token in seen:
                raise CloudAnswerUnclear(f"{action}: the same page token came twice")
            seen.add(token)
            coming = _ahead(ask, token)
            yield page
            page = coming()
            pages += 1
        yield page

    def _call(
        self, action: str, params: Mapping[str, str], *, deadline_s: float, hurried: bool = False
    ) -> Mapping[str, Any]:
        """Return a good answer, trying again as ``cloud.retry`` has it."""
        end = self._end(deadline_s)
        asked = {"RegionId": self._region, **params}
        met: Counter[Trouble] = Counter()
        maybe_done = False
        keys = self._credentials(False)
        while True:
            timeout_s = attempt_s(max(LEAST_TRY_S, self._left(end)))
            try:
                return self._rpc.call(action, asked, timeout_s=timeout_s, credentials=keys)
            except RpcFailed as failure:
                failed = failure
            maybe_done = maybe_done or failed.maybe_done
            trouble = classify(failed)
            met[trouble] += 1
            pause_s = wait_s(trouble, met[trouble], self._random())
            if hurried and not passes_soon(trouble, failed):
                pause_s = None
            if pause_s is None or pause_s + LEAST_TRY_S > self._left(end):
                raise explain(failed, action=action, trouble=trouble, maybe_done=maybe_done)
            self._on_retry(retry_text(failed, action=action, pause_s=pause_s))
            if trouble is Trouble.KEYS_STALE:
                keys = self._fresher(keys)
            if pause_s:
                self._clock.sleep(pause_s)

    def _fresher(self, stale: Credentials) -> Credentials:
        """Return other keys than those refused; another thread may have renewed them already."""
        current = self._credentials(False)
        return current if current != stale else self._credentials(True)

    def _end(self, deadline_s: float) -> float:
        return self._clock.monotonic() + deadline_s

    def _left(self, end: float) -> float:
        return end - self._clock.monotonic()


def _ahead(ask: Callable[[str], T], token: str) -> Callable[[], T]:
    """Ask on a thread of its own; return what waits for the answer.

    Nobody has to: the thread ends by itself, and does not keep the process from ending.
    """
    box: list[T | SnapSelfError] = []

    def work() -> None:
        try:
            box.append(ask(token))
        except SnapSelfError as error:
            box.append(error)

    def wait() -> T:
        worker.join()
        if not box:
            raise RuntimeError("asking for a page ended without an outcome")
        if isinstance(box[0], SnapSelfError):
            raise box[0]
        return box[0]

    worker = threading.Thread(target=work, name="next-page", daemon=True)
    worker.start()
    return wait


def _given(**params: str | None) -> dict[str, str]:
    """Return the parameters that have a value."""
    return {name: value for name, value in params.items() if value}


def _order_params(order: SnapshotOrder) -> dict[str, str]:
    given = _given(Description=order.description, ClientToken=order.client_token)
    return given | _tag_params(order.tags)


def _tag_params(tags: Mapping[str, str]) -> dict[str, str]:
    # Sorted: a repeated creation must send the very same parameters.
    params: dict[str, str] = {}
    for place, key in enumerate(sorted(tags), start=1):
        params |= {f"Tag.{place}.Key": key, f"Tag.{place}.Value": tags[key]}
    return params


def _numbered(name: str, values: Sequence[str]) -> dict[str, str]:
    return {f"{name}.{place}": value for place, value in enumerate(values, start=1)}


def _chunks(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
