"""The list as a person reads it: a row a run, within the terminal, and what each row says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.samples import NOW, sample
from snap_self.model.executions import DONE, Execution
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.listed import ListedRun, ListedSnapshot, SnapshotState
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Consistency, Cut
from snap_self.model.verification import Verdict, Verification
from snap_self.output.cells import cell_width
from snap_self.output.listing import write_listing
from snap_self.output.streams import make_streams
from snap_self.recovery.went_back import Return
from snap_self.usecases.listing import Listing

RUN = RunId("20261122t083225z-0a1b2c")
SHOT = ListedSnapshot(
    snapshot_id=SnapshotId("s-bp1aaaabbbbccccdddd1"),
    group_id=None,
    run_id=RUN,
    disk_id=DiskId("d-bp1aaaabbbbccccdddd1"),
    before="os upgrade",
    level=Consistency.FLUSH,
    state=SnapshotState.ACCOMPLISHED,
    progress=100,
    cut=Cut.MADE,
    cut_time=NOW - timedelta(hours=3),
    size_gib=40,
    expires=NOW + timedelta(days=13, hours=1),
    used_by="",
    outcome="",
    retention=Retention.SET,
    mounts=("/", "/boot"),
)


def written(shots: Sequence[ListedSnapshot], *, verbosity: int = 0) -> list[str]:
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=verbosity, json=False)
    listing = replace(sample(Listing, lambda _: "x"), snapshots=tuple(shots))
    write_listing(streams, listing, now=NOW)
    return out.getvalue().splitlines()


def of_disks(count: int, **changes: object) -> list[ListedSnapshot]:
    made = []
    for number in range(1, count + 1):
        shot = replace(
            SHOT,
            snapshot_id=SnapshotId(f"s-bp1aaaabbbbccccddd{number:02}"),
            disk_id=DiskId(f"d-bp1aaaabbbbccccddd{number:02}"),
            mounts=(f"/srv/{number}",),
        )
        made.append(replace(shot, **changes))  # type: ignore[arg-type]
    return made


def row_of(shots: Sequence[ListedSnapshot]) -> dict[str, str]:
    """Return the cells of the only row, by their heads."""
    head, row = written(shots)
    names = head.split()
    places = [head.index(f" {name}") + 1 if name != "RUN" else 0 for name in names]
    ends = [*places[1:], len(row)]
    return {n: row[a:b].strip() for n, a, b in zip(names, places, ends, strict=True)}


def test_run_when_it_has_several_disks_is_one_row_with_them() -> None:
    assert row_of(of_disks(3)) == {
        "RUN": RUN,
        "AGE": "3h",
        "BEFORE": "os upgrade",
        "DISKS": "/srv/1, /srv/2, /srv/3",
        "LEVEL": "flush",
        "STATE": "uploaded",
        "EXPIRES": "in 13d",
    }


def test_disks_that_do_not_fit_are_counted() -> None:
    row = row_of(of_disks(8))
    assert row["DISKS"] == "/srv/1, /srv/2 and 6 more"


def test_disk_of_which_no_mount_is_known_has_its_id() -> None:
    assert row_of([replace(SHOT, mounts=())])["DISKS"] == SHOT.disk_id


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"run_id": None, "group_id": GroupId("ssg-bp1gggghhhh")}, "ssg-bp1gggghhhh"),
        ({"run_id": None}, SHOT.snapshot_id),
    ],
)
def test_snapshot_whose_run_no_tag_tells_has_the_name_that_show_takes(
    changes: dict[str, object], name: str
) -> None:
    assert row_of([replace(SHOT, **changes)])["RUN"] == name  # type: ignore[arg-type]


FAILED, ON = SnapshotState.FAILED, SnapshotState.AVAILABLE


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([(ON, 40), (ON, 70)], "available 40%"),
        ([(SnapshotState.ACCOMPLISHED, 100), (ON, 70)], "available 70%"),
        ([(ON, 10), (SnapshotState.PROGRESSING, 70)], "progressing 70%"),
        ([(SnapshotState.PROGRESSING, None)], "progressing"),
        ([(SnapshotState.UNKNOWN, None), (ON, 10)], "unknown"),
        ([(FAILED, 0), (FAILED, 0)], "failed"),
        ([(FAILED, 0), (SnapshotState.ACCOMPLISHED, 100)], "1 of 2 failed"),
    ],
)
def test_state_of_a_run_is_that_of_the_disk_that_is_furthest_behind(
    states: list[tuple[SnapshotState, int | None]], told: str
) -> None:
    shots = [
        replace(shot, state=state, progress=progress)
        for shot, (state, progress) in zip(of_disks(len(states)), states, strict=True)
    ]
    assert row_of(shots)["STATE"] == told


def test_state_of_a_run_that_lacks_something_begins_with_that() -> None:
    first, second = of_disks(2)
    assert row_of([replace(first, partial=True), second])["STATE"] == "partial, uploaded"


def test_level_of_a_run_is_that_of_its_weakest_disk() -> None:
    one, two = of_disks(2)
    assert row_of([one, replace(two, level=Consistency.CRASH)])["LEVEL"] == "crash"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "in 13d"),
        ({"expires": None}, "never"),
        ({"expires": NOW - timedelta(hours=1)}, "due"),
        ({"retention": Retention.PENDING}, "pending"),
        ({"retention": Retention.REFUSED}, "not set"),
        ({"retention": Retention.NOT_SET}, "not set"),
        ({"retention": Retention.NOT_KNOWN}, "not known"),
    ],
)
def test_expiry_is_told_as_far_as_the_cloud_has_accepted_it(
    changes: dict[str, object], told: str
) -> None:
    one, two = of_disks(2)
    assert row_of([one, replace(two, **changes)])["EXPIRES"] == (  # type: ignore[arg-type]
        "in 13d" if told == "never" else told
    )
    assert row_of([replace(SHOT, **changes)])["EXPIRES"] == told  # type: ignore[arg-type]


def test_outcome_has_a_column_only_where_there_is_one() -> None:
    assert "OUTCOME" not in row_of([SHOT])
    told = row_of([replace(SHOT, outcome="failed with status 3 after 4.4 s")])["OUTCOME"]
    assert told.startswith("failed with")


def test_row_is_a_hundred_cells_wide_at_most_and_what_is_cut_says_so() -> None:
    shots = of_disks(8, before="升级" * 40, outcome="failed with status 3 after 4.4 s")
    lines = written(shots)
    assert max(map(cell_width, lines)) <= 100
    assert "…  8 disks" in lines[1]
    assert lines[1].startswith(RUN)


def test_list_when_verbose_has_each_snapshot_below_its_run() -> None:
    _, _, first, second = written(of_disks(2), verbosity=1)
    assert first == ("  s-bp1aaaabbbbccccddd01 of d-bp1aaaabbbbccccddd01 (40 GiB), accomplished")
    assert "ddd02" in second


def test_list_of_nothing_writes_no_data() -> None:
    assert written([]) == []


def proved(verdict: Verdict | None) -> Verification | None:
    return Verification(at=NOW, result=verdict) if verdict else None


def test_nobody_hears_of_proofs_where_nothing_was_verified() -> None:
    assert "VERIFIED" not in row_of([SHOT])


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (Verdict.PROVED, Verdict.PROVED, "proved"),
        (Verdict.PROVED, None, "in part"),
        (Verdict.PROVED, Verdict.IN_PART, "in part"),
        (Verdict.DAMAGED, Verdict.PROVED, "DAMAGED"),
        (Verdict.DAMAGED, None, "DAMAGED"),
    ],
)
def test_run_is_verified_only_as_far_as_all_its_snapshots_are(
    first: Verdict, second: Verdict | None, words: str
) -> None:
    one, other = of_disks(2)
    shots = [replace(one, verified=proved(first)), replace(other, verified=proved(second))]
    assert row_of(shots)["VERIFIED"] == words
    assert row_of(shots[::-1])["VERIFIED"] == words


def noted(age: timedelta, *, lost: int, status: str = DONE) -> str:
    """Return what a list of nothing says of disks that went back so long ago."""
    names = [f"run-{number}" for number in range(1, lost + 1)]
    back = Return(
        run=RUN,
        before="os upgrade",
        cut_time=NOW - timedelta(days=1),
        execution=Execution(execution_id="exec-1", status=status, finished=NOW - age),
        lost=tuple(ListedRun(name=name, shots=(SHOT,)) for name in names),
    )
    said = io.StringIO()
    streams = make_streams(io.StringIO(), said, env={}, verbosity=0, json=False)
    listing = replace(
        sample(Listing, lambda _: "x"), snapshots=(), returns=(back,), armed=(), notes=()
    )
    write_listing(streams, listing, now=NOW)
    return said.getvalue()


def test_going_back_is_news_for_a_week_with_what_is_lost() -> None:
    text = noted(timedelta(days=6), lost=7)
    assert f"brought disks back to run {RUN}, before 'os upgrade'" in text
    assert "is lost; with it what came after run run-1, before" in text
    assert "and 2 more; their snapshots stay" in text
    assert noted(timedelta(days=8), lost=7) == ""


def test_failed_going_back_calls_nothing_lost() -> None:
    assert "is lost" not in noted(timedelta(days=1), lost=0, status="Failed")
    assert "is lost" in noted(timedelta(days=1), lost=0)
