"""What a test may ask of a running cloud and change in it, directly or over HTTP."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from math import inf
from typing import Any

from ecs_simulator.account import Account
from ecs_simulator.api import Api
from ecs_simulator.clock import SystemClock
from ecs_simulator.cloud import Cloud
from ecs_simulator.config import DiskConfig, LifeTimes, PolicyDocument, SimulatorConfig
from ecs_simulator.encrypting import KEY_STATES
from ecs_simulator.faults import CallRecord, Fault, Throttle
from ecs_simulator.metadata import Metadata
from ecs_simulator.pace import Fate, Operation
from ecs_simulator.ports import NoStorage, Storage
from ecs_simulator.records import Disk, GuestFault
from ecs_simulator.snapshotting import (
    Wishes,
    add_past_snapshots,
    delete_snapshot,
    fail_snapshot,
    finish_snapshots,
)
from ecs_simulator.state import State
from ecs_simulator.usage import DiskUsage, disk_usage

CERTIFICATES = ("good", "untrusted", "expired", "wrong_name")
_INSTANCE_SETTINGS = frozenset(
    {"status", "locks", "http_endpoint", "http_tokens", "metadata_tags", "role", "tags", "name"}
    | {"spot_termination", "disk_quantity", "stopped_mode", "charge_type"}
    | {"deletion_protection", "hot_plug", "refused_categories"}
)
_DISK_SETTINGS = frozenset(
    {"status", "locks", "tags", "serial", "device", "multi_attach", "name", "delete_with_instance"}
)


class Controls:
    """The parts of a cloud without its listeners, and the ways to control them."""

    def __init__(
        self, config: SimulatorConfig | None = None, *, storage: Storage | None = None
    ) -> None:
        self.config = config or SimulatorConfig()
        self.clock = SystemClock()
        self.cloud = Cloud(config=self.config, clock=self.clock, storage=storage or NoStorage())
        self.stopping = threading.Event()
        self.api = Api(self.cloud, stopping=self.stopping)
        self.metadata = Metadata(self.cloud)
        self.certificate = "good"

    @property
    def state(self) -> State:
        return self.cloud.state

    @property
    def calls(self) -> list[CallRecord]:
        """Return all API calls so far, in the order they were answered."""
        return self.api.calls.all()

    @property
    def metadata_calls(self) -> list[CallRecord]:
        """Return all metadata requests so far; the action is ``METHOD path``."""
        return self.metadata.calls.all()

    def secrets(self) -> frozenset[str]:
        """Return every secret ever handed out, and every signature received."""
        return self.cloud.keys.secrets()

    def inject(self, fault: Fault) -> None:
        """Queue a fault; those of ``metadata:`` strike the metadata service."""
        self.api.faults.add(fault)

    def set_throttles(self, *throttles: Throttle) -> None:
        """Replace all throttling limits; none lifts them."""
        self.api.throttles.set(throttles)

    def set_latencies(self, times_s: Mapping[str, float], *, profile: str = "fast") -> None:
        """Replace how long each action takes, in seconds.

        ``*`` means all other actions, and ``metadata`` each read of the metadata service.
        """
        self.api.latencies.set(profile, times_s)

    def set_life(self, **changes: Any) -> None:
        """Change stages' times (fields of LifeTimes) for snapshots accepted from now on."""
        self.cloud.life = replace(self.cloud.life, **changes)

    def set_disk_life(self, disk_id: str, **changes: Any) -> None:
        """Change stages' times for one disk's snapshots."""
        with self.state.lock:
            disk = self.state.disks[disk_id]
            disk.life = replace(disk.life or self.cloud.life, **changes)

    def set_clock_offset(self, offset_s: float) -> None:
        """Move the cloud's time forward: everything gets older, and what is then due happens.

        Args:
            offset_s: relative to the machine's clock, not to the offset before.
        """
        self.clock.offset_s = offset_s
        self.cloud.agenda.wake()

    def set_clock_skew(self, skew_s: float) -> None:
        """Make the cloud's clock differ from the machine's, as if it had always differed."""
        change_s = skew_s - self.clock.skew_s
        with self.state.lock:
            self.clock.skew_s = skew_s
            self.state.shift(change_s)
            self.cloud.retention = [(at + change_s, name) for at, name in self.cloud.retention]
        self.cloud.keys.shift(change_s)
        with self.cloud.oos.lock:
            self.cloud.oos.records.shift(change_s)
        self.metadata.shift(change_s)

    def set_operations(self, times_s: Mapping[str, float], *, profile: str = "fast") -> None:
        """Replace how long each asynchronous operation takes, in seconds; ``*`` means all other."""
        self.cloud.pace.set(profile, times_s)

    @property
    def operations(self) -> list[Operation]:
        """Return the asynchronous operations that have ended, in that order."""
        return self.cloud.pace.ended

    def set_device_lag(self, seconds: float | None) -> None:
        """Choose how long after In_use a disk's device comes; None means never."""
        self.cloud.device_lag_s = inf if seconds is None else seconds

    def set_sight_lag(self, seconds: float) -> None:
        """Choose the upper bound of the time until DescribeDisks shows a change of a disk."""
        self.cloud.sight_lag_s = seconds

    def set_token_memory(self, seconds: float | None) -> None:
        """Choose how long a ClientToken is remembered; None means for ever."""
        self.api.tokens.memory_s = inf if seconds is None else seconds

    def set_kms_key(self, key_id: str, state: str) -> None:
        """Choose what becomes of operations with a key (``encrypting.KEY_STATES``).

        Raises:
            ValueError: there is no such state.
        """
        if state not in KEY_STATES:
            raise ValueError(f"no such state of a key: {state!r}")
        self.cloud.account.kms_keys[key_id] = state

    def set_account(self, **changes: Any) -> None:
        """Change what the account may buy (fields of :class:`ecs_simulator.account.Account`)."""
        _only(frozenset(f.name for f in fields(Account)), changes)
        with self.state.lock:
            for name, value in changes.items():
                setattr(self.cloud.account, name, value)

    def befall(self, fate: Fate) -> None:
        """Have operations that are accepted from now on fail or stick."""
        self.cloud.pace.befall(fate)

    def free(self, resource_id: str) -> None:
        """Have a stuck operation of a disk or instance end now."""
        self.cloud.pace.free(resource_id)

    def disk_usage(self) -> list[DiskUsage]:
        """Return how long each disk existed, those that are deleted among them."""
        with self.state.lock:
            every = (*self.state.disks.values(), *self.state.deleted_disks)
            return disk_usage(every, self.clock.now())

    @property
    def guest_faults(self) -> list[GuestFault]:
        """Return what the program on the instance did wrong."""
        with self.state.lock:
            return list(self.cloud.guest_faults)

    def set_policies(self, name: str, *policies: PolicyDocument) -> None:
        """Replace the policies of a user or role, at once."""
        self.cloud.keys.set_policies(name, policies)

    def set_certificate(self, kind: str) -> None:
        """Choose the certificate for new HTTPS connections.

        Raises:
            ValueError: there is no such kind.
        """
        if kind not in CERTIFICATES:
            raise ValueError(f"no such certificate: {kind!r}")
        self.certificate = kind

    def expire(self, what: str) -> None:
        """End something before its time.

        Args:
            what: ``sts`` (all short-lived keys; the metadata service shows new ones then),
                ``metadata_tokens``, or ``role`` (new role keys, the old ones stay valid).

        Raises:
            ValueError: there is no such thing.
        """
        if what == "metadata_tokens":
            self.metadata.expire_tokens()
            return
        if what not in ("sts", "role"):
            raise ValueError(f"nothing of that kind expires: {what!r}")
        if what == "sts":
            self.cloud.keys.expire_all()
        self.metadata.rotate_role()

    def set_instance(self, instance_id: str = "", **changes: Any) -> None:
        """Change fields of an instance, the cloud's own when no id is given."""
        _only(_INSTANCE_SETTINGS, changes)
        with self.state.lock:
            target = self.state.instances[instance_id] if instance_id else self.cloud.own_instance
            for name, value in changes.items():
                setattr(target, name, value)

    def set_disk(self, disk_id: str, **changes: Any) -> None:
        _only(_DISK_SETTINGS, changes)
        with self.state.lock:
            for name, value in changes.items():
                setattr(self.state.disks[disk_id], name, value)

    def set_group_behaviour(
        self,
        *,
        left_out_disks: Sequence[str] | None = None,
        propagate_tags: bool | None = None,
    ) -> None:
        """Choose which disks new groups leave out, and whether tags reach members."""
        if left_out_disks is not None:
            self.cloud.left_out_disks = set(left_out_disks)
        if propagate_tags is not None:
            self.cloud.propagate_group_tags = propagate_tags

    def add_disk(self, disk: DiskConfig, *, instance_id: str | None = None) -> Disk:
        """Add a disk; attach it to the given instance ("": none), by default to the own one."""
        owner = self.cloud.own_instance.instance_id if instance_id is None else instance_id
        return self.cloud.add_disk(disk, instance_id=owner)

    def remove_disk(self, disk_id: str) -> None:
        """Remove a disk, attached or not, as the console could."""
        with self.state.lock:
            disk = self.state.drop_disk(disk_id, self.clock.now())
        if disk.instance_ids:
            self.cloud.storage.pull(disk_id)
        self.cloud.storage.delete_disk(disk_id)

    def mark_image(self, snapshot_id: str, *, used: bool = True) -> None:
        """Set whether a custom image uses a snapshot."""
        with self.state.lock:
            self.state.snapshots[snapshot_id].created_image = used

    def add_snapshots(
        self,
        disk_id: str,
        count: int,
        *,
        tags: Mapping[str, str],
        spacing_s: float = 60.0,
        name: str = "past",
    ) -> list[str]:
        """Add accomplished snapshots of a disk without content, as if taken in the past.

        Args:
            spacing_s: the time between two of them, and since the last one.
            name: the description of each, and with a number after it its name.

        Returns:
            Their ids, oldest first.
        """
        with self.state.lock:
            wishes = [Wishes(name=f"{name}-{n}", description=name, tags=tags) for n in range(count)]
            return add_past_snapshots(self.cloud, disk_id, wishes, spacing_s=spacing_s)

    def fail_snapshot(self, snapshot_id: str) -> None:
        """Make a snapshot in progress fail now."""
        fail_snapshot(self.cloud, snapshot_id)

    def finish_snapshots(self) -> None:
        """Make every snapshot that is cut and in progress complete now."""
        finish_snapshots(self.cloud)

    def delete_snapshots(self) -> None:
        """Delete every snapshot and group, even if something depends on them."""
        with self.state.lock:
            for name in tuple(self.state.snapshots):
                delete_snapshot(self.cloud, name)
            self.state.groups.clear()

    def image_path(self, snapshot_id: str) -> str | None:
        """Return the file that holds what a snapshot captured."""
        return self.cloud.storage.path_of(snapshot_id)

    def dump(self) -> dict[str, Any]:
        """Return all resources as plain values, with each snapshot's state as of now."""
        now = self.clock.now()
        with self.cloud.oos.lock:
            records = self.cloud.oos.records
            executions = {name: asdict(each) for name, each in records.executions.items()}
            tasks = {name: asdict(each) for name, each in records.tasks.items()}
        with self.state.lock:
            snapshots = {
                name: {
                    **asdict(snapshot),
                    "status": snapshot.status(now),
                    "available": snapshot.available(now),
                    "progress": snapshot.progress(now),
                    "usage": snapshot.usage(),
                }
                for name, snapshot in self.state.snapshots.items()
            }
            return {
                "now": now,
                "disks": {name: asdict(disk) for name, disk in self.state.disks.items()},
                "instances": {name: asdict(i) for name, i in self.state.instances.items()},
                "snapshots": snapshots,
                "groups": {name: asdict(group) for name, group in self.state.groups.items()},
                "executions": executions,
                "task_executions": tasks,
                "guest_faults": [asdict(fault) for fault in self.cloud.guest_faults],
                "storage_faults": [*self.cloud.storage_faults, *self.cloud.agenda.failures],
            }


def _only(allowed: frozenset[str], changes: Mapping[str, Any]) -> None:
    unknown = sorted(set(changes) - allowed)
    if unknown:
        raise ValueError(f"cannot be set: {', '.join(unknown)}")


def plain(value: Any) -> Any:
    """Return a JSON form of a value that JSON does not know."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return sorted(value)


def life_of(values: Mapping[str, Any]) -> LifeTimes:
    """Return stages' times from plain values."""
    return LifeTimes(**values)
