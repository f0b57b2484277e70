"""Whatever lies on whatever: the way down ends at the whole disks, and at nothing else."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder
from snap_self.disks.blocks import read_blocks
from snap_self.disks.kinds import BackingFile
from snap_self.disks.stack import MAX_LAYERS, Below, Stack, joined
from snap_self.errors import TopologyError
from snap_self.model.disks import Layer

VDA = Layer(kind="disk", name="vda", device="vda")
VDB = Layer(kind="disk", name="vdb", device="vdb")
TOP = Layer(kind="mount", name="/")


class Images:
    """Answers what lies below images, and keeps what it was asked."""

    def __init__(self, answer: Below | None = None) -> None:
        self.asked: list[tuple[str, set[str]]] = []
        self._answer = answer or Below()

    def below(self, image: BackingFile, without: Collection[str]) -> Below:
        self.asked.append((image.path, set(without)))
        return self._answer


def machine() -> MachineBuilder:
    found = MachineBuilder()
    found.virtio("vda", 40)
    found.virtio("vdb", 40)
    return found


def stack(found: MachineBuilder, images: Images | None = None) -> Stack:
    return Stack(read_blocks(found.text()), (images or Images()).below)


def test_disk_lies_on_itself_alone() -> None:
    assert stack(machine()).below("vda") == Below(ways={"vda": (VDA,)})


def test_device_that_is_not_there_lies_on_nothing() -> None:
    assert stack(machine()).below("vdz") == Below()


def test_way_leads_through_each_layer_to_each_disk() -> None:
    found = machine()
    part = found.partition("vda", 1, 1)
    volume = found.mapper(0, "vg-data", "LVM-0", gib=1, lower=[part, "vdb"])
    upper = Layer(kind="lvm", name="vg-data", device="dm-0")
    below = stack(found).below(volume)
    assert below.ways == {
        "vda": (upper, Layer(kind="partition", name="vda1", device="vda1"), VDA),
        "vdb": (upper, VDB),
    }
    assert (below.disks, below.carriers) == ({"vda", "vdb"}, frozenset())


def test_image_lies_where_its_file_does_and_what_is_mounted_from_it_is_looked_through() -> None:
    found = machine()
    loop = found.loop(0, "/i", sectors=8)
    part = found.partition(loop, 1, 1, minor=9)
    inside = Below(ways={"vdb": (TOP, VDB)}, carriers=frozenset({"253:16"}))
    images = Images(inside)
    below = stack(found, images).below(part)
    assert below.ways == {
        "vdb": (
            Layer(kind="partition", name="loop0p1", device="loop0p1"),
            Layer(kind="loop", name="loop0", device="loop0", image="/i"),
            TOP,
            VDB,
        )
    }
    assert below.carriers == {"253:16"}
    assert images.asked == [("/i", {found.number(loop), found.number(part)})]


def test_image_on_no_disk_is_a_disk_of_its_own() -> None:
    found = machine()
    loop = found.loop(0, "/run/i", sectors=8)
    below = stack(found, Images(Below(carriers=frozenset({"0:30"})))).below(loop)
    assert below == Below(ways={"loop0": (Layer(kind="loop", name="loop0", device="loop0"),)})


def test_device_is_walked_once() -> None:
    found = machine()
    loop = found.loop(0, "/i", sectors=8)
    images = Images()
    walked = stack(found, images)
    assert walked.below(loop) == walked.below(loop)
    assert len(images.asked) == 1


@pytest.mark.parametrize(
    ("serials", "found"),
    [(("s", "s"), {"sda"}), (("s", "t"), {"sda", "sdb"}), (("", ""), {"sda"})],
    ids=["one-disk", "two-disks", "nothing-told"],
)
def test_paths_to_one_disk_count_as_one(serials: tuple[str, str], found: set[str]) -> None:
    built = MachineBuilder()
    for index, (name, serial) in enumerate(zip(("sda", "sdb"), serials, strict=True)):
        built.device(name, f"devices/pci0/{name}", number=f"8:{index * 16}", sectors=8)
        built.links[f"{CLASS}{name}/device"] = "../../x"
        built.files[f"{CLASS}{name}/serial"] = serial
    built.mapper(0, "mpatha", "mpath-0", gib=1, lower=["sda", "sdb"])
    built.mapper(1, "vg-x", "LVM-0", gib=1, lower=["sda", "sdb"])
    assert stack(built).below("dm-0").disks == found
    assert stack(built).below("dm-1").disks == {"sda", "sdb"}


def test_path_that_has_gone_does_not_make_a_disk_two() -> None:
    built = MachineBuilder()
    built.device("sda", "devices/pci0/sda", number="8:0", sectors=8)
    built.files[f"{CLASS}sda/serial"] = "s"
    built.mapper(0, "mpatha", "mpath-0", gib=1, lower=["sda"])
    built.links[f"{CLASS}dm-0/slaves/sdb"] = "../../sdb"
    assert stack(built).below("dm-0").disks == {"sda"}


def chain(length: int) -> MachineBuilder:
    """Return a disk below many devices that lie on each other."""
    found = machine()
    lower = "vda"
    for index in range(length - 1):
        lower = found.mapper(index, f"m{index}", "", gib=1, lower=[lower])
    return found


def test_devices_may_lie_on_each_other_many_times() -> None:
    top = f"dm-{MAX_LAYERS - 2}"
    assert stack(chain(MAX_LAYERS)).below(top).disks == {"vda"}


def test_devices_that_lie_too_deep_are_refused_by_the_lowest_of_them() -> None:
    with pytest.raises(TopologyError) as caught:
        stack(chain(MAX_LAYERS + 1)).below(f"dm-{MAX_LAYERS - 1}")
    lowest = ", ".join([*(f"dm-{index}" for index in range(6, -1, -1)), "vda"])
    assert f"the block devices {lowest} lie on each other" in caught.value.message
    assert "slaves" in caught.value.hint


def test_devices_in_a_ring_are_refused_and_others_are_not() -> None:
    found = machine()
    for index in (0, 1):
        found.virtual(f"odd{index}", number=f"200:{index}", sectors=SECTORS_PER_GIB)
    found.stacked("odd0", "odd1")
    found.stacked("odd1", "odd0")
    walked = stack(found)
    for _ in range(2):
        with pytest.raises(TopologyError, match="odd0, odd1, odd0 lie on each other"):
            walked.below("odd0")
    assert walked.below("vda").disks == {"vda"}


def test_first_part_tells_the_way_to_a_disk_that_several_lie_on() -> None:
    first = Below(ways={"vda": (VDA,)}, carriers=frozenset({"a"}))
    second = Below(ways={"vda": (TOP, VDA), "vdb": (VDB,)}, carriers=frozenset({"b"}))
    both = joined([first, second])
    assert both == Below(ways={"vda": (VDA,), "vdb": (VDB,)}, carriers=frozenset({"a", "b"}))
    assert both.under(TOP) == {"vda": (TOP, VDA), "vdb": (TOP, VDB)}
    assert joined([]) == Below()
