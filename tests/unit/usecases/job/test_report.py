"""From what a run knows to its report: which status wins, what is told, and where no way leads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.builders import INSTANCE, NOW, RUN, cloud_disk, coverage, target
from fakes.clock import FakeClock
from fakes.records import run_record
from snap_self.errors import ExitStatus, LockHeld, SnapshotFailed, SnapshotSetTorn, WaitRanOut
from snap_self.model.asked import CutUnseen
from snap_self.model.disks import NotCovered, Skipped, Span
from snap_self.model.ids import DiskId, RegionId, SnapshotId
from snap_self.model.plan import Note, NoteKind, Plan, Step, StepName
from snap_self.model.report import GONE, Report, SnapshotReport
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Consistency, Cut, Identity
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.report import build_report, exit_status
from snap_self.usecases.job.steps import StepLog

FLUSH = Consistency.FLUSH
ASKED_OUT = Skipped(disk_id=DiskId("d-x"), why="not asked for", asked=True)
LEFT_OUT = Skipped(disk_id=DiskId("d-y"), why="local", asked=False)
ME = Identity(
    instance_id=INSTANCE,
    region=RegionId("cn-hangzhou"),
    zone="cn-hangzhou-i",
    account="1234567890123456",
    instance_type="ecs.g7.large",
    source="identity document",
    mode="token",
)
THREE = coverage(target(1, "/"), target(2, "/data"), target(3, "/srv"))


def facts(
    *shots: SnapshotReport,
    level: Consistency | None = FLUSH,
    why: str = "",
    unseen: CutUnseen | None = None,
    **known: Any,
) -> RunFacts:
    """Return what a run knows that has a record and made these snapshots."""
    clock = FakeClock()
    record = run_record()
    record = replace(record, consistency_reached=level, consistency_why=why, unseen=unseen)
    fields: dict[str, Any] = {
        "request": Request(before="os upgrade"),
        "began": NOW,
        "new_id": RUN,
        "steps": StepLog(clock, lambda _event: None),
        "record": replace(record, expires=NOW),
        "snapshots": shots,
        "identity": ME,
        "coverage": THREE,
        "cloud_disks": tuple(map(cloud_disk, (1, 2, 3))),
    }
    return RunFacts(**{**fields, **known})


def shot(number: int = 1, **changes: Any) -> SnapshotReport:
    """Return the snapshot of the disk of that number, as it should be."""
    report = SnapshotReport(
        snapshot_id=SnapshotId(f"s-{number}"),
        group_id=None,
        disk_id=cloud_disk(number).disk_id,
        status="accomplished",
        progress=100,
        available=True,
        cut=Cut.MADE,
        cut_time=NOW,
        expires=NOW,
        retention=Retention.SET,
    )
    return replace(report, **changes)


def plan(*notes: Note, weaker: str = "") -> Plan:
    """Return a plan of one step with these notes."""
    step = Step(name=StepName.CREATE, what="d-1", reason="it is asked for")
    return Plan(
        coverage=THREE,
        orders=(),
        flushes=(),
        steps=(step,),
        consistency=FLUSH,
        keep_days=14,
        weaker=weaker,
        notes=notes,
    )


def span(*names: str) -> Span:
    """Return a volume over these local disks."""
    return Span(kind="lvm", name="vg0-data", disks=frozenset(names))


NOTES = tuple(Note(kind=kind, text=kind.value) for kind in NoteKind)


def built(known: RunFacts, result: Result = Result.DONE) -> Report:
    """Return the report."""
    return build_report(known, result=result)


def resets(report: Report) -> set[str]:
    """Return the snapshots that the way back leads to."""
    text = repr(report.undo)
    return {f"s-{number}" for number in (1, 2, 3) if f"'s-{number}'" in text}


GAP = NotCovered(what="/old", kind="xfs", why="foreign", data_at_risk=True, left_out=True)


@pytest.mark.parametrize("result", [Result.DONE, Result.REUSED, Result.RESUMED])
def test_set_that_lacks_a_filesystem_is_partial_with_its_status(result: Result) -> None:
    known = facts(shot(), coverage=replace(coverage(target()), not_covered=(GAP,)))
    report = built(known, result)
    assert (report.result, report.exit_status) == (Result.PARTIAL, ExitStatus.LEFT_OUT)
    assert report.of_earlier == result.of_earlier
    assert report.error is None


def test_set_that_lacks_a_filesystem_of_the_network_alone_is_done() -> None:
    gap = replace(GAP, left_out=False)
    known = facts(shot(), coverage=replace(coverage(target()), not_covered=(gap,)))
    assert (built(known).result, built(known).exit_status) == (Result.DONE, ExitStatus.DONE)


def test_plan_of_a_set_that_lacks_a_filesystem_stays_a_plan() -> None:
    known = facts(coverage=replace(coverage(target()), not_covered=(GAP,)))
    report = built(known, Result.PLANNED)
    assert (report.result, report.exit_status) == (Result.PLANNED, ExitStatus.DONE)


@pytest.mark.parametrize(
    ("known", "result", "expected"),
    [
        (facts(shot()), Result.DONE, ExitStatus.DONE),
        (facts(shot(), level=Consistency.CRASH), Result.DONE, ExitStatus.WEAKER),
        (facts(level=None), Result.DONE, ExitStatus.DONE),
        (
            facts(shot(), coverage=coverage(target(), skipped=(ASKED_OUT,))),
            Result.DONE,
            ExitStatus.DONE,
        ),
        (
            facts(shot(), coverage=coverage(target(), skipped=(ASKED_OUT, LEFT_OUT))),
            Result.DONE,
            ExitStatus.LEFT_OUT,
        ),
        (
            facts(
                shot(),
                level=Consistency.CRASH,
                coverage=coverage(target(), skipped=(LEFT_OUT,)),
            ),
            Result.REUSED,
            ExitStatus.LEFT_OUT,
        ),
        (
            facts(level=Consistency.CRASH, coverage=coverage(target(), skipped=(LEFT_OUT,))),
            Result.PLANNED,
            ExitStatus.DONE,
        ),
        (facts(error=LockHeld("held")), Result.PLANNED, ExitStatus.LOCKED),
        (
            facts(
                shot(),
                error=WaitRanOut("not yet"),
                level=Consistency.CRASH,
                coverage=coverage(target(), skipped=(LEFT_OUT,)),
            ),
            Result.PARTIAL,
            ExitStatus.WAIT_RAN_OUT,
        ),
        (facts(coverage=None), Result.DONE, ExitStatus.DONE),
    ],
)
def test_exit_status_is_that_of_the_worst(
    known: RunFacts, result: Result, expected: ExitStatus
) -> None:
    assert exit_status(known, result) is expected
    assert built(known, result).exit_status is expected


def test_plan_names_no_run_and_claims_nothing() -> None:
    report = built(facts(plan=plan(*NOTES, weaker="no agent")), Result.PLANNED)
    assert report.run_id is None
    assert (report.consistency.reached, report.consistency.why) == (None, "no agent")
    assert [(s.name, s.result, s.seconds) for s in report.steps] == [("create", "planned", None)]
    assert report.undo == ()


def test_plan_tells_all_its_notes_and_those_of_the_look() -> None:
    report = built(facts(plan=plan(*NOTES), notes=["seen"]), Result.PLANNED)
    assert report.notes == ("earlier", "made", "kept", "no-reboot", "seen")


def test_level_is_claimed_only_of_what_is_there() -> None:
    assert built(facts(shot())).consistency.reached is FLUSH
    assert built(facts()).consistency.reached is None


def test_planned_weakness_is_no_reason_of_a_run_that_was_done() -> None:
    known = facts(shot(), plan=plan(weaker="planned"))
    assert built(known).consistency.why == ""
    assert built(facts(shot(), why="met", plan=plan(weaker="planned"))).consistency.why == "met"
    known = facts(why="met", plan=plan(weaker="planned"))
    assert built(known, Result.PLANNED).consistency.why == "met"


def test_run_that_was_done_tells_the_steps_it_did() -> None:
    known = facts(shot(), plan=plan())
    known.steps.add(Step(name=StepName.WAIT, what="cut", reason="why"), seconds=2.0)
    assert [(s.name, s.result, s.seconds) for s in built(known).steps] == [("wait", "done", 2.0)]
    # Without a plan there is nothing planned to show.
    known.plan = None
    assert [s.name for s in built(known, Result.PLANNED).steps] == ["wait"]


@pytest.mark.parametrize(
    ("shots", "expected"),
    [
        ((), ["earlier"]),
        ((shot(status="progressing"),), ["earlier", "made", "no-reboot"]),
        ((shot(),), ["earlier", "made"]),
        ((shot(), shot(2, status="progressing")), ["earlier", "made", "no-reboot"]),
        ((shot(), shot(2, status=GONE)), ["earlier", "made", "no-reboot"]),
    ],
)
def test_notes_follow_from_what_was_made(
    shots: tuple[SnapshotReport, ...], expected: list[str]
) -> None:
    known = facts(*shots, plan=plan(*NOTES), notes=["last"])
    told = built(known).notes
    assert [note for note in told if not note.startswith("kept until")] == [*expected, "last"]


@pytest.mark.parametrize(
    ("shots", "planned", "word"),
    [
        ((), True, None),
        ((shot(status=GONE),), True, None),
        ((shot(status="failed", retention=Retention.REFUSED),), False, None),
        ((shot(),), True, "kept until"),
        ((shot(),), False, None),
        ((shot(retention=Retention.PENDING),), False, None),
        ((shot(retention=Retention.REFUSED),), False, "meant to be kept"),
        ((shot(), shot(2, retention=Retention.NOT_SET)), False, "meant to be kept"),
        ((shot(), shot(2, retention=Retention.NOT_KNOWN)), False, "which is not known"),
        ((shot(), shot(2, retention=Retention.NOT_SET, status=GONE)), False, None),
    ],
)
def test_how_long_it_is_kept_is_told_of_what_was_made_or_is_not_as_it_should_be(
    shots: tuple[SnapshotReport, ...], planned: bool, word: str | None
) -> None:
    told = built(facts(*shots, plan=plan() if planned else None)).notes
    assert len(told) == (word is not None)
    assert word is None or word in told[0]


def test_way_back_leads_to_each_snapshot() -> None:
    assert resets(built(facts(shot(1), shot(2)))) == {"s-1", "s-2"}


def test_way_back_needs_an_instance() -> None:
    assert built(facts(shot(), identity=None)).undo == ()


def test_no_way_leads_to_a_torn_set_but_one_to_what_another_error_left() -> None:
    assert built(facts(shot(), error=SnapshotSetTorn("torn"))).undo == ()
    assert resets(built(facts(shot(), error=SnapshotFailed("one failed")))) == {"s-1"}


@pytest.mark.parametrize("status", [GONE, "failed"])
def test_no_way_leads_to_what_is_lost_or_has_no_name(status: str) -> None:
    lost = built(facts(shot(1), shot(2, status=status), shot(3, snapshot_id=None)))
    assert resets(lost) == {"s-1"}
    assert repr(lost.undo).count("'ResetDisk'") == 1


def test_no_way_leads_to_half_a_volume() -> None:
    shared = replace(THREE, spans=(span("vdb", "vdc"),))
    lost = built(facts(shot(1), shot(2, status=GONE), shot(3), coverage=shared))
    assert resets(lost) == {"s-1"}


def test_volume_is_not_half_where_all_its_disks_are_there() -> None:
    shared = replace(THREE, spans=(span("vdb", "vdc"),))
    assert resets(built(facts(shot(1, status=GONE), shot(2), shot(3), coverage=shared))) == {
        "s-2",
        "s-3",
    }


def test_loss_goes_on_from_volume_to_volume() -> None:
    chained = replace(THREE, spans=(span("vda", "vdb"), span("vdb", "vdc")))
    assert built(facts(shot(1), shot(2), shot(3, status=GONE), coverage=chained)).undo == ()


def test_disk_of_a_volume_that_is_not_among_the_targets_is_left_aside() -> None:
    partly = coverage(target(1), target(2), spans=(span("vdb", "vdz"),))
    assert resets(built(facts(shot(1), shot(2, status=GONE), coverage=partly))) == {"s-1"}


def test_way_back_without_a_coverage_leaves_out_what_is_lost_alone() -> None:
    assert resets(built(facts(shot(1), shot(2, status=GONE), coverage=None))) == {"s-1"}


def test_reason_of_an_unseen_cut_is_told_only_where_that_is_the_result() -> None:
    known = facts(unseen=CutUnseen.NO_ANSWER)
    assert built(known, Result.ASKED).unseen is CutUnseen.NO_ANSWER
    assert built(known, Result.PARTIAL).unseen is None


def test_error_is_reported_with_its_code() -> None:
    report = built(facts(error=LockHeld("held", hint="wait")), Result.FAILED)
    assert report.error is not None
    assert (report.error.code, report.error.message, report.error.hint) == (
        "lock-held",
        "held",
        "wait",
    )
    assert built(facts()).error is None


def test_report_before_anything_is_known_is_empty() -> None:
    known = facts(record=None, coverage=None, identity=None)
    report = built(known, Result.FAILED)
    assert (report.run_id, report.started) == (RUN, NOW)
    assert (report.targets, report.skipped, report.not_covered) == ((), (), ())
    assert (report.undo, report.notes, report.consistency.reached) == ((), (), None)
