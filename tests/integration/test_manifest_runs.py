"""When a run looks at its machine, what becomes of that, and what can go wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ecs_simulator.config import LifeTimes
from fakes.filesystems import FakeFilesystems
from fakes.lock import FakeLock
from fakes.main_job import MainJob, config, main_job
from fakes.manifests import FakeManifestReader, FakeManifests
from snap_self.errors import ExitStatus
from snap_self.model.flushed import Synced
from snap_self.model.flushing import FlushTarget
from snap_self.model.packed import Missing
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import ManifestRecord, RunRecord, Stage
from snap_self.usecases.follow import Watching, follow
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.job.manifest import FRESH_S, LIMIT_S
from snap_self.usecases.job.planning import plan_snapshot
from snap_self.usecases.prune import prune
from snap_self.usecases.tools import ManifestTools

REQUEST = Request(before="os upgrade")
HOOK = replace(REQUEST, before="packages", timeout_s=55.0, waited_for=True)
LIFE = LifeTimes(cut_s=0.01, available_s=0.02, accomplished_s=0.1)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job(config(life=LIFE)) as one:
        one.tools = replace(
            one.tools, manifests=ManifestTools(reader=FakeManifestReader(), store=FakeManifests())
        )
        yield one


def reader(job: MainJob) -> FakeManifestReader:
    assert job.tools.manifests is not None
    found = job.tools.manifests.reader
    assert isinstance(found, FakeManifestReader)
    return found


def store(job: MainJob) -> FakeManifests:
    assert job.tools.manifests is not None
    found = job.tools.manifests.store
    assert isinstance(found, FakeManifests)
    return found


def last(job: MainJob) -> RunRecord:
    return job.journal.all()[0]


@pytest.mark.parametrize("asked", [REQUEST, HOOK], ids=["person", "hook"])
def test_run_takes_one_manifest_and_its_record_says_so(job: MainJob, asked: Request) -> None:
    report = job.run(asked)
    assert report.exit_status is ExitStatus.DONE, report.error
    kept = store(job).read(last(job).run_id)
    assert kept is not None
    assert (kept.run_id, kept.instance_id) == (last(job).run_id, last(job).instance_id)
    assert last(job).manifest == ManifestRecord(kept=True)
    assert (reader(job).begun, reader(job).dropped, reader(job).ended) == (1, 0, [LIMIT_S])


class Looking(FakeFilesystems):
    """Notes at each sync what is stored by then."""

    def __init__(self, job: MainJob) -> None:
        super().__init__()
        self._job = job
        self.seen: list[tuple[bool, bool]] = []

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        self.seen.append((bool(store(self._job).writes), bool(self._job.journal.all())))
        return super().sync(target, limit_s=limit_s)


def test_manifest_is_stored_before_anything_is_flushed(job: MainJob) -> None:
    filesystems = Looking(job)
    job.run(REQUEST, filesystems=filesystems)
    assert filesystems.seen
    assert set(filesystems.seen) == {(True, True)}


def test_first_record_of_a_run_already_says_that_there_is_one(job: MainJob) -> None:
    # It is what the snapshot holds.
    job.run(REQUEST)
    first = job.journal.history[0]
    assert (first.stage, first.manifest) == (Stage.PLANNED, ManifestRecord(kept=True))


def test_plan_looks_at_nothing(job: MainJob) -> None:
    assert plan_snapshot(REQUEST, job.tools).result is Result.PLANNED
    assert (reader(job).begun, store(job).writes) == (0, [])


def test_run_without_the_means_takes_none(job: MainJob) -> None:
    report = job.run(REQUEST, manifests=None)
    assert (report.exit_status, last(job).manifest) == (ExitStatus.DONE, None)


def test_manifest_that_cannot_be_stored_is_a_note_and_no_failure(job: MainJob) -> None:
    store(job).failing = "no space left"
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE
    assert "what this machine was before is not noted: no space left" in report.notes
    assert last(job).manifest == ManifestRecord(kept=False, why="no space left")


def test_what_lacks_in_a_manifest_is_a_note_and_stands_in_the_record(job: MainJob) -> None:
    late = "not read to its end within 0.3 s"
    reader(job).left_out = (
        Missing(part="packages", why=late),
        Missing(part="files", why="/etc/x: Input/output error"),
        Missing(part="files", why=late),
    )
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE
    (note,) = [note for note in report.notes if "could be noted" in note]
    assert note.endswith(f"packages, files: {late}; files: /etc/x: Input/output error")
    assert last(job).manifest == ManifestRecord(kept=True, left_out=("packages", "files"))


def die_at(job: MainJob, stage: Stage) -> None:
    """Run the main job and have it end without a word when it saves that stage."""
    save = job.journal.save

    def dying(record: RunRecord) -> None:
        save(record)
        if record.stage is stage:
            raise Killed

    job.journal.save = dying  # type: ignore[method-assign]
    try:
        with pytest.raises(Killed):
            job.run(REQUEST)
    finally:
        job.journal.save = save  # type: ignore[method-assign]


def test_run_that_is_finished_later_keeps_the_manifest_it_began_with(job: MainJob) -> None:
    die_at(job, Stage.CREATED)
    assert job.run(REQUEST).result is Result.RESUMED
    assert store(job).writes == [(last(job).run_id, False)]
    assert reader(job).begun == 1
    assert last(job).manifest == ManifestRecord(kept=True)


def test_run_that_is_reused_keeps_its_manifest(job: MainJob) -> None:
    job.run(REQUEST)
    report = job.run(replace(REQUEST, reuse_s=3600.0))
    assert report.result is Result.REUSED
    assert len(store(job).writes) == 1
    assert (reader(job).begun, reader(job).dropped) == (2, 1)


def test_look_is_given_up_when_a_run_fails_before_it(job: MainJob) -> None:
    def failing(_identity: object) -> Any:
        raise Killed

    with pytest.raises(Killed):
        job.run(REQUEST, connect=failing)
    assert (reader(job).begun, reader(job).dropped, store(job).writes) == (1, 1, [])


def test_machine_is_looked_at_anew_when_the_cloud_kept_the_run_waiting(job: MainJob) -> None:
    connect = job.tools.connect

    def slow(identity: Any) -> Any:
        job.clock.sleep(FRESH_S + 1.0)
        return connect(identity)

    job.run(REQUEST, connect=slow)
    assert (reader(job).begun, reader(job).dropped, len(store(job).writes)) == (2, 1, 1)


def test_older_look_is_kept_when_the_later_one_is_not_read_in_time(job: MainJob) -> None:
    connect = job.tools.connect

    def slow(identity: Any) -> Any:
        job.clock.sleep(FRESH_S + 1.0)
        reader(job).left_out = (Missing(part="packages", why="not read to its end"),)
        return connect(identity)

    report = job.run(REQUEST, connect=slow)

    assert (reader(job).begun, reader(job).ended) == (2, [LIMIT_S, 0.0])
    assert last(job).manifest == ManifestRecord(kept=True)
    kept = store(job).read(last(job).run_id)
    assert kept is not None
    assert kept.complete
    assert [note for note in report.notes if "could be noted" in note] == []


def end_uploads(job: MainJob) -> None:
    while any(s["status"] != "accomplished" for s in job.simulator.dump()["snapshots"].values()):
        job.simulator.finish_snapshots()
        job.clock.sleep(0.01)


def let_a_second_pass() -> None:
    """Return in the next second of the cloud's clock, by which snapshots are told to be newer."""
    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.02)


def test_pruned_run_has_no_manifest_left(job: MainJob) -> None:
    for before in ("first", "second"):
        job.run(replace(REQUEST, before=before))
        end_uploads(job)
        let_a_second_pass()
    newest = last(job).run_id
    policy = PrunePolicy(keep_last=1, keep_per_text=None, force=False)
    assert prune(job.tools, policy, dry_run=True).due
    assert len(store(job).runs()) == 2
    assert prune(job.tools, policy, dry_run=False).deleted
    assert store(job).runs() == [newest]


def expire_all(job: MainJob) -> None:
    for record in job.journal.all():
        orders = tuple(replace(order, retention_pending=()) for order in record.orders)
        long_ago = job.clock.now() - timedelta(days=2)
        job.journal.save(replace(record, expires=long_ago, orders=orders))


def test_next_run_forgets_what_has_expired(job: MainJob) -> None:
    job.run(REQUEST)
    end_uploads(job)
    expire_all(job)
    job.run(replace(REQUEST, before="again"))
    assert store(job).runs() == [last(job).run_id]


def test_follower_forgets_what_has_expired(job: MainJob) -> None:
    # Where only package managers make snapshots, nothing else would.
    job.run(HOOK)
    expire_all(job)
    job.run(replace(HOOK, before="again"))
    assert len(store(job).runs()) == 2
    end_uploads(job)

    class Free:
        def hold(self, why: str) -> str:
            del why
            return ""

        def release(self) -> None:
            return None

    watching = Watching(inhibitor=Free(), lock=FakeLock(job.clock), limit_s=86400.0)
    follow(job.tools, watching)
    assert store(job).runs() == [last(job).run_id]
