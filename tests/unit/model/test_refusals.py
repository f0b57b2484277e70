"""Which copies are not opened beside their originals, and what is said instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snap_self.model.opening import CopyShape, LogicalVolume, RefusalKind
from snap_self.model.refusals import refusal_of

LVM = LogicalVolume(group="vg0", name="root")


def shape(fstype: str = "ext4", **given: object) -> CopyShape:
    return CopyShape(fstype=fstype, what="/srv", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "found",
    [
        shape(),
        shape("ext3"),
        shape("xfs", layers=("mount", "partition", "disk"), partition=(1 << 20, 1 << 30)),
        shape("btrfs", subvolume="@home"),
        shape(layers=("mount", "lvm", "partition", "disk"), lvm=LVM),
    ],
)
def test_usual_layouts_are_opened(found: CopyShape) -> None:
    assert refusal_of(found, btrfs_beside=True, lvm_usable=True) is None


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (shape("btrfs", members=2), RefusalKind.SEVERAL_DEVICES),
        (shape("xfs", members=2), RefusalKind.SEVERAL_DEVICES),
        (shape(layers=("mount", "md", "disk")), RefusalKind.MD),
        (shape(layers=("mount", "lvm", "md", "disk"), lvm=LVM), RefusalKind.MD),
        (shape(layers=("mount", "crypt", "disk")), RefusalKind.LUKS),
        (shape(layers=("mount", "lvm", "crypt", "disk"), lvm=LVM), RefusalKind.LUKS),
        (shape("f2fs"), RefusalKind.FILESYSTEM),
        (shape("bcachefs", members=3), RefusalKind.FILESYSTEM),
        (shape(layers=("mount", "loop", "mount", "disk")), RefusalKind.LAYER),
        (shape(layers=("mount", "bcache", "disk")), RefusalKind.LAYER),
    ],
)
def test_layout_that_could_harm_the_original_is_refused_with_steps_that_work(
    found: CopyShape, kind: RefusalKind
) -> None:
    refused = refusal_of(found, btrfs_beside=True, lvm_usable=True)
    assert refused is not None
    assert (refused.kind, refused.what) == (kind, "/srv")
    assert len(refused.steps) >= 2
    assert all(refused.steps)


def test_copy_that_only_its_checker_looks_at_is_refused_for_its_layers_alone() -> None:
    for fstype in ("vfat", "f2fs"):
        found = refusal_of(shape(fstype), btrfs_beside=True, lvm_usable=True)
        assert found is not None
        assert found.kind is RefusalKind.FILESYSTEM
    checked = shape("vfat", only_checked=True)
    assert refusal_of(checked, btrfs_beside=True, lvm_usable=True) is None
    for found in (shape("f2fs", only_checked=True), replace(checked, layers=("md",))):
        assert refusal_of(found, btrfs_beside=True, lvm_usable=True) is not None


def test_btrfs_is_refused_where_the_kernel_takes_the_copy_for_the_original() -> None:
    refused = refusal_of(shape("btrfs"), btrfs_beside=False, lvm_usable=True)
    assert refused is not None
    assert refused.kind is RefusalKind.OLD_KERNEL
    assert refusal_of(shape("ext4"), btrfs_beside=False, lvm_usable=True) is None


def test_lvm_without_its_programs_is_refused_with_the_packages_names() -> None:
    found = shape(layers=("mount", "lvm", "disk"), lvm=LVM)
    refused = refusal_of(found, btrfs_beside=True, lvm_usable=False)
    assert refused is not None
    assert refused.kind is RefusalKind.NO_TOOLS
    assert "lvm2" in refused.steps[0]
    assert refusal_of(shape(), btrfs_beside=True, lvm_usable=False) is None
