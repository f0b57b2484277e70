"""All that lies in a state directory: what the real stores write is known, told and removed."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fakes.clock import FakeClock
from fakes.records import run_record
from snap_self.errors import StateUnusable
from snap_self.model.awaited import AwaitedChange
from snap_self.model.going_back import ReturnId, ReturnRecord, Step
from snap_self.model.ids import InstanceId, RegionId, RunId
from snap_self.model.packages import Transaction
from snap_self.model.run import Stage
from snap_self.model.summary import Summary
from snap_self.model.temporary import CopyRecord, Kept, KeptFiles, Purpose, RestoreId
from snap_self.model.temporary import Stage as CopyStage
from snap_self.system.managers.state import ManagerState
from snap_self.system.state.awaited import AwaitedFiles
from snap_self.system.state.bug_files import write_bug
from snap_self.system.state.copies import CopyJournal
from snap_self.system.state.journal import Journal
from snap_self.system.state.lock import FileLock
from snap_self.system.state.manifests import Manifests
from snap_self.system.state.parts import StateParts
from snap_self.system.state.returns import ReturnJournal
from snap_self.system.watching.summary_file import write_summary

AT = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)
OWN = InstanceId("i-bp1iiiijjjjkkkkllllm")
REGION = RegionId("cn-hangzhou")
PARTS = {
    *("bugs", "facts", "changes", "manifests", "kept_files", "copies", "returns", "awaited"),
    "runs",
}


def copy_record(restore_id: str, stage: CopyStage) -> CopyRecord:
    return CopyRecord(
        restore_id=RestoreId(restore_id),
        purpose=Purpose.RESTORE,
        instance_id=OWN,
        region=REGION,
        run_id="",
        snapshot="s-1",
        started=AT,
        until=AT,
        stage=stage,
        disks=(),
        attached_before=(),
    )


def return_record(return_id: str, step: Step) -> ReturnRecord:
    return ReturnRecord(
        return_id=ReturnId(return_id),
        instance_id=OWN,
        region=REGION,
        run="r",
        started=AT,
        since=None,
        boot_id="boot",
        disks=(),
        step=step,
    )


def fill(state: Path) -> None:
    """Have each of the agent's stores write what it may ever write."""
    with FileLock(state, FakeClock()).hold(timeout_s=0, purpose="a run"):
        journal = Journal(state)
        for number in range(5):
            journal.save(run_record(number, stage=Stage.FINISHED))
        journal.remember("hooks", {"a": "b"})
    Manifests(state).key()
    (state / "manifests/20261122t083225z-000001.json.zz").write_bytes(b"x")
    (state / "manifests/20261122t083225z-000001.after.json.zz").write_bytes(b"x")
    copies = CopyJournal(state)
    copies.save(copy_record("a1", CopyStage.PLANNED))
    copies.save(copy_record("a2", CopyStage.DONE))
    copies.keep(KeptFiles(restore_id=RestoreId("a2"), files=(Kept(path="/a", kept="/b"),)))
    returns = ReturnJournal(state)
    returns.save(return_record("b1", Step.PLANNED))
    returns.save(return_record("b2", Step.DONE))
    AwaitedFiles(state).add(
        AwaitedChange(run_id=RunId("r"), pid=4711, pid_started=99, boot_id="boot", since=AT)
    )
    write_bug(state, "how it occurred")
    ManagerState().log(str(state), "20261122t083225z-000001", Transaction("apt", (), program="apt"))
    (state / "runs/.r.json.999999-1.tmp").write_text("half")
    (state / "hook-limit.4711").write_text("65\n")
    (state / "hook-limit").write_text("65\n305\n")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    fill(folder)
    return folder


def test_all_that_is_written_is_known_and_goes_but_locks_and_the_hook_limit(state: Path) -> None:
    parts = StateParts(state)
    kept = parts.look()
    assert {part.name for part in kept.parts} == PARTS | {"leftovers"}
    assert list(kept.strange) == []
    gone = list(parts.forget(kept))
    assert sorted(gone) == sorted(kept.files)
    assert names(state) == ["hook-limit", "lock"]
    assert StateParts(state).look().parts == []


def test_records_that_forbid_it_go_last(state: Path) -> None:
    files = [path.parent.name for path in StateParts(state).look().files]
    assert files[-5:] == ["runs"] * 5
    assert files.index("manifests") < files.index("restores") < files.index("runs")


@pytest.mark.parametrize("after", range(1, 20, 3))
def test_what_was_interrupted_is_brought_to_its_end(state: Path, after: int) -> None:
    parts = StateParts(state)
    removal = parts.forget(parts.look())
    for _ in range(after):
        next(removal, None)
    removal.close()  # type: ignore[attr-defined]
    rest = StateParts(state)
    list(rest.forget(rest.look()))
    assert names(state) == ["hook-limit", "lock"]


def test_what_another_put_there_stays_and_is_told(state: Path) -> None:
    (state / "runs/notes.txt").write_text("mine")
    (state / "precious").mkdir()
    (state / "runs/linked.json").symlink_to("/etc/hostname")
    parts = StateParts(state)
    kept = parts.look()
    strange = [state / "precious", state / "runs/linked.json", state / "runs/notes.txt"]
    assert list(kept.strange) == strange
    list(parts.forget(kept))
    assert all(os.path.lexists(path) for path in strange)
    assert not (state / "facts").exists()


def test_folder_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(mode=0o700)
    (tmp_path / "runs/7.json").write_text("{}")
    with pytest.raises(StateUnusable, match="not known to be a state directory"):
        StateParts(tmp_path).look()
    assert (tmp_path / "runs/7.json").exists()


@pytest.mark.parametrize("held", ["{}", "not JSON", '{"schema": "1"}', '{"schema": 99}'])
def test_lock_of_another_program_proves_nothing(tmp_path: Path, held: str) -> None:
    (tmp_path / "lock").touch(mode=0o600)
    (tmp_path / "runs").mkdir(mode=0o700)
    (tmp_path / "runs/7.json").write_text(held)
    with pytest.raises(StateUnusable, match="no record beside it"):
        StateParts(tmp_path).look()
    assert (tmp_path / "runs/7.json").exists()


def test_one_record_or_the_summary_is_enough(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(mode=0o600)
    write_summary(tmp_path, Summary(written=AT, version="1"))
    (tmp_path / "runs").mkdir(mode=0o700)
    (tmp_path / "runs/7.json").write_text("cut")
    assert {part.name for part in StateParts(tmp_path).look().parts} == {"watched", "runs"}


def test_link_in_the_place_of_a_folder_is_not_followed(state: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (state / "runs").rename(elsewhere)
    (state / "runs").symlink_to(elsewhere)
    with pytest.raises(StateUnusable, match="symbolic link"):
        StateParts(state).look()
    assert len(list(elsewhere.glob("*.json"))) == 5


def test_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert StateParts(tmp_path / "none").look().parts == ()
    assert list(tmp_path.iterdir()) == []
