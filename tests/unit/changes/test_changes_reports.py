"""What a hook takes from the main job's report, whole or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snap_self.changes.policy import KILLED, NOT_STARTED, TIMED_OUT
from snap_self.changes.reports import read_report, what_failed
from snap_self.errors import CloudRefused
from snap_self.model.hook_facts import JobEnd
from snap_self.output.jsonform import dumps, fault_json

MADE: dict[str, Any] = {
    "result": "done",
    "error": None,
    "run": {"id": "20261122t220000z-abc123"},
    "snapshots": [{"snapshot_id": f"s-{n}"} for n in range(5)],
    "consistency": {"asked": "flush", "reached": "flush", "why": ""},
    "not_covered": [],
}


def report(**changes: Any) -> bytes:
    return json.dumps({**MADE, **changes}).encode()


def test_snapshots_and_the_way_to_more_are_told() -> None:
    told = read_report(report())
    assert told.run_id == "20261122t220000z-abc123"
    assert told.sentence.startswith("snapshot made: s-0, s-1, s-2 and 2 more (run 2026")
    assert "snap-self show 20261122t220000z-abc123" in told.sentence
    assert (told.less, told.error) == ("", "")


def test_reused_snapshot_is_told_as_such() -> None:
    assert read_report(report(result="reused")).sentence.startswith("the earlier snapshot serves")


def test_what_is_less_than_asked_is_told() -> None:
    why = {"asked": "filesystem", "reached": "flush", "why": "/ is not frozen"}
    told = read_report(report(consistency=why, not_covered=[{"what": "/ (ext4)"}]))
    assert told.less == "/ is not frozen; not in it: / (ext4)"


def test_error_is_told_with_its_mend() -> None:
    out = dumps(fault_json(CloudRefused("refused:\n no", hint="allow it"))).encode()
    told = read_report(out)
    assert told.run_id == ""
    assert what_failed(JobEnd(9, out=out), told, 60) == "refused: no; allow it"


@pytest.mark.parametrize("out", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff", b"[" * 99999])
def test_report_that_is_none_names_no_run(out: bytes) -> None:
    assert read_report(out).run_id == ""


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (JobEnd(TIMED_OUT), "it was not made within 60 s"),
        (JobEnd(KILLED), "the process that makes it was killed"),
        (JobEnd(NOT_STARTED, err=b"No such file"), "snap-self could not be started: No such file"),
        (JobEnd(1, err=b"Traceback\nMemoryError\n"), "snap-self ended with status 1: MemoryError"),
        (JobEnd(3), "snap-self ended with status 3"),
    ],
)
def test_end_without_a_report_is_told_in_a_sentence(ended: JobEnd, why: str) -> None:
    assert what_failed(ended, read_report(ended.out), 60.0) == why
