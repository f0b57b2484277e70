"""LVM's programs as a strict stand-in: what sees another device than the copies fails the test.

Source of the syntax: the manuals of LVM 2.02.187 and 2.03.16, dmsetup(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.instance import no_commands
from snap_self.errors import CopyNotOpened, CopyToolsMissing, CopyUnlike
from snap_self.model.opening import LogicalVolume
from snap_self.system.opening.lvm import VolumeGroups, mapped_name, split_mapped_name

COPIES = ("/dev/vdc", "/dev/vdd2")
ROOT = LogicalVolume(group="vg0", name="root-fs")
OURS = "snapself_r1"


class Lvm:
    """The programs, and the device mapper's names that they make.

    Args:
        version: of LVM.
        groups: each physical volume's group, as the disks say it.
        fails: a program that ends with 5.
    """

    def __init__(
        self, sysfs: Path, *, version: str, groups: dict[str, str], fails: str = ""
    ) -> None:
        self.sysfs = sysfs
        self.version = version
        self.groups = groups
        self.fails = fails
        self.ran: list[tuple[str, ...]] = []
        self.labelled = True
        self._numbers = 0

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Do what the program does, to the copies alone."""
        assert 0 < timeout_s < 600
        self.ran.append(tuple(argv))
        if argv[:2] == ("lvm", "version"):
            return 0, f"  LVM version:     {self.version}(2) (2022-05-18)\n", ""
        if argv[0] == self.fails:
            return 5, "", "  it does not work\n"
        if argv[0] == "dmsetup":
            return self._remove(argv)
        # Else it writes below /etc/lvm, under the name of the original's group.
        assert "backup { backup=0 archive=0 }" in argv[argv.index("--config") + 1]
        seen = self._seen(argv)
        words = [word for word in argv[1:] if not word.startswith("-") and word not in seen]
        answer: tuple[int, str, str] = getattr(self, argv[0])(argv, seen, words)
        return answer

    def _seen(self, argv: Sequence[str]) -> set[str]:
        """Return the devices that a command may see; all others are forbidden to it."""
        if self.version.startswith("2.03.16"):
            seen = set(argv[argv.index("--devices") + 1].split(","))
        else:
            assert "--devices" not in argv, "unknown before 2.03.12"
            config = argv[argv.index("--config") + 1]
            assert '"r|.*|"]' in config
            assert "global_filter" in config
            assert "use_lvmetad=0" in config
            seen = {node for node in self.groups if f'"a|^{node}$|"' in config}
        assert seen <= {*self.groups}
        return seen

    def pvs(self, argv: Sequence[str], seen: set[str], words: list[str]) -> tuple[int, str, str]:
        assert argv[1:4] == ("--noheadings", "-o", "pv_name,vg_name")
        lines = [f"  {node} {self.groups[node]}\n" for node in sorted(seen)]
        return 0, "".join(lines), ""

    def vgimportclone(
        self, argv: Sequence[str], seen: set[str], words: list[str]
    ) -> tuple[int, str, str]:
        name = argv[argv.index("-n") + 1]
        assert {*argv} >= seen, "every physical volume of the group at once"
        for node in seen:
            self.groups[node] = name
        return 0, "", ""

    def lvchange(
        self, argv: Sequence[str], seen: set[str], words: list[str]
    ) -> tuple[int, str, str]:
        assert argv[1] == "-ay"
        group, name = argv[-1].split("/")
        assert {self.groups[node] for node in seen} == {group}
        assert f'volume_list=["{group}"]' in argv[argv.index("--config") + 1]
        self.make(mapped_name(group, name))
        return 0, "", ""

    def vgchange(
        self, argv: Sequence[str], seen: set[str], words: list[str]
    ) -> tuple[int, str, str]:
        assert argv[1] == "-an"
        if not self.labelled or {self.groups[node] for node in seen} != {argv[-1]}:
            return 5, "", f'  Volume group "{argv[-1]}" not found\n'
        for each in self.sysfs.iterdir():
            self._drop(each.name)
        return 0, "", ""

    def make(self, mapped: str) -> None:
        """Let the kernel show a device."""
        folder = self.sysfs / f"dm-{self._numbers}" / "dm"
        self._numbers += 1
        folder.mkdir(parents=True)
        (folder / "name").write_text(mapped)

    def _remove(self, argv: Sequence[str]) -> tuple[int, str, str]:
        assert argv[1:3] == ("remove", "--retry")
        for each in self.sysfs.iterdir():
            if (each / "dm/name").read_text() == argv[3]:
                self._drop(each.name)
                return 0, "", ""
        return 1, "", "no such device\n"

    def _drop(self, name: str) -> None:
        (self.sysfs / name / "dm/name").unlink()
        (self.sysfs / name / "dm").rmdir()
        (self.sysfs / name).rmdir()


VERSIONS = pytest.mark.parametrize("version", ["2.03.16", "2.02.187"])


def lvm(tmp_path: Path, version: str = "2.03.16", *, fails: str = "", **groups: str) -> Lvm:
    sysfs = tmp_path / "block"
    sysfs.mkdir()
    named = groups or dict.fromkeys(COPIES, "vg0")
    return Lvm(sysfs, version=version, groups=named, fails=fails)


def groups_of(programs: Lvm) -> VolumeGroups:
    return VolumeGroups(programs, sysfs=str(programs.sysfs))


@VERSIONS
def test_group_of_two_disks_is_opened_under_its_own_name(tmp_path: Path, version: str) -> None:
    programs = lvm(tmp_path, version)
    device, own = groups_of(programs).activate(ROOT, COPIES, OURS)
    assert device == "/dev/dm-0"
    assert own == tuple(sorted(COPIES))
    assert groups_of(programs).active(OURS) == ("snapself_r1-root--fs",)
    named = [word for argv in programs.ran for word in argv]
    assert "vg0/root-fs" not in named
    assert "vg0" not in named


@VERSIONS
def test_group_is_closed_and_nothing_of_it_stays_active(tmp_path: Path, version: str) -> None:
    programs = lvm(tmp_path, version)
    groups = groups_of(programs)
    groups.activate(ROOT, COPIES, OURS)
    assert groups.deactivate(OURS, COPIES) == ()
    assert groups.active(OURS) == ()


def test_group_whose_labels_are_zeroed_is_closed_by_the_names_that_only_it_has(
    tmp_path: Path,
) -> None:
    programs = lvm(tmp_path)
    groups = groups_of(programs)
    groups.activate(ROOT, COPIES, OURS)
    programs.make("vg0-root--fs")
    programs.make("snapself_r12-root--fs")
    programs.labelled = False
    assert groups.deactivate(OURS) == ()
    assert groups.active("vg0") == ("vg0-root--fs",)
    assert groups.active("snapself_r12") == ("snapself_r12-root--fs",)


def test_volume_that_stays_active_is_told(tmp_path: Path) -> None:
    programs = lvm(tmp_path, fails="dmsetup")
    groups = groups_of(programs)
    groups.activate(ROOT, COPIES, OURS)
    programs.labelled = False
    assert groups.deactivate(OURS) == ("snapself_r1-root--fs",)


def test_nothing_active_needs_no_program(tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    assert VolumeGroups(no_commands(), sysfs=str(tmp_path / "block")).deactivate(OURS) == ()


def test_physical_volume_of_another_group_on_the_same_disks_is_left_alone(tmp_path: Path) -> None:
    programs = lvm(tmp_path, **{"/dev/vdc": "vg0", "/dev/vdd1": "data", "/dev/vdd2": "vg0"})
    _, own = groups_of(programs).activate(ROOT, tuple(programs.groups), OURS)
    assert own == ("/dev/vdc", "/dev/vdd2")
    assert programs.groups["/dev/vdd1"] == "data"


@pytest.mark.parametrize("nodes", [(), ("/dev/vdc",)])
def test_copies_without_the_group_are_refused_before_anything_is_changed(
    tmp_path: Path, nodes: tuple[str, ...]
) -> None:
    programs = lvm(tmp_path, **{"/dev/vdc": "other"})
    with pytest.raises(CopyUnlike, match="where the original has vg0"):
        groups_of(programs).activate(ROOT, nodes, OURS)
    assert {argv[0] for argv in programs.ran} <= {"lvm", "pvs"}


@pytest.mark.parametrize("program", ["pvs", "vgimportclone", "lvchange"])
def test_program_that_fails_is_told_and_leaves_nothing_active(tmp_path: Path, program: str) -> None:
    programs = lvm(tmp_path, fails=program)
    with pytest.raises(CopyNotOpened, match=f"{program} ended with status 5") as caught:
        groups_of(programs).activate(ROOT, COPIES, OURS)
    assert caught.value.details == ("it does not work",)
    assert groups_of(programs).active(OURS) == ()


def test_machine_without_the_programs_is_told_which_packages_it_needs(tmp_path: Path) -> None:
    groups = VolumeGroups(no_commands(), sysfs=str(tmp_path))
    assert not groups.is_usable()
    with pytest.raises(CopyToolsMissing) as caught:
        groups.activate(ROOT, COPIES, OURS)
    assert "lvm2" in caught.value.hint


def test_volume_that_the_kernel_does_not_show_is_an_error(tmp_path: Path) -> None:
    programs = lvm(tmp_path)
    groups = VolumeGroups(programs, sysfs=str(tmp_path / "elsewhere"))
    with pytest.raises(CopyNotOpened, match="no such device"):
        groups.activate(ROOT, COPIES, OURS)


@pytest.mark.parametrize(
    ("group", "name", "mapped"),
    [("vg0", "root", "vg0-root"), ("my-vg", "a-b", "my--vg-a--b"), ("v", "x--y", "v-x----y")],
)
def test_mapped_name_doubles_hyphens_and_is_split_again(group: str, name: str, mapped: str) -> None:
    assert mapped_name(group, name) == mapped
    assert split_mapped_name(mapped) == (group, name)


@pytest.mark.parametrize("mapped", ["", "crypt", "a--b", "vg0-pool-tpool"])
def test_name_that_is_no_volumes_is_not_split(mapped: str) -> None:
    assert split_mapped_name(mapped) is None
