"""Whatever procfs and sysfs hold, the answer is a layout or one of our errors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakes import recorded_machines as recorded
from fakes.machine_builder import CLASS, MachineBuilder
from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import SnapSelfError
from snap_self.model.disks import Selection
from snap_self.model.machine import MachineText, PathFact

NAMES = recorded.names()
JUNK = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "\0", "0\n", "-1", "9" * 30, "../../vda", "253:0", "/", " (deleted)"]),
    st.text("vdabcm0123456789:/-\\ \n,=", max_size=60),
)
DEVICES = st.sampled_from(["vda", "vdb", "dm-0", "dm-1", "md0", "loop0", "loop1", "bcache0"])


def try_all(machine: MachineText, name: str, path: str) -> None:
    refusal = refusal_of(machine, name, path)
    assert refusal is None or (refusal.message and refusal.exit_status in (2, 6))


def refusal_of(machine: MachineText, name: str, path: str) -> SnapSelfError | None:
    try:
        layout = read_layout(machine)
        disk_map = map_disks(
            layout,
            recorded.cloud_disks(name),
            instance_id=recorded.INSTANCE,
            serial_to_disk={},
            user_map={},
        )
        fact = PathFact(asked=path, real=path, mount_id=None)
        for selection, facts in ((Selection(), ()), (Selection(paths=(path,)), (fact,))):
            flush_plan(choose(layout, disk_map, selection, facts))
    except SnapSelfError as error:
        return error
    return None


@given(st.sampled_from(NAMES), st.data())
def test_any_content_in_any_file_is_understood_or_refused(name: str, data: st.DataObject) -> None:
    recording = recorded.machine(name)
    files, links = dict(recording.files), dict(recording.links)
    for path in data.draw(st.lists(st.sampled_from(sorted(files)), max_size=5)):
        files[path] = data.draw(JUNK)
    for path in data.draw(st.lists(st.sampled_from(sorted(files)), max_size=5)):
        files.pop(path, None)
    for path in data.draw(st.lists(st.sampled_from(sorted(links)), max_size=5)):
        links[path] = data.draw(JUNK)
    for path in data.draw(st.lists(st.sampled_from(sorted(links)), max_size=5)):
        links.pop(path, None)
    machine = MachineText(files=files, links=links, failures=recording.failures)
    try_all(machine, name, data.draw(JUNK))


@given(st.lists(st.tuples(DEVICES, DEVICES), max_size=12), st.lists(DEVICES, max_size=6))
def test_any_stacking_is_understood_or_refused(
    pairs: list[tuple[str, str]], mounted: list[str]
) -> None:
    builder = MachineBuilder()
    builder.virtio("vda", 40, "a")
    builder.virtio("vdb", 40)
    builder.mapper(0, "vg-a", "LVM-x", gib=1, lower=[])
    builder.mapper(1, "mpatha", "mpath-x", gib=1, lower=[])
    builder.md("md0", "raid1", gib=1, lower=[])
    builder.loop(0, "/vdb/image", sectors=2048)
    builder.loop(1, "/loop0/image", sectors=2048)
    builder.virtual("bcache0", number="251:0", sectors=2048)
    builder.mount("/", "ext4", "/dev/vda", device="vda")
    for device in mounted:
        builder.mount(f"/{device}", "ext4", f"/dev/{device}", device=device)
    for upper, lower in pairs:
        builder.links[f"{CLASS}{upper}/slaves/{lower}"] = f"../../{lower}"
    try_all(builder.text(), NAMES[0], "/md0/x")


@given(st.lists(st.tuples(JUNK, JUNK, JUNK), max_size=8))
def test_any_overlays_are_understood_or_refused(overlays: list[tuple[str, str, str]]) -> None:
    builder = MachineBuilder()
    builder.virtio("vda", 40, "a")
    builder.mount("/", "ext4", "/dev/vda", device="vda")
    for path, lower, upper in overlays:
        extra = f"rw,lowerdir={lower},upperdir=/{upper}".replace(" ", "").replace("\n", "")
        folder = f"/{path}".replace(" ", "").replace("\n", "")
        builder.mount(folder, "overlay", "overlay", extra=extra)
    try_all(builder.text(), NAMES[0], "/x")
