"""Nothing foreign ends a line of ours, begins one or acts on the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.samples import NOW, sample
from snap_self.access.documents import FleetTag, role_policy
from snap_self.access.setup import PolicyKind, role_setup
from snap_self.config.load import default_config
from snap_self.errors import ConfigError, ExitStatus, SnapSelfError
from snap_self.model.actions import Holder, Policy
from snap_self.model.copying import CopyPlan
from snap_self.model.going_back import DamagedReturn, ReturnRecord
from snap_self.model.looking import DiffReport
from snap_self.model.notifying import Delivery
from snap_self.model.progress import Event, EventKind
from snap_self.model.report import Report, SnapshotReport
from snap_self.model.restored import Intent, Mounted, Restored, Undone
from snap_self.model.result import Result
from snap_self.model.shown import is_printable
from snap_self.model.summary import DiskSummary, Summary
from snap_self.model.verified import Verified
from snap_self.output.checked import write_judged
from snap_self.output.command import write_after, write_before
from snap_self.output.configuration import write_checked
from snap_self.output.confirmed import write_confirmed
from snap_self.output.diagnosis import write_diagnosis
from snap_self.output.differences import write_differences as write_diff
from snap_self.output.listing import write_listing
from snap_self.output.managers import write_managers, write_switched
from snap_self.output.mounted import intent_lines as mount_lines
from snap_self.output.mounted import write_mounted
from snap_self.output.notified import write_notified
from snap_self.output.policy import write_policy
from snap_self.output.progress import PlainView
from snap_self.output.pruned import write_pruned
from snap_self.output.report import write_report
from snap_self.output.restored import intent_lines as restore_lines
from snap_self.output.restored import write_plan, write_restored, write_undone
from snap_self.output.rollback import intent_lines as rollback_lines
from snap_self.output.rollback import write_script, write_started, write_steps
from snap_self.output.rollback_online import (
    half_way_lines,
    online_lines,
    returned_notes,
    write_returned,
)
from snap_self.output.shown import write_shown
from snap_self.output.streams import Streams
from snap_self.output.text import write_error
from snap_self.output.unmounted import write_unmounted
from snap_self.output.verified import intent_lines as verify_lines
from snap_self.output.verified import write_verified
from snap_self.usecases.config_check import ConfigChecked
from snap_self.usecases.confirming.confirm import Confirmed, ConfirmOutcome
from snap_self.usecases.doctor import Diagnosis
from snap_self.usecases.going_back.judging import OnlineJudged
from snap_self.usecases.going_back.online import Returned
from snap_self.usecases.listing import Listing
from snap_self.usecases.looking_back.sweeping import Swept
from snap_self.usecases.manager_status import ManagersReport
from snap_self.usecases.manager_switch import Switched
from snap_self.usecases.policy import PolicyDoubt, PolicyReport, PolicyWarning
from snap_self.usecases.prune import Pruned
from snap_self.usecases.rollback import Judged, Started
from snap_self.usecases.run_command import Changed
from snap_self.usecases.show import Shown
from snap_self.watching.check import Finding, Kind, Present, Thresholds
from snap_self.watching.check import Judged as Verdict

EVIL = "\x1b[2J\nFAKE LINE\r\n\u202e\x07\x9b1m\u2028\udcff\ud800$(touch X)`id`'\"# [red]x[/red]"
RESULTS = tuple(each for each in Result if each.value)

texts = st.one_of(
    st.just(EVIL),
    st.text(st.sampled_from("\n\r\x0b\x0c\x85\u2028\u2029\x1b\x07\x9b\u202e\u200b\u200d\udcffaé ")),
    st.text(st.characters(codec=None)),
).map(lambda text: f"x{text}")  # a text that is there: what is empty has other lines


def _streams() -> Streams:
    return Streams(
        out=io.StringIO(), err=io.StringIO(), terminal=False, colour=False, verbosity=1, json=False
    )


def _report(result: Result, *, uploaded: bool) -> Callable[[Streams, Callable[[str], str]], None]:
    def write(streams: Streams, text: Callable[[str], str]) -> None:
        report = replace(sample(Report, text), result=result, error=None)
        state = {"status": "accomplished", "available": True}
        if not uploaded:
            state = {"status": "progressing", "available": False, "cut_time": None}
        shots = tuple(replace(sample(SnapshotReport, text), **state) for _ in range(2))
        write_report(streams, replace(report, snapshots=shots))

    return write


def _error(kind: type[SnapSelfError]) -> Callable[[Streams, Callable[[str], str]], None]:
    return lambda streams, text: write_error(streams, sample(kind, text))


def _faults(streams: Streams, text: Callable[[str], str]) -> None:
    write_error(streams, ConfigError(text("a"), hint=text("b"), faults=(text("c"), text("d"))))


def _events(streams: Streams, text: Callable[[str], str]) -> None:
    view = PlainView(streams)
    for kind in EventKind:
        view(replace(sample(Event, text), kind=kind))


def _command(streams: Streams, text: Callable[[str], str]) -> None:
    write_before(streams, sample(Report, text), starting=True)
    write_after(streams, [text("argv")], sample(Changed, text))


def _policy(streams: Streams, text: Callable[[str], str]) -> None:
    holder = Holder(
        region=text("region"), account=text("a"), instance_id=text("i"), disks=(text("d"),)
    )
    document = role_policy(holder, tuple(Policy))
    report = PolicyReport(
        kind=PolicyKind.FLEET,
        holder=holder,
        bound=text("role"),
        fleet=FleetTag(key=text("key"), value=text("value")),
        document=document,
        characters=1,
        limit=1 << 30,
        warnings=(PolicyWarning(doubt=PolicyDoubt.DISK_NOT_NAMED, text=text("warning")),),
        setup=role_setup(holder, document, bound=text("role")),
    )
    write_policy(streams, report)


def _differences(*, everything: bool) -> Callable[[Streams, Callable[[str], str]], None]:
    def write(streams: Streams, text: Callable[[str], str]) -> None:
        report = replace(sample(DiffReport, text), everything=everything, paths=())
        write_diff(streams, report, status=ExitStatus.DONE, now=NOW)

    return write


def _judged(kind: Kind, text: Callable[[str], str]) -> Verdict:
    return Verdict(
        thresholds=sample(Thresholds, text),
        present=sample(Present, text),
        # All kinds at once are longer than a check may be, and lines are left out then.
        findings=(replace(sample(Finding, text), kind=kind),),
        disks=(sample(DiskSummary, text),),
        summary=sample(Summary, text),
    )


WRITERS: dict[str, Callable[[Streams, Callable[[str], str]], None]] = {
    **{f"report {each.value}": _report(each, uploaded=True) for each in RESULTS},
    "report uploading": _report(Result.DONE, uploaded=False),
    "report with an error": lambda s, text: write_report(s, sample(Report, text)),
    "listing": lambda s, text: write_listing(s, sample(Listing, text), now=NOW),
    "shown": lambda s, text: write_shown(s, _kept(sample(Shown, text)), now=NOW),
    "differences": _differences(everything=False),
    "all differences": _differences(everything=True),
    **{
        f"judged {each.value}": lambda s, text, each=each: write_judged(  # type: ignore[misc]
            s, _judged(each, text)
        )
        for each in Kind
    },
    "pruned": lambda s, text: write_pruned(s, sample(Pruned, text)),
    "diagnosis": lambda s, text: write_diagnosis(s, sample(Diagnosis, text)),
    "policy": _policy,
    "configuration": lambda s, text: write_checked(s, sample(ConfigChecked, text)),
    "hooks": lambda s, text: write_managers(s, sample(ManagersReport, text)),
    "switched": lambda s, text: write_switched(s, sample(Switched, text), on=True),
    "error": _error(SnapSelfError),
    "faults of the configuration": _faults,
    "progress": _events,
    "command": _command,
    "restored": lambda s, text: write_restored(s, sample(Restored, text)),
    "restore that is to be": lambda s, text: s.data(*restore_lines(sample(Intent, text), NOW)),
    "what differs": lambda s, text: write_plan(s, sample(CopyPlan, text), exact=False),
    "undone": lambda s, text: write_undone(s, sample(Undone, text)),
    "rollback": lambda s, text: write_steps(s, sample(Judged, text), now=NOW),
    "rollback that is to be": lambda s, text: s.data(
        *rollback_lines(sample(Judged, text), NOW, snapshot_first=False)
    ),
    "rollback started": lambda s, text: write_started(s, sample(Started, text)),
    "rollback online": lambda s, text: write_returned(s, sample(Returned, text)),
    "rollback online that is to be": lambda s, text: s.data(
        *online_lines(sample(OnlineJudged, text), NOW, snapshot_first=True)
    ),
    "rollback half-way": lambda s, text: s.fault(
        *half_way_lines([sample(ReturnRecord, text)], [sample(DamagedReturn, text)]),
        *returned_notes([sample(ReturnRecord, text)], ""),
    ),
    "rollback script": lambda s, text: write_script(s, sample(Judged, text), "#", now=NOW),
    **{
        f"confirm {each.value}": lambda s, text, each=each: write_confirmed(  # type: ignore[misc]
            s, replace(sample(Confirmed, text), outcome=each), now=NOW
        )
        for each in ConfirmOutcome
    },
    "mounted": lambda s, text: write_mounted(s, sample(Mounted, text)),
    "mount that is to be": lambda s, text: s.data(*mount_lines(sample(Intent, text), NOW)),
    "notified": lambda s, text: write_notified(
        s, [sample(Delivery, text)], default_config().notify
    ),
    "unmounted": lambda s, text: write_unmounted(s, sample(Swept, text)),
    "verified": lambda s, text: write_verified(s, sample(Verified, text)),
    "verification that is to be": lambda s, text: s.data(
        *verify_lines([sample(Intent, text)], NOW)
    ),
}


def _kept(shown: Shown) -> Shown:
    """Return it without what is shown as the lines that it consists of."""
    assert shown.record
    return replace(shown, record=replace(shown.record, kept={}))


def _written(write: Callable[[Streams, Callable[[str], str]], None], text: str) -> Sequence[str]:
    streams = _streams()
    write(streams, lambda _place: text)
    said: Any = (streams.out, streams.err)
    whole = "".join(each.getvalue() for each in said)
    assert whole.endswith("\n")
    return whole[:-1].split("\n")


@pytest.mark.parametrize("what", list(WRITERS))
@settings(max_examples=20)  # of each writer
@given(text=texts)
def test_output_when_a_text_is_anything_then_has_as_many_lines_all_printable(
    what: str, text: str
) -> None:
    lines = _written(WRITERS[what], text)
    assert [line for line in lines if not is_printable(line)] == []
    assert len(lines) == len(_written(WRITERS[what], "plain"))


@pytest.mark.parametrize("what", list(WRITERS))
def test_output_when_every_text_is_hostile_then_shows_each(what: str) -> None:
    lines = _written(WRITERS[what], EVIL)
    assert not any(line.startswith("FAKE LINE") for line in lines)
    assert any(r"\x1b[2J\nFAKE LINE\r\n\u202e\x07\x9b1m\u2028\xff\ud800" in line for line in lines)


def test_kept_file_when_shown_then_each_of_its_lines_is_set_in() -> None:
    streams = _streams()
    shown = sample(Shown, lambda _place: "x")
    assert shown.record
    record = replace(shown.record, kept={"backup_label": "START\nFAKE LINE\x1b[2J\r\n"})
    write_shown(streams, replace(shown, record=record), now=NOW)
    said: Any = streams.out
    assert "\n  START\n  FAKE LINE\\x1b[2J\\r\n" in said.getvalue()
