"""Whatever a machine looks like: a level is claimed only with every live filesystem in it.

A made-up kernel has disks, volumes, images and filesystems on them, mounted in several namespaces,
covered, read-only, or nowhere that can be seen, and is changed while the cloud is asked. It knows
what lies on which disk and what was synced; the agent sees its text alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakes import recorded_machines as recorded
from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.coverage import choose, seen_again
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import SnapSelfError
from snap_self.model.disks import Coverage, Selection
from snap_self.model.flushed import Synced, SyncFault
from snap_self.model.flushing import FlushTarget
from snap_self.model.snapshots import Consistency
from snap_self.quiesce.freeze.order import freeze_order
from snap_self.usecases.job.flush import flush

DISKS = ("vda", "vdb", "vdc")
FOREIGN, PID = "4026532215", 4711
# What has no place in /sys/fs: where no mount of it is seen, nothing tells of it.
UNLISTED = ("vfat",)


@dataclass(frozen=True)
class Place:
    """Where a filesystem is mounted.

    Args:
        where: ``own``, ``foreign`` or ``unseen``: a namespace that no process shows.
    """

    where: str = "own"
    read_only: bool = False
    covered: bool = False


@dataclass(frozen=True)
class Plan:
    """A filesystem to be made.

    Args:
        below: what it lies on: a disk's number, ``lv`` (over two disks), or ``image`` (in a file of
            the filesystem made before it).
        late: it is mounted where it is only after the first look.
    """

    fstype: str = "ext4"
    below: int | str = 0
    read_only: bool = False
    places: tuple[Place, ...] = (Place(),)
    late: bool = False


PLACES = st.builds(
    Place,
    where=st.sampled_from(["own", "own", "foreign", "unseen"]),
    read_only=st.booleans(),
    covered=st.booleans(),
)
PLANS = st.builds(
    Plan,
    fstype=st.sampled_from(["ext4", "xfs", "btrfs", *UNLISTED]),
    below=st.sampled_from([0, 1, 2, "lv", "image"]),
    read_only=st.booleans(),
    places=st.lists(PLACES, max_size=3).map(tuple),
    late=st.booleans(),
)


@dataclass
class Superblock:
    """A filesystem that is alive."""

    number: int
    plan: Plan
    disks: frozenset[str]
    devno: str
    fsid: str
    synced: bool = False


@dataclass
class Kernel:
    """What is true; ``text`` is what is shown of it."""

    plans: tuple[Plan, ...]
    superblocks: list[Superblock] = field(default_factory=list)
    text: MachineBuilder = field(default_factory=MachineBuilder)
    led_to: dict[tuple[int | None, str], tuple[int, Superblock | None]] = field(
        default_factory=dict
    )

    def show(self, *, late: bool) -> None:
        """Write down the machine: before or after what is mounted late."""
        before = {each.number: each.synced for each in self.superblocks}
        self.superblocks, self.led_to, self.text = [], {}, MachineBuilder()
        for index, name in enumerate(DISKS):
            self.text.virtio(name, 40, serial(index + 1))
        self._volume = self.text.mapper(90, "vg-lv", "LVM-" + "a" * 64, gib=20, lower=DISKS[:2])
        self._mount("/", None, "tmpfs", "0:1", "own", read_only=False, super_ro=False)
        self._mount("/", None, "tmpfs", "0:2", "foreign", read_only=False, super_ro=False)
        self.text.files[f"proc/ns/{FOREIGN}/pid"] = f"{PID}\n"
        for number, plan in enumerate(self.plans):
            if late or not plan.late:
                self._make(number, plan, synced=before.get(number, False))

    def live(self, disks: frozenset[str]) -> list[Superblock]:
        """Return what can hold unwritten data on some disks."""
        return [s for s in self.superblocks if s.disks & disks and not s.plan.read_only]

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Do what the agent asks: open each way, and see that it is the mount that was shown."""
        del limit_s
        fault = SyncFault.NO_WAY
        for way in target.ways:
            mount_id, superblock = self.led_to.get((way.pid, way.path), (0, None))
            if superblock is None or mount_id != way.mount_id:
                fault = SyncFault.EXCHANGED
                continue
            superblock.synced = True
            return Synced(target=target, way=way.shown)
        return Synced(target=target, fault=fault)

    def _make(self, number: int, plan: Plan, *, synced: bool) -> None:
        device, disks = self._device(number, plan)
        fsid = f"{number:08x}" if plan.fstype == "btrfs" else ""
        devno = f"0:{100 + number}" if fsid else self.text.number(device)
        made = Superblock(number, plan, disks, devno, fsid, synced)
        if fsid:
            self.text.btrfs(fsid, [device])
            self.text.files[f"sys/fs/btrfs-mounted/{devno}"] = f"{fsid}\n"
        if plan.fstype not in UNLISTED:
            self.text.alive(plan.fstype, fsid or device)
        elif all(place.where == "unseen" for place in plan.places):
            return  # known not to be known
        self.superblocks.append(made)
        for index, place in enumerate(plan.places):
            path = f"/m{number}-{index}"
            self._mount(
                path,
                made,
                plan.fstype,
                devno,
                place.where,
                read_only=place.read_only,
                super_ro=plan.read_only,
            )
            if place.covered:
                self._mount(
                    path, None, "tmpfs", "0:3", place.where, read_only=False, super_ro=False
                )

    def _device(self, number: int, plan: Plan) -> tuple[str, frozenset[str]]:
        """Return a new device for a filesystem, and the disks it really lies on."""
        holders = [each for each in self.superblocks if each.plan.fstype not in UNLISTED]
        if plan.below == "lv":
            volume = self.text.mapper(
                number, f"vg-{number}", "LVM-" + "b" * 64, gib=1, lower=[self._volume]
            )
            return volume, frozenset(DISKS[:2])
        if plan.below == "image" and holders:
            holder = holders[-1]
            loop = self.text.loop(number, "/some/image", sectors=2048)
            self.text.files[f"sys/class/block/{loop}/loop/file"] = f"{holder.devno} -1\n"
            return loop, holder.disks
        disk = DISKS[plan.below] if isinstance(plan.below, int) else DISKS[0]
        return self.text.partition(disk, number + 1, 1), frozenset({disk})

    def _mount(
        self,
        path: str,
        superblock: Superblock | None,
        fstype: str,
        devno: str,
        where: str,
        *,
        read_only: bool,
        super_ro: bool,
    ) -> None:
        if where == "unseen":
            return
        namespace = {"namespace": FOREIGN} if where == "foreign" else {}
        mount_id = self.text.mount(
            path,
            fstype,
            "/dev/odd",
            number=devno,
            options="ro" if read_only or super_ro else "rw",
            extra="ro" if super_ro else "rw",
            **namespace,
        )
        self.led_to[PID if where == "foreign" else None, path] = (mount_id, superblock)


def chosen(kernel: Kernel, numbers: frozenset[int]) -> Coverage:
    layout = read_layout(kernel.text.text())
    items = [recorded.described(serial(number + 1), 40) for number in range(len(DISKS))]
    found = map_disks(
        layout,
        recorded.disks_of(recorded.answer_of(items)),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map={},
    )
    disks = tuple(DISKS[number] for number in sorted(numbers))
    return choose(layout, found, Selection(disks=disks), ())


@settings(max_examples=300, deadline=None)
@given(
    plans=st.lists(PLANS, min_size=1, max_size=6).map(tuple),
    numbers=st.frozensets(st.integers(0, 2), min_size=1),
)
@example(plans=(Plan(places=(Place(read_only=True),)),), numbers=frozenset({0}))
@example(plans=(Plan(places=()),), numbers=frozenset({0}))
@example(plans=(Plan(places=(Place(covered=True),)),), numbers=frozenset({0}))
@example(plans=(Plan(fstype="btrfs", late=True),), numbers=frozenset({0}))
@example(plans=(Plan(), Plan(below="image", late=True)), numbers=frozenset({0}))
def test_level_is_claimed_only_with_every_live_filesystem_synced(
    plans: tuple[Plan, ...], numbers: frozenset[int]
) -> None:
    kernel = Kernel(plans)
    kernel.show(late=False)
    names = frozenset(DISKS[number] for number in numbers)
    try:
        coverage = chosen(kernel, numbers)
        kernel.show(late=True)
        coverage = seen_again(coverage, read_layout(kernel.text.text()))
    except SnapSelfError:
        return  # nothing is claimed
    result = flush(kernel, flush_plan(coverage), lambda _event: None)
    if result.level is Consistency.FLUSH:
        assert [each for each in kernel.live(names) if not each.synced] == []
    else:
        assert result.why
    order = freeze_order(
        {f.key: f for target in coverage.targets for f in target.filesystems}.values(),
        coverage.unseen,
    )
    if not any(left.weakens for left in order.left_out):
        frozen = {target.key for target in order.targets}
        keys = {f"btrfs:{each.fsid}" if each.fsid else each.devno for each in kernel.live(names)}
        assert keys <= frozen
