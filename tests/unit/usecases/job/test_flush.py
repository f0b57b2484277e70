"""The flush: what is synced before what, and what is not tried."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from fakes.filesystems import FakeFilesystems
from snap_self.model.flushed import FlushResult, Synced, SyncFault
from snap_self.model.flushing import FlushTarget, MountWay, Obstacle, to_sync, unreachable
from snap_self.model.progress import Event, EventKind
from snap_self.model.snapshots import Consistency
from snap_self.usecases.job.flush import flush


def target(path: str, depth: int = 0, obstacle: Obstacle | None = None) -> FlushTarget:
    way = MountWay(path=path, mount_id=1, devno="254:1")
    ways = () if obstacle else (way,)
    return FlushTarget(path=path, fstype="ext4", ways=ways, depth=depth, obstacle=obstacle)


class Watched(FakeFilesystems):
    """Notes the limit that each sync was given."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float | None] = []

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Note it, then do as the fake."""
        self.limits.append(limit_s)
        return super().sync(target, limit_s=limit_s)


def flushed(filesystems: FakeFilesystems, *targets: FlushTarget) -> FlushResult:
    events: list[Event] = []
    result = flush(filesystems, targets, events.append)
    assert events == []
    return result


def test_filesystems_in_images_are_synced_before_what_holds_the_images() -> None:
    filesystems = FakeFilesystems()
    targets = [target("/"), target("/inner", 2), target("/image", 1), target("/deepest", 3)]
    result = flushed(filesystems, *targets)
    assert filesystems.synced == ["/deepest", "/inner", "/image", "/"]
    assert {part.target for part in result.parts} == set(targets)
    assert (result.level, result.reasons) == (Consistency.FLUSH, ())


@pytest.mark.parametrize("obstacle", list(Obstacle))
def test_filesystem_that_no_path_leads_to_is_not_tried_and_lowers_the_level(
    obstacle: Obstacle,
) -> None:
    filesystems = FakeFilesystems()
    hidden = target("/hidden", obstacle=obstacle)
    result = flushed(filesystems, target("/"), hidden)
    assert filesystems.synced == ["/"]
    assert [part.fault for part in result.parts if part.target == hidden] == [SyncFault.NO_WAY]
    assert result.level is Consistency.CRASH


@pytest.mark.parametrize("fstype", ["fuseblk", "fuseblk.ntfs"])
def test_filesystem_that_a_program_serves_is_synced_and_lowers_the_level(fstype: str) -> None:
    filesystems = FakeFilesystems()
    result = flushed(filesystems, replace(target("/win"), fstype=fstype), target("/"))
    assert set(filesystems.synced) == {"/win", "/"}
    assert result.level is Consistency.CRASH
    assert result.reasons == (f"/win ({fstype}): the program that serves it may hold data back",)


@pytest.mark.parametrize("limit_s", [None, 2.5])
def test_limit_of_each_sync_is_passed_on(limit_s: float | None) -> None:
    filesystems = Watched()
    flush(filesystems, [target("/"), target("/b", 1)], lambda _: None, limit_s=limit_s)
    assert filesystems.limits == [limit_s] * 2


class Slow(FakeFilesystems):
    """One filesystem takes until somebody was told so."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Wait for that; not for ever."""
        if target.path == "/slow":
            self.told.wait(10)
        return super().sync(target, limit_s=limit_s)


def test_disk_that_takes_long_is_told_by_its_name_alone() -> None:
    filesystems = Slow()
    events: list[Event] = []

    def listener(event: Event) -> None:
        events.append(event)
        filesystems.told.set()

    result = flush(filesystems, [target("/slow"), target("/inner", 1)], listener, tell_s=0.5)
    (event,) = events
    assert (event.kind, "still syncing /slow:" in event.text) == (EventKind.NOTE, True)
    assert result.level is Consistency.FLUSH


def test_nothing_to_sync_is_a_flush() -> None:
    assert flushed(FakeFilesystems()).level is Consistency.FLUSH


def test_what_cannot_be_reached_is_told_once_a_reason_with_all_its_names() -> None:
    targets = [
        target("/a", obstacle=Obstacle.HIDDEN),
        target("/b"),
        target("/c", obstacle=Obstacle.HIDDEN),
        target("/d", obstacle=Obstacle.UNSEEN),
    ]
    hidden, unseen = unreachable(targets).split("; ")
    assert "/a, /c" in hidden
    assert "/d" in unseen
    assert "/b" not in hidden + unseen
    assert unreachable([replace(targets[1])]) == ""
    assert to_sync(targets) == (targets[1],)
