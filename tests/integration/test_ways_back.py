"""A run ends with the short way back, `show` has it later, and a program can follow every way."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator import DiskConfig
from fakes.main_job import DISKS, MainJob, config, main_job
from snap_self.model.disks import Selection
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.request import Request
from snap_self.model.snapshots import WaitFor
from snap_self.model.ways import CloudCall, WayKind
from snap_self.output.report import report_json, write_report
from snap_self.output.shown import shown_json, write_shown
from snap_self.output.streams import Streams
from snap_self.recovery.steps import roll_back_running
from snap_self.usecases.show import show

REQUEST = Request(before="os upgrade", wait=WaitFor.ACCOMPLISHED)


def _expected(job: MainJob, shots: dict[str, str]) -> list[str]:
    ours = job.tools.identify()
    call, at = "aliyun ecs {} --RegionId " + ours.region, f"--InstanceId {ours.instance_id}"
    return [
        "Run these from another machine (or use the ECS console: Snapshots > Roll Back Disk); "
        "a disk can only be rolled back while this instance is stopped.",
        "Everything written after the snapshot is lost; in doubt, snapshot the present state "
        "first.",
        f"{call.format('StopInstance')} {at} --StoppedMode KeepCharging",
        f"{call.format('DescribeInstances')} --InstanceIds '[\"{ours.instance_id}\"]'"
        "   # until Status is Stopped",
        *(
            f"{call.format('ResetDisk')} --DiskId {disk} --SnapshotId {shots[disk]}"
            for disk in DISKS
        ),
        f"{call.format('DescribeDisks')} {at}   # until no Status is ReIniting",
        f"{call.format('StartInstance')} {at}",
    ]


@pytest.mark.parametrize("category", ["cloud_essd", "cloud_efficiency"], ids=["group", "singles"])
def test_way_back_when_a_run_ends_then_is_that_which_show_has_later(category: str) -> None:
    with main_job(config(category=category)) as job:
        report = job.run(REQUEST)
        whole = report_json(report)
        shown = show(job.tools, str(report.run_id))
        shots = {shot["disk_id"]: shot["snapshot_id"] for shot in whole["snapshots"]}
        expected = _expected(job, shots)
    assert {bool(shot["group_id"]) for shot in whole["snapshots"]} == {category == "cloud_essd"}
    assert whole["undo"] == expected
    assert shown_json(shown)["undo"] == expected
    out = io.StringIO()
    streams = Streams(out=out, err=out, terminal=False, colour=False, verbosity=1, json=False)
    write_report(streams, report)
    assert "".join(f"  {line}\n" for line in ("How to go back:", *expected)).removeprefix("  ") in (
        out.getvalue()
    )


def test_way_back_when_nothing_was_made_then_is_none() -> None:
    with main_job() as job:
        job.simulator.set_life(fail_at="after_cut")
        report = job.run(replace(REQUEST, before="x"))
    assert report_json(report)["undo"] == []


class _Follower:
    """Makes a way's calls one after the other, as a program outside of the instance would.

    A step is begun only when the state that the one before it waits for was seen.
    """

    def __init__(self, job: MainJob) -> None:
        self._clock, self._caller = job.clock, job.caller()
        self._given: dict[str, str] = {}
        self.made: list[str] = []

    def follow(self, step: CloudCall) -> None:
        params = {name: self._filled(value) for name, value in step.params.items()}
        answer = self._caller(step.action, params)
        for _ in range(500):
            if step.until is None or step.until.is_seen(_statuses(answer)):
                break
            self._clock.sleep(0.02)
            answer = self._caller(step.action, params)
        else:
            raise AssertionError(f"{step} has never seen its state")
        if step.gives:
            self._given[step.gives] = answer["DiskId"]
        self.made.append(step.action)

    def _filled(self, value: str) -> str:
        for name, given in self._given.items():
            value = value.replace(name, given)
        return value


def _statuses(answer: Mapping[str, Any]) -> list[str]:
    kind = "Instance" if "Instances" in answer else "Disk"
    return [entry["Status"] for entry in answer[f"{kind}s"][kind]]


@pytest.mark.parametrize("kind", WayKind)
def test_way_when_a_program_makes_its_calls_then_the_cloud_takes_each(kind: WayKind) -> None:
    slow = replace(config(), disk_operation_s=0.2)
    with main_job(slow) as job:
        shown = show(job.tools, str(job.run(REQUEST).run_id))
        steps = [step for way in shown.ways if way.kind is kind for step in way.steps]
        before = {disk_id: _disk(job, disk_id) for disk_id in DISKS}
        follower = _Follower(job)
        for step in steps:
            if isinstance(step, CloudCall):
                follower.follow(step)
        assert {disk_id: _disk(job, disk_id) for disk_id in DISKS} == before
        assert set(job.simulator.state.disks) == set(DISKS)  # no new disk is left
    assert ("ResetDisk" in follower.made) is (kind is not WayKind.NEW_DISK)


def _disk(job: MainJob, disk_id: DiskId) -> tuple[str, tuple[str, ...], bool]:
    disk = job.simulator.state.disks[disk_id]
    return (disk.status, tuple(disk.instance_ids), disk.delete_with_instance)


@pytest.mark.parametrize("released", [True, False])
def test_data_disk_when_rolled_back_running_then_is_released_with_the_instance_as_before(
    released: bool,
) -> None:
    with main_job() as job:
        disk = job.simulator.state.disks[DISKS[1]]
        disk.delete_with_instance = released
        shown = show(job.tools, str(job.run(REQUEST).run_id))
        (way,) = (way for way in shown.ways if way.kind is WayKind.DATA_DISKS)
        follower = _Follower(job)
        for step in way.steps:
            if isinstance(step, CloudCall):
                follower.follow(step)
                if step.action == "DetachDisk":
                    # As the cloud does, whose simulation may be kinder.
                    disk.delete_with_instance = False
    assert disk.delete_with_instance is released


def test_several_data_disks_when_rolled_back_running_then_each_waits_for_the_one_before() -> None:
    more = DiskId("d-bp1more0000000000001")
    (instance,) = config().instances
    three = replace(instance, disks=(*instance.disks, DiskConfig(disk_id=more, size_gib=20)))
    slow = replace(config(), instances=(three,), disk_operation_s=0.2)
    with main_job(slow) as job:
        here, caller = job.tools.here(), job.caller()
        shots = {}
        for disk_id in (DISKS[1], more):
            where = {"RegionId": here.identity.region, "DiskId": disk_id}
            shots[disk_id] = SnapshotId(caller("CreateSnapshot", where)["SnapshotId"])
        job.clock.sleep(1)
        job.simulator.finish_snapshots()
        disks = here.cloud.describe_disks(here.identity.instance_id)
        before = {disk_id: _disk(job, disk_id) for disk_id in shots}
        follower = _Follower(job)
        for step in roll_back_running(here.identity, shots, [], disks):
            assert isinstance(step, CloudCall)
            follower.follow(step)
        assert {disk_id: _disk(job, disk_id) for disk_id in shots} == before
    assert follower.made.count("AttachDisk") == len(shots)


def test_run_of_one_disk_when_shown_then_says_what_is_not_in_it() -> None:
    with main_job() as job:
        data = DISKS[1]
        job.run(replace(REQUEST, selection=Selection(disks=(data,))))
        shown = show(job.tools, "last")
    assert shown.record
    assert (dict(shown.record.carried), shown.record.lacking) == ({data: ("/srv",)}, ("/",))
    why = "not asked for: no --path or --disk given leads to it"
    assert shown_json(shown)["lacks"] == ["/"]
    assert shown_json(shown)["lack_reasons"] == [{"what": "/", "why": why}]
    out = io.StringIO()
    streams = Streams(out=out, err=out, terminal=False, colour=False, verbosity=0, json=False)
    write_shown(streams, shown, now=job.tools.clock.now())
    assert f"Not in it  / ({why})\n" in out.getvalue()
    assert "the operating system stays as it is now" in out.getvalue()


def test_run_of_all_disks_when_shown_then_lacks_nothing() -> None:
    with main_job() as job:
        job.run(REQUEST)
        assert shown_json(show(job.tools, "last"))["lacks"] == []
