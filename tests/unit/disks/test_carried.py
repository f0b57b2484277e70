"""What a run's disks carry and what they do not, as the journal keeps it for people."""

from __future__ import annotations

from dataclasses import replace

from fakes import recorded_machines as recorded
from snap_self.disks.carried import MOST_MOUNTS, carried_by, lacking_in
from snap_self.disks.coverage import choose
from snap_self.disks.gaps import FOREIGN
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.model.disks import Coverage, Layout, Selection
from snap_self.model.ids import DiskId


def found(
    machine: str, *disks: str, exclude: tuple[str, ...] = (), known: int | None = None
) -> tuple[Layout, Coverage]:
    """Return what is on a recorded machine, and what a request for these disks covers.

    Args:
        known: of how many disks the cloud tells; None for all.
    """
    layout, cloud = read_layout(recorded.machine(machine)), recorded.cloud_disks(machine)[:known]
    disk_map = map_disks(
        layout, cloud, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={}
    )
    return layout, choose(layout, disk_map, Selection(disks=disks, exclude=exclude), ())


def test_each_disk_has_its_mount_points_the_shortest_first() -> None:
    _, coverage = found("nvme")
    assert sorted(carried_by(coverage.targets).values()) == [
        ("/", "/boot/efi"),
        ("/data",),
        ("/logs",),
    ]


def test_set_of_all_disks_lacks_nothing() -> None:
    layout, coverage = found("nvme")
    assert lacking_in(layout, coverage) == {}


def test_set_of_one_disk_lacks_what_lies_on_the_others() -> None:
    layout, coverage = found("nvme", "/data")
    why = "not asked for: no --path or --disk given leads to it"
    assert lacking_in(layout, coverage) == {"/": why, "/logs": why, "/boot/efi": why}


def test_what_was_excluded_is_lacking_for_that_reason() -> None:
    layout, coverage = found("nvme", exclude=("/data",))
    assert lacking_in(layout, coverage) == {"/data": "left out by --exclude /data"}


def test_what_lies_on_a_disk_that_the_cloud_does_not_know_is_lacking_for_that_reason() -> None:
    layout, coverage = found("nvme", known=2)
    assert lacking_in(layout, coverage) == {"/data": FOREIGN}


def test_volume_over_two_disks_is_lacking_where_one_of_them_is() -> None:
    layout, coverage = found("lvm-two-disks")
    (first, *others) = coverage.targets
    part = replace(coverage, targets=(first,))
    assert set(lacking_in(layout, part)) >= {
        path for target in others for path in carried_by([target])[target.cloud.disk_id]
    }


def test_filesystem_that_cannot_be_written_is_not_missed() -> None:
    layout, coverage = found("nvme", "/data")
    read_only = {key: replace(each, read_only=True) for key, each in layout.filesystems.items()}
    assert lacking_in(replace(layout, filesystems=read_only), coverage) == {}


def test_mount_points_are_kept_up_to_a_number() -> None:
    _, coverage = found("one-virtio-disk")
    (target,) = coverage.targets
    (filesystem,) = target.filesystems
    (mount, *_) = filesystem.mounts
    many = tuple(replace(mount, path=f"/{number:03}") for number in range(100))
    crowded = replace(target, filesystems=(replace(filesystem, mounts=many),))
    assert len(carried_by([crowded])[DiskId(target.cloud.disk_id)]) == MOST_MOUNTS
