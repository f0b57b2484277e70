"""All resources of the simulated cloud, with the indexes that keep listing cheap."""

from __future__ import annotations

import random
import threading
import uuid
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import fields

from ecs_simulator.records import Disk, Instance, Snapshot, SnapshotGroup

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Ids:
    """Makes ids of the cloud's shapes, the same ones for the same seed."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)  # nosec B311  # noqa: S311 - ids, not secrets
        self._lock = threading.Lock()

    def make(self, prefix: str) -> str:
        """Return e.g. ``d-bp1`` and 17 more letters or digits."""
        with self._lock:
            return f"{prefix}-bp1" + "".join(self._random.choices(_LETTERS, k=17))

    def hexadecimal(self, prefix: str) -> str:
        """Return e.g. ``exec-`` and 20 hexadecimal digits."""
        with self._lock:
            return f"{prefix}-{self._random.getrandbits(80):020x}"

    def uniform(self, upper: float) -> float:
        """Return a random number of [0, upper)."""
        with self._lock:
            return self._random.random() * upper


def request_id() -> str:
    """Return a new RequestId: a UUID in capitals."""
    return str(uuid.uuid4()).upper()


class State:
    """Disks, instances, snapshots and groups; hold ``lock`` while reading or changing them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.disks: dict[str, Disk] = {}
        self.deleted_disks: list[Disk] = []
        self.instances: dict[str, Instance] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.groups: dict[str, SnapshotGroup] = {}
        # Copies in other regions, where nothing else is, by region.
        self.copies: dict[str, dict[str, Snapshot]] = {}
        self._last_number = 0
        self._by_number: dict[int, Snapshot] = {}
        self._numbers: list[int] = []
        self._by_disk: dict[str, list[int]] = {}
        self._by_tag: dict[tuple[str, str | None], list[int]] = {}

    def next_number(self) -> int:
        """Return the next number in order of creation."""
        self._last_number += 1
        return self._last_number

    def shift(self, seconds: float) -> None:
        """Move every instant of every resource."""
        tables = (self.disks, self.instances, self.snapshots, self.groups)
        living = [found for table in tables for found in table.values()]
        for resource in (*living, *self.deleted_disks):
            for field in fields(resource):
                value = getattr(resource, field.name)
                if field.name.endswith("_at") and value is not None:
                    setattr(resource, field.name, value + seconds)

    def disks_of(self, instance_id: str) -> list[Disk]:
        """Return an instance's disks, the system disk first."""
        found = [disk for disk in self.disks.values() if instance_id in disk.instance_ids]
        return sorted(found, key=lambda disk: (disk.kind != "system", disk.device, disk.disk_id))

    def drop_disk(self, disk_id: str, now: float) -> Disk:
        """Take out a disk; its record stays among the deleted ones."""
        disk = self.disks.pop(disk_id)
        disk.deleted_at = now
        self.deleted_disks.append(disk)
        origin = self.snapshots.get(disk.source_snapshot_id)
        if origin is not None:
            origin.created_disks.discard(disk_id)
        return disk

    def snapshots_of(self, disk_id: str) -> list[Snapshot]:
        return [self._by_number[number] for number in self._by_disk.get(disk_id, ())]

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Put in a new snapshot; its number is greater than every other's."""
        self.snapshots[snapshot.snapshot_id] = snapshot
        self._by_number[snapshot.number] = snapshot
        self._numbers.append(snapshot.number)
        self._by_disk.setdefault(snapshot.disk_id, []).append(snapshot.number)
        for name in _tag_names(snapshot.tags):
            insort(self._by_tag.setdefault(name, []), snapshot.number)

    def drop_snapshot(self, snapshot_id: str) -> Snapshot:
        """Take out a snapshot, also from its group."""
        snapshot = self.snapshots.pop(snapshot_id)
        del self._by_number[snapshot.number]
        _discard(self._numbers, snapshot.number)
        _discard(self._by_disk[snapshot.disk_id], snapshot.number)
        for name in _tag_names(snapshot.tags):
            _discard(self._by_tag[name], snapshot.number)
        group = self.groups.get(snapshot.group_id)
        if group is not None:
            group.member_ids.remove(snapshot_id)
        return snapshot

    def retag_snapshot(self, snapshot: Snapshot, tags: dict[str, str]) -> None:
        for name in _tag_names(snapshot.tags):
            _discard(self._by_tag[name], snapshot.number)
        snapshot.tags = tags
        for name in _tag_names(tags):
            insort(self._by_tag.setdefault(name, []), snapshot.number)

    def newest_snapshots(
        self,
        *,
        before: int | None = None,
        disk_ids: Sequence[str] | None = None,
        tags: Sequence[tuple[str, str | None]] = (),
    ) -> Iterator[Snapshot]:
        """Yield snapshots from newest to oldest through the smallest fitting index.

        Args:
            before: only those with a smaller number.
            disk_ids: only those of these disks.
            tags: a key with a value, or with None for any value. They only narrow the search; the
                caller must still check them all.
        """
        fitting = None if disk_ids is None else set(disk_ids)
        candidates = [self._numbers] if disk_ids is None else [self._merged(disk_ids)]
        candidates += [self._by_tag.get(tag, []) for tag in tags]
        numbers = min(candidates, key=len)
        position = len(numbers) if before is None else bisect_left(numbers, before)
        while position > 0:
            position -= 1
            snapshot = self._by_number[numbers[position]]
            if fitting is None or snapshot.disk_id in fitting:
                yield snapshot

    def _merged(self, disk_ids: Sequence[str]) -> list[int]:
        lists = [self._by_disk.get(disk_id, []) for disk_id in set(disk_ids)]
        return lists[0] if len(lists) == 1 else sorted(n for numbers in lists for n in numbers)


def _tag_names(tags: dict[str, str]) -> list[tuple[str, str | None]]:
    names: list[tuple[str, str | None]] = [(key, None) for key in tags]
    return names + list(tags.items())


def _discard(numbers: list[int], number: int) -> None:
    position = bisect_left(numbers, number)
    if position < len(numbers) and numbers[position] == number:
        del numbers[position]
