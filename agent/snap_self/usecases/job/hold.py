"""Hold applications and filesystems still until every member of the snapshot set is cut.

The order is fixed: applications come to rest, everything slow is done (keys with life enough, an
open connection, every import, the guardian's start, syncing), filesystems freeze, the create call
is sent, the cut of every member is seen, filesystems thaw, applications are released. Between
freeze and thaw nothing is written anywhere: the journal was written before, events are kept back.

The create call runs on a thread of its own, so that the thaw never waits for an answer: when the
hold has to end, it ends, and applications are released. What the cloud did not take by then is sent
again afterwards, or given up, by policy. Such a snapshot is worth what the flush before it made it
worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from snap_self.errors import (
    CloudThrottled,
    CloudUnreachable,
    PreconditionRefused,
    QuiesceFailed,
    StateUnusable,
    ThawFailed,
)
from snap_self.model.disks import Coverage, Filesystem
from snap_self.model.ids import RunId
from snap_self.model.servers import RestedApplication, RestedServer
from snap_self.model.snapshots import Consistency
from snap_self.model.trust import Distrusted
from snap_self.ports import Clock
from snap_self.quiesce.freeze.account import FreezeResult
from snap_self.quiesce.freeze.order import FreezeOrder, freeze_order
from snap_self.quiesce.freeze.preflight import Severity, check_freeze
from snap_self.quiesce.freeze.session import FreezePorts, FreezeSession
from snap_self.quiesce.freeze.stale import end_stale_freeze
from snap_self.quiesce.quiescer import Quiescer
from snap_self.quiesce.session import QuiesceResult, QuiesceSession
from snap_self.threads.pool import ThreadPool
from snap_self.usecases.gate import Gate
from snap_self.usecases.hold_tools import HoldTools
from snap_self.usecases.job.create import Made
from snap_self.usecases.job.held_create import Cut, HeldCalls

# The thaw and its report must fit between the last look at the cloud and the guardian's deadline.
THAW_MARGIN_S = 0.5
# The calls end so much before the hold must, so that it is known how they ended.
CALL_MARGIN_S = 0.2
# Keys must outlive the freeze and the calls that follow it.
KEY_MARGIN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the hold was worth.

    Args:
        level: the level proved by it; None when it added nothing to the flush.
        reasons: what was missing to the level asked for, each once.
        at_rest: the applications were at rest all the time.
        rest_s: how long they took to come to rest, None if that was not asked for.
        frozen_s: how long filesystems were frozen, None if none was.
        thaw_s: how much of that the thaw took.
        lines: for people: what was frozen, for how long, what each hook and application did.
        fault: a filesystem may still be frozen.
        kept: what a restore needs beside the snapshot (PostgreSQL's ``backup_label``), by name.
        applications: every server that was asked to come to rest.
    """

    level: Consistency | None
    reasons: tuple[str, ...]
    frozen_s: float | None
    lines: tuple[str, ...]
    fault: ThawFailed | None
    kept: Mapping[str, str] = field(default_factory=dict)
    applications: tuple[RestedApplication, ...] = ()
    at_rest: bool = False
    rest_s: float | None = None
    thaw_s: float = 0.0

    @property
    def why(self) -> str:
        """Return the reasons as one sentence."""
        return "; ".join(self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was made, and what the hold was worth."""

    made: Made
    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What happened while everything was held.

    Args:
        call: the create call; None if it was not sent.
        in_time: it ended while everything was still held.
        frozen: None if nothing was frozen.
        at_rest: the applications were at rest all the time.
        kept: what they gave to be kept for a restore, by name.
    """

    call: Future[Cut] | None = None
    in_time: bool = False
    frozen: FreezeResult | None = None
    at_rest: bool = False
    kept: Mapping[str, str] = field(default_factory=dict)

    @property
    def cut(self) -> bool:
        """Tell whether every cut was seen while everything was held."""
        ended = self.call is not None and self.in_time and self.call.exception() is None
        unbroken = self.frozen is None or self.frozen.held
        return ended and unbroken and self.call is not None and self.call.result().whole


class LookAgain(Protocol):
    """Looks, right before the cut, at what is on the disks by now."""

    def __call__(self, *, everything: bool) -> Coverage:
        """Sync what is new there, or everything, and return what there is."""
        ...


class Hold:
    """One hold; ``run`` does the create call within it.

    Args:
        look: for what may be mounted while applications come to rest.
    """

    def __init__(
        self,
        tools: HoldTools,
        clock: Clock,
        gate: Gate,
        *,
        asked: Consistency,
        strict: bool,
        look: LookAgain,
    ) -> None:
        self._look = look
        self._tools = tools
        self._clock = clock
        self._gate = gate
        self._asked = asked
        self._strict = strict
        self._left_out = False
        self._why: list[str] = []
        self._lines: list[str] = []
        self._applications: list[RestedApplication] = []
        self._rest_s: float | None = None

    def run(self, run_id: RunId, coverage: Coverage, calls: HeldCalls) -> Outcome:
        """Hold everything still around the create call, and return what it made and was worth.

        Raises:
            SnapSelfError: something could not be held and the policy is to abort, or a filesystem
                may still be frozen; nothing was asked of the cloud.
        """
        # Nothing is told before all is thawed and released: whoever reads it may be at rest too.
        with self._gate.shut():
            order = self._checked_order(coverage)
            if self._asked is Consistency.APPLICATION:
                attempt = self._around(run_id, coverage, order, calls)
            else:
                attempt = self._frozen(order, calls)
        cut = attempt.call.result() if attempt.call else None
        held = self._held(attempt, cut)
        return Outcome(made=self._made(calls, cut, held), held=held)

    def _around(
        self, run_id: RunId, coverage: Coverage, order: FreezeOrder | None, calls: HeldCalls
    ) -> _Attempt:
        """Freeze and create while the applications are at rest."""
        with closing(self._tools.applications(run_id, coverage, calls.count == 1)) as found:
            self._lines += found.notes
            quiescers = tuple(found.quiescers)
            for doubt in found.doubts:
                self._weaken(doubt)
            if not quiescers:
                self._weaken("no hook and no application on these disks is switched on")
            limit_s = self._tools.applications_limit_s
            with QuiesceSession(quiescers, self._clock, limit_s=limit_s) as session:
                at_rest = self._rest(session)
                attempt = self._frozen(order, calls)
                if at_rest and attempt.call is None:
                    self._look(everything=True)
                    attempt = self._cut(calls, self._tools.limits.hold_s)
                sure = at_rest and not found.doubts
                # One that did not come to rest has said why.
                faults = self._moved(quiescers) if at_rest else _let_go(session.results)
                attempt = replace(attempt, at_rest=sure and not faults)
                if attempt.cut:
                    found.say_cut()
            self._rest_s = round(sum(each.seconds for each in session.results), 3)
            self._tell_applications(session.results, found.servers, faults)
            self._lines += found.outputs()
            # Some servers can tell only when they are released that they did not stay at rest.
            released = not self._release_faults(session.results)
            return replace(attempt, at_rest=attempt.at_rest and released, kept=found.kept())

    def _checked_order(self, coverage: Coverage) -> FreezeOrder | None:
        """Return what to freeze; None if that is refused or there is nothing.

        Raises:
            PreconditionRefused, QuiesceFailed: it is not all that was asked for, and the policy is
                to abort.
        """
        order = _order(coverage)
        facts, unread = self._tools.facts(order)
        self._lines += unread
        findings = check_freeze(order, facts, hold_s=self._tools.limits.hold_s)
        refusals = [each for each in findings if each.severity is Severity.REFUSE]
        self._lines += [each.what for each in findings if each.severity is Severity.WARN]
        if refusals and self._strict:
            raise PreconditionRefused(refusals[0].what, hint=refusals[0].hint)
        for each in order.left_out:
            if each.weakens:
                self._left_out = True
                self._weaken(f"{each.path} ({each.fstype}) was not frozen: {each.why}")
        self._why += [each.what for each in refusals]
        self._lines += [f"what helps: {each.hint}" for each in refusals]
        if not order.targets:
            self._weaken("there is no filesystem to freeze on these disks")
        return None if refusals or not order.targets else order

    def _weaken(self, why: str) -> None:
        """Note, before anything is made, that less will be reached than was asked for.

        Raises:
            QuiesceFailed: the policy is to abort.
        """
        if self._strict:
            raise QuiesceFailed(
                why, hint="nothing was made; `--on-quiesce-failure continue` takes the weaker level"
            )
        self._why.append(why)

    def _rest(self, applications: QuiesceSession) -> bool:
        try:
            applications.start()
        except QuiesceFailed as error:
            if self._strict:
                raise
            self._why.append(error.message)
            return False
        return bool(applications.results)

    def _moved(self, quiescers: Sequence[Quiescer]) -> Mapping[str, str]:
        """Return why some are no longer at rest, by their names."""
        faults = {each.name: fault for each in quiescers if (fault := each.check())}
        self._why += [f"{name}: {fault}" for name, fault in faults.items()]
        return faults

    def _frozen(self, order: FreezeOrder | None, calls: HeldCalls) -> _Attempt:
        """Create while everything is frozen; without a call if nothing could be frozen."""
        if order is None:
            return _Attempt()
        limits = self._tools.limits
        with FreezeSession(order.targets, self._tools.ports, limits) as session:
            try:
                self._tools.renew(limits.hold_s + KEY_MARGIN_S)
                session.prepare()
                calls.warm()
                self._refuse_change(order)
                session.freeze()
            except (QuiesceFailed, CloudUnreachable, CloudThrottled) as error:
                self._weaken(error.message)
                return _Attempt()
            attempt = self._cut(calls, session.remaining_s() - THAW_MARGIN_S)
            result = session.thaw()
        if not attempt.in_time:
            late = "the freeze ended before the cut was seen"
            result = replace(result, held=False, why=result.why or late)
        return replace(attempt, frozen=result)

    def _refuse_change(self, order: FreezeOrder) -> None:
        """See that what is to be frozen is still all there is.

        Raises:
            QuiesceFailed: something was mounted on these disks, or is there no more.
        """
        before, now = _names(order), _names(_order(self._look(everything=False)))
        if changed := before.keys() ^ now.keys():
            paths = ", ".join(sorted((before | now)[key] for key in changed))
            raise QuiesceFailed(
                f"what is mounted on these disks changed while everything came to rest: {paths}"
            )

    def _cut(self, calls: HeldCalls, limit_s: float) -> _Attempt:
        """Send the create call and wait for its end, but no longer than the hold may last."""
        limit_s = max(0.0, limit_s)
        pool = ThreadPool(thread_name_prefix="cut")
        try:
            call = pool.submit(calls.cut, max(0.0, limit_s - CALL_MARGIN_S))
            call.exception(timeout=limit_s)
        except NotYet:
            return _Attempt(call=call)
        finally:
            pool.shutdown(wait=False)
        return _Attempt(call=call, in_time=True)

    def _made(self, calls: HeldCalls, cut: Cut | None, held: Held) -> Made:
        """Return what was made, after sending again what may be taken now that nothing is held."""
        if cut is None:
            return calls.patiently(None)
        if not cut.may_pass or held.fault:
            return cut.made
        if not self._strict:
            return calls.patiently(cut.made)
        first = cut.made.errors[0]
        given_up = QuiesceFailed(
            f"the snapshots could not be had while everything was held: {first.message}",
            hint=first.hint,
        )
        return replace(cut.made, errors=(given_up, *cut.made.errors))

    def _release_faults(self, results: Sequence[QuiesceResult]) -> bool:
        faults = [f"{each.name}: {each.release_why}" for each in results if each.release_why]
        self._why += faults
        return bool(faults)

    def _tell_applications(
        self,
        results: Sequence[QuiesceResult],
        servers: Sequence[RestedServer | None],
        faults: Mapping[str, str],
    ) -> None:
        # Those begun are the first ones.
        for each, server in zip(results, servers, strict=False):
            state = "at rest" if each.ok else f"not at rest: {each.why}"
            known = f" ({server.described})" if server else ""
            fault = faults.get(each.name)
            but = f", but {fault}" if fault else ""
            self._lines.append(f"{each.name}: {state} after {each.seconds:.2f} s{known}{but}")
            if server:
                why = each.why or fault or each.release_why
                self._applications.append(
                    RestedApplication(server=server, at_rest=each.ok and not why, why=why)
                )

    def _held(self, attempt: _Attempt, cut: Cut | None) -> Held:
        frozen = attempt.frozen
        if frozen is not None:
            self._tell_freeze(frozen)
            if frozen.held and cut is not None and not cut.whole:
                self._why.append(cut.why)
        level = None
        if frozen is not None and attempt.cut and not self._left_out:
            level = Consistency.APPLICATION if attempt.at_rest else Consistency.FILESYSTEM
        return Held(
            level=level,
            reasons=tuple(dict.fromkeys(self._why)),
            frozen_s=round(frozen.frozen_s, 4) if frozen else None,
            lines=tuple(self._lines),
            fault=frozen.fault() if frozen else None,
            kept=attempt.kept,
            applications=tuple(self._applications),
            at_rest=attempt.at_rest,
            rest_s=self._rest_s,
            thaw_s=round(sum(each.thaw_s for each in frozen.filesystems), 4) if frozen else 0.0,
        )

    def _tell_freeze(self, frozen: FreezeResult) -> None:
        if not frozen.held:
            self._why.append(frozen.why)
        if frozen.warm_up_s:
            self._lines.append(
                "each filesystem was frozen and thawed once before, "
                f"{frozen.warm_up_s:.3f} s in all, so that none waits frozen for another"
            )
        self._lines += frozen.notes
        self._lines += [
            f"{each.path} ({each.fstype}): {each.outcome.value}, frozen {each.frozen_s:.3f} s "
            f"(freezing {each.freeze_s * 1000:.1f} ms, thawing {each.thaw_s * 1000:.1f} ms)"
            for each in frozen.filesystems
        ]


def _let_go(results: Sequence[QuiesceResult]) -> Mapping[str, str]:
    """Return, by their names, what is against those that were at rest while another failed."""
    why = "it was let go before the cut, since another did not come to rest"
    return {each.name: why for each in results if each.ok}


def _order(coverage: Coverage) -> FreezeOrder:
    filesystems: dict[str, Filesystem] = {
        filesystem.key: filesystem
        for target in coverage.targets
        for filesystem in target.filesystems
    }
    return freeze_order(filesystems.values(), coverage.unseen)


def _names(order: FreezeOrder) -> dict[str, str]:
    """Return what each filesystem is known by to its name for people."""
    left = {each.path: each.path for each in order.left_out if each.weakens}
    return left | {target.key: target.path for target in order.targets}


def end_stale(ports: FreezePorts) -> str:
    """End a freeze that an interrupted run left behind; return what was done, or "".

    Raises:
        ThawFailed: a filesystem may still be frozen.
        StateUnusable: the marker cannot be read, believed or removed.
    """
    try:
        stale = end_stale_freeze(ports)
    except Distrusted as error:
        raise StateUnusable(
            f"the freeze marker is not believed: {error.found.why}",
            hint=f"look at what it names, then: {error.found.hint}",
        ) from None
    except OSError as error:
        raise StateUnusable(
            f"the freeze marker cannot be read or removed: {error.strerror}"
        ) from error
    if fault := stale.fault():
        raise fault
    return stale.why if stale.found else ""
