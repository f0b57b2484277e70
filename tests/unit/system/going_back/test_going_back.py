"""Units, mounts and volume groups as their programs are asked, and what is said if they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from snap_self.errors import DisksInUse, PreconditionRefused, RollbackUnfinished
from snap_self.model.going_back import MountedPlace, UnitFacts
from snap_self.system.going_back import ground as module
from snap_self.system.going_back.ground import SystemGround
from snap_self.system.going_back.mounted import Mounted, options
from snap_self.system.going_back.units import Units, unit_of_path
from snap_self.system.opening.finding import Serials

Answer = tuple[int, str, str]
PLACE = MountedPlace(
    place="/srv/never", fstype="xfs", root="/", options="rw,noatime", serial="never"
)


class Programs:
    """Answers each program as told, and keeps what was asked."""

    def __init__(self, *answers: Answer | OSError) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Answer:
        assert timeout_s > 0
        self.asked.append(tuple(argv))
        answer = self._answers.pop(0) if self._answers else (0, "", "")
        if isinstance(answer, OSError):
            raise answer
        return answer


class NoDisk:
    """Finds no disk."""

    def device_of(self, serial: str) -> str | None:
        del serial
        return None


def ground(programs: Programs) -> SystemGround:
    return SystemGround(programs, cast("Serials", NoDisk()))


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ("LoadState=loaded\nActiveState=active\n", (True, True)),
        ("LoadState=loaded\nActiveState=reloading\n", (True, True)),
        ("LoadState=loaded\nActiveState=failed\n", (True, False)),
        ("LoadState=not-found\nActiveState=inactive\n", (False, False)),
        ("LoadState=masked\nActiveState=inactive\n", (False, False)),
    ],
)
def test_unit_is_known_and_active_as_systemd_tells(said: str, facts: tuple[bool, bool]) -> None:
    programs = Programs((0, said, ""))
    known, active = facts
    assert Units(programs).facts("x.service") == UnitFacts(
        name="x.service", known=known, active=active
    )
    assert programs.asked[0][-2:] == ("--", "x.service")


def test_units_that_stop_with_it_or_start_it_are_told() -> None:
    said = (
        "LoadState=loaded\nActiveState=active\nRequiredBy=web.service app.target\n"
        "BoundBy=web.service\nConsistsOf=worker@1.service\nTriggeredBy=db.socket\n"
        "UpheldBy=keeper.service\n"
    )
    facts = Units(Programs((0, said, ""))).facts("db.service")
    assert facts.stopped_with == ("web.service", "app.target", "worker@1.service")
    assert facts.triggered_by == ("db.socket",)
    assert facts.upheld_by == ("keeper.service",)


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/srv/data", "srv-data.mount"),
        ("/", "-.mount"),
        ("/srv//a-b/", r"srv-a\x2db.mount"),
        ("/.hidden/.x", r"\x2ehidden-.x.mount"),
        ("/srv/ü b", r"srv-\xc3\xbc\x20b.mount"),
    ],
)
def test_unit_of_a_path_is_spelt_as_systemd_does(path: str, unit: str) -> None:
    assert unit_of_path(path, "mount") == unit


def test_units_bound_to_mounts_and_devices_are_told_once_without_what_goes_with_the_disks() -> None:
    said = (
        "BoundBy=app.service\nUpheldBy=keeper.service\n\n"
        "BoundBy=srv-data.mount dev-vdb.swap app.service\nUpheldBy=\n"
    )
    programs = Programs((0, said, ""))
    assert Units(programs).bound_to(["srv-data.mount", "dev-vdb.device"]) == (
        "app.service",
        "keeper.service",
    )
    assert programs.asked[0][-3:] == ("--", "srv-data.mount", "dev-vdb.device")
    assert Units(programs).bound_to([]) == ()
    assert len(programs.asked) == 1


def test_what_could_start_a_unit_is_stopped_in_the_same_call() -> None:
    # Between two calls a connection would start it again.
    programs = Programs((0, "LoadState=loaded\nTriggeredBy=db.socket db.timer\n", ""))
    Units(programs).stop("db.service")
    assert programs.asked[1:] == [
        ("systemctl", "stop", "--", "db.service", "db.socket", "db.timer")
    ]


def test_target_is_reached_again_without_what_it_would_start() -> None:
    programs = Programs()
    assert Units(programs).start("multi-user.target") == ""
    assert programs.asked[0][1:] == (
        "start",
        "--job-mode=ignore-dependencies",
        "--",
        "multi-user.target",
    )


def test_without_systemd_no_unit_is_known() -> None:
    assert not Units(Programs(FileNotFoundError(2, "no such file"))).facts("x.service").known


@pytest.mark.parametrize("answer", [(1, "", "it says why"), TimeoutError("late")])
def test_unit_that_does_not_stop_is_told(answer: Answer | OSError) -> None:
    with pytest.raises(DisksInUse, match=r"unit x\.service did not stop") as caught:
        Units(Programs((0, "", ""), answer)).stop("x.service")
    assert "journalctl -u x.service" in caught.value.hint


def test_unit_that_does_not_start_is_returned_with_why() -> None:
    assert Units(Programs((0, "", ""))).start("x.service") == ""
    assert "status 3" in Units(Programs((3, "", ""))).start("x.service")


@pytest.mark.parametrize(
    ("own", "of_superblock", "wanted"),
    [
        ("rw,relatime", "rw", "rw,relatime"),
        ("rw,noatime,nosuid", "rw,errors=remount-ro", "rw,noatime,nosuid,errors=remount-ro"),
        ("ro,relatime", "rw,discard", "ro,relatime,discard"),
        ("rw,relatime", "ro", "ro,relatime"),
        ("rw", "rw,seclabel,attr2,inode64", "rw,inode64"),
        ("rw", r"rw,subvol=/a\040b", "rw,subvol=/a b"),
    ],
)
def test_options_are_those_of_mount_and_superblock(
    own: str, of_superblock: str, wanted: str
) -> None:
    assert options(own, of_superblock) == wanted


def test_mount_that_is_refused_both_ways_is_told_with_what_was_said() -> None:
    programs = Programs((32, "", "wrong fs type"), (32, "", "not in fstab"))
    with pytest.raises(RollbackUnfinished, match="/srv/never could not be mounted: wrong fs type"):
        ground(programs).mount(PLACE, "/dev/never")
    assert programs.asked == [
        ("mount", "-t", "xfs", "-o", "rw,noatime", "/dev/never", "/srv/never"),
        ("mount", "/srv/never"),
    ]


def lines_at(place: str) -> list[Mounted]:
    return [Mounted(1, 0, "0:1", "/", place, "xfs", "/dev/other", "rw")]


def test_mount_that_systemd_was_first_with_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs((32, "", "already mounted"))
    here = ground(programs)
    looks = iter([False, True])
    monkeypatch.setattr(here, "is_mounted", lambda place: next(looks))
    here.mount(PLACE, "/dev/never")
    assert len(programs.asked) == 1


def test_mount_that_came_between_two_looks_is_no_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = Programs()
    here = ground(programs)
    looks = iter([False, True])
    monkeypatch.setattr(here, "is_mounted", lambda place: next(looks))
    monkeypatch.setattr(module, "mounted_now", lambda: lines_at(PLACE.place))
    here.mount(PLACE, "/dev/never")
    assert programs.asked == []


def test_other_disk_that_fstab_mounts_in_its_place_is_unmounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table: list[Mounted] = []
    programs = Programs((32, "", "unknown option"))
    here = ground(programs)
    run = programs.run

    def mounts(argv: Sequence[str], *, timeout_s: float) -> Answer:
        if argv == ("mount", PLACE.place):
            table.extend(lines_at(PLACE.place))
        return run(argv, timeout_s=timeout_s)

    monkeypatch.setattr(programs, "run", mounts)
    monkeypatch.setattr(module, "mounted_now", lambda: table)
    monkeypatch.setattr(module.kernel, "unmount", lambda place: table.clear())
    with pytest.raises(RollbackUnfinished, match="unknown option") as caught:
        here.mount(PLACE, "/dev/never")
    assert table == []
    assert caught.value.details == ("what /etc/fstab names for it is another filesystem",)


def test_volume_is_mounted_by_the_name_that_outlives_a_detach() -> None:
    from dataclasses import replace

    programs = Programs((32, "", "no"), (32, "", "no"))
    with pytest.raises(RollbackUnfinished):
        ground(programs).mount(replace(PLACE, mapped="vg0-data"), "/dev/never")
    assert "/dev/mapper/vg0-data" in programs.asked[0]


def test_group_that_is_not_activated_is_told_with_the_command() -> None:
    programs = Programs((0, "", ""), (5, "", "missing device"))
    with pytest.raises(RollbackUnfinished) as caught:
        ground(programs).activate("vg0")
    assert caught.value.hint == "vgchange -ay vg0"
    assert caught.value.details == ("missing device",)


def test_group_of_which_nothing_is_active_any_more_is_deactivated() -> None:
    ground(Programs((5, "", "not found"))).deactivate("vg-that-never-was")


def test_what_is_not_mounted_needs_no_unmount_and_holds_nothing() -> None:
    here: Any = ground(Programs())
    here.unmount(PLACE)
    here.refuse_held(["never"])
    assert not here.is_mounted(PLACE)


def test_survey_of_no_disk_finds_nothing() -> None:
    standing = ground(Programs()).survey({})
    assert (standing.mounts, standing.users, standing.groups) == ((), (), {})


def test_lvm_that_does_not_answer_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ground(Programs((5, "", "locked")))
    monkeypatch.setattr(here, "_labelled", lambda nodes: True)
    with pytest.raises(PreconditionRefused, match="LVM does not tell"):
        here.survey({})


def test_groups_are_told_with_all_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "  /dev/vdb vg0 \n  /dev/vdc vg0\n  /dev/vdd other\n  /dev/vde\n"
    here = ground(Programs((0, said, "")))
    monkeypatch.setattr(here, "_labelled", lambda nodes: True)
    found = here._groups(["/dev/vdb"])
    assert found == {"vg0": ("/dev/vdb", "/dev/vdc")}


def test_groups_of_which_nothing_is_active_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ground(Programs())
    monkeypatch.setattr(here, "_groups", lambda nodes: {"vg0": (), "vg-that-never-was": ()})
    monkeypatch.setattr(module, "_active", lambda group: ("vg0-data",) * (group == "vg0"))
    assert here.survey({}).idle_groups == {"vg-that-never-was"}


@pytest.mark.parametrize(
    ("node", "kind"), [("/dev/md127", "md"), ("/dev/bcache0", "bcache"), ("/dev/loop3", "loop")]
)
def test_device_on_a_disk_is_called_by_its_kind(node: str, kind: str) -> None:
    assert module._kind(node) == kind


def test_array_and_cache_on_a_disk_are_told_before_anything_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "others_on", lambda nodes: ["/dev/md0", "/dev/bcache0"])
    told = ground(Programs()).survey({}).on_top
    assert [(each.name, each.kind) for each in told] == [("md0", "md"), ("bcache0", "bcache")]
