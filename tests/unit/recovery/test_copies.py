"""How what a copy of a disk holds is opened beside the original."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fakes import recorded_machines as recorded
from fakes.builders import cloud_disk
from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.model.disks import CloudDisk
from snap_self.model.machine import MachineText
from snap_self.recovery.copies import AttachedDisk, Opening, attached_disks, open_copies


def _argv(opening: Opening) -> list[str]:
    return [" ".join(step.argv) for step in opening.steps]


def _attached(text: MachineText, cloud: Sequence[CloudDisk]) -> tuple[AttachedDisk, ...]:
    layout = read_layout(text)
    found = map_disks(layout, cloud, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    return attached_disks(cloud, layout, found)


def _opening(machine: str, mount: str) -> Opening:
    return _opening_of(recorded.machine(machine), recorded.cloud_disks(machine), mount)


def _opening_of(text: MachineText, cloud: Sequence[CloudDisk], mount: str) -> Opening:
    copied = (one for disk in _attached(text, cloud) for one in disk.copied)
    return open_copies([next(one for one in copied if one.mount == mount)])


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
    opening = _opening(machine, mount)
    assert [line for line in _argv(opening) if line in lines] == lines
    assert opening.after == (
        f"/mnt/restore holds what was {mount}; its log was replayed on the copy",
    )


# What a mount point or the name of a volume reads like decides nothing: only what the kernel says.
NAMES_LIKE_LAYERS = ["/srv ← vg0-x (lvm)", "/srv (md)", "/srv ← vda1", "/ ← a (crypt) ← b"]


@pytest.mark.parametrize("mount", NAMES_LIKE_LAYERS)
def test_mount_point_that_reads_like_layers_is_opened_as_what_it_is(mount: str) -> None:
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    part = machine.partition("vda", 1, 39)
    machine.mount(mount.replace(" ", r"\040"), "ext4", f"/dev/{part}", device=part)
    opening = _opening_of(machine.text(), [cloud_disk(1)], mount)
    assert _argv(opening) == [
        "mkdir -p /mnt/restore",
        "mount -t ext4 -o ro /dev/NEW1 /mnt/restore",
    ]
    assert opening.cautions == ()


@pytest.mark.parametrize("name", ["secret (old)", "secret ← x", "vda-1", "vdax"])
def test_volume_that_reads_like_another_layer_is_opened_as_what_it_is(name: str) -> None:
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    volume = machine.mapper(0, name, "CRYPT-LUKS2-0", gib=40, lower=["vda"])
    machine.mount("/srv", "ext4", f"/dev/mapper/{name}", device=volume)
    opening = _opening_of(machine.text(), [cloud_disk(1)], "/srv")
    argv = ("cryptsetup", "open", "--readonly", "/dev/NEW", f"restore_{name}")
    assert opening.steps[0].argv == argv


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
    opening = _opening(machine, mount)
    (told,) = opening.cautions
    assert f"{mount} is on {why}" in told
    assert (opening.steps, opening.after) == ((), ())
    assert "another instance" in told


def test_what_lies_in_an_image_file_is_found_inside_what_holds_it() -> None:
    with pytest.raises(StopIteration):
        _opening("loop-images", "/srv/app")


@pytest.mark.parametrize("machine", ["lvm-two-disks", "luks-on-lvm", "nvme"])
def test_attached_disk_has_its_name_here_and_what_lies_on_it(machine: str) -> None:
    cloud = recorded.cloud_disks(machine)
    disks = _attached(recorded.machine(machine), cloud)
    assert [disk.cloud for disk in disks] == cloud
    assert [disk.is_system for disk in disks] == [True, False, False]
    assert all(disk.name in one.disks for disk in disks for one in disk.copied)
    assert disks[0].mounts[0] == "/"


def test_cloud_disk_that_is_no_local_one_is_attached_without_a_name() -> None:
    cloud = [*recorded.cloud_disks("one-virtio-disk"), cloud_disk(9)]
    disks = _attached(recorded.machine("one-virtio-disk"), cloud)
    assert [(disk.name, disk.mounts) for disk in disks] == [("vda", ("/",)), ("", ())]


def test_copy_of_which_nothing_is_known_is_looked_at_by_its_reader() -> None:
    opening = open_copies(())
    assert [step.argv[0] for step in opening.steps] == ["mkdir", "mount"]
    assert "one of its partitions" in opening.steps[-1].why
    assert [step.argv for step in opening.closing] == [("umount", "/mnt/restore")]


@pytest.mark.parametrize(
    ("machine", "mount", "lines"),
    [
        ("nvme", "/logs", ["umount /mnt/restore"]),
        (
            "lvm-two-disks",
            "/logs",
            ["umount /mnt/restore", "vgchange --activate n restore_vg0"],
        ),
    ],
)
def test_what_is_opened_is_closed_again_line_by_line_the_last_first(
    machine: str, mount: str, lines: list[str]
) -> None:
    closing = _opening(machine, mount).closing
    assert [" ".join(step.argv) for step in closing] == lines


def test_copies_in_an_encrypted_volume_are_closed_with_it() -> None:
    closing = _opening("luks-on-lvm", "/secret").closing
    assert [step.argv[:2] for step in closing] == [
        ("umount", "/mnt/restore"),
        ("cryptsetup", "close"),
        ("vgchange", "--activate"),
    ]


def test_volume_group_of_two_copies_is_left_after_the_last_of_them() -> None:
    copied = [
        one
        for disk in _attached(
            recorded.machine("lvm-two-disks"), recorded.cloud_disks("lvm-two-disks")
        )
        for one in disk.copied
        if any(layer.kind == "lvm" for layer in one.layers)
    ]
    closing = [step.argv[0] for step in open_copies(copied).closing]
    assert closing.count("vgchange") == 1
    assert closing[-1] == "vgchange"
