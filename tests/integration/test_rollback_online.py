"""Data disks go back on the simulated cloud, by the real client, whatever fails on the way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from going_back_rig import DATA, MOVES, NODES, Online, online

from ecs_simulator.faults import Fault
from fakes.going_back import UNIT
from fakes.looking_back import Killed
from snap_self.access.documents import Document, as_sent, role_policy
from snap_self.errors import (
    DisksInUse,
    ExitStatus,
    NotWhileRunning,
    PermissionRefused,
    RollbackGoesOn,
    RollbackUnfinished,
    SnapSelfError,
)
from snap_self.model.actions import Policy
from snap_self.model.executions import Execution
from snap_self.model.going_back import DamagedReturn, Heading, ReturnId, SetAside, User
from snap_self.model.ids import RunId
from snap_self.model.run import ArmedRecord, RollbackRecord
from snap_self.output.rollback_online import (
    half_way_lines,
    online_lines,
    returned_notes,
    write_set_aside,
)
from snap_self.output.streams import make_streams
from snap_self.usecases.going_back.giving_up import give_up

ROLE = "SnapSelfRole"
WRITES = 18
"""So many effects on this machine and its journal has a whole life."""


@pytest.fixture
def one() -> Iterator[Online]:
    with online() as found:
        yield found


def test_volume_over_two_disks_goes_back_and_is_in_use_as_it_was(one: Online) -> None:
    returned = one.back()
    assert returned is not None
    assert one.is_whole()
    assert len(one.life.effects) == WRITES
    order = [action for action, _ in one.moves()]
    rehearsed = [c for c in one.job.simulator.calls if c.code == "DryRunOperation"]
    assert len(rehearsed) == len(DATA)
    assert order == [*["DetachDisk"] * 2, *["ResetDisk"] * 2, *["AttachDisk"] * 2]
    assert one.reset() == set(DATA)
    (record,) = one.returns.done()
    assert record.went_back
    assert record.run == one.run
    (note,) = returned_notes(one.returns.done(), one.run)
    assert all(disk in note for disk in DATA)
    assert one.run in note


def test_whoever_is_asked_sees_the_data_disks_only_and_may_decline(one: Online) -> None:
    assert one.back(agrees=False) is None
    (judged,) = one.asked
    assert set(judged.judged.plan.pairs) == set(DATA)
    assert [each.disk_id for each in judged.judged.plan.staying] == ["d-bp1goingbacksystem00"]
    assert one.moves() == []
    assert one.is_whole()


def test_one_disk_of_the_volume_alone_is_refused_before_anything_is_asked(one: Online) -> None:
    shots = one.job.simulator.dump()["snapshots"]
    name = next(each for each, shot in shots.items() if shot["disk_id"] == DATA[0])
    with pytest.raises(SnapSelfError) as caught:
        one.back(name)
    assert caught.value.code == "torn-set"
    assert one.moves() == []


def test_place_that_was_mounted_after_the_snapshot_is_refused_before_anything_is_asked(
    one: Online,
) -> None:
    one.ground.mounts["/new"] = replace(one.srv, place="/new")
    with pytest.raises(NotWhileRunning, match="/new was not mounted from these disks") as caught:
        one.back()
    assert "umount /new" in caught.value.hint
    assert one.moves() == []
    assert one.ground.trace == []


def test_unit_that_uses_the_volume_and_is_not_named_is_refused_by_name(one: Online) -> None:
    users = (User(pid=7, program="web", unit="web.service"), User(pid=8, program="d", unit=UNIT))
    one.ground.standing = replace(one.ground.standing, users=users)
    with pytest.raises(DisksInUse, match=r"unit web\.service") as caught:
        one.back()
    assert "--unit web.service" in caught.value.hint
    assert UNIT not in caught.value.message
    assert one.moves() == []


def test_state_before_is_snapshotted_first_and_waited_for(one: Online) -> None:
    returned = one.back(snapshot_first=True)
    assert returned is not None
    kept = returned.record.present
    assert kept
    assert kept != one.run
    assert one.is_whole()
    assert one.reset() == set(DATA)
    shots = one.job.simulator.dump()["snapshots"].values()
    assert len([each for each in shots if each["disk_id"] in DATA]) == 2 * len(DATA)
    # It went back to the run that was meant, not to the one just made.
    assert returned.record.run == one.run


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(2, WRITES + 1))
def test_killed_at_any_effect_here_the_next_command_brings_it_forward(
    one: Online, point: int, *, after: bool
) -> None:
    one.life.die_at, one.life.after = point, after
    with pytest.raises(Killed):
        one.back()
    one.holds_nothing_torn()
    assert one.returns.unfinished() or one.life.effects[-1] == "journal done"
    assert [each.error for each in one.next_command()] in ([None], [])
    assert one.is_whole()
    assert one.reset() == set(DATA)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("action", MOVES)
def test_killed_when_the_cloud_has_done_it_the_next_command_brings_it_forward(
    one: Online, action: str, nth: int
) -> None:
    one.die_after(action, nth)
    with pytest.raises(Killed):
        one.back()
    one.holds_nothing_torn()
    (ended,) = one.next_command()
    assert ended.error is None
    assert one.is_whole()
    assert one.reset() == set(DATA)


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
@pytest.mark.parametrize("action", [*MOVES, "DescribeDisks"])
def test_lost_answer_of_each_call_changes_nothing_of_the_end(
    one: Online, action: str, skip: int
) -> None:
    one.job.simulator.inject(Fault(kind="lost_reply", action=action, skip=skip))
    with suppress(SnapSelfError):
        one.back()
    one.holds_nothing_torn()
    one.next_command()
    assert one.is_whole()
    assert one.reset() == set(DATA)


@pytest.mark.parametrize("action", MOVES)
def test_cloud_that_is_silent_for_long_leaves_nothing_torn(one: Online, action: str) -> None:
    one.job.simulator.inject(Fault(kind="lost_reply", action=action, count=4, skip=2))
    with suppress(SnapSelfError):
        one.back()
    one.holds_nothing_torn()
    one.next_command()
    assert one.is_whole()


def test_detach_refused_turns_back_and_nothing_is_lost(one: Online) -> None:
    one.job.simulator.inject(Fault(kind="error:DiskNotPortable:403", action="DetachDisk", skip=1))
    with pytest.raises(SnapSelfError) as caught:
        one.back()
    assert caught.value.exit_status is ExitStatus.PRECONDITION
    assert one.reset() == frozenset()
    assert one.is_whole()
    (record,) = one.returns.done()
    assert record.heading is Heading.BACK
    assert list(returned_notes(one.returns.done(), "")) == []


# Before anything is stopped each is asked for twice, and then rehearsed.
@pytest.mark.parametrize("skip", [0, 1, 2, 3, 4, 5, 6])
def test_reset_refused_of_the_first_or_before_loses_nothing(one: Online, skip: int) -> None:
    fault = Fault(kind="error:InvalidParameter.Mismatch:403", action="ResetDisk", skip=skip)
    one.job.simulator.inject(fault)
    with pytest.raises(SnapSelfError) as caught:
        one.back()
    assert caught.value.code == "snapshot-of-other-disk"
    assert one.reset() == frozenset()
    assert one.is_whole()


def test_reset_refused_for_the_second_leaves_nothing_torn_in_use_and_says_so(one: Online) -> None:
    fault = Fault(kind="error:InvalidParameter.Mismatch:403", action="ResetDisk", skip=7)
    one.job.simulator.inject(fault)
    with pytest.raises(RollbackUnfinished) as caught:
        one.back()
    error = caught.value
    assert (int(error.exit_status), error.code) == (24, "rollback-unfinished")
    assert f"{DATA[0]} went back; {DATA[1]} did not" in error.message
    assert f"reset {DATA[1]} to" in error.hint
    assert len(one.reset()) == 1
    one.holds_nothing_torn()
    lines = half_way_lines(one.returns.unfinished(), ())
    assert "would not fit together" in lines[0]
    with pytest.raises(RollbackGoesOn):
        one.back()
    one.next_command()
    assert one.is_whole()
    assert one.reset() == set(DATA)


def test_reset_that_is_refused_for_a_moment_is_asked_for_again(one: Online) -> None:
    fault = Fault(kind="error:IncorrectDiskStatus:403", action="ResetDisk", skip=7, count=2)
    one.job.simulator.inject(fault)
    assert one.back() is not None
    assert one.is_whole()
    assert one.reset() == set(DATA)


def test_first_reset_whose_answer_is_lost_and_that_is_refused_then_tears_nothing(
    one: Online,
) -> None:
    one.job.simulator.inject(Fault(kind="lost_reply", action="ResetDisk", skip=6))
    fault = Fault(kind="error:IncorrectDiskStatus:403", action="ResetDisk", skip=6, count=500)
    one.job.simulator.inject(fault)
    with pytest.raises(RollbackUnfinished, match=f"whether {DATA[0]} did is not known"):
        one.back()
    assert one.reset() == {DATA[0]}
    one.holds_nothing_torn()
    (record,) = one.returns.unfinished()
    assert record.heading is Heading.FORWARD


def test_attach_refused_is_told_and_ended_by_the_next_command(one: Online) -> None:
    fault = Fault(kind="error:InstanceDiskLimitExceeded:403", action="AttachDisk", skip=1)
    one.job.simulator.inject(fault)
    with pytest.raises(RollbackUnfinished, match="went back"):
        one.back()
    assert not one.ground.mounts
    one.next_command()
    assert one.is_whole()


def rights(one: Online, *, but: str = "") -> dict[str, Any]:
    holder = replace(one.job.tools.identify().holder, disks=DATA)
    document: Document = role_policy(holder, (Policy.CREATE, Policy.ONLINE))
    found: dict[str, Any] = json.loads(as_sent(document))
    for statement in found["Statement"]:
        named = statement["Action"]
        named = [named] if isinstance(named, str) else named
        statement["Action"] = [each for each in named if each != but]
    return {**found, "Statement": [each for each in found["Statement"] if each["Action"]]}


def test_printed_policy_is_enough(one: Online) -> None:
    one.job.simulator.set_policies(ROLE, rights(one))
    assert one.back() is not None
    assert one.is_whole()


@pytest.mark.parametrize("action", MOVES)
def test_right_that_is_missing_is_named_with_what_prints_it(one: Online, action: str) -> None:
    one.job.simulator.set_policies(ROLE, rights(one, but=f"ecs:{action}"))
    with pytest.raises(SnapSelfError) as caught:
        one.back()
    error = caught.value
    if action == "AttachDisk":
        assert isinstance(error, RollbackUnfinished)
        assert "snap-self policy --online" in error.details[0]
        assert not one.ground.mounts
    else:
        assert isinstance(error, PermissionRefused)
        assert "snap-self policy --online" in error.hint
        assert one.reset() == frozenset()
    one.job.simulator.set_policies(ROLE, rights(one))
    one.next_command()
    assert one.is_whole()


def test_disks_of_the_volume_are_asked_for_by_their_own_serials(one: Online) -> None:
    one.back(agrees=False)
    assert set(one.asked[0].standing.nodes) == NODES


def test_damaged_record_is_refused_with_what_to_do(one: Online) -> None:
    damaged = DamagedReturn(return_id=ReturnId("r9"), where="/state/r9.json", why="not JSON")
    one.returns.broken = (damaged,)
    with pytest.raises(RollbackGoesOn, match=r"r9\.json cannot be read") as caught:
        one.back()
    assert "snap-self rollback r9 --give-up" in caught.value.hint
    first, then = half_way_lines((), (damaged,))
    assert "r9.json cannot be read (not JSON)" in first
    assert "snap-self rollback r9 --give-up" in then
    assert one.moves() == []


@pytest.mark.parametrize("named", [True, False])
def test_damaged_record_that_is_given_up_tells_where_its_disks_are(
    one: Online, *, named: bool
) -> None:
    away = DATA[1]
    one.going().disks(one.job.tools.here()).detach(away, one.job.tools.here().identity.instance_id)
    one.returns.broken = (
        DamagedReturn(
            return_id=ReturnId("r9"),
            where="/state/r9.json",
            why="not JSON",
            disk_ids=DATA if named else (),
        ),
    )
    aside = give_up(one.job.tools, one.going(), "r9")
    assert isinstance(aside, SetAside)
    assert {each.disk_id: each.here for each in aside.disks}[away] is False
    assert {each.disk_id: each.here for each in aside.disks}[DATA[0]] is True
    assert aside.guessed is not named
    out = io.StringIO()
    write_set_aside(make_streams(out, io.StringIO(), env={}, verbosity=0, json=False), aside)
    assert f"Disk       {DATA[0]} is attached here (In_use)" in out.getvalue()
    assert f"{away} is " in out.getvalue()
    assert "attach it in the ECS console" in out.getvalue()
    assert "/state/r9.json.damaged" in out.getvalue()
    # Nothing keeps the next one back, once the disk is attached again.
    assert one.returns.damaged() == ()


def test_damaged_record_stays_where_the_cloud_cannot_be_asked(one: Online) -> None:
    damaged = DamagedReturn(
        return_id=ReturnId("r9"), where="/state/r9.json", why="not JSON", disk_ids=DATA
    )
    one.returns.broken = (damaged,)
    one.job.simulator.inject(
        Fault(kind="error:Forbidden.RAM:403", action="DescribeDisks", count=50)
    )
    with pytest.raises(SnapSelfError):
        give_up(one.job.tools, one.going(), "r9")
    assert one.returns.damaged() == (damaged,)


def test_units_that_are_stopped_with_the_named_one_are_told_and_started_again(one: Online) -> None:
    one.ground.units |= {"web.service": True, "db.socket": True, "idle.service": False}
    one.ground.stopped_with = {UNIT: ("web.service", "idle.service")}
    one.ground.triggered_by = {UNIT: ("db.socket",)}
    before = dict(one.ground.units)
    returned = one.back()
    assert returned is not None
    assert returned.record.not_started == ()
    assert one.ground.units == before
    (judged,) = one.asked
    lines = list(online_lines(judged, one.job.clock.now(), snapshot_first=False))
    assert f"Stopped    meanwhile: web.service, {UNIT}, db.socket" in lines


def test_unit_that_systemd_would_stop_with_the_mount_is_stopped_before_and_started_again(
    one: Online,
) -> None:
    one.ground.units |= {"bound.service": True, "off.service": False}
    one.ground.standing = replace(one.ground.standing, bound_units=("bound.service", "off.service"))
    before = dict(one.ground.units)
    returned = one.back()
    assert returned is not None
    assert one.ground.units == before
    order = [each for each in one.ground.trace if each.startswith(("stop", "start"))]
    assert order == [
        *("stop bound.service", f"stop {UNIT}"),
        *(f"start {UNIT}", "start bound.service"),
    ]
    (judged,) = one.asked
    lines = list(online_lines(judged, one.job.clock.now(), snapshot_first=False))
    assert f"Stopped    meanwhile: bound.service, {UNIT}" in lines


def test_bound_unit_that_has_files_open_there_is_to_be_named_all_the_same(one: Online) -> None:
    one.ground.units |= {"bound.service": True}
    one.ground.standing = replace(
        one.ground.standing,
        bound_units=("bound.service",),
        users=(User(pid=7, program="b", unit="bound.service"),),
    )
    with pytest.raises(DisksInUse, match=r"unit bound\.service"):
        one.back()
    assert one.ground.trace == []


def noted(one: Online, **changes: Any) -> None:
    """Have the journal's record of the run tell of a rollback by OOS."""
    record = one.job.journal.load(RunId(one.run))
    assert record is not None
    one.job.journal.save(replace(record, **changes))


def test_armed_rollback_is_to_be_called_off_first(one: Online) -> None:
    now = one.job.clock.now()
    armed = ArmedRecord(
        asked=now, within_s=600, deadline=now + timedelta(seconds=600), client_token="t"
    )
    noted(one, armed=armed)
    with pytest.raises(RollbackGoesOn, match=f"goes back to run {one.run}") as caught:
        one.back()
    assert "snap-self confirm" in caught.value.hint
    assert one.moves() == []
    assert one.asked == []
    noted(one, armed=replace(armed, unconfirmed=False))
    assert one.back() is not None


def test_rollback_by_oos_that_may_go_on_is_waited_for(one: Online) -> None:
    asked = RollbackRecord(
        asked=one.job.clock.now() - timedelta(minutes=1), client_token="t", execution_id="exec-1"
    )
    noted(one, rollback=asked)
    with pytest.raises(RollbackGoesOn, match="not known to have ended"):
        one.back()
    assert one.moves() == []
    noted(one, rollback=replace(asked, asked=asked.asked - timedelta(hours=1)))
    assert one.back() is not None


@pytest.mark.parametrize(
    ("task", "is_over"), [("assistantUp", True), ("bootCheck", True), ("settled", False)]
)
def test_rollback_by_oos_that_only_waits_for_the_boot_is_in_nobodys_way(
    one: Online, task: str, *, is_over: bool
) -> None:
    asked = RollbackRecord(
        asked=one.job.clock.now() - timedelta(minutes=1), client_token="t", execution_id="exec-1"
    )
    seen = Execution(execution_id="exec-1", status="Running", tasks=(task,))
    noted(one, rollback=asked, went_back=seen)
    if is_over:
        assert one.back() is not None
    else:
        with pytest.raises(RollbackGoesOn, match="not known to have ended"):
            one.back()


def test_rollback_by_oos_that_the_cloud_did_not_take_is_in_nobodys_way(one: Online) -> None:
    noted(one, rollback=RollbackRecord(asked=one.job.clock.now(), client_token="t"))
    assert one.back() is not None


def test_disks_are_attached_again_in_the_order_of_their_devices_names(one: Online) -> None:
    # The kernel takes the first name that is free: in another order they would swap names.
    names = dict(zip((each.removeprefix("d-") for each in DATA), ("vdaa", "vdz"), strict=True))
    one.ground.device_of = lambda serial: f"/dev/{names[serial]}"  # type: ignore[method-assign]
    one.ground.standing = replace(one.ground.standing, groups={})
    assert one.back(agrees=False) is None
    (judged,) = one.asked
    assert judged.record.disk_ids == tuple(reversed(DATA))


def test_fstab_without_nofail_is_told_at_consent_and_kept(one: Online) -> None:
    one.ground.standing = replace(one.ground.standing, waits_in_fstab=("/srv",))
    assert one.back() is not None
    (judged,) = one.asked
    lines = online_lines(judged, one.job.clock.now(), snapshot_first=False)
    assert [line for line in lines if line.startswith("Mind") and "/etc/fstab" in line]
    (record,) = one.returns.done()
    assert record.waits_in_fstab == ("/srv",)
