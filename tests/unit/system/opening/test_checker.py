"""What the status of a filesystem's checker means."""

from __future__ import annotations

import marshal
from collections.abc import Sequence

import pytest

from fakes.instance import FakeCommands, no_commands
from snap_self.model.opening import CheckResult, Opened
from snap_self.system.opening.checker import check
from snap_self.system.opening.view import NO_PROGRAM, NO_WAY, TIME_OUT

CLEAN, DAMAGED, UNFINISHED = CheckResult.CLEAN, CheckResult.DAMAGED, CheckResult.UNFINISHED


def opened(fstype: str) -> Opened:
    return Opened(
        fd=-1,
        device="/dev/vdb",
        fstype=fstype,
        mounted_at=None,
        devices={"bp1abc": "/dev/vdb"},
        taken=((1080, b"\x53\xef"),),
    )


def saying(status: int, words: str = "some words", *, of_view: int = 0) -> FakeCommands:
    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        return of_view, "" if of_view else f"{status}\n{words}\n", ""

    return FakeCommands(run)


@pytest.mark.parametrize(
    ("fstype", "status", "result"),
    [
        ("ext4", 0, CLEAN),
        ("ext4", 4, DAMAGED),
        ("ext3", 4, DAMAGED),
        ("ext4", 8, UNFINISHED),
        ("ext4", 12, DAMAGED),
        ("ext4", 16, UNFINISHED),
        ("ext4", 32, UNFINISHED),
        ("ext4", 128, UNFINISHED),
        ("ext4", -9, UNFINISHED),
        ("xfs", 0, CLEAN),
        ("xfs", 1, DAMAGED),
        ("xfs", 2, UNFINISHED),
        ("xfs", -11, UNFINISHED),
        ("btrfs", 0, CLEAN),
        ("btrfs", 1, DAMAGED),
        ("btrfs", 127, UNFINISHED),
        ("vfat", 0, CLEAN),
        ("vfat", 1, DAMAGED),
        ("vfat", 2, UNFINISHED),
    ],
)
def test_status_of_a_checker_means_what_its_manual_says(
    fstype: str, status: int, result: CheckResult
) -> None:
    found = check(saying(status), opened(fstype), limit_s=5)
    assert (found.result, found.status) == (result, status)
    assert found.clean is (result is CLEAN)
    assert found.why == ("" if result is CLEAN else "some words")


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (NO_WAY, CheckResult.NO_WAY),
        (NO_PROGRAM, CheckResult.NO_PROGRAM),
        (TIME_OUT, UNFINISHED),
        (-9, UNFINISHED),
        (1, UNFINISHED),
    ],
)
def test_checker_that_could_not_look_proves_nothing(status: int, result: CheckResult) -> None:
    found = check(saying(0, of_view=status), opened("ext4"), limit_s=5)
    assert (found.result, found.clean, found.program) == (result, False, "e2fsck")


def test_process_that_cannot_be_started_proves_nothing() -> None:
    assert check(no_commands(), opened("xfs"), limit_s=5).result is CheckResult.NO_WAY


def test_view_that_is_killed_at_the_limit_proves_nothing() -> None:
    def hangs(argv: Sequence[str]) -> tuple[int, str, str]:
        raise TimeoutError

    assert check(FakeCommands(hangs), opened("xfs"), limit_s=5).result is UNFINISHED


@pytest.mark.parametrize(
    ("fstype", "argv"),
    [
        ("ext4", ("e2fsck", "-f", "-n")),
        ("xfs", ("xfs_repair", "-n", "-f")),
        ("btrfs", ("btrfs", "check", "--readonly")),
    ],
)
def test_checker_is_told_to_change_nothing_and_shown_what_was_taken(
    fstype: str, argv: tuple[str, ...]
) -> None:
    commands = saying(0)
    check(commands, opened(fstype), limit_s=5)
    (ran,) = commands.ran
    assert marshal.loads(bytes.fromhex(ran[-1])) == (
        "/dev/vdb",
        ((1080, b"\x53\xef"),),
        5,
        argv,
    )
