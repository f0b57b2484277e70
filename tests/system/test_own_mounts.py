"""The mount namespace of the tests: nothing of theirs outlasts it, no leftover is in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from waiting import wait_until

pytestmark = pytest.mark.root
OWN_MOUNTS = Path(__file__).resolve().parents[1] / "own_mounts"


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def shown(device: str) -> bool:
    """Tell whether a program started there sees a loop device in use."""
    name = Path(device).name
    return "loop" in run(OWN_MOUNTS, "ls", f"/sys/block/{name}").split()


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def device(tmp_path: Path, undo: ExitStack) -> str:
    """Return a loop device with a filesystem in an image whose name is no text."""
    image = tmp_path / "image \udcff\x1b[2J"
    run("truncate", "--size=16M", image)
    run("mkfs.ext4", "-q", image)
    found = run("losetup", "--find", "--show", image).strip()
    undo.callback(subprocess.run, ["losetup", "--detach", found], check=False)
    return found


def test_device_that_nothing_visible_has_mounted_is_not_shown(device: str) -> None:
    assert not shown(device)
    assert Path(f"/sys/block/{Path(device).name}/loop/backing_file").exists()  # to us it is


def test_device_whose_mount_was_let_go_while_in_use_is_not_shown(
    device: str, tmp_path: Path, undo: ExitStack
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    run("mount", device, place)
    undo.enter_context((place / "file").open("w"))
    run("umount", "--lazy", place)
    assert not shown(device)


def test_device_that_is_mounted_is_shown(device: str, tmp_path: Path, undo: ExitStack) -> None:
    place = tmp_path / "place"
    place.mkdir()
    run("mount", device, place)
    undo.callback(run, "umount", place)
    assert shown(device)


def test_device_that_carries_another_is_shown(device: str, tmp_path: Path, undo: ExitStack) -> None:
    label = "label: dos\nstart=2048, size=8192\n"
    subprocess.run(["sfdisk", "-q", device], input=label, text=True, timeout=60, check=True)
    run("partx", "--add", device)
    undo.callback(subprocess.run, ["partx", "--delete", device], check=False)
    assert shown(device)


def test_number_of_a_device_not_shown_is_given_to_nobody_else(device: str, tmp_path: Path) -> None:
    argv = [OWN_MOUNTS, "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as inside:
        assert inside.stdin
        assert inside.stdout
        inside.stdout.readline()
        run("losetup", "--detach", device)
        other = tmp_path / "other"
        run("truncate", "--size=16M", other)
        got = run("losetup", "--find", "--show", other).strip()
        run("losetup", "--detach", got)
        inside.stdin.close()
    assert got != device
    wait_until(lambda: not Path(f"/sys/block/{Path(device).name}/loop").exists())


def test_what_is_mounted_there_is_gone_with_it(device: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    text = 'mount "$1" "$2" && mount -t tmpfs none "$2" && cat /proc/self/mounts'
    table = run(OWN_MOUNTS, "sh", "-c", text, "sh", device, place)
    assert f"none {place} tmpfs" in table
    assert str(place) not in Path("/proc/self/mounts").read_text(encoding="utf-8")
    wait_until(lambda: not Path(f"/sys/fs/ext4/{Path(device).name}").exists())


def test_status_and_arguments_are_the_commands(tmp_path: Path) -> None:
    text = 'printf "%s|" "$@" >"$0"; exit 7'
    told = tmp_path / "told"
    done = subprocess.run(
        [OWN_MOUNTS, "sh", "-c", text, told, "--apart", "a b", ""], timeout=60, check=False
    )
    assert (done.returncode, told.read_text(encoding="utf-8")) == (7, "--apart|a b||")
