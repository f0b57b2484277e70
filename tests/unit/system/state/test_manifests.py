"""Manifests as files: private, trusted, written once, gone with their runs."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.manifests import manifest
from fakes.records import run_record
from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.run import Stage
from snap_self.system.state.journal import Journal
from snap_self.system.state.manifests import Manifests

RUN = manifest().run_id


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> Manifests:
    return Manifests(state)


def names(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "manifests").iterdir())


def test_reading_where_there_is_nothing_makes_nothing(store: Manifests, state: Path) -> None:
    assert (store.read(RUN), store.runs()) == (None, [])
    store.forget([RUN])
    store.forget_strays()
    store.forget_all()
    assert not state.exists()


def test_files_are_called_by_their_run_and_private(store: Manifests, state: Path) -> None:
    store.write(manifest())
    store.write(manifest(), after=True)
    store.key()
    assert names(state) == ["20261122t083225z-000001.after.json.zz", f"{RUN}.json.zz", "key"]
    modes = {path.stat().st_mode & 0o777 for path in (state / "manifests").iterdir()}
    assert modes == {0o600}
    assert (state / "manifests").stat().st_mode & 0o777 == 0o700


def test_key_is_made_once(store: Manifests, state: Path) -> None:
    first = store.key()
    assert (len(first.key), Manifests(state).key()) == (32, first)
    assert first.key.hex() not in first.key_id
    assert first.key.hex() not in repr(first)


@pytest.mark.parametrize("content", ["", "zz\n", "ab\n"])
def test_damaged_key_is_made_anew(store: Manifests, state: Path, content: str) -> None:
    (state / "manifests").mkdir(mode=0o700, parents=True)
    (state / "manifests/key").write_text(content)
    assert len(store.key().key) == 32
    assert store.key() == Manifests(state).key()


def test_keys_of_two_machines_differ(store: Manifests, tmp_path: Path) -> None:
    assert store.key().key_id != Manifests(tmp_path / "other").key().key_id


@pytest.mark.parametrize("name", ["../lock", "a/b", "", "a.after", "x" * 300])
def test_name_that_is_no_run_is_never_a_path(store: Manifests, name: str) -> None:
    store.write(manifest())
    assert store.read(RunId(name)) is None
    with pytest.raises(ValueError, match="cannot name"):
        store.write(manifest(run_id=name))


def test_newer_schema_is_refused_in_words(store: Manifests, state: Path) -> None:
    store.write(manifest())
    path = state / f"manifests/{RUN}.json.zz"
    path.write_bytes(zlib.compress(b'{"schema": 2}'))
    with pytest.raises(StateUnusable) as raised:
        store.read(RUN)
    assert "written by a newer snap-self" in raised.value.message
    assert str(path) in raised.value.message
    assert raised.value.hint


def test_damaged_manifest_is_told_with_its_path(store: Manifests, state: Path) -> None:
    store.write(manifest())
    path = state / f"manifests/{RUN}.json.zz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StateUnusable, match=str(path)):
        store.read(RUN)


def test_link_in_place_of_a_manifest_is_not_followed(store: Manifests, state: Path) -> None:
    store.write(manifest())
    path = state / f"manifests/{RUN}.json.zz"
    path.rename(state / "elsewhere")
    path.symlink_to(state / "elsewhere")
    with pytest.raises(StateUnusable, match="symbolic link"):
        store.read(RUN)


def test_link_in_place_of_the_folder_is_not_followed(store: Manifests, state: Path) -> None:
    store.write(manifest())
    (state / "manifests").rename(state / "elsewhere")
    (state / "manifests").symlink_to(state / "elsewhere")
    for use in (store.runs, store.key, lambda: store.read(RUN), lambda: store.write(manifest())):
        with pytest.raises(StateUnusable, match="symbolic link"):
            use()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's trust can be betrayed")
@pytest.mark.parametrize("name", ["key", f"{RUN}.json.zz"])
def test_file_that_another_user_could_write_is_not_believed(
    store: Manifests, state: Path, name: str
) -> None:
    store.write(manifest())
    store.key()
    os.chown(state / "manifests" / name, 65534, 65534)
    with pytest.raises(StateUnusable, match="cannot be trusted"):
        store.key() if name == "key" else store.read(RUN)


def test_manifest_goes_with_the_record_that_the_journal_drops(
    store: Manifests, state: Path
) -> None:
    journal = Journal(state, keep=1)
    for number in (1, 2):
        run_id = run_record(number).run_id
        store.write(manifest(run_id=run_id))
        store.write(manifest(run_id=run_id), after=True)
        journal.save(run_record(number, stage=Stage.FINISHED))
    assert store.runs() == [run_record(2).run_id]
    assert len(names(state)) == 2


def test_stray_is_what_has_no_record(store: Manifests, state: Path) -> None:
    Journal(state).save(run_record(1))
    for number in (1, 2):
        store.write(manifest(run_id=run_record(number).run_id))
    (state / "manifests/.x.json.zz.999999999-0.tmp").write_text("half")
    store.key()
    store.forget_strays()
    assert names(state) == [f"{run_record(1).run_id}.json.zz", "key"]


def test_damaged_record_keeps_its_manifest(store: Manifests, state: Path) -> None:
    Journal(state).save(run_record(1))
    (state / f"runs/{run_record(1).run_id}.json").write_text("{")
    store.write(manifest(run_id=run_record(1).run_id))
    store.forget_strays()
    assert store.runs() == [run_record(1).run_id]


def test_reset_forgets_manifests_and_key(store: Manifests, state: Path) -> None:
    store.write(manifest())
    store.write(manifest(), after=True)
    first = store.key()
    store.forget_all()
    assert names(state) == []
    assert store.key() != first


def test_foreign_files_in_the_folder_are_left_alone(store: Manifests, state: Path) -> None:
    store.write(manifest())
    (state / "manifests/notes.txt").write_text("x")
    store.forget_all()
    assert names(state) == ["notes.txt"]


def test_full_disk_keeps_the_manifest_before(store: Manifests, state: Path) -> None:
    store.write(manifest(manager="rpm"), after=True)
    (state / "manifests").chmod(0o500)
    try:
        if os.geteuid() == 0:  # root may write all the same, so something else must be in the way
            (state / "manifests").rename(state / "real")
            (state / "manifests").write_text("a file")
        with pytest.raises(StateUnusable):
            store.write(manifest(), after=True)
    finally:
        if os.geteuid() == 0:
            (state / "manifests").unlink()
            (state / "real").rename(state / "manifests")
        (state / "manifests").chmod(0o700)
    assert store.read(RUN, after=True) == replace(manifest(), manager="rpm")
