"""This instance's own snapshots as the cloud's tags tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from snap_self.cloud.client import EcsClient
from snap_self.model.ids import GroupId, RunId, SnapshotId
from snap_self.model.snapshots import (
    BEFORE_TAG,
    CONSISTENCY_TAG,
    EXPIRES_TAG,
    OWNER_TAG,
    RUN_TAG,
    Consistency,
    Snapshot,
)

# API limits are shared by the whole account, so a list must not use them up; pages hold 100.
CALL_BUDGET = 100
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSnapshot:
    """A snapshot of ours, with the tags it has itself or has from its group."""

    shot: Snapshot
    tags: Mapping[str, str]
    group_id: GroupId | None

    @property
    def run_id(self) -> RunId | None:
        """The run that made it."""
        text = self.tags.get(RUN_TAG)
        return RunId(text) if text else None

    @property
    def before(self) -> str:
        """The change it was made for."""
        return self.tags.get(BEFORE_TAG, "")

    @property
    def level(self) -> Consistency:
        """What it is worth; an unknown word counts as the weakest."""
        try:
            return Consistency(self.tags.get(CONSISTENCY_TAG, ""))
        except ValueError:
            return Consistency.CRASH

    @property
    def expires(self) -> datetime | None:
        """When it may be deleted; None for never."""
        try:
            return datetime.strptime(self.tags.get(EXPIRES_TAG, ""), "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSnapshots:
    """All of them.

    Args:
        incomplete: why some may be missing; empty if none should be.
    """

    found: tuple[OwnSnapshot, ...]
    incomplete: str


def own_snapshots(cloud: EcsClient, owner: str) -> OwnSnapshots:
    """Return every snapshot that carries our owner tag, by itself or through its group.

    Whether a group's tags reach its members is not documented, so both are asked.
    """
    tags = {OWNER_TAG: owner}
    shots = cloud.describe_snapshots(tags=tags, max_pages=CALL_BUDGET)
    single = {s.snapshot_id: OwnSnapshot(shot=s, tags=s.tags, group_id=s.group_id) for s in shots}
    if len(shots) > (CALL_BUDGET - 2) * PAGE:
        return OwnSnapshots(
            found=tuple(single.values()),
            incomplete=f"{len(shots)} snapshots took {CALL_BUDGET} calls; groups were not asked",
        )
    by_member: dict[SnapshotId, tuple[GroupId, Mapping[str, str]]] = {}
    for group in cloud.describe_groups(tags=tags):
        by_member |= {m.snapshot_id: (group.group_id, group.tags) for m in group.members}
    unseen = [sid for sid in by_member if sid not in single]
    for shot in cloud.describe_snapshots(ids=unseen) if unseen else ():
        group_id, group_tags = by_member[shot.snapshot_id]
        single[shot.snapshot_id] = OwnSnapshot(
            shot=shot, tags={**group_tags, **shot.tags}, group_id=group_id
        )
    return OwnSnapshots(found=tuple(single.values()), incomplete="")
