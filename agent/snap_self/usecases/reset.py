"""Forget what is kept of this instance, so that an image of the machine has nothing of it.

No cloud is asked. Who this instance is matters only where a record says that something goes on: on
a machine that was made of another one's image, what the other one has open is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from snap_self.errors import LockHeld, StateInUse
from snap_self.model.going_back import ReturnRecord
from snap_self.model.ids import InstanceId
from snap_self.model.kept_state import KeptState, TextfileEnd
from snap_self.model.run import RunRecord, rebooted
from snap_self.model.shell import command
from snap_self.model.temporary import CopyRecord
from snap_self.ports import Clock, RunLock, RunStore, StateFolder
from snap_self.ports_going_back import ReturnStore
from snap_self.ports_looking_back import AwaitedChanges, CopyStore
from snap_self.usecases.aftercare.pending import MOST_TRIES, is_waiting
from snap_self.usecases.aftercare.uploads import goes_on
from snap_self.usecases.tools import Process

PURPOSE = "reset"
# What has just ended may hold its locks for a moment more: a run, or the follower of it.
WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetTools:
    """What it works with.

    Args:
        lock: of runs, and of all that changes the journal.
        copies_lock: of whoever opens or ends copies of snapshots.
        follow_lock: of the process that watches uploads.
        watch_lock: of whoever counts, and sums up for those who watch.
        process_started: as in ``Tools``.
        frozen: whether a freeze has left its marker.
        instance_id: who this instance is; None where that cannot be told. Asked at most once.
        asides: where files lie that restores have replaced, as far as these places are there.
        remove_textfile: removes the file of the metrics, if it is ours.
    """

    clock: Clock
    folder: StateFolder
    lock: RunLock
    copies_lock: RunLock
    follow_lock: RunLock
    watch_lock: RunLock
    store: RunStore
    copies: CopyStore
    returns: ReturnStore
    awaited: AwaitedChanges
    process: Process
    process_started: Callable[[int], int | None]
    frozen: Callable[[], bool]
    instance_id: Callable[[], InstanceId | None]
    asides: Callable[[], Sequence[str]]
    remove_textfile: Callable[[], TextfileEnd]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was removed.

    Args:
        asides: directories with files that restores have replaced, which stay.
        textfile: what became of the file of the metrics.
    """

    kept: KeptState
    asides: tuple[str, ...] = ()
    textfile: TextfileEnd = TextfileEnd.NONE


def reset(tools: ResetTools, agree: Callable[[KeptState], bool]) -> Forgotten | None:
    """Remove all that is kept of this instance; None if that was not agreed to.

    Args:
        agree: is asked before, unless there is nothing to remove; no lock is held meanwhile.

    Raises:
        LockHeld: another command is at work.
        StateInUse: something that the state tells of goes on.
        StateUnusable: the state directory cannot be read or emptied; what is left goes next time.
    """
    kept = tools.folder.look()
    if not kept.parts:
        return Forgotten(kept=kept)
    with _alone(tools):
        pass
    if not agree(kept):
        return None
    with _alone(tools):
        kept, asides = tools.folder.look(), tuple(tools.asides())
        # First: after a kill it is looked for again, as long as the state holds something.
        textfile = tools.remove_textfile()
        for _ in tools.folder.forget(kept):
            pass
    return Forgotten(kept=kept, asides=asides, textfile=textfile)


@contextmanager
def _alone(tools: ResetTools) -> Iterator[None]:
    """Keep others out of the state inside the block, which begins only if nothing needs it.

    The follower's lock is first, as it takes that of runs too before it ends.
    """
    with (
        _unwatched(tools.follow_lock) as unwatched,
        tools.lock.hold(timeout_s=WAIT_S, purpose=PURPOSE),
        tools.copies_lock.hold(timeout_s=WAIT_S, purpose=PURPOSE),
        tools.watch_lock.hold(timeout_s=WAIT_S, purpose=PURPOSE),
    ):
        found = [*_of_the_machine(tools, unwatched=unwatched), *_of_the_instance(tools)]
        if found:
            what = "; ".join(each.what for each in found)
            raise StateInUse(
                f"nothing was forgotten: {what}",
                hint="; ".join(dict.fromkeys(each.way_out for each in found)),
            )
        yield


@contextmanager
def _unwatched(follow_lock: RunLock) -> Iterator[bool]:
    """Keep the follower out inside the block; yield whether it is."""
    with ExitStack() as held:
        try:
            held.enter_context(follow_lock.hold(timeout_s=WAIT_S, purpose=PURPOSE))
        except LockHeld:
            unwatched = False
        else:
            unwatched = True
        yield unwatched


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hindrance:
    """Why the state is still needed: a clause, and what ends that."""

    what: str
    way_out: str


def _of_the_machine(tools: ResetTools, *, unwatched: bool) -> Iterator[_Hindrance]:
    """Yield what goes on here and now, whatever the journal says of it."""
    if tools.frozen():
        yield _Hindrance(
            what="a filesystem may still be frozen", way_out="`snap-self thaw` ends that"
        )
    if not unwatched:
        yield _Hindrance(
            what="the follower (`snap-self follow`) is at work",
            way_out="it ends by itself with the uploads and changes that it watches",
        )
    for change in tools.awaited.all():
        if _alive(tools, change.pid, change.pid_started, change.boot_id):
            yield _Hindrance(
                what=f"the change that run {change.run_id} was made for goes on (process "
                f"{change.pid})",
                way_out=_WAIT,
            )
    for record in tools.store.all():
        for one in record.commands:
            if not one.outcome and _alive(tools, one.pid, one.pid_started, one.boot_id):
                yield _Hindrance(
                    what=f"the command of {record.label} runs (process {one.pid})", way_out=_WAIT
                )


_WAIT = "wait for its end"


def _alive(tools: ResetTools, pid: int, started: int, boot_id: str) -> bool:
    """Tell whether a process of this boot still runs."""
    return not rebooted(boot_id, tools.process.boot_id) and tools.process_started(pid) == started


def _of_the_instance(tools: ResetTools) -> Iterator[_Hindrance]:
    """Yield what the records say to be open, but for those of another instance."""
    every = [
        *((each.instance_id, _of_run(each, tools.clock)) for each in tools.store.all()),
        *((each.instance_id, _of_copy(each)) for each in tools.copies.unfinished()),
        *((each.instance_id, _of_return(each)) for each in tools.returns.unfinished()),
    ]
    open_ = [(owner, found) for owner, found in every if found]
    own = tools.instance_id() if open_ else None
    for owner, found in open_:
        if own in (None, owner):
            yield found
    if own is None and open_:
        names = ", ".join(sorted({owner for owner, _ in open_}))
        yield _Hindrance(
            what="who this instance is cannot be asked",
            way_out=f"if it was made of an image of {names}, which these records are of, and the "
            f"metadata service cannot say so: {_removal(tools.folder.look().folder)}",
        )
    for damaged in tools.copies.damaged():
        yield _Hindrance(what=f"{damaged.text} may tell of an open copy", way_out=_UNMOUNT)
    for lost in tools.returns.damaged():
        yield _Hindrance(
            what=f"{lost.where} ({lost.why}) may tell of disks that are half-way",
            way_out=f"look at the disks, then: {command('rm', lost.where)}",
        )


_UNMOUNT = "`snap-self unmount --all` ends copies"


def _removal(folder: Path) -> str:
    names = ("runs", "restores", "returns")
    return command("rm", "-r", *(str(folder / name) for name in names))


def _of_run(record: RunRecord, clock: Clock) -> _Hindrance | None:
    if record.waiting is not None:
        return _Hindrance(
            what=record.waiting.words(clock.now()),
            way_out="`snap-self confirm` calls that off",
        )
    if goes_on(record):
        return _Hindrance(
            what=f"the upload of {record.label} is not known to have ended",
            way_out="`snap-self list` tells how far uploads are",
        )
    given_up = record.retention is not None and record.retention.count >= MOST_TRIES
    if is_waiting(record) and not given_up:
        return _Hindrance(
            what=f"snapshots of {record.label} have not got their retention yet",
            way_out="`snap-self doctor` gives it to them",
        )
    return None


def _of_copy(record: CopyRecord) -> _Hindrance:
    place = f" at {record.mounted_at}" if record.mounted_at else ""
    return _Hindrance(
        what=f"{record.purpose.value} {record.restore_id} is open{place}", way_out=_UNMOUNT
    )


def _of_return(record: ReturnRecord) -> _Hindrance:
    return _Hindrance(
        what=f"rollback {record.return_id} is half-way",
        way_out="`snap-self list`, as root, goes on with a rollback; `snap-self rollback "
        f"{record.return_id} --give-up` ends it where it is",
    )
