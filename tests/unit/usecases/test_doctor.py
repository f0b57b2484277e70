"""What doctor finds where one thing is wrong, what it still asks, and what it cannot know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import count
from typing import Any

import pytest

from fakes.lock import FakeLock
from fakes.looking_back import copy_record
from fakes.records import run_record
from fakes.rpc import Outcome, no_answer, refusal
from fakes.taken import ME, TAGS, Taken, snapshot_of, tags
from snap_self.errors import (
    ConfigError,
    CredentialsRefused,
    ExitStatus,
    MetadataUnreachable,
    NoCredentials,
    SnapSelfError,
    StateUnusable,
)
from snap_self.model.ids import DiskId, InstanceId, SnapshotId
from snap_self.model.installation import Installation, InstalledBy
from snap_self.model.run import OrderRecord, RetentionTries, RunRecord, Stage
from snap_self.model.snapshots import Identity, SnapshotOrder
from snap_self.model.temporary import CopyRecord, DiskStage
from snap_self.model.temporary import Stage as Done
from snap_self.usecases.doctor import Diagnosis, Finding, Readiness, Verdict, diagnose

OK, WARN, FAIL, SKIPPED = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.SKIPPED
RUNNING: Outcome = {
    "Instances": {
        "Instance": [{"InstanceId": ME, "Status": "Running", "InstanceType": "ecs.g7.large"}]
    }
}
DENIED = refusal("Forbidden.RAM")
NO_DISKS: Outcome = {"Disks": {"Disk": []}}


@dataclass
class Visit:
    """One instance that doctor looks at; all is well unless changed.

    Args:
        metadata: why the metadata service gives no identity.
        keys: why there are none.
        options: further arguments of ``diagnose``.
    """

    machine: str = "one-virtio-disk"
    metadata: SnapSelfError | None = None
    keys: SnapSelfError | None = None
    shots: list[dict[str, Any]] = field(default_factory=list)
    answers: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taken = Taken(machine=self.machine, snapshots=self.shots)
        self.taken.answers |= {"DescribeInstances": RUNNING, **self.answers}

    @property
    def calls(self) -> list[str]:
        """Return what the cloud was asked."""
        return [call.action for call in self.taken.rpc.calls]

    def diagnose(self) -> Diagnosis:
        """Run every check."""
        tools = self.taken.tools
        if self.metadata is not None:
            tools = replace(tools, identify=self._no_identity)
        options: dict[str, Any] = {"root": True, "try_freeze": None, **self.options}
        return diagnose(tools, credentials=self._resolve, **options)

    def found(self, *checks: str) -> list[tuple[str, Verdict]]:
        """Return what these checks found, or all of them."""
        return [(f.check, f.verdict) for f in self.all() if not checks or f.check in checks]

    def one(self, check: str) -> Finding:
        """Return the one finding of a check."""
        (finding,) = (each for each in self.all() if each.check == check)
        return finding

    def all(self) -> Sequence[Finding]:
        """Return every finding."""
        return self.diagnose().findings

    def _no_identity(self) -> Identity:
        assert self.metadata is not None
        raise self.metadata

    def _resolve(self) -> Sequence[tuple[str, str]]:
        if self.keys is not None:
            raise self.keys
        return [("environment", "not set"), ("instance role", "used")]


def test_where_all_is_well_each_check_is_told_once_in_order() -> None:
    visit = Visit()
    diagnosis = visit.diagnose()
    assert [(f.check, f.verdict) for f in diagnosis.findings] == [
        ("metadata", OK),
        ("credentials", OK),
        ("api", OK),
        ("instance", OK),
        ("disks", OK),
        ("one-instant", OK),
        ("snapshots", OK),
        ("permission", WARN),
        ("looking-back", SKIPPED),
        ("journal", OK),
        ("root", OK),
    ]
    assert diagnosis.exit_status is ExitStatus.DONE
    not_yet = ("permission", "looking-back")
    assert {f.hint for f in diagnosis.findings if f.check not in not_yet} == {""}
    assert diagnosis.identity is not None
    assert "environment: not set; instance role: used" in diagnosis.findings[1].text


def test_without_metadata_the_cloud_is_not_asked_and_the_rest_is_looked_at() -> None:
    visit = Visit(metadata=MetadataUnreachable("no answer", hint="look"), options={"root": False})
    diagnosis = visit.diagnose()
    assert [(f.check, f.verdict) for f in diagnosis.findings] == [
        ("metadata", FAIL),
        ("credentials", OK),
        ("api", SKIPPED),
        ("instance", SKIPPED),
        ("mounts", OK),
        ("disks", SKIPPED),
        ("one-instant", SKIPPED),
        ("snapshots", SKIPPED),
        ("permission", SKIPPED),
        ("looking-back", SKIPPED),
        ("journal", OK),
        ("root", WARN),
    ]
    assert diagnosis.findings[2].text == "needs the metadata service"
    assert (diagnosis.findings[0].text, diagnosis.findings[0].hint) == ("no answer", "look")
    assert diagnosis.exit_status is ExitStatus.ENVIRONMENT
    assert (diagnosis.identity, visit.calls) == (None, [])


def test_without_keys_the_cloud_is_not_asked() -> None:
    visit = Visit(keys=NoCredentials("no keys", details=("file: no keys in it", "role: none")))
    diagnosis = visit.diagnose()
    said = {finding.check: finding for finding in diagnosis.findings}
    # A source that tells the same again is not told twice.
    assert said["credentials"].text == "no keys (role: none)"
    assert said["credentials"].verdict is FAIL
    assert said["api"].text == "needs credentials"
    assert visit.calls == []
    assert diagnosis.exit_status is ExitStatus.CREDENTIALS
    assert Visit(keys=NoCredentials("no keys")).one("credentials").text == "no keys"


def test_status_is_that_of_the_first_failure_and_of_no_warning() -> None:
    refused = CredentialsRefused("unknown key")
    visit = Visit(metadata=MetadataUnreachable("no answer"), keys=refused)
    assert visit.diagnose().exit_status is ExitStatus.ENVIRONMENT
    warned = Finding(check="a", verdict=WARN, text="", exit_status=ExitStatus.PRECONDITION)
    failed = Finding(check="b", verdict=FAIL, text="", exit_status=ExitStatus.QUIESCE)
    later = replace(failed, exit_status=ExitStatus.LOCKED)
    diagnosis = Diagnosis(findings=(warned, failed, later), identity=None)
    assert diagnosis.exit_status is ExitStatus.QUIESCE
    assert replace(diagnosis, findings=(warned,)).exit_status is ExitStatus.DONE


def test_cloud_that_does_not_answer_is_not_asked_by_each_check() -> None:
    visit = Visit(answers={"DescribeDisks": no_answer(lasting=True)})
    diagnosis = visit.diagnose()
    said = {finding.check: finding.verdict for finding in diagnosis.findings}
    assert set(visit.calls) == {"DescribeDisks"}
    assert (said["api"], said["instance"], said["snapshots"]) == (FAIL, SKIPPED, SKIPPED)
    assert (said["mounts"], said["disks"], said["journal"]) == (OK, SKIPPED, OK)
    assert diagnosis.exit_status is ExitStatus.UNREACHABLE


def test_empty_list_of_disks_is_a_missing_permission() -> None:
    visit = Visit(answers={"DescribeDisks": NO_DISKS})
    diagnosis = visit.diagnose()
    said = {finding.check: finding for finding in diagnosis.findings}
    assert said["api"].verdict is FAIL
    assert "ecs:DescribeDisks" in said["api"].hint
    assert diagnosis.exit_status is ExitStatus.CREDENTIALS
    # It answers, so the others are asked.
    assert said["instance"].verdict is OK
    assert (said["disks"].verdict, said["one-instant"].verdict) == (SKIPPED, SKIPPED)


def test_instance_that_is_not_shown_is_no_failure() -> None:
    visit = Visit(answers={"DescribeInstances": {"Instances": {"Instance": []}}})
    assert visit.one("instance").verdict is WARN
    assert "ecs:DescribeInstances" in visit.one("instance").hint
    assert visit.diagnose().exit_status is ExitStatus.DONE


@pytest.mark.parametrize(
    ("action", "check"), [("DescribeInstances", "instance"), ("DescribeSnapshots", "snapshots")]
)
def test_refused_question_fails_its_own_check_alone(action: str, check: str) -> None:
    visit = Visit(answers={action: DENIED})
    failed = [finding for finding in visit.all() if finding.verdict is FAIL]
    assert [finding.check for finding in failed] == [check]
    assert failed[0].error is not None
    assert failed[0].error.request_id == "REQ-1"
    assert visit.found("journal") == [("journal", OK)]


def test_disk_that_is_left_out_and_data_that_is_not_covered_are_warned_of() -> None:
    visit = Visit(machine="local-ssd")
    warned = [f.text for f in visit.all() if (f.check, f.verdict) == ("disks", WARN)]
    assert any(" is left out: " in text for text in warned)
    assert any(text.startswith("/data is not covered: ") for text in warned)
    assert visit.diagnose().exit_status is ExitStatus.DONE


def edited(visit: Visit, number: int = 0, **changes: Any) -> Visit:
    """Return the visit with one disk as the cloud shows it changed."""
    visit.taken.disks[number].update(changes)
    return visit


def test_one_disk_is_one_instant_whatever_it_is() -> None:
    visit = edited(Visit(), Category="cloud_efficiency")
    assert visit.one("one-instant").verdict is OK


@pytest.mark.parametrize(("machine", "verdict"), [("swap", WARN), ("lvm-two-disks", FAIL)])
def test_disks_that_no_group_takes_fail_only_where_a_volume_needs_one(
    machine: str, verdict: Verdict
) -> None:
    assert Visit(machine=machine).one("one-instant").verdict is OK
    visit = edited(Visit(machine=machine), Category="cloud_efficiency")
    assert visit.one("one-instant").verdict is verdict
    assert "cloud_efficiency" in visit.one("one-instant").text
    wanted = ExitStatus.PRECONDITION if verdict is FAIL else ExitStatus.DONE
    assert visit.diagnose().exit_status is wanted


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 tagged"), (99, "99 tagged"), (100, "100+ tagged")]
)
def test_full_page_of_snapshots_may_not_be_all(count: int, words: str) -> None:
    shots = [snapshot_of("d-other", SnapshotId=f"s-{number}") for number in range(count)]
    assert words in Visit(shots=shots).one("snapshots").text


def test_list_that_goes_on_is_read_no_further_than_it_is_of_use() -> None:
    numbers = count()

    def page(_params: Mapping[str, str]) -> Outcome:
        shots = [snapshot_of("d-other", SnapshotId=f"s-{next(numbers)}") for _ in range(100)]
        return {"Snapshots": {"Snapshot": shots}, "NextToken": f"page-{next(numbers)}"}

    visit = Visit(answers={"DescribeSnapshots": page})
    assert visit.one("snapshots").verdict is OK
    asked = [c.params for c in visit.taken.rpc.calls if c.action == "DescribeSnapshots"]
    assert sum("Tag.1.Key" in params for params in asked) == 1
    assert sum("InstanceId" in params for params in asked) == 12


def test_entry_that_cannot_be_read_is_told_once() -> None:
    visit = Visit(shots=[snapshot_of("d-other", SnapshotId=[])])
    (finding,) = (f for f in visit.all() if (f.check, f.verdict) == ("snapshots", WARN))
    assert "SnapshotId" in finding.text


def test_limit_that_comes_near_is_told_of_a_disk_that_is_here() -> None:
    here = Visit().taken.disks[0]["DiskId"]
    shots = [
        snapshot_of(disk, SnapshotId=f"s-{disk}-{number}")
        for disk in (here, "d-other")
        for number in range(250)
    ]
    finding = Visit(shots=shots).one("limit")
    assert finding.verdict is WARN
    assert finding.text.startswith(f"{here} has 250 ")


def test_journal_is_left_alone_while_a_run_is_going_on() -> None:
    visit = Visit()
    visit.taken.journal.spoiled = ("run-x.json",)
    visit.taken.lock = FakeLock(visit.taken.clock, free_after_s=60.0)
    assert visit.found("journal") == [("journal", WARN)]
    assert visit.one("journal").text == "another run is going on"
    assert visit.taken.clock.sleeps == []


def test_damaged_record_is_named_and_the_directory_is_not_called_good() -> None:
    visit = Visit()
    visit.taken.journal.spoiled = ("run-x.json", "run-y.json")
    assert visit.found("journal") == [("journal", WARN), ("journal", WARN)]
    assert [f.text for f in visit.all() if f.check == "journal"] == [
        "run-x.json cannot be read",
        "run-y.json cannot be read",
    ]


def test_interrupted_run_is_named_and_a_finished_one_is_not() -> None:
    visit = Visit()
    visit.taken.journal.save(run_record(1, stage=Stage.FINISHED))
    visit.taken.journal.save(run_record(2, stage=Stage.CREATING))
    assert visit.found("journal") == [("journal", WARN), ("journal", OK)]
    (warned,) = (f for f in visit.all() if (f.check, f.verdict) == ("journal", WARN))
    assert warned.text.startswith(f"{run_record(2).label} was interrupted")


def test_journal_that_fails_ends_no_other_check() -> None:
    visit = Visit(shots=[snapshot_of("d-bp1aaaabbbbccccdddd1")])
    visit.taken.journal.save(lacking())
    visit.taken.journal.failing = "no space left"
    visit.taken.answers["ModifySnapshotAttribute"] = DENIED
    assert visit.found("journal", "root") == [("journal", FAIL), ("root", OK)]
    assert visit.diagnose().exit_status is StateUnusable.exit_status


def lacking(*, tries: int = 0) -> RunRecord:
    """Return a finished run whose group member lacks its retention, refused so often."""
    order = SnapshotOrder(
        disk_ids=(DiskId("d-1"),),
        grouped=True,
        name="",
        description="",
        tags={},
        retention_days=None,
        client_token="token",
    )
    record = run_record(1, orders=(OrderRecord(order=order, members_final=True),))
    member = SnapshotId("s-bp1aaaabbbbccccdddd1")
    made = replace(
        record.orders[0],
        snapshot_ids={DiskId("d-1"): member},
        retention_pending=(member,),
    )
    refused = RetentionTries(count=tries, last=record.started, why="earlier") if tries else None
    return replace(record, stage=Stage.FINISHED, orders=(made,), retention=refused)


def retention(*, tries: int = 0, **answers: Outcome) -> Visit:
    """Return a visit to such a run."""
    shown = snapshot_of("d-bp1aaaabbbbccccdddd1", Tags=tags(**TAGS))
    visit = Visit(shots=[shown], answers=answers)
    visit.taken.journal.save(lacking(tries=tries))
    return visit


def test_retention_that_can_be_set_is_set_and_not_told() -> None:
    visit = retention(ModifySnapshotAttribute={"RequestId": "R"})
    assert visit.found("retention") == []
    assert visit.calls.count("ModifySnapshotAttribute") == 1


def test_retention_that_is_refused_is_told_with_what_mends_it() -> None:
    finding = retention(ModifySnapshotAttribute=DENIED).one("retention")
    assert finding.verdict is WARN
    assert finding.text.startswith("1 group members have no retention yet; the cloud refused it: ")
    assert "does not try it again" not in finding.hint
    assert finding.hint


def test_retention_that_was_given_up_is_tried_by_doctor_all_the_same() -> None:
    visit = retention(tries=6, ModifySnapshotAttribute=DENIED)
    assert "of itself snap-self does not try it again" in visit.one("retention").hint
    assert "ModifySnapshotAttribute" in visit.calls


def test_retention_that_is_not_due_yet_waits_for_the_upload() -> None:
    visit = retention()
    visit.taken.snapshots[0] |= {"Status": "progressing", "Progress": "10%"}
    finding = visit.one("retention")
    assert finding.text == "1 group members have no retention yet"
    assert finding.hint.startswith("it is set once they are uploaded")
    assert "ModifySnapshotAttribute" not in visit.calls


def test_retention_is_not_looked_for_where_the_cloud_is_not_there() -> None:
    visit = retention()
    visit.taken.answers["DescribeDisks"] = no_answer(lasting=True)
    assert visit.found("retention", "journal") == [("journal", OK)]


def raising() -> str:
    """Fail where the test cannot even be made."""
    raise StateUnusable("no room for the test")


@pytest.mark.parametrize(
    ("options", "check", "verdict", "status"),
    [
        ({"try_freeze": lambda: ""}, "freeze", OK, ExitStatus.DONE),
        ({"try_freeze": lambda: "it stayed frozen"}, "freeze", WARN, ExitStatus.DONE),
        ({"try_freeze": raising}, "freeze", FAIL, ExitStatus.ENVIRONMENT),
        ({"try_hold": lambda: ""}, "reboot", OK, ExitStatus.DONE),
        ({"try_hold": lambda: "no logind"}, "reboot", WARN, ExitStatus.DONE),
        ({"hooks": lambda: (["apt"], [])}, "hooks", OK, ExitStatus.DONE),
        ({"hooks": lambda: ([], [])}, "hooks", OK, ExitStatus.DONE),
        ({"hooks": lambda: (["apt"], ["dnf4"])}, "hooks", WARN, ExitStatus.DONE),
        ({"root": False}, "root", WARN, ExitStatus.DONE),
    ],
)
def test_checks_of_this_machine(
    options: Mapping[str, Callable[[], object]],
    check: str,
    verdict: Verdict,
    status: ExitStatus,
) -> None:
    visit = Visit(options=options)
    finding = visit.one(check)
    assert finding.verdict is verdict
    assert bool(finding.hint) is (verdict is WARN)
    assert visit.diagnose().exit_status is status


def test_reason_of_a_warning_is_told() -> None:
    options = {
        "try_freeze": lambda: "it stayed frozen",
        "try_hold": lambda: "no logind",
        "hooks": lambda: (["apt"], ["dnf4", "zypper"]),
    }
    visit = Visit(options=options)
    assert visit.one("freeze").text.endswith(": it stayed frozen")
    assert visit.one("reboot").text.endswith(": no logind")
    assert visit.one("hooks").text.startswith("dnf4, zypper: ")
    assert visit.one("hooks").hint.endswith("sudo snap-self hook disable dnf4")


def test_what_is_in_place_is_named() -> None:
    assert (
        "for apt, dnf4;"
        in Visit(options={"hooks": lambda: (["apt", "dnf4"], [])}).one("hooks").text
    )
    assert "for no package manager;" in Visit(options={"hooks": lambda: ([], [])}).one("hooks").text


def test_what_is_not_to_be_tried_is_not_told() -> None:
    assert Visit().found("freeze", "reboot", "hooks") == []


def proved(visit: Visit, *, keys: str = "", disk: str = "") -> Visit:
    """Return the visit with a run in the journal that made a snapshot of its disk."""
    disk_id = DiskId(disk or visit.taken.disks[0]["DiskId"])
    record = run_record(1, stage=Stage.FINISHED)
    order = replace(record.orders[0], sent=True, snapshot_ids={disk_id: SnapshotId("s-made")})
    visit.taken.journal.save(
        replace(record, instance_id=InstanceId(ME), orders=(order,), keys=keys)
    )
    visit.shots.append(snapshot_of(disk_id, SnapshotId="s-made", Tags=tags()))
    return visit


def test_ready_is_said_only_where_a_create_was_seen_to_work() -> None:
    visit = Visit()
    assert visit.diagnose().readiness is Readiness.AS_FAR_AS_KNOWN
    assert "--before" in visit.one("permission").hint
    made = proved(Visit(), keys="instance role R")
    assert made.diagnose().readiness is Readiness.YES
    assert "2026-11-22 08:33 UTC, with keys of: instance role R" in made.one("permission").text
    broken = proved(Visit(answers={"DescribeDisks": NO_DISKS}))
    assert broken.diagnose().readiness is Readiness.NO


def test_create_with_other_keys_proves_nothing_of_these() -> None:
    options = {"keys_from": lambda: "instance role New"}
    visit = proved(Visit(options=options), keys="instance role Old")
    assert visit.one("permission").verdict is WARN
    assert "instance role Old" in visit.one("permission").text
    assert visit.diagnose().readiness is Readiness.AS_FAR_AS_KNOWN
    same = proved(Visit(options=options), keys="instance role New")
    assert same.one("permission").verdict is OK
    # Records of old do not tell whose they were.
    assert proved(Visit(options=options)).one("permission").verdict is OK


def test_disk_without_a_snapshot_yet_is_named() -> None:
    visit = proved(Visit(), disk="d-other")
    assert visit.one("permission").verdict is WARN
    assert visit.taken.disks[0]["DiskId"] in visit.one("permission").text
    assert "snap-self policy" in visit.one("permission").hint


def test_create_refused_since_is_told_with_its_run() -> None:
    visit = proved(Visit())
    record = run_record(2, stage=Stage.FINISHED)
    refused = replace(record, instance_id=InstanceId(ME), exit_status=int(ExitStatus.CREDENTIALS))
    visit.taken.journal.save(refused)
    assert visit.one("permission").verdict is WARN
    assert str(refused.run_id) in visit.one("permission").text


OPENED = datetime(2026, 11, 20, 7, 5, tzinfo=timezone.utc)


def looked(*, opened: datetime | None = OPENED, of: str = ME, left: bool = False) -> CopyRecord:
    """Return the record of a snapshot that was looked into, or of the try."""
    record = copy_record(datetime(2026, 11, 20, 7, 0, tzinfo=timezone.utc))
    stage = DiskStage.GIVEN_UP if left else DiskStage.GONE
    disks = tuple(replace(disk, stage=stage) for disk in record.disks)
    return replace(record.at(Done.DONE), instance_id=InstanceId(of), disks=disks, opened=opened)


def looking_back(*records: CopyRecord) -> Finding:
    return Visit(options={"copies": lambda: records}).one("looking-back")


def test_looking_back_that_was_seen_is_told_with_its_day() -> None:
    found = looking_back(looked(), looked(opened=None))
    assert found.verdict is OK
    assert "opened on 2026-11-20 07:05 UTC" in found.text


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ((), "none is known; no snapshot needs it"),
        ((looked(of="i-of-the-image"),), "none is known; no snapshot needs it"),
        ((looked(left=True),), "none is known; the last try, on 2026-11-20 07:00 UTC"),
        ((looked(opened=None), looked()), "one was opened on 2026-11-20 07:05 UTC; the last try"),
    ],
    ids=["none", "another-instance", "disk-not-deleted", "refused-since"],
)
def test_looking_back_that_was_not_seen_is_no_failure_and_names_its_policy(
    records: tuple[CopyRecord, ...], told: str
) -> None:
    found = looking_back(*records)
    assert (found.verdict, found.exit_status) == (SKIPPED, ExitStatus.DONE)
    assert told in found.text
    assert "`snap-self policy --restore`" in found.hint
    ready = proved(Visit(options={"copies": lambda: records}))
    assert ready.diagnose().readiness is Readiness.YES
    assert not {"CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk"} & set(ready.calls)


def test_looking_back_is_not_judged_by_a_journal_that_cannot_be_read() -> None:
    def unreadable() -> tuple[CopyRecord, ...]:
        raise StateUnusable("/var/lib/snap-self/restores cannot be read")

    found = Visit(options={"copies": unreadable}).one("looking-back")
    assert (found.verdict, found.text) == (SKIPPED, "needs the journal")
    assert "restores cannot be read" in found.hint


def test_off_ecs_missing_keys_are_no_failure_of_their_own() -> None:
    nowhere = MetadataUnreachable("no answer")
    visit = Visit(metadata=nowhere, keys=NoCredentials("no keys", details=("role: none bound",)))
    assert visit.one("credentials").verdict is SKIPPED
    assert "none bound" not in visit.one("credentials").text
    refused = Visit(metadata=nowhere, keys=CredentialsRefused("expired"))
    assert refused.one("credentials").verdict is FAIL


def test_wrong_configuration_fails_first_and_ends_no_other_check() -> None:
    fault = ConfigError("2 faults:", faults=("a is wrong", "b is wrong"), hint="see the example")
    visit = Visit(options={"fault": fault})
    diagnosis = visit.diagnose()
    assert [(f.check, f.text, f.hint) for f in diagnosis.findings[:2]] == [
        ("configuration", "a is wrong", "see the example"),
        ("configuration", "b is wrong", "see the example"),
    ]
    assert diagnosis.exit_status is ExitStatus.CONFIG
    assert visit.one("api").verdict is OK
    alone = Visit(options={"fault": ConfigError("c is wrong")})
    assert alone.one("configuration").text == "c is wrong"


def test_state_directory_that_is_not_known_is_not_looked_for() -> None:
    visit = Visit(options={"state_known": False})
    visit.taken.lock = visit.taken.journal = None  # type: ignore[assignment]
    for check in ("journal", "looking-back"):
        assert visit.one(check).verdict is SKIPPED
        assert "state.dir" in visit.one(check).text
    assert visit.one("permission").verdict is WARN
    assert visit.diagnose().readiness is Readiness.AS_FAR_AS_KNOWN


@pytest.mark.parametrize(("by", "verdict"), [(InstalledBy.DEB, OK), (InstalledBy.PIP, WARN)])
def test_installation_is_told_with_what_it_lacks(by: InstalledBy, verdict: Verdict) -> None:
    found = Installation(by=by, folder="/somewhere", documents="", example="", hooks="")
    visit = Visit(options={"installation": found})
    assert visit.one("installation").verdict is verdict
    assert "/somewhere" in visit.one("installation").text
    assert visit.one("installation").hint.startswith(found.limits)


@pytest.mark.parametrize(
    ("hidden", "action"),
    [
        ({"DescribeSnapshots": {"Snapshots": {"Snapshot": []}}}, "ecs:DescribeSnapshots,"),
        ({}, ""),
    ],
)
def test_snapshots_that_the_journal_has_and_the_cloud_does_not_show_are_warned_of(
    hidden: Mapping[str, Any], action: str
) -> None:
    visit = proved(Visit(answers=hidden))
    warned = [f.hint for f in visit.all() if (f.check, f.verdict) == ("snapshots", WARN)]
    assert bool(warned) is bool(action)
    assert all(action in hint for hint in warned)


def test_snapshots_without_the_tags_of_their_group_are_not_told_to_be_hidden() -> None:
    def page(params: Mapping[str, str]) -> Outcome:
        found = [] if "Tag.1.Key" in params else [snapshot_of("d-other", SnapshotId="s-made")]
        return {"Snapshots": {"Snapshot": found}}

    visit = proved(Visit(answers={"DescribeSnapshots": page}))
    assert [f.text for f in visit.all() if (f.check, f.verdict) == ("snapshots", WARN)] == []
