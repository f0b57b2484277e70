"""The ways back: right for this instance, its disks as they are now, and what they carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from fakes.samples import sample
from snap_self.model.disks import CloudDisk, DiskKind, Layer
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId
from snap_self.model.listed import ListedSnapshot, SnapshotState
from snap_self.model.snapshots import Identity
from snap_self.model.ways import CloudCall, Local, Way, WayKind
from snap_self.recovery.copies import AttachedDisk, Copied
from snap_self.recovery.ways import ONE_AT_A_TIME, all_ways

ME, REGION, ZONE = InstanceId("i-own"), RegionId("cn-hangzhou"), "cn-hangzhou-i"
SYSTEM, DATA = DiskId("d-system"), DiskId("d-data")
IDENTITY = replace(sample(Identity, lambda place: place), instance_id=ME, region=REGION, zone=ZONE)
UPLOADING = SnapshotState.AVAILABLE


def attached(disk_id: DiskId, name: str, *copies: Copied, **changes: object) -> AttachedDisk:
    base = CloudDisk(
        disk_id=disk_id,
        name="",
        serial=disk_id[2:],
        category="cloud_essd",
        kind=DiskKind.SYSTEM if disk_id == SYSTEM else DiskKind.DATA,
        size_gib=40,
        status="In_use",
        zone=ZONE,
        device_label="",
        attached_to=frozenset({ME}),
        multi_attach=False,
        encrypted=False,
    )
    cloud = replace(base, **changes)  # type: ignore[arg-type]
    return AttachedDisk(cloud=cloud, name=name, copied=copies)


def shot(disk_id: DiskId, **changes: object) -> ListedSnapshot:
    base = replace(
        sample(ListedSnapshot, lambda place: place),
        snapshot_id=SnapshotId(f"s-{disk_id[2:]}"),
        disk_id=disk_id,
        group_id=GroupId("ssg-1"),
        size_gib=40,
        state=SnapshotState.ACCOMPLISHED,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def copied(mount: str, *disks: str, **changes: object) -> Copied:
    base = Copied(mount=mount, fstype="xfs", part="", layers=(), disks=frozenset(disks))
    return replace(base, **changes)  # type: ignore[arg-type]


ROOT, SRV = copied("/", "vda", part="1"), copied("/srv", "vdb")
DISKS = (attached(SYSTEM, "vda", ROOT), attached(DATA, "vdb", SRV))
BOTH = (shot(DATA), shot(SYSTEM))


def ways_of(
    shots: Sequence[ListedSnapshot] = BOTH,
    disks: Sequence[AttachedDisk] = DISKS,
    *,
    lost: Sequence[DiskId] = (),
    managers: Iterable[str] = (),
) -> tuple[Way, ...]:
    return all_ways(shots, disks, IDENTITY, lost=lost, managers=frozenset(managers))


def actions(way: Way) -> list[str]:
    """Return what is done, one word a step."""
    return [step.action if isinstance(step, CloudCall) else step.argv[0] for step in way.steps]


def calls(way: Way, action: str) -> list[CloudCall]:
    return [step for step in way.steps if isinstance(step, CloudCall) and step.action == action]


def said(way: Way) -> str:
    return "\n".join((way.title, *way.cautions, *way.console, *map(repr, way.steps), *way.after))


def test_whole_run_is_rolled_back_with_the_instance_stopped() -> None:
    way = ways_of()[0]
    assert way.kind is WayKind.IN_PLACE
    assert actions(way) == [
        *("StopInstance", "DescribeInstances", "ResetDisk", "ResetDisk"),
        *("DescribeDisks", "StartInstance"),
    ]
    reset = [(call.params["DiskId"], call.params["SnapshotId"]) for call in calls(way, "ResetDisk")]
    assert reset == [("d-system", "s-system"), ("d-data", "s-data")]
    assert "not Economical Mode" in way.console[0]
    assert "ssg-1 > Roll Back Disks: d-system, d-data" in way.console[1]


def test_data_disks_alone_are_rolled_back_detached_while_the_instance_runs() -> None:
    way = ways_of()[1]
    assert way.kind is WayKind.DATA_DISKS
    assert "d-system" not in said(way)
    assert actions(way) == [
        *("umount", "DetachDisk", "DescribeDisks", "ResetDisk", "DescribeDisks", "AttachDisk"),
        *("DescribeDisks", "mount"),
    ]
    assert [step.argv[1] for step in way.steps if isinstance(step, Local)] == ["/srv", "/srv"]


def test_several_data_disks_are_said_to_be_moved_one_at_a_time() -> None:
    more = DiskId("d-more")
    disks = (*DISKS, attached(more, "vdc", copied("/more", "vdc")))
    shots = (shot(DATA), shot(more))
    in_place, running, *_ = ways_of(shots=shots, disks=disks)
    assert (running.kind, ONE_AT_A_TIME in running.cautions) == (WayKind.DATA_DISKS, True)
    assert ONE_AT_A_TIME not in in_place.cautions
    assert ONE_AT_A_TIME not in ways_of()[1].cautions


@pytest.mark.parametrize(
    ("released", "console", "mind"),
    [(True, True, False), (False, False, False), (None, False, True)],
)
def test_data_disk_is_attached_again_to_be_released_with_the_instance_as_before(
    released: bool | None, console: bool, mind: bool
) -> None:
    disks = (DISKS[0], attached(DATA, "vdb", SRV, delete_with_instance=released))
    way = ways_of(disks=disks)[1]
    (call,) = calls(way, "AttachDisk")
    wanted = None if released is None else str(released).lower()
    assert call.params.get("DeleteWithInstance") == wanted
    assert ("Release Disk with Instance" in way.console[-1]) is console
    assert any("not known whether d-data" in line for line in way.cautions) is mind


def test_data_disk_that_cannot_be_detached_has_no_way_without_a_stop() -> None:
    disks = (DISKS[0], attached(DATA, "vdb", SRV, portable=False))
    assert WayKind.DATA_DISKS not in [way.kind for way in ways_of(disks=disks)]


def test_mounts_of_data_disks_are_left_once_each_and_inner_ones_first() -> None:
    inner = attached(DiskId("d-1"), "vdb", copied("/srv/in", "vdb"), copied("/vol", "vdb", "vdc"))
    outer = attached(DiskId("d-2"), "vdc", copied("/srv", "vdc"), copied("/vol", "vdb", "vdc"))
    way = ways_of([shot(DiskId("d-1")), shot(DiskId("d-2"))], [DISKS[0], inner, outer])[1]
    local = [step.argv for step in way.steps if isinstance(step, Local)]
    left = [mount for program, mount in local if program == "umount"]
    assert left == ["/vol", "/srv/in", "/srv"]
    assert [mount for program, mount in local if program == "mount"] == left[::-1]


def test_data_disk_that_shares_a_volume_with_the_system_disk_has_no_way_of_its_own() -> None:
    shared = copied("/srv", "vda", "vdb", layers=(Layer(kind="lvm", name="vg0-srv"),))
    disks = (attached(SYSTEM, "vda", shared), attached(DATA, "vdb", shared))
    kinds = [way.kind for way in ways_of(disks=disks)]
    assert kinds == [WayKind.IN_PLACE, WayKind.NEW_DISK, WayKind.NEW_DISK]


def test_volume_that_lies_on_a_disk_of_another_run_is_warned_of() -> None:
    shared = copied("/srv", "vdb", "vdc", layers=(Layer(kind="lvm", name="vg0-srv"),))
    way = ways_of([shot(DATA)], [attached(SYSTEM, "vda"), attached(DATA, "vdb", shared)])[0]
    assert any("/srv: lies also on disks that do not go back" in line for line in way.cautions)


def test_snapshot_of_a_replaced_system_disk_is_not_rolled_back_in_place() -> None:
    ways = ways_of(disks=[attached(DATA, "vdb", SRV)])
    reset = [call.params["DiskId"] for way in ways for call in calls(way, "ResetDisk")]
    assert set(reset) == {"d-data"}
    new = next(way for way in ways if "s-system" in way.title)
    assert "not attached to this instance any more" in new.title
    (made,) = calls(new, "CreateDisk")
    assert made.params["DiskCategory"] == "cloud_essd"


def test_only_the_disk_of_an_instance_has_no_way_without_a_stop() -> None:
    ways = ways_of([shot(SYSTEM)], DISKS[:1])
    assert [way.kind for way in ways] == [WayKind.IN_PLACE, WayKind.NEW_DISK]


def test_data_disk_that_is_all_an_instance_has_goes_back_in_place() -> None:
    ways = ways_of([shot(DATA)], DISKS[1:])
    assert [way.kind for way in ways] == [WayKind.IN_PLACE, WayKind.NEW_DISK]


def test_disk_is_rolled_back_once_and_to_the_oldest_of_its_snapshots() -> None:
    newer, older = shot(DATA), shot(DATA, snapshot_id=SnapshotId("s-older"))
    in_place, data_disks, *others = ways_of([newer, older])
    for way in (in_place, data_disks):
        (reset,) = calls(way, "ResetDisk")
        assert reset.params["SnapshotId"] == "s-older"
    assert len(others) == 2


def test_disk_of_which_no_snapshot_is_left_is_named() -> None:
    way = ways_of(lost=[DiskId("d-lost")])[0]
    assert "no snapshot of d-lost is left of this run" in said(way)


def test_disk_that_was_enlarged_since_is_told() -> None:
    disks = (DISKS[0], attached(DATA, "vdb", SRV, size_gib=80))
    assert "d-data was enlarged since, from 40 to 80 GiB" in said(ways_of(disks=disks)[0])
    unknown = [shot(DATA, size_gib=0)]
    assert "enlarged" not in said(ways_of(unknown, disks)[0])


@pytest.mark.parametrize(("managers", "told"), [(["pacman"], True), (["apt"], False), ([], False)])
def test_lock_file_of_pacman_is_named_for_what_pacman_was_about(
    managers: Iterable[str], told: bool
) -> None:
    way = ways_of(managers=managers)[0]
    assert ("/var/lib/pacman/db.lck" in said(way)) is told


@pytest.mark.parametrize("state", [SnapshotState.PROGRESSING, SnapshotState.UNKNOWN])
def test_snapshot_that_cannot_be_used_yet_is_said_to_be_so(state: SnapshotState) -> None:
    ways = ways_of([shot(SYSTEM, state=state)])
    assert all("s-system cannot be used yet" in said(way) for way in ways)


@pytest.mark.parametrize(
    ("category", "size", "wanted"),
    [
        ("cloud_essd", 40, {"DiskCategory": "cloud_essd", "Size": "40"}),
        ("cloud_essd", 10, {"PerformanceLevel": "PL0", "Size": "10"}),
        ("cloud_efficiency", 10, {"DiskCategory": "cloud_efficiency", "Size": "10"}),
        ("cloud_essd", 0, {"Size": "1"}),
    ],
)
def test_new_disk_has_the_source_disks_category_and_size(
    category: str, size: int, wanted: dict[str, str]
) -> None:
    disks = [attached(DATA, "vdb", category=category)]
    (made,) = calls(ways_of([shot(DATA, size_gib=size)], disks)[-1], "CreateDisk")
    assert made.params.items() >= {"ZoneId": ZONE, "SnapshotId": "s-data", **wanted}.items()
    assert ("PerformanceLevel" in made.params) is (category == "cloud_essd" and size < 20)
    assert made.gives == "NEW_DISK"


def test_upload_that_goes_on_is_warned_of_before_the_stop() -> None:
    told = said(ways_of([shot(SYSTEM, state=UPLOADING)])[0])
    assert "systemctl stop 'snap-self-follow@*'" in told
    assert "s-system is still being uploaded" in told
    assert "snap-self-follow" not in said(ways_of([shot(SYSTEM)])[0])


def test_stop_of_a_broken_system_is_said_to_need_force_where_a_stop_is_needed() -> None:
    in_place, *others = ways_of()
    assert any("--ForceStop true" in line for line in in_place.cautions)
    assert not any("--ForceStop" in said(way) for way in others)


def test_new_disk_of_a_slow_category_waits_for_the_upload() -> None:
    disks = [attached(DATA, "vdb", category="cloud_ssd")]
    way = ways_of([shot(DATA, state=UPLOADING)], disks)[-1]
    assert "can be made only once it is accomplished" in said(way)
    assert "can be made only" not in said(ways_of([shot(DATA)], disks)[-1])


def test_singles_are_rolled_back_one_by_one_in_the_console() -> None:
    way = ways_of([shot(SYSTEM, group_id=None), shot(DATA)])[0]
    assert way.console[1:3] == (
        "Snapshots > s-system > Roll Back Disk (d-system)",
        "Snapshots > s-data > Roll Back Disk (d-data)",
    )


def test_single_member_of_a_group_is_rolled_back_by_itself_in_the_console() -> None:
    way = ways_of([shot(SYSTEM)])[0]
    assert way.console[1] == "Snapshots > s-system > Roll Back Disk (d-system)"
