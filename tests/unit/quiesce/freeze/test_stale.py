"""Ending a freeze that an interrupted run left behind."""

from __future__ import annotations

from dataclasses import replace
from errno import EIO

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
from snap_self.ports import OpenedMount, ProcessState
from snap_self.quiesce.freeze.marker import (
    MarkedFilesystem,
    MarkedProcess,
    Marker,
    decode_marker,
)
from snap_self.quiesce.freeze.session import FreezePorts
from snap_self.quiesce.freeze.stale import StaleOutcome, end_stale_freeze

MARKER = Marker(
    boot_id="boot-1",
    agent_pid=500,
    processes=(MarkedProcess(pid=501, started=11), MarkedProcess(pid=502, started=12)),
    filesystems=(
        MarkedFilesystem(path="/data/x", fstype="ext4", listed_device="8:1"),
        MarkedFilesystem(path="/data", fstype="ext4", listed_device="8:2"),
    ),
)

SPACED = MarkedFilesystem(path="/a b", fstype="ext4", listed_device="8:1")


def opened(fd: int, path: str, device: str) -> OpenedMount:
    return OpenedMount(fd=fd, mount_id=fd, device=fd, listed_device=device, listed_path=path)


MOUNTS = {"/data/x": opened(101, "/data/x", "8:1"), "/data": opened(102, "/data", "8:2")}


def ports(
    *,
    markers: FakeMarkers,
    calls: FakeFreezeCalls | None = None,
    boot: FakeBoot | None = None,
    mounts: dict[str, OpenedMount] | None = None,
) -> FreezePorts:
    return FreezePorts(
        opener=FakeOpener(MOUNTS if mounts is None else mounts),
        starter=FakeStarter(FakeLink({})),
        markers=markers,
        calls=calls or FakeFreezeCalls(frozen={101, 102}),
        boot=boot or FakeBoot(),
        clock=FakeClock(),
    )


def test_no_marker_is_nothing_to_do() -> None:
    calls = FakeFreezeCalls(frozen={101})
    assert not end_stale_freeze(ports(markers=FakeMarkers(), calls=calls)).found
    assert calls.calls == []


def test_each_listed_filesystem_gets_exactly_one_thaw_outermost_first() -> None:
    calls = FakeFreezeCalls(frozen={101, 102})
    markers = FakeMarkers(MARKER.encode())
    report = end_stale_freeze(ports(markers=markers, calls=calls))
    assert calls.calls == [("thaw", 102), ("thaw", 101)]
    assert report.filesystems == (
        ("/data", StaleOutcome.THAWED),
        ("/data/x", StaleOutcome.THAWED),
    )
    assert markers.text is None


def test_one_that_is_not_frozen_any_more_is_no_fault() -> None:
    markers = FakeMarkers(MARKER.encode())
    report = end_stale_freeze(ports(markers=markers, calls=FakeFreezeCalls(frozen={101})))
    assert report.filesystems[0] == ("/data", StaleOutcome.NOT_FROZEN)
    assert report.fault() is None
    assert markers.text is None


def test_marker_of_another_boot_is_removed_and_nothing_thawed() -> None:
    calls = FakeFreezeCalls(frozen={101})
    markers = FakeMarkers(MARKER.encode())
    report = end_stale_freeze(ports(markers=markers, calls=calls, boot=FakeBoot(boot_id="later")))
    assert calls.calls == []
    assert markers.text is None
    assert "earlier boot" in report.why


def test_living_guardian_is_asked_first() -> None:
    boot = FakeBoot(living={501: 11, 502: 12})
    end_stale_freeze(ports(markers=FakeMarkers(MARKER.encode()), boot=boot))
    assert boot.terminated == [501, 502]


def test_marker_where_the_boot_is_not_known_is_a_fault_and_nothing_is_thawed() -> None:
    calls = FakeFreezeCalls(frozen={101, 102})
    markers = FakeMarkers(MARKER.encode())
    with pytest.raises(ThawFailed, match="cannot be told"):
        end_stale_freeze(ports(markers=markers, calls=calls, boot=FakeBoot(boot_id="")))
    assert calls.calls == []
    assert markers.text is not None


def test_process_with_a_reused_id_is_left_alone() -> None:
    boot = FakeBoot(living={501: 999})
    end_stale_freeze(ports(markers=FakeMarkers(MARKER.encode()), boot=boot))
    assert boot.terminated == []


def test_stopped_guardian_is_continued_so_that_it_ends() -> None:
    boot = FakeBoot(living={501: 11, 502: 12}, stopped={501, 502})
    end_stale_freeze(ports(markers=FakeMarkers(MARKER.encode()), boot=boot))
    assert boot.living == {}
    assert boot.killed == []


def test_guardian_that_hangs_is_killed_and_each_filesystem_thawed_once() -> None:
    calls = FakeFreezeCalls(frozen={101, 102})
    boot = FakeBoot(living={501: 11, 502: 12}, stubborn=True)
    markers = FakeMarkers(MARKER.encode())
    report = end_stale_freeze(ports(markers=markers, calls=calls, boot=boot))
    assert boot.killed == [501, 502]
    assert calls.calls == [("thaw", 102), ("thaw", 101)]
    assert report.fault() is None
    assert markers.text is None


@pytest.mark.parametrize(
    ("state", "killed"), [(ProcessState.IN_CALL, []), (ProcessState.RUNNING, [501])]
)
def test_guardian_that_cannot_end_is_a_fault_with_the_commands_and_nothing_is_thawed(
    state: ProcessState, killed: list[int]
) -> None:
    calls = FakeFreezeCalls(frozen={101, 102})
    boot = FakeBoot(living={501: 11}, stubborn=True, deathless=True, states={501: state})
    markers = FakeMarkers(replace(MARKER, filesystems=(SPACED, MARKER.filesystems[1])).encode())
    with pytest.raises(ThawFailed, match="process 501") as raised:
        end_stale_freeze(ports(markers=markers, calls=calls, boot=boot))
    assert raised.value.hint is not None
    for words in ("kill -CONT 501", "fsfreeze --unfreeze /data", "fsfreeze --unfreeze '/a b'"):
        assert f"`{words}`" in raised.value.hint
    assert boot.killed == killed
    assert calls.calls == []
    assert markers.text is not None


def test_filesystem_is_found_under_another_mount_point() -> None:
    calls = FakeFreezeCalls(frozen={101, 102})
    mounts = {**MOUNTS, "/elsewhere": opened(103, "/elsewhere", "8:2")}
    mounts["/data"] = opened(104, "/data", "0:99")
    end_stale_freeze(ports(markers=FakeMarkers(MARKER.encode()), calls=calls, mounts=mounts))
    assert calls.made("thaw") == [103, 101]


def test_unmounted_filesystem_is_a_fault_and_keeps_the_marker() -> None:
    markers = FakeMarkers(MARKER.encode())
    mounts = {"/data": MOUNTS["/data"]}
    report = end_stale_freeze(ports(markers=markers, mounts=mounts))
    fault = report.fault()
    assert fault is not None
    assert "/data/x is not mounted any more" in fault.message
    assert fault.hint is not None
    assert "mount /data/x again" in fault.hint
    assert markers.text is not None


def test_failed_thaw_is_a_fault_and_keeps_the_marker() -> None:
    markers = FakeMarkers(MARKER.encode())
    calls = FakeFreezeCalls(thaw_refuse={102: EIO})
    report = end_stale_freeze(ports(markers=markers, calls=calls))
    fault = report.fault()
    assert isinstance(fault, ThawFailed)
    assert fault.hint == "run `fsfreeze --unfreeze /data`"
    assert markers.text is not None


def test_marker_comes_back_the_same() -> None:
    assert decode_marker(MARKER.encode()) == MARKER


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("{", "["), "not JSON"),
        (('"schema": 1', '"schema": 2'), "schema is not 1"),
        (('"boot_id": "boot-1"', '"boot_id": 5'), "marker.boot_id"),
        (('"pid": 502', '"pid": true'), r"marker.processes\[1\].pid"),
        (('"path": "/data"', '"road": "/data"'), r"marker.filesystems\[1\].path"),
    ],
    ids=["no json", "schema", "boot", "process", "filesystem"],
)
def test_marker_that_is_none_is_refused_naming_the_attribute(
    change: tuple[str, str], words: str
) -> None:
    text = MARKER.encode().replace(*change)
    with pytest.raises(StateUnusable, match=words):
        decode_marker(text)
