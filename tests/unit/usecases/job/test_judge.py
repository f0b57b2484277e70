"""What a run is worth: which fault goes before which, and what each says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import builders
from fakes.builders import NOW, RUN, cloud_disk, snapshot, target
from fakes.clock import FakeClock
from fakes.records import run_record
from snap_self.errors import (
    CloudThrottled,
    CutNotSeen,
    QuiesceFailed,
    SnapSelfError,
    SnapshotFailed,
    SnapshotGone,
    SnapshotSetTorn,
    ThawFailed,
    WaitRanOut,
)
from snap_self.model.disks import Coverage, Skipped, Span
from snap_self.model.plan import SnapshotOrder
from snap_self.model.request import OnQuiesceFailure, Request
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import Consistency, SnapshotStatus, WaitFor
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.judge import spoiled, verdict, without_missing
from snap_self.usecases.job.steps import StepLog
from snap_self.usecases.job.wait import UNSHOWN_DOUBT, Settled

ONE, TWO = cloud_disk(1).disk_id, cloud_disk(2).disk_id
BOTH = {ONE: snapshot(1), TWO: snapshot(2)}
VOLUME = Span(kind="lvm", name="vg-data", disks=frozenset({"vda", "vdb"}))
REQUEST = Request(before="x", timeout_s=90.0)
ABORTING = replace(
    REQUEST, consistency=Consistency.FILESYSTEM, on_quiesce_failure=OnQuiesceFailure.ABORT
)
REFUSED = CloudThrottled("too many calls")
FROZEN = ThawFailed("/data may still be frozen")


def order(*disk_ids: str) -> OrderRecord:
    """Return what was ordered and made of these disks at one instant."""
    disks = tuple(disk for disk in (ONE, TWO) if disk in disk_ids)
    made = {disk: BOTH[disk].snapshot_id for disk in disks}
    asked = SnapshotOrder(
        disk_ids=disks,
        grouped=len(disks) > 1,
        name="n",
        description="",
        tags={},
        retention_days=None,
        client_token="t",
    )
    return OrderRecord(order=asked, sent=True, snapshot_ids=made)


GROUP, SINGLES = (order(ONE, TWO),), (order(ONE), order(TWO))


def settled(**changes: object) -> Settled:
    base = Settled(records=GROUP, snapshots=BOTH, missing=(), timed_out=False, unseen="")
    return replace(base, **changes)  # type: ignore[arg-type]


def covered(*spans: Span) -> Coverage:
    return builders.coverage(target(1, "/"), target(2, "/data"), spans=spans)


def facts(request: Request = REQUEST, *, coverage: Coverage | None = None) -> RunFacts:
    run = RunFacts(
        request=request,
        began=NOW,
        new_id=RUN,
        steps=StepLog(FakeClock(), lambda _event: None),
        coverage=coverage or covered(),
        record=replace(run_record(), run_id=RUN),
    )
    run.prove(request.consistency)
    return run


def test_run_that_is_as_asked_has_no_fault() -> None:
    assert verdict(facts(), settled(), ()) is None


FAILED = {ONE: snapshot(1, status=SnapshotStatus.FAILED), TWO: BOTH[TWO]}
# Each of these has all faults of those below it.
RANKS: list[tuple[type[SnapSelfError], dict[str, object]]] = [
    (SnapshotFailed, {"snapshots": FAILED}),
    (SnapshotGone, {"gone": (TWO,)}),
    (SnapshotSetTorn, {"records": SINGLES}),
    (WaitRanOut, {"timed_out": True}),
]


@pytest.mark.parametrize("rank", range(len(RANKS)), ids=[kind.__name__ for kind, _ in RANKS])
def test_worse_fault_goes_before_the_others(rank: int) -> None:
    changes: dict[str, object] = {}
    for _, more in RANKS[rank:]:
        changes |= more
    run = facts(ABORTING, coverage=covered(VOLUME))
    run.prove(Consistency.FLUSH)
    assert type(verdict(run, settled(**changes), ())) is RANKS[rank][0]


WITHOUT_MORE = [*RANKS, (QuiesceFailed, {})]


@pytest.mark.parametrize(
    ("kind", "changes"), WITHOUT_MORE, ids=[kind.__name__ for kind, _ in WITHOUT_MORE]
)
def test_every_fault_says_what_is_to_be_done(
    kind: type[SnapSelfError], changes: dict[str, object]
) -> None:
    run = facts(ABORTING, coverage=covered(VOLUME))
    run.prove(Consistency.FLUSH, "it was thawed")
    error = verdict(run, settled(**changes), ())
    assert isinstance(error, kind)
    wait = "they go on by themselves; `snap-self list` shows how far they are"
    words = {
        SnapshotFailed: "nothing of it can be used; run the command again",
        SnapshotGone: "there is nothing of it to go back to; run the command again",
        SnapshotSetTorn: "do not go back to this set; run the command again",
        WaitRanOut: wait,
        QuiesceFailed: "it is kept; mend the reason and run the command again",
    }
    assert error.hint == words[kind]


def test_wait_for_a_cut_that_was_not_seen_names_the_command_that_looks() -> None:
    error = verdict(facts(), settled(snapshots={}, timed_out=True), ())
    assert isinstance(error, CutNotSeen)
    assert error.hint == f"look at them before you rely on them: `snap-self show {RUN}`"


def test_wait_whose_end_was_not_seen_does_not_say_that_the_snapshots_go_on() -> None:
    run = facts(replace(REQUEST, wait=WaitFor.ACCOMPLISHED))
    error = verdict(run, settled(unseen="connection refused", timed_out=True), ())
    assert isinstance(error, WaitRanOut)
    assert error.hint == "`snap-self list` shows how far they are"


def test_refusal_goes_before_what_became_of_the_others_and_a_freeze_before_all() -> None:
    run = facts()
    assert verdict(run, settled(snapshots=FAILED), (REFUSED, FROZEN)) is REFUSED
    run.maybe_frozen = FROZEN
    assert verdict(run, settled(snapshots=FAILED), (REFUSED,)) is FROZEN


def test_snapshots_that_failed_are_named_and_no_others() -> None:
    error = spoiled(settled(snapshots=FAILED))
    assert error is not None
    assert f"{BOTH[ONE].snapshot_id} of {ONE}" in error.message
    assert TWO not in error.message
    assert spoiled(settled()) is None


@pytest.mark.parametrize("shown", [{ONE: BOTH[ONE]}, {}], ids=["one-left", "none-left"])
def test_snapshots_that_are_gone_are_named_and_a_lost_permission_is_thought_of(
    shown: dict[str, object],
) -> None:
    error = spoiled(settled(snapshots=shown, gone=(TWO,)))
    assert isinstance(error, SnapshotGone)
    assert f"{BOTH[TWO].snapshot_id} of {TWO}" in error.message
    assert ONE not in error.message
    doubt = "" if shown else f"; or {UNSHOWN_DOUBT}"
    assert error.message.endswith(f"{BOTH[TWO].snapshot_id} of {TWO}{doubt}")


@pytest.mark.parametrize("wait", list(WaitFor))
def test_wait_that_ran_out_is_an_error_unless_none_was_asked_for(wait: WaitFor) -> None:
    error = verdict(facts(replace(REQUEST, wait=wait)), settled(timed_out=True), ())
    if wait is WaitFor.NONE:
        assert error is None
        return
    assert error is not None
    assert f"not {wait.value} within 90 s" in error.message
    assert "they go on by themselves" in error.hint


@pytest.mark.parametrize(
    ("shown", "unseen", "said", "goes_on"),
    [
        (BOTH, "connection refused", "(connection refused)", False),
        ({}, "connection refused", "(connection refused)", False),
        ({}, "", f"(the cloud shows none of them: {UNSHOWN_DOUBT})", False),
        (BOTH, "", "within 90 s", True),
    ],
    ids=["unseen", "nothing-and-unseen", "nothing", "seen"],
)
def test_wait_that_ran_out_says_what_is_not_known_and_claims_nothing_else(
    shown: dict[str, object], unseen: str, said: str, *, goes_on: bool
) -> None:
    error = verdict(facts(), settled(snapshots=shown, unseen=unseen, timed_out=True), ())
    assert error is not None
    assert error.message.endswith(said)
    assert ("they go on by themselves" in error.hint) is goes_on


def test_disk_that_the_cloud_left_out_is_skipped_without_having_been_asked_to() -> None:
    before = replace(covered(), skipped=(Skipped(disk_id=ONE, why="excluded", asked=True),))
    after = without_missing(before, settled(missing=(TWO,)))
    assert [each.cloud.disk_id for each in after.targets] == [ONE]
    assert [(each.disk_id, each.asked) for each in after.skipped] == [(ONE, True), (TWO, False)]
    assert "left it out" in after.skipped[1].why
    assert without_missing(before, settled()) == before


@pytest.mark.parametrize(
    ("records", "missing", "reached", "torn"),
    [
        (GROUP, (), Consistency.FLUSH, False),
        (GROUP, (), None, False),
        (GROUP, (TWO,), Consistency.FLUSH, True),
        (GROUP, (TWO,), Consistency.FILESYSTEM, True),
        (SINGLES, (), Consistency.FLUSH, True),
        (SINGLES, (), None, True),
        (SINGLES, (), Consistency.FILESYSTEM, False),
        (SINGLES, (), Consistency.APPLICATION, False),
    ],
)
def test_volume_over_two_disks_is_torn_unless_one_cut_or_a_hold_made_one_instant_of_them(
    records: tuple[OrderRecord, ...],
    missing: tuple[str, ...],
    reached: Consistency | None,
    *,
    torn: bool,
) -> None:
    run = facts(coverage=covered(VOLUME))
    run.prove(reached)
    error = verdict(run, settled(records=records, missing=missing), ())
    assert isinstance(error, SnapshotSetTorn) is torn
    if error is not None:
        assert "lvm volume vg-data lies on vda, vdb" in error.message


def test_second_volume_is_looked_at_too() -> None:
    whole = replace(VOLUME, name="vg-small", disks=frozenset({"vda"}))
    run = facts(coverage=covered(whole, VOLUME))
    error = verdict(run, settled(records=SINGLES), ())
    assert error is not None
    assert "vg-data" in error.message


@pytest.mark.parametrize("policy", list(OnQuiesceFailure))
@pytest.mark.parametrize("level", [Consistency.FLUSH, Consistency.FILESYSTEM])
def test_set_weaker_than_asked_is_an_error_with_the_policy_abort_alone(
    policy: OnQuiesceFailure, level: Consistency
) -> None:
    run = facts(replace(ABORTING, on_quiesce_failure=policy))
    run.prove(level, "it was thawed")
    error = verdict(run, settled(), ())
    weaker = policy is OnQuiesceFailure.ABORT and level is Consistency.FLUSH
    assert isinstance(error, QuiesceFailed) is weaker
    assert error is None or "it was thawed" in error.message
