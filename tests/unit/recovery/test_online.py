"""Every reason why data disks do not go back while the system runs, and what is said half-way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from fakes.samples import sample
from snap_self.errors import DisksInUse, NotWhileRunning, SnapSelfError, TornSet, UsageError
from snap_self.model.disks import (
    CloudDisk,
    DiskKind,
    Doubt,
    Filesystem,
    Layer,
    Layout,
    Mount,
    Span,
    Unseen,
)
from snap_self.model.going_back import (
    DiskState,
    Heading,
    MountedPlace,
    ReturnId,
    ReturningDisk,
    ReturnRecord,
    Stacked,
    Standing,
    Step,
    UnitFacts,
    User,
)
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.listed import ListedSnapshot
from snap_self.recovery.copies import AttachedDisk
from snap_self.recovery.online import (
    Around,
    lvm_groups,
    mind_words,
    refusals_online,
    unfinished,
    younger_places,
)
from snap_self.recovery.rollback import Return, RollbackPlan

DATA = DiskId("d-data")
UNIT = UnitFacts(name="db.service", known=True, active=True)


def going(**changes: object) -> RollbackPlan:
    """Return a plan by which vdb goes back."""
    cloud = replace(
        sample(CloudDisk, lambda place: place), disk_id=DATA, kind=DiskKind.DATA, portable=True
    )
    shot = replace(sample(ListedSnapshot, lambda place: place), disk_id=DATA)
    disk = AttachedDisk(cloud=replace(cloud, **changes), name="vdb")  # type: ignore[arg-type]
    return RollbackPlan(
        run="run",
        returns=(Return(shot=shot, disk=disk),),
        staying=(),
        since=None,
        later=(),
        refusals=(),
    )


def filesystem(*mounts: Mount, disks: Sequence[str] = ("vdb",), **changes: object) -> Filesystem:
    found = Filesystem(
        key="252:16",
        fstype="xfs",
        source="",
        mounts=mounts,
        disks=frozenset(disks),
        ways=tuple((Layer(kind="disk", name=disk, device=disk),) for disk in disks),
        parents=frozenset(),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def mount(path: str = "/srv", **changes: object) -> Mount:
    found = Mount(
        mount_id=7,
        path=path,
        fstype="xfs",
        root="/",
        read_only=False,
        namespace=None,
        hidden=False,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def layout(*filesystems: Filesystem, **changes: object) -> Layout:
    found = Layout(
        disks={},
        filesystems={each.key: each for each in filesystems},
        spans=(),
        swaps={},
        devices={},
        not_covered=(),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


SRV = MountedPlace(place="/srv", fstype="xfs", root="/", options="rw", serial="data")
PLAIN = layout(filesystem(mount()))
CALM = Standing(mounts=(SRV,), nodes=("/dev/vdb",))


def refused(
    plan: RollbackPlan | None = None,
    found: Layout = PLAIN,
    standing: Standing = CALM,
    units: tuple[UnitFacts, ...] = (UNIT,),
    kept: tuple[str, ...] = ("/var/lib/snap-self",),
) -> tuple[SnapSelfError, ...]:
    around = Around(layout=found, standing=standing, units=units, kept=kept)
    return refusals_online(plan or going(), around)


def test_plain_disk_that_nobody_else_uses_is_not_refused() -> None:
    assert refused() == ()


@pytest.mark.parametrize("place", ["/", "/boot", "/boot/efi", "/usr"])
def test_disk_that_the_system_runs_from_is_refused(place: str) -> None:
    (error,) = refused(found=layout(filesystem(mount(place))))
    assert isinstance(error, NotWhileRunning)
    assert error.message.startswith(f"{place} lies on a disk that would go back")
    assert "--oos" in error.hint


def test_system_disk_is_refused_by_its_id() -> None:
    (error,) = refused(going(kind=DiskKind.SYSTEM, portable=False))
    assert isinstance(error, NotWhileRunning)
    assert "d-data is the system disk" in error.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"portable": False}, "cannot be detached"), ({"serial": ""}, "tells no serial")],
)
def test_disk_that_cannot_be_moved_or_found_again_is_refused(
    changes: dict[str, object], said: str
) -> None:
    (error,) = refused(going(**changes))
    assert isinstance(error, NotWhileRunning)
    assert said in error.message


def test_disk_with_the_journal_is_refused() -> None:
    (error,) = refused(kept=("/srv/snap-self",))
    assert isinstance(error, NotWhileRunning)
    assert "/srv/snap-self lies on /srv" in error.message
    assert refused(kept=("/srvx",)) == ()


def test_swap_in_use_is_refused_with_the_command_that_ends_it() -> None:
    (error,) = refused(found=replace(PLAIN, swaps={"/srv/swap": frozenset({"vdb"})}))
    assert isinstance(error, DisksInUse)
    assert error.hint == "swapoff /srv/swap"
    assert refused(found=replace(PLAIN, swaps={"/swap": frozenset({"vda"})})) == ()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("crypt", "encrypted volume top"),
        ("md", "md array top"),
        ("loop", "loop device top"),
        ("dm", "a device of kind dm, top"),
    ],
)
def test_what_is_not_taken_apart_here_is_refused(kind: str, said: str) -> None:
    (error,) = refused(standing=replace(CALM, on_top=(Stacked(name="top", kind=kind),)))
    assert isinstance(error, NotWhileRunning)
    assert said in error.message


def test_partitions_and_logical_volumes_are_not_refused() -> None:
    on_top = (Stacked(name="vdb1", kind="partition"), Stacked(name="vg0-data", kind="lvm"))
    groups = {"vg0": ("/dev/vdb1",)}
    nodes = ("/dev/dm-0", "/dev/vdb1", "/dev/vdb")
    assert refused(standing=replace(CALM, on_top=on_top, groups=groups, nodes=nodes)) == ()


def test_volume_group_that_lies_also_on_another_disk_is_refused() -> None:
    groups = {"vg0": ("/dev/vdb", "/dev/vda3")}
    (error,) = refused(standing=replace(CALM, groups=groups))
    assert isinstance(error, TornSet)
    assert "volume group vg0 lies also on /dev/vda3" in error.message


def test_btrfs_over_several_disks_is_refused() -> None:
    span = Span(kind="btrfs", name="/srv", disks=frozenset({"vdb", "vdc"}))
    (error,) = refused(found=replace(PLAIN, spans=(span,)))
    assert isinstance(error, NotWhileRunning)


ODD: dict[str, dict[str, object]] = {
    "another mount namespace (process 42)": {"path": "/inside", "namespace": 5, "pid": 42},
    "below another mount": {"hidden": True},
    "mounted by itself": {"root": "/part"},
}


@pytest.mark.parametrize("said", ODD)
def test_mount_that_could_not_be_made_again_as_it_was_is_refused(said: str) -> None:
    (error,) = refused(found=layout(filesystem(mount(), mount(**ODD[said]))))
    assert isinstance(error, DisksInUse)
    assert said in error.message


def test_what_the_sandbox_of_a_service_was_given_is_not_in_the_way() -> None:
    assert refused(found=layout(filesystem(mount(), mount(namespace=5, pid=42)))) == ()


def test_subvolume_of_btrfs_is_mounted_again_by_its_options() -> None:
    found = layout(filesystem(mount(root="/data", fstype="btrfs"), fstype="btrfs"))
    assert refused(found=found) == ()


def test_namespace_that_keeps_a_mount_is_refused_by_its_process() -> None:
    elsewhere = (User(pid=42, program="container"),)
    (error,) = refused(standing=replace(CALM, elsewhere=elsewhere))
    assert isinstance(error, DisksInUse)
    assert "of container (pid 42), which keeps them" in error.message


def test_what_stands_on_files_of_the_disk_is_refused() -> None:
    found = layout(filesystem(mount(), parents=frozenset({"252:0"})))
    (error,) = refused(found=found)
    assert "stands on files" in error.message


def test_foreign_mount_below_is_refused_with_the_command_that_ends_it() -> None:
    (error,) = refused(standing=replace(CALM, below=("/srv/nfs",)))
    assert isinstance(error, DisksInUse)
    assert error.hint == "umount /srv/nfs"


def test_filesystem_that_is_alive_and_not_seen_is_refused() -> None:
    unseen = Unseen(what="/dev/vdb", fstype="xfs", disks=frozenset({"vdb"}))
    (error,) = refused(found=replace(PLAIN, unseen=(unseen,)))
    assert "mounted nowhere that can be seen" in error.message


def test_filesystem_that_may_have_a_part_elsewhere_is_refused() -> None:
    doubt = Doubt(
        what="/srv", why="its log is on a device that is not told", disks=frozenset({"vdb"})
    )
    (error,) = refused(found=replace(PLAIN, doubts=(doubt,)))
    assert isinstance(error, NotWhileRunning)


def test_unit_that_systemd_does_not_know_is_refused() -> None:
    (error,) = refused(units=(UnitFacts(name="typo.service", known=False, active=False),))
    assert isinstance(error, UsageError)
    assert "typo.service" in error.message


def test_unit_in_which_this_command_runs_is_not_stopped() -> None:
    own = frozenset({"session-1.scope", "user.slice"})
    (error,) = refused(
        standing=replace(CALM, own_units=own),
        units=(UNIT, UnitFacts(name="session-1.scope", known=True, active=True)),
    )
    assert isinstance(error, UsageError)
    assert "this command runs in unit session-1.scope" in error.message


def test_group_that_was_not_active_is_neither_deactivated_nor_activated() -> None:
    groups = {"vg1": ("/dev/vdb",), "vg0": ("/dev/vdb",), "off": ("/dev/vdb",)}
    standing = replace(CALM, groups=groups, idle_groups=frozenset({"off"}))
    assert lvm_groups(standing) == ("vg0", "vg1")


def test_inactive_group_that_lies_also_on_another_disk_is_refused_all_the_same() -> None:
    groups = {"off": ("/dev/vdb", "/dev/vda3")}
    (error,) = refused(standing=replace(CALM, groups=groups, idle_groups=frozenset({"off"})))
    assert isinstance(error, TornSet)


def test_processes_of_named_units_are_not_in_the_way() -> None:
    users = (User(pid=5, program="db", unit="db.service"),)
    assert refused(standing=replace(CALM, users=users)) == ()


def test_refusal_names_units_and_processes_that_use_the_disks() -> None:
    users = (
        User(pid=5, program="db", unit="db.service"),
        User(pid=6, program="web", unit="web.service"),
        User(pid=7, program="web", unit="web.service"),
        User(pid=8, program="bash", unit="session-1.scope"),
        User(pid=9, program=""),
    )
    (error,) = refused(standing=replace(CALM, users=users))
    assert isinstance(error, DisksInUse)
    assert error.message == (
        "the disks are in use by unit web.service, bash (pid 8), process (pid 9)"
    )
    assert error.hint.startswith("stop them for the time: --unit web.service; end the others")


def record(*states: DiskState) -> ReturnRecord:
    return ReturnRecord(
        return_id=ReturnId("r1"),
        instance_id=InstanceId("i-1"),
        region=RegionId("cn-x"),
        run="run",
        started=datetime(2026, 11, 30, tzinfo=timezone.utc),
        since=None,
        boot_id="",
        disks=tuple(
            ReturningDisk(
                disk_id=DiskId(f"d-{place}"),
                snapshot_id=SnapshotId(f"s-{place}"),
                serial=str(place),
                delete_with_instance=True,
                state=state,
            )
            for place, state in enumerate(states)
        ),
    )


def test_torn_set_is_told_disk_by_disk() -> None:
    half = record(DiskState.WENT_BACK, DiskState.ASKED, DiskState.AS_IT_WAS)
    error = unfinished(half, "no answer")
    assert "d-0 went back; whether d-1 did is not known; d-2 did not" in error.message
    assert "would not fit together" in error.message
    assert "reset d-1 to s-1, d-2 to s-2" in error.hint


def test_boot_that_would_wait_for_the_disks_is_warned_of_before_and_while_they_are_away() -> None:
    away = replace(record(DiskState.WENT_BACK, DiskState.ASKED), waits_in_fstab=("/srv",))
    (line,) = mind_words(away, CALM)
    assert "do not restart the machine meanwhile" in line
    assert "/etc/fstab has it wait for /srv" in unfinished(away, "no").message
    calm = replace(away, waits_in_fstab=())
    assert list(mind_words(calm, CALM)) == []
    assert "fstab" not in unfinished(calm, "no").message


def test_names_of_fstab_that_may_be_another_disks_later_are_told() -> None:
    (line,) = mind_words(record(), replace(CALM, kernel_names=("/dev/vdb1",)))
    assert "/etc/fstab names /dev/vdb1" in line
    assert "UUID" in line


def test_state_before_is_named_where_it_is_kept() -> None:
    half = replace(record(DiskState.WENT_BACK, DiskState.AS_IT_WAS), present="before-run")
    assert "kept by run before-run" in unfinished(half, "no").hint


def test_disks_that_all_went_back_are_not_called_torn() -> None:
    error = unfinished(record(DiskState.WENT_BACK, DiskState.WENT_BACK), "no mount")
    assert "fit together" not in error.message
    assert "reset" not in error.hint


def test_nothing_is_called_lost_where_no_disk_was_reset() -> None:
    turned = replace(record(DiskState.AS_IT_WAS), heading=Heading.BACK)
    error = unfinished(turned, "no")
    assert "no disk was reset, and nothing is lost" in error.message
    assert "reset d-0" not in error.hint


@pytest.mark.parametrize("step", list(Step)[:-1])
def test_nothing_is_called_unused_but_between_the_last_unmount_and_the_first_mount(
    step: Step,
) -> None:
    said = unfinished(replace(record(DiskState.WENT_BACK), step=step), "no").message
    away = step in (Step.DETACHING, Step.RESETTING, Step.ATTACHING)
    assert ("snap-self has nothing on them mounted or started" in said) is away
    assert ("findmnt and systemctl tell" in said) is not away


NOTED = [
    ({"d-0": ("/srv",), "d-1": ("/data",)}, ("/new",)),
    ({"d-0": ("/srv",), "d-1": ()}, ("/new",)),
    ({"d-0": ("/srv",), "d-1": ("/data", "/new")}, ()),
    # Not noted at all, of one disk not, or only some of many.
    ({}, ()),
    ({"d-0": ("/srv",)}, ()),
    ({"d-0": ("/srv",), "d-1": tuple(f"/data/{each}" for each in range(16))}, ()),
]


@pytest.mark.parametrize(("carried", "younger"), NOTED)
def test_place_that_was_mounted_after_the_snapshot_is_known(
    carried: dict[DiskId, tuple[str, ...]], younger: tuple[str, ...]
) -> None:
    mounts = (SRV, replace(SRV, place="/new", serial="1"))
    two = replace(record(DiskState.AS_IT_WAS, DiskState.AS_IT_WAS), mounts=mounts)
    assert younger_places(two, carried) == younger
