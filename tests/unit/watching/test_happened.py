"""What a changed record of the journal tells those who watch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.records import STARTED, run_record
from snap_self.model.executions import DONE, FAILED, Back, Execution
from snap_self.model.ids import SnapshotId
from snap_self.model.occurrences import Occasion
from snap_self.model.run import ArmedEnd, ArmedRecord, RunRecord, Upload
from snap_self.watching.happened import changed

NOW = STARTED + timedelta(hours=1)
RECORD = run_record()
GOING = Upload(going_on=True, boot_id="b")
ARMED = ArmedRecord(
    asked=STARTED, within_s=60, deadline=NOW, client_token="t", execution_id="exec-1"
)
BACK = Execution(execution_id="exec-1", status=DONE)


def kinds(before: RunRecord | None, after: RunRecord) -> list[Occasion]:
    return [one.kind for one in changed(before, after, NOW)]


def test_a_first_record_tells_nothing() -> None:
    assert kinds(None, replace(RECORD, upload=replace(GOING, going_on=False))) == []


@pytest.mark.parametrize(
    ("accomplished", "kind"), [(True, Occasion.UPLOADED), (False, Occasion.UPLOAD_FAILED)]
)
def test_the_end_of_an_upload_is_told_once(accomplished: bool, kind: Occasion) -> None:
    end = Upload(
        going_on=False,
        boot_id="b",
        accomplished=accomplished,
        failed=() if accomplished else (SnapshotId("s-1"),),
    )
    going, ended = replace(RECORD, upload=GOING), replace(RECORD, upload=end)
    assert kinds(going, ended) == [kind]
    assert kinds(RECORD, ended) == [kind]
    assert kinds(ended, replace(ended, outcome="failed")) == []
    assert kinds(RECORD, going) == []


def test_a_rollback_is_armed_when_the_cloud_has_answered_and_anew_when_it_is_moved() -> None:
    asked = replace(RECORD, armed=replace(ARMED, execution_id=""))
    armed = replace(RECORD, armed=ARMED)
    assert kinds(RECORD, asked) == []
    assert kinds(asked, armed) == [Occasion.ARMED]
    assert kinds(armed, replace(armed, outcome="x")) == []
    later = replace(armed, armed=replace(ARMED, deadline=NOW + timedelta(hours=1)))
    assert kinds(armed, later) == [Occasion.ARMED]


def test_calling_it_off_is_told_once() -> None:
    off = replace(ARMED, unconfirmed=False, ended=ArmedEnd.CONFIRMED)
    armed, confirmed = replace(RECORD, armed=ARMED), replace(RECORD, armed=off)
    assert kinds(armed, confirmed) == [Occasion.CONFIRMED]
    assert kinds(confirmed, replace(confirmed, armed=replace(off, check="true"))) == []
    nothing = replace(armed, armed=replace(off, ended=ArmedEnd.CAME_TO_NOTHING))
    assert kinds(armed, nothing) == []


def test_going_back_is_told_when_it_is_known_to_be_done() -> None:
    back = replace(RECORD, went_back=BACK)
    assert kinds(RECORD, back) == [Occasion.WENT_BACK]
    assert kinds(back, replace(back, went_back=replace(BACK, said="x"))) == []
    none = replace(BACK, status=FAILED, reset=Back.NONE)
    assert kinds(RECORD, replace(RECORD, went_back=none)) == []


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (replace(BACK, status=FAILED, reset=Back.ALL), "this machine went back to"),
        (replace(BACK, status=FAILED, reset=Back.PART), "a part of this machine's disks went back"),
        (replace(BACK, status=FAILED), "whether disks went back is not known"),
        (replace(BACK, status="Running", tasks=("bootCheck",)), "this machine went back to"),
    ],
)
def test_failure_after_disks_went_back_is_told_as_what_it_is(seen: Execution, told: str) -> None:
    (one,) = changed(RECORD, replace(RECORD, went_back=seen), NOW)
    assert (one.kind, told in one.text) == (Occasion.WENT_BACK, True)
