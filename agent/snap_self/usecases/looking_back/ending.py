"""End a copy: undo what was done on this machine, then detach and delete its disks.

It serves the command that made the copy, and whoever finds its record after a kill or a power cut:
all that it does can be done again. Whoever calls it holds the lock of the copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from snap_self.errors import DiskLeft, DiskNotSettled, SnapSelfError, StateUnusable
from snap_self.model.disks import CloudDisk
from snap_self.model.opening import Closed, Opened
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.model.temporary import CopyRecord, DiskStage, Stage, TemporaryDisk
from snap_self.ports_looking_back import TemporaryDisks
from snap_self.recovery.temporary.booted import doubt_words, may_be_written, written_to
from snap_self.recovery.temporary.rules import (
    FIND_S,
    IN_USE,
    Act,
    Foreign,
    Next,
    Seen,
    is_forgotten,
    is_taken_over,
    local_of,
    next_of,
)
from snap_self.usecases.looking_back.pausing import FIRST_S, longer, pause_until
from snap_self.usecases.looking_back.tools import LookingBack

# A guest that does not let go keeps a disk Detaching for ever.
DETACH_S = 300.0
# The tags of a disk just made may not be known to RAM yet.
YOUNG_S = 30.0

ENDS_IT = "`snap-self unmount --all` tries again, and so does every later snap-self command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a copy that was to end.

    Args:
        why: why something stays; empty if nothing does.
        elsewhere: it is the record of another instance, whose affair its disks are.
    """

    record: CopyRecord
    why: str = ""
    elsewhere: bool = False

    @property
    def error(self) -> DiskLeft | None:
        """What is said of it if something stays."""
        return disk_left(self.record) if self.why else None


def disk_left(record: CopyRecord) -> DiskLeft:
    """Return what is said of a copy of which something stays."""
    ids = ", ".join(record.disk_ids)
    what = f"disk {ids} of {record.gib} GiB" if ids else "a disk that CreateDisk may have made"
    why = f": {record.trouble}" if record.trouble else ""
    return DiskLeft(
        f"a temporary disk is left and costs money until it is deleted: {what}, made for "
        f"{record.purpose.value} {record.restore_id}{why}",
        hint=_asks(record) if record.doubt else ENDS_IT,
    )


def _asks(record: CopyRecord) -> str:
    return (
        "it is not deleted unasked: attach it to another instance to look into it, then `snap-self "
        f"unmount {record.restore_id}` deletes it"
    )


def end_copy(
    tools: LookingBack,
    cloud: TemporaryDisks,
    record: CopyRecord,
    opened: Opened | None = None,
    *,
    patience_s: float = DETACH_S,
    sure: bool = False,
) -> Ended:
    """End a copy, as far as that is possible; never raises what the cloud or the machine says.

    Args:
        opened: it, where it is still open in this process.
        patience_s: how long each disk may take to be let go; 0 for one look and one request.
        sure: somebody named it, so that it goes too if a boot may have written to it.
    """
    ending = _Ending(tools, cloud, record, patience_s)
    if sure:
        ending.drop_doubt()
    return ending.end(opened)


def end_disk(tools: LookingBack, cloud: TemporaryDisks, record: CopyRecord, place: int) -> Ended:
    """End one disk of a copy of which nothing is open; never raises what the cloud says.

    What is written next has to have the record that is returned.

    Raises:
        StateUnusable: the journal cannot be written.
    """
    return _Ending(tools, cloud, record, DETACH_S).end_one(place)


class _Ending:
    def __init__(
        self, tools: LookingBack, cloud: TemporaryDisks, record: CopyRecord, patience_s: float
    ) -> None:
        self._tools = tools
        self._cloud = cloud
        self._record = record
        self._patience_s = patience_s
        self._unsaved = ""
        self._sure = False

    def drop_doubt(self) -> None:
        """Have its disks deleted although a boot may have written to them."""
        self._sure = True
        self._record = replace(self._record, doubt="")

    def end(self, opened: Opened | None) -> Ended:
        why = self._look_for_boots() or self._close(opened)
        if not why:
            # Each disk is tried: one that cannot go must not keep the others.
            faults = [self._end_disk(place) for place in range(len(self._record.disks))]
            why = "; ".join(filter(None, faults))
        if not why:
            why = self._end_strays()
        if not why:
            why = self._let_go()
        # Last, since it walks all that was written to: whoever interrupts it leaves no disk.
        self._tidy(why)
        if why:
            self._save(replace(self._record, trouble=why))
        else:
            now = self._tools.clock.now()
            self._save(replace(self._record.at(Stage.DONE), trouble="", ended=now))
        if self._unsaved:
            self._tools.warn(
                f"how {self._record.purpose.value} {self._record.restore_id} ended was not written "
                f"down, so the next command looks once more: {self._unsaved}"
            )
        return Ended(record=self._record, why=why)

    def end_one(self, place: int) -> Ended:
        why = self._end_disk(place)
        return Ended(record=self._record, why=why)

    def _save(self, record: CopyRecord) -> None:
        if record != self._record:
            self._record = record
            self._write()

    def _write(self) -> None:
        """Write it down if that can be: the older record on disk finds all of it too."""
        try:
            self._tools.copies.save(self._record)
        except StateUnusable as error:
            self._unsaved = error.told
        else:
            self._unsaved = ""

    def _begin(self, stage: Stage) -> None:
        """Write down what begins; what may have been done before is not forgotten by that."""
        if not self._record.stage.at_least(stage):
            self._save(self._record.at(stage))

    def _look_for_boots(self) -> str:
        """See whether a boot may have written to it; return what still uses it here, if anything.

        Once that is in doubt it stays so: of a disk that is detached nothing can be read.
        """
        if not may_be_written(self._record, self._tools.boot_id):
            return ""
        try:
            looks = [self._written(disk) for disk in self._record.disks if not disk.stage.is_over]
        except SnapSelfError as error:
            return error.told
        if used := [place for _, places in looks for place in places]:
            return f"it is in use since this machine was started: {', '.join(used)}"
        doubt = self._record.doubt or "; ".join(filter(None, (words for words, _ in looks)))
        if self._sure or not doubt:
            # Of what is detached next nothing can be read: it is settled for this boot.
            self._save(replace(self._record, boot_id=self._tools.boot_id))
        else:
            self._save(replace(self._record, doubt=doubt))
        return ""

    def _written(self, disk: TemporaryDisk) -> tuple[str, tuple[str, ...]]:
        """Return why a disk is not to be deleted unasked, and where it is in use."""
        if disk.disk_id is None:
            return "", ()
        device = self._tools.opener.device_of(disk.serial) if disk.serial else None
        signs = self._tools.opener.signs(disk.serial, device) if device else None
        used = signs.used_at if signs else ()
        return doubt_words(disk.disk_id, written_to(signs, disk.made)), used

    def _close(self, opened: Opened | None) -> str:
        """Undo what was done here; return why the disks cannot go yet, else nothing."""
        local = local_of(self._record)
        try:
            if local.close:
                silent = not self._record.stage.at_least(Stage.DETACHING)
                self._begin(Stage.CLOSING)
                self._tools.step("close the copy")
                why = _in_use(self._close_copy(opened))
                return why or (self._still_held() if silent else "")
        except SnapSelfError as error:
            return error.told
        return ""

    def _tidy(self, why: str) -> None:
        if not local_of(self._record).tidy:
            return
        if not why:
            self._write()  # that the disks are gone
        try:
            self._tools.copier.tidy(self._record.roots, self._record.restore_id)
        except SnapSelfError as error:
            self._tools.warn(f"half-written files of the restore may be left: {error.told}")
        self._record = replace(self._record, roots=())

    def _still_held(self) -> str:
        """Return why a disk cannot be detached although nothing was found to use it.

        A device that does not answer looks like one that is gone. What it holds is still mounted,
        and detaching it then makes a mount that hangs.
        """
        record, devices = self._record, self._devices()
        at = record.mounted_at
        mounted = bool(at) and self._tools.places.is_mounted(at)
        for disk in record.disks:
            if disk.disk_id is None or not (mounted or disk.serial not in devices):
                continue
            seen = self._cloud.disk(disk.disk_id)
            if seen and seen.status == IN_USE and record.instance_id in seen.attached_to:
                if mounted:
                    return f"something is still mounted at {at}, so {disk.disk_id} stays attached"
                return f"{disk.disk_id} is attached, but its device is not found or does not answer"
        return ""

    def _close_copy(self, opened: Opened | None) -> Closed:
        if opened is not None:
            return self._tools.opener.close(opened)
        record = self._record
        return self._tools.opener.close_left(
            self._devices(), record.mounted_at or None, mark=record.restore_id
        )

    def _devices(self) -> Mapping[str, str]:
        found = {serial: self._tools.opener.device_of(serial) for serial in self._record.serials}
        return {serial: device for serial, device in found.items() if device}

    def _let_go(self) -> str:
        try:
            if local_of(self._record).guard:
                self._tools.opener.let_go(self._record.serials)
            self._tools.places.end_no_more(self._record.restore_id)
            if self._record.made_folder:
                self._tools.places.remove(self._record.mounted_at)
        except SnapSelfError as error:
            return error.told
        finally:
            self._tools.inhibitor.release()
        return ""

    # --- one disk ----------------------------------------------------------------------------

    def _end_disk(self, place: int) -> str:
        """Return why a disk stays; empty when it is gone."""
        try:
            return self._until_gone(place)
        except SnapSelfError as error:
            return error.told

    def _until_gone(self, place: int) -> str:
        clock = self._tools.clock
        end = clock.monotonic() + self._patience_s
        seen: Seen | None = None
        pause_s = FIRST_S
        while True:
            disk = self._record.disks[place]
            if disk.disk_id is not None and disk.stage is DiskStage.MADE:
                seen = Seen(disk=self._cloud.disk(disk.disk_id))
            todo = next_of(self._record, disk, seen, clock.now())
            if todo.act is Act.NOTHING:
                if not disk.stage.is_over:
                    self._gone(place)
                return ""
            if todo.foreign is not None:
                return self._left_alone(place, todo.foreign, seen)
            if todo.act is Act.LOOK_BY_TAG and self._is_looked_for_in_vain(place):
                if seen is not None:
                    return self._never_seen(place)
                seen = Seen(disk=None)
            if todo.act is Act.DELETE and self._record.doubt:
                return self._record.doubt
            if todo.act is Act.ASK_AGAIN:
                seen = Seen(disk=None, asked_again=True)
            self._do(place, todo, seen)
            if self._record.disks[place].stage.is_over:
                return ""
            if clock.monotonic() >= end:
                return _still(disk, seen, todo.act, self._patience_s)
            if self._record.disks[place] == disk:
                pause_until(self._tools, disk.serial, there=False, longest_s=pause_s)
                pause_s = longer(pause_s)

    def _do(self, place: int, todo: Next, seen: Seen | None) -> None:
        disk = self._record.disks[place]
        try:
            if todo.act is Act.ASK_AGAIN:
                self._ask_again(place)
            elif todo.act is Act.DETACH and disk.disk_id:
                self._tools.step("detach the disk")
                self._begin(Stage.DETACHING)
                self._cloud.detach_disk(disk.disk_id, self._record.instance_id)
            elif todo.act is Act.DELETE and disk.disk_id:
                self._tools.step("delete the disk")
                self._begin(Stage.DELETING)
                self._cloud.delete_disk(disk.disk_id, young_s=YOUNG_S)
                self._gone(place)
        except DiskNotSettled:
            # It takes a while until a disk that is detached can be deleted.
            del seen

    def _know(self, place: int, disk: TemporaryDisk) -> None:
        self._save(self._record.with_disk(place, disk))

    def _gone(self, place: int, stage: DiskStage = DiskStage.GONE) -> None:
        """Note it with what is written next: that it is gone, the cloud tells again."""
        disk = replace(self._record.disks[place], stage=stage)
        self._record = self._record.with_disk(place, disk)

    def _ask_again(self, place: int) -> None:
        """Learn what a CreateDisk made whose answer is not known: the same order is no second one.

        If the cloud refuses, that says nothing of the first one.
        """
        disk = self._record.disks[place]
        try:
            disk_id = self._cloud.create_disk(disk.order)
        except SnapSelfError:
            return
        now = self._tools.clock.now()
        self._know(place, replace(disk, disk_id=disk_id, stage=DiskStage.MADE, made=now))

    def _is_looked_for_in_vain(self, place: int) -> bool:
        """Look for a disk by its tags; tell whether it was not found for long enough."""
        disk, now = self._record.disks[place], self._tools.clock.now()
        for one in self._unknown():
            if _is_made_of(one, disk):
                self._know(place, _found(one, disk, now))
                return False
        return disk.asked is None or (now - disk.asked).total_seconds() >= FIND_S

    def _unknown(self) -> list[CloudDisk]:
        """Return what carries the tags of this copy, and no disk of its record is.

        Those that are gone are known too: they may still be shown for a while.
        """
        record = self._record
        tags = {TEMPORARY_TAG: record.instance_id, RESTORE_TAG: record.restore_id}
        known = {disk.disk_id for disk in record.disks}
        return [one for one in self._cloud.disks_by_tag(tags) if one.disk_id not in known]

    def _end_strays(self) -> str:
        """End what was made beside the disks that are known; return why one stays.

        Each disk that was asked for has its id by now, but a token that was forgotten between two
        tries made one for each.
        """
        first, now = len(self._record.disks), self._tools.clock.now()
        if not any(disk.asked for disk in self._record.disks):
            return ""
        try:
            strays = self._unknown()
        except SnapSelfError as error:
            return error.told
        disks = self._record.disks
        more = (
            _found(one, next((each for each in disks if _is_made_of(one, each)), disks[0]), now)
            for one in strays
        )
        self._save(replace(self._record, disks=(*disks, *more)))
        faults = [self._end_disk(place) for place in range(first, len(self._record.disks))]
        return "; ".join(filter(None, faults))

    def _left_alone(self, place: int, foreign: Foreign, seen: Seen | None) -> str:
        """Return that a disk is not touched; nothing more is said of it after a day.

        As long as it is attached here, udev is held back from it, so it is not forgotten.
        """
        disk = self._record.disks[place]
        why = f"{disk.disk_id} is left alone, since {foreign.value}"
        here = seen and seen.disk and self._record.instance_id in seen.disk.attached_to
        if here:
            return f"{why}; detach it in the console, and delete it if nobody needs it"
        if not is_taken_over(disk, self._tools.clock.now()):
            return f"{why}; delete it in the console if nobody needs it"
        self._tools.warn(f"{why}; snap-self says no more of it, see to it in the console")
        self._gone(place, DiskStage.GIVEN_UP)
        return ""

    def _never_seen(self, place: int) -> str:
        disk = self._record.disks[place]
        if is_forgotten(disk, self._tools.clock.now()):
            self._gone(place, DiskStage.GIVEN_UP)
            return ""
        return "the cloud could not be asked whether it made the disk, and shows none yet"


def _in_use(closed: Closed) -> str:
    """Return why a disk cannot be detached yet: it would be Detaching until it is let go."""
    if not closed.busy:
        return ""
    by = ", ".join(f"{one.program or 'process'} ({one.pid})" for one in closed.holders)
    return f"{', '.join(closed.busy)} is still in use" + (f" by {by}" if by else "")


def _found(seen: CloudDisk, disk: TemporaryDisk, now: datetime) -> TemporaryDisk:
    return replace(disk, disk_id=seen.disk_id, serial=seen.serial, stage=DiskStage.MADE, made=now)


def _is_made_of(seen: CloudDisk, disk: TemporaryDisk) -> bool:
    return seen.snapshot_id in ("", disk.order.snapshot_id)


def _still(disk: TemporaryDisk, seen: Seen | None, act: Act, waited_s: float) -> str:
    if seen is None or seen.disk is None:
        return f"{disk.disk_id or 'the disk'} is not shown by the cloud"
    if not waited_s:
        now = "being detached" if act is Act.DETACH else seen.disk.status
        return f"{disk.disk_id} is {now}; the next command goes on with it"
    return f"{disk.disk_id} is still {seen.disk.status} after {waited_s:g} s"
