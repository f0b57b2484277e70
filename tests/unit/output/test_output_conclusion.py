"""The last words on a run: they must not send a tired person into the change too early."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timezone

from snap_self.errors import ExitStatus
from snap_self.model.disks import NotCovered, Skipped
from snap_self.model.ids import DiskId, RunId, SnapshotId
from snap_self.model.report import ConsistencyReport, ErrorReport, Report, SnapshotReport
from snap_self.model.snapshots import Consistency
from snap_self.output.streams import Streams
from snap_self.output.text import conclusion, write_report

CUT = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)
SHOT = SnapshotReport(
    snapshot_id=SnapshotId("s-1"),
    group_id=None,
    disk_id=DiskId("d-1"),
    status="accomplished",
    progress=100,
    available=True,
    cut_time=CUT,
    expires=None,
)
GOOD = Report(
    result="done",
    exit_status=ExitStatus.DONE,
    error=None,
    run_id=RunId("run-1"),
    before="os upgrade",
    started=CUT,
    finished=CUT,
    identity=None,
    targets=(),
    skipped=(),
    not_covered=(),
    snapshots=(SHOT,),
    consistency=ConsistencyReport(asked=Consistency.FLUSH, reached=Consistency.FLUSH, why=""),
    steps=(),
    frozen_s=None,
    undo=("go back",),
    notes=(),
)


def _words(report: Report) -> str:
    return "\n".join(conclusion(report))


def test_conclusion_of_a_whole_available_set_is_safe() -> None:
    assert _words(GOOD) == "Safe to go on with: os upgrade"


def test_conclusion_names_what_is_at_risk_and_not_in_it() -> None:
    gap = NotCovered(what="/nfs", kind="nfs4", why="it is elsewhere", data_at_risk=True)
    words = _words(replace(GOOD, not_covered=(gap,)))
    assert "Safe" not in words
    assert "/nfs" in words
    assert words.endswith("decide before you go on with: os upgrade")


def test_conclusion_asks_nobody_to_decide_where_the_command_is_started_at_once() -> None:
    gap = NotCovered(what="/nfs", kind="nfs4", why="it is elsewhere", data_at_risk=True)
    uncut = tuple(replace(shot, cut_time=None) for shot in GOOD.snapshots)
    for doubtful in (replace(GOOD, not_covered=(gap,)), replace(GOOD, snapshots=uncut)):
        words = "\n".join(conclusion(doubtful, started=True))
        assert words.endswith("; the command is started: os upgrade")
        assert "decide" not in words
        assert "Do not begin" not in words


def test_conclusion_is_silent_about_what_is_no_data() -> None:
    gap = NotCovered(what="/proc", kind="proc", why="the kernel's", data_at_risk=False)
    assert _words(replace(GOOD, not_covered=(gap,))) == "Safe to go on with: os upgrade"


def test_conclusion_shortens_a_long_list_of_gaps() -> None:
    gaps = tuple(
        NotCovered(what=f"/n{i}", kind="nfs4", why="elsewhere", data_at_risk=True) for i in range(9)
    )
    assert "/n0, /n1, /n2, /n3 and 5 more" in _words(replace(GOOD, not_covered=gaps))


def test_conclusion_before_the_cut_says_do_not_begin() -> None:
    young = replace(SHOT, status="progressing", progress=0, available=False, cut_time=None)
    words = _words(replace(GOOD, snapshots=(SHOT, young)))
    assert "Safe" not in words
    assert "Do not begin yet with: os upgrade" in words
    assert "snap-self show run-1" in words


def test_conclusion_after_the_cut_says_what_is_still_missing() -> None:
    cut = replace(SHOT, status="progressing", progress=3, available=False)
    words = _words(replace(GOOD, snapshots=(cut,)))
    assert "Safe" not in words
    assert "Not available yet" in words


def test_conclusion_while_uploading_warns_of_a_reboot() -> None:
    words = _words(replace(GOOD, snapshots=(replace(SHOT, status="progressing", progress=3),)))
    assert words.startswith("Safe to go on with: os upgrade")
    assert "No stop or reboot" in words


def test_conclusion_names_the_level_when_it_is_weaker() -> None:
    level = replace(GOOD.consistency, reached=Consistency.CRASH)
    words = _words(replace(GOOD, exit_status=ExitStatus.WEAKER, consistency=level))
    assert "crash instead of flush" in words
    assert "Safe" not in words


def test_conclusion_names_a_disk_left_out() -> None:
    gone = Skipped(disk_id=DiskId("d-9"), why="local disk", asked=False)
    words = _words(replace(GOOD, exit_status=ExitStatus.LEFT_OUT, skipped=(gone,)))
    assert "d-9" in words
    assert "Safe" not in words


def test_conclusion_of_a_reused_set_says_when_it_was_cut() -> None:
    assert "Cut 2026-11-22 08:32:25 UTC" in _words(replace(GOOD, result="reused"))


def test_text_of_a_failed_run_ends_with_the_error() -> None:
    err = io.StringIO()
    streams = Streams(
        out=io.StringIO(), err=err, terminal=False, colour=False, verbosity=0, json=False
    )
    wrong = ErrorReport(code="wait-ran-out", message="not available", hint="look again")
    failed = replace(GOOD, result="partial", exit_status=ExitStatus.WAIT_RAN_OUT, error=wrong)
    write_report(streams, failed)
    assert err.getvalue().endswith("snap-self: not available\n  -> look again\n")
