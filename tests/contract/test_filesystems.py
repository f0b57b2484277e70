"""What every sync of filesystems does, in memory and by the kernel."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.filesystems import FakeFilesystems
from snap_self.model.flushed import SyncFault
from snap_self.model.flushing import FlushTarget, MountWay
from snap_self.ports import Filesystems
from snap_self.system.disks import directories
from snap_self.system.disks.aside import AsideProcess, Pending
from snap_self.system.disks.calls import mount_id_of
from snap_self.system.disks.filesystems import KernelFilesystems


def way_to(path: Path) -> MountWay:
    """Return the way to a folder as if it were a mount point: what the kernel says of it now."""
    fd = os.open(path, os.O_PATH)
    try:
        device = os.fstat(fd).st_dev
        mount_id = mount_id_of(fd)
    finally:
        os.close(fd)
    devno = f"{os.major(device)}:{os.minor(device)}"
    return MountWay(path=str(path), mount_id=mount_id, devno=devno)


def target_of(*ways: MountWay) -> FlushTarget:
    return FlushTarget(path=ways[0].path, fstype="any", ways=ways)


def kernel(*, limit_s: float = 30.0) -> KernelFilesystems:
    return KernelFilesystems(AsideProcess(), limit_s=limit_s)


@pytest.fixture(params=["kernel", "memory"])
def filesystems(request: pytest.FixtureRequest, tmp_path: Path) -> Filesystems:
    if request.param == "kernel":
        return kernel()
    return FakeFilesystems(
        missing=[str(tmp_path / "missing")], exchanged=[str(tmp_path / "exchanged")]
    )


def test_sync_of_a_folder_succeeds(filesystems: Filesystems, tmp_path: Path) -> None:
    way = way_to(tmp_path)
    done = filesystems.sync(target_of(way))
    assert (done.fault, done.way, done.why) == (None, way.path, "")


def test_sync_of_what_is_not_there_names_the_error(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    way = replace(way_to(tmp_path), path=str(tmp_path / "missing"))
    done = filesystems.sync(target_of(way))
    assert (done.fault, done.error) == (SyncFault.NOT_OPENED, errno.ENOENT)
    assert done.why == f"{way.path} could not be synced: No such file or directory"


def test_sync_of_another_mount_than_was_seen_is_no_sync(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    place = tmp_path / "exchanged"
    place.mkdir()
    way = way_to(place)
    done = filesystems.sync(target_of(replace(way, mount_id=way.mount_id + 100_000)))
    assert done.fault is SyncFault.EXCHANGED


def test_second_way_serves_where_the_first_leads_nowhere(
    filesystems: Filesystems, tmp_path: Path
) -> None:
    good = way_to(tmp_path)
    gone = replace(good, path=str(tmp_path / "missing"))
    done = filesystems.sync(target_of(gone, good))
    assert (done.fault, done.way) == (None, good.path)


def test_same_mount_id_on_another_device_is_no_sync(tmp_path: Path) -> None:
    way = replace(way_to(tmp_path), devno="259:7")
    assert kernel().sync(target_of(way)).fault is SyncFault.EXCHANGED


def test_bind_mount_of_a_file_is_a_way_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert kernel().sync(target_of(way_to(file))).fault is None


def test_pipe_in_place_of_the_mount_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = kernel(limit_s=10.0).sync(target_of(way_to(tmp_path / "pipe")))
    assert (done.fault, done.error) == (SyncFault.NOT_OPENED, errno.ENOTDIR)


@pytest.mark.parametrize("walk", [False, True], ids=["openat2", "name-by-name"])
class TestPlace:
    """Both ways of walking a path keep to the same rules."""

    def test_folder_is_found(self, tmp_path: Path, *, walk: bool) -> None:
        fd = directories.open_place(way_to(tmp_path).plain, walk=walk)
        try:
            assert os.path.samestat(os.fstat(fd), tmp_path.stat())
        finally:
            os.close(fd)

    def test_root_is_found(self, *, walk: bool) -> None:
        fd = directories.open_place(way_to(Path("/")).plain, walk=walk)
        try:
            assert os.path.samestat(os.fstat(fd), Path("/").stat())
        finally:
            os.close(fd)

    @pytest.mark.parametrize("inside", ["", "/below"], ids=["last", "above"])
    def test_symbolic_link_on_the_way_is_refused(
        self, tmp_path: Path, inside: str, *, walk: bool
    ) -> None:
        (tmp_path / "real" / "below").mkdir(parents=True)
        (tmp_path / "link").symlink_to("real")
        way = replace(way_to(tmp_path / "real"), path=f"{tmp_path}/link{inside}")
        with pytest.raises(OSError, match="Stale file handle"):
            directories.open_place(way.plain, walk=walk)

    def test_missing_folder_is_its_own_error(self, tmp_path: Path, *, walk: bool) -> None:
        way = replace(way_to(tmp_path), path=str(tmp_path / "no" / "such"))
        with pytest.raises(FileNotFoundError):
            directories.open_place(way.plain, walk=walk)

    def test_no_descriptor_is_left(self, tmp_path: Path, *, walk: bool) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for path in ("a/b", "a/no", "link/b"):
            way = replace(way_to(tmp_path), path=str(tmp_path / path))
            try:
                os.close(directories.open_place(way.plain, walk=walk))
            except OSError:
                continue
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_folder_renamed_since_is_no_sync(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    way = way_to(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").symlink_to("/proc")
    assert kernel().sync(target_of(way)).fault is SyncFault.EXCHANGED


class Silent:
    """Nobody answers."""

    def begin(self, question: str, *arguments: object) -> Pending:
        del question, arguments
        return Pending()


class BrokenOff:
    """Whoever makes the calls ends before there is an answer, as by a library that is gone."""

    def begin(self, question: str, *arguments: object) -> Pending:
        del question, arguments
        pending = Pending()
        pending.answered((errno.EPIPE, None))
        return pending


def test_sync_that_breaks_off_is_told_as_such_and_not_as_a_slow_disk(tmp_path: Path) -> None:
    done = KernelFilesystems(BrokenOff()).sync(target_of(way_to(tmp_path)))
    assert done.fault is SyncFault.BROKEN
    reason = "the attempt broke off, by a fault of snap-self"
    assert done.why == f"{tmp_path} could not be synced: {reason}"


def test_sync_that_does_not_end_is_left_behind_at_its_limit(tmp_path: Path) -> None:
    done = KernelFilesystems(Silent(), limit_s=0.0).sync(target_of(way_to(tmp_path)))
    assert done.fault is SyncFault.LATE
    assert "not written to the disk within 0 s" in done.why
