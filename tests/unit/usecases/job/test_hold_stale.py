"""Ending what an interrupted run left frozen, as `snap-self thaw` and the next run do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EACCES, EINVAL, EIO

import pytest

from fakes.clock import FakeClock
from fakes.freezing import (
    FakeBoot,
    FakeFreezeCalls,
    FakeLink,
    FakeMarkers,
    FakeOpener,
    FakeStarter,
)
from snap_self.errors import StateUnusable, ThawFailed
from snap_self.model.trust import Distrust, PathHop, PathKind
from snap_self.ports import OpenedMount
from snap_self.quiesce.freeze.marker import MarkedFilesystem, Marker
from snap_self.quiesce.freeze.session import FreezePorts
from snap_self.usecases.job.hold import end_stale

MARKER = Marker(
    boot_id="boot-1",
    agent_pid=500,
    processes=(),
    filesystems=(MarkedFilesystem(path="/data", fstype="ext4", listed_device="8:1"),),
)
DATA = OpenedMount(fd=101, mount_id=1, device=50, listed_device="8:1", listed_path="/data")


@dataclass
class Left:
    """What an interrupted run left behind."""

    markers: FakeMarkers = field(default_factory=lambda: FakeMarkers(MARKER.encode()))
    calls: FakeFreezeCalls = field(default_factory=lambda: FakeFreezeCalls(frozen={101}))

    def end(self) -> str:
        """End it."""
        return end_stale(
            FreezePorts(
                opener=FakeOpener({"/data": DATA}),
                starter=FakeStarter(FakeLink({})),
                markers=self.markers,
                calls=self.calls,
                boot=FakeBoot(),
                clock=FakeClock(),
            )
        )


def test_stale_freeze_is_ended_and_told() -> None:
    left = Left()
    assert left.end() == "its processes are gone, so it was ended now"
    assert left.calls.made("thaw") == [101]
    assert left.markers.text is None


def test_nothing_left_behind_is_told_by_no_word() -> None:
    left = Left(markers=FakeMarkers())
    assert left.end() == ""
    assert left.calls.calls == []


def test_filesystem_that_may_still_be_frozen_is_the_error() -> None:
    left = Left(calls=FakeFreezeCalls(frozen={101}, thaw_refuse={101: EIO}))
    with pytest.raises(ThawFailed, match=r"^/data could not be thawed$"):
        left.end()
    assert left.markers.text is not None


def test_filesystem_thawed_by_somebody_else_is_no_error() -> None:
    left = Left(calls=FakeFreezeCalls(thaw_refuse={101: EINVAL}))
    assert left.end() != ""


def test_marker_that_others_could_have_written_decides_nothing() -> None:
    left = Left()
    hop = PathHop(path="/run/snap-self", kind=PathKind.FOLDER, mode=0o777, owner=0)
    left.markers.distrust = Distrust(hop=hop, why="others can change it", hint="chmod go-w it")
    with pytest.raises(StateUnusable) as caught:
        left.end()
    assert caught.value.message == "the freeze marker is not believed: others can change it"
    assert caught.value.hint.endswith("chmod go-w it")
    assert left.calls.calls == []


@pytest.mark.parametrize("call", ["read", "remove"])
def test_marker_that_cannot_be_read_or_removed_makes_the_state_unusable(call: str) -> None:
    left = Left()
    left.markers.refuse[call] = EACCES
    with pytest.raises(StateUnusable, match=r"or removed: Permission denied$"):
        left.end()
