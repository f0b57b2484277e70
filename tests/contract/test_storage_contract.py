"""What every storage of simulated disks does: plain files, loop devices, a virtual machine's disks.

The machine is one without an operating system; when it is on, its disks are reached through QEMU.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_simulator.ports import Storage
from ecs_simulator.storage.files import FileStorage
from ecs_simulator.storage.guest import GuestSettings, what_guests_need
from ecs_simulator.storage.kernel import StorageError
from ecs_simulator.storage.ledger import Ledger
from ecs_simulator.storage.loop import LoopStorage, what_loops_need
from ecs_simulator.storage.qcow import QcowStorage

GIB = 1 << 30
NEW_SERIAL = "bp1storagecontract"


class MachineThatIsOn(QcowStorage):
    """Disks of a machine that runs but has no system: paths lead through QEMU's NBD server.

    Without a system nobody lets go of a disk, so it is switched off for what needs that.
    """

    def __init__(self, folder: Path) -> None:
        settings = GuestSettings(memory_mib=32, cpus=1, options=("-S",))
        super().__init__(folder, settings=settings)
        self._server = folder / "nbd.sock"
        self.switch_on()

    def switch_on(self) -> None:
        self.power_on({}, lambda: None)
        address = {"type": "unix", "data": {"path": str(self._server)}}
        self.guest.execute("nbd-server-start", addr=address)
        for disk_id in self._attached:
            self._export(disk_id)

    def _export(self, disk_id: str) -> None:
        node = self._disk(disk_id).node
        export = {"type": "nbd", "id": disk_id, "name": disk_id, "node_name": node}
        self.guest.execute("block-export-add", writable=True, **export)

    def _path(self, disk_id: str) -> str:
        return f"nbd+unix:///{disk_id}?socket={self._server}"

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:
        super().create_disk(disk_id, serial, size_gib)
        return self._path(disk_id)

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        super().create_disk_from(disk_id, serial, size_gib, snapshot_id)
        return self._path(disk_id)

    def attach(self, disk_id: str) -> None:
        super().attach(disk_id)
        self._export(disk_id)

    def detach(self, disk_id: str) -> None:
        self.power_off(force=True)
        super().detach(disk_id)
        self.switch_on()

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        self.power_off(force=True)
        try:
            super().reset_disk(disk_id, snapshot_id)
        finally:
            self.switch_on()


def machine(folder: Path, *, on: bool) -> Iterator[Storage]:
    missing = what_guests_need()
    if missing:
        pytest.skip(f"no virtual machines here: {missing}")
    storage = MachineThatIsOn(folder) if on else QcowStorage(folder)
    yield storage
    storage.power_off(force=True)


@pytest.fixture(
    params=["files", pytest.param("loop", marks=pytest.mark.root), "machine off", "machine on"]
)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "files":
        yield FileStorage(tmp_path)
        return
    if request.param != "loop":
        yield from machine(tmp_path, on=request.param == "machine on")
        return
    missing = what_loops_need(tmp_path)
    if missing:
        pytest.skip(f"no loop disks here: {missing}")
    ledger = Ledger.create(tmp_path / "run")
    try:
        yield LoopStorage(tmp_path, ledger, links=None)
    finally:
        assert ledger.close() == []


@pytest.fixture
def disks(storage: Storage) -> tuple[str, str]:
    paths = [storage.create_disk(f"d-{name}", f"{NEW_SERIAL}{name}", 1) for name in "ab"]
    storage.attach("d-a")
    storage.attach("d-b")
    return paths[0], paths[1]


def through_qemu(path: str) -> bool:
    return path.startswith("nbd+unix:") or path.endswith(".qcow2")


def form_of(path: str) -> str:
    return "raw" if path.startswith("nbd") else "qcow2"


def write(path: str, text: bytes, *, at: int = 0) -> None:
    if through_qemu(path):
        with tempfile.NamedTemporaryFile() as source:
            source.write(text)
            source.flush()
            wish = f"write -s {source.name} {at} {len(text)}"
            run("qemu-io", "-f", form_of(path), "-c", wish, "-c", "flush", path)
        return
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, text, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: str | None, size: int, *, at: int = 0) -> bytes:
    assert path is not None
    if through_qemu(path):
        with tempfile.NamedTemporaryFile(suffix=".raw") as copy:
            run("qemu-img", "convert", "-f", form_of(path), "-O", "raw", path, copy.name)
            return read(copy.name, size, at=at)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, size, at)
    finally:
        os.close(descriptor)


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def end_of(path: str | None) -> int:
    assert path is not None
    if through_qemu(path):
        told = run("qemu-img", "info", "--output=json", "-f", form_of(path), path)
        return int(json.loads(told)["virtual-size"])
    with Path(path).open("rb") as file:
        return file.seek(0, os.SEEK_END)


def test_new_disk_has_its_size_and_is_empty(disks: tuple[str, str]) -> None:
    assert end_of(disks[0]) == GIB
    assert read(disks[0], 4096, at=GIB - 4096) == bytes(4096)


def test_cut_keeps_what_was_written_before(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[0], b"early", at=GIB - 8)
    storage.cut([("d-a", "s-1")])
    write(disks[0], b"later", at=GIB - 8)
    assert read(storage.path_of("s-1"), 5, at=GIB - 8) == b"early"


def test_captured_image_has_the_disk_s_size(storage: Storage, disks: tuple[str, str]) -> None:
    storage.cut([("d-a", "s-1")])
    assert end_of(storage.path_of("s-1")) == GIB


def test_cut_of_two_keeps_both(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[0], b"in-a")
    write(disks[1], b"in-b")
    storage.cut([("d-a", "s-1"), ("d-b", "s-2")])
    assert read(storage.path_of("s-1"), 4) + read(storage.path_of("s-2"), 4) == b"in-ain-b"


def test_path_of_what_was_never_cut_is_none(storage: Storage, disks: tuple[str, str]) -> None:
    storage.cut([("d-a", "s-1")])
    assert storage.path_of("s-2") is None


def test_deleted_snapshot_has_no_image(storage: Storage, disks: tuple[str, str]) -> None:
    storage.cut([("d-a", "s-1")])
    storage.delete_snapshot("s-1")
    assert storage.path_of("s-1") is None


def test_deleting_one_of_a_cut_leaves_the_other(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[1], b"in-b")
    storage.cut([("d-a", "s-1"), ("d-b", "s-2")])
    storage.delete_snapshot("s-1")
    assert read(storage.path_of("s-2"), 4) == b"in-b"


def test_deleting_an_unknown_snapshot_does_nothing(storage: Storage) -> None:
    storage.delete_snapshot("s-unknown")


def test_reset_gives_the_content_back(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[0], b"early")
    storage.cut([("d-a", "s-1")])
    write(disks[0], b"later")
    write(disks[0], b"later", at=1 << 20)
    storage.reset_disk("d-a", "s-1")
    assert (read(disks[0], 5), read(disks[0], 5, at=1 << 20)) == (b"early", bytes(5))


def test_snapshot_is_untouched_by_writes_after_a_reset(
    storage: Storage, disks: tuple[str, str]
) -> None:
    write(disks[0], b"early")
    storage.cut([("d-a", "s-1")])
    storage.reset_disk("d-a", "s-1")
    write(disks[0], b"later")
    assert read(storage.path_of("s-1"), 5) == b"early"


def test_reset_to_what_was_never_cut_fails(storage: Storage, disks: tuple[str, str]) -> None:
    with pytest.raises(StorageError, match="s-9"):
        storage.reset_disk("d-a", "s-9")


def test_disk_made_from_a_snapshot_may_be_larger(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[0], b"early")
    storage.cut([("d-a", "s-1")])
    path = storage.create_disk_from("d-c", "", 2, "s-1")
    storage.attach("d-c")
    assert (read(path, 5), end_of(path)) == (b"early", 2 * GIB)


def test_content_stays_while_a_disk_is_detached(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[0], b"stays")
    storage.detach("d-a")
    storage.attach("d-a")
    assert read(disks[0], 5) == b"stays"


def test_content_stays_when_a_disk_is_pulled(storage: Storage, disks: tuple[str, str]) -> None:
    write(disks[0], b"stays")
    storage.pull("d-a")
    storage.attach("d-a")
    assert read(disks[0], 5) == b"stays"


def test_deleted_disk_is_gone_and_its_snapshot_stays(
    storage: Storage, disks: tuple[str, str]
) -> None:
    write(disks[0], b"early")
    storage.cut([("d-a", "s-1")])
    storage.delete_disk("d-a")
    assert not os.path.exists(disks[0])  # noqa: PTH110 - the path may be a dangling link
    assert read(storage.path_of("s-1"), 5) == b"early"


def test_cut_of_an_unknown_disk_fails(storage: Storage) -> None:
    with pytest.raises(OSError, match="d-unknown"):
        storage.cut([("d-unknown", "s-1")])
