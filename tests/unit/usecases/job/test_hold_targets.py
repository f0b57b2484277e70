"""What a hold freezes: what is left out, refused, warned of, or changed at the last moment."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.freezing import filesystem
from fakes.hold_stage import DATA, Stage
from snap_self.errors import PreconditionRefused, QuiesceFailed
from snap_self.model.disks import Filesystem, Unseen
from snap_self.model.freezing import FreezeFacts, OwnPlace
from snap_self.model.snapshots import Consistency

READ_ONLY = filesystem("/ro", key="8:4", read_only=True)
VFAT = filesystem("/efi", key="8:2", fstype="vfat")
UNSEEN = Unseen(what="/dev/vdb7", fstype="ext4", disks=frozenset({"vdb"}))
OWN = FreezeFacts(
    release="6.12.0",
    own_places=(
        OwnPlace(what="state directory", path="/data/state", key=DATA.key),
        OwnPlace(what="spool", path="/data/spool", key=DATA.key),
    ),
)
OLD = FreezeFacts(release="5.4.0")


def held_for_freeze(**given: Any) -> Stage:
    """Return a hold at level filesystem."""
    return Stage(asked=Consistency.FILESYSTEM, **given)


def test_facts_are_asked_for_what_is_to_be_frozen() -> None:
    stage = held_for_freeze()
    stage.run()
    assert [[t.path for t in order.targets] for order in stage.judged] == [["/data"]]


def test_read_only_filesystem_is_left_out_and_costs_nothing() -> None:
    held = held_for_freeze(beside=[READ_ONLY]).run().held
    assert held.level is Consistency.FILESYSTEM
    assert held.reasons == ()


@pytest.mark.parametrize("left", [{"beside": [VFAT]}, {"unseen": [UNSEEN]}])
def test_what_can_be_written_to_and_is_not_frozen_costs_the_level(left: dict[str, Any]) -> None:
    held = held_for_freeze(**left).run().held
    assert held.level is None
    assert held.frozen_s == 1.0
    (why,) = held.reasons
    assert ("/efi (vfat)" in why) or ("/dev/vdb7 (ext4)" in why)
    assert why.endswith(("vfat cannot be frozen", "nowhere that can be seen"))


@pytest.mark.parametrize("left", [{"beside": [VFAT]}, {"unseen": [UNSEEN]}])
def test_what_is_not_frozen_ends_a_run_that_is_to_abort(left: dict[str, Any]) -> None:
    stage = held_for_freeze(strict=True, **left)
    with pytest.raises(QuiesceFailed):
        stage.run()
    assert stage.log == []


def test_what_costs_the_level_costs_it_for_applications_too() -> None:
    assert Stage(beside=[VFAT]).run().held.level is None


def test_nothing_to_freeze_is_a_reason_and_no_freeze_is_tried() -> None:
    stage = Stage(data=[READ_ONLY])
    held = stage.run().held
    assert held.level is None
    assert held.frozen_s is None
    assert len(held.reasons) == 1
    assert held.why
    assert stage.log == ["rest", "flush all", "create", "say cut", "release", "close"]


def test_nothing_to_freeze_ends_a_run_that_is_to_abort() -> None:
    stage = Stage(data=[READ_ONLY], strict=True)
    with pytest.raises(QuiesceFailed):
        stage.run()
    assert stage.log == []


def test_every_refusal_is_a_reason_and_what_helps_is_told() -> None:
    held = held_for_freeze(facts=OWN).run().held
    assert len(held.reasons) == 2
    assert "state directory" in held.reasons[0]
    assert "spool" in held.reasons[1]
    assert len(held.lines) == 2
    assert all("another filesystem" in line for line in held.lines)


def test_refusal_ends_a_run_that_is_to_abort_with_what_helps() -> None:
    stage = held_for_freeze(facts=OWN, strict=True)
    with pytest.raises(PreconditionRefused, match="state directory") as caught:
        stage.run()
    assert "another filesystem" in caught.value.hint
    assert stage.log == []


def test_warning_is_told_and_the_freeze_goes_on() -> None:
    held = held_for_freeze(facts=OLD, strict=True).run().held
    assert held.level is Consistency.FILESYSTEM
    assert held.reasons == ()
    assert len([line for line in held.lines if "5.4.0" in line]) == 1


def test_panic_is_weighed_against_how_long_the_hold_may_last() -> None:
    facts = FreezeFacts(release="6.12.0", hung_task_panic=True, hung_task_timeout_s=25)
    assert held_for_freeze(facts=facts).run().held.level is Consistency.FILESYSTEM
    assert held_for_freeze(facts=facts, hold_s=20).run().held.level is None


def test_same_filesystems_looked_at_again_are_no_change() -> None:
    held = held_for_freeze(beside=[READ_ONLY], later=[DATA]).run().held
    assert held.level is Consistency.FILESYSTEM


@pytest.mark.parametrize(
    ("later", "paths"),
    [
        ([], "/data"),
        ([DATA, VFAT], "/efi"),
        ([filesystem("/other", key="8:9")], "/data, /other"),
        ([DATA, filesystem("/b", key="8:8"), filesystem("/a", key="8:9")], "/a, /b"),
    ],
)
def test_change_is_told_by_the_mount_points_that_came_and_went(
    later: list[Filesystem], paths: str
) -> None:
    stage = held_for_freeze(later=later)
    held = stage.run().held
    assert held.level is None
    assert held.why.endswith(f": {paths}")
    assert stage.log == ["renew", "again"]
