"""The main job: snapshot this instance's disks now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from snap_self.disks.carried import carried_by, lacking_in
from snap_self.errors import ApiFault, CloudUnreachable, CutNotSeen, SnapSelfError
from snap_self.model.asked import CutUnseen
from snap_self.model.awaited import AwaitedChange
from snap_self.model.plan import Plan
from snap_self.model.progress import Event, EventKind
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import OrderRecord, RunRecord, Stage
from snap_self.model.snapshots import Consistency, Cut, WaitFor
from snap_self.plan import expiry, retention_steps, ungrouped, wait_step, with_level
from snap_self.usecases.aftercare.interrupted import leave_to_others, see_to_earlier, tag_level
from snap_self.usecases.aftercare.retention import Retained, retain_settled, tries_after
from snap_self.usecases.aftercare.uploads import begun, settled_upload
from snap_self.usecases.job.advice import Beside, why_not_ready
from snap_self.usecases.job.create import Made, adopt
from snap_self.usecases.job.judge import WAITED_FOR, ran_out, spoiled, verdict, without_missing
from snap_self.usecases.job.look import Survey
from snap_self.usecases.job.manifest import RunManifest
from snap_self.usecases.job.planning import begin, look_around, plan_run
from snap_self.usecases.job.record import Recorder, failure, fingerprint
from snap_self.usecases.job.report import build_report, exit_status, told_result
from snap_self.usecases.job.resume import answer_is_lost, fits, outcome_is_open, resumable
from snap_self.usecases.job.reuse import find_reusable
from snap_self.usecases.job.send import Sender
from snap_self.usecases.job.sync import flush_again, flush_first
from snap_self.usecases.job.turn import in_turn
from snap_self.usecases.job.wait import Settled, Waiter, ended_before, not_seen, trouble_of
from snap_self.usecases.tools import Tools

# `--wait none` returns once the cloud took the order; a group's members are looked for so long.
MEMBERS_LIMIT_S = 3.0


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
        self._result = Result.DONE
        self._recorder = Recorder(tools.store, self.facts, tools.listener)
        # Orders are sent from here on, or were by the run that is taken over.
        self._asking = False
        self._uncut: CutUnseen | None = None
        # Who waits for the run waits no longer, so none of its calls may.
        end = tools.clock.monotonic() + request.timeout_s
        self._job_end = end if request.waited_for else None
        self._found: Survey | None = None
        self._advice: Beside | None = None
        self._manifest = RunManifest(tools)
        self._asked: float | None = None

    def execute(self) -> Report:
        handed_over = False
        try:
            self._work()
            self._follow()
            self._take_advice()
            report = self._report(finished=self._tools.clock.now())
            # A signal while it is being told is to name what was made.
            if report.snapshots or report.unseen:
                self._tools.cut_short(report)
            handed_over = True
            return report
        finally:
            self._manifest.drop()
            if not handed_over:
                self._cut_short()
                if self.facts.watch is None:  # what was asked for is uploaded all the same
                    self._follow(changing=False)

    def _work(self) -> None:
        try:
            in_turn(self._tools, self._request, work=self._under_lock, content=self._reuse_beside)
        except SnapSelfError as error:
            self.facts.error = error
            otherwise = Result.PARTIAL if self.facts.snapshots else Result.FAILED
            self._result = Result.ASKED if self.facts.unseen else otherwise

    def _report(self, *, finished: datetime | None = None) -> Report:
        return build_report(self.facts, result=self._result, finished=finished)

    def _cut_short(self) -> None:
        """Tell what was asked for by a run that a signal ends, and note it in the journal."""
        recorder = self._recorder
        # What it takes over an earlier run has asked for.
        asked = self._asking or self._result is Result.RESUMED
        if self.facts.record is None or not asked:
            return
        if not any(order.sent for order in recorder.record.orders):
            return
        if self._only_refused():
            orders = [replace(order, sent=False) for order in recorder.record.orders]
            recorder.note(orders=tuple(orders))
            return
        uncut = any(shot.cut is not Cut.MADE for shot in self.facts.snapshots)
        if recorder.record.stage is not Stage.FINISHED and (uncut or not self.facts.snapshots):
            # What was not shown so far may not have been looked for.
            known = self._uncut not in (None, CutUnseen.NOT_SHOWN)
            recorder.note_unseen(self._uncut if known else CutUnseen.ENDED)
        self._result = Result.ASKED if self.facts.unseen else Result.PARTIAL
        if not self.facts.snapshots:  # not waited for yet: what is known of them is their ids
            self.facts.settle(ended_before(recorder.record.orders))
        self._tools.cut_short(self._report())

    def _only_refused(self) -> bool:
        """Tell whether the cloud has refused all that this run, and none before, asked it for."""
        if self._found is None or self.facts.snapshots or self._result is Result.RESUMED:
            return False
        return self._found.cloud.creates_only_refused()

    def _reuse_beside(self) -> bool:
        """Look without the lock, which reading needs not, for a snapshot that serves."""
        if self._request.reuse_s is None or not self._reuse(self._look_around()):
            return False
        self._result = Result.REUSED
        return True

    def _under_lock(self) -> None:
        if ended := self._tools.end_stale_freeze():
            self._tell(ended)
        earlier = resumable(self._tools, self._request)
        if not earlier:
            self._manifest.begin()
        found = self._look_around()
        if earlier and not fits(found.cloud, earlier, self.facts.need_coverage()):
            earlier = None
        leave_to_others(self._tools, found.identity.instance_id)
        if earlier:
            self._resume(found, earlier)
        elif self._reuse(found):
            self._result = Result.REUSED
        else:
            self._new_run(found)
        if not self._request.waited_for:
            idle = not any(shot.may_go_on for shot in self.facts.snapshots)
            self.facts.notes += see_to_earlier(
                self._tools, found, but=self.facts.run_id, retention=idle
            )

    def _look_around(self) -> Survey:
        """Learn what an order needs, once in a run."""
        if self._found is None:
            self._found = look_around(self.facts, self._tools, job_end=self._job_end)
        return self._found

    def _follow(self, *, changing: bool = True) -> None:
        """Have the uploads watched that go on after this run.

        Args:
            changing: the change may follow; not where a signal ends this run.
        """
        going_on = any(shot.may_go_on for shot in self.facts.snapshots)
        record = self.facts.record
        upload = record.upload if record is not None and self._asking else None
        unseen = upload is not None and upload.going_on and not self.facts.snapshots
        awaited = self._await_change() if changing else None
        if going_on or unseen:
            self.facts.watch = self._tools.start_follower(self.facts.run_id)
        watch = self.facts.watch
        if awaited is not None:
            watch = watch or self._tools.start_follower(awaited.run_id)
            if watch.until is None and self._tools.awaited is not None:
                self._tools.awaited.forget(awaited)  # nobody would wait for it

    def _await_change(self) -> AwaitedChange | None:
        """Have what the change makes of the machine noted when it has ended."""
        run_id = self.facts.reused.run_id if self.facts.reused else self.facts.run_id
        if not self._request.change_of or not (self.facts.snapshots or self.facts.unseen):
            return None
        from snap_self.usecases.aftercare.changed import await_change

        return await_change(self._tools, run_id, self._request.change_of)

    def _resume(self, found: Survey, record: RunRecord) -> None:
        self._result = Result.RESUMED
        self._tell(
            f"run {record.run_id} of the same command did not come to its end after it had asked "
            "the cloud; it is finished now, and no second snapshot is made"
        )
        self.facts.take_over(record)
        plan_run(self.facts, self._tools, found)
        self._recorder.save(
            pid=self._tools.process.pid,
            stage=Stage.CREATING,
            finished=None,
            exit_status=None,
            result=Result.OPEN,
            explained="",
            unseen=None,
        )
        self._adopt(found)
        orders = self._recorder.record.orders
        if all(order.is_made for order in orders):
            self._finish(found, Made(records=orders, errors=()))
            return
        # What was asked for but never made is cut only now: memory must go to disk again.
        if self._request.consistency is not Consistency.CRASH:
            flush_again(self.facts, self._tools)
        self._create_and_wait(found)

    def _adopt(self, found: Survey) -> None:
        """Take over what the cloud holds of the run; one that cannot be looked for stays asked for.

        Raises:
            SnapSelfError: it cannot be looked for.
        """
        record = self._recorder.record
        try:
            self._recorder.save(orders=adopt(found.cloud, record.run_id, record.orders))
        except (ApiFault, CloudUnreachable) as error:
            self.facts.settle(not_seen(record.orders, error))
            self._recorder.note_unseen(trouble_of(error))
            raise

    def _reuse(self, found: Survey) -> bool:
        if self._request.reuse_s is None:
            return False
        coverage = self.facts.need_coverage()
        reusable, why = find_reusable(self._tools, found, self._request, coverage)
        if why and why not in self.facts.notes:
            self._tell(why)
        if reusable is None:
            return False
        self.facts.reused = reusable
        self.facts.snapshots = reusable.snapshots
        text = f"run {reusable.run_id} made a snapshot of these disks; it is reused"
        self.facts.notes.append(text)
        self.facts.told.append(text)  # the report says so itself
        if not reusable.is_as_far_as(self._request.wait):
            settled, unwatched = self._wait(found, Made(records=reusable.records, errors=()))
            if error := unwatched or spoiled(settled) or ran_out(self.facts, settled):
                raise error
        return True

    def _new_run(self, found: Survey) -> None:
        plan = plan_run(self.facts, self._tools, found)
        manifest = self._manifest.keep(self.facts)
        self._recorder.begin(replace(self._first_record(found, plan), manifest=manifest))
        try:
            flush_first(self.facts, self._tools, plan)
        except SnapSelfError as error:
            self._recorder.save(**failure(error, self._tools.clock.now()))
            raise
        level = self.facts.reached or Consistency.CRASH
        self._recorder.save(
            orders=tuple(OrderRecord(order=with_level(order, level)) for order in plan.orders)
        )
        self._create_and_wait(found)

    def _first_record(self, found: Survey, plan: Plan) -> RunRecord:
        lacking = lacking_in(found.layout, plan.coverage)
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
            expires=expiry(self._request, self.facts.started),
            orders=tuple(OrderRecord(order=order) for order in plan.orders),
            carried=carried_by(plan.coverage.targets),
            lacking=tuple(lacking),
            lacking_why={path: why for path, why in lacking.items() if why},
        )

    def _create_and_wait(self, found: Survey) -> None:
        self._asking, recorder = True, self._recorder
        orders = [replace(order, sent=True) for order in recorder.record.orders]
        recorder.save(stage=Stage.CREATING, orders=tuple(orders))
        sender = Sender(self.facts, self._tools, found, job_end=self._job_end)
        made = self._create(sender)
        if made.group_refused and self._order_singles(made):
            made = self._create(sender)
        self._asked = sender.asked
        known = replace(recorder.record, orders=made.records)
        upload = known.upload or begun(known, self._tools.process.boot_id)
        keys = found.cloud.created_with or known.keys
        recorder.note(stage=Stage.CREATED, orders=made.records, upload=upload, keys=keys)
        self._ask_advice(found, made)
        # The first one is the error that the run ends with.
        self.facts.notes += dict.fromkeys(error.told for error in made.errors[1:])
        if made.errors and not any(record.is_made for record in made.records):
            error = self.facts.maybe_frozen or made.errors[0]
            lost = [each for each in made.errors if answer_is_lost(each)]
            self._close(error, *lost)
            if lost:
                recorder.note_unseen(CutUnseen.NO_ANSWER)
            raise error
        self._finish(found, made)

    def _create(self, sender: Sender) -> Made:
        try:
            return sender.send()
        except SnapSelfError as error:
            # Nothing was asked of the cloud by this hold; what an earlier run asked for stays open.
            if self._result is not Result.RESUMED:
                unsent = [replace(each, sent=False) for each in self._recorder.record.orders]
                self._recorder.note(orders=tuple(unsent))
                self._close(error)
            raise

    def _ask_advice(self, found: Survey, made: Made) -> None:
        """Ask beside the wait for what no order needs, unless a package manager waits."""
        if self._request.waited_for:
            return
        self._advice = Beside(self._tools, found)
        if why := why_not_ready(found, made.errors):
            self.facts.notes.append(why)

    def _take_advice(self) -> None:
        """Take over what came of it in time."""
        plan = self.facts.plan
        if self._advice is not None and plan is not None:
            made = self._recorder.record.orders
            late = self._advice.notes(self.facts.need_coverage(), self.facts.run_id, made)
            self.facts.plan = replace(plan, notes=(*late, *plan.notes))

    def _order_singles(self, made: Made) -> bool:
        """Put single orders in place of a group that the cloud does not make here."""
        singles = ungrouped(self.facts.need_plan())
        if singles:
            self._tell(
                f"no snapshot-consistent group here ({made.errors[0].told}); single snapshots "
                "are made instead"
            )
            level = self.facts.reached or Consistency.CRASH
            self._recorder.save(
                orders=tuple(OrderRecord(order=with_level(o, level), sent=True) for o in singles)
            )
        return bool(singles)

    def _finish(self, found: Survey, made: Made) -> None:
        self._asking, recorder = True, self._recorder
        settled, unwatched = self._wait(found, made)
        if unwatched is None:
            tag_level(found.cloud, settled, self.facts.reached)
        record = recorder.record
        retained = self._retain(found, settled, record)
        self.facts.retain(done=retained.done, refused=retained.refused, refusals=retained.refusals)
        refusal = next(iter(retained.refused.values()), None)
        now = self._tools.clock.now()
        tries = tries_after(record.retention, refusal, now) if refusal else record.retention
        upload = settled_upload(record, settled, now)
        recorder.note(orders=retained.records, upload=upload, retention=tries)
        if unwatched is not None:
            # The run stays open: the same command, given again, finishes it.
            if not made.errors:
                recorder.note_unseen(settled.why_uncut())
            raise unwatched
        self._judge(settled, made)

    def _retain(self, found: Survey, settled: Settled, record: RunRecord) -> Retained:
        """Set the retention of group members, as far as they are uploaded."""
        orders = [each.order for each in settled.records]
        steps = retention_steps(record.keep_days, orders) if record.keep_days else ()
        with self._log.step(*steps) as results:
            retained = retain_settled(found.cloud, settled, record.keep_days)
            if retained.refused:
                results[:] = ["failed: refused" for _ in steps]
            elif not retained.done or any(each.retention_pending for each in retained.records):
                results[:] = ["skipped: not uploaded yet" for _ in steps]
        return retained

    def _wait(self, found: Survey, made: Made) -> tuple[Settled, SnapSelfError | None]:
        """Return where the snapshots are, and why they could not be watched to the end.

        Not allowed to look, say: what was made must be named all the same.
        """
        tools = self._tools
        waiter = Waiter(found.cloud, tools.clock, tools.listener, random=tools.random)
        wait = self._request.wait
        limit_s = MEMBERS_LIMIT_S if wait is WaitFor.NONE else self._request.timeout_s
        settled: Settled | None = None
        if self._job_end is not None:
            limit_s = min(limit_s, self._job_end - self._tools.clock.monotonic())
        unwatched: SnapSelfError | None = None
        for target in self.facts.need_coverage().targets:
            name = Event(kind=EventKind.TARGET, text=target.label, disk_id=target.cloud.disk_id)
            tools.listener(name)
        try:
            told = f"wait until the snapshots are {WAITED_FOR[wait]}"
            with self._log.step(wait_step(wait), told=told):
                settled = waiter.until(made.records, wait, timeout_s=limit_s, asked=self._asked)
        except SnapSelfError as error:
            unwatched = error
        finally:
            # Also when a signal ends it.
            settled = settled or waiter.known()
            self._uncut = settled.why_uncut()
            self.facts.settle(settled)
        return settled, unwatched

    def _judge(self, settled: Settled, made: Made) -> None:
        """Close the record with what the outcome is worth, or raise what went wrong."""
        error = verdict(self.facts, settled, made.errors)
        if error is None:
            self.facts.coverage = without_missing(self.facts.need_coverage(), settled)
            self._recorder.note(
                stage=Stage.FINISHED,
                finished=self._tools.clock.now(),
                exit_status=int(exit_status(self.facts, self._result)),
                result=told_result(self.facts, self._result),
            )
            return
        self._close(error, *made.errors)
        if isinstance(error, CutNotSeen):
            self._recorder.note_unseen(settled.why_uncut())
        raise error

    def _close(self, error: SnapSelfError, *errors: SnapSelfError) -> None:
        """Close the record as failed, unless the cloud may still make what it was asked for."""
        if any(outcome_is_open(each) for each in errors):
            return
        self._recorder.note(**failure(error, self._tools.clock.now()))

    def _tell(self, text: str) -> None:
        self.facts.notes.append(text)
        self.facts.told.append(text)
        self._tools.listener(Event(kind=EventKind.NOTE, text=text))
