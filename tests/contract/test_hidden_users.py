"""Who uses what lies at a place, by its path: a mount there would hide it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snap_self.system.going_back.users import users_below

READS = 'cd "$0" && exec 3<"$1" && echo ready && exec cat'


@contextmanager
def reading(folder: Path, file: Path, *before: str) -> Iterator[int]:
    """Run a process in a folder with a file open; yield its number."""
    argv = [*before, "sh", "-c", READS, str(folder), str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def pids(*places: Path) -> list[int]:
    return [user.pid for user in users_below([str(place) for place in places])]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "file").touch()
    return tmp_path / "place"


def test_open_file_and_directory_that_one_stands_in_are_told(place: Path) -> None:
    with reading(Path("/"), place / "file") as by_file, reading(place, Path("/dev/null")) as in_it:
        assert sorted(pids(place)) == sorted([by_file, in_it])
        told = {user.pid: user.path for user in users_below([str(place)])}
        assert told == {by_file: str(place / "file"), in_it: str(place)}
        assert pids(place.with_name("pla")) == []
    assert pids(place) == []


def test_file_that_is_removed_is_no_loss(place: Path) -> None:
    with reading(Path("/"), place / "file"):
        (place / "file").unlink()
        assert pids(place) == []


@pytest.mark.root
def test_same_path_in_another_mount_namespace_is_another_one(place: Path) -> None:
    mounts = 'mount -t tmpfs none "$0" && touch "$0/file" && exec sh -c "$2" "$0" "$1"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts]
    with subprocess.Popen(
        [*argv, str(place), str(place / "file"), READS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert pids(place) == []
        finally:
            process.kill()
