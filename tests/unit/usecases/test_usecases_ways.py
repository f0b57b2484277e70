"""The ways back: right for this instance, its disks as they are now, and what they carry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import recorded_machines as recorded
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId
from snap_self.model.ways import Way
from snap_self.usecases.copies import Copied, copied_by_disk, open_copies
from snap_self.usecases.ways import Ground, Shot, all_ways

ME, REGION, ZONE = InstanceId("i-own"), RegionId("cn-hangzhou"), "cn-hangzhou-i"
SYSTEM, DATA = DiskId("d-system"), DiskId("d-data")


def disk(disk_id: DiskId, **changes: object) -> CloudDisk:
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
    return replace(base, **changes)  # type: ignore[arg-type]


def shot(disk_id: DiskId, **changes: object) -> Shot:
    base = Shot(
        snapshot_id=SnapshotId(f"s-{disk_id[2:]}"),
        disk_id=disk_id,
        group_id=GroupId("ssg-1"),
        size_gib=40,
        usable=True,
        uploaded=True,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def copied(mount: str, *disks: str, **changes: object) -> Copied:
    base = Copied(mount=mount, fstype="xfs", part="", layers=(), disks=frozenset(disks))
    return replace(base, **changes)  # type: ignore[arg-type]


GROUND = Ground(
    instance_id=ME,
    region=REGION,
    zone=ZONE,
    disks={SYSTEM: disk(SYSTEM), DATA: disk(DATA)},
    copied={SYSTEM: (copied("/", "vda", part="1"),), DATA: (copied("/srv", "vdb"),)},
    local={SYSTEM: "vda", DATA: "vdb"},
    lost=(),
    before="os upgrade",
)
BOTH = (shot(DATA), shot(SYSTEM))


def commands(way: Way) -> list[str]:
    return [line.partition("   #")[0] for line in way.commands]


def said(way: Way) -> str:
    return "\n".join((way.title, *way.cautions, *way.console, *way.commands, *way.after))


def test_whole_run_is_rolled_back_with_the_instance_stopped_and_charged_for() -> None:
    way = all_ways(BOTH, GROUND)[0]
    assert commands(way) == [
        "aliyun ecs StopInstance --RegionId cn-hangzhou --InstanceId i-own "
        "--StoppedMode KeepCharging",
        "aliyun ecs DescribeInstances --RegionId cn-hangzhou --InstanceIds '[\"i-own\"]'",
        "aliyun ecs ResetDisk --RegionId cn-hangzhou --DiskId d-system --SnapshotId s-system",
        "aliyun ecs ResetDisk --RegionId cn-hangzhou --DiskId d-data --SnapshotId s-data",
        "aliyun ecs DescribeDisks --RegionId cn-hangzhou --InstanceId i-own",
        "aliyun ecs StartInstance --RegionId cn-hangzhou --InstanceId i-own",
    ]
    assert "not Economical Mode" in way.console[0]
    assert "ssg-1 > Roll Back Disks: d-system, d-data" in way.console[1]


def test_data_disks_alone_are_rolled_back_detached_while_the_instance_runs() -> None:
    way = all_ways(BOTH, GROUND)[1]
    assert "StopInstance" not in said(way)
    assert "d-system" not in said(way)
    lines = commands(way)
    order = [lines.index(f"umount {'/srv'}"), lines.index("mount /srv")]
    reset = next(i for i, line in enumerate(lines) if "ResetDisk" in line)
    detach = next(i for i, line in enumerate(lines) if "DetachDisk" in line)
    attach = next(i for i, line in enumerate(lines) if "AttachDisk" in line)
    assert order[0] < detach < reset < attach < order[1]


def test_data_disk_that_shares_a_volume_with_the_system_disk_has_no_way_of_its_own() -> None:
    shared = copied("/srv", "vda", "vdb", layers=(("lvm", "vg0-srv"),))
    ground = replace(GROUND, copied={SYSTEM: (shared,), DATA: (shared,)})
    assert not any("data disks only" in way.title for way in all_ways(BOTH, ground))


def test_volume_that_lies_on_a_disk_of_another_run_is_warned_of() -> None:
    shared = copied("/srv", "vdb", "vdc", layers=(("lvm", "vg0-srv"),))
    ground = replace(GROUND, copied={DATA: (shared,)})
    way = all_ways((shot(DATA),), ground)[0]
    assert any("/srv: lies also on disks that do not go back" in line for line in way.cautions)


def test_snapshot_of_a_replaced_system_disk_is_not_rolled_back_in_place() -> None:
    ground = replace(GROUND, disks={DATA: disk(DATA)})
    ways = all_ways(BOTH, ground)
    assert not any("ResetDisk" in line and "d-system" in line for w in ways for line in w.commands)
    new = next(way for way in ways if "s-system" in way.title)
    assert "not attached to this instance any more" in new.title
    assert "--DiskCategory cloud_essd " in said(new)


def test_only_the_disk_of_an_instance_has_no_way_without_a_stop() -> None:
    ground = replace(GROUND, disks={SYSTEM: disk(SYSTEM)})
    assert [way.title[:9] for way in all_ways((shot(SYSTEM),), ground)] == [
        "Roll back",
        "Look into",
    ]


def test_disk_of_which_no_snapshot_is_left_is_named() -> None:
    ground = replace(GROUND, lost=(DiskId("d-lost"),))
    assert "no snapshot of d-lost is left of this run" in said(all_ways(BOTH, ground)[0])


def test_disk_that_was_enlarged_since_is_told() -> None:
    ground = replace(GROUND, disks={SYSTEM: disk(SYSTEM), DATA: disk(DATA, size_gib=80)})
    assert "d-data was enlarged since, from 40 to 80 GiB" in said(all_ways(BOTH, ground)[0])


@pytest.mark.parametrize(("before", "told"), [("pacman: upgrade linux", True), ("apt: x", False)])
def test_lock_file_of_pacman_is_named_for_what_pacman_was_about(before: str, told: bool) -> None:
    way = all_ways(BOTH, replace(GROUND, before=before))[0]
    assert ("/var/lib/pacman/db.lck" in said(way)) is told


def test_snapshot_that_cannot_be_used_yet_is_said_to_be_so() -> None:
    ways = all_ways((shot(SYSTEM, usable=False, uploaded=False),), GROUND)
    assert all("s-system cannot be used yet" in said(way) for way in ways)


@pytest.mark.parametrize(
    ("category", "size", "words"),
    [
        ("cloud_essd", 40, "--DiskCategory cloud_essd --Size 40"),
        ("cloud_essd", 10, "--DiskCategory cloud_essd --PerformanceLevel PL0 --Size 10"),
        ("cloud_efficiency", 10, "--DiskCategory cloud_efficiency --Size 10"),
    ],
)
def test_new_disk_has_the_source_disks_category_and_size(
    category: str, size: int, words: str
) -> None:
    ground = replace(GROUND, disks={DATA: disk(DATA, category=category)})
    way = all_ways((shot(DATA, size_gib=size),), ground)[-1]
    assert f"--ZoneId cn-hangzhou-i --SnapshotId s-data {words} " in said(way)


def test_upload_that_goes_on_is_warned_of_before_the_stop() -> None:
    told = said(all_ways((shot(SYSTEM, uploaded=False),), GROUND)[0])
    assert "systemctl stop 'snap-self-follow@*'" in told
    assert "snap-self-follow" not in said(all_ways((shot(SYSTEM),), GROUND)[0])


def test_stop_of_a_broken_system_is_said_to_need_force_where_a_stop_is_needed() -> None:
    in_place, *others = all_ways((shot(SYSTEM), shot(DATA)), GROUND)
    assert any("--ForceStop true" in line for line in in_place.cautions)
    assert not any("--ForceStop" in said(way) for way in others)


def test_new_disk_of_a_slow_category_waits_for_the_upload() -> None:
    ground = replace(GROUND, disks={DATA: disk(DATA, category="cloud_ssd")})
    way = all_ways((shot(DATA, uploaded=False),), ground)[-1]
    assert "can be made only once it is accomplished" in said(way)


def _opening(machine: str, mount: str) -> list[str]:
    layout = read_layout(recorded.machine(machine))
    found = map_disks(
        layout,
        recorded.cloud_disks(machine),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map={},
    )
    by_disk = copied_by_disk(layout, found)
    one = next(c for copies in by_disk.values() for c in copies if c.mount == mount)
    return [line.partition("   #")[0] for line in open_copies([one])]


@pytest.mark.parametrize(
    ("machine", "mount", "lines"),
    [
        ("one-virtio-disk", "/", ["mount -t ext4 -o ro /dev/NEW1 /mnt/restore"]),
        ("nvme", "/data", ["mount -t xfs -o ro,nouuid /dev/NEWp1 /mnt/restore"]),
        ("nvme", "/logs", ["mount -t ext4 -o ro /dev/NEW /mnt/restore"]),
        (
            "lvm-two-disks",
            "/data",
            [
                "vgimportclone --basevgname restore_vg0 /dev/NEW1",
                "vgchange --activate y restore_vg0",
                "mount -t xfs -o ro,nouuid /dev/restore_vg0/data /mnt/restore",
            ],
        ),
        (
            "lvm-two-disks",
            "/logs",
            ["mount -t ext4 -o ro /dev/restore_vg0/web-logs /mnt/restore"],
        ),
        (
            "luks-on-lvm",
            "/secret",
            [
                "cryptsetup open --readonly /dev/restore_vg0/secret restore_secret",
                "mount -t ext4 -o ro /dev/mapper/restore_secret /mnt/restore",
            ],
        ),
        (
            "lvm-thin",
            "/thin",
            ["mount -t xfs -o ro,nouuid /dev/restore_vg0/thin /mnt/restore"],
        ),
    ],
)
def test_copy_of_a_recorded_machines_disk_is_opened_so(
    machine: str, mount: str, lines: list[str]
) -> None:
    told = _opening(machine, mount)
    assert [line for line in told if line in lines] == lines


@pytest.mark.parametrize(
    ("machine", "mount", "why"),
    [
        ("btrfs-two-disks", "/data", "btrfs"),
        ("md-raid0", "/data", "an md array"),
        ("md-raid1", "/data", "an md array"),
        ("bcache", "/data", "bcache"),
        ("outer-journals", "/with space", "several disks"),
    ],
)
def test_copy_that_would_be_mixed_up_with_the_original_is_opened_elsewhere(
    machine: str, mount: str, why: str
) -> None:
    (told,) = _opening(machine, mount)
    assert f"{mount} is on {why}" in told
    assert "another instance" in told


def test_what_lies_in_an_image_file_is_found_inside_what_holds_it() -> None:
    with pytest.raises(StopIteration):
        _opening("loop-images", "/srv/app")
