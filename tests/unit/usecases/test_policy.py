"""Which policy is made, and what its reader is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.machine_builder import MachineBuilder
from snap_self.access.documents import as_sent
from snap_self.access.setup import PolicyKind
from snap_self.disks.layout import read_layout
from snap_self.errors import EnvironmentFault, UsageError
from snap_self.model.actions import Policy
from snap_self.model.disks import Layout
from snap_self.model.ids import DiskId, InstanceId, RegionId
from snap_self.model.snapshots import Identity
from snap_self.usecases.policy import PolicyDoubt, PolicyReport, PolicyRequest, make_policy

SERIALS = ("bp1aaaabbbbccccdddd1", "bp1aaaabbbbccccdddd2")
HERE = Identity(
    instance_id=InstanceId("i-bp1iiiijjjjkkkkllllm"),
    region=RegionId("cn-hangzhou"),
    zone="",
    account="1234567890123456",
    instance_type="",
    source="identity document",
    mode="token",
    serial_to_disk={serial: DiskId(f"d-{serial}") for serial in SERIALS},
)


def layout(*serials: str) -> Layout:
    """Return a machine with a disk of each of these serials."""
    builder = MachineBuilder()
    builder.pseudo()
    for letter, serial in zip("abcdef", serials, strict=False):
        builder.virtio(f"vd{letter}", 40, serial)
    builder.mount("/", "ext4", "/dev/vda", device="vda")
    return read_layout(builder.text())


def made(
    identity: Identity = HERE,
    *,
    bound: str = "",
    serials: tuple[str, ...] = SERIALS,
    user_map: Mapping[str, DiskId] | None = None,
    **asked: Any,
) -> PolicyReport:
    """Return the policy that is made there."""
    return make_policy(
        PolicyRequest(**asked),
        identify=lambda: identity,
        bound_role=lambda: bound,
        look=lambda: layout(*serials),
        user_map=user_map or {},
    )


def doubts(report: PolicyReport) -> list[PolicyDoubt]:
    """Return what its reader is told."""
    return [warning.doubt for warning in report.warnings]


def test_policy_of_an_ordinary_instance_names_its_disks_and_leaves_no_doubt() -> None:
    report = made()
    assert (report.kind, report.fits, doubts(report)) == (PolicyKind.ROLE, True, [])
    assert report.holder.disks == tuple(f"d-{serial}" for serial in SERIALS)
    assert report.characters == len(as_sent(report.document))


def test_disks_that_are_named_by_hand_are_the_only_ones() -> None:
    assert made(disks=("d-x", "d-x", "d-a")).holder.disks == ("d-a", "d-x")


@pytest.mark.parametrize(
    "asked",
    [
        {"session": True, "fleet": "a=b"},
        {"fleet": "a=b", "disks": ("d-1",)},
        {"fleet": "a"},
        {"disks": ("vdb",)},
        {"disks": ("d-1\n",)},
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused_before_anything_is_asked(asked: Any) -> None:
    def asks() -> Identity:
        raise AssertionError("the metadata service was asked")

    with pytest.raises(UsageError) as caught:
        make_policy(PolicyRequest(**asked), identify=asks, bound_role=str, look=layout, user_map={})
    assert caught.value.hint


def test_metadata_without_a_disk_ask_for_ids_unless_a_tag_stands_for_them() -> None:
    bare = replace(HERE, serial_to_disk={})
    with pytest.raises(EnvironmentFault, match="names no disk") as caught:
        made(bare)
    assert "--disk" in caught.value.hint
    assert made(bare, fleet="team=web").kind is PolicyKind.FLEET
    assert made(bare, disks=("d-1",)).holder.disks == ("d-1",)
    assert made(bare, user_map={"vda": DiskId("d-map")}).holder.disks == ("d-map",)


def test_account_that_is_not_told_is_any_and_is_said() -> None:
    report = made(replace(HERE, account=""))
    assert "acs:ecs:cn-hangzhou:*:snapshot/*" in as_sent(report.document)
    assert doubts(report) == [PolicyDoubt.ACCOUNT_UNKNOWN]
    # A session's names none anyway.
    assert doubts(made(replace(HERE, account=""), session=True)) == []


def test_disk_that_the_metadata_do_not_name_is_told_with_the_command_that_names_it() -> None:
    report = made(serials=(*SERIALS, "bp1fresh"))
    assert doubts(report) == [PolicyDoubt.DISK_NOT_NAMED]
    ids = [f"--disk d-{serial}" for serial in (*SERIALS, "bp1fresh")]
    assert report.warnings[0].text.endswith(f"snap-self policy {' '.join(ids)}")


def test_disks_that_are_not_named_are_all_in_one_command_with_what_was_asked() -> None:
    fresh = (*SERIALS, "bp1fresh1", "bp1fresh2")
    report = made(serials=fresh, session=True, policies=(Policy.PRUNE,))
    (told,) = (one.text for one in report.warnings if one.doubt is PolicyDoubt.DISK_NOT_NAMED)
    ids = " ".join(f"--disk d-{serial}" for serial in fresh)
    assert told.endswith(f"snap-self policy --session --prune {ids}")


def test_disk_that_the_configuration_names_is_named() -> None:
    user_map = {"/dev/vdc": DiskId("d-other")}
    report = made(serials=(*SERIALS, "bp1odd"), user_map=user_map)
    assert doubts(report) == []
    assert "d-other" in report.holder.disks


def test_disk_left_out_by_hand_is_told() -> None:
    report = made(disks=(f"d-{SERIALS[0]}",))
    assert doubts(report) == [PolicyDoubt.DISK_NOT_NAMED]
    assert "/dev/vdb" in report.warnings[0].text


@pytest.mark.parametrize(
    ("count", "asked", "fits"),
    [
        (16, {}, True),
        (60, {}, False),
        (12, {"session": True}, True),
        (20, {"session": True}, False),
    ],
)
def test_policy_longer_than_the_cloud_takes_is_told(count: int, asked: Any, fits: bool) -> None:
    disks = {f"bp1{n:017}": DiskId(f"d-bp1{n:017}") for n in range(count)}
    report = made(replace(HERE, serial_to_disk=disks), serials=tuple(disks)[:2], **asked)
    assert report.fits is fits
    assert (PolicyDoubt.TOO_LONG in doubts(report)) is not fits
    if not fits:
        assert str(report.characters) in report.warnings[0].text
        assert str(report.limit) in report.warnings[0].text


def test_policy_that_the_cloud_would_refuse_takes_no_role_off_the_instance() -> None:
    disks = {f"bp1{n:017}": DiskId(f"d-bp1{n:017}") for n in range(20)}
    here = replace(HERE, serial_to_disk=disks)
    report = made(here, serials=tuple(disks)[:2], session=True, bound="R")
    assert doubts(report) == [PolicyDoubt.TOO_LONG]
    assert (report.setup.lines, report.setup.update, report.setup.console) == ((), "", ())


def test_deletion_is_warned_of_and_that_of_others_in_a_fleet_too() -> None:
    assert PolicyDoubt.DELETES in doubts(made(policies=(Policy.PRUNE,)))
    assert PolicyDoubt.DELETES_OF_OTHERS not in doubts(made(policies=(Policy.PRUNE,)))
    fleet = made(policies=(Policy.PRUNE,), fleet="team=web")
    assert PolicyDoubt.DELETES_OF_OTHERS in doubts(fleet)
    assert PolicyDoubt.DELETES not in doubts(made(policies=(Policy.TAGS,)))


def test_temporary_disks_are_warned_of_with_what_no_policy_can_say() -> None:
    told = doubts(made(policies=(Policy.RESTORE,)))
    assert told == [PolicyDoubt.READS_THE_PAST, PolicyDoubt.UNPROVED_DISK]
    assert PolicyDoubt.READS_OTHERS in doubts(made(policies=(Policy.RESTORE,), fleet="team=web"))
    assert PolicyDoubt.READS_THE_PAST not in doubts(made(policies=(Policy.PRUNE,)))


def test_rollback_has_a_second_role_that_the_first_may_hand_over() -> None:
    report = made(policies=(Policy.ROLLBACK,))
    assert report.rollback is not None
    role = f"snap-self-rollback-{HERE.instance_id}"
    assert report.rollback.role == role
    passing = [s for s in report.document["Statement"] if s["Action"] == "ram:PassRole"]
    assert [s["Resource"] for s in passing] == [f"acs:ram::1234567890123456:role/{role}"]
    lines = "\n".join(report.rollback.lines)
    assert lines.count(role) == 4
    assert "oos.aliyuncs.com" in lines
    assert '--PolicyDocument "$OOS_POLICY"' in lines
    assert doubts(report) == [PolicyDoubt.GOES_BACK, PolicyDoubt.UNPROVED_HANDING]
    assert made().rollback is None


def test_rollback_hands_over_the_role_that_is_configured() -> None:
    report = made(policies=(Policy.ROLLBACK,), rollback_role="own-role")
    assert report.rollback is not None
    assert report.rollback.role == "own-role"
    assert "role/own-role" in str(report.document)


@pytest.mark.parametrize("asked", [{"session": True}, {"fleet": "a=b"}])
def test_rollback_is_of_one_instance_alone(asked: Any) -> None:
    with pytest.raises(UsageError, match="of one instance alone"):
        made(policies=(Policy.ROLLBACK,), **asked)


def test_session_that_is_too_long_names_the_options_that_make_it_so() -> None:
    disks = {f"bp1{n:017}": DiskId(f"d-bp1{n:017}") for n in range(3)}
    here = replace(HERE, serial_to_disk=disks)
    extra = (Policy.PRUNE, Policy.RESTORE)
    report = made(here, serials=tuple(disks), session=True, policies=extra)
    assert report.warnings[0].doubt is PolicyDoubt.TOO_LONG
    assert report.warnings[0].text.endswith("or leave --prune or --restore out")


@pytest.mark.parametrize(
    ("asked", "bound", "doubt"),
    [
        ({}, "R", PolicyDoubt.SHARED_ROLE),
        ({"session": True}, "R", PolicyDoubt.REBINDS),
        ({"fleet": "a=b"}, "", PolicyDoubt.UNPROVED_TAG),
    ],
)
def test_role_that_is_bound_already_is_minded(asked: Any, bound: str, doubt: PolicyDoubt) -> None:
    assert doubts(made(bound=bound, **asked)) == [doubt]


NAMED = re.compile(r"acs:ecs:cn-hangzhou:1234567890123456:(disk|instance)/[di]-[0-9a-z]+")


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_serials_of_any_text_reach_neither_policy_nor_commands(strange: dict[str, str]) -> None:
    known = {serial: DiskId("d-1") for serial in strange}
    report = made(replace(HERE, serial_to_disk={**known, "a": DiskId("d-1")}), serials=("a",))
    text = as_sent(report.document)
    assert set(NAMED.findall(text)) == {"disk", "instance"}
    assert "/dev/" not in text
    assert report.holder.disks == ("d-1",)
