"""The verdict as a plugin says it: a line with performance data, details, 4 KB at most."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from json_schemas import hold
from plugin_output import MOST_BYTES, Datum, read_plugin_output
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import DiskSummary, LastRun, Summary, Unprotected
from snap_self.output.checked import fault_line, judged_json, plugin_lines, write_judged
from snap_self.output.streams import make_streams
from snap_self.watching.check import (
    Finding,
    Judged,
    Kind,
    Present,
    Status,
    Thresholds,
    judge,
)

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=timezone.utc)
LIMITS = Thresholds(warning_s=7 * 86400, critical_s=14 * 86400, level=Consistency.FLUSH)
HERE = Present(now=NOW, boot_id="b1")
DISK = DiskSummary(
    disk_id="d-1",
    snapshot_id="s-1",
    run_id="r-1",
    cut=NOW - timedelta(days=2),
    consistency=Consistency.FLUSH,
    snapshots=13,
)
GOOD = Summary(written=NOW, version="1", boot_id="b1", disks=(DISK,))


def said(judged: Judged) -> str:
    return "".join(f"{line}\n" for line in plugin_lines(judged))


def many(count: int) -> Summary:
    """Return a machine with so many disks, each with everything wrong."""
    bad = replace(DISK, cut=NOW - timedelta(days=30), consistency=None, snapshots=256)
    disks = tuple(replace(bad, disk_id=f"d-bp1{n:017}") for n in range(count))
    return replace(GOOD, disks=disks, upload_failed=1)


# One finding of each kind.
EACH = {
    kind: Finding(
        kind=kind, disk=DISK, at=NOW - timedelta(days=1), count=3, word="apt", text="why", hint="do"
    )
    for kind in Kind
}


def test_machine_that_is_well_says_how_old_its_snapshot_is() -> None:
    assert plugin_lines(judge(GOOD, LIMITS, HERE)) == (
        "SNAP-SELF OK - newest good snapshot 2d old (d-1, flush) | "
        "'age_d-1'=172800s;604800;1209600;0; 'snapshots_d-1'=13;240;;0;256 "
        "'uploading'=0;;;0; 'retention_pending'=0;;;0;",
        "d-1: s-1 2d old, flush, 13 of 256 snapshots",
    )


def test_several_disks_are_told_by_the_worst() -> None:
    other = replace(DISK, disk_id="d-2", cut=NOW - timedelta(days=5), consistency=None)
    limits = replace(LIMITS, level=Consistency.CRASH)
    output = read_plugin_output(said(judge(replace(GOOD, disks=(DISK, other)), limits, HERE)))
    assert output.text == "newest good snapshot at most 5d old (2 disks, level not known)"
    assert [each.split(":")[0] for each in output.details] == ["d-2", "d-1"]


def test_disk_without_a_snapshot_has_no_age() -> None:
    judged = judge(replace(GOOD, disks=(replace(DISK, cut=None),)), LIMITS, HERE)
    output = read_plugin_output(said(judged))
    age = Datum(
        label="age_d-1", value="U", unit="", warn="604800", crit="1209600", least="0", most=""
    )
    assert (output.status, output.data[0]) == ("CRITICAL", age)


@pytest.mark.parametrize("kind", Kind)
def test_each_finding_is_a_sentence_in_either_form(kind: Kind) -> None:
    judged = Judged(thresholds=LIMITS, present=HERE, findings=(EACH[kind],), disks=(DISK,))
    output = read_plugin_output(said(judged))
    assert output.status == kind.status.name
    assert not any(word in output.text for word in ("None", "{", "()", "  "))
    as_json = judged_json(judged)
    hold(as_json, "check")
    assert (as_json["exit_status"], as_json["status"]) == (
        int(kind.status),
        kind.status.name.lower(),
    )


@pytest.mark.parametrize("in_part", [False, True])
def test_machine_of_which_a_part_may_have_gone_back_is_not_said_to_have(*, in_part: bool) -> None:
    back = replace(GOOD, went_back=NOW, back_in_part=in_part)
    output = read_plugin_output(said(judge(back, LIMITS, HERE)))
    assert ("or may have" in output.text, "this machine has gone back" in output.text) == (
        in_part,
        not in_part,
    )


def test_several_findings_are_listed_worst_first() -> None:
    summary = replace(
        GOOD,
        unprotected=Unprotected(at=NOW, manager="apt", code="cloud-refused"),
        runs=(LastRun(trigger="apt", started=NOW, exit_status=9, result="failed", code="x-y"),),
    )
    output = read_plugin_output(said(judge(summary, LIMITS, HERE)))
    assert output.text.startswith("apt changed packages without a snapshot (cloud-refused)")
    assert output.text.endswith("; 1 more")
    assert [each.split(":")[0] for each in output.details] == ["CRITICAL", "WARNING", "d-1"]
    assert "failed 0s ago: x-y, status 9" in output.details[1]


@pytest.mark.parametrize("count", [1, 8, 16, 17, 40, 200])
def test_output_is_never_too_long_for_whoever_reads_it(count: int) -> None:
    judged = judge(many(count), LIMITS, HERE)
    text = said(judged)
    output = read_plugin_output(text)
    left = [each for each in output.details if each.startswith("…")]
    # What does not fit is told as a number, and the form is whole all the same.
    lines = len(judged.findings) + count
    assert len(output.details) - len(left) + sum(int(each.split()[2]) for each in left) == lines
    assert bool(left) == (count > 8)
    assert len(text.encode()) <= MOST_BYTES


def test_nothing_foreign_begins_performance_data_or_a_line() -> None:
    odd = Finding(kind=Kind.UNREADABLE, text="a|b\nc'd=\x1b[31m", hint="e|f")
    judged = judge(None, LIMITS, HERE, unreadable=odd)
    output = read_plugin_output(said(judged))
    assert "a/b\\nc'd=" in output.text
    assert "\x1b" not in output.text
    weird = replace(GOOD, disks=(replace(DISK, disk_id="d-|'=\n1"),))
    labels = [each.label for each in read_plugin_output(said(judge(weird, LIMITS, HERE))).data]
    assert labels[0] == "age_d-/__\\n1"


def test_failure_of_its_own_is_one_line() -> None:
    output = read_plugin_output(fault_line("two\nlines | here", "mend") + "\n")
    assert (output.status, output.text) == ("UNKNOWN", "two\\nlines / here (mend)")
    assert len(fault_line("x" * 9000).encode()) <= MOST_BYTES


@pytest.mark.parametrize("as_json", [False, True])
def test_everything_goes_to_standard_output(*, as_json: bool) -> None:
    out, err = io.StringIO(), io.StringIO()
    streams = make_streams(out, err, env={}, verbosity=-1, json=as_json)
    write_judged(streams, judge(GOOD, LIMITS, HERE))
    assert err.getvalue() == ""
    if as_json:
        found: dict[str, Any] = json.loads(out.getvalue())
        hold(found, "check")
        assert (found["status"], found["disks"][0]["age_s"]) == ("ok", 172800)
    else:
        assert read_plugin_output(out.getvalue()).status == Status.OK.name
