"""Temporary disks that are held: files in their place, and a made-up sysfs by number."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snap_self.system.opening import closing, kernel, magics, stacked, work
from snap_self.system.opening.held import Disk, Grip, NotTemporary
from snap_self.system.opening.superblocks import Magic

OURS = Disk(serial="bp1temp", devno="252:16")
MAGIC = Magic(offset=4, value=b"MAGIC")
CONTENT = b"....MAGIC..."
ZEROED = b"....\0\0\0\0\0..."


class Machine:
    """Devices that are files, each with a number that the kernel would tell of it when open."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dev, self.numbers, self.by_id = folder / "dev", folder / "numbers", folder / "by-id"
        self.block = folder / "block"
        for each in (self.dev, self.numbers, self.by_id, self.block):
            each.mkdir()
        self.unsealed: list[int] = []
        self._told: dict[int, str] = {}
        self._backing: dict[int, str] = {}
        monkeypatch.setattr(kernel, "number_of", lambda fd: self._told.get(inode(fd), ""))
        monkeypatch.setattr(kernel, "backing_of", lambda fd: self._backing.get(inode(fd), ""))
        monkeypatch.setattr(kernel, "drop_cache", lambda fd: None)
        monkeypatch.setattr(
            kernel, "set_read_only", lambda fd, *, on: self.unsealed.append(inode(fd))
        )

    def device(
        self, name: str, number: str, *, serial: str = "", inside: str = "", backing: str = ""
    ) -> str:
        """Make a device; one of that name is replaced, as by the next disk that comes."""
        beside = self.dev / f"{name}.new"
        beside.write_bytes(CONTENT)
        node = beside.rename(self.dev / name)
        self._told[node.stat().st_ino] = number
        self._backing[node.stat().st_ino] = backing
        place = self.block / inside / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "dev").write_text(f"{number}\n")
        if serial:
            (place / "serial").write_text(serial)
        if inside:
            (place / "partition").write_text("1")
        link = self.numbers / number
        link.unlink(missing_ok=True)
        link.symlink_to(place)
        return str(node)

    def slaves(self, name: str, *below: str) -> None:
        for each in below:
            place = self.block / name / "slaves" / each
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(self.block / each)

    def grip(self) -> Grip:
        return Grip(by_id=str(self.by_id), numbers=str(self.numbers))


def inode(fd: int) -> int:
    return os.fstat(fd).st_ino


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_name_that_is_another_disks_by_now_is_not_written_to(machine: Machine) -> None:
    node = machine.device("vdb", OURS.devno, serial=OURS.serial)
    with Path(node).open("rb") as ours, machine.grip() as grip:
        grip.hold(node, OURS)
        machine.device("vdb", "252:32", serial="bp1theirs")
        assert magics.zero(grip, node, [MAGIC])
        assert ours.read() == ZEROED
    assert Path(node).read_bytes() == CONTENT


def test_disk_that_comes_while_a_copy_is_waited_for_is_not_written_to(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = machine.device("vdb", OURS.devno, serial=OURS.serial)
    theirs: list[int] = []

    def is_free(path: str) -> bool:
        machine.device("vdb", "252:32", serial="bp1theirs")
        theirs.append(Path(node).stat().st_ino)
        return True

    monkeypatch.setattr(kernel, "is_free", is_free)
    monkeypatch.setattr(stacked, "stack", list)
    monkeypatch.setattr(closing, "found_on_disk", lambda grip, node, kinds: (MAGIC,))
    monkeypatch.setattr(magics, "remain", lambda grip, nodes: ())
    with machine.grip() as grip:
        grip.hold(node, OURS)
        assert closing.release(grip) == ((), ())
    assert theirs
    assert Path(node).read_bytes() == CONTENT
    assert not {*theirs} & {*machine.unsealed}


def test_name_and_number_that_another_disk_got_are_not_held(machine: Machine) -> None:
    node = machine.device("vdb", OURS.devno, serial="bp1theirs")
    with machine.grip() as grip:
        with pytest.raises(NotTemporary):
            grip.hold(node, OURS)
        grip.hold_those_there({node: OURS})
        assert grip.nodes == ()
        with pytest.raises(NotTemporary):
            magics.zero(grip, node, [MAGIC])
    assert Path(node).read_bytes() == CONTENT


def test_disk_of_the_serial_with_another_number_is_not_held(machine: Machine) -> None:
    node = machine.device("vdb", "252:32", serial=OURS.serial)
    with machine.grip() as grip, pytest.raises(NotTemporary):
        grip.hold(node, OURS)


def test_disk_that_is_gone_is_not_held(machine: Machine) -> None:
    with machine.grip() as grip:
        grip.hold_those_there({str(machine.dev / "vdb"): OURS})
        assert grip.descriptors == ()


def test_disk_that_does_not_tell_its_serial_is_a_fault_and_not_gone(machine: Machine) -> None:
    node = machine.device("vdb", OURS.devno)
    (machine.block / "vdb/serial").mkdir()  # it exists, and reading it fails
    with machine.grip() as grip, pytest.raises(IsADirectoryError):
        grip.hold_those_there({node: OURS})


def test_disk_without_a_serial_of_its_own_is_held_by_its_link(machine: Machine) -> None:
    node = machine.device("loop4", "7:4")
    (machine.by_id / f"virtio-{OURS.serial}").symlink_to("../../loop4")
    with machine.grip() as grip:
        grip.hold(node, Disk(serial=OURS.serial, devno="7:4"))
        assert grip.nodes == (node,)


def test_link_to_another_device_of_the_name_does_not_hold_it(machine: Machine) -> None:
    node = machine.device("loop4", "7:4")
    (machine.by_id / f"virtio-{OURS.serial}").symlink_to("../../loop5")
    with machine.grip() as grip, pytest.raises(NotTemporary):
        grip.hold(node, Disk(serial=OURS.serial, devno="7:4"))


@pytest.fixture
def held(machine: Machine) -> Grip:
    grip = machine.grip()
    grip.hold(machine.device("vdb", OURS.devno, serial=OURS.serial), OURS)
    return grip


def test_partition_of_the_disk_is_written_to_and_one_of_another_is_not(
    machine: Machine, held: Grip
) -> None:
    machine.device("vdc", "252:32", serial="bp1theirs")
    ours = machine.device("vdb1", "252:17", inside="vdb")
    theirs = machine.device("vdc1", "252:33", inside="vdc")
    with held:
        assert magics.zero(held, ours, [MAGIC])
        with pytest.raises(NotTemporary):
            magics.zero(held, theirs, [MAGIC])
    assert Path(ours).read_bytes() == ZEROED
    assert Path(theirs).read_bytes() == CONTENT


def test_loop_device_is_written_to_only_while_it_stands_on_the_disk(
    machine: Machine, held: Grip
) -> None:
    node = machine.device("loop0", "7:0", backing=OURS.devno)
    with held:
        assert magics.zero(held, node, [MAGIC])
        # It went by itself, and somebody else's file is on the next free one.
        machine.device("loop0", "7:0", backing="8:1")
        with pytest.raises(NotTemporary):
            magics.zero(held, node, [MAGIC])
        work.unseal(held, [node])
    assert Path(node).read_bytes() == CONTENT
    assert Path(node).stat().st_ino not in machine.unsealed


def test_loop_device_that_stands_on_nothing_is_not_written_to(
    machine: Machine, held: Grip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backing_of(fd: int) -> str:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    node = machine.device("loop0", "7:0")
    monkeypatch.setattr(kernel, "backing_of", backing_of)
    with held, pytest.raises(NotTemporary):
        magics.zero(held, node, [MAGIC])


@pytest.mark.parametrize(
    ("below", "is_ours"),
    [(("vdb",), True), (("vdb1",), True), (("vdb", "vdc"), False), (("vdc",), False), ((), False)],
)
def test_volume_is_written_to_only_if_it_stands_on_the_disk_alone(
    machine: Machine, held: Grip, below: tuple[str, ...], is_ours: bool
) -> None:
    machine.device("vdc", "252:32", serial="bp1theirs")
    machine.device("vdb1", "252:17", inside="vdb")
    (machine.block / "vdb1").symlink_to("vdb/vdb1")
    node = machine.device("dm-3", "253:3")
    machine.slaves("dm-3", *below)
    with held:
        if is_ours:
            magics.zero(held, node, [MAGIC])
        else:
            with pytest.raises(NotTemporary):
                magics.zero(held, node, [MAGIC])
    assert Path(node).read_bytes() == (ZEROED if is_ours else CONTENT)


def test_copy_on_a_disk_that_is_another_by_now_is_refused_before_a_write(
    machine: Machine,
) -> None:
    node = machine.device("vdb", OURS.devno, serial="bp1theirs")
    order = work.Order(disks={node: OURS}, fstype="ext4")
    with machine.grip() as grip, pytest.raises(work.Trouble, match="another device") as caught:
        work.open_copy(grip, order)
    assert caught.value.kind == work.UNLIKE
    assert (Path(node).read_bytes(), machine.unsealed) == (CONTENT, [])


def test_volume_that_stands_on_another_disk_is_refused_before_it_is_mounted(
    machine: Machine,
) -> None:
    node = machine.device("vdb", OURS.devno, serial=OURS.serial)
    machine.device("vdc", "252:32", serial="bp1theirs")
    volume = machine.device("dm-3", "253:3")
    machine.slaves("dm-3", "vdc")
    order = work.Order(disks={node: OURS}, fstype="ext4", volume=volume)
    with machine.grip() as grip, pytest.raises(work.Trouble, match="temporary disks alone"):
        work.open_copy(grip, order)


def test_held_disks_are_let_go_at_the_end(machine: Machine) -> None:
    node = machine.device("vdb", OURS.devno, serial=OURS.serial)
    with machine.grip() as grip:
        grip.hold(node, OURS)
        grip.keep(node)
        (fd,) = grip.descriptors
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
