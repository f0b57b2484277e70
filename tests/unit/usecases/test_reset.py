"""`reset`: what forbids it, each with its way out, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fakes.clock import FakeClock
from fakes.going_back import FakeReturns
from fakes.journal import FakeJournal
from fakes.lock import FakeLock
from fakes.looking import MemoryAwaited
from fakes.looking_back import FakeCopies, Life
from fakes.records import order_record, run_record
from snap_self.errors import LockHeld, StateInUse
from snap_self.model.awaited import AwaitedChange
from snap_self.model.going_back import ReturnId, ReturnRecord
from snap_self.model.ids import InstanceId, RegionId, SnapshotId
from snap_self.model.kept_state import KeptPart, KeptState, TextfileEnd
from snap_self.model.run import (
    ArmedRecord,
    CommandRecord,
    RetentionTries,
    RunRecord,
    Stage,
    Upload,
)
from snap_self.model.temporary import CopyRecord, DamagedRecord, Purpose, RestoreId
from snap_self.model.temporary import Stage as CopyStage
from snap_self.usecases.aftercare.pending import MOST_TRIES
from snap_self.usecases.reset import WAIT_S, Forgotten, ResetTools, reset
from snap_self.usecases.tools import Process

AT = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)
OWN = run_record().instance_id
OTHER = InstanceId("i-bp1another")
BOOT = run_record().boot_id
ALIVE = {4711: 99}


@dataclass
class MemoryState:
    """A state directory in memory."""

    files: list[Path] = field(default_factory=lambda: [Path("/state/runs/r.json")])

    def look(self) -> KeptState:
        """Return what lies there."""
        part = KeptPart(name="runs", words="runs", files=tuple(self.files))
        return KeptState(folder=Path("/state"), parts=(part,) if self.files else ())

    def forget(self, kept: KeptState) -> Iterator[Path]:
        """Remove these."""
        for path in kept.files:
            self.files.remove(path)
            yield path


@dataclass
class World:
    """A machine on which it is said."""

    clock: FakeClock = field(default_factory=FakeClock)
    folder: MemoryState = field(default_factory=MemoryState)
    store: FakeJournal = field(default_factory=FakeJournal)
    copies: FakeCopies = field(default_factory=lambda: FakeCopies(Life()))
    returns: FakeReturns = field(default_factory=lambda: FakeReturns(Life()))
    awaited: MemoryAwaited = field(default_factory=MemoryAwaited)
    identity: InstanceId | None = OWN
    asked: int = 0
    frozen: bool = False
    follower_s: float = 0.0
    lock_s: float = 0.0
    copies_lock_s: float = 0.0
    watch_lock_s: float = 0.0
    textfile: TextfileEnd = TextfileEnd.NONE

    def tools(self) -> ResetTools:
        """Return what it works with."""
        return ResetTools(
            clock=self.clock,
            folder=self.folder,
            lock=FakeLock(self.clock, free_after_s=self.lock_s),
            copies_lock=FakeLock(self.clock, free_after_s=self.copies_lock_s),
            follow_lock=FakeLock(self.clock, free_after_s=self.follower_s),
            watch_lock=FakeLock(self.clock, free_after_s=self.watch_lock_s),
            store=self.store,
            copies=self.copies,
            returns=self.returns,
            awaited=self.awaited,
            process=Process(pid=1, boot_id=BOOT),
            process_started=ALIVE.get,
            frozen=lambda: self.frozen,
            instance_id=self.instance_id,
            asides=lambda: ["/srv/.snap-self-replaced/a1"],
            remove_textfile=self.remove_textfile,
        )

    def remove_textfile(self) -> TextfileEnd:
        """Remove the metrics; there are none a second time."""
        if self.textfile is TextfileEnd.REMOVED:
            self.textfile = TextfileEnd.NONE
            return TextfileEnd.REMOVED
        return self.textfile

    def instance_id(self) -> InstanceId | None:
        """Tell who this is."""
        self.asked += 1
        return self.identity

    def reset(self, *, agree: bool = True) -> Forgotten | None:
        """Say it."""
        return reset(self.tools(), lambda kept: agree)


@pytest.fixture
def world() -> World:
    return World()


def uploading(instance_id: InstanceId = OWN) -> RunRecord:
    upload = Upload(going_on=True, boot_id=BOOT)
    return replace(run_record(stage=Stage.FINISHED), upload=upload, instance_id=instance_id)


def armed() -> RunRecord:
    waits = ArmedRecord(asked=AT, within_s=60, deadline=AT + timedelta(days=999), client_token="t")
    return replace(run_record(stage=Stage.FINISHED), armed=waits)


def without_retention(tries: int = 0) -> RunRecord:
    order = replace(order_record(grouped=True), retention_pending=(SnapshotId("s-1"),))
    refused = RetentionTries(count=tries, last=AT, why="refused") if tries else None
    return replace(run_record(stage=Stage.FINISHED, orders=(order,)), retention=refused)


def in_command(pid: int = 4711, boot_id: str = BOOT) -> RunRecord:
    one = CommandRecord(number=1, started=AT, pid=pid, pid_started=99, boot_id=boot_id)
    return replace(run_record(stage=Stage.COMMAND), commands=(one,))


def opened(instance_id: InstanceId = OWN) -> CopyRecord:
    return CopyRecord(
        restore_id=RestoreId("a1"),
        purpose=Purpose.MOUNT,
        instance_id=instance_id,
        region=RegionId("cn-hangzhou"),
        run_id="",
        snapshot="s-1",
        started=AT,
        until=AT,
        stage=CopyStage.OPEN,
        disks=(),
        attached_before=(),
        mounted_at="/mnt/then",
    )


def half_way(instance_id: InstanceId = OWN) -> ReturnRecord:
    return ReturnRecord(
        return_id=ReturnId("b1"),
        instance_id=instance_id,
        region=RegionId("cn-hangzhou"),
        run="r",
        started=AT,
        since=None,
        boot_id=BOOT,
        disks=(),
    )


def changing(pid: int = 4711, boot_id: str = BOOT) -> AwaitedChange:
    run_id = run_record().run_id
    return AwaitedChange(run_id=run_id, pid=pid, pid_started=99, boot_id=boot_id, since=AT)


HINDRANCES: dict[str, tuple[Callable[[World], object], str, str]] = {
    "frozen": (lambda w: setattr(w, "frozen", True), "may still be frozen", "snap-self thaw"),
    "follower": (lambda w: setattr(w, "follower_s", 9.0), "follower", "ends by itself"),
    "change": (lambda w: w.awaited.add(changing()), "process 4711", "wait for its end"),
    "command": (lambda w: w.store.save(in_command()), "process 4711", "wait for its end"),
    "upload": (lambda w: w.store.save(uploading()), "upload of run", "snap-self list"),
    "retention": (
        lambda w: w.store.save(without_retention()),
        "not got their retention",
        "snap-self doctor",
    ),
    "armed": (lambda w: w.store.save(armed()), "goes back to run", "snap-self confirm"),
    "copy": (lambda w: w.copies.save(opened()), "open at /mnt/then", "unmount --all"),
    "return": (lambda w: w.returns.save(half_way()), "half-way", "--give-up"),
}


@pytest.mark.parametrize("name", HINDRANCES)
def test_what_goes_on_forbids_it_and_is_told_with_its_way_out(world: World, name: str) -> None:
    begin, told, way_out = HINDRANCES[name]
    begin(world)
    with pytest.raises(StateInUse) as refused:
        world.reset()
    assert told in refused.value.message
    assert way_out in refused.value.hint
    assert world.folder.files


def test_all_that_forbids_it_is_told_at_once(world: World) -> None:
    world.frozen = True
    world.store.save(uploading())
    world.copies.save(opened())
    with pytest.raises(StateInUse) as refused:
        world.reset()
    for word in ("frozen", "upload of run", "mount a1"):
        assert word in refused.value.message


@pytest.mark.parametrize("lock", ["lock_s", "copies_lock_s", "watch_lock_s"])
def test_command_at_work_forbids_it(world: World, lock: str) -> None:
    setattr(world, lock, 9.0)
    with pytest.raises(LockHeld):
        world.reset()
    assert world.folder.files


@pytest.mark.parametrize("lock", ["lock_s", "copies_lock_s", "follower_s", "watch_lock_s"])
def test_lock_of_what_has_just_ended_is_waited_for(world: World, lock: str) -> None:
    setattr(world, lock, WAIT_S - 1)
    assert world.reset() is not None
    assert not world.folder.files


@pytest.mark.parametrize(
    "begin",
    [
        lambda w: w.store.save(run_record(stage=Stage.FINISHED)),
        lambda w: w.store.save(replace(run_record(stage=Stage.CREATING), pid=1)),
        lambda w: w.store.save(in_command(pid=4712)),
        lambda w: w.store.save(in_command(boot_id="an earlier one")),
        lambda w: w.awaited.add(changing(pid=4712)),
        lambda w: w.awaited.add(changing(boot_id="an earlier one")),
        lambda w: w.store.save(without_retention(MOST_TRIES)),
        lambda w: w.store.save(uploading(OTHER)),
        lambda w: w.copies.save(opened(OTHER)),
        lambda w: w.returns.save(half_way(OTHER)),
    ],
)
def test_what_has_ended_or_is_another_instances_does_not_forbid_it(
    world: World, begin: Callable[[World], object]
) -> None:
    begin(world)
    forgotten = world.reset()
    assert forgotten is not None
    assert len(forgotten.kept.files) == 1
    assert forgotten.asides == ("/srv/.snap-self-replaced/a1",)
    assert not world.folder.files


def test_who_this_is_is_asked_only_where_something_is_open(world: World) -> None:
    world.store.save(run_record(stage=Stage.FINISHED))
    world.reset()
    assert world.asked == 0


def test_records_count_as_own_where_nobody_tells_who_this_is(world: World) -> None:
    world.identity = None
    world.store.save(uploading(OTHER))
    with pytest.raises(StateInUse) as refused:
        world.reset()
    assert "cannot be asked" in refused.value.message
    assert f"image of {OTHER}" in refused.value.hint
    assert "rm -r /state/runs /state/restores /state/returns" in refused.value.hint


def test_damaged_record_of_a_copy_forbids_it(world: World) -> None:
    lost = DamagedRecord(restore_id=RestoreId("a9"), where="/state/restores/a9.json", why="cut")
    world.copies.broken = [lost]
    with pytest.raises(StateInUse, match=r"/state/restores/a9\.json \(cut\)"):
        world.reset()


def test_nothing_goes_unless_it_is_agreed_to(world: World) -> None:
    assert world.reset(agree=False) is None
    assert world.folder.files


def test_metrics_go_too_unless_it_is_refused_or_not_agreed_to(world: World) -> None:
    world.textfile = TextfileEnd.REMOVED
    world.reset(agree=False)
    world.frozen = True
    with pytest.raises(StateInUse):
        world.reset()
    assert world.textfile is TextfileEnd.REMOVED
    world.frozen = False
    forgotten = world.reset()
    assert forgotten is not None
    assert forgotten.textfile is TextfileEnd.REMOVED
    assert world.remove_textfile() is TextfileEnd.NONE


def test_what_begins_while_it_is_asked_forbids_it(world: World) -> None:
    def agree(kept: KeptState) -> bool:
        del kept
        world.store.save(uploading())
        return True

    with pytest.raises(StateInUse):
        reset(world.tools(), agree)
    assert world.folder.files


def test_nothing_is_asked_where_nothing_is_kept(world: World) -> None:
    world.folder.files.clear()
    world.frozen = True
    forgotten = world.reset(agree=False)
    assert forgotten is not None
    assert forgotten.kept.parts == ()
