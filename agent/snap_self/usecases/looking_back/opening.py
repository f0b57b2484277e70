"""Open a snapshot beside the running system: make its disks, attach them, mount; undo it all after.

Every step is written down before it is taken, so that whatever ends this process leaves nothing
that ``ending`` does not find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType

from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudUnreachable,
    DiskCategoryRefused,
    DiskLeft,
    PermissionRefused,
    SnapSelfError,
    SnapshotNotTagged,
    WaitRanOut,
)
from snap_self.model.disk_orders import DiskChoice, OnSale
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.opening import CopyShape, Note, Opened
from snap_self.model.shell import command
from snap_self.model.snapshots import OWNER_TAG
from snap_self.model.temporary import CopyRecord, DiskStage, Stage, TemporaryDisk
from snap_self.ports_looking_back import TemporaryDisks
from snap_self.recovery.temporary.rules import AVAILABLE, IN_USE
from snap_self.usecases.looking_back.ending import YOUNG_S, Ended, end_copy, end_disk
from snap_self.usecases.looking_back.kinds import Kinds, OfThese
from snap_self.usecases.looking_back.pausing import FIRST_S, LOOK_S, longer, pause_until
from snap_self.usecases.looking_back.tools import LookingBack

SETTLE_S = 300.0
# The API says In_use before the device is there.
DEVICE_S = 60.0
HELD = "snap-self has a copy of a disk attached; it is detached in a moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A copy that is to be opened.

    Args:
        record: at its first stage, each disk with the first order.
        choices: what kinds of disk may be asked for, by the disk copied, the best first.
        shape: where the filesystem lies on the disks.
        instance_type: of the instance that is to take the disks.
        of_these: gives the kinds for a disk again, of those that are on sale.
        untagged: snapshots that are known as ours by their group alone.
    """

    record: CopyRecord
    choices: Mapping[DiskId, tuple[DiskChoice, ...]]
    shape: CopyShape
    instance_type: str = ""
    of_these: OfThese = lambda source, on_sale: ()  # noqa: ARG005
    untagged: frozenset[SnapshotId] = frozenset()


@dataclass(slots=True)
class Life:
    """A copy that is open, or on its way there.

    Args:
        record: as it is in the journal.
        left: what is to be said of what stays after its end; None if nothing does.
        caveats: what differs from the best way of opening; kept when it is closed.
    """

    tools: LookingBack
    cloud: TemporaryDisks
    plan: Plan
    record: CopyRecord
    kinds: Kinds
    opened: Opened | None = None
    kept_open: bool = False
    left: DiskLeft | None = None
    caveats: tuple[Note, ...] = ()

    def note(self, record: CopyRecord) -> None:
        """Write down what is about to happen."""
        self.record = record
        self.tools.copies.save(record)

    def begin(self, stage: Stage) -> None:
        """Write down that a stage begins."""
        self.note(self.record.at(stage))

    def reached(self, stage: Stage) -> CopyRecord:
        """Return the record at a stage, or at a later one that it has come to."""
        return self.record if self.record.stage.at_least(stage) else self.record.at(stage)

    def copied(self) -> None:
        """Know that no half-written file is left; with what is written next the journal does."""
        self.record = replace(self.record, roots=())


@contextmanager
def opened_copy(
    tools: LookingBack, cloud: TemporaryDisks, plan: Plan, *, at: str | None = None
) -> Iterator[Life]:
    """Open a copy for the block, and end it after it, whatever happened, a signal too.

    Args:
        at: a directory to mount it at, for people; None for no mount point.

    Raises:
        DiskLeft: the block, or the opening, failed, and something stays.
        SnapSelfError: it could not be opened; nothing of it is left.
    """
    kinds = Kinds(plan.choices, plan.of_these, partial(_on_sale, tools, cloud, plan))
    life = Life(tools=tools, cloud=cloud, plan=plan, record=plan.record, kinds=kinds)
    life.note(plan.record)
    with ExitStack() as stack:
        stack.push(partial(_end_after, life))
        # Whatever becomes of this process, systemd ends the copy then.
        left = plan.record.until - tools.clock.now()
        tools.places.end_after(plan.record.restore_id, max(1, int(left.total_seconds())))
        _open(life, at)
        yield life


def _end_after(
    life: Life,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    """End it after its block; of two faults the one that costs money is the last word."""
    del kind, trace
    if error is None and life.kept_open:
        return
    _end(life)
    if error is None or life.left is None:
        return
    if isinstance(error, SnapSelfError):
        life.tools.warn(error.told)
    raise life.left from error


def _end(life: Life) -> None:
    """End it; a signal that comes meanwhile lets the end go on first."""
    opened, life.opened = life.opened, None
    ended: Ended | None = None
    try:
        ended = end_copy(life.tools, life.cloud, life.record, opened)
    finally:
        if ended is None:
            record = life.tools.copies.load(life.record.restore_id) or life.record
            ended = end_copy(life.tools, life.cloud, record)
        life.record, life.left = ended.record, ended.error


def _open(life: Life, at: str | None) -> None:
    life.tools.step("make the disk" if len(life.record.disks) == 1 else "make the disks")
    for place in range(len(life.record.disks)):
        _create(life, place)
    life.tools.prepare()
    record = life.record
    for place in range(len(life.record.disks)):
        record = _made(life, record, place)
    life.note(record.at(Stage.GUARDED))
    life.tools.inhibitor.hold(HELD)
    life.tools.opener.hold_back(life.record.serials)
    life.begin(Stage.ATTACHING)
    life.tools.step("attach")
    devices = dict(_attach(life, place) for place in range(len(life.record.disks)))
    life.tools.step("open")
    life.note(replace(life.record.at(Stage.OPENING), mounted_at=at or ""))
    if at and life.record.made_folder:
        life.tools.places.make(at)
    life.opened = life.tools.opener.open(
        devices, life.plan.shape, at=at, mark=life.record.restore_id
    )
    life.caveats = life.opened.notes
    # With what is written next the journal has it.
    life.record = replace(life.record, opened=life.tools.clock.now())


def _on_sale(tools: LookingBack, cloud: TemporaryDisks, plan: Plan) -> tuple[OnSale, ...]:
    """Return what kinds of disk are to be had here; none where the cloud does not tell."""
    tools.step("ask which kinds of disk are on sale")
    with suppress(SnapSelfError):
        zone = plan.record.disks[0].order.zone
        return cloud.on_sale(zone=zone, instance_type=plan.instance_type)
    return ()


def _create(life: Life, place: int) -> None:
    """Make one disk, of the first kind that the cloud grants.

    Raises:
        SnapSelfError: of the last kind that was tried.
    """
    first = life.plan.record.disks[place]
    choice = life.kinds.best(first.source) or first.order.choice
    while True:
        token, number = first.order.client_token, life.kinds.refusals
        token = f"{token}-{number}" if number else token
        order = replace(first.order, choice=choice, client_token=token)
        asked = replace(first, order=order, stage=DiskStage.CREATING, asked=life.tools.clock.now())
        life.note(life.reached(Stage.CREATING).with_disk(place, asked))
        try:
            disk_id = life.cloud.create_disk(order)
            break
        except SnapSelfError as error:
            if _maybe_done(error):
                raise
            life.note(life.record.with_disk(place, replace(first, order=order)))
            if isinstance(error, PermissionRefused) and order.snapshot_id in life.plan.untagged:
                raise _not_tagged(life.record, order.snapshot_id, error) from error
            other = _other(life, asked) if isinstance(error, DiskCategoryRefused) else None
            if other is None:
                raise
            choice = other
    made = life.tools.clock.now()
    known = replace(asked, stage=DiskStage.MADE, disk_id=disk_id, made=made)
    life.note(life.reached(Stage.CREATED).with_disk(place, known))


def _not_tagged(
    record: CopyRecord, snapshot_id: SnapshotId, error: PermissionRefused
) -> SnapshotNotTagged:
    """Return what a refusal means where the policy that we print could not but refuse.

    Other policies may allow it, so it was tried.
    """
    tag = f"{OWNER_TAG}={record.instance_id}"
    adds = command(
        *("aliyun", "ecs", "TagResources", "--RegionId", record.region),
        *("--ResourceType", "snapshot", "--ResourceId.1", snapshot_id),
        *("--Tag.1.Key", OWNER_TAG, "--Tag.1.Value", record.instance_id),
    )
    return SnapshotNotTagged(
        f"no disk may be made of {snapshot_id}: it lacks the tag {tag}, which its group alone has, "
        f"and by which the policy of `snap-self policy --restore` goes: {error.message}",
        hint=f"add the tag with an administrator's credentials, not on this instance: `{adds}`",
        details=error.details,
    )


def _other(life: Life, refused: TemporaryDisk) -> DiskChoice | None:
    """Return another kind of disk than that which was refused; None if none is left."""
    life.kinds.refuse(refused.order.choice)
    return life.kinds.best(refused.source)


def _maybe_done(error: SnapSelfError) -> bool:
    """Tell whether a disk may have been made although the call failed."""
    if isinstance(error, CloudAnswerUnclear):
        return True
    return isinstance(error, (ApiFault, CloudUnreachable)) and error.maybe_done


def _made(life: Life, record: CopyRecord, place: int) -> CopyRecord:
    """Return the record with the serial that a disk has once it is made."""
    disk = record.disks[place]
    seen = _await(life, disk, AVAILABLE)
    return record.with_disk(place, replace(disk, serial=seen.serial))


def _attach(life: Life, place: int) -> tuple[str, str]:
    """Attach one disk; return its serial and its device node."""
    while True:
        disk = life.record.disks[place]
        assert disk.disk_id is not None
        try:
            life.cloud.attach_disk(disk.disk_id, life.record.instance_id, young_s=YOUNG_S)
            break
        except DiskCategoryRefused:
            if _other(life, disk) is None or not _exchange(life, place):
                raise
    _await(life, disk, IN_USE)
    clock = life.tools.clock
    end = clock.monotonic() + DEVICE_S
    while (device := life.tools.opener.device_of(disk.serial)) is None:
        if clock.monotonic() >= end:
            raise WaitRanOut(
                f"{disk.disk_id} is attached, but its device did not come within {DEVICE_S:g} s",
                hint="nothing was changed; see the kernel's log (dmesg)",
            )
        clock.sleep(LOOK_S)
    return disk.serial, device


def _exchange(life: Life, place: int) -> bool:
    """Make a disk of another kind for one that the instance does not take, which is deleted first.

    Returns False if that one stays.
    """
    life.tools.step("make a disk of another kind")
    refused = life.record.disks[place]
    ended = end_disk(life.tools, life.cloud, life.record, place)
    # Nothing is open yet: whatever comes next is noted at this stage again.
    life.record = ended.record.at(Stage.ATTACHING)
    if ended.why:
        life.note(life.record)
        return False
    life.tools.opener.let_go([refused.serial])
    _create(life, place)
    life.note(_made(life, life.record, place))
    life.tools.opener.hold_back([life.record.disks[place].serial])
    return True


def _await(life: Life, disk: TemporaryDisk, status: str) -> CloudDisk:
    """Return a disk once it has that status."""
    assert disk.disk_id is not None
    clock = life.tools.clock
    end = clock.monotonic() + SETTLE_S
    pause_s = FIRST_S
    while True:
        seen = life.cloud.disk(disk.disk_id)
        if seen is not None and seen.status == status and (seen.serial or status != AVAILABLE):
            return seen
        if clock.monotonic() >= end:
            now = seen.status if seen else "not shown"
            raise WaitRanOut(
                f"{disk.disk_id} did not become {status} within {SETTLE_S:g} s: it is {now}",
                hint="nothing was changed; try again later",
            )
        if status == IN_USE:
            pause_until(life.tools, disk.serial, there=True, longest_s=pause_s)
        else:
            clock.sleep(pause_s)
        pause_s = longer(pause_s)
