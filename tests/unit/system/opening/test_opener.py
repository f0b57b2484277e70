"""The opener and the process it asks, which is a stand-in here, in a made-up sysfs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fakes.aside import InThreads
from fakes.clock import FakeClock
from fakes.instance import FakeCommands, no_commands
from snap_self.errors import CopyNotOpened
from snap_self.model.opening import Closed, CopyShape, LogicalVolume
from snap_self.system.opening import opener as opener_module
from snap_self.system.opening import stacked
from snap_self.system.opening.aside import Aside
from snap_self.system.opening.opener import SystemCopyOpener
from snap_self.system.opening.stacked import Visible

SERIAL = "bp1temp"
AT = "/root/before"
OURS = Visible(number=40, below=20, devno="252:16", place=AT, source="/dev/vdb", read_only=True)
NOTHING = (False, (), (), ())


class Machine:
    """Disks with their serials, mounts, and what the process was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "block").mkdir()
        self.mounts: list[Visible] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, tuple[Any, Sequence[int]]] = {"close": (NOTHING, ())}
        monkeypatch.setattr(Aside, "ask", self.ask)
        for module in (stacked, opener_module):
            monkeypatch.setattr(module, "visible_mounts", lambda: list(self.mounts))
        monkeypatch.setattr(opener_module, "stack", list)

    def ask(
        self, name: str, disks: Iterable[str], arguments: Mapping[str, object]
    ) -> tuple[Any, Sequence[int]]:
        self.asked.append((name, dict(arguments)))
        return self.answers[name]

    def disk(self, name: str, serial: str | None) -> None:
        """Add a disk; None for one that does not tell its serial."""
        place = self.folder / "block" / name
        place.mkdir()
        if serial is None:
            (place / "serial").mkdir()  # it exists, and reading it fails
        else:
            (place / "serial").write_text(serial)

    def opener(self, commands: FakeCommands | None = None) -> SystemCopyOpener:
        return SystemCopyOpener(
            commands or no_commands(),
            FakeClock(),
            udev=str(self.folder / "udev"),
            by_id=str(self.folder / "by-id"),
            sysfs=str(self.folder / "block"),
            calls=InThreads(),
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_closing_tells_the_process_by_what_each_disk_is_known(machine: Machine) -> None:
    machine.disk("vdb", SERIAL)
    assert machine.opener().close_left({SERIAL: "/dev/vdb"}, AT) == Closed()
    ((name, told),) = machine.asked
    assert (name, told["at"]) == ("close", AT)
    ((node, (serial, _)),) = told["disks"].items()
    assert (node, serial) == ("/dev/vdb", SERIAL)


def test_disk_that_does_not_tell_its_serial_is_busy_and_not_gone(machine: Machine) -> None:
    machine.disk("vdb", None)
    closed = machine.opener().close_left({SERIAL: "/dev/vdb"}, AT)
    assert closed.busy == ("/dev/vdb",)
    assert machine.asked == []


def test_disk_that_was_not_found_is_busy_as_long_as_one_does_not_tell_its_serial(
    machine: Machine,
) -> None:
    machine.disk("vda", "bp1system")
    machine.disk("vdc", None)
    assert machine.opener().close_left({SERIAL: ""}, None).busy == ("/dev/vdc",)


def test_disk_that_was_not_found_where_all_tell_their_serials_is_gone(machine: Machine) -> None:
    machine.disk("vda", "bp1system")
    assert machine.opener().close_left({SERIAL: ""}, None) == Closed()
    ((_, told),) = machine.asked
    assert told["disks"] == {}


def test_disk_whose_name_is_anothers_by_now_is_gone(machine: Machine) -> None:
    machine.disk("vdb", "bp1theirs")
    assert machine.opener().close_left({SERIAL: "/dev/vdb"}, None) == Closed()
    ((_, told),) = machine.asked
    assert told["disks"] == {}


def test_copy_that_is_mounted_still_is_busy(machine: Machine) -> None:
    machine.disk("vdb", SERIAL)
    machine.mounts.append(OURS)
    closed = machine.opener().close_left({SERIAL: "/dev/vdb"}, AT)
    assert closed.busy == ("/dev/vdb",)


def test_copy_of_a_disk_that_nobody_named_is_busy_if_it_does_not_tell_its_serial(
    machine: Machine,
) -> None:
    machine.disk("vdb", None)
    machine.mounts.append(OURS)
    assert machine.opener().close_left({}, AT).busy == ("/dev/vdb",)


def test_what_others_have_mounted_at_the_place_since_is_not_busy(machine: Machine) -> None:
    machine.disk("vdb", "bp1theirs")
    machine.mounts.append(OURS._replace(source="/dev/null"))
    assert machine.opener().close_left({SERIAL: "/dev/vdb"}, AT) == Closed()


@pytest.mark.parametrize("fails", [True, False], ids=["refused", "opened"])
def test_disks_are_held_while_programs_of_lvm_get_their_names(
    machine: Machine, fails: bool
) -> None:
    machine.disk("vdb", SERIAL)
    fd, root = os.open("/dev/null", os.O_RDONLY), os.open("/", os.O_RDONLY)
    facts = dict.fromkeys(("hidden", "sealed", "old_calls", "follows_links"), True)
    facts |= {"device": "/dev/dm-3", "loops": (), "taken": (), "shown": ()}  # type: ignore[dict-item]
    machine.answers |= {"physical_volumes": (["/dev/vdb"], [fd]), "open": (facts, [root])}
    ran: list[str] = []

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        os.fstat(fd)  # it is open
        ran.append(argv[0])
        if argv[0] == "pvs":
            return 0, "  /dev/vdb vg0\n", ""
        return (5, "", "no") if fails and argv[0] == "vgimportclone" else (0, "", "")

    opener = machine.opener(FakeCommands(run))
    opener._groups._device = lambda group, name: "/dev/dm-3"  # type: ignore[method-assign]
    shape = CopyShape(fstype="ext4", lvm=LogicalVolume(group="vg0", name="root"))
    if fails:
        with pytest.raises(CopyNotOpened):
            opener.open({SERIAL: "/dev/vdb"}, shape, at=None)
    else:
        assert opener.open({SERIAL: "/dev/vdb"}, shape, at=None).fd == root
    os.close(root)
    assert "vgimportclone" in ran
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
