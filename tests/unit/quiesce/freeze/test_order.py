"""What is frozen, and in which order."""

from __future__ import annotations

from itertools import permutations

import pytest

from fakes.freezing import filesystem, mount
from snap_self.model.disks import Filesystem
from snap_self.quiesce.freeze.order import freeze_order


def paths(*filesystems: Filesystem) -> list[str]:
    return [target.path for target in freeze_order(filesystems).targets]


def test_children_come_before_parents_and_root_last_whatever_the_input_order() -> None:
    tree = [filesystem(path) for path in ("/", "/srv", "/srv/data", "/srv/data/x", "/boot")]
    for given in permutations(tree):
        order = paths(*given)
        assert order[-1] == "/"
        assert order.index("/srv/data/x") < order.index("/srv/data") < order.index("/srv")


def test_image_comes_before_its_holder_even_when_mounted_above_it() -> None:
    image = filesystem("/i", parents=frozenset({"key:/very/deep/holder"}))
    assert paths(filesystem("/very/deep/holder"), image) == ["/i", "/very/deep/holder"]


def test_image_in_an_image_comes_first_of_the_chain() -> None:
    outer = filesystem("/a/b", parents=frozenset({"key:/"}))
    inner = filesystem("/c", parents=frozenset({"key:/a/b"}))
    assert paths(filesystem("/"), outer, inner) == ["/c", "/a/b", "/"]


def test_root_in_an_image_comes_before_the_filesystem_that_holds_it() -> None:
    root = filesystem("/", parents=frozenset({"key:/host"}))
    assert paths(root, filesystem("/host")) == ["/", "/host"]


def ranks(*filesystems: Filesystem) -> dict[str, int]:
    return {target.path: target.rank for target in freeze_order(filesystems).targets}


def test_siblings_share_a_rank_and_what_holds_others_comes_in_a_later_one() -> None:
    tree = [filesystem(path) for path in ("/", "/srv", "/srv/a", "/srv/b", "/boot", "/srvx")]
    assert ranks(*tree) == {
        "/srv/a": 0,
        "/srv/b": 0,
        "/boot": 0,
        "/srvx": 0,
        "/srv": 1,
        "/": 2,
    }


def test_image_never_shares_a_rank_with_its_holder() -> None:
    image = filesystem("/i", parents=frozenset({"key:/holder"}))
    assert ranks(filesystem("/holder"), image) == {"/i": 0, "/holder": 1}


def test_parents_in_a_ring_do_not_hinder_an_order() -> None:
    one = filesystem("/one", parents=frozenset({"key:/two"}))
    two = filesystem("/two", parents=frozenset({"key:/one"}))
    assert sorted(paths(one, two)) == ["/one", "/two"]


def test_superblock_given_twice_is_frozen_once() -> None:
    both = filesystem("/data", mounts=(mount("/data"), mount("/also")))
    assert len(freeze_order([both, both]).targets) == 1


def test_whole_mounts_are_opened_before_bind_mounts_of_a_part() -> None:
    mounts = (mount("/f", root="/etc/file"), mount("/long/data"), mount("/ro", read_only=True))
    order = freeze_order([filesystem("/long/data", mounts=mounts)])
    assert [m.path for m in order.targets[0].mounts] == ["/long/data", "/ro", "/f"]


def test_covered_mounts_and_those_of_other_namespaces_are_not_opened() -> None:
    mounts = (mount("/seen"), mount("/under", hidden=True), mount("/other", namespace=4026532))
    order = freeze_order([filesystem("/seen", mounts=mounts)])
    assert [m.path for m in order.targets[0].mounts] == ["/seen"]


@pytest.mark.parametrize(
    ("given", "why", "weakens"),
    [
        (filesystem("/efi", fstype="vfat"), "vfat cannot be frozen", True),
        (filesystem("/net", fstype="nfs4"), "nfs4 cannot be frozen", True),
        (filesystem("/b", fstype="bcachefs"), "while frozen it fails writes", True),
        (filesystem("/g", fstype="gfs2"), "every node of its cluster", True),
        (filesystem("/cd", read_only=True), "mounted read-only", False),
        (filesystem("/c", mounts=(mount("/c", namespace=7),)), "cannot open it", True),
    ],
    ids=["vfat", "nfs", "bcachefs", "gfs2", "read-only", "elsewhere"],
)
def test_filesystem_that_cannot_be_frozen_is_left_out_with_the_reason(
    given: Filesystem, why: str, weakens: bool
) -> None:
    order = freeze_order([given])
    assert order.targets == ()
    assert why in order.left_out[0].why
    assert order.left_out[0].weakens is weakens


@pytest.mark.parametrize("fstype", ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs"])
def test_each_type_with_a_freeze_operation_is_frozen(fstype: str) -> None:
    assert paths(filesystem("/data", fstype=fstype)) == ["/data"]
