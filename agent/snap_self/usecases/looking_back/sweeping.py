"""End what earlier commands left open: after a kill, a power cut or a lost answer, and in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from snap_self.errors import DiskLeft, SnapSelfError, StateUnusable, UsageError
from snap_self.model.temporary import CopyRecord, DamagedRecord, Stage
from snap_self.recovery.temporary.rules import is_due
from snap_self.usecases.looking_back.ending import DETACH_S, Ended, end_copy
from snap_self.usecases.looking_back.rebuilding import rebuilt
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.tools import Here, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of looking for what is left.

    Args:
        ended: what was to end, and what became of it.
        open: mounts that people may still look at.
        damaged: records that cannot be read; what they tell of may exist.
        busy: another command is at work, so nothing was done.
    """

    ended: tuple[Ended, ...] = ()
    open: tuple[CopyRecord, ...] = ()
    damaged: tuple[DamagedRecord, ...] = ()
    busy: bool = False

    @property
    def left(self) -> tuple[DiskLeft, ...]:
        """What is to be said of what stays."""
        return tuple(each.error for each in self.ended if each.error)


def sweep(tools: Tools, looking: LookingBack) -> Swept:
    """Do what can be done at once to end what should have ended; nothing is waited for.

    It is done by the way: a disk that is being detached is deleted by the next command. Nothing is
    asked where nothing is left.

    Raises:
        SnapSelfError: neither instance nor cloud could be asked, or the journal not be read.
    """
    with looking.lock.attempt(purpose="clean-up") as held:
        if not held:
            return Swept(busy=True)
        due = partial(is_due, now=looking.clock.now())
        return _sweep(tools, looking, due, patience_s=0.0)


def unmount(tools: Tools, looking: LookingBack, which: str | None, *, every: bool) -> Swept:
    """End a mount by its id, its snapshot or its directory; what is left by others too.

    Args:
        which: None for the one that is open.
        every: all of them, where none is named.

    Raises:
        UsageError: nothing is open under that name, or it is not clear which is meant.
    """
    with looking.lock.hold(timeout_s=tools.lock_wait_s, purpose="unmount"):
        records = looking.copies.unfinished()
        chosen = [each for each in records if which is None or _is_meant(each, which)]
        damaged = [d for d in looking.copies.damaged() if which in (None, d.restore_id)]
        if which is not None and not chosen and not damaged:
            names = ", ".join(each.mounted_at or each.restore_id for each in records)
            raise UsageError(
                f"nothing is open as {which}",
                hint=f"open: {names}" if names else "nothing is open at all",
            )
        if which is None and not every and sum(each.is_open for each in chosen) > 1:
            names = ", ".join(each.mounted_at for each in chosen if each.is_open)
            raise UsageError(
                f"several are open: {names}", hint="name one, or close all of them with --all"
            )
        ids = {each.restore_id for each in chosen}
        swept = _sweep(
            tools,
            looking,
            lambda record: record.restore_id in ids,
            patience_s=DETACH_S,
            sure=which is not None,
        )
        return _mended(tools, looking, swept, damaged) if damaged else swept


def _mended(
    tools: Tools, looking: LookingBack, swept: Swept, damaged: Sequence[DamagedRecord]
) -> Swept:
    """End what damaged records tell of, as far as the cloud shows it."""
    here = tools.here()
    cloud = looking.disks(here)
    ended, stay = list(swept.ended), list(swept.damaged)
    for each in damaged:
        try:
            record = rebuilt(each, here.identity, cloud, looking.clock.now())
        except SnapSelfError as error:
            looking.warn(f"what {each.where} told of was not looked for: {error.told}")
            continue
        if record is not None:
            ended.append(end_copy(looking, cloud, record))
            stay.remove(each)
    return replace(swept, ended=tuple(ended), damaged=tuple(stay))


def _is_meant(record: CopyRecord, which: str) -> bool:
    orders = (disk.order.snapshot_id for disk in record.disks)
    folder = which.rstrip("/") or "/"
    return which in (record.restore_id, record.run_id, record.snapshot, *orders) or (
        bool(record.mounted_at) and folder == record.mounted_at
    )


def _sweep(
    tools: Tools,
    looking: LookingBack,
    due: Callable[[CopyRecord], bool],
    *,
    patience_s: float,
    sure: bool = False,
) -> Swept:
    records = looking.copies.unfinished()
    damaged = looking.copies.damaged()
    ending = [record for record in records if due(record)]
    stay = tuple(record for record in records if record not in ending and record.is_open)
    if not ending:
        return Swept(open=stay, damaged=damaged)
    here = tools.here()
    ended = tuple(_end(looking, here, record, patience_s, sure=sure) for record in ending)
    return Swept(ended=ended, open=stay, damaged=damaged)


def _end(
    looking: LookingBack, here: Here, record: CopyRecord, patience_s: float, *, sure: bool
) -> Ended:
    if record.instance_id != here.identity.instance_id:
        # This machine was made of another one's image: that one's disks are its own affair.
        ended = replace(record.at(Stage.DONE), ended=looking.clock.now())
        with suppress(StateUnusable):
            looking.copies.save(ended)
        return Ended(record=ended, elsewhere=True)
    looking.step(f"end what {record.purpose.value} {record.restore_id} left open")
    return end_copy(looking, looking.disks(here), record, patience_s=patience_s, sure=sure)
