"""Take disks to their snapshots and back to their places, from wherever a journey was interrupted.

Until the first disk is reset nothing is lost: what fails then turns the journey back, and all is
mounted and started as it was. After that there is only the way forward. Whoever calls it holds the
locks, of the runs and of the copies. All that it does can be done again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from snap_self.errors import (
    ApiFault,
    CloudUnreachable,
    DiskConflict,
    DiskNotReady,
    DiskNotSettled,
    RollbackUnfinished,
    SnapSelfError,
    StateUnusable,
    WaitRanOut,
)
from snap_self.model.disks import CloudDisk
from snap_self.model.going_back import DiskState, Heading, ReturningDisk, ReturnRecord, Step
from snap_self.ports_going_back import OwnDisks
from snap_self.recovery.online import beneath_words, unfinished
from snap_self.usecases.going_back.tools import GoingBack

AVAILABLE, IN_USE, ATTACHING, RESETTING = "Available", "In_use", "Attaching", "ReIniting"
RESET_FAILED = "ReInitFailed"
# "About 1 minute" says the documentation of a detach; a large disk is reset for longer.
SETTLE_S = 300.0
RESET_S = 3600.0
PASSES_S = 60.0
DEVICE_S = 60.0
POLL_S = 1.0
# A detach whose answer was not waited for is seen to begin within that time.
STEADY_S = 5.0
HELD = "snap-self brings disks back to a snapshot; they are detached meanwhile"


def travel(
    going: GoingBack, cloud: OwnDisks, record: ReturnRecord, *, turn: str = ""
) -> ReturnRecord:
    """Take it to its end; return the record of that, whichever way it went.

    Args:
        record: as the journal has it.
        turn: why it is to turn back at once; empty to go on.

    Raises:
        RollbackUnfinished: it is half-way, and the journal has it.
        SnapSelfError: no disk was reset, and all is as it was before.
    """
    return _Journey(going, cloud, record).travel(turn)


class _Journey:
    def __init__(self, going: GoingBack, cloud: OwnDisks, record: ReturnRecord) -> None:
        self._going = going
        self._cloud = cloud
        self._record = record
        self._kept = record  # what the journal has
        self._cause: SnapSelfError | None = None

    def travel(self, turn: str) -> ReturnRecord:
        self._going.inhibitor.hold(HELD)
        try:
            if turn:
                self._turn_back(turn)
            if self._record.heading is Heading.FORWARD and not self._record.whole:
                self._go()
            self._arrive()
        finally:
            self._going.inhibitor.release()
        if self._cause is not None:
            self._warn_of_unstarted()
            raise self._cause
        return self._record

    def _go(self) -> None:
        """Go as far as the snapshots; on a fault or a signal turn back as long as that can be."""
        went = False
        try:
            if self._record.untouched:
                self._free()
                self._detach()
            else:
                self._refuse_attached()
            self._rehearse()
            self._reset()
            went = True
        except SnapSelfError as error:
            if not self._record.untouched:
                raise self._half_way(error) from error
            self._cause = error
        finally:
            if not went and self._record.untouched:
                self._turn_back(self._cause.told if self._cause else "it was interrupted")
                if self._cause is None:  # a signal goes on when everything is as it was
                    self._arrive()
                    self._warn_of_unstarted()

    def _turn_back(self, why: str) -> None:
        self._going.step("turn back: no disk was reset")
        self._note(replace(self._record, heading=Heading.BACK, trouble=why))

    def _arrive(self) -> None:
        """Put all in its place again, and end the journey.

        A journal that cannot be written keeps nothing from that; it is told at the end.
        """
        try:
            if not self._never_detached():
                self._attach()
            self._mount()
            self._start()
            ended = replace(self._record.at(Step.DONE), ended=self._going.clock.now())
            if ended.heading is Heading.FORWARD:
                ended = replace(ended, trouble="")
            self._save(ended)
        except SnapSelfError as error:
            raise self._half_way(error) from error

    def _warn_of_unstarted(self) -> None:
        for why in self._record.not_started:
            self._going.warn(f"not started again: {why}")
        for who in self._record.beneath:
            self._going.warn(who)

    def _never_detached(self) -> bool:
        return self._record.heading is Heading.BACK and _comes(self._record.step, Step.DETACHING)

    def _half_way(self, error: SnapSelfError) -> SnapSelfError:
        with suppress(StateUnusable):
            self._save(replace(self._record, trouble=error.told))
        # What goes on is what the journal has: it may not know that this one turned back.
        told = unfinished(replace(self._record, heading=self._kept.heading), error.told)
        told.details = tuple(filter(None, (error.hint, *error.details)))
        return told

    def _save(self, record: ReturnRecord) -> None:
        if record != self._kept:
            self._going.returns.save(record)
            self._kept = record
        self._record = record

    def _note(self, record: ReturnRecord) -> None:
        """Save it if that can be done, and go by it in any case."""
        self._record = record
        with suppress(StateUnusable):
            self._save(record)

    def _begin(self, step: Step, text: str) -> None:
        """Write down that a step begins; what was begun by an earlier process stays begun."""
        self._going.step(text)
        if _comes(self._record.step, step):
            self._save(self._record.at(step))

    def _begin_again(self, step: Step, text: str) -> None:
        """Do the same for what puts things back in their places."""
        with suppress(StateUnusable):
            self._begin(step, text)
        if _comes(self._record.step, step):
            self._record = self._record.at(step)

    # --- on this machine ---------------------------------------------------------------------

    def _free(self) -> None:
        """Have nothing use the disks any more; those that are away are used by nobody."""
        ground = self._going.ground
        if self._record.units:
            self._begin(Step.STOPPING, "stop the units")
        for unit in self._record.units:
            if unit.was_active:
                ground.stop(unit.name)
        self._begin(Step.UNMOUNTING, "unmount")
        for mounted in reversed(self._record.mounts):
            ground.unmount(mounted)
        for group in self._record.groups:
            ground.deactivate(group)
        ground.refuse_held([disk.serial for disk in self._record.disks])

    def _mount(self) -> None:
        ground = self._going.ground
        self._begin_again(Step.MOUNTING, "mount as it was")
        self._stop_again()
        devices = [self._device(place.serial) for place in self._record.mounts]
        self._see_beneath()
        failed = [*map(self._try(ground.activate), self._record.groups)]
        failed += map(self._try(ground.mount), self._record.mounts, devices)
        self._record = replace(self._record, not_mounted=tuple(filter(None, failed)))

    def _see_beneath(self) -> None:
        """Note who uses what the mounts will hide: nobody would hear of it afterwards."""
        ground = self._going.ground
        bare = [each.place for each in self._record.mounts if not ground.is_mounted(each)]
        if words := beneath_words(ground.users_at(bare)):
            known = dict.fromkeys((*self._record.beneath, *words))
            self._note(replace(self._record, beneath=tuple(known)))

    def _try(self, use: Callable[..., None]) -> Callable[..., str]:
        """Return the same that tells why it failed, where the snapshots are what is to be used.

        What was made after them is not there any more, however often it is tried.
        """

        def tried(*of: object) -> str:
            try:
                use(*of)
            except RollbackUnfinished as error:
                if not self._record.whole:
                    raise
                return error.told
            return ""

        return tried

    def _stop_again(self) -> None:
        """Stop what was started meanwhile, as by a boot: it writes to what lies below the mount."""
        ground = self._going.ground
        if all(map(ground.is_mounted, self._record.mounts)):
            return
        for unit in self._record.units:
            if unit.was_active and ground.unit(unit.name).active:
                ground.stop(unit.name)

    def _start(self) -> None:
        """Start what was stopped; one that does not start does not keep the others from it.

        None is started where not all is mounted: it would write to what lies below.
        """
        if self._record.units:
            self._begin_again(Step.STARTING, "start the units")
        failed = []
        for unit in reversed(self._record.units):
            if unit.was_active and (why := self._started(unit.name)):
                failed.append(f"{unit.name}: {why}")
        self._record = replace(self._record, not_started=tuple(failed))

    def _started(self, unit: str) -> str:
        """Start a unit; return why it does not run."""
        if self._record.not_mounted:
            return f"not all is mounted; then: systemctl start {unit}"
        return self._going.ground.start(unit)

    def _device(self, serial: str) -> str:
        clock = self._going.clock
        end = clock.monotonic() + DEVICE_S
        while (device := self._going.ground.device_of(serial)) is None:
            if clock.monotonic() >= end:
                raise WaitRanOut(
                    f"the disk with the serial {serial} is attached, and its device did not appear "
                    f"within {DEVICE_S:g} s",
                    hint="lsblk -o NAME,SERIAL shows what is there",
                )
            clock.sleep(POLL_S / 4)
        return device

    # --- in the cloud ------------------------------------------------------------------------

    def _detach(self) -> None:
        """Detach one disk after the other, as an instance detaches one at a time."""
        self._begin(Step.DETACHING, "detach the disks")
        for disk in self._record.disks:
            self._settle(disk, self._detach_again, (AVAILABLE, RESETTING, RESET_FAILED), SETTLE_S)

    def _detach_again(self, disk: ReturningDisk, seen: CloudDisk) -> None:
        if seen.status == IN_USE:
            self._refuse_elsewhere(seen)
            self._going.ground.refuse_held([disk.serial])
            self._cloud.detach(disk.disk_id, self._record.instance_id)

    def _refuse_attached(self) -> None:
        """Refuse disks that somebody attached: all were detached before the first was reset.

        Raises:
            DiskNotReady: as it says; what was done by hand is not undone.
        """
        for disk in self._record.disks:
            seen = self._cloud.disk(disk.disk_id)
            if seen is not None and (seen.attached_to or seen.status in (IN_USE, ATTACHING)):
                raise DiskNotReady(
                    f"{disk.disk_id} was attached by somebody meanwhile; nothing is done to it",
                    hint="detach it for the rollback to go on, or have that end here: snap-self "
                    f"rollback {self._record.return_id} --give-up",
                )

    def _rehearse(self) -> None:
        """Have the cloud say of all disks that it would reset them, before it resets the first."""
        for disk in self._record.disks:
            if disk.state is DiskState.AS_IT_WAS:
                self._cloud.may_reset(disk.disk_id, disk.snapshot_id, attached=False)

    def _reset(self) -> None:
        self._going.step("reset the disks")
        for place, disk in enumerate(self._record.disks):
            if disk.state is not DiskState.WENT_BACK:
                self._reset_one(place, disk)

    def _reset_one(self, place: int, disk: ReturningDisk) -> None:
        self._save(self._record.at(Step.RESETTING).with_disk(place, DiskState.ASKED))
        try:
            self._ask_reset(disk)
        except (ApiFault, CloudUnreachable) as error:
            # An order of before a kill may have been heard; this one was not, if it was refused.
            if (
                disk.state is DiskState.AS_IT_WAS
                and not error.maybe_done
                and self._is_unasked(disk)
            ):
                self._save(self._record.with_disk(place, DiskState.AS_IT_WAS))
            raise
        seen = self._settle(disk, _wait, (AVAILABLE, RESET_FAILED), RESET_S)
        if seen.status == RESET_FAILED:
            raise DiskNotReady(
                f"the cloud began to reset {disk.disk_id} and failed",
                hint="it is tried again; Alibaba Cloud support can tell more",
            )
        self._save(self._record.with_disk(place, DiskState.WENT_BACK))

    def _ask_reset(self, disk: ReturningDisk) -> None:
        """Ask for a reset; for a while, where the disk is in a state that passes.

        What is raised tells whether any of the calls may have been heard.
        """
        clock = self._going.clock
        end = clock.monotonic() + PASSES_S
        heard = False
        while True:
            try:
                self._cloud.reset(disk.disk_id, disk.snapshot_id)
            except (ApiFault, CloudUnreachable) as error:
                error.maybe_done = heard = heard or error.maybe_done
                passes = isinstance(error, DiskNotSettled | DiskConflict)
                if not passes or clock.monotonic() >= end:
                    raise
                clock.sleep(POLL_S)
            else:
                return

    def _is_unasked(self, disk: ReturningDisk) -> bool:
        """Tell whether the cloud is seen not to reset a disk, whatever it answered."""
        try:
            seen = self._cloud.disk(disk.disk_id)
        except SnapSelfError:
            return False
        return seen is not None and seen.status not in (RESETTING, RESET_FAILED)

    def _attach(self) -> None:
        self._begin_again(Step.ATTACHING, "attach the disks as they were")
        self._attach_all()
        while self._record.heading is Heading.BACK and not self._stays_attached():
            self._attach_all()

    def _attach_all(self) -> None:
        for disk in self._record.disks:
            self._settle(disk, self._attach_again, (IN_USE,), SETTLE_S)
            self._device(disk.serial)

    def _stays_attached(self) -> bool:
        """Tell whether no detach that was asked for is still to come, as after a signal."""
        clock = self._going.clock
        end = clock.monotonic() + STEADY_S
        while clock.monotonic() < end:
            clock.sleep(POLL_S)
            seen = [self._cloud.disk(disk_id) for disk_id in self._record.disk_ids]
            if any(disk is None or disk.status != IN_USE for disk in seen):
                return False
        return True

    def _attach_again(self, disk: ReturningDisk, seen: CloudDisk) -> None:
        if seen.status == AVAILABLE:
            self._cloud.attach(
                disk.disk_id, self._record.instance_id, released=disk.delete_with_instance
            )

    def _settle(
        self,
        disk: ReturningDisk,
        act: Callable[[ReturningDisk, CloudDisk], None],
        wanted: tuple[str, ...],
        limit_s: float,
    ) -> CloudDisk:
        """Act on a disk until the cloud shows it in a wanted state.

        Raises:
            DiskNotReady: it is gone, or in another state after that time.
        """
        clock = self._going.clock
        end = clock.monotonic() + limit_s
        while True:
            seen = self._cloud.disk(disk.disk_id)
            if seen is not None and seen.status in wanted:
                self._refuse_elsewhere(seen)
                return seen
            if clock.monotonic() >= end:
                status = seen.status if seen else "not shown by the cloud"
                raise DiskNotReady(
                    f"{disk.disk_id} is still {status} after {limit_s:g} s",
                    hint="the ECS console shows what goes on with it",
                )
            if seen is not None:
                # Another change of this instance's disks may go on, or this one not be settled.
                with suppress(DiskNotSettled, DiskConflict):
                    act(disk, seen)
            clock.sleep(POLL_S)

    def _refuse_elsewhere(self, seen: CloudDisk) -> None:
        """Refuse a disk that somebody gave to another instance meanwhile.

        Raises:
            DiskNotReady: it is another one's.
        """
        others = sorted(seen.attached_to - {self._record.instance_id})
        if others:
            raise DiskNotReady(
                f"{seen.disk_id} is attached to {', '.join(others)} by now",
                hint="detach it there",
            )


def _wait(disk: ReturningDisk, seen: CloudDisk) -> None:
    """Do nothing but wait."""
    del disk, seen


def _comes(first: Step, then: Step) -> bool:
    """Tell whether a step comes before another."""
    order = list(Step)
    return order.index(first) < order.index(then)
