"""The journal of opened snapshots: safe on disk, and readable after anything."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snap_self.errors import StateUnusable
from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.temporary import (
    CopyRecord,
    DiskStage,
    Kept,
    KeptFiles,
    Purpose,
    RestoreId,
    Stage,
    TemporaryDisk,
)
from snap_self.system.state.copies import CopyJournal
from snap_self.system.state.left import may_be_left

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=timezone.utc)
ORDER = DiskOrder(
    snapshot_id=SnapshotId("s-1"),
    choice=DiskChoice(category="cloud_essd", size_gib=20, level="PL0"),
    zone="z",
    client_token="token",
    name="name",
    tags={"snap-self-temp": "i-1"},
)
DISK = TemporaryDisk(
    source=DiskId("d-1"),
    order=ORDER,
    stage=DiskStage.CREATING,
    disk_id=DiskId("d-2"),
    serial="2",
    asked=NOW,
    made=NOW,
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> CopyJournal:
    return CopyJournal(state, keep=2)


def record(name: str = "r1", stage: Stage = Stage.OPENING) -> CopyRecord:
    return CopyRecord(
        restore_id=RestoreId(name),
        purpose=Purpose.MOUNT,
        instance_id=InstanceId("i-1"),
        region=RegionId("cn-hangzhou"),
        run_id="run",
        snapshot="run",
        started=NOW,
        until=NOW + timedelta(hours=1),
        stage=stage,
        disks=(DISK, replace(DISK, disk_id=None, asked=None, made=None)),
        attached_before=(DiskId("d-1"),),
        source="/srv",
        mounted_at="/mnt",
        made_folder=True,
        roots=("/srv/a",),
        trouble="no",
    )


@pytest.mark.parametrize("stage", Stage)
def test_record_comes_back_as_it_was_saved(journal: CopyJournal, stage: Stage) -> None:
    saved = record(stage=stage)
    journal.save(saved)
    assert journal.load("r1") == saved


def test_every_argument_of_the_create_is_kept(journal: CopyJournal) -> None:
    journal.save(record())
    (kept,) = journal.unfinished()
    assert kept.disks[0].order == ORDER


def test_only_what_is_done_leaves_nothing_to_look_for(journal: CopyJournal, state: Path) -> None:
    assert not may_be_left(state)
    journal.save(record("r1"))
    journal.save(record("r2"))
    assert may_be_left(state)
    journal.save(record("r1", Stage.DONE))
    assert [each.restore_id for each in journal.unfinished()] == ["r2"]
    journal.save(record("r2", Stage.DONE))
    assert not may_be_left(state)
    assert journal.unfinished() == ()


def test_oldest_records_of_what_is_done_are_forgotten(journal: CopyJournal) -> None:
    for name in ("r1", "r2", "r3"):
        journal.save(record(name, Stage.DONE))
    assert [journal.load(name) is not None for name in ("r1", "r2", "r3")] == [False, True, True]


def test_what_is_done_is_told_newest_first_without_what_is_not(
    journal: CopyJournal, state: Path
) -> None:
    assert journal.done() == ()
    later = replace(record("r0", Stage.DONE), started=NOW + timedelta(hours=1), opened=NOW)
    journal.save(record("r1", Stage.DONE))
    journal.save(later)
    journal.save(record("r2"))
    assert [each.restore_id for each in journal.done()] == ["r0", "r1"]
    assert journal.done()[0] == later
    (state / "restores/done/r1.json").write_text("{")
    assert journal.done() == (later,)


def test_record_is_private(journal: CopyJournal, state: Path) -> None:
    journal.save(record())
    assert (state / "restores").stat().st_mode & 0o077 == 0
    assert (state / "restores" / "r1.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 9}'])
def test_record_that_cannot_be_read_is_told_and_not_taken_for_done(
    journal: CopyJournal, state: Path, text: str
) -> None:
    journal.save(record())
    (state / "restores" / "r1.json").write_text(text, encoding="utf-8")
    assert journal.unfinished() == ()
    assert may_be_left(state)
    (damaged,) = journal.damaged()
    assert damaged.restore_id == "r1"
    assert "r1.json" in damaged.where


def test_what_was_replaced_is_known_for_the_way_back(journal: CopyJournal) -> None:
    kept = KeptFiles(
        restore_id=RestoreId("r1"),
        files=(Kept(path="/srv/a", kept="/srv/.snap-self-replaced/r1/a"),),
        made=(Kept(path="/srv/b", kept="/srv/.snap-self-replaced/r1/b"),),
        undone=NOW,
    )
    journal.keep(kept)
    assert journal.kept("r1") == kept
    assert journal.kept("r2") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}'])
def test_way_back_that_is_damaged_is_told_with_where_the_files_are(
    journal: CopyJournal, state: Path, text: str
) -> None:
    journal.keep(KeptFiles(restore_id=RestoreId("r1"), files=()))
    (state / "restores" / "kept" / "r1.json").write_text(text, encoding="utf-8")
    with pytest.raises(StateUnusable, match="damaged") as caught:
        journal.kept("r1")
    assert ".snap-self-replaced/r1" in caught.value.hint


def test_way_back_that_an_older_version_noted_counts_as_whole(
    journal: CopyJournal, state: Path
) -> None:
    journal.keep(KeptFiles(restore_id=RestoreId("r1"), files=()))
    path = state / "restores" / "kept" / "r1.json"
    noted = json.loads(path.read_text(encoding="utf-8"))
    del noted["aside"], noted["whole"]
    path.write_text(json.dumps(noted), encoding="utf-8")
    kept = journal.kept("r1")
    assert kept is not None
    assert kept.whole


@pytest.mark.parametrize("name", ["../r1", "", "r1/..", "."])
def test_name_that_is_no_id_finds_nothing(journal: CopyJournal, name: str) -> None:
    journal.save(record())
    assert journal.load(name) is None
    assert journal.kept(name) is None


def test_folder_that_is_a_link_is_refused(journal: CopyJournal, state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "elsewhere").mkdir()
    (state / "restores").symlink_to(state / "elsewhere")
    with pytest.raises(StateUnusable):
        journal.save(record())
