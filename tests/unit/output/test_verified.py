"""What `verify` says: what was proved of each filesystem, and everything that was not."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from fakes.samples import NOW, sample
from snap_self.model.ids import SnapshotId
from snap_self.model.opening import Checked, CheckResult
from snap_self.model.restored import Intent
from snap_self.model.verification import Verdict
from snap_self.model.verified import FileProof, FilesystemProof, Verified
from snap_self.output.streams import make_streams
from snap_self.output.verified import intent_lines, write_verified

CLEAN = Checked(result=CheckResult.CLEAN, program="e2fsck")
ROOT = FilesystemProof(
    source="/",
    fstype="ext4",
    snapshot_ids=(SnapshotId("s-1"),),
    opened=True,
    checked=CLEAN,
    files=FileProof(compared=3012, equal=3012, by_time=2, manifest_held=True),
    verdict=Verdict.PROVED,
)
DONE = Verified(name="run-1", at=NOW, filesystems=(ROOT,), recorded=True, tagged=True)


def said(done: Verified, *, quiet: bool = False) -> tuple[list[str], str]:
    out, err = io.StringIO(), io.StringIO()
    verbosity = -1 if quiet else 0
    streams = make_streams(out, err, env={}, verbosity=verbosity, json=False)
    write_verified(streams, done)
    return out.getvalue().splitlines(), err.getvalue()


def of_root(**changed: object) -> list[str]:
    proof = replace(ROOT, **changed)  # type: ignore[arg-type]
    return said(replace(DONE, filesystems=(proof,)))[0]


def test_proof_says_what_was_looked_at_and_what_was_not() -> None:
    lines, err = said(DONE)
    assert lines == [
        "/ (ext4, s-1): proved",
        "  opened beside the running system, its log replayed",
        "  e2fsck found no fault",
        "  /etc: 3012 of 3012 names are as the run noted them, 2 of them by size and time alone",
        "  what the run noted is in it, byte for byte",
    ]
    assert err == (
        "run-1: 1 of 1 filesystem proved; `snap-self list` shows it. What files outside /etc hold "
        "was not compared with anything.\n"
    )


def test_vfat_is_not_said_to_be_mounted() -> None:
    lines = of_root(fstype="vfat")
    assert "  opened beside the running system, not mounted, as it has no log" in lines


@pytest.mark.parametrize(
    ("checked", "line"),
    [
        (
            Checked(result=CheckResult.DAMAGED, program="e2fsck", why="Inode 12\nis bad", status=4),
            "  e2fsck found damage: Inode 12 is bad",
        ),
        (
            Checked(result=CheckResult.NO_PROGRAM, program="xfs_repair", why="it is not installed"),
            "  not checked by xfs_repair: it is not installed",
        ),
        (
            Checked(result=CheckResult.NO_PROGRAM, program="", why="no checker is known"),
            "  not checked: no checker is known",
        ),
    ],
)
def test_checker_is_told_with_its_own_words(checked: Checked, line: str) -> None:
    assert line in of_root(checked=checked)


@pytest.mark.parametrize("part", ["different", "unreadable", "changed", "not_known"])
def test_names_that_are_not_proved_are_counted_and_some_are_named(part: str) -> None:
    names = tuple(f"/etc/{name}" for name in "abcde")
    found = of_root(files=replace(FileProof(compared=5), **{part: names}))  # type: ignore[arg-type]
    assert found[-1].startswith("  5 ")
    assert found[-1].endswith(": /etc/a, /etc/b, /etc/c and 2 more")


def test_what_was_not_opened_says_why_and_nothing_of_a_check() -> None:
    lines = of_root(
        opened=False, checked=None, files=None, verdict=Verdict.NOT_OPENED, why="it is encrypted"
    )
    assert lines == ["/ (ext4, s-1): not proved", "  not opened: it is encrypted"]


def test_damage_is_said_even_when_quiet() -> None:
    damaged = replace(DONE, filesystems=(replace(ROOT, verdict=Verdict.DAMAGED),))
    _, err = said(damaged, quiet=True)
    assert "what run-1 holds of / is damaged" in err
    assert said(DONE, quiet=True)[1] == ""


def test_whoever_is_asked_hears_of_each_disk() -> None:
    first = replace(sample(Intent, lambda _: "x"), source="/", gib=40)
    lines = list(intent_lines([first, replace(first, source="/srv", gib=100)], NOW))
    assert len(lines) == 4
    assert "40 GiB" in lines[1]
    assert "100 GiB" in lines[2]
