"""The ways back as they are printed, to the byte: people paste them, programs read them.

Each kept text is what `show` prints and the short way. After a change that is meant, have them
written anew (``WRITE=1``) and read the difference.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.records import order_record, run_record
from fakes.taken import RUN, Taken, snapshot_of
from snap_self.model.changes import LoggedChange
from snap_self.model.packages import Package
from snap_self.model.result import Result
from snap_self.model.run import Stage, Upload
from snap_self.output.shown import shown_json, write_shown
from snap_self.output.streams import Streams
from snap_self.usecases.show import Shown, show

KEPT = Path(__file__).parent / "golden"
UPLOADING = {"Status": "progressing", "Progress": "40%"}


def _system_disk() -> Taken:
    return Taken.of("one-virtio-disk")


def _partitioned() -> Taken:
    return Taken.of("nvme", grouped=True)


def _singles_uploading() -> Taken:
    return Taken.of("nvme", **UPLOADING)


def _data_disk_only() -> Taken:
    taken = Taken.of("nvme")
    return replace(taken, snapshots=taken.snapshots[1:2])


def _not_usable() -> Taken:
    return Taken.of("one-virtio-disk", **UPLOADING, Available=False, CreationTime="")


def _lvm_over_two_disks() -> Taken:
    return Taken.of("lvm-two-disks", grouped=True)


def _lvm_with_one_disk_lost() -> Taken:
    taken = Taken.of("lvm-two-disks")
    orders = tuple(
        replace(one, order=replace(one.order, disk_ids=(disk_id,)), sent=True)
        for one, disk_id in zip([order_record()] * 3, taken.disk_ids, strict=True)
    )
    record = run_record(before="upgrade", stage=Stage.FINISHED, orders=orders)
    upload = Upload(going_on=False, boot_id="boot", text="accomplished", accomplished=True)
    kept = {"lvm": "vg0 {\n\tid = 1\n}\n"}
    record = replace(record, run_id=RUN, result=Result.DONE, kept=kept, upload=upload)
    taken.journal.save(record)
    del taken.snapshots[2]
    return taken


def _btrfs() -> Taken:
    return Taken.of("btrfs-two-disks", grouped=True)


def _luks() -> Taken:
    return Taken.of("luks-on-lvm", grouped=True)


def _md() -> Taken:
    return Taken.of("md-raid1")


def _outer_journals() -> Taken:
    return Taken.of("outer-journals", grouped=True)


def _not_told_apart() -> Taken:
    return Taken.of("no-serials-ambiguous")


def _replaced_system_disk() -> Taken:
    taken = Taken.of("nvme")
    taken.snapshots.append(snapshot_of("d-bp1replacedsystem0"))
    taken.snapshots.append(snapshot_of("", SnapshotId="s-bp1ofadisk0gone"))
    return taken


def _changed_disks() -> Taken:
    taken = Taken.of("nvme", **UPLOADING)
    taken.snapshots[1]["SourceDiskSize"] = "10"
    taken.disks[1].update(Encrypted=True, Size=80)
    taken.disks[2].update(Category="cloud_efficiency")
    return taken


def _pacman() -> Taken:
    taken = Taken.of("one-virtio-disk")
    package = Package(name="linux", action="upgrade", old="6.1", new="6.2")
    change = LoggedChange(
        at="2026-11-22T08:32:20Z", manager="pacman", program="pacman", packages=(package,)
    )
    return replace(taken, changes=(change,))


def _failed() -> Taken:
    return Taken.of("one-virtio-disk", Status="failed", Available=False)


CASES: dict[str, Callable[[], Taken]] = {
    "system-disk": _system_disk,
    "partitioned": _partitioned,
    "singles-uploading": _singles_uploading,
    "data-disk-only": _data_disk_only,
    "not-usable": _not_usable,
    "lvm-over-two-disks": _lvm_over_two_disks,
    "lvm-with-one-disk-lost": _lvm_with_one_disk_lost,
    "btrfs": _btrfs,
    "luks": _luks,
    "md": _md,
    "outer-journals": _outer_journals,
    "not-told-apart": _not_told_apart,
    "replaced-system-disk": _replaced_system_disk,
    "changed-disks": _changed_disks,
    "pacman": _pacman,
    "failed": _failed,
}


def _printed(shown: Shown, taken: Taken) -> str:
    """Return what `show` prints, and then the short way."""
    out = io.StringIO()
    streams = Streams(out=out, err=out, terminal=False, colour=False, verbosity=0, json=False)
    write_shown(streams, shown, now=taken.clock.now())
    return "\n".join([out.getvalue(), "in short:", *shown_json(shown)["undo"], ""])


@pytest.mark.parametrize("name", list(CASES))
def test_ways_back_when_shown_then_are_as_they_were_kept(name: str) -> None:
    taken = CASES[name]()
    printed = _printed(show(taken.tools, RUN), taken)
    file = KEPT / f"{name}.txt"
    if os.environ.get("WRITE"):
        file.write_text(printed, "utf-8")
    assert printed == file.read_text("utf-8")


@pytest.mark.parametrize("name", list(CASES))
def test_ways_back_when_shown_as_json_then_have_the_lines_that_people_see(name: str) -> None:
    taken = CASES[name]()
    shown = show(taken.tools, RUN)
    lines = _printed(shown, taken).split("\n")
    ways = shown_json(shown)["ways"]
    assert all(way["title"] in lines for way in ways)
    for part, begin in {"cautions": "  mind: ", "commands": "    ", "after": "  then: "}.items():
        told = [f"{begin}{line}" for way in ways for line in way[part]]
        assert [line for line in lines if line in told] == told


def test_every_kept_text_is_of_a_case() -> None:
    assert {path.stem for path in KEPT.iterdir()} == set(CASES)
