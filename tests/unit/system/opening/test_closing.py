"""What is unmounted when a copy is closed, in a made-up table of mounts."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from snap_self.system.opening import closing, kernel, stacked
from snap_self.system.opening.stacked import Visible

DISK = "/dev/vdb"
AT = "/root/before"
OURS = Visible(number=40, below=20, devno="252:16", place=AT, source=DISK, read_only=True)
FOREIGN = Visible(number=41, below=40, devno="0:60", place=AT, source="tmpfs", read_only=False)


@dataclass
class Mounts:
    """The kernel's table.

    Args:
        used: places where somebody uses what is mounted.
        leads: a place to the number of the mount to which it leads, if not to the last one there.
    """

    table: list[Visible]
    used: set[str] = field(default_factory=set)
    leads: dict[str, int] = field(default_factory=dict)
    now: float = 0.0
    after_a_try: Callable[[], None] = lambda: None

    def at(self, place: str) -> int | None:
        numbers = [mount.number for mount in self.table if mount.place == place]
        return self.leads.get(place, numbers[-1] if numbers else None)

    def unmount(self, place: str, *, lazily: bool = False) -> None:
        """Unmount what is on top; lazily with all that is mounted below it."""
        number = self.at(place)
        carried = [mount for mount in self.table if mount.below == number]
        if not lazily and (carried or place in self.used):
            self.after_a_try()
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self.table = [m for m in self.table if number not in (m.number, m.below)]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> Mounts:
    made = Mounts(table=[OURS])
    monkeypatch.setattr(stacked, "visible_mounts", lambda: list(made.table))
    monkeypatch.setattr(stacked, "mount_at", made.at)
    monkeypatch.setattr(stacked, "stack", list)
    monkeypatch.setattr(kernel, "unmount", made.unmount)
    monkeypatch.setattr(closing.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(closing.time, "sleep", made.sleep)
    monkeypatch.setattr(closing, "users_below", lambda place: [(7, "less")])
    return made


def test_copy_is_unmounted(mounts: Mounts) -> None:
    ended = closing.unmount_all([DISK], AT, wait_s=10)
    assert (mounts.table, ended.lazily, ended.holders) == ([], False, ())


def test_foreign_mount_on_top_of_a_copy_stays_and_the_copy_too(mounts: Mounts) -> None:
    mounts.table.append(FOREIGN)
    ended = closing.unmount_all([DISK], AT, wait_s=10)
    assert (mounts.table, ended.lazily) == ([OURS, FOREIGN], False)


def test_foreign_mount_in_a_folder_of_a_copy_stays_and_the_copy_too(mounts: Mounts) -> None:
    inside = FOREIGN._replace(place=f"{AT}/srv")
    mounts.table.append(inside)
    closing.unmount_all([DISK], AT, wait_s=10)
    assert mounts.table == [OURS, inside]


def test_place_that_leads_elsewhere_is_not_unmounted(mounts: Mounts) -> None:
    # Somebody has mounted on a folder above.
    above = FOREIGN._replace(below=20, place="/root")
    hidden = FOREIGN._replace(number=42, below=41)
    mounts.table += [above, hidden]
    mounts.leads[AT] = 42
    closing.unmount_all([DISK], AT, wait_s=10)
    assert mounts.table == [OURS, above, hidden]


def test_foreign_mount_that_comes_while_a_copy_is_used_is_not_taken_lazily(
    mounts: Mounts,
) -> None:
    mounts.used.add(AT)

    def come() -> None:
        if FOREIGN not in mounts.table:
            mounts.table.append(FOREIGN)

    mounts.after_a_try = come
    ended = closing.unmount_all([DISK], AT, wait_s=0)
    assert (mounts.table, ended.lazily) == ([OURS, FOREIGN], False)


def test_copy_that_is_used_is_unmounted_lazily_when_its_time_is_up(mounts: Mounts) -> None:
    mounts.used.add(AT)
    ended = closing.unmount_all([DISK], AT, wait_s=10)
    assert (mounts.table, ended.lazily, ended.holders) == ([], True, ((7, "less"),))
    assert mounts.now == pytest.approx(10, abs=0.1)


def test_mount_that_can_be_written_to_stays(mounts: Mounts) -> None:
    mounts.table = [OURS._replace(read_only=False)]
    closing.unmount_all([DISK], AT, wait_s=10)
    assert len(mounts.table) == 1


def test_copy_whose_device_is_gone_is_unmounted_at_its_place_alone(mounts: Mounts) -> None:
    gone = OURS._replace(source="/dev/no-such-disk", devno="252:900")
    elsewhere = gone._replace(number=50, place="/srv")
    mounts.table = [gone, elsewhere]
    closing.unmount_all([], AT, wait_s=10)
    assert mounts.table == [elsewhere]


def test_foreign_mount_on_top_of_a_copy_whose_device_is_gone_stays(mounts: Mounts) -> None:
    gone = OURS._replace(source="/dev/no-such-disk")
    mounts.table = [gone, FOREIGN]
    closing.unmount_all([], AT, wait_s=10)
    assert mounts.table == [gone, FOREIGN]
