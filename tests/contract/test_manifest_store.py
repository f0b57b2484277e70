"""What every store of manifests does, in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.manifests import FakeManifests, manifest
from fakes.records import run_record
from snap_self.model.ids import RunId
from snap_self.model.packed import PackedManifest
from snap_self.ports_looking_back import ManifestStore
from snap_self.system.manifest.packing import pack
from snap_self.system.state.journal import Journal
from snap_self.system.state.manifests import Manifests

RUN = manifest().run_id
Store = Manifests | FakeManifests


@pytest.fixture(params=["disk", "memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return what opens the same store anew, as the next command would."""
    if request.param == "disk":
        return lambda: Manifests(tmp_path / "state")
    fake = FakeManifests()
    return lambda: fake


def test_store_is_the_ports_twin(open_store: Callable[[], Store]) -> None:
    store: ManifestStore = open_store()
    assert (store.read(RUN), store.read(RUN, after=True), list(store.runs())) == (None, None, [])


def test_written_manifest_is_read_back(open_store: Callable[[], Store]) -> None:
    open_store().write(manifest())
    assert open_store().read(RUN) == manifest()
    assert open_store().read(RUN, after=True) is None


def test_packed_manifest_is_read_back(open_store: Callable[[], Store]) -> None:
    open_store().write(PackedManifest(run_id=RUN, content=pack(manifest())))
    assert open_store().read(RUN) == manifest()


def test_manifest_of_before_is_never_replaced(open_store: Callable[[], Store]) -> None:
    open_store().write(manifest())
    open_store().write(manifest(manager="rpm"))
    assert open_store().read(RUN) == manifest()


def test_manifest_of_after_is_the_last_one_and_beside_that_of_before(
    open_store: Callable[[], Store],
) -> None:
    open_store().write(manifest())
    open_store().write(manifest(manager="rpm"), after=True)
    open_store().write(manifest(manager="pacman"), after=True)
    assert open_store().read(RUN) == manifest()
    assert open_store().read(RUN, after=True) == manifest(manager="pacman")


def test_runs_are_told_once_and_in_order(open_store: Callable[[], Store]) -> None:
    for run_id in ("b", "a"):
        open_store().write(manifest(run_id=run_id))
    open_store().write(manifest(run_id="a"), after=True)
    open_store().write(manifest(run_id="c"), after=True)
    assert list(open_store().runs()) == ["a", "b", "c"]


def test_forgotten_run_has_neither(open_store: Callable[[], Store]) -> None:
    for after in (False, True):
        open_store().write(manifest(run_id="a"), after=after)
        open_store().write(manifest(run_id="b"), after=after)
    open_store().forget([RunId("a"), RunId("unknown")])
    assert list(open_store().runs()) == ["b"]
    assert open_store().read(RunId("a"), after=True) is None


def test_forgotten_run_can_be_written_again(open_store: Callable[[], Store]) -> None:
    open_store().write(manifest())
    open_store().forget([RUN])
    open_store().write(manifest(manager="rpm"))
    assert open_store().read(RUN) == manifest(manager="rpm")


def test_strays_are_forgotten(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store, known = open_store(), run_record(2)
    Journal(tmp_path / "state").save(known)
    if isinstance(store, FakeManifests):
        store.recorded = [known.run_id]
    store.write(manifest())
    store.write(manifest(run_id=known.run_id))
    store.forget_strays()
    assert list(open_store().runs()) == [known.run_id]
