"""What every sync of filesystems does, in memory and by the kernel."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from fakes.filesystems import FakeFilesystems
from snap_self.ports import Filesystems
from snap_self.system.filesystems import KernelFilesystems


@pytest.fixture(params=["kernel", "memory"])
def filesystems(request: pytest.FixtureRequest, tmp_path: Path) -> Filesystems:
    if request.param == "kernel":
        return KernelFilesystems()
    return FakeFilesystems(missing=[str(tmp_path / "missing")])


def test_sync_of_a_folder_succeeds(filesystems: Filesystems, tmp_path: Path) -> None:
    filesystems.sync(str(tmp_path))


def test_sync_of_what_is_not_there_is_an_os_error(filesystems: Filesystems, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        filesystems.sync(str(tmp_path / "missing"))
    assert caught.value.errno == errno.ENOENT


def test_sync_of_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        KernelFilesystems().sync(str(tmp_path / "file"))


def test_write_error_comes_out(tmp_path: Path) -> None:
    def fail(path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    with pytest.raises(OSError) as caught:
        KernelFilesystems(call=fail).sync("/data")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/data")


def test_sync_that_does_not_end_is_left_behind_at_its_limit() -> None:
    release = threading.Event()

    def wait(path: str) -> None:
        release.wait()

    slow = KernelFilesystems(limit_s=0.0, call=wait)
    try:
        with pytest.raises(TimeoutError, match="not written to the disk within 0 s"):
            slow.sync("/data")
    finally:
        release.set()
