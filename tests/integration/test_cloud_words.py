"""What the cloud itself says, with its code and the id of the request, reaches whoever needs it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent_runner import AgentRunner
from ecs_simulator import Simulator
from ecs_simulator.faults import Fault
from fakes.main_job import DISKS, MainJob, config, main_job
from snap_self.errors import ExitStatus
from snap_self.model.progress import EventKind
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.output.diagnosis import diagnosis_json
from snap_self.output.pruned import pruned_json
from snap_self.output.report import report_json, write_report
from snap_self.output.streams import Streams
from snap_self.usecases.doctor import diagnose
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.job.planning import plan_snapshot
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.prune import prune

REQUEST = Request(before="os upgrade")
CREATE = "CreateSnapshotGroup"


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


@pytest.fixture
def old_disks() -> Iterator[MainJob]:
    with main_job(config(category="cloud_efficiency")) as one:
        yield one


def refuse(job: MainJob, action: str, code: str = "Forbidden.RAM:403", count: int = 1000) -> None:
    job.simulator.inject(Fault(kind=f"error:{code}", action=action, count=count))


def request_ids(job: MainJob, action: str) -> set[str]:
    return {call.request_id for call in job.simulator.calls if call.action == action and call.code}


def told(report: Report, *, verbosity: int = 0) -> str:
    text = io.StringIO()
    streams = Streams(
        out=text, err=text, terminal=False, colour=False, verbosity=verbosity, json=False
    )
    write_report(streams, report)
    return text.getvalue()


@pytest.mark.parametrize(
    "code",
    [
        *[
            "Forbidden.RAM:403",
            "QuotaExceed.ConcurrentSnapshotQuota:403",
            "CreateSnapshot.Failed:403",
        ],
        *["Brand.New:400", "InternalError:500"],
    ],
)
def test_refused_create_when_told_then_code_words_and_request_are_there(
    job: MainJob, code: str
) -> None:
    refuse(job, CREATE, code)
    report = job.run(REQUEST)
    form = report_json(report)["error"]
    (request_id,) = {form["request_id"]} & request_ids(job, CREATE)
    assert form["api_code"] == code.partition(":")[0]
    assert form["api_message"]
    words = told(report, verbosity=1)
    for said in (form["api_code"], form["api_message"], request_id):
        assert said in words
    assert form["api_code"] in told(report)


def test_refused_create_when_no_answer_of_the_cloud_stands_behind_it_then_there_are_no_words(
    job: MainJob,
) -> None:
    job.simulator.inject(Fault(kind="reset", action=CREATE, count=1000))
    form = report_json(job.run(REQUEST))["error"]
    assert (form["api_code"], form["api_message"], form["request_id"]) == (None, None, None)


def test_refused_single_when_told_then_its_disk_is_named(old_disks: MainJob) -> None:
    old_disks.simulator.set_disk(DISKS[1], status="Available")
    old_disks.simulator.state.disks[DISKS[1]].never_attached = True
    report = old_disks.run(REQUEST)
    assert report.error
    assert f"disk {DISKS[1]}" in report.error.message
    assert DISKS[0] not in report.error.message
    assert f"--exclude {DISKS[1]}" in report.error.hint


def test_refused_group_when_the_cloud_names_the_disk_then_so_do_we() -> None:
    cloud = replace(config(), concurrent_snapshots=2)
    with main_job(cloud) as job:
        job.simulator.set_life(accomplished_s=1e6)
        text = f"The number of snapshots being created for the disk {DISKS[1]} has exceeded 2."
        job.simulator.inject(
            Fault(kind="error:QuotaExceed.ConcurrentSnapshotQuota:403", action=CREATE, message=text)
        )
        report = job.run(REQUEST)
    assert report.error
    assert f"another snapshot of disk {DISKS[1]} is being made" in report.error.message


def test_refused_singles_when_several_are_refused_then_each_is_told(old_disks: MainJob) -> None:
    refuse(old_disks, "CreateSnapshot", "IncorrectDiskStatus.Transferring:403", count=1)
    refuse(old_disks, "CreateSnapshot", "QuotaExceed.Snapshot:403", count=1)
    report = old_disks.run(REQUEST)
    assert report.error
    words = report.error.message + " ".join(report.notes)
    for said in (*DISKS, "IncorrectDiskStatus.Transferring", "QuotaExceed.Snapshot"):
        assert said in words


def test_advice_that_is_refused_when_told_then_the_cloud_s_words_are_there(job: MainJob) -> None:
    refuse(job, "DescribeInstances")
    plan_snapshot(REQUEST, job.tools)
    warnings = [event.text for event in job.events if event.kind is EventKind.WARNING]
    (request_id,) = request_ids(job, "DescribeInstances")
    assert any(request_id in text for text in warnings)


def test_list_when_a_part_is_refused_then_the_cloud_s_words_are_in_its_notes(job: MainJob) -> None:
    job.run(REQUEST)
    refuse(job, "DescribeSnapshotGroups")
    notes = " ".join(list_snapshots(job.tools).notes)
    assert any(request_id in notes for request_id in request_ids(job, "DescribeSnapshotGroups"))


def test_doctor_when_the_api_refuses_then_tells_the_cloud_s_words(job: MainJob) -> None:
    refuse(job, "DescribeDisks")
    found = diagnose(job.tools, credentials=list, root=True, try_freeze=None)
    assert found.exit_status is ExitStatus.CREDENTIALS
    (failed,) = [c for c in diagnosis_json(found)["checks"] if c["check"] == "api"]
    assert failed["error"]["api_code"] == "Forbidden.RAM"
    assert {failed["error"]["request_id"]} == request_ids(job, "DescribeDisks")


def test_doctor_when_a_person_reads_it_then_code_words_and_request_are_there(
    agent: AgentRunner, simulator: Simulator
) -> None:
    simulator.inject(Fault(kind="error:Forbidden.RAM:403", action="DescribeDisks", count=99))
    done = agent.against(simulator).run("doctor")
    (request_id,) = {c.request_id for c in simulator.calls if c.action == "DescribeDisks"}
    assert "the cloud said Forbidden.RAM: " in done.out
    assert request_id in done.out


@pytest.mark.parametrize("arguments", [("list", "-v"), ("list", "--json")])
def test_command_that_the_cloud_refuses_when_told_then_code_words_and_request_are_there(
    agent: AgentRunner, simulator: Simulator, arguments: tuple[str, ...]
) -> None:
    simulator.inject(Fault(kind="error:Forbidden.RAM:403", action="DescribeSnapshots", count=99))
    done = agent.against(simulator).run(*arguments)
    assert done.status == 5
    (request_id,) = {c.request_id for c in simulator.calls if c.action == "DescribeSnapshots"}
    assert request_id in done.out + done.err
    assert "Forbidden.RAM" in done.out + done.err


def test_prune_when_a_member_stays_then_the_cloud_s_words_are_told(job: MainJob) -> None:
    report = job.run(replace(REQUEST, keep_s=1))
    job.simulator.finish_snapshots()
    job.clock.moves_cloud = True
    job.clock.sleep(2)  # the cloud tells times of cuts in whole seconds
    job.run(replace(REQUEST, before="another change"))
    job.simulator.finish_snapshots()
    job.simulator.mark_image(str(report.snapshots[0].snapshot_id))

    def used(action: str, answer: dict[str, object]) -> dict[str, object]:
        for shot in answer["Snapshots"]["Snapshot"] if action == "DescribeSnapshots" else ():  # type: ignore[index]
            shot["Usage"] = "none"
        return answer

    job.edit = used
    job.clock.sleep(10)
    pruned = prune(job.tools, PrunePolicy(), dry_run=False)
    form = pruned_json(pruned)
    assert form["error"]["api_code"] == "SnapshotCreatedImage"
    assert form["error"]["api_message"]
    assert form["error"]["request_id"]
