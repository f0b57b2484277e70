"""The main job: snapshot this instance's disks now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from snap_self.errors import (
    LockHeld,
    PreconditionRefused,
    QuiesceFailed,
    SnapSelfError,
    StateUnusable,
)
from snap_self.model.disks import Coverage
from snap_self.model.plan import Plan
from snap_self.model.progress import Event, EventKind
from snap_self.model.report import Report
from snap_self.model.request import OnQuiesceFailure, Request
from snap_self.model.run import OrderRecord, RunRecord, Stage, Upload
from snap_self.model.snapshots import Consistency, WaitFor
from snap_self.plan import expiry, is_held, ungrouped, with_level
from snap_self.usecases.aftercare import (
    explain_interrupted,
    set_retention,
    tag_level,
)
from snap_self.usecases.flushing import flush
from snap_self.usecases.making import Made, adopt, make
from snap_self.usecases.own import own_snapshots
from snap_self.usecases.pending import finish_pending
from snap_self.usecases.planning import begin, look_around, plan_run
from snap_self.usecases.recording import Recorder, fingerprint
from snap_self.usecases.reporting import build_report
from snap_self.usecases.resuming import fits, outcome_is_open, resumable
from snap_self.usecases.reuse import find_reusable
from snap_self.usecases.survey import JOB_PAGES, Survey
from snap_self.usecases.tools import Tools
from snap_self.usecases.uploads import begun, looked_at
from snap_self.usecases.verdict import WAITED_FOR, failed, ran_out, verdict, without_missing
from snap_self.usecases.waiting import Settled, Waiter

# A throttled action is callable again in the next minute window, so a create may have to wait for
# one, and be answered in it.
CREATE_LIMIT_S = 150.0
# `--wait none` returns once the cloud took the order; a group's members are looked for so long.
MEMBERS_LIMIT_S = 3.0
# Whoever is content with an earlier snapshot looks after so long, then after twice as long and so
# on, whether the run that holds the lock has made one by now.
FIRST_TURN_S = 1.0


def take_snapshot(request: Request, tools: Tools) -> Report:
    """Do the main job and return what became of it; a failure is in the report, not raised."""
    return _SnapshotRun(request, tools).execute()


class _SnapshotRun:
    """One run from start to end; each step a method, the facts gathered on the way."""

    def __init__(self, request: Request, tools: Tools) -> None:
        self._request = request
        self._tools = tools
        self.facts = begin(request, tools)
        self._log = self.facts.steps
        self._result = "done"
        self._made = False
        self._beside: Survey | None = None

    def execute(self) -> Report:
        try:
            self._in_turn()
        except SnapSelfError as error:
            self.facts.error = error
            self._result = "partial" if self.facts.snapshots else "failed"
        finally:
            # Also when a signal ends the wait: what was asked for is uploaded all the same.
            self._follow()
        self.facts.finished = self._tools.clock.now()
        return build_report(self.facts, result=self._result)

    def _in_turn(self) -> None:
        """Do the job when no other run is going on, or be content with what that one made.

        It holds the lock until its wait is over: for hours, if that is for the upload.
        """
        clock, begun = self._tools.clock, self._tools.clock.monotonic()
        end = begun + min(self._tools.lock_wait_s, self._request.timeout_s)
        turn_s = FIRST_TURN_S if self._request.reuse_s is not None else self._tools.lock_wait_s
        while True:
            left_s = max(0.0, end - clock.monotonic())
            try:
                with self._tools.lock.hold(
                    timeout_s=min(turn_s, left_s), purpose=f"before {self._request.before}"
                ):
                    return self._under_lock()
            except LockHeld as held:
                if self._reuse_beside():
                    return None
                if clock.monotonic() >= end:
                    waited = f"it was waited for {end - begun:g} s; try again when it has ended"
                    raise LockHeld(held.message, hint=waited) from None
            turn_s *= 2

    def _reuse_beside(self) -> bool:
        """Look without the lock, which reading needs not, for a snapshot that serves."""
        if self._request.reuse_s is None:
            return False
        if self._beside is None:
            self._beside = look_around(self.facts, self._tools, history_pages=JOB_PAGES)
        if not self._reuse(self._beside, self.facts.need_coverage()):
            return False
        self._result = "reused"
        return True

    def _under_lock(self) -> None:
        if ended := self._tools.end_stale_freeze():
            self._tell(ended)
        earlier = resumable(self._tools, self._request)
        found = look_around(self.facts, self._tools, history_pages=JOB_PAGES)
        coverage = self.facts.need_coverage()
        if earlier and not fits(found.cloud, earlier, coverage):
            earlier = None
        instance_id = found.identity.instance_id
        explain_interrupted(self._tools, found.cloud, instance_id, but=earlier)
        if earlier:
            self._resume(found, earlier)
        elif self._request.reuse_s is not None and self._reuse(found, coverage):
            self._result = "reused"
        else:
            # Once this run's snapshots are being made, no other one of their disks can be modified.
            with suppress(SnapSelfError):
                finish_pending(self._tools, found.cloud, instance_id)
            self._new_run(found)

    def _follow(self) -> None:
        """Have the uploads watched that go on after this run."""
        going_on = [s for s in self.facts.snapshots if s.status == "progressing"]
        if going_on or (self._made and not self.facts.snapshots):
            self.facts.watch = self._tools.start_follower(self.facts.run_id)

    def _resume(self, found: Survey, record: RunRecord) -> None:
        self._result = "resumed"
        self._tell(
            f"run {record.run_id} of the same command did not come to its end after it had asked "
            "the cloud; it is finished now, and no second snapshot is made"
        )
        self.facts.run_id = record.run_id
        self.facts.started = record.started
        self.facts.reached = record.consistency_reached
        self.facts.why = record.consistency_why
        self.facts.expires = record.expires
        plan_run(self.facts, self._tools, found)
        recorder = Recorder(self._tools.store, record)
        recorder.save(
            pid=self._tools.process.pid,
            stage=Stage.CREATING,
            finished=None,
            exit_status=None,
            result="",
            explained="",
        )
        recorder.save(orders=adopt(found.cloud, record.run_id, record.orders))
        if all(_is_made(order) for order in recorder.record.orders):
            self._finish(found, recorder, Made(records=recorder.record.orders, errors=()))
            return
        # What was asked for but never made is cut only now: memory must go to disk again.
        if why := flush(self._tools.filesystems, self.facts.need_plan().flushes):
            self.facts.reached, self.facts.why = Consistency.CRASH, why
        self._create_and_wait(found, recorder)

    def _reuse(self, found: Survey, coverage: Coverage) -> bool:
        own = own_snapshots(found.cloud, found.identity.instance_id)
        reusable = find_reusable(own.found, self._tools.clock.now(), self._request, coverage)
        if reusable is None:
            return False
        self.facts.snapshots = reusable.snapshots
        self.facts.reached = reusable.level
        self.facts.run_id = reusable.run_id
        self.facts.expires = reusable.expires
        self._tell(f"run {reusable.run_id} made a snapshot of these disks; it is reused")
        if not reusable.is_as_far_as(self._request.wait):
            settled = self._wait(found, Made(records=reusable.records, errors=()))
            if error := failed(settled) or ran_out(self._request, settled):
                raise error
        return True

    def _new_run(self, found: Survey) -> None:
        plan = plan_run(self.facts, self._tools, found)
        self.facts.expires = expiry(self._request, self.facts.started)
        recorder = Recorder(self._tools.store, self._first_record(found, plan))
        recorder.save()
        try:
            self._flush(plan)
        except SnapSelfError as error:
            recorder.save(
                stage=Stage.FINISHED,
                finished=self._tools.clock.now(),
                exit_status=int(error.exit_status),
                result="failed",
                explained=error.message,
            )
            raise
        level = self.facts.reached or Consistency.CRASH
        recorder.save(
            consistency_reached=level,
            consistency_why=self.facts.why,
            orders=tuple(OrderRecord(order=with_level(order, level)) for order in plan.orders),
        )
        self._create_and_wait(found, recorder)

    def _first_record(self, found: Survey, plan: Plan) -> RunRecord:
        return RunRecord(
            run_id=self.facts.run_id,
            before=self._request.before,
            fingerprint=fingerprint(self._request),
            instance_id=found.identity.instance_id,
            region=found.identity.region,
            started=self.facts.started,
            pid=self._tools.process.pid,
            boot_id=self._tools.process.boot_id,
            stage=Stage.PLANNED,
            consistency_asked=self._request.consistency,
            consistency_reached=None,
            consistency_why="",
            keep_days=self._request.keep_days,
            expires=self.facts.expires,
            orders=tuple(OrderRecord(order=order) for order in plan.orders),
        )

    def _flush(self, plan: Plan) -> None:
        if plan.consistency is Consistency.CRASH:
            self.facts.reached = Consistency.CRASH
            return
        why = plan.weaker
        if plan.flushes:
            with self._log.step("flush", f"sync {len(plan.flushes)} filesystems to their disks"):
                why = "; ".join(filter(None, (why, flush(self._tools.filesystems, plan.flushes))))
        self.facts.reached = Consistency.CRASH if why else Consistency.FLUSH
        self.facts.why = why
        if why and self._request.on_quiesce_failure is OnQuiesceFailure.ABORT:
            raise QuiesceFailed(
                f"the filesystems could not all be flushed: {why}",
                hint="no snapshot was made; mend the filesystem, or allow a weaker snapshot with "
                "--on-quiesce-failure continue",
            )

    def _create_and_wait(self, found: Survey, recorder: Recorder) -> None:
        orders = [replace(order, sent=True) for order in recorder.record.orders]
        recorder.save(stage=Stage.CREATING, orders=tuple(orders))
        with self._log.step("create", "ask the cloud for the snapshots"):
            made = self._send_as_asked(found, recorder)
            if made.group_refused and self._order_singles(recorder, made):
                made = self._send_as_asked(found, recorder)
            self._note(
                recorder,
                stage=Stage.CREATED,
                orders=made.records,
                consistency_reached=self.facts.reached,
                consistency_why=self.facts.why,
                kept=self.facts.kept,
                upload=self._begun(recorder.record, made),
            )
            if made.errors and not any(_is_made(record) for record in made.records):
                error = self.facts.maybe_frozen or made.errors[0]
                self._close(recorder, error, *made.errors)
                raise error
        self._finish(found, recorder, made)

    def _send_as_asked(self, found: Survey, recorder: Recorder) -> Made:
        if not is_held(self._request.consistency):
            return self._send(found, recorder.record.orders)
        try:
            return self._send_held(found, recorder)
        except SnapSelfError as error:
            # Nothing was asked of the cloud by this hold; what an earlier run asked for stays open.
            if self._result != "resumed":
                unsent = [replace(each, sent=False) for each in recorder.record.orders]
                self._note(recorder, orders=tuple(unsent))
                self._close(recorder, error)
            raise

    def _order_singles(self, recorder: Recorder, made: Made) -> bool:
        """Put single orders in place of a group that the cloud does not make here."""
        singles = ungrouped(self.facts.need_plan())
        if singles:
            self._tell(
                f"no snapshot-consistent group here ({made.errors[0].message}); single snapshots "
                "are made instead"
            )
            level = self.facts.reached or Consistency.CRASH
            recorder.save(
                orders=tuple(OrderRecord(order=with_level(o, level), sent=True) for o in singles)
            )
        return bool(singles)

    def _send_held(self, found: Survey, recorder: Recorder) -> Made:
        """Send the orders while everything is held still, and take over what that was worth."""
        # Only a run that freezes pays for the import.
        from snap_self.usecases.cutting import HeldCalls
        from snap_self.usecases.holding import Hold

        if self._tools.hold is None:
            raise PreconditionRefused("nothing can be frozen here: the machine is a recording")
        hold = Hold(
            self._tools.hold,
            self._tools.clock,
            self._tools.gate,
            asked=self._request.consistency,
            strict=self._request.on_quiesce_failure is OnQuiesceFailure.ABORT,
        )
        calls = HeldCalls(
            found.cloud,
            self._tools.clock,
            self._tools.listener,
            instance_id=found.identity.instance_id,
            orders=recorder.record.orders,
            send_again=lambda orders: self._send_unheld(found, orders),
        )
        outcome = hold.run(self.facts.run_id, self.facts.need_coverage(), calls)
        self.facts.take_hold(outcome.held)
        return outcome.made

    def _send_unheld(self, found: Survey, orders: Sequence[OrderRecord]) -> Made:
        """Send what a hold could not get; what was flushed before the hold is old by now."""
        if why := flush(self._tools.filesystems, self.facts.need_plan().flushes):
            self.facts.reached = Consistency.CRASH
            self.facts.why = "; ".join(filter(None, (self.facts.why, why)))
        return self._send(found, orders)

    def _finish(self, found: Survey, recorder: Recorder, made: Made) -> None:
        settled = self._wait(found, made)
        tag_level(found.cloud, settled, self.facts.reached)
        retained = set_retention(found.cloud, settled, recorder.record.keep_days)
        self._note(recorder, orders=retained, upload=self._uploaded(settled, recorder.record))
        self._judge(settled, recorder, made)

    def _begun(self, record: RunRecord, made: Made) -> Upload | None:
        known = replace(record, orders=tuple(made.records))
        upload = record.upload or begun(known, self._tools.process.boot_id)
        self._made = upload is not None
        return upload

    def _uploaded(self, settled: Settled, record: RunRecord) -> Upload | None:
        """Return the upload as it is at the end of the wait."""
        shown = {shot.snapshot_id: shot.status for shot in settled.snapshots.values()}
        known = replace(record, orders=settled.records)
        return looked_at(known, shown, self._tools.clock.now(), missing=settled.missing).upload

    def _send(self, found: Survey, orders: Sequence[OrderRecord]) -> Made:
        limit_s = min(CREATE_LIMIT_S, max(self._request.timeout_s, 1.0))
        return make(
            found.cloud,
            orders,
            instance_id=found.identity.instance_id,
            deadline_s=limit_s,
        )

    def _wait(self, found: Survey, made: Made) -> Settled:
        waiter = Waiter(found.cloud, self._tools.clock, self._tools.listener)
        wait = self._request.wait
        limit_s = MEMBERS_LIMIT_S if wait is WaitFor.NONE else self._request.timeout_s
        with self._log.step("wait", f"wait until the snapshots are {WAITED_FOR[wait]}"):
            try:
                settled = waiter.until(made.records, wait, timeout_s=limit_s)
            except SnapSelfError:
                # Not allowed to look, say: what was made must be named all the same.
                self.facts.settle(waiter.known(made.records))
                raise
        self.facts.settle(settled)
        return settled

    def _judge(self, settled: Settled, recorder: Recorder, made: Made) -> None:
        """Close the record with what the outcome is worth, or raise what went wrong."""
        error = verdict(self.facts, settled, made.errors)
        if error is None:
            self.facts.coverage = without_missing(self.facts.need_coverage(), settled)
            self._note(
                recorder,
                stage=Stage.FINISHED,
                finished=self._tools.clock.now(),
                exit_status=int(build_report(self.facts, result=self._result).exit_status),
                result=self._result,
            )
            return
        self._close(recorder, error, *made.errors)
        raise error

    def _close(self, recorder: Recorder, error: SnapSelfError, *errors: SnapSelfError) -> None:
        """Close the record as failed, unless the cloud may still make what it was asked for."""
        if any(outcome_is_open(each) for each in errors):
            return
        self._note(
            recorder,
            stage=Stage.FINISHED,
            finished=self._tools.clock.now(),
            exit_status=int(error.exit_status),
            result="failed",
            explained=error.message,
        )

    def _note(self, recorder: Recorder, **changes: Any) -> None:
        """Save what became of the run; a full disk must not hide what was made, or is frozen."""
        try:
            recorder.save(**changes)
        except StateUnusable as error:
            text = f"the journal does not tell what became of this run: {error.message}"
            if text not in self.facts.notes:
                self.facts.notes.append(text)
                self._tools.listener(Event(kind=EventKind.WARNING, text=text))

    def _tell(self, text: str) -> None:
        self.facts.notes.append(text)
        self._tools.listener(Event(kind=EventKind.NOTE, text=text))


def _is_made(record: OrderRecord) -> bool:
    return bool(record.group_id or record.snapshot_ids)
