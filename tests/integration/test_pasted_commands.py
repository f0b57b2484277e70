"""What real shells make of the words and lines that the agent gives people to paste."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.samples import sample
from pasted_commands import BASH, check_syntax, without_remark, words_of
from snap_self.model.disks import CloudDisk, DiskKind, Layer
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.shell import command, quoted
from snap_self.model.shown import is_printable
from snap_self.model.snapshots import Identity
from snap_self.model.ways import Step
from snap_self.output.steps import step_line
from snap_self.recovery.copies import AttachedDisk, Copied
from snap_self.recovery.steps import roll_back
from snap_self.recovery.ways import all_ways

EVIL = "/srv/x\n    touch ${HOME}+PWNED   # \x1b[2J\u202e$(touch X)`id`'\"\\\udcff!ls"
FOREIGN = st.text(
    st.one_of(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
        st.sampled_from(
            [*"\n\r\t\x1b'\"\\$`!#;&|<>*?[]{}~= \x7f\x85\u2028\u202e", "\udc80", "\udcff"]
        ),
    )
)


def _quoted(words: Sequence[str]) -> str:
    return " ".join(map(quoted, words))


@settings(max_examples=40)
@given(st.lists(FOREIGN, min_size=1, max_size=20))
def test_pasted_words_when_bash_reads_them_then_are_the_bytes_they_were(words: list[str]) -> None:
    assert words_of(_quoted(words)) == [os.fsencode(word) for word in words]


@settings(max_examples=20)
@given(st.lists(FOREIGN, min_size=1, max_size=20))
def test_pasted_words_when_bash_expands_its_history_then_are_not_expanded(words: list[str]) -> None:
    shell = (*BASH, "-o", "history", "-o", "histexpand")
    assert words_of(_quoted(words), shell) == [os.fsencode(word) for word in words]


@settings(max_examples=20)
@given(st.lists(FOREIGN.filter(is_printable), min_size=1, max_size=20))
def test_printable_words_when_a_plain_shell_reads_them_then_are_what_they_were(
    words: list[str],
) -> None:
    assert words_of(_quoted(words), ("sh",)) == [os.fsencode(word) for word in words]


@pytest.mark.parametrize("shell", ["zsh", "ksh", "busybox"])
def test_evil_word_when_another_shell_reads_it_then_is_what_it_was(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    argv = ("busybox", "sh") if shell == "busybox" else (shell,)
    assert words_of(quoted(EVIL), argv) == [os.fsencode(EVIL)]


def _steps(text: str, *, system: bool) -> list[Step]:
    """Return all there are for two disks, every word of them and of what they carry foreign."""
    ids = [DiskId(f"{text}{number}") for number in (1, 2)]
    kind = DiskKind.SYSTEM if system else DiskKind.DATA
    cloud = replace(sample(CloudDisk, lambda _: text), size_gib=90, kind=kind)
    copied = Copied(mount=text, fstype=text, part=text, layers=(), disks=frozenset({text}))
    layers = (Layer(kind="lvm", name=f"{text}-{text}"), Layer(kind="crypt", name=text))
    copies = (
        replace(copied, layers=layers, disks=frozenset({text, "other"} if system else {text})),
        replace(copied, fstype="btrfs"),
        replace(copied, fstype="xfs"),
    )
    disks = [
        AttachedDisk(cloud=replace(cloud, disk_id=each), name=text, copied=copies) for each in ids
    ]
    # A third disk, without a snapshot, so that the data disks have a way of their own.
    disks.append(AttachedDisk(cloud=replace(cloud, disk_id=DiskId("d-3"))))
    shots = [replace(sample(ListedSnapshot, lambda _: text), disk_id=each) for each in ids]
    ways = all_ways(shots, disks, sample(Identity, lambda _: text), lost=ids, managers=[text])
    return [step for way in ways for step in way.steps]


@pytest.mark.parametrize("system", [True, False])
def test_ways_back_when_every_word_is_foreign_then_commands_and_comments_are_ours(
    system: bool,
) -> None:
    undo = roll_back(sample(Identity, lambda _: EVIL), {DiskId(EVIL): SnapshotId(EVIL)}, disks=())
    lines = [step_line(step) for step in (*_steps(EVIL, system=system), *undo)]
    assert any(line.startswith("umount $'") for line in lines) is not system
    for line in lines:
        assert is_printable(line)
        said = without_remark(line)
        # All words are there: a comment of anything else's would have swallowed some.
        assert command(*map(os.fsdecode, words_of(said))) == said
    check_syntax(lines)
