"""The simulated cloud itself: its parts in one place, and how it is filled from a description."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ecs_simulator.account import Account
from ecs_simulator.assistant import Assistant
from ecs_simulator.clock import Clock
from ecs_simulator.config import DiskConfig, InstanceConfig, LifeTimes, SimulatorConfig
from ecs_simulator.errors import ApiError
from ecs_simulator.identifiers import check_id, check_serial
from ecs_simulator.keys import KeyStore
from ecs_simulator.life import Agenda
from ecs_simulator.oos.engine import Engine
from ecs_simulator.pace import Pace
from ecs_simulator.params import Params
from ecs_simulator.ports import NoPower, Power, Storage
from ecs_simulator.records import Disk, GuestFault, Instance
from ecs_simulator.state import Ids, State

FAST_LIFE = LifeTimes()
# Visible lag and cut as seen in public logs; the copy's end depends on how much was written.
REALISTIC_LIFE = LifeTimes(
    visible_lag_s=0.2,
    cut_s=0.4,
    available_s=2.0,
    accomplished_s=30.0,
    accomplished_s_per_gib=0.5,
    member_lag_s=0.15,
)


class OneAtATime:
    """Passes calls on to a storage, one at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:
        with self._lock:
            return self._storage.create_disk(disk_id, serial, size_gib)

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        with self._lock:
            return self._storage.create_disk_from(disk_id, serial, size_gib, snapshot_id)

    def attach(self, disk_id: str) -> None:
        with self._lock:
            self._storage.attach(disk_id)

    def detach(self, disk_id: str) -> None:
        with self._lock:
            self._storage.detach(disk_id)

    def pull(self, disk_id: str) -> None:
        with self._lock:
            self._storage.pull(disk_id)

    def delete_disk(self, disk_id: str) -> None:
        with self._lock:
            self._storage.delete_disk(disk_id)

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        with self._lock:
            self._storage.cut(pairs)

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        with self._lock:
            self._storage.reset_disk(disk_id, snapshot_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        with self._lock:
            self._storage.delete_snapshot(snapshot_id)

    def path_of(self, snapshot_id: str) -> str | None:
        with self._lock:
            return self._storage.path_of(snapshot_id)


class Cloud:
    """Everything an operation works on."""

    def __init__(self, *, config: SimulatorConfig, clock: Clock, storage: Storage) -> None:
        self.config = config
        self.clock = clock
        self.storage = OneAtATime(storage)
        self.power: Power = NoPower()
        self.state = State()
        self.agenda = Agenda(clock)
        self.assistant = Assistant(clock, self.agenda, self.state)
        self.pace = Pace(self.agenda, config)
        self.ids = Ids(config.seed)
        self.keys = KeyStore(
            account_id=config.account_id,
            users=config.keys,
            roles=config.roles,
            clock=clock,
            secrets_dir=config.secrets_dir,
        )
        self.oos = Engine(
            agenda=self.agenda, clock=clock, ids=self.ids, keys=self.keys, config=config
        )
        default = REALISTIC_LIFE if config.profile == "realistic" else FAST_LIFE
        self.life = config.life or default
        self.left_out_disks = set(config.left_out_disks)
        self.propagate_group_tags = config.propagate_group_tags
        self.account = Account.of(config)
        self.device_lag_s = config.device_lag_s
        self.sight_lag_s = config.sight_lag_s
        self.storage_faults: list[str] = []
        self.guest_faults: list[GuestFault] = []
        # A heap of (end of retention, snapshot id); entries may be outdated.
        self.retention: list[tuple[float, str]] = []
        # The instance whose metadata service is served; its record outlives its release.
        self.own_instance, *_ = map(self.add_instance, config.instances)
        for disk in config.free_disks:
            self.add_disk(disk, instance_id="")

    def arn(self, kind: str, name: str, *, product: str = "ecs") -> str:
        """Return the resource name that policies match."""
        return f"acs:{product}:{self.config.region_id}:{self.config.account_id}:{kind}/{name}"

    def check_region(self, params: Params, code: str = "InvalidRegionId.NotFound") -> None:
        """Refuse a request without RegionId or for a region that does not exist."""
        region_id = params.required("RegionId")
        if region_id not in (self.config.region_id, *self.config.other_regions):
            raise ApiError(code, "The specified RegionId does not exist.")

    def here(self, params: Params) -> bool:
        """Tell whether a request is about the region that holds the resources."""
        return params.text("RegionId", self.config.region_id) == self.config.region_id

    def zones(self) -> set[str]:
        """Return the zones of the region; the caller holds the state's lock."""
        zones = {instance.zone_id for instance in self.state.instances.values()}
        return zones | {self.config.zone_id}

    def images(self) -> set[str]:
        """Return the images that a system disk can be made of."""
        of_instances = {each.image_id for each in self.state.instances.values()}
        return of_instances | {*self.config.images}

    def refused_by_type(self, instance_type: str) -> set[str]:
        """Return the disk categories that an instance type does not support."""
        of_type = [i for i in self.state.instances.values() if i.instance_type == instance_type]
        return {category for each in of_type for category in each.refused_categories}

    def disk(self, disk_id: str) -> Disk:
        """Return a disk.

        Raises:
            ApiError: there is none of that id.
        """
        disk = self.state.disks.get(disk_id)
        if disk is None:
            raise ApiError("InvalidDiskId.NotFound")
        return disk

    def instance(self, instance_id: str) -> Instance:
        """Return an instance.

        Raises:
            ApiError: there is none of that id.
        """
        instance = self.state.instances.get(instance_id)
        if instance is None:
            raise ApiError("InvalidInstanceId.NotFound")
        return instance

    @contextlib.contextmanager
    def changing(self, disk: Disk) -> Iterator[None]:
        """Hold the state's lock and change a disk; readers see it after the lag."""
        with self.state.lock:
            if self.sight_lag_s <= 0:
                yield
                return
            view = replace(
                disk,
                instance_ids=[*disk.instance_ids],
                tags={**disk.tags},
                past=[],
                locks=[*disk.locks],
            )
            yield
            now = self.clock.now()
            disk.past = [(until, seen) for until, seen in disk.past if until > now]
            # Changes are seen in their order.
            latest = disk.past[-1][0] if disk.past else now
            disk.past.append((max(latest, now + self.ids.uniform(self.sight_lag_s)), view))

    def add_instance(self, config: InstanceConfig) -> Instance:
        """Put in an instance with its disks."""
        instance = Instance(
            instance_id=check_id(config.instance_id or self.ids.make("i"), "instance_id"),
            name=config.name,
            hostname=config.hostname,
            instance_type=config.instance_type,
            image_id=config.image_id,
            zone_id=config.zone_id or self.config.zone_id,
            serial_number=config.serial_number,
            private_ipv4=config.private_ipv4,
            mac=config.mac,
            created_at=self.clock.now() - 86400,
            started_at=self.clock.now() - 86400,
            status=config.status,
            stopped_mode=config.stopped_mode,
            locks=list(config.locks),
            tags=dict(config.tags),
            disk_quantity=config.disk_quantity,
            charge_type=config.charge_type,
            deletion_protection=config.deletion_protection,
            hot_plug=config.hot_plug,
            refused_categories=config.refused_categories,
            http_endpoint=config.http_endpoint,
            http_tokens=config.http_tokens,
            metadata_tags=config.metadata_tags,
            role=config.role,
            user_data=config.user_data,
            vendor_data=config.vendor_data,
            spot_termination=config.spot_termination,
            public_keys=dict(config.public_keys),
        )
        with self.state.lock:
            self.state.instances[instance.instance_id] = instance
        for disk in config.disks:
            self.add_disk(disk, instance_id=instance.instance_id)
        return instance

    def add_disk(self, config: DiskConfig, *, instance_id: str) -> Disk:
        """Put in a disk, attached when ``instance_id`` is not empty.

        Raises:
            ValueError: its id or serial is none, or another disk has that id.
        """
        disk_id = check_id(config.disk_id or self.ids.make("d"), "disk_id")
        if disk_id in self.state.disks:
            raise ValueError(f"disk_id: there is a disk {disk_id} already")
        serial = disk_id.removeprefix("d-") if config.serial is None else config.serial
        first = bool(instance_id) and not self.state.disks_of(instance_id)
        kind = config.kind or ("system" if first else "data")
        now = self.clock.now()
        disk = Disk(
            disk_id=disk_id,
            serial=check_serial(serial),
            name=config.name,
            size_gib=config.size_gib,
            category=config.category,
            performance_level=config.performance_level if config.category == "cloud_essd" else "",
            kind=kind,
            zone_id=config.zone_id or self.config.zone_id,
            created_at=now - 86000,
            multi_attach=config.multi_attach,
            encrypted=config.encrypted,
            kms_key_id=config.kms_key_id,
            portable=config.portable and kind == "data",
            never_attached=config.never_attached,
            delete_with_instance=config.delete_with_instance,
            system_of=instance_id if kind == "system" else "",
            locks=list(config.locks),
            tags=dict(config.tags),
            life=config.life,
        )
        disk.path = self.storage.create_disk(disk_id, disk.serial, disk.size_gib)
        with self.state.lock:
            if instance_id:
                self.place(disk, instance_id, device=config.device)
                disk.attached_at = now - 85000
            self.state.disks[disk_id] = disk
        if instance_id:
            self.storage.attach(disk_id)
        return disk

    def place(self, disk: Disk, instance_id: str, *, device: str = "") -> None:
        """Mark a disk as attached to an instance; the caller holds the state's lock."""
        taken = {other.device for other in self.state.disks_of(instance_id)}
        # /dev/xvda is for the system disk.
        letters = "abcdefghijklmnopqrstuvwxyz"[disk.kind == "data" :]
        free = (f"/dev/xvd{letter}" for letter in letters)
        first = next((name for name in free if name not in taken), "/dev/xvdaa")
        disk.device = "" if disk.multi_attach == "Enabled" else device or first
        disk.instance_ids.append(instance_id)
        disk.status = "In_use"
        disk.never_attached = False
        disk.attached_at = self.clock.now()
