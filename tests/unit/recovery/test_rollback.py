"""What a rollback would do and cost, and every reason why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.records import order_record, run_record
from fakes.samples import NOW, sample
from snap_self.errors import SnapSelfError
from snap_self.model.disks import CloudDisk, DiskKind, Filesystem, Layer, Layout, Mount, Span
from snap_self.model.ids import DiskId, InstanceId, RegionId, RunId, SnapshotId
from snap_self.model.listed import ListedRun, ListedSnapshot, SnapshotState
from snap_self.model.snapshots import Identity, InstanceState
from snap_self.recovery.copies import AttachedDisk
from snap_self.recovery.rollback import RollbackPlan, Scene, plan_rollback

ME = InstanceId("i-own")
IDENTITY = replace(
    sample(Identity, lambda place: place), instance_id=ME, region=RegionId("cn-hangzhou")
)
SYSTEM, DATA, MORE = DiskId("d-system"), DiskId("d-data"), DiskId("d-more")
RUN = RunId("20261122t083225z-000001")
NAMES = {SYSTEM: "vda", DATA: "vdb", MORE: "vdc"}
RUNNING = InstanceState(instance_id=ME, status="Running", instance_type="ecs.g7.large")


def cloud_disk(disk_id: DiskId) -> CloudDisk:
    return replace(
        sample(CloudDisk, lambda place: place),
        disk_id=disk_id,
        kind=DiskKind.SYSTEM if disk_id == SYSTEM else DiskKind.DATA,
        status="In_use",
        attached_to=frozenset({ME}),
        locks=(),
    )


def attached(disk_id: DiskId, **changes: object) -> AttachedDisk:
    cloud = replace(cloud_disk(disk_id), **changes)  # type: ignore[arg-type]
    return AttachedDisk(cloud=cloud, name=NAMES[disk_id])


def shot(disk_id: DiskId, run: RunId = RUN, hours: int = 0, **changes: object) -> ListedSnapshot:
    base = replace(
        sample(ListedSnapshot, lambda place: place),
        snapshot_id=SnapshotId(f"s-{disk_id[2:]}-{hours}"),
        disk_id=disk_id,
        run_id=run,
        state=SnapshotState.ACCOMPLISHED,
        cut_time=NOW + timedelta(hours=hours),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def filesystem(mount: str, *disks: str) -> Filesystem:
    place = Mount(
        mount_id=1,
        path=mount,
        fstype="xfs",
        root="/",
        read_only=False,
        namespace=None,
        hidden=False,
    )
    return Filesystem(
        key=mount,
        fstype="xfs",
        source="",
        mounts=(place,),
        disks=frozenset(disks),
        ways=tuple((Layer(kind="disk", name=disk, device=disk),) for disk in disks),
        parents=frozenset(),
    )


def layout(*filesystems: Filesystem, spans: Sequence[Span] = ()) -> Layout:
    return Layout(
        disks={},
        filesystems={one.key: one for one in filesystems},
        spans=tuple(spans),
        swaps={},
        devices={},
        not_covered=(),
    )


PLAIN = layout(filesystem("/", "vda"), filesystem("/srv", "vdb"))
SHOTS = (shot(DATA), shot(SYSTEM))
SCENE = Scene(
    identity=IDENTITY,
    disks=(attached(SYSTEM), attached(DATA)),
    layout=PLAIN,
    instance=RUNNING,
    record=None,
    runs=(ListedRun(name=RUN, shots=SHOTS),),
)


def plan(
    named: Sequence[ListedSnapshot] = SHOTS,
    scene: Scene = SCENE,
    made: Sequence[ListedSnapshot] = SHOTS,
) -> RollbackPlan:
    return plan_rollback(named, ListedRun(name=RUN, shots=tuple(made)), scene)


def refused(planned: RollbackPlan) -> list[str]:
    return [error.code for error in planned.refusals]


def only(planned: RollbackPlan) -> SnapSelfError:
    (error,) = planned.refusals
    assert error.message
    assert error.hint
    return error


def test_whole_run_goes_back_the_system_disk_first() -> None:
    planned = plan()
    assert list(planned.pairs.items()) == [(SYSTEM, "s-system-0"), (DATA, "s-data-0")]
    assert (planned.refusals, planned.staying) == ((), ())


def test_everything_since_the_first_cut_is_lost() -> None:
    named = (shot(DATA, hours=1), shot(SYSTEM))
    assert plan(named, made=named).since == NOW
    uncut = [replace(one, cut_time=None) for one in SHOTS]
    assert plan(uncut, made=uncut).since is None


def test_later_runs_of_these_disks_are_lost_and_no_others() -> None:
    newer, other = RunId("20261122t093225z-000002"), RunId("20261122t103225z-000003")
    older = RunId("20261122t073225z-000004")
    runs = (
        ListedRun(name=other, shots=(shot(MORE, other, 3),)),
        ListedRun(name=newer, shots=(shot(DATA, newer, 2),)),
        ListedRun(name=RUN, shots=SHOTS),
        ListedRun(name=older, shots=(shot(DATA, older, -1),)),
    )
    planned = plan(scene=replace(SCENE, runs=runs))
    assert [each.name for each in planned.later] == [newer]


def test_what_leads_furthest_back_counts_where_a_disk_has_two_snapshots() -> None:
    named = (shot(DATA, hours=2), *SHOTS)
    assert plan(named, made=named).pairs[DATA] == "s-data-0"


def test_snapshot_named_alone_brings_its_disk_alone_back() -> None:
    planned = plan(SHOTS[:1])
    assert list(planned.pairs) == [DATA]
    assert [(one.disk_id, one.why) for one in planned.staying] == [
        (SYSTEM, "its snapshot s-system-0 was not asked for")
    ]
    assert planned.refusals == ()


def test_disks_of_the_run_that_stay_are_named_each_with_why() -> None:
    more = shot(MORE, state=SnapshotState.FAILED)
    gone = shot(DiskId("d-away"))
    order = order_record(sent=True)
    record = replace(
        run_record(),
        orders=(replace(order, order=replace(order.order, disk_ids=(DiskId("d-lost"),))),),
    )
    scene = replace(SCENE, disks=(*SCENE.disks, attached(MORE)), record=record)
    made = (*SHOTS, more, gone)
    whys = {one.disk_id: one.why for one in plan(made, scene, made).staying}
    assert whys == {
        "d-more": "its snapshot s-more-0 failed",
        "d-away": "it is not attached to this instance any more",
        "d-lost": "no snapshot of it is left of this run",
    }


@pytest.mark.parametrize("kind", ["lvm", "md", "btrfs"])
def test_volume_that_lies_also_on_a_disk_that_stays_is_refused(kind: str) -> None:
    span = Span(kind=kind, name="vg0-data", disks=frozenset({"vdb", "vdc"}))
    scene = replace(
        SCENE, layout=replace(PLAIN, spans=(span,)), disks=(*SCENE.disks, attached(MORE))
    )
    error = only(plan(scene=scene))
    assert (error.code, "d-more" in error.message) == ("torn-set", True)
    all_three = (*SHOTS, shot(MORE))
    assert plan(all_three, scene, all_three).refusals == ()


def test_volume_of_which_a_device_is_not_found_is_refused() -> None:
    span = Span(kind="lvm", name="vg0-data", disks=frozenset({"vdb"}), unknown="pv-lost")
    error = only(plan(scene=replace(SCENE, layout=replace(PLAIN, spans=(span,)))))
    assert (error.code, "pv-lost" in error.message) == ("torn-set", True)


def test_volume_that_goes_back_with_no_part_of_it_is_not_refused() -> None:
    span = Span(kind="lvm", name="vg0-data", disks=frozenset({"vdc", "vdd"}))
    assert plan(scene=replace(SCENE, layout=replace(PLAIN, spans=(span,)))).refusals == ()


def test_volume_that_lay_then_on_a_disk_that_stays_is_refused() -> None:
    record = replace(run_record(), carried={DATA: ("/srv",), MORE: ("/srv", "/more")})
    error = only(plan(scene=replace(SCENE, record=record)))
    assert (error.code, "/srv lay on d-data, d-more" in error.message) == ("torn-set", True)
    assert plan(SHOTS[1:], replace(SCENE, record=record)).refusals == ()


def test_hint_is_the_whole_run_where_a_part_is_named_and_another_run_where_not() -> None:
    span = Span(kind="lvm", name="vg0-data", disks=frozenset({"vda", "vdb"}))
    scene = replace(SCENE, layout=replace(PLAIN, spans=(span,)))
    assert f"snap-self rollback {RUN}" in only(plan(SHOTS[:1], scene)).hint
    one_disk = SHOTS[:1]
    assert "a run that holds all of it" in only(plan(one_disk, scene, one_disk)).hint


@pytest.mark.parametrize("part", ["/boot", "/boot/efi", "/efi", "/usr"])
@pytest.mark.parametrize("back", [SYSTEM, DATA])
def test_root_without_a_part_that_it_starts_with_is_refused_and_the_reverse(
    part: str, back: DiskId
) -> None:
    scene = replace(SCENE, layout=layout(filesystem("/", "vda"), filesystem(part, "vdb")))
    error = only(plan([one for one in SHOTS if one.disk_id == back], scene))
    first = "/" if back == SYSTEM else part
    assert (error.code, error.message.startswith(f"{first} would go back")) == ("boot-apart", True)
    assert plan(scene=scene).refusals == ()


def test_boot_seen_in_another_namespace_or_below_another_mount_is_none() -> None:
    boot = filesystem("/boot", "vdb")
    for hiding in ({"namespace": 7}, {"hidden": True}):
        mount = replace(boot.mounts[0], **hiding)  # type: ignore[arg-type]
        scene = replace(
            SCENE, layout=layout(filesystem("/", "vda"), replace(boot, mounts=(mount,)))
        )
        assert plan(SHOTS[1:], scene).refusals == ()


def test_snapshot_that_is_not_usable_yet_is_refused() -> None:
    young = (shot(DATA, state=SnapshotState.PROGRESSING), shot(SYSTEM))
    error = only(plan(young, made=young))
    assert (error.code, "s-data-0 of d-data" in error.message) == ("snapshot-not-usable", True)


@pytest.mark.parametrize("state", [SnapshotState.AVAILABLE, SnapshotState.PROGRESSING])
def test_disk_of_which_another_snapshot_is_still_uploaded_is_refused(state: SnapshotState) -> None:
    newer = shot(DATA, RunId("20261122t093225z-000002"), 2, state=state)
    runs = (ListedRun(name="newer", shots=(newer, shot(MORE, state=state))), *SCENE.runs)
    error = only(plan(scene=replace(SCENE, runs=runs)))
    assert (error.code, "s-data-2 of d-data" in error.message) == ("snapshot-not-usable", True)
    assert plan(SHOTS[1:], replace(SCENE, runs=runs)).refusals == ()


def test_snapshot_that_is_usable_and_still_uploaded_is_gone_back_to() -> None:
    young = (shot(DATA, state=SnapshotState.AVAILABLE), shot(SYSTEM))
    scene = replace(SCENE, runs=(ListedRun(name=RUN, shots=young),))
    assert plan(young, scene, young).refusals == ()


def test_failed_snapshot_named_alone_is_refused() -> None:
    failed = (shot(DATA, state=SnapshotState.FAILED),)
    assert only(plan(failed)).code == "snapshot-not-usable"


def test_snapshot_of_another_disk_than_the_journal_has_is_refused() -> None:
    order = replace(order_record(sent=True), snapshot_ids={MORE: SnapshotId("s-data-0")})
    error = only(plan(scene=replace(SCENE, record=replace(run_record(), orders=(order,)))))
    assert (error.code, "d-more" in error.message) == ("snapshot-of-other-disk", True)


def test_snapshots_of_no_attached_disk_are_refused() -> None:
    named = (shot(DiskId("d-away")),)
    error = only(plan(named, made=named))
    assert (error.code, "d-away" in error.message) == ("snapshot-of-other-disk", True)


@pytest.mark.parametrize(
    ("instance", "code"),
    [
        (replace(RUNNING, status="Stopped", stopped_mode="StopCharging"), "economical-mode"),
        (replace(RUNNING, locks=("financial",)), "instance-not-ready"),
        (None, "instance-not-ready"),
    ],
)
def test_instance_in_economical_mode_or_locked_or_unseen_is_refused(
    instance: InstanceState | None, code: str
) -> None:
    assert only(plan(scene=replace(SCENE, instance=instance))).code == code


def test_instance_stopped_in_standard_mode_is_not_refused() -> None:
    stopped = replace(RUNNING, status="Stopped", stopped_mode="KeepCharging")
    assert plan(scene=replace(SCENE, instance=stopped)).refusals == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attached_to": frozenset({ME, "i-other"})}, "disk-shared"),
        ({"locks": ("security",)}, "disk-not-ready"),
        ({"status": "ReIniting"}, "disk-not-ready"),
        ({"status": ""}, "disk-not-ready"),
    ],
)
def test_disk_that_cannot_be_reset_is_refused(changes: dict[str, object], code: str) -> None:
    scene = replace(SCENE, disks=(attached(SYSTEM), attached(DATA, **changes)))
    assert only(plan(scene=scene)).code == code
    assert plan(SHOTS[1:], scene).refusals == ()


def test_disk_that_cannot_be_told_here_is_refused() -> None:
    scene = replace(SCENE, disks=(attached(SYSTEM), replace(attached(DATA), name="")))
    assert only(plan(scene=scene)).code == "disk-unmapped"


def test_machine_that_cannot_be_understood_is_judged_by_the_journal_alone() -> None:
    scene = replace(SCENE, layout=None, record=replace(run_record(), carried={}))
    assert plan(SHOTS[1:], scene).refusals == ()
    carried = {DATA: ("/srv",), SYSTEM: ("/srv", "/")}
    told = replace(scene, record=replace(run_record(), carried=carried))
    assert refused(plan(SHOTS[1:], told)) == ["torn-set"]


def test_every_reason_is_told_the_gravest_first() -> None:
    boot = layout(filesystem("/", "vda"), filesystem("/boot", "vdb"))
    span = Span(kind="lvm", name="vg0", disks=frozenset({"vda", "vdc"}))
    scene = replace(SCENE, layout=replace(boot, spans=(span,)), instance=None)
    young = (shot(SYSTEM, state=SnapshotState.PROGRESSING),)
    assert refused(plan(young, scene)) == [
        *("torn-set", "boot-apart", "snapshot-not-usable", "instance-not-ready"),
    ]
