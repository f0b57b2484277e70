"""Twins of what going back while the system runs works with; killed at any of their effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from fakes.clock import FakeClock
from fakes.lock import FakeLock
from fakes.looking_back import Killed, Life
from snap_self.errors import DiskNotSettled, DisksInUse, RollbackUnfinished, SnapSelfError
from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.going_back import (
    DamagedReturn,
    MountedPlace,
    ReturnId,
    ReturningDisk,
    ReturnRecord,
    Standing,
    Step,
    UnitFacts,
    UnitRecord,
    User,
)
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.progress import Event
from snap_self.ports import Clock
from snap_self.ports_going_back import OwnDisks
from snap_self.usecases.going_back.tools import GoingBack

INSTANCE = InstanceId("i-bp1twin")
UNIT = "database.service"
BOOT = "boot"


def place_of(serial: str, at: str, *, mapped: str = "") -> MountedPlace:
    """Return a filesystem on a whole disk."""
    return MountedPlace(
        place=at, fstype="xfs", root="/", options="rw,relatime", serial=serial, mapped=mapped
    )


class FakeReturns:
    """The memory twin of ``ReturnJournal``; a save is an effect."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.records: dict[ReturnId, ReturnRecord] = {}
        self.broken: tuple[DamagedReturn, ...] = ()

    def save(self, record: ReturnRecord) -> None:
        """Keep the record."""

        def put() -> None:
            self.records[record.return_id] = record

        self.life.effect(f"journal {record.step.value}", put)

    def load(self, return_id: str) -> ReturnRecord | None:
        """Return one record."""
        self.life.alive()
        return self.records.get(ReturnId(return_id))

    def unfinished(self) -> tuple[ReturnRecord, ...]:
        """Return what has not ended."""
        return tuple(each for each in self.records.values() if each.step is not Step.DONE)

    def done(self) -> tuple[ReturnRecord, ...]:
        """Return what has."""
        return tuple(each for each in self.records.values() if each.step is Step.DONE)

    def damaged(self) -> tuple[DamagedReturn, ...]:
        """Return what a test damaged."""
        return self.broken

    def set_aside(self, damaged: DamagedReturn) -> str:
        """Forget it."""

        def drop() -> None:
            self.broken = tuple(each for each in self.broken if each != damaged)

        self.life.effect("journal set aside", drop)
        return f"{damaged.where}.damaged"


class FakeOwnDisks:
    """A cloud with one instance and its data disks; what it is asked to do takes a while.

    ``content`` has for each disk what it holds: ``now``, or the snapshot that it went back to.
    """

    def __init__(self, life: Life, clock: FakeClock, *, settle_s: float = 2.0) -> None:
        self.life = life
        self._clock = clock
        self._settle_s = settle_s
        self._until: dict[DiskId, tuple[float, Callable[[], None]]] = {}
        self.disks: dict[DiskId, CloudDisk] = {}
        self.content: dict[DiskId, str] = {}
        self.rehearsed: list[DiskId] = []
        self.unreset: dict[DiskId, SnapSelfError] = {}
        self.mounted: Callable[[str], bool] = lambda serial: False

    def put(self, disk_id: DiskId) -> None:
        """Attach a disk, which is released with the instance."""
        self.content[disk_id] = "now"
        self.disks[disk_id] = CloudDisk(
            disk_id=disk_id,
            name="",
            serial=disk_id.removeprefix("d-"),
            category="cloud_essd",
            kind=DiskKind.DATA,
            size_gib=20,
            status="In_use",
            zone="z",
            device_label="",
            attached_to=frozenset({INSTANCE}),
            multi_attach=False,
            encrypted=False,
            delete_with_instance=True,
        )

    def disk(self, disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        """Return a disk as it is by now."""
        del deadline_s
        self.life.alive()
        when, do = self._until.get(disk_id, (float("inf"), lambda: None))
        if self._clock.monotonic() >= when:
            del self._until[disk_id]
            do()
        return self.disks.get(disk_id)

    def detach(
        self, disk_id: DiskId, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> None:
        """Begin to detach it."""
        del deadline_s, instance_id

        def do() -> None:
            assert not self.mounted(self.disks[disk_id].serial), "detached while it is mounted"
            self._begin(
                disk_id,
                "Detaching",
                status="Available",
                attached_to=frozenset(),
                delete_with_instance=False,
            )

        self._once(f"detach {disk_id}", disk_id, "In_use", do)

    def attach(
        self,
        disk_id: DiskId,
        instance_id: InstanceId,
        *,
        released: bool | None,
        deadline_s: float | None = None,
    ) -> None:
        """Begin to attach it."""
        del deadline_s

        def do() -> None:
            self._begin(
                disk_id,
                "Attaching",
                status="In_use",
                attached_to=frozenset({instance_id}),
                delete_with_instance=bool(released),
            )

        self._once(f"attach {disk_id}", disk_id, "Available", do)

    def may_reset(
        self,
        disk_id: DiskId,
        snapshot_id: SnapshotId,
        *,
        attached: bool,
        deadline_s: float | None = None,
    ) -> None:
        """Note that it was asked."""
        del snapshot_id, attached, deadline_s
        self.life.alive()
        self.rehearsed.append(disk_id)

    def reset(
        self, disk_id: DiskId, snapshot_id: SnapshotId, *, deadline_s: float | None = None
    ) -> None:
        """Begin to reset it."""
        del deadline_s
        assert self.disks[disk_id].status != "In_use", "reset while it is attached"

        def do() -> None:
            if disk_id in self.unreset:
                raise self.unreset[disk_id]
            if self.disks[disk_id].status == "ReIniting":
                return
            self.content[disk_id] = snapshot_id
            self._begin(disk_id, "ReIniting", status="Available")

        self.life.effect(f"reset {disk_id}", do)

    def _once(self, name: str, disk_id: DiskId, wanted: str, do: Callable[[], None]) -> None:
        if self.disks[disk_id].status != wanted:
            raise DiskNotSettled(f"{disk_id} is {self.disks[disk_id].status}")
        self.life.effect(name, do)

    def _begin(self, disk_id: DiskId, now: str, **then: object) -> None:
        self.disks[disk_id] = replace(self.disks[disk_id], status=now)

        def end() -> None:
            self.disks[disk_id] = replace(self.disks[disk_id], **then)  # type: ignore[arg-type]

        self._until[disk_id] = (self._clock.monotonic() + self._settle_s, end)


class FakeGround:
    """A machine in memory; ``broken`` has by effect what it fails with.

    Args:
        attached: tells whether a disk with that serial has a device here.
    """

    def __init__(self, life: Life, attached: Callable[[str], bool]) -> None:
        self.life = life
        self.attached = attached
        self.mounts: dict[str, MountedPlace] = {}
        self.groups: set[str] = set()
        self.units: dict[str, bool] = {}
        self.stopped_with: dict[str, tuple[str, ...]] = {}
        self.triggered_by: dict[str, tuple[str, ...]] = {}
        self.upheld_by: dict[str, tuple[str, ...]] = {}
        self.beneath: tuple[User, ...] = ()
        self.standing = Standing()
        self.trace: list[str] = []
        self.unstartable: set[str] = set()
        self.sandboxed = False

    def device_of(self, serial: str) -> str | None:
        """Return a node while the disk is attached."""
        self.life.alive()
        return f"/dev/{serial}" if self.attached(serial) else None

    def is_the_machines(self) -> bool:
        """Tell what a test set."""
        return not self.sandboxed

    def survey(self, devices: Mapping[str, str]) -> Standing:
        """Return what a test put there, with what is mounted of these."""
        ours = tuple(place for place in self.mounts.values() if place.serial in devices)
        return replace(self.standing, mounts=ours, nodes=tuple(devices.values()))

    def unit(self, name: str) -> UnitFacts:
        """Return what a test put there."""
        return UnitFacts(
            name=name,
            known=name in self.units,
            active=self.units.get(name, False),
            stopped_with=self.stopped_with.get(name, ()),
            triggered_by=self.triggered_by.get(name, ()),
            upheld_by=self.upheld_by.get(name, ()),
        )

    def stop(self, unit: str) -> None:
        """Stop it, and as systemd does what needs it."""
        down = {unit: False, **dict.fromkeys(self.stopped_with.get(unit, ()), False)}
        self._do(f"stop {unit}", lambda: self.units.update(down))

    def start(self, unit: str) -> str:
        """Start it, where all is mounted that was; a trigger not while what it triggers runs."""
        if unit in self.unstartable:
            return "it says no"
        if any(unit in t and self.units[name] for name, t in self.triggered_by.items()):
            return "" if self.units[unit] else "its service runs"
        self._do(f"start {unit}", lambda: self.units.update({unit: True}))
        return ""

    def users_at(self, places: Sequence[str]) -> tuple[User, ...]:
        """Return those that a test put below one of these."""
        return tuple(user for user in self.beneath if any(map(user.path.startswith, places)))

    def is_mounted(self, place: MountedPlace) -> bool:
        """Tell whether it is."""
        return self.mounts.get(place.place) == place

    def unmount(self, place: MountedPlace) -> None:
        """Unmount it; nothing may be mounted below it, and no unit may run."""
        if place.place not in self.mounts:
            return
        if any(self.units.values()):
            raise DisksInUse("a unit runs")
        assert not [each for each in self.mounts if each.startswith(place.place + "/")]
        self._do(f"unmount {place.place}", lambda: self.mounts.pop(place.place, None))

    def deactivate(self, group: str) -> None:
        """Take it away."""
        assert not [each for each in self.mounts.values() if each.mapped], "it is mounted"
        if group in self.groups:
            self._do(f"deactivate {group}", lambda: self.groups.discard(group))

    def refuse_held(self, serials: Sequence[str]) -> None:
        """Refuse nothing."""
        held = [each for each in self.mounts.values() if each.serial in serials]
        assert not held

    def activate(self, group: str) -> None:
        """Make it; all of its disks must be there."""
        self._do(f"activate {group}", lambda: self.groups.add(group))

    def mount(self, place: MountedPlace, device: str) -> None:
        """Mount it as it was."""
        assert device == f"/dev/{place.serial}"
        if place.mapped and not self.groups:
            raise RollbackUnfinished(f"no volume for {place.place}")
        if place.place not in self.mounts:
            self._do(f"mount {place.place}", lambda: self.mounts.update({place.place: place}))

    def _do(self, name: str, do: Callable[[], object]) -> None:
        self.trace.append(name)
        self.life.effect(name, do)


class FakeStay:
    """The memory twin of an inhibitor."""

    def __init__(self) -> None:
        self.held = False

    def hold(self, why: str) -> str:
        """Hold it."""
        assert why
        self.held = True
        return ""

    def release(self) -> None:
        """Let it go."""
        self.held = False


class Journeys:
    """A machine with data disks, a database on them, and what brings them back."""

    def __init__(self, *disks: str, lvm: bool = False) -> None:
        self.life = Life()
        self.clock = FakeClock()
        self.cloud = FakeOwnDisks(self.life, self.clock)
        self.returns = FakeReturns(self.life)
        self.ground = FakeGround(self.life, self._attached)
        self.events: list[Event] = []
        self.stay = FakeStay()
        self.boot_id = BOOT
        self.ids = tuple(DiskId(f"d-{each}") for each in disks or ("one",))
        for disk_id in self.ids:
            self.cloud.put(disk_id)
        self.cloud.mounted = self._mounted
        first = self.ids[0].removeprefix("d-")
        places = [place_of(first, "/srv", mapped="vg0-data" if lvm else "")]
        places += [place_of(each.removeprefix("d-"), f"/srv/{each}") for each in self.ids[1:]]
        self.places = tuple(places[:1] if lvm else places)
        self.ground.mounts = {each.place: each for each in self.places}
        self.ground.groups = {"vg0"} if lvm else set()
        self.ground.units = {UNIT: True}
        self.groups = ("vg0",) if lvm else ()

    def tools(self, disks: OwnDisks | None = None, clock: Clock | None = None) -> GoingBack:
        """Return what the use cases work with."""
        return GoingBack(
            clock=clock or self.clock,
            copies_lock=FakeLock(self.clock),
            returns=self.returns,
            disks=lambda here: disks or self.cloud,
            ground=self.ground,
            inhibitor=self.stay,
            listener=self.events.append,
            new_id=lambda: ReturnId("r1"),
            kept=("/var/lib/snap-self",),
            boot_id=self.boot_id,
        )

    def record(self, now: datetime | None = None) -> ReturnRecord:
        """Return the record of a journey that is to begin."""
        return ReturnRecord(
            return_id=ReturnId("r1"),
            instance_id=INSTANCE,
            region=RegionId("cn-hangzhou"),
            run="run",
            started=now or self.clock.now(),
            since=None,
            boot_id=BOOT,
            disks=tuple(
                ReturningDisk(
                    disk_id=disk_id,
                    snapshot_id=SnapshotId(disk_id.replace("d-", "s-")),
                    serial=disk_id.removeprefix("d-"),
                    delete_with_instance=True,
                )
                for disk_id in self.ids
            ),
            units=(UnitRecord(name=UNIT, was_active=True),),
            mounts=self.places,
            groups=self.groups,
        )

    def new_process(self) -> None:
        """Begin anew after a kill, with what the journal and the machine have."""
        self.life.dead = False
        self.life.die_at = 0
        self.stay.held = False

    def all_is_in_use(self) -> bool:
        """Tell whether disks, mounts and units are as they were, whatever the disks hold."""
        disks = self.cloud.disks.values()
        return (
            all(disk.status == "In_use" and disk.delete_with_instance for disk in disks)
            and self.ground.mounts == {each.place: each for each in self.places}
            and self.ground.groups == set(self.groups)
            and self.ground.units == {UNIT: True}
            and not self.stay.held
        )

    def went_back(self) -> bool:
        """Tell whether all disks hold what their snapshots do."""
        return all(
            self.cloud.content[disk_id] == disk_id.replace("d-", "s-") for disk_id in self.ids
        )

    def untouched(self) -> bool:
        """Tell whether no disk lost anything."""
        return set(self.cloud.content.values()) == {"now"}

    def torn_in_use(self) -> bool:
        """Tell whether anything is used while the disks are of two times."""
        mixed = len({value == "now" for value in self.cloud.content.values()}) > 1
        return mixed and bool(self.ground.mounts or any(self.ground.units.values()))

    def _attached(self, serial: str) -> bool:
        return self.cloud.disks[DiskId(f"d-{serial}")].status in ("In_use", "Detaching")

    def _mounted(self, serial: str) -> bool:
        mounts = self.ground.mounts.values()
        return any(each.serial == serial or each.mapped for each in mounts)


__all__ = ["Journeys", "Killed"]
