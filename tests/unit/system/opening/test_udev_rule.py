"""The file that keeps udev off temporary disks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.instance import FakeCommands, no_commands
from snap_self.errors import CopyNotOpened
from snap_self.model.opening import Held
from snap_self.system.opening.rules import UdevRules

RELOAD = ("udevadm", "control", "--reload")
NEW, OLD = "6.1.0-26-amd64", "4.19.91-27.al7.x86_64"


def reloading(status: int = 0) -> FakeCommands:
    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        return status, "", ""

    return FakeCommands(run)


@pytest.fixture
def udev(tmp_path: Path) -> Path:
    folder = tmp_path / "udev"
    folder.mkdir()
    return folder


def rules(udev: Path, commands: FakeCommands | None = None, release: str = NEW) -> UdevRules:
    return UdevRules(commands or reloading(), udev=str(udev), release=release)


def test_rule_names_the_serial_and_everything_that_must_stay_away(udev: Path) -> None:
    commands = reloading()
    held = rules(udev, commands).add(["bp1abc"])
    assert held == Held(rule=str(udev / "rules.d/59-snap-self-temp.rules"), reloaded=True)
    line = next(each for each in Path(held.rule).read_text().splitlines() if "bp1abc" in each)
    assert line == (
        'SUBSYSTEM=="block", ATTRS{serial}=="bp1abc", '
        'ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1", ENV{SYSTEMD_READY}="0", '
        'ENV{UDISKS_IGNORE}="1", OPTIONS+="nowatch", OPTIONS+="link_priority=-200"'
    )
    assert commands.ran == [RELOAD]


def test_rule_reaches_volumes_and_loop_devices_made_of_the_disk(udev: Path) -> None:
    found = rules(udev).add(["bp1abc"], backing=["/dev/vdb"])
    lines = Path(found.rule).read_text().splitlines()
    volume = next(line for line in lines if "dm-*" in line)
    assert 'ATTR{dm/name}=="snapself_*"' in volume
    assert 'ENV{DM_UDEV_DISABLE_DISK_RULES_FLAG}="1"' in volume
    assert 'OPTIONS+="link_priority=-200"' in volume
    assert any('ATTR{loop/backing_file}=="/dev/vdb"' in line for line in lines)


def test_several_disks_share_the_file_and_leave_it_one_by_one(udev: Path) -> None:
    held = rules(udev).add(["s-one"])
    rules(udev).add(["s-two"])
    text = Path(held.rule).read_text()
    assert '"s-one"' in text
    assert '"s-two"' in text
    commands = reloading()
    rules(udev, commands).drop(["s-one"])
    text = Path(held.rule).read_text()
    assert '"s-one"' not in text
    assert '"s-two"' in text
    rules(udev, commands).drop(["s-two"])
    assert not Path(held.rule).exists()
    assert commands.ran == [RELOAD, RELOAD]


def test_rule_that_is_there_already_stays_as_it_is(udev: Path) -> None:
    held = rules(udev).add(["bp1abc"])
    before = Path(held.rule).stat().st_ino
    assert rules(udev).add(["bp1abc"]) == held
    assert Path(held.rule).stat().st_ino == before


def test_loop_device_that_is_gone_leaves_the_disks_own_line(udev: Path) -> None:
    found = rules(udev)
    held = found.add(["bp1abc"], backing=["/dev/vdb"])
    found.forget(["/dev/vdb"])
    text = Path(held.rule).read_text()
    assert "/dev/vdb" not in text
    assert '"bp1abc"' in text


def test_letting_go_of_what_is_not_held_is_fine(udev: Path) -> None:
    commands = reloading()
    rules(udev, commands).drop(["bp1abc"])
    assert commands.ran == []


def test_machine_without_udev_needs_no_rule(tmp_path: Path) -> None:
    found = UdevRules(no_commands(), udev=str(tmp_path / "none"), release=NEW)
    assert found.add(["bp1abc"]) == Held()
    found.drop(["bp1abc"])
    assert list(tmp_path.iterdir()) == []


def test_udev_without_its_program_reads_the_rule_by_itself(udev: Path) -> None:
    held = UdevRules(no_commands(), udev=str(udev), release=NEW).add(["bp1abc"])
    assert held.rule
    assert not held.reloaded


def test_udev_that_does_not_answer_is_told(udev: Path) -> None:
    assert not rules(udev, reloading(1)).add(["bp1abc"]).reloaded


@pytest.mark.parametrize(
    "serial", ["", 'x", RUN+="/bin/sh', "a b", "*", "a\nb", "x" * 65, "-x", "ü"]
)
def test_serial_that_could_be_more_than_a_serial_is_refused(udev: Path, serial: str) -> None:
    with pytest.raises(CopyNotOpened, match="cannot be the serial"):
        rules(udev).add([serial])
    assert list(udev.iterdir()) == []


def test_rule_that_cannot_be_written_is_an_error_before_anything_is_attached(udev: Path) -> None:
    (udev / "rules.d").write_text("in the way")
    with pytest.raises(CopyNotOpened, match="leave the temporary disk alone") as caught:
        rules(udev).add(["bp1abc"])
    assert "nothing has been attached" in caught.value.hint


def test_file_that_was_left_half_written_is_no_hindrance(udev: Path) -> None:
    (udev / "rules.d").mkdir()
    (udev / "rules.d/.59-snap-self-temp.rules.new").write_text("half")
    held = rules(udev).add(["bp1abc"])
    assert "bp1abc" in Path(held.rule).read_text()
    assert [each.name for each in (udev / "rules.d").iterdir()] == ["59-snap-self-temp.rules"]


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["vda", "vda1", "vdb", "loop0", "dm-0"], "vda|vda[0-9]*|vdb|vdb[0-9]*"),
        (["nvme0n1", "nvme0n1p1"], "nvme0n1|nvme0n1p*"),
        ([], ""),
    ],
)
def test_kernel_that_tells_the_serial_late_has_every_new_disk_left_alone(
    udev: Path, tmp_path: Path, names: list[str], known: str
) -> None:
    def old() -> UdevRules:
        return UdevRules(reloading(), udev=str(udev), release=OLD, sysfs=str(tmp_path / "block"))

    for name in names:
        (tmp_path / "block" / name).mkdir(parents=True)
    held = old().add(["bp1abc"])
    line = Path(held.rule).read_text().splitlines()[-1]
    assert line.startswith(f'SUBSYSTEM=="block", KERNEL=="vd*|nvme*", KERNEL!="{known}", ENV{{')
    # What is there at the second time may be the temporary disk itself.
    before = Path(held.rule).read_text()
    (tmp_path / "block" / "vdz").mkdir(parents=True)
    old().add(["bp1abc"])
    assert Path(held.rule).read_text() == before


def test_kernel_that_tells_the_serial_in_time_has_no_such_line(udev: Path) -> None:
    assert "KERNEL!=" not in Path(rules(udev).add(["bp1abc"]).rule).read_text()
