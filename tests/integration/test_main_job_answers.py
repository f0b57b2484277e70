"""The main job when the cloud answers in other ways than usual: what is said must be so."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.faults import Fault
from fakes.main_job import DISKS, Edit, MainJob, main_job
from snap_self.cloud.client import EcsClient
from snap_self.errors import ExitStatus
from snap_self.model.changes import LoggedChange
from snap_self.model.ids import SnapshotId
from snap_self.model.progress import EventKind
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.snapshots import Cut, Identity, WaitFor
from snap_self.model.ways import CloudCall
from snap_self.output.report import report_json, write_report
from snap_self.output.streams import Streams
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.show import show

REQUEST = Request(before="os upgrade")
TO_THE_END = replace(REQUEST, wait=WaitFor.ACCOMPLISHED)
SHOTS, GROUPS = "DescribeSnapshots", "DescribeSnapshotGroups"


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def said(report: Report) -> str:
    """Return all that a person is told of a run."""
    text = io.StringIO()
    streams = Streams(out=text, err=text, terminal=False, colour=False, verbosity=1, json=False)
    write_report(streams, report)
    return text.getvalue()


def shots_with(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Return an edit of every snapshot that is shown."""

    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        for shot in answer["Snapshots"]["Snapshot"] if action == SHOTS else ():
            change(shot)
        return answer

    return edit


ODD_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "percent with a fraction": {"Progress": "12.5%"},
    "progress that is none": {"Progress": "half"},
    "negative retention": {"RetentionDays": -1},
    "size that is none": {"SourceDiskSize": "large"},
    "name that is none": {"SnapshotName": 5, "Description": []},
    "tags that are none": {"Tags": []},
    "disk that is none": {"SourceDiskId": "?"},
}


@pytest.mark.parametrize("wait", [WaitFor.AVAILABLE, WaitFor.ACCOMPLISHED])
@pytest.mark.parametrize("odd", ODD_FIELDS.values(), ids=list(ODD_FIELDS))
def test_run_when_a_field_that_nothing_hangs_on_is_odd_then_is_as_good_as_ever(
    job: MainJob, odd: Mapping[str, Any], wait: WaitFor
) -> None:
    job.edit = shots_with(lambda shot: shot.update(odd))
    report = job.run(replace(REQUEST, wait=wait))
    assert report.exit_status is ExitStatus.DONE, report.error
    assert {shot.disk_id for shot in report.snapshots} == set(DISKS)
    assert all(shot.cut is Cut.MADE and shot.cut_time for shot in report.snapshots)


@pytest.mark.parametrize("suffix", [".123Z", "+00:00", "yesterday"])
def test_run_when_the_cut_s_time_is_written_otherwise_then_it_was_made(
    job: MainJob, suffix: str
) -> None:
    def rewrite(shot: dict[str, Any]) -> None:
        if shot["CreationTime"]:
            shot["CreationTime"] = shot["CreationTime"].removesuffix("Z") + suffix

    job.edit = shots_with(rewrite)
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert "cut not made yet" not in said(report)
    assert "Safe to go on" in said(report)


def test_run_when_the_group_has_no_status_or_time_then_is_as_good_as_ever(job: MainJob) -> None:
    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        for group in answer["SnapshotGroups"]["SnapshotGroup"] if action == GROUPS else ():
            group.pop("Status")
            group["CreationTime"] = "?"
        return answer

    job.edit = edit
    assert job.run(REQUEST).exit_status is ExitStatus.DONE


def test_run_when_the_status_is_no_known_word_then_what_is_available_is_enough(
    job: MainJob,
) -> None:
    job.edit = shots_with(lambda shot: shot.update(Status="melting"))
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert {shot.status for shot in report.snapshots} == {"unknown"}


def test_run_when_the_status_stays_no_known_word_then_it_is_not_accomplished_and_not_failed(
    job: MainJob,
) -> None:
    job.edit = shots_with(lambda shot: shot.update(Status="melting"))
    report = job.run(replace(TO_THE_END, timeout_s=60.0))
    assert report.exit_status is ExitStatus.WAIT_RAN_OUT


def test_list_when_a_field_that_nothing_hangs_on_is_odd_then_hides_none_of_ours(
    job: MainJob,
) -> None:
    job.run(TO_THE_END)
    odd = {"Progress": "half", "RetentionDays": -1, "CreationTime": "?", "Status": "melting"}
    job.edit = shots_with(lambda shot: shot.update(odd))
    listing = list_snapshots(job.tools)
    assert {shot.disk_id for shot in listing.snapshots} == set(DISKS)
    assert {(shot.progress, shot.cut) for shot in listing.snapshots} == {(None, Cut.MADE)}


def test_list_when_tags_cannot_be_read_then_says_that_it_may_be_ours(job: MainJob) -> None:
    job.run(TO_THE_END)

    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        if action == GROUPS:
            return {"SnapshotGroups": {"SnapshotGroup": []}, "NextToken": ""}
        return shots_with(lambda shot: shot.update(Tags=5))(action, answer)

    job.edit = edit
    notes = " ".join(list_snapshots(job.tools).notes)
    for snapshot_id in job.simulator.dump()["snapshots"]:
        assert f"{snapshot_id}: its tags cannot be read" in notes


@pytest.mark.parametrize("kind", ["system", "", "cache", None])
def test_run_when_a_disk_s_type_is_no_known_word_then_is_as_good_as_ever(
    job: MainJob, kind: str | None
) -> None:
    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        for disk in answer["Disks"]["Disk"] if action == "DescribeDisks" else ():
            disk["Type"] = kind
        return answer

    job.edit = edit
    assert job.run(REQUEST).exit_status is ExitStatus.DONE


def test_run_when_snapshots_may_not_be_seen_then_their_state_is_not_known_and_so_it_is_said(
    job: MainJob,
) -> None:
    job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=SHOTS, count=1000, skip=1))
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.CREDENTIALS
    made = job.simulator.dump()["snapshots"]
    assert {shot.snapshot_id for shot in report.snapshots} == set(made)
    assert all(shot.cut is not Cut.NOT_YET for shot in report.snapshots)
    words = said(report)
    assert "not made yet" not in words
    assert "(not shown yet)" not in words


def test_run_when_snapshots_may_not_be_seen_but_the_group_says_available_then_so_does_the_run(
    job: MainJob,
) -> None:
    refusing = [False]

    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        if action == GROUPS and not refusing[0]:
            for group in answer["SnapshotGroups"]["SnapshotGroup"]:
                for member in group["Snapshots"]["Snapshot"]:
                    member |= {"Available": True, "Progress": "10%"}
            refuse = Fault(kind="error:Forbidden.RAM:403", action=SHOTS, count=1000)
            job.simulator.inject(refuse)
            refusing[0] = True
        return answer

    job.edit = edit
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.CREDENTIALS
    facts = {(s.available, s.progress, s.cut, s.status) for s in report.snapshots}
    assert facts == {(True, 10, Cut.MADE, "unknown")}
    assert all(shot["available"] for shot in report_json(report)["snapshots"])


def test_run_when_one_answer_in_the_wait_cannot_be_understood_then_the_next_one_is_heeded(
    job: MainJob,
) -> None:
    spoiled = []

    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        if action == GROUPS and not spoiled:
            spoiled.append(action)
            return {"RequestId": "R"}
        return answer

    job.edit = edit
    assert job.run(REQUEST).exit_status is ExitStatus.DONE
    assert spoiled


@pytest.mark.parametrize("stage", ["before_cut", "after_cut", "after_available"])
def test_failed_snapshots_when_told_then_no_way_leads_back_to_them(
    job: MainJob, stage: str
) -> None:
    job.simulator.set_life(fail_at=stage)
    report = job.run(TO_THE_END)
    assert report.exit_status is ExitStatus.SNAPSHOT_FAILED
    words = said(report)
    assert "ResetDisk" not in words
    assert "How to go back" not in words
    assert report.undo == ()
    shown = show(job.tools, str(report.run_id))
    assert (shown.undo, shown.ways) == ((), ())


@pytest.mark.parametrize(
    ("before", "manager", "told"),
    [
        ("pamac-daemon: upgrade linux", "pacman", True),
        ("pacman.conf: mirrors", "", False),
        ("pacman: x", "apt", False),
    ],
)
def test_lock_of_pacman_when_shown_then_it_is_what_logged_the_change_that_counts(
    job: MainJob, before: str, manager: str, *, told: bool
) -> None:
    report = job.run(replace(TO_THE_END, before=before))
    change = LoggedChange(at="", manager=manager, program="", packages=())
    tools = replace(job.tools, changes_of=lambda _: (change,) if manager else ())
    shown = show(tools, str(report.run_id))
    assert any("pacman/db.lck" in line for way in shown.ways for line in way.after) is told


def test_one_failed_snapshot_when_told_then_the_way_back_is_that_of_the_other(
    job: MainJob,
) -> None:
    job.simulator.set_disk_life(DISKS[1], fail_at="after_cut")
    report = job.run(TO_THE_END)
    assert report.exit_status is ExitStatus.SNAPSHOT_FAILED
    calls = [step for step in report.undo if isinstance(step, CloudCall)]
    resets = [call for call in calls if call.action == "ResetDisk"]
    assert [each.params["DiskId"] for each in resets] == [DISKS[0]]


def test_one_failed_snapshot_when_a_volume_lies_on_both_disks_then_no_way_leads_back() -> None:
    with main_job(lvm=True) as job:
        job.simulator.set_disk_life(DISKS[1], fail_at="after_cut")
        report = job.run(TO_THE_END)
    assert report.exit_status is ExitStatus.SNAPSHOT_FAILED
    assert report.undo == ()


def test_torn_set_when_told_then_no_way_leads_back_to_it() -> None:
    with main_job(lvm=True) as job:
        job.simulator.set_group_behaviour(left_out_disks=[DISKS[1]])
        report = job.run(REQUEST)
    assert report.error
    assert report.error.code == "snapshot-set-torn"
    assert report.undo == ()


def _vanishing(job: MainJob, *, which: int) -> Edit:
    """Return an edit that has snapshots deleted once they were seen.

    They are seen beside the wait too, once.
    """
    whole: list[str] = []

    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        seen = answer["Snapshots"]["Snapshot"] if action == SHOTS else []
        if job.sets() and len(seen) == len(DISKS):
            whole.append(action)
        if len(whole) == 3:
            whole.append("deleted")
            for name in sorted(job.simulator.dump()["snapshots"])[:which]:
                job.tools.connect(job.tools.identify()).delete_snapshot(SnapshotId(name))
        return answer

    return edit


@pytest.mark.parametrize("which", [1, 2], ids=["one", "all"])
def test_snapshots_when_somebody_deletes_them_in_the_wait_then_that_is_said_within_seconds(
    job: MainJob, which: int
) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.edit = _vanishing(job, which=which)
    began = job.clock.monotonic()
    report = job.run(TO_THE_END)
    assert job.clock.monotonic() - began < 60
    assert report.error
    assert (report.error.code, report.exit_status) == ("snapshot-gone", ExitStatus.SNAPSHOT_FAILED)
    lost = [shot for shot in report.snapshots if shot.status == "gone"]
    assert len(lost) == which
    words = said(report)
    for shot in lost:
        assert str(shot.snapshot_id) in report.error.message
        assert f"--SnapshotId {shot.snapshot_id}" not in words
        assert not shot.available
    assert "go on by themselves" not in words


def test_snapshots_when_one_answer_does_not_show_them_then_they_are_not_gone(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=1.0)
    turns = []

    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        if action == SHOTS and job.sets():
            turns.append(action)
            if len(turns) % 3:
                answer["Snapshots"]["Snapshot"] = []
        return answer

    job.edit = edit
    report = job.run(TO_THE_END)
    assert report.exit_status is ExitStatus.DONE, report.error


def test_snapshots_when_none_is_ever_shown_then_that_is_said_after_a_minute(job: MainJob) -> None:
    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        if action == GROUPS:
            answer["SnapshotGroups"]["SnapshotGroup"] = []
        return answer

    job.edit = edit
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.WAIT_RAN_OUT
    warnings = [event.text for event in job.events if event.kind is EventKind.WARNING]
    assert any("after 60 s" in text and "ecs:DescribeSnapshotGroups" in text for text in warnings)
    assert report.error
    assert "go on by themselves" not in report.error.hint


def test_members_when_the_group_does_not_name_their_disks_then_the_snapshots_do(
    job: MainJob,
) -> None:
    def edit(action: str, answer: dict[str, Any]) -> Mapping[str, Any]:
        for group in answer["SnapshotGroups"]["SnapshotGroup"] if action == GROUPS else ():
            for member in group["Snapshots"]["Snapshot"]:
                member.pop("SourceDiskId")
        return answer

    job.edit = edit
    report = job.run(TO_THE_END)
    assert report.exit_status is ExitStatus.DONE, report.error
    made = {name: s["disk_id"] for name, s in job.simulator.dump()["snapshots"].items()}
    assert {shot.snapshot_id: shot.disk_id for shot in report.snapshots} == made


@pytest.mark.parametrize("command", ["list", "show"])
def test_command_when_it_asks_several_things_then_all_go_through_one_client(
    job: MainJob, command: str
) -> None:
    report = job.run(TO_THE_END)
    clients = []

    def connect(identity: Identity) -> EcsClient:
        clients.append(job.tools.connect(identity))
        return clients[-1]

    tools = replace(job.tools, connect=connect)
    if command == "list":
        list_snapshots(tools)
    else:
        show(tools, str(report.run_id))
    assert len(clients) == 1
