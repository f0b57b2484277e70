"""What is done about a temporary disk that is to go, whatever the cloud shows of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.model.temporary import (
    CopyRecord,
    DiskStage,
    Purpose,
    RestoreId,
    Stage,
    TemporaryDisk,
)
from snap_self.recovery.temporary.rules import (
    SIGHT_S,
    TOKEN_S,
    Act,
    Foreign,
    Seen,
    is_due,
    is_forgotten,
    local_of,
    next_of,
)

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=timezone.utc)
HERE, ELSEWHERE = InstanceId("i-here"), InstanceId("i-elsewhere")
TAGS = {TEMPORARY_TAG: HERE, RESTORE_TAG: "r1"}
ORDER = DiskOrder(
    snapshot_id=SnapshotId("s-1"),
    choice=DiskChoice(category="cloud_essd", size_gib=20),
    zone="z",
    client_token="t",
    tags=TAGS,
)
MADE = TemporaryDisk(
    source=DiskId("d-source"),
    order=ORDER,
    stage=DiskStage.MADE,
    disk_id=DiskId("d-temp"),
    asked=NOW - timedelta(hours=1),
    made=NOW - timedelta(hours=1),
)
YOUNG = replace(MADE, made=NOW - timedelta(seconds=SIGHT_S / 2))
CREATING = replace(MADE, stage=DiskStage.CREATING, disk_id=None, made=None)
JUST_ASKED = replace(CREATING, asked=NOW - timedelta(seconds=TOKEN_S))
NEARLY_GIVEN_UP = replace(CREATING, asked=NOW - timedelta(hours=23, seconds=1))
ASKED_AGAIN = Seen(disk=None, asked_again=True)
RECORD = CopyRecord(
    restore_id=RestoreId("r1"),
    purpose=Purpose.RESTORE,
    instance_id=HERE,
    region=RegionId("r"),
    run_id="run",
    snapshot="run",
    started=NOW,
    until=NOW,
    stage=Stage.ATTACHING,
    disks=(MADE,),
    attached_before=(DiskId("d-own"),),
)


def seen(status: str, *instances: InstanceId, **changed: object) -> Seen:
    """Return a temporary disk as the cloud shows it."""
    disk = CloudDisk(
        disk_id=DiskId("d-temp"),
        name="",
        serial="temp",
        category="cloud_essd",
        kind=DiskKind.DATA,
        size_gib=20,
        status=status,
        zone="z",
        device_label="",
        attached_to=frozenset(instances),
        multi_attach=False,
        encrypted=False,
        tags=TAGS,
    )
    return Seen(disk=replace(disk, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("disk", "found", "act"),
    [
        (replace(MADE, stage=DiskStage.PLANNED), None, Act.NOTHING),
        (replace(MADE, stage=DiskStage.GONE), seen("Available"), Act.NOTHING),
        (JUST_ASKED, None, Act.ASK_AGAIN),
        (JUST_ASKED, ASKED_AGAIN, Act.LOOK_BY_TAG),
        # Its token may be forgotten: what is there is looked for before another one is made.
        (CREATING, None, Act.LOOK_BY_TAG),
        (CREATING, Seen(disk=None), Act.ASK_AGAIN),
        (CREATING, ASKED_AGAIN, Act.LOOK_BY_TAG),
        (NEARLY_GIVEN_UP, None, Act.LOOK_BY_TAG),
        (NEARLY_GIVEN_UP, Seen(disk=None), Act.LOOK_BY_TAG),
        (replace(CREATING, asked=None), Seen(disk=None), Act.LOOK_BY_TAG),
        (replace(CREATING, asked=NOW + timedelta(hours=2)), None, Act.ASK_AGAIN),
        (MADE, None, Act.WAIT),
        (YOUNG, Seen(disk=None), Act.WAIT),
        # Deleting what is not shown proves that it is gone.
        (MADE, Seen(disk=None), Act.DELETE),
        (MADE, seen("Creating"), Act.WAIT),
        (MADE, seen("Attaching", HERE), Act.WAIT),
        (MADE, seen("In_use", HERE), Act.DETACH),
        (MADE, seen("Detaching", HERE), Act.WAIT),
        (MADE, seen("Available"), Act.DELETE),
        (MADE, seen("ReIniting"), Act.WAIT),
        (MADE, seen(""), Act.WAIT),
        (YOUNG, seen("Available", tags={}), Act.WAIT),
    ],
)
def test_next_act_follows_from_record_and_sight(
    disk: TemporaryDisk, found: Seen | None, act: Act
) -> None:
    assert next_of(RECORD, disk, found, NOW).act is act


@pytest.mark.parametrize("status", ["Available", "In_use", "Detaching", "Creating"])
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"tags": {}}, Foreign.UNTAGGED),
        ({"tags": {TEMPORARY_TAG: HERE}}, Foreign.UNTAGGED),
        ({"tags": {RESTORE_TAG: "r1"}}, Foreign.UNTAGGED),
        ({"tags": {**TAGS, TEMPORARY_TAG: ELSEWHERE}}, Foreign.UNTAGGED),
        ({"tags": {**TAGS, RESTORE_TAG: "r2"}}, Foreign.UNTAGGED),
        ({"kind": DiskKind.SYSTEM}, Foreign.NO_DATA_DISK),
        ({"kind": DiskKind.UNKNOWN}, Foreign.NO_DATA_DISK),
        ({"disk_id": DiskId("d-own")}, Foreign.ATTACHED_BEFORE),
        ({"attached_to": frozenset({ELSEWHERE})}, Foreign.ELSEWHERE),
        ({"attached_to": frozenset({HERE, ELSEWHERE})}, Foreign.ELSEWHERE),
    ],
)
def test_disk_that_is_not_ours_for_certain_is_never_touched(
    status: str, changed: dict[str, object], why: Foreign
) -> None:
    todo = next_of(RECORD, MADE, seen(status, **changed), NOW)  # type: ignore[arg-type]
    assert (todo.act, todo.foreign) == (Act.LEAVE, why)


def test_own_disk_is_left_alone_also_where_the_cloud_does_not_show_it() -> None:
    own = replace(MADE, disk_id=DiskId("d-own"))
    todo = next_of(RECORD, own, Seen(disk=None), NOW)
    assert todo.foreign is Foreign.ATTACHED_BEFORE


@pytest.mark.parametrize("stage", Stage)
def test_what_may_have_begun_here_is_undone_from_then_on(stage: Stage) -> None:
    local = local_of(replace(RECORD.at(stage), roots=("/srv",)))
    order = list(Stage)
    assert local.guard == (order.index(stage) >= order.index(Stage.GUARDED))
    assert local.close == (order.index(stage) >= order.index(Stage.OPENING))
    assert local.tidy == (order.index(stage) >= order.index(Stage.COPYING))


def test_nothing_is_tidied_where_nothing_was_to_be_written() -> None:
    assert not local_of(RECORD.at(Stage.CLOSING)).tidy


@pytest.mark.parametrize("stage", [each for each in Stage if each is not Stage.OPEN])
def test_all_but_a_mount_is_ended_at_once(stage: Stage) -> None:
    record = replace(RECORD.at(stage), until=NOW + timedelta(hours=1))
    assert is_due(record, NOW) is (stage is not Stage.DONE)


@pytest.mark.parametrize(("left_s", "due"), [(1, False), (0, True), (-1, True)])
def test_mount_is_ended_when_its_time_is_up(left_s: int, *, due: bool) -> None:
    record = replace(RECORD.at(Stage.OPEN), until=NOW + timedelta(seconds=left_s))
    assert is_due(record, NOW) is due


@pytest.mark.parametrize(("hours", "forgotten"), [(23, False), (25, True)])
def test_disk_that_was_never_seen_is_forgotten_after_a_day(hours: int, *, forgotten: bool) -> None:
    disk = replace(CREATING, asked=NOW - timedelta(hours=hours))
    assert is_forgotten(disk, NOW) is forgotten
