"""For how long snapshots are kept: nothing is promised that the cloud has not accepted."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.faults import Fault
from fakes.main_job import MainJob, main_job
from snap_self.errors import ExitStatus
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.snapshots import WaitFor
from snap_self.output.listing import listing_json, write_listing
from snap_self.output.report import report_json, write_report
from snap_self.output.shown import shown_json, write_shown
from snap_self.output.streams import Streams
from snap_self.usecases.doctor import diagnose
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.prune import prune
from snap_self.usecases.show import show

POLICY = Path(__file__).resolve().parents[2] / "packaging/ram/snap-self-create.json"
REQUEST = Request(before="os upgrade")
TO_THE_END = replace(REQUEST, wait=WaitFor.ACCOMPLISHED)
MODIFY = "ModifySnapshotAttribute"
ONCE = "once the retention is set"
FOR_EVER = "until somebody deletes them"


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def allow_by_tag(job: MainJob) -> None:
    """Give the role the policy that is handed out, where tags of groups do not reach members."""
    identity = job.tools.identify()
    disks = ", ".join(
        f'"acs:ecs:REGION:ACCOUNT:disk/{disk}"' for disk in job.simulator.dump()["disks"]
    )
    text = POLICY.read_text(encoding="utf-8").replace(
        '"acs:ecs:REGION:ACCOUNT:disk/DISK_ID"', disks
    )
    for placeholder, value in {
        "REGION": identity.region,
        "ACCOUNT": identity.account,
        "INSTANCE_ID": identity.instance_id,
    }.items():
        text = text.replace(placeholder, value)
    job.simulator.set_policies("SnapSelfRole", json.loads(text))


def refuse(job: MainJob, code: str = "Forbidden.RAM") -> None:
    job.simulator.inject(Fault(kind=f"error:{code}:403", action=MODIFY, count=1000))


def told(report: Report) -> str:
    text = io.StringIO()
    write_report(_streams(text), report)
    return text.getvalue()


def _streams(text: io.StringIO) -> Streams:
    return Streams(out=text, err=text, terminal=False, colour=False, verbosity=1, json=False)


def listed(job: MainJob) -> tuple[str, dict[str, Any]]:
    listing, text = list_snapshots(job.tools), io.StringIO()
    write_listing(_streams(text), listing, now=job.clock.now())
    return text.getvalue(), listing_json(listing)


def test_shipped_policy_when_tags_do_not_reach_members_then_the_run_says_that_they_stay(
    job: MainJob,
) -> None:
    allow_by_tag(job)
    report = job.run(TO_THE_END)
    assert report.exit_status is ExitStatus.DONE, report.error
    words = told(report)
    for said in ("refused to set the retention", "the tags of the group did not", FOR_EVER):
        assert said in words
    assert "Forbidden.RAM" in words
    assert ONCE not in words
    form = report_json(report)
    assert {shot["retention"] for shot in form["snapshots"]} == {"refused"}
    assert any("refused" in note for note in form["notes"])


def test_refused_retention_when_listed_then_no_date_is_claimed_and_the_reason_is_told(
    job: MainJob,
) -> None:
    allow_by_tag(job)
    report = job.run(TO_THE_END)
    words, form = listed(job)
    assert words.count("not set") == 1
    assert f"{report.snapshots[0].expires:%Y-%m-%d}" not in words
    assert "refused to set the retention" in words
    assert {shot["retention"] for shot in form["snapshots"]} == {"refused"}
    assert any("refused" in note for note in form["notes"])


def test_refused_retention_when_shown_then_no_date_is_claimed_and_the_reason_is_told(
    job: MainJob,
) -> None:
    allow_by_tag(job)
    report = job.run(TO_THE_END)
    shown, text = show(job.tools, str(report.run_id)), io.StringIO()
    write_shown(_streams(text), shown, now=job.clock.now())
    assert text.getvalue().count("expires not set") == 2
    assert "refused to set the retention" in text.getvalue()
    assert {shot["retention"] for shot in shown_json(shown)["snapshots"]} == {"refused"}


def test_refused_retention_when_another_run_follows_then_it_says_so_too(job: MainJob) -> None:
    allow_by_tag(job)
    first = job.run(TO_THE_END)
    second = job.run(replace(TO_THE_END, before="another change"))
    assert any(str(first.run_id) in note and "refused" in note for note in second.notes)


def test_refused_retention_when_the_journal_is_gone_then_the_list_still_claims_no_date(
    job: MainJob,
) -> None:
    allow_by_tag(job)
    job.run(TO_THE_END)
    job.forget()
    words, form = listed(job)
    assert words.count("not set") == 1
    assert FOR_EVER in words
    assert {shot["retention"] for shot in form["snapshots"]} == {"not-set"}


def test_doctor_when_the_retention_hangs_on_tags_then_does_not_ask_for_what_the_role_has(
    job: MainJob,
) -> None:
    allow_by_tag(job)
    job.run(TO_THE_END)
    found = diagnose(job.tools, credentials=list, root=True, try_freeze=None)
    finding = next(one for one in found.findings if one.check == "retention")
    assert "the tags of the group did not reach its members" in finding.hint
    assert "the role needs" not in finding.hint


def test_doctor_when_the_role_lacks_the_permission_then_names_it(job: MainJob) -> None:
    job.simulator.set_group_behaviour(propagate_tags=True)
    refuse(job)
    job.run(TO_THE_END)
    found = diagnose(job.tools, credentials=list, root=True, try_freeze=None)
    finding = next(one for one in found.findings if one.check == "retention")
    assert "the role needs ecs:ModifySnapshotAttribute" in finding.hint


@pytest.mark.parametrize(
    "code", ["InvalidOperation.ResourceManagedByCloudProduct", "InvalidSnapshotId.NotFound"]
)
def test_retention_when_the_cloud_has_another_reason_then_its_words_are_told(
    job: MainJob, code: str
) -> None:
    refuse(job, code)
    report = job.run(TO_THE_END)
    (note,) = [note for note in report.notes if "refused to set the retention" in note]
    assert code in note
    assert all(str(shot.snapshot_id) in note for shot in report.snapshots)
    assert "request " in note


def test_retention_when_the_upload_goes_on_then_it_is_pending_and_so_it_is_said(
    job: MainJob,
) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    report = job.run(REQUEST)
    assert ONCE in told(report)
    assert {shot.retention for shot in report.snapshots} == {Retention.PENDING}
    words, form = listed(job)
    assert words.count(" pending") == 1
    assert {shot["retention"] for shot in form["snapshots"]} == {"pending"}


def test_retention_when_it_is_set_then_a_date_is_a_date(job: MainJob) -> None:
    report = job.run(TO_THE_END)
    words = told(report)
    assert "kept until" in words
    assert ONCE not in words
    assert {shot.retention for shot in report.snapshots} == {Retention.SET}
    words, form = listed(job)
    assert "not set" not in words
    assert {shot["retention"] for shot in form["snapshots"]} == {"set"}


def test_list_when_retention_is_due_then_sets_none_and_leaves_it_to_prune(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    _, form = listed(job)
    assert {shot["retention"] for shot in form["snapshots"]} == {"pending"}
    assert MODIFY not in [call.action for call in job.simulator.calls]
    prune(job.tools, PrunePolicy(), dry_run=False)
    _, form = listed(job)
    assert {shot["retention"] for shot in form["snapshots"]} == {"set"}


def test_retention_when_the_disk_is_busy_then_it_is_pending_and_not_refused(job: MainJob) -> None:
    refuse(job, "IncorrectDiskStatus.CreatingSnapshot")
    report = job.run(TO_THE_END)
    assert {shot.retention for shot in report.snapshots} == {Retention.PENDING}
    assert not any("refused" in note for note in report.notes)


def test_single_snapshot_when_the_cloud_shows_no_retention_then_no_date_is_claimed(
    job: MainJob,
) -> None:
    one = replace(TO_THE_END, selection=replace(TO_THE_END.selection, paths=("/srv",)))

    def edit(action: str, answer: dict[str, Any]) -> dict[str, Any]:
        for shot in answer["Snapshots"]["Snapshot"] if action == "DescribeSnapshots" else ():
            shot.pop("RetentionDays", None)
        return answer

    job.edit = edit
    report = job.run(one)
    assert {shot.retention for shot in report.snapshots} == {Retention.NOT_SET}
    assert FOR_EVER in told(report)
    assert "not set" in listed(job)[0]


def test_retention_when_it_cannot_be_read_then_it_is_not_known_and_not_claimed(
    job: MainJob,
) -> None:
    job.run(TO_THE_END)

    def edit(action: str, answer: dict[str, Any]) -> dict[str, Any]:
        for shot in answer["Snapshots"]["Snapshot"] if action == "DescribeSnapshots" else ():
            shot["RetentionDays"] = -1
        return answer

    job.edit = edit
    words, form = listed(job)
    assert words.count("not known") == 1
    assert {shot["retention"] for shot in form["snapshots"]} == {"not-known"}


def test_snapshot_to_be_kept_for_ever_when_somebody_gave_it_a_retention_then_its_date_is_listed(
    job: MainJob,
) -> None:
    for_ever = replace(TO_THE_END, keep_s=None)
    report = job.run(for_ever)
    assert "never" in listed(job)[0]
    cloud = job.tools.connect(job.tools.identify())
    for shot in report.snapshots:
        assert shot.snapshot_id
        cloud.set_retention(shot.snapshot_id, 7)
    words, form = listed(job)
    assert "never" not in words
    assert {shot["retention"] for shot in form["snapshots"]} == {"set"}
    assert all(shot["expires"] for shot in form["snapshots"])


def test_reused_set_when_it_has_no_retention_then_that_is_said(job: MainJob) -> None:
    allow_by_tag(job)
    job.run(TO_THE_END)
    report = job.run(replace(REQUEST, reuse_s=1800.0))
    assert report.result is Result.REUSED
    assert any(FOR_EVER in note for note in report.notes)


@pytest.mark.parametrize(
    "code",
    [
        "Forbidden.RAM:403",
        "QuotaExceed.Snapshot:403",
        "IncorrectDiskStatus.CreatingSnapshot:403",
        "InternalError:500",
        "Brand.New:400",
    ],
)
def test_run_that_made_nothing_promises_and_advises_nothing(job: MainJob, code: str) -> None:
    fault = Fault(kind=f"error:{code}", action="CreateSnapshotGroup", count=1000)
    job.simulator.inject(fault)
    report = job.run(REQUEST)
    assert report.snapshots == ()
    words = told(report) + " ".join(report_json(report)["notes"])
    for promise in ("kept until", "do not stop or reboot", "is uploaded", "No stop or reboot"):
        assert promise not in words


def test_run_that_made_nothing_still_tells_what_may_be_the_reason(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(REQUEST)
    report = job.run(replace(REQUEST, before="another change"))
    assert report.exit_status is ExitStatus.PRECONDITION
    assert any("is still being made" in note for note in report.notes)
