"""What each writer says in JSON is what its schema describes, with everything optional there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from fakes.configfiles import FakeConfigFiles
from fakes.samples import NOW, sample
from json_schemas import hold, schema_of
from snap_self.cli.boundary import tell, tell_interrupted
from snap_self.config.load import default_config
from snap_self.errors import ExitStatus, SnapSelfError, ThawFailed, code_of
from snap_self.model.command import Ended, NotStartable
from snap_self.model.copying import CopyOutcome
from snap_self.model.invocation import Invocation
from snap_self.model.looking import DiffReport
from snap_self.model.notifying import Delivery, Outcome, Sink
from snap_self.model.registration import ManagerFault
from snap_self.model.report import Report
from snap_self.model.restored import Mounted, Restored, Undone
from snap_self.model.result import Result
from snap_self.model.verification import Verdict as Proof
from snap_self.model.verified import Verified
from snap_self.output.command import changed_json, write_before
from snap_self.output.configuration import write_checked
from snap_self.output.confirmed import write_confirmed
from snap_self.output.diagnosis import write_diagnosis
from snap_self.output.differences import write_differences
from snap_self.output.listing import write_listing
from snap_self.output.managers import cover_json, write_managers, write_switched
from snap_self.output.mounted import write_mounted
from snap_self.output.notified import write_notified
from snap_self.output.pruned import write_pruned
from snap_self.output.report import report_json, write_report
from snap_self.output.restored import write_restored, write_undone
from snap_self.output.rollback import write_script, write_started, write_steps
from snap_self.output.rollback_online import write_returned
from snap_self.output.shown import write_shown
from snap_self.output.streams import Streams, make_streams
from snap_self.output.unmounted import write_unmounted
from snap_self.output.verified import write_verified
from snap_self.usecases.config_check import ConfigChecked, check_config
from snap_self.usecases.confirming.confirm import Confirmed, ConfirmOutcome
from snap_self.usecases.cover import Cover
from snap_self.usecases.doctor import Diagnosis, Finding, Verdict
from snap_self.usecases.going_back.online import Returned
from snap_self.usecases.listing import Listing
from snap_self.usecases.looking_back.sweeping import Swept
from snap_self.usecases.manager_status import ManagersReport
from snap_self.usecases.manager_switch import Switched
from snap_self.usecases.prune import Pruned
from snap_self.usecases.rollback import Judged, Started
from snap_self.usecases.run_command import Changed
from snap_self.usecases.show import Shown

IDS = {
    "snapshot_id": "s-1",
    "group_id": "ssg-1",
    "disk_id": "d-1",
    "source": "d-1",
    "instance_id": "i-1",
    "status": "accomplished",
    "code": "cloud-refused",
}
TOLD = (
    Delivery(sink=Sink.ROBOT, event="test", outcome=Outcome.SENT, status=200, answer=0),
    Delivery(sink=Sink.COMMAND, event="test", outcome=Outcome.FAILED, status=-9, why="x"),
)
NOTIFY = default_config().notify
ASKED = Invocation(command="run", before="x", argv=("true",))
FAULTY = FakeConfigFiles({"config.toml": '[snapshot]\nkeep = "soon"\n'})
SOUND = ConfigChecked(alone=True, files=("x",), unread=True, fault=None, faults=())
FAILED_CHECK = Finding(
    check="api",
    verdict=Verdict.FAIL,
    text="no disk",
    hint="allow it",
    exit_status=ExitStatus.CREDENTIALS,
)


def returned(**changes: Any) -> Returned:
    """Return disks that went back."""
    found = sample(Returned, word)
    return replace(found, record=replace(found.record, **changes))


def word(place: str) -> str:
    """Return what stands for a text at a place."""
    if place.startswith("Cover."):
        return "s-1"
    if place.startswith("FilesystemProof.snapshot_ids."):
        return IDS["snapshot_id"]
    return IDS.get(place.rpartition(".")[2], "x")


def streams() -> Streams:
    return make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=-1, json=True)


def written(write: Callable[[Streams], object]) -> tuple[dict[str, Any], str]:
    """Return the object on standard output, and standard error."""
    to = streams()
    write(to)
    out: Any = to.out
    err: Any = to.err
    return json.loads(out.getvalue()), err.getvalue()


def report(result: Result) -> Report:
    made = sample(Report, word)
    if result in (Result.FAILED, Result.ASKED):
        status = ExitStatus.REFUSED
    else:
        made, status = replace(made, error=None), ExitStatus.DONE
    return replace(made, result=result, exit_status=status)


def pruned(*, dry_run: bool = False, failed: bool = False) -> Pruned:
    made = sample(Pruned, word)
    ids = [one.shot.snapshot_id for each in made.outcomes for one in each.step.members]
    listed = dict.fromkeys(ids, next(iter(made.listed.values())))
    error = made.error if failed else None
    return replace(made, dry_run=dry_run, error=error, listed=listed)


JOB_RESULTS = ("done", "reused", "resumed", "asked", "partial", "failed")
WRITERS: dict[str, tuple[str, str, Callable[[Streams], object]]] = {
    **{
        f"snapshot {each}": (
            "snapshot",
            each,
            lambda s, each=each: write_report(s, report(Result(each))),  # type: ignore[misc]
        )
        for each in JOB_RESULTS
    },
    "plan": ("plan", "planned", lambda s: write_report(s, report(Result.PLANNED))),
    "list": ("list", "done", lambda s: write_listing(s, sample(Listing, word), now=NOW)),
    "diff": ("diff", "done", lambda s: differ(s, replace(sample(DiffReport, word), left=None))),
    "diff left a disk": ("diff", "partial", lambda s: differ(s, sample(DiffReport, word))),
    "show": ("show", "done", lambda s: write_shown(s, sample(Shown, word), now=NOW)),
    "show without a record": (
        "show",
        "done",
        lambda s: write_shown(s, replace(sample(Shown, word), record=None), now=NOW),
    ),
    "rollback": ("rollback", "planned", lambda s: write_steps(s, sample(Judged, word), now=NOW)),
    "rollback started": ("rollback", "done", lambda s: write_started(s, sample(Started, word))),
    "rollback script": (
        "rollback",
        "planned",
        lambda s: write_script(s, sample(Judged, word), "#!/bin/sh\n", now=NOW),
    ),
    **{
        f"confirm {each.value}": (
            "confirm",
            "done",
            lambda s, each=each: write_confirmed(  # type: ignore[misc]
                s, replace(sample(Confirmed, word), outcome=each), now=NOW
            ),
        )
        for each in ConfirmOutcome
    },
    "rollback online": (
        "rollback",
        "done",
        lambda s: write_returned(s, returned(not_started=(), not_mounted=(), beneath=())),
    ),
    "rollback online, a place not mounted": (
        "rollback",
        "partial",
        lambda s: write_returned(s, returned(not_started=(), not_mounted=("/srv: why",))),
    ),
    "rollback online, a unit not started": (
        "rollback",
        "partial",
        lambda s: write_returned(s, returned(not_started=("db.service: why",))),
    ),
    "rollback online, files used below a mount": (
        "rollback",
        "partial",
        lambda s: write_returned(
            s, returned(not_started=(), not_mounted=(), beneath=("x goes on with /srv/y",))
        ),
    ),
    "prune": ("prune", "done", lambda s: write_pruned(s, pruned())),
    "prune dry": ("prune", "planned", lambda s: write_pruned(s, pruned(dry_run=True))),
    "prune partial": ("prune", "partial", lambda s: write_pruned(s, pruned(failed=True))),
    "doctor": ("doctor", "done", lambda s: write_diagnosis(s, sample(Diagnosis, word))),
    "doctor failed": (
        "doctor",
        "failed",
        lambda s: write_diagnosis(s, Diagnosis(findings=(FAILED_CHECK,), identity=None)),
    ),
    "restore left a disk": (
        "restore",
        "partial",
        lambda s: write_restored(s, sample(Restored, word)),
    ),
    "restore partial": ("restore", "partial", lambda s: write_restored(s, restored())),
    "restore done": (
        "restore",
        "done",
        lambda s: write_restored(s, restored(outcome=CopyOutcome(copied=1))),
    ),
    "restore planned": (
        "restore",
        "planned",
        lambda s: write_restored(s, restored(outcome=None, aside=None, dry_run=True)),
    ),
    "restore undone": ("restore", "partial", lambda s: write_undone(s, sample(Undone, word))),
    "mount": ("mount", "done", lambda s: write_mounted(s, sample(Mounted, word))),
    "unmount": ("unmount", "partial", lambda s: write_unmounted(s, sample(Swept, word))),
    "verify damaged, and a disk is left": (
        "verify",
        "failed",
        lambda s: write_verified(s, sample(Verified, word)),
    ),
    "verify in part": ("verify", "partial", lambda s: write_verified(s, verified())),
    "verify proved": (
        "verify",
        "done",
        lambda s: write_verified(s, verified(verdict=Proof.PROVED)),
    ),
    "notify": ("notify", "partial", lambda s: write_notified(s, TOLD, default_config().notify)),
    "notify all": (
        "notify",
        "done",
        lambda s: write_notified(s, TOLD[:1], default_config().notify),
    ),
    "notify none": (
        *("notify", "failed"),
        lambda s: write_notified(s, TOLD[1:], NOTIFY),
    ),
    "unmount nothing": ("unmount", "done", lambda s: write_unmounted(s, Swept())),
    "config check": (
        "config check",
        "failed",
        lambda s: write_checked(s, check_config(FAULTY.sources(), None)),
    ),
    "config check good": ("config check", "done", lambda s: write_checked(s, SOUND)),
    "hook status": ("hook status", "failed", lambda s: write_managers(s, hooks())),
    "hook status good": ("hook status", "done", lambda s: write_managers(s, hooks(good=True))),
    "hook enable": (
        "hook enable",
        "done",
        lambda s: write_switched(s, sample(Switched, word), on=True),
    ),
    "hook disable": (
        "hook disable",
        "done",
        lambda s: write_switched(s, sample(Switched, word), on=False),
    ),
}


def differ(streams: Streams, report: DiffReport) -> None:
    """Write what differs."""
    status = report.left.exit_status if report.left else ExitStatus.DONE
    write_differences(streams, report, status=status, now=NOW)


def verified(verdict: Proof = Proof.IN_PART) -> Verified:
    made = sample(Verified, word)
    proofs = tuple(replace(each, verdict=verdict) for each in made.filesystems)
    return replace(made, filesystems=proofs, left=None, stopped=None)


def restored(**changed: Any) -> Restored:
    plain = {"left": None, "declined": False, "dry_run": False}
    return replace(sample(Restored, word), **{**plain, **changed})


def hooks(*, good: bool = False) -> ManagersReport:
    made = sample(ManagersReport, word)
    return replace(made, hooks=(), guard=(), skipped="", configuration=()) if good else made


@pytest.mark.parametrize("what", list(WRITERS))
def test_output_with_all_that_is_optional_is_what_the_schema_describes(what: str) -> None:
    command, result, write = WRITERS[what]
    said, err = written(write)
    hold(said, command)
    assert said["result"] == result
    if said["error"]:
        assert err.count(f"snap-self: {said['error']['message']}\n") == 1
        assert f"  -> {said['error']['hint']}\n" in err
    else:
        assert err == ""


def test_cover_is_what_the_schema_describes() -> None:
    hold(cover_json(sample(Cover, word)), "hook covers")


@pytest.mark.parametrize(
    ("changed", "status", "snapshot", "code"),
    [
        (Changed(report=report(Result.DONE), ending=Ended(status=3), seconds=1.0), 3, 0, None),
        (Changed(report=report(Result.DONE), ending=Ended(signal=9)), 137, 0, None),
        (Changed(report=report(Result.DONE), ending=NotStartable.NOT_FOUND), 127, 0, "usage"),
        (Changed(report=None, ending=NotStartable.NOT_EXECUTABLE), 126, None, "usage"),
        (Changed(report=report(Result.FAILED)), 125, 9, "cloud-refused"),
    ],
    ids=["ended", "killed", "gone meanwhile", "not executable", "no snapshot"],
)
def test_run_says_its_own_status_and_that_of_the_snapshot(
    changed: Changed, status: int, snapshot: int | None, code: str | None
) -> None:
    said = changed_json(ASKED, changed)
    hold(said, "run")
    assert (said["exit_status"], said["snapshot_exit_status"]) == (status, snapshot)
    assert (said["error"] or {}).get("code") == code
    assert said["cmd"]["argv"] == ["true"]


def test_run_without_a_snapshot_says_why_before_the_object() -> None:
    to = streams()
    write_before(to, report(Result.FAILED), starting=False)
    err: Any = to.err
    assert err.getvalue().splitlines() == [
        "snap-self: x",
        "  -> x",
        "snap-self: the command was not started",
    ]


@pytest.mark.parametrize("quiet", [True, False])
def test_failure_is_said_in_words_beside_the_object(*, quiet: bool) -> None:
    error = ThawFailed("/srv may still be frozen", hint="thaw it")
    verbosity = -1 if quiet else 0
    to = make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=verbosity, json=True)
    assert tell(to, error) == ExitStatus.MAYBE_FROZEN
    out: Any = to.out
    err: Any = to.err
    assert json.loads(out.getvalue())["error"]["code"] == "maybe-frozen"
    assert err.getvalue() == "snap-self: /srv may still be frozen\n  -> thaw it\n"


def test_run_that_a_signal_cut_short_says_what_its_report_has() -> None:
    said, _ = written(lambda to: tell_interrupted(to, 15, cut_short=report(Result.ASKED)))
    hold(said, "snapshot")
    assert (said["result"], said["exit_status"]) == ("asked", 143)
    assert said["error"]["code"] == "ended-by-signal"


def test_faults_of_the_guard_come_before_those_of_one_hook() -> None:
    fault = ManagerFault(text="no guard", mend="reinstall")
    report = replace(hooks(), guard=(fault,), configuration=())
    said, _ = written(lambda to: write_managers(to, report))
    assert said["error"]["message"] == "all: no guard"
    assert said["error"]["hint"] == "reinstall"


def test_fault_of_the_configuration_comes_before_all_others() -> None:
    fault = ManagerFault(text="no such key", mend="see the example")
    said, _ = written(lambda to: write_managers(to, replace(hooks(), configuration=(fault,))))
    assert (said["exit_status"], said["error"]["code"]) == (3, "config-invalid")
    assert said["error"]["message"] == "no such key"


def test_code_of_a_status_is_that_of_the_most_general_failure() -> None:
    done = {*MADE, ExitStatus.RESTORED_IN_PART}
    found = {status: code_of(status) for status in ExitStatus if status not in done}
    assert found[ExitStatus.CREDENTIALS] == "credentials"
    assert found[ExitStatus.BUG] == "bug"
    assert code_of(ExitStatus.DONE) == SnapSelfError.code
    kinds = _kinds(SnapSelfError)
    assert {code: status for status, code in found.items()} == {
        kind.code: kind.exit_status for kind in kinds if kind.code in found.values()
    }


MADE = (
    *(ExitStatus.DONE, ExitStatus.WEAKER, ExitStatus.LEFT_OUT, ExitStatus.NOT_STARTED),
    ExitStatus.DIFFERENT,
)


def _kinds(kind: type[SnapSelfError]) -> Sequence[type[SnapSelfError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


@pytest.mark.parametrize("field", ["watch", "unseen", "applications", "before"])
def test_schema_notices_a_field_that_is_missing_or_of_another_form(field: str) -> None:
    said = report_json(report(Result.DONE))
    place = said["run"] if field == "before" else said
    for broken in ({**place, field: 7}, {k: v for k, v in place.items() if k != field}):
        whole = {**said, "run": broken} if field == "before" else broken
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(whole, schema_of("snapshot"))
    with pytest.raises(AssertionError):
        hold({**said, "new": 1})
