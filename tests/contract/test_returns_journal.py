"""The journal of disks that go back, and its twin, against the same tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.going_back import FakeReturns, Journeys
from fakes.looking_back import Life
from snap_self.model.going_back import DiskState, ReturnId, ReturnRecord, Step
from snap_self.ports_going_back import ReturnStore
from snap_self.system.state.left import may_be_half_way, may_have_returned
from snap_self.system.state.returns import ReturnJournal


@pytest.fixture(params=["journal", "twin"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReturnStore:
    return ReturnJournal(tmp_path / "state") if request.param == "journal" else FakeReturns(Life())


def record(name: str = "r1") -> ReturnRecord:
    world = Journeys("one", "two", lvm=True)
    return replace(world.record(), return_id=ReturnId(name))


def test_nothing_is_known_at_first(store: ReturnStore) -> None:
    assert (store.unfinished(), store.done(), store.damaged()) == ((), (), ())
    assert store.load("r1") is None


def test_record_is_read_as_it_was_saved(store: ReturnStore) -> None:
    saved = record().at(Step.RESETTING).with_disk(1, DiskState.ASKED)
    store.save(record())
    store.save(saved)
    assert store.unfinished() == (saved,)
    assert store.load("r1") == saved


def test_record_that_is_done_is_no_longer_unfinished(store: ReturnStore) -> None:
    store.save(record())
    ended = record().at(Step.DONE)
    store.save(ended)
    assert store.unfinished() == ()
    assert store.done() == (ended,)
    assert store.load("r1") == ended


def test_damaged_record_is_told_and_hides_no_other(tmp_path: Path) -> None:
    journal = ReturnJournal(tmp_path / "state")
    journal.save(record())
    (tmp_path / "state/returns/r2.json").write_text("{", encoding="utf-8")
    assert [each.return_id for each in journal.unfinished()] == ["r1"]
    assert [each.return_id for each in journal.damaged()] == ["r2"]


def test_damaged_record_names_its_disks_and_is_set_aside_as_it_is(tmp_path: Path) -> None:
    journal = ReturnJournal(tmp_path / "state")
    journal.save(record())
    path = tmp_path / "state/returns/r1.json"
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    (damaged,) = journal.damaged()
    assert damaged.disk_ids == record().disk_ids
    kept = Path(journal.set_aside(damaged))
    assert kept.read_bytes() == torn
    assert (journal.damaged(), journal.unfinished(), journal.done()) == ((), (), ())
    assert not may_be_half_way(tmp_path / "state")
    # It is in nobody's way, and stays.
    journal.save(record().at(Step.DONE))
    assert [each.return_id for each in journal.done()] == ["r1"]
    assert kept.read_bytes() == torn


def test_empty_record_names_nothing(tmp_path: Path) -> None:
    journal = ReturnJournal(tmp_path / "state")
    journal.save(record())
    (tmp_path / "state/returns/r1.json").write_bytes(b"")
    assert journal.damaged()[0].disk_ids == ()


def test_only_so_many_that_are_done_are_kept(tmp_path: Path) -> None:
    journal = ReturnJournal(tmp_path / "state", keep=2)
    for number in range(4):
        journal.save(record(f"r{number}").at(Step.DONE))
    assert {each.return_id for each in journal.done()} == {"r2", "r3"}


def test_one_look_tells_whether_anything_is_half_way_or_done(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert not may_be_half_way(state)
    journal = ReturnJournal(state)
    journal.save(record())
    assert (may_be_half_way(state), may_have_returned(state)) == (True, False)
    journal.save(record().at(Step.DONE))
    assert (may_be_half_way(state), may_have_returned(state)) == (False, True)
