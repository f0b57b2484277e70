"""Twins of what looking back works with, which can be killed at any of their effects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fakes.clock import FakeClock
from fakes.lock import FakeLock
from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudUnreachable,
    DiskCategoryRefused,
    DiskNotSettled,
    PermissionRefused,
    QuotaReached,
    SnapSelfError,
    TokenReused,
)
from snap_self.model.copying import (
    Change,
    CopyOutcome,
    CopyPlan,
    Difference,
    LeftOut,
    Wanted,
)
from snap_self.model.disk_orders import DiskChoice, DiskOrder, OnSale
from snap_self.model.disks import CloudDisk, DiskKind, Filesystem
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.opening import (
    Checked,
    CheckResult,
    Closed,
    CopyShape,
    CopySigns,
    Held,
    Note,
    Opened,
    Refusal,
)
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.model.temporary import (
    CopyRecord,
    DamagedRecord,
    KeptFiles,
    Purpose,
    RestoreId,
    Stage,
    TemporaryDisk,
)
from snap_self.usecases.looking_back.tools import LookingBack

INSTANCE = InstanceId("i-bp1twin")
OWN = DiskId("d-own")


CHOICES = (DiskChoice(category="cloud_essd", size_gib=20, level="PL0"),)


def copy_record(now: datetime, *, disks: int = 1) -> CopyRecord:
    """Return the record of a copy that is to be opened."""
    tags = {TEMPORARY_TAG: INSTANCE, RESTORE_TAG: "r1"}
    return CopyRecord(
        restore_id=RestoreId("r1"),
        purpose=Purpose.RESTORE,
        instance_id=INSTANCE,
        region=RegionId("cn-hangzhou"),
        run_id="run",
        snapshot="s-1",
        started=now,
        until=now,
        stage=Stage.PLANNED,
        disks=tuple(
            TemporaryDisk(
                source=DiskId(f"d-source{place}"),
                order=DiskOrder(
                    snapshot_id=SnapshotId(f"s-{place}"),
                    choice=CHOICES[0],
                    zone="z",
                    client_token=f"token-{place}",
                    tags=tags,
                ),
            )
            for place in range(disks)
        ),
        attached_before=(OWN,),
    )


# What becomes of a try of CreateDisk: without an answer, done (``lost``) or not (``unsure``), so
# that it is tried again; or the end of the call.
TRIES: Mapping[str, type[ApiFault | CloudUnreachable]] = {
    "silence": CloudUnreachable,
    "unclear": CloudAnswerUnclear,
    "quota": QuotaReached,
    "sold out": DiskCategoryRefused,
    "denied": PermissionRefused,
}


class Killed(BaseException):
    """SIGKILL: the process does nothing more."""


@dataclass(slots=True)
class Life:
    """The process: every effect passes here, and may be its last.

    Args:
        die_at: number of the effect at which it is killed; 0 for never.
        after: the effect still happens, only its answer is lost.
        broken: effects by name that fail this time, with what.
    """

    die_at: int = 0
    after: bool = False
    effects: list[str] = field(default_factory=list)
    dead: bool = False
    broken: dict[str, list[BaseException]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def effect(self, name: str, do: Callable[[], object]) -> None:
        """Let an effect happen, or the process die at it."""
        if self.dead:
            raise Killed
        self.effects.append(name)
        if len(self.effects) == self.die_at:
            self.dead = True
            if self.after:
                do()
            raise Killed
        if self.broken.get(name):
            raise self.broken[name].pop(0)
        do()
        if self.lost.get(name, 0) > 0:
            self.lost[name] -= 1
            raise CloudUnreachable(f"no answer to {name}", maybe_done=True)

    def alive(self) -> None:
        """Stop here if the process was killed."""
        if self.dead:
            raise Killed


class FakeCopies:
    """The memory twin of ``CopyJournal``; a save is an effect."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.records: dict[RestoreId, CopyRecord] = {}
        self.files: dict[RestoreId, KeptFiles] = {}
        self.stages: list[Stage] = []
        self.broken: list[DamagedRecord] = []

    def save(self, record: CopyRecord) -> None:
        """Keep the record."""

        def put() -> None:
            self.records[record.restore_id] = record
            self.stages.append(record.stage)

        self.life.effect(f"journal {record.stage.value}", put)

    def load(self, restore_id: str) -> CopyRecord | None:
        """Return one record."""
        self.life.alive()
        return self.records.get(RestoreId(restore_id))

    def unfinished(self) -> tuple[CopyRecord, ...]:
        """Return what is not done."""
        return tuple(each for each in self.records.values() if each.stage is not Stage.DONE)

    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Return those that a test damaged and nobody wrote anew."""
        return tuple(each for each in self.broken if each.restore_id not in self.records)

    def keep(self, kept: KeptFiles) -> None:
        """Keep what was replaced."""
        self.life.effect("keep", lambda: self.files.update({kept.restore_id: kept}))

    def kept(self, restore_id: str) -> KeptFiles | None:
        """Return what was replaced."""
        return self.files.get(RestoreId(restore_id))


class FakeDisks:
    """A cloud with one instance; disks settle a while after they were asked to.

    ``forgets`` makes it refuse client tokens that it knows; with ``amnesia`` it knows none, so that
    each try makes another disk; ``blind`` hides what exists from all lists. ``fates`` has for each
    CreateDisk to come what becomes of its tries (``TRIES``).
    """

    def __init__(self, life: Life, clock: FakeClock, *, settle_s: float = 2.0) -> None:
        self.life = life
        self._clock = clock
        self._settle_s = settle_s
        self._tokens: dict[str, DiskId] = {}
        self._until: dict[DiskId, tuple[float, str]] = {}
        self.disks: dict[DiskId, CloudDisk] = {}
        self.made = 0
        self.fates: list[tuple[str, ...]] = []
        self.forgets = False
        self.amnesia = False
        self.blind = False
        self.touched: list[DiskId] = []
        self.orders: list[DiskOrder] = []
        self.sale: tuple[OnSale, ...] | SnapSelfError = ()
        self.asked_on_sale = 0
        self.sold_out: set[str] = set()
        self.not_taken: set[str] = set()

    def put(self, disk_id: str, tags: Mapping[str, str], *, status: str = "In_use") -> None:
        """Let somebody else's disk exist."""
        here = frozenset({INSTANCE}) if status == "In_use" else frozenset()
        disk = _disk(DiskId(disk_id), tags, "")
        self.disks[disk.disk_id] = replace(disk, status=status, attached_to=here)

    def move(self, disk_id: str, instance_id: str) -> None:
        """Let another instance have a disk."""
        disk = self.disks[DiskId(disk_id)]
        moved = replace(disk, attached_to=frozenset({InstanceId(instance_id)}))
        self.disks[disk.disk_id] = moved

    def create_disk(self, order: DiskOrder, *, deadline_s: float | None = None) -> DiskId:
        """Make a disk, or tell the one that the same order made."""
        del deadline_s
        self.orders.append(order)
        maybe_done = False
        for fate in self.fates.pop(0) if self.fates else ():
            if fate in ("lost", "unclear"):
                self._create(order)
            maybe_done |= fate in ("lost", "unsure")
            if fate in TRIES:
                error = TRIES[fate]("no")
                error.maybe_done = maybe_done
                raise error
        return self._create(order)

    def _create(self, order: DiskOrder) -> DiskId:
        known = None if self.amnesia or self.forgets else self._tokens.get(order.client_token)
        made = known or DiskId(f"d-temp{self.made}")

        def make() -> None:
            if known is None:
                self.made += 1
                self._tokens[order.client_token] = made
                disk = _disk(made, order.tags, order.snapshot_id)
                self.disks[made] = replace(disk, category=order.choice.category)
                self._change(made, "Creating", "Available")

        if order.choice.category in self.sold_out:
            raise DiskCategoryRefused(f"{order.choice.category} is sold out")
        if self.forgets and order.client_token in self._tokens:
            raise TokenReused("the token is known with other arguments")
        self.life.effect("create", make)
        return made

    def attach_disk(
        self,
        disk_id: DiskId,
        instance_id: InstanceId,
        *,
        deadline_s: float | None = None,
        young_s: float = 0.0,
    ) -> None:
        """Attach it."""
        del deadline_s, young_s
        self.life.alive()
        if self.disks[disk_id].category in self.not_taken:
            raise DiskCategoryRefused("the instance does not take it")

        def attach() -> None:
            self.touched.append(disk_id)
            here = frozenset({instance_id})
            self.disks[disk_id] = replace(self.disks[disk_id], attached_to=here)
            self._change(disk_id, "Attaching", "In_use")

        self.life.effect("attach", attach)

    def detach_disk(
        self, disk_id: DiskId, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> bool:
        """Detach it."""
        del instance_id, deadline_s

        def detach() -> None:
            self.touched.append(disk_id)
            self.disks[disk_id] = replace(self.disks[disk_id], attached_to=frozenset())
            self._change(disk_id, "Detaching", "Available")

        self.life.effect("detach", detach)
        return True

    def delete_disk(
        self, disk_id: DiskId, *, deadline_s: float | None = None, young_s: float = 0.0
    ) -> None:
        """Delete it, or what is gone already."""
        del deadline_s, young_s
        seen = self._look(disk_id)
        if seen is not None and seen.status != "Available":
            raise DiskNotSettled(f"{disk_id} is {seen.status}")

        def delete() -> None:
            self.touched.append(disk_id)
            self.disks.pop(disk_id, None)

        self.life.effect("delete", delete)

    def disk(self, disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        """Return a disk as it is by now."""
        del deadline_s
        self.life.alive()
        return None if self.blind else self._look(disk_id)

    def disks_by_tag(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[CloudDisk, ...]:
        """Return those with all these tags."""
        del deadline_s
        self.life.alive()
        found = [self._look(disk_id) for disk_id in self.disks]
        return tuple(
            each for each in found if each and not self.blind and tags.items() <= each.tags.items()
        )

    def on_sale(
        self, *, zone: str, instance_type: str, deadline_s: float | None = None
    ) -> tuple[OnSale, ...]:
        """Return what a test put on sale."""
        del zone, instance_type, deadline_s
        self.asked_on_sale += 1
        if isinstance(self.sale, SnapSelfError):
            raise self.sale
        return self.sale

    def _change(self, disk_id: DiskId, now: str, then: str) -> None:
        self.disks[disk_id] = replace(self.disks[disk_id], status=now)
        self._until[disk_id] = (self._clock.monotonic() + self._settle_s, then)

    def _look(self, disk_id: DiskId) -> CloudDisk | None:
        disk = self.disks.get(disk_id)
        when, then = self._until.get(disk_id, (float("inf"), ""))
        if disk is not None and self._clock.monotonic() >= when:
            disk = self.disks[disk_id] = replace(disk, status=then)
        return disk


def _disk(disk_id: DiskId, tags: Mapping[str, str], snapshot_id: str) -> CloudDisk:
    return CloudDisk(
        disk_id=disk_id,
        name="",
        serial=disk_id.removeprefix("d-"),
        category="cloud_essd",
        kind=DiskKind.DATA,
        size_gib=20,
        status="Creating",
        zone="z",
        device_label="",
        attached_to=frozenset(),
        multi_attach=False,
        encrypted=False,
        tags=dict(tags),
        snapshot_id=snapshot_id,
    )


class FakeOpener:
    """Opens in memory; what is mounted without a mount point ends with the process."""

    def __init__(self, life: Life, disks: FakeDisks) -> None:
        self.life = life
        self._disks = disks
        self.rules: set[str] = set()
        self.mounted: dict[str, str] = {}
        self.refused: Refusal | None = None
        self.closing = Closed()
        self.seen = CopySigns(signs=())
        self.notes: tuple[Note, ...] = ()

    def shape_of(self, filesystem: Filesystem, *, subvolume: str = "") -> CopyShape:
        """Return a whole disk."""
        del subvolume
        return CopyShape(fstype=filesystem.fstype)

    def refusal(self, shapes: Sequence[CopyShape]) -> Refusal | None:
        """Return what a test put there."""
        del shapes
        return self.refused

    def hold_back(self, serials: Sequence[str]) -> Held:
        """Write the rule."""
        self.life.effect("rule", lambda: self.rules.update(serials))
        return Held(rule="rule", reloaded=True)

    def device_of(self, serial: str) -> str | None:
        """Return a node while the disk is attached."""
        self.life.alive()
        disk = self._disks.disks.get(DiskId(f"d-{serial}"))
        return f"/dev/{serial}" if disk and disk.attached_to else None

    def open(
        self, devices: Mapping[str, str], shape: CopyShape, *, at: str | None, mark: str = ""
    ) -> Opened:
        """Mount it."""
        del mark
        assert devices, "nothing to open"
        assert set(devices) <= self.rules, "udev was not held back"
        if at:
            self.life.effect("mount", lambda: self.mounted.update({at: ",".join(devices)}))
        return Opened(
            fd=7,
            device="/dev/x",
            fstype=shape.fstype,
            mounted_at=at,
            devices=devices,
            notes=self.notes,
        )

    def signs(self, serial: str, device: str) -> CopySigns:
        """Return what a test put there."""
        assert device == f"/dev/{serial}"
        self.life.alive()
        return self.seen

    def close(self, opened: Opened) -> Closed:
        """Unmount it."""
        at = opened.mounted_at or ""
        self.life.effect("close", lambda: self.mounted.pop(at, None))
        return self.closing

    def close_left(self, devices: Mapping[str, str], at: str | None, *, mark: str = "") -> Closed:
        """Unmount what a killed process left."""
        del devices, mark
        self.life.effect("close", lambda: self.mounted.pop(at or "", None))
        return self.closing

    def let_go(self, serials: Sequence[str]) -> None:
        """Drop the rule; the devices must be gone by then."""
        attached = [s for s in serials if self.device_of(s)]
        assert not attached, "udev was let go while the disk was there"
        self.life.effect("let go", lambda: self.rules.difference_update(serials))

    def check(self, opened: Opened, *, limit_s: float) -> Checked:
        """Find no fault."""
        del opened, limit_s
        return Checked(result=CheckResult.CLEAN, program="fsck")


class FakeCopier:
    """Copies one file in memory."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.planned = CopyPlan(differences=(Difference(path="/srv/a", kind=Change.CONTENT),))
        self.temporaries: set[str] = set()
        self.copied: list[str] = []
        self.undone: list[tuple[str, str]] = []
        self.by_now: CopyPlan | None = None
        self.agreed: Collection[str] | None = None
        self.whole = True
        self.used: list[LeftOut] = []

    def plan(
        self, source: int, wanted: Sequence[Wanted], *, to: str | None, exact: bool
    ) -> CopyPlan:
        """Return what a test put there."""
        del source, wanted, to, exact
        return self.planned

    def copy(
        self,
        source: int,
        wanted: Sequence[Wanted],
        *,
        mark: str,
        to: str | None,
        exact: bool,
        aside: str | None,
        progress: Callable[[int, int], None],
        agreed: Collection[str] | None = None,
        begins: Callable[[CopyPlan], None] = lambda plan: None,
        ended: Callable[[CopyOutcome], None] = lambda outcome: None,
    ) -> CopyOutcome:
        """Write beside, then rename."""
        del source, to, exact
        self.agreed = agreed
        begins(self.by_now or self.planned)
        outcome = CopyOutcome()
        try:
            self.life.effect("write", lambda: self.temporaries.add(mark))
            self.life.effect("rename", self.temporaries.clear)
            self.copied += [each.path for each in wanted]
            progress(1, 1)
            kept = ((wanted[0].path, f"{aside}/a"),) if aside else ()
            outcome = CopyOutcome(copied=1, kept_aside=kept)
        finally:
            ended(outcome)
        return outcome

    def tidy(self, roots: Sequence[str], mark: str) -> int:
        """Remove half-written files."""
        assert roots, "nowhere to look"
        self.life.effect("tidy", lambda: self.temporaries.discard(mark))
        return 0

    def undo(
        self,
        kept: Sequence[tuple[str, str]],
        made: Sequence[tuple[str, str]] = (),
        *,
        whole: bool = True,
    ) -> CopyOutcome:
        """Note what was exchanged."""
        self.whole = whole
        self.undone += [*kept, *made]
        return CopyOutcome(copied=len(kept))

    def in_use(self, paths: Sequence[str]) -> tuple[LeftOut, ...]:
        """Return what a test put there of these."""
        return tuple(each for each in self.used if each.path in paths)


class FakeInhibitor:
    """Holds a reboot back in memory."""

    def __init__(self) -> None:
        self.held = False

    def hold(self, why: str) -> str:
        """Hold."""
        assert why
        self.held = True
        return ""

    def release(self) -> None:
        """Release."""
        self.held = False


class FakePlaces:
    """Directories and timers in memory."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.folders: set[str] = set()
        self.timers: dict[str, int] = {}
        self.mounted: set[str] = set()

    def usual(self, name: str) -> str:
        """Return a place."""
        return f"/run/copies/{name}"

    def check(self, path: str) -> bool:
        """Tell whether it has to be made."""
        return path not in self.folders

    def make(self, path: str) -> None:
        """Make it."""
        self.life.effect("folder", lambda: self.folders.add(path))

    def remove(self, path: str) -> None:
        """Remove it."""
        self.life.effect("no folder", lambda: self.folders.discard(path))

    def is_mounted(self, path: str) -> bool:
        """Tell what a test put there."""
        return path in self.mounted

    def end_after(self, restore_id: str, seconds: int) -> bool:
        """Start a timer."""
        self.timers[restore_id] = seconds
        return True

    def end_no_more(self, restore_id: str) -> None:
        """Stop it."""
        self.timers.pop(restore_id, None)


class World:
    """All of them; a new process sees what the killed one left."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lock = FakeLock(self.clock)
        self.life = Life()
        self.copies = FakeCopies(self.life)
        self.disks = FakeDisks(self.life, self.clock)
        self.opener = FakeOpener(self.life, self.disks)
        self.copier = FakeCopier(self.life)
        self.inhibitor = FakeInhibitor()
        self.places = FakePlaces(self.life)
        self.said: list[str] = []

    def tools(self) -> LookingBack:
        """Return what the use cases work with."""
        return LookingBack(
            clock=self.clock,
            lock=self.lock,
            copies=self.copies,
            disks=lambda here: self.disks,
            opener=self.opener,
            copier=self.copier,
            inhibitor=self.inhibitor,
            places=self.places,
            listener=lambda event: self.said.append(event.text),
            new_id=lambda: RestoreId("r1"),
        )

    def new_process(self) -> None:
        """Start another process after the one that was killed."""
        self.life.dead = False
        self.life.die_at = 0
        self.life.broken.clear()
        self.life.lost.clear()
        self.disks.fates.clear()
        self.inhibitor.held = False

    def leftovers(self) -> list[str]:
        """Return all that is left of any copy."""
        unfinished = [f"record {each.restore_id}" for each in self.copies.unfinished()]
        disks = [f"disk {each}" for each in self.disks.disks if each.startswith("d-temp")]
        rules = [f"rule {each}" for each in self.opener.rules]
        mounts = [f"mount {each}" for each in self.opener.mounted]
        files = [f"file {each}" for each in self.copier.temporaries]
        mounts += [f"folder {each}" for each in self.places.folders]
        files += [f"timer {each}" for each in self.places.timers]
        held = ["inhibitor"] if self.inhibitor.held else []
        return [*unfinished, *disks, *rules, *mounts, *files, *held]
