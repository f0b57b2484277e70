"""The last words on a run: they must not send a tired person into the change too early."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from fakes.builders import cloud_disk, target
from snap_self.errors import ExitStatus
from snap_self.model.disks import NotCovered, Skipped
from snap_self.model.ids import DiskId, RunId, SnapshotId
from snap_self.model.report import (
    ConsistencyReport,
    ErrorReport,
    Report,
    SnapshotReport,
    UploadWatch,
)
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Consistency, Cut
from snap_self.model.ways import CloudCall
from snap_self.output.report import report_json, write_report
from snap_self.output.screen import lacks, rows
from snap_self.output.streams import Streams

CUT = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)
SHOT = SnapshotReport(
    snapshot_id=SnapshotId("s-1"),
    group_id=None,
    disk_id=DiskId("d-1"),
    status="accomplished",
    progress=100,
    available=True,
    cut=Cut.MADE,
    cut_time=CUT,
    expires=None,
)
YOUNG = replace(
    SHOT, status="progressing", progress=0, available=False, cut=Cut.NOT_YET, cut_time=None
)
GOOD = Report(
    result=Result.DONE,
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
    undo=(CloudCall(action="StartInstance", params={}),),
    notes=(),
)


STREAMS = Streams(
    out=io.StringIO(), err=io.StringIO(), terminal=False, colour=False, verbosity=0, json=False
)


def _words(report: Report, **more: object) -> str:
    err = io.StringIO()
    write_report(replace(STREAMS, err=err, **more), report)  # type: ignore[arg-type]
    return err.getvalue()


GAP = NotCovered(what="/nfs", kind="nfs4", why="it is elsewhere", data_at_risk=True)


def test_screen_of_a_whole_available_set_says_what_was_made_the_verdict_and_the_way_back() -> None:
    assert _words(GOOD).splitlines() == [
        "Snapshot of 1 disk made in 0.0 s, kept until it is deleted.",
        "Safe to go on with: os upgrade",
        "To go back: snap-self show run-1",
    ]


def test_screen_names_what_is_not_in_it_and_its_verdict_is_that_of_the_status() -> None:
    words = _words(replace(GOOD, not_covered=(GAP,)))
    assert "Not in it: /nfs (it is elsewhere)." in words
    assert "Safe to go on with: os upgrade" in words
    words = _words(replace(GOOD, not_covered=(GAP,), exit_status=ExitStatus.LEFT_OUT))
    assert "Safe" not in words
    assert "Do not go on with: os upgrade, unless you can do without what is missing" in words
    assert words.count("--exclude MOUNTPOINT") == 1


def test_screen_of_a_run_whose_command_is_started_has_no_verdict_and_no_way_back() -> None:
    err = io.StringIO()
    left_out = replace(GOOD, exit_status=ExitStatus.LEFT_OUT, not_covered=(GAP,))
    write_report(replace(STREAMS, err=err), left_out, started=True)
    assert "Not in it: /nfs" in err.getvalue()
    assert "Do not go on" not in err.getvalue()
    assert "go back" not in err.getvalue()


def test_screen_is_silent_about_what_is_no_data() -> None:
    gap = NotCovered(what="/proc", kind="proc", why="the kernel's", data_at_risk=False)
    assert "/proc" not in _words(replace(GOOD, not_covered=(gap,)))


def test_screen_tells_a_reason_once_with_the_first_of_many_places() -> None:
    gaps = tuple(replace(GAP, what=f"/n{i}") for i in range(9))
    words = _words(replace(GOOD, not_covered=gaps))
    assert words.count("it is elsewhere") == 1
    assert "Not in it: /n0, /n1, /n2, /n3 and 5 more (it is elsewhere)." in words


def test_terminal_has_three_reasons_and_the_count_of_the_rest_and_a_log_has_all() -> None:
    gaps = tuple(replace(GAP, what=f"/n{i}", why=f"reason {i}") for i in range(6))
    report = replace(GOOD, not_covered=gaps)
    told = " ".join(lacks(report, 140))
    assert "reason 2" in told
    assert "reason 3" not in told
    assert "either: 3 more, for other reasons (`snap-self plan` tells them)." in told
    assert all(f"/n{number} (reason {number})" in _words(report) for number in range(6))


def test_screen_names_once_the_cause_that_several_reasons_share() -> None:
    gaps = tuple(
        replace(GAP, what=f"/n{i}", why=f"it lies on vd{i}: none", cause="none") for i in range(3)
    )
    assert "Not in it: /n0, /n1, /n2 (none)." in _words(replace(GOOD, not_covered=gaps))


def test_screen_before_the_cut_says_do_not_begin() -> None:
    words = _words(replace(GOOD, snapshots=(SHOT, YOUNG)))
    assert "Safe" not in words
    assert "Do not begin yet with: os upgrade. `snap-self show run-1` tells when" in words


def test_screen_when_the_cut_is_not_known_warns_of_what_may_go_on() -> None:
    unseen = replace(YOUNG, status="unknown", progress=None, cut=Cut.NOT_KNOWN)
    words = _words(replace(GOOD, snapshots=(SHOT, unseen)))
    assert "Do not begin yet with: os upgrade" in words
    # It may be going on.
    assert "No stop or reboot" in words


def test_screen_when_the_cut_was_made_at_a_time_not_known_is_safe() -> None:
    assert "\nSafe to" in _words(replace(GOOD, snapshots=(replace(SHOT, cut_time=None),)))


@pytest.mark.parametrize(
    ("shot", "said"),
    [
        (SHOT, "available, 100 % uploaded, cut 2026-11-22 08:32:25 UTC"),
        (YOUNG, "progressing, 0 % uploaded, cut not made yet"),
        (replace(SHOT, cut_time=None), "cut made, when is not known"),
        (
            replace(YOUNG, status="unknown", progress=None, cut=Cut.NOT_KNOWN),
            "unknown, upload not known, cut not known",
        ),
    ],
)
def test_line_of_a_snapshot_tells_not_yet_from_not_known(shot: SnapshotReport, said: str) -> None:
    out = io.StringIO()
    write_report(replace(STREAMS, out=out), replace(GOOD, snapshots=(shot,)))
    assert said in out.getvalue()


@pytest.mark.parametrize(("verbosity", "told"), [(0, True), (-1, False)])
def test_object_of_what_is_weaker_comes_with_words_for_a_mail_unless_quiet(
    verbosity: int, told: bool
) -> None:
    out, err = io.StringIO(), io.StringIO()
    streams = replace(STREAMS, out=out, err=err, verbosity=verbosity, json=True)
    level = ConsistencyReport(asked=Consistency.FLUSH, reached=Consistency.CRASH, why="a disk hung")
    write_report(streams, replace(GOOD, exit_status=ExitStatus.WEAKER, consistency=level))
    words = "Weaker than asked: crash instead of flush: a disk hung.\n"
    assert err.getvalue() == (words if told else "")
    write_report(streams, GOOD)
    assert err.getvalue() == (words if told else "")


def test_json_of_a_snapshot_tells_not_yet_from_not_known() -> None:
    shots = (SHOT, YOUNG, replace(YOUNG, progress=None, cut=Cut.NOT_KNOWN))
    said = report_json(replace(GOOD, snapshots=shots))["snapshots"]
    assert [shot["cut"] for shot in said] == ["made", "not-yet", "not-known"]
    assert [shot["progress"] for shot in said] == [100, 0, None]


def test_screen_after_the_cut_says_what_is_still_missing() -> None:
    cut = replace(SHOT, status="progressing", progress=3, available=False)
    words = _words(replace(GOOD, snapshots=(cut,)))
    assert "It cannot be used to go back before it is available." in words


def test_screen_while_uploading_warns_of_a_reboot() -> None:
    words = _words(replace(GOOD, snapshots=(replace(SHOT, status="progressing", progress=3),)))
    assert "Safe to go on with: os upgrade" in words
    assert "No stop or reboot" in words


def test_screen_names_the_level_when_it_is_weaker() -> None:
    level = replace(GOOD.consistency, reached=Consistency.CRASH, why="/ is not flushed")
    words = _words(replace(GOOD, exit_status=ExitStatus.WEAKER, consistency=level))
    assert "Weaker than asked: crash instead of flush: / is not flushed." in words
    assert "Safe" not in words
    assert "Do not go on with: os upgrade, unless that is good enough." in words


def test_screen_names_the_level_also_when_something_is_missing() -> None:
    level = replace(GOOD.consistency, reached=Consistency.CRASH, why="/ is not flushed")
    words = _words(replace(GOOD, exit_status=ExitStatus.LEFT_OUT, consistency=level))
    assert "Weaker than asked: crash instead of flush: / is not flushed." in words


def test_reason_on_a_terminal_keeps_its_cause_and_gives_up_places() -> None:
    gaps = tuple(replace(GAP, what=f"/{'n' * 30}{i}", cause="not listed") for i in range(4))
    (told,) = lacks(replace(GOOD, not_covered=gaps), 110)
    assert told == f"Not in it: /{'n' * 30}0, /{'n' * 30}1 and 2 more (not listed)."


def test_screen_names_a_disk_left_out_once_with_what_lies_on_it() -> None:
    gone = Skipped(disk_id=DiskId("d-9"), why="local disk", asked=False)
    on_it = replace(GAP, what="/ssd", why="it lies on vdb: local disk", cause="local disk")
    left_out = replace(
        GOOD, exit_status=ExitStatus.LEFT_OUT, skipped=(gone,), not_covered=(GAP, on_it)
    )
    words = _words(left_out)
    assert "Not in it: d-9, /ssd (local disk). Not in it: /nfs (it is elsewhere)." in words
    assert "Safe" not in words


def test_screen_of_a_reused_set_says_when_it_was_cut() -> None:
    words = _words(replace(GOOD, result=Result.REUSED, of_earlier=True))
    assert "used again (cut 2026-11-22 08:32 UTC; what was written since is not in it)" in words


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        (Retention.SET, ", kept until 2026-11-23."),
        (Retention.PENDING, ", to be kept until 2026-11-23."),
        (Retention.NOT_KNOWN, ", to be kept until 2026-11-23 (the cloud does not tell)."),
        (Retention.REFUSED, "until it is deleted: the cloud has no retention for it."),
    ],
)
def test_screen_says_until_when_it_is_kept_for_as_much_as_the_cloud_accepted(
    retention: Retention, said: str
) -> None:
    shot = replace(SHOT, expires=CUT + timedelta(hours=1), retention=retention)
    assert said in _words(replace(GOOD, snapshots=(shot,)))


def test_screen_says_who_sets_the_retention_where_nobody_watches_the_upload() -> None:
    later = CUT + timedelta(days=14)
    shot = replace(SHOT, status="progressing", expires=later, retention=Retention.PENDING)
    watch = UploadWatch(held=False, until=None, why="it is switched off")
    words = _words(replace(GOOD, snapshots=(shot,), watch=watch))
    assert "`snap-self doctor` has the cloud note until when it is kept" in words
    watch = UploadWatch(held=True, until=later, why="")
    words = _words(replace(GOOD, snapshots=(shot,), watch=watch))
    assert "snap-self doctor" not in words
    assert "a reboot is held back until it is done, at the latest until 2026-12-06" in words


def test_news_are_told_and_what_is_a_matter_of_course_is_not() -> None:
    words = _words(replace(GOOD, notes=("usual", "odd"), news=("odd",)))
    assert "Note: odd" in words
    assert "usual" not in words
    words = _words(replace(GOOD, notes=("usual", "odd"), news=("odd",)), verbosity=1)
    assert words.count("odd") == 1
    assert "Note       usual" in words


def test_rows_of_a_terminal_name_device_and_mount_points_and_fit() -> None:
    out = io.StringIO()
    here = target(1, "/var/lib/a-long-name")
    whole = replace(GOOD, targets=(here,), snapshots=(replace(SHOT, disk_id=here.cloud.disk_id),))
    write_report(replace(STREAMS, out=out, out_columns=24), whole)
    assert out.getvalue() == "  s-1  vda /var/lib/a-l…\n"


def test_rows_of_more_snapshots_than_fit_share_them_and_name_the_device_alone() -> None:
    shots = tuple(
        replace(SHOT, disk_id=cloud_disk(number).disk_id, snapshot_id=SnapshotId(f"s-{number:02}"))
        for number in range(1, 14)
    )
    lost = (replace(shots[0], status="failed", available=False), *shots[1:])
    targets = tuple(target(number) for number in range(1, 14))
    found = list(rows(replace(GOOD, targets=targets, snapshots=lost), 40))
    assert found[0] == "  s-01 (vda, failed)  s-02 (vdb)"
    assert len(found) == 7
    assert list(rows(replace(GOOD, targets=targets, snapshots=lost), 20))[1] == "  s-02 (vdb)"


def test_colour_is_only_where_it_is_welcome() -> None:
    assert "\x1b[1;32mSafe to go on with: os upgrade\x1b[0m\n" in _words(GOOD, colour=True)
    assert "\x1b" not in _words(GOOD)


def test_text_of_a_failed_run_ends_with_the_error() -> None:
    err = io.StringIO()
    streams = replace(STREAMS, err=err)
    wrong = ErrorReport(code="wait-ran-out", message="not available", hint="look again")
    failed = replace(GOOD, result=Result.PARTIAL, exit_status=ExitStatus.WAIT_RAN_OUT, error=wrong)
    write_report(streams, failed)
    assert err.getvalue().endswith("snap-self: not available\n  -> look again\n")
