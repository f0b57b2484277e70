"""What proofs come to: no verdict claims more than was seen, and the status says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from snap_self.errors import CloudRefused, DiskLeft, ExitStatus
from snap_self.model.ids import SnapshotId
from snap_self.model.opening import Checked, CheckResult
from snap_self.model.verification import Verdict, Verification, worst
from snap_self.model.verified import FileProof, FilesystemProof, Verified, verdict_of

AT = datetime(2026, 11, 29, 3, 4, 5, tzinfo=timezone.utc)
PROVED, PART, DAMAGED = Verdict.PROVED, Verdict.IN_PART, Verdict.DAMAGED
NOT_OPENED = Verdict.NOT_OPENED
FILES = {
    PROVED: FileProof(compared=1, equal=1),
    PART: FileProof(compared=2, equal=1, changed=("/etc/a",)),
    DAMAGED: FileProof(compared=2, equal=1, different=("/etc/a",)),
}


def verified(*verdicts: Verdict) -> Verified:
    proofs = (
        FilesystemProof(
            source=f"/{number}",
            fstype="ext4",
            snapshot_ids=(SnapshotId("s-1"),),
            opened=True,
            checked=None,
            files=None,
            verdict=verdict,
        )
        for number, verdict in enumerate(verdicts)
    )
    return Verified(name="run", at=AT, filesystems=tuple(proofs))


@pytest.mark.parametrize("files", [None, *FILES])
@pytest.mark.parametrize("result", list(CheckResult))
def test_verdict_is_proved_only_where_all_was_looked_at_and_nothing_is_wrong(
    result: CheckResult, files: Verdict | None
) -> None:
    proof = FILES[files] if files else None
    found = verdict_of(Checked(result=result, program="fsck"), proof)
    if result is CheckResult.DAMAGED or files is DAMAGED:
        assert found is DAMAGED
    elif result is CheckResult.CLEAN and files in (None, PROVED):
        assert found is PROVED
    else:
        assert found is PART


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([PROVED, PROVED], PROVED),
        ([PROVED, PART], PART),
        ([PROVED, NOT_OPENED], PART),
        ([NOT_OPENED, NOT_OPENED], NOT_OPENED),
        ([NOT_OPENED, DAMAGED], DAMAGED),
        ([PROVED, DAMAGED], DAMAGED),
    ],
)
def test_several_are_worth_what_the_weakest_allows(verdicts: list[Verdict], whole: Verdict) -> None:
    assert worst(verdicts) is whole
    assert worst(verdicts[::-1]) is whole


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (PROVED, ExitStatus.DONE, None),
        (PART, ExitStatus.WEAKER, None),
        (DAMAGED, ExitStatus.SNAPSHOT_FAILED, "snapshot-damaged"),
    ],
)
def test_status_follows_the_verdict(verdict: Verdict, status: ExitStatus, code: str | None) -> None:
    done = verified(PROVED, verdict)
    assert done.exit_status is status
    assert (done.error and done.error.code) == code


def test_damage_names_the_filesystems() -> None:
    error = verified(PROVED, DAMAGED).error
    assert error is not None
    assert "/1" in error.message
    assert "/0" not in error.message


def test_disk_that_stays_is_the_last_word() -> None:
    done = replace(verified(DAMAGED), left=DiskLeft("d-1 is left"))
    assert done.exit_status is ExitStatus.DISK_LEFT


def test_what_ended_it_is_the_status_and_no_proof_of_the_whole() -> None:
    done = replace(verified(PROVED), stopped=CloudRefused("no"))
    assert (done.result, done.exit_status) == (PART, ExitStatus.REFUSED)
    damaged = replace(verified(DAMAGED), stopped=CloudRefused("no"))
    assert damaged.exit_status is ExitStatus.SNAPSHOT_FAILED


def test_tag_tells_what_was_written_into_it() -> None:
    known = Verification(at=AT, result=PART)
    assert known.tag == "in-part 2026-11-29T03:04:05Z"
    assert Verification.of_tag(known.tag) == known


@pytest.mark.parametrize("text", ["", "proved", "proved yesterday", "sound 2026-11-29T03:04:05Z"])
def test_tag_that_is_not_understood_tells_nothing(text: str) -> None:
    assert Verification.of_tag(text) is None
