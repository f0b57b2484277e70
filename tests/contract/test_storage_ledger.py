"""The ledger of what a simulator made: what is taken away, and what is left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ecs_simulator.storage import kernel
from ecs_simulator.storage.ledger import Ledger, Made, clean_dead, read, undo


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def dead_ledger(folder: Path, *made: Made) -> Path:
    """Leave a ledger behind as a killed process does."""
    ledger = Ledger.create(folder)
    for thing in made:
        ledger.note(thing.kind, thing.path, thing.of)
    ledger._file.close()  # the kernel lets go of the lock here
    return ledger.path


def test_tree_of_a_dead_simulator_is_removed(tmp_path: Path, run_folder: Path) -> None:
    (tmp_path / "work" / "inner").mkdir(parents=True)
    path = dead_ledger(run_folder, Made(kind="tree", path=str(tmp_path / "work")))
    _, faults = clean_dead(run_folder)
    assert (faults, (tmp_path / "work").exists(), path.exists()) == ([], False, False)


def test_tree_of_a_living_simulator_is_left_alone(tmp_path: Path, run_folder: Path) -> None:
    (tmp_path / "work").mkdir()
    ledger = Ledger.create(run_folder)
    ledger.note("tree", tmp_path / "work")
    assert clean_dead(run_folder) == ([], [])
    assert (tmp_path / "work").exists()
    assert ledger.close() == []


def test_what_was_noted_but_never_made_is_no_fault(tmp_path: Path, run_folder: Path) -> None:
    gone = str(tmp_path / "never-made")
    kinds = ("tree", "folder", "loop", "mount", "link")
    dead_ledger(run_folder, *(Made(kind=kind, path=gone, of=gone) for kind in kinds))
    made, faults = clean_dead(run_folder)
    assert (len(made), faults) == (5, [])


def test_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "folder" / "of-others").mkdir(parents=True)
    undo([Made(kind="folder", path=str(tmp_path / "folder"))])
    assert (tmp_path / "folder" / "of-others").exists()


def test_link_that_leads_elsewhere_now_stays(tmp_path: Path) -> None:
    link = tmp_path / "virtio-serial"
    link.symlink_to("../../loop7")
    undo([Made(kind="link", path=str(link), of="../../loop6")])
    assert link.is_symlink()


def test_link_as_noted_is_removed(tmp_path: Path) -> None:
    link = tmp_path / "virtio-serial"
    link.symlink_to("../../loop7")
    undo([Made(kind="link", path=str(link), of="../../loop7")])
    assert not link.is_symlink()


def test_line_cut_short_by_the_kill_is_passed_over(tmp_path: Path, run_folder: Path) -> None:
    path = dead_ledger(run_folder, Made(kind="folder", path=str(tmp_path / "a")))
    with path.open("a") as file:
        file.write('{"kind": "tree", "pa')
    assert read(path) == [Made(kind="folder", path=str(tmp_path / "a"))]


def test_missing_parents_are_noted_one_by_one(tmp_path: Path, run_folder: Path) -> None:
    ledger = Ledger.create(run_folder)
    ledger.make_folder(tmp_path / "a" / "b")
    assert [Path(made.path).name for made in read(ledger.path)] == ["a", "b"]
    ledger.close()
    assert not (tmp_path / "a").exists()


def test_run_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(kernel.StorageError, match="not a folder of this user"):
        Ledger.create(tmp_path / "link")


@pytest.mark.root
def test_loop_device_of_another_file_stays(tmp_path: Path) -> None:
    with (tmp_path / "others.img").open("wb") as image:
        image.truncate(1 << 30)
    with (tmp_path / "others.img").open("r+b") as image:
        device = kernel.attach_loop(image.fileno(), tmp_path / "others.img", direct=False)
    try:
        undo([Made(kind="loop", path=str(tmp_path / "ours.img"))])
        assert kernel.loops_of(tmp_path / "others.img") == [device]
    finally:
        kernel.detach_loop(device)


@pytest.mark.root
def test_mount_of_another_device_at_our_place_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(target)], check=True)
    try:
        undo([Made(kind="mount", path=str(target), of=str(tmp_path / "ours.img"))])
        assert os.path.ismount(target)
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.root
def test_tree_with_something_mounted_below_stays_and_is_told(tmp_path: Path) -> None:
    target = tmp_path / "tree" / "target"
    target.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(target)], check=True)
    try:
        faults = undo([Made(kind="tree", path=str(tmp_path / "tree"))])
        assert "still mounted" in faults[0]
        assert target.exists()
    finally:
        subprocess.run(["umount", str(target)], check=True)
