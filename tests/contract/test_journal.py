"""What every run store and fact store does, in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.journal import FakeJournal
from fakes.records import STARTED, order_record, run_record
from snap_self.model.executions import Execution
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.result import Result
from snap_self.model.run import (
    ArmedEnd,
    ArmedRecord,
    FollowerRecord,
    RetentionTries,
    RollbackRecord,
    RunRecord,
    Stage,
    Upload,
)
from snap_self.model.snapshots import Consistency
from snap_self.model.verification import Verdict, Verification
from snap_self.ports import FactStore, RunStore
from snap_self.system.state.journal import Journal

Store = Journal | FakeJournal


@pytest.fixture(params=["disk", "memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return what opens the same store anew, as the next command would."""
    if request.param == "disk":
        return lambda: Journal(tmp_path / "state")
    fake = FakeJournal()
    return lambda: fake


def full_record() -> RunRecord:
    order = replace(
        order_record(grouped=True, sent=True),
        group_id=GroupId("ssg-1"),
        snapshot_ids={DiskId("d-1"): SnapshotId("s-1")},
        error='said "no"\n',
        retention_pending=(SnapshotId("s-1"),),
    )
    first = run_record(stage=Stage.FINISHED, before='"stage": "planned" 升级', orders=(order,))
    return replace(
        first,
        consistency_reached=Consistency.CRASH,
        consistency_why="because",
        keep_days=None,
        expires=first.started,
        finished=first.started,
        exit_status=100,
        result=Result.DONE,
        explained="e",
        outcome="o",
        upload=upload(going_on=False),
        retention=RetentionTries(count=2, last=first.started, why="w"),
        carried={DiskId("d-1"): ("/", "/srv/\udcff")},
        lacking=("/home",),
        lacking_why={"/home": "w"},
        verified={SnapshotId("s-1"): Verification(at=first.started, result=Verdict.IN_PART)},
    )


def upload(*, going_on: bool) -> Upload:
    follower = FollowerRecord(
        pid=7,
        pid_started=8,
        boot_id="b",
        until=run_record().started,
        held=True,
        why="w",
        ended="e",
    )
    return Upload(
        going_on=going_on,
        boot_id="b",
        text='"going_on": true',
        ended=run_record().started,
        failed=(SnapshotId("s-1"),),
        follower=follower,
    )


def test_store_is_the_ports_twin(open_store: Callable[[], Store]) -> None:
    runs: RunStore = open_store()
    facts: FactStore = open_store()
    assert (runs.all(), runs.unfinished(), runs.damaged(), facts.recall("x")) == ((), (), (), {})


@pytest.mark.parametrize("record", [run_record(), full_record()], ids=["new", "full"])
def test_saved_record_is_read_back_whole(
    open_store: Callable[[], Store], record: RunRecord
) -> None:
    open_store().save(record)
    assert open_store().load(record.run_id) == record
    assert open_store().all() == (record,)


def test_second_save_replaces_the_first(open_store: Callable[[], Store]) -> None:
    open_store().save(run_record())
    open_store().save(replace(run_record(), stage=Stage.CREATED))
    assert [record.stage for record in open_store().all()] == [Stage.CREATED]


def test_all_gives_the_newest_first(open_store: Callable[[], Store]) -> None:
    store = open_store()
    for number in (2, 3, 1):
        store.save(run_record(number))
    assert store.all() == (run_record(3), run_record(2), run_record(1))


@pytest.mark.parametrize("stage", [Stage.PLANNED, Stage.CREATING, Stage.CREATED])
def test_unfinished_leaves_out_only_finished_runs(
    open_store: Callable[[], Store], stage: Stage
) -> None:
    store = open_store()
    store.save(run_record(1, stage=stage, before='"stage": "finished"'))
    store.save(run_record(2, stage=Stage.FINISHED))
    assert [record.stage for record in store.unfinished()] == [stage]


def test_uploading_leaves_out_only_runs_whose_upload_ended_or_never_began(
    open_store: Callable[[], Store],
) -> None:
    store = open_store()
    store.save(run_record(1, before='"going_on": true'))
    store.save(replace(run_record(2, stage=Stage.FINISHED), upload=upload(going_on=True)))
    store.save(replace(run_record(3, stage=Stage.CREATED), upload=upload(going_on=False)))
    store.save(replace(run_record(4, stage=Stage.CREATED), upload=upload(going_on=True)))
    assert [record.run_id for record in store.uploading()] == [
        run_record(4).run_id,
        run_record(2).run_id,
    ]


def test_brought_back_has_only_runs_that_were_or_were_to_be_gone_back_to(
    open_store: Callable[[], Store],
) -> None:
    store = open_store()
    asked = RollbackRecord(asked=STARTED, client_token="rollback-1")
    seen = Execution(execution_id="exec-1", status="Running", tags={"a": "b"}, began=STARTED)
    store.save(run_record(1, before='back": {'))
    store.save(replace(run_record(2, stage=Stage.FINISHED), rollback=asked))
    store.save(replace(run_record(3), went_back=seen))
    assert store.brought_back() == (
        replace(run_record(3), went_back=seen),
        replace(run_record(2, stage=Stage.FINISHED), rollback=asked),
    )


def test_armed_has_only_what_is_not_confirmed(open_store: Callable[[], Store]) -> None:
    armed = ArmedRecord(
        asked=run_record(1).started,
        within_s=60,
        deadline=run_record(1).started,
        client_token="t",
    )
    store = open_store()
    store.save(run_record(1, before='"unconfirmed": true'))
    store.save(replace(run_record(2, stage=Stage.FINISHED), armed=armed))
    confirmed = replace(armed, unconfirmed=False, ended=ArmedEnd.CONFIRMED)
    store.save(replace(run_record(3, stage=Stage.FINISHED), armed=confirmed))
    assert store.armed() == (replace(run_record(2, stage=Stage.FINISHED), armed=armed),)


@pytest.mark.parametrize("run_id", ["unknown", "", "../lock", "a/b", "x" * 300, "a\x00b"])
def test_load_of_what_is_not_there_is_none(open_store: Callable[[], Store], run_id: str) -> None:
    assert open_store().load(RunId(run_id)) is None


def test_remembered_facts_are_recalled_by_name(open_store: Callable[[], Store]) -> None:
    open_store().remember("endpoint", {"host": "a", "region": "b"})
    open_store().remember("endpoint", {"host": "c"})
    open_store().remember("other", {})
    assert open_store().recall("endpoint") == {"host": "c"}
