"""Hold applications and filesystems still until every member of the snapshot set is cut.

The order is fixed: applications come to rest, everything slow is done (keys with life enough, an
open connection, every import, the guardian's start, syncing), filesystems freeze, the create call
is sent, the cut of every member is seen, filesystems thaw, applications are released. Between
freeze and thaw nothing is written anywhere: the journal was written before, events are kept back.

The create call runs on a thread of its own, so that the thaw never waits for an answer: when the
freeze has to end, it ends, and the call goes on. Such a snapshot is worth what the flush before it
made it worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from snap_self.errors import (
    PreconditionRefused,
    QuiesceFailed,
    StateUnusable,
    ThawFailed,
)
from snap_self.model.disks import Coverage, Filesystem
from snap_self.model.ids import RunId
from snap_self.model.snapshots import Consistency
from snap_self.ports import Clock
from snap_self.quiesce.account import FreezeResult
from snap_self.quiesce.freeze import FreezeLimits, FreezePorts, FreezeSession
from snap_self.quiesce.order import FreezeOrder, freeze_order
from snap_self.quiesce.preflight import FreezeFacts, Severity, check_freeze
from snap_self.quiesce.quiescer import Quiescer
from snap_self.quiesce.session import QuiesceResult, QuiesceSession
from snap_self.quiesce.stale import end_stale_freeze
from snap_self.usecases.gate import Gate
from snap_self.usecases.making import Made
from snap_self.usecases.waiting import Reached, Settled, reached

# The thaw and its report must fit between the last look at the cloud and the guardian's deadline.
THAW_MARGIN_S = 0.5
# Keys must outlive the freeze and the calls that follow it.
KEY_MARGIN_S = 120.0


class Applications(Protocol):
    """The hooks and applications of one run that concern its disks and are switched on."""

    @property
    def quiescers(self) -> Sequence[Quiescer]:
        """In the order of starting."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was found and is left alone, a sentence each."""
        ...

    def say_cut(self) -> None:
        """Have the parts after the thaw be told that the cut was seen in time."""
        ...

    def outputs(self) -> Sequence[str]:
        """Return what hooks printed, line by line."""
        ...

    def kept(self) -> Mapping[str, str]:
        """Return what a restore needs beside the snapshot, by name; known after the release."""
        ...

    def close(self) -> None:
        """End what watches over the hooks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTools:
    """What is needed to hold a machine still.

    Args:
        facts: what must be known of the machine before a freeze.
        applications: finds them; the last argument tells whether all disks get one cut.
        renew: makes sure that the keys live so many seconds longer.
        applications_limit_s: for all of them together to come to rest.
    """

    ports: FreezePorts
    limits: FreezeLimits
    facts: Callable[[FreezeOrder], tuple[FreezeFacts, Sequence[str]]]
    applications: Callable[[RunId, Coverage, bool], Applications]
    renew: Callable[[float], None]
    applications_limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the hold was worth.

    Args:
        level: the level proved by it; None when it added nothing to the flush.
        why: what was missing to the level asked for.
        frozen_s: how long filesystems were frozen, None if none was.
        lines: for people: what was frozen, for how long, what each hook and application did.
        fault: a filesystem may still be frozen.
        kept: what a restore needs beside the snapshot (PostgreSQL's ``backup_label``), by name.
    """

    level: Consistency | None
    why: str
    frozen_s: float | None
    lines: tuple[str, ...]
    fault: ThawFailed | None
    kept: Mapping[str, str] = field(default_factory=dict)


Create = Callable[[], tuple[Made, Settled]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The cloud calls of a hold.

    Args:
        warm: opens the connection and does the imports that ``create`` will need.
        create: sends the orders and looks until all are cut; must not write anything anywhere.
    """

    warm: Callable[[], None]
    create: Create


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was made, where it stands, and what the hold was worth."""

    made: Made
    settled: Settled
    held: Held


class Hold:
    """One hold; ``run`` does the create call within it."""

    def __init__(
        self, tools: HoldTools, clock: Clock, gate: Gate, *, asked: Consistency, strict: bool
    ) -> None:
        self._tools = tools
        self._clock = clock
        self._gate = gate
        self._asked = asked
        self._strict = strict
        self._why: list[str] = []
        self._lines: list[str] = []

    def run(self, run_id: RunId, coverage: Coverage, calls: Calls, *, one_cut: bool) -> Outcome:
        """Hold everything still around the create call, and return what it made and was worth.

        Raises:
            QuiesceFailed, PreconditionRefused: something could not be held and the policy is to
                abort; nothing was asked of the cloud.
            SnapSelfError: the create call failed; everything is thawed and released.
        """
        order = self._checked_order(coverage)
        if self._asked is not Consistency.APPLICATION:
            made, settled, frozen = self._frozen(order, calls)
            held = self._held(frozen, settled, at_rest=False)
            return Outcome(made=made, settled=settled, held=held)
        with closing(self._tools.applications(run_id, coverage, one_cut)) as applications:
            return self._around(applications, order, calls)

    def _around(
        self, applications: Applications, order: FreezeOrder | None, calls: Calls
    ) -> Outcome:
        """Freeze and create while the applications are at rest."""
        self._lines += applications.notes
        quiescers = tuple(applications.quiescers)
        if not quiescers:
            self._why.append("no hook and no application on these disks is switched on")
        limit_s = self._tools.applications_limit_s
        with QuiesceSession(quiescers, self._clock, limit_s=limit_s) as session:
            at_rest = self._rest(session)
            made, settled, frozen = self._frozen(order, calls)
            still = at_rest and self._still(quiescers)
            if all_cut(settled):
                applications.say_cut()
        self._tell_applications(session.results)
        self._lines += applications.outputs()
        # Some servers can tell only when they are released that they did not stay at rest.
        released = not self._release_faults(session.results)
        held = self._held(frozen, settled, at_rest=still and released)
        return Outcome(made=made, settled=settled, held=replace(held, kept=applications.kept()))

    def _checked_order(self, coverage: Coverage) -> FreezeOrder | None:
        filesystems: dict[str, Filesystem] = {
            filesystem.key: filesystem
            for target in coverage.targets
            for filesystem in target.filesystems
        }
        order = freeze_order(filesystems.values())
        facts, unread = self._tools.facts(order)
        self._lines += unread
        findings = check_freeze(order, facts, hold_s=self._tools.limits.hold_s)
        refusals = [each for each in findings if each.severity is Severity.REFUSE]
        self._lines += [each.what for each in findings if each.severity is Severity.WARN]
        self._why += [
            f"{each.path} ({each.fstype}) was only flushed: {each.why}"
            for each in order.left_out
            if each.weakens
        ]
        if not refusals:
            return order
        if self._strict:
            raise PreconditionRefused(refusals[0].what, hint=refusals[0].hint)
        self._why += [each.what for each in refusals]
        return None

    def _rest(self, applications: QuiesceSession) -> bool:
        try:
            applications.start()
        except QuiesceFailed as error:
            if self._strict:
                raise
            self._why.append(error.message)
            return False
        return bool(applications.results)

    def _still(self, quiescers: Sequence[Quiescer]) -> bool:
        faults = [f"{each.name}: {fault}" for each in quiescers if (fault := each.check())]
        self._why += faults
        return not faults

    def _frozen(
        self, order: FreezeOrder | None, calls: Calls
    ) -> tuple[Made, Settled, FreezeResult | None]:
        if order is None or not order.targets:
            made, settled = calls.create()
            return made, settled, None
        with FreezeSession(order.targets, self._tools.ports, self._tools.limits) as session:
            try:
                self._tools.renew(self._tools.limits.hold_s + KEY_MARGIN_S)
                session.prepare()
                calls.warm()
                with self._gate.shut():
                    session.freeze()
                    return self._within(session, calls.create)
            except QuiesceFailed as error:
                if self._strict:
                    raise
                self._why.append(error.message)
        made, settled = calls.create()
        return made, settled, None

    def _within(self, session: FreezeSession, create: Create) -> tuple[Made, Settled, FreezeResult]:
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cut")
        call: Future[tuple[Made, Settled]] = pool.submit(create)
        try:
            in_time = self._wait(call, session)
            result = session.thaw()
        finally:
            pool.shutdown(wait=False)
        made, settled = call.result()
        if not in_time:
            result = replace(
                result, held=False, why=result.why or "the freeze ended before the cut was seen"
            )
        return made, settled, result

    def _wait(self, call: Future[tuple[Made, Settled]], session: FreezeSession) -> bool:
        """Wait for the call until the freeze must end; tell whether it ended first."""
        left_s = session.remaining_s() - THAW_MARGIN_S
        try:
            call.exception(timeout=max(0.0, left_s))
        except NotYet:
            return False
        return True

    def _release_faults(self, results: Sequence[QuiesceResult]) -> bool:
        faults = [f"{each.name}: {each.release_why}" for each in results if each.release_why]
        self._why += faults
        return bool(faults)

    def _tell_applications(self, results: Sequence[QuiesceResult]) -> None:
        for each in results:
            state = "at rest" if each.ok else f"not at rest: {each.why}"
            self._lines.append(f"{each.name}: {state} after {each.seconds:.2f} s")

    def _held(self, frozen: FreezeResult | None, settled: Settled, *, at_rest: bool) -> Held:
        if frozen is not None:
            self._tell_freeze(frozen)
        clean = frozen is not None and frozen.held and all_cut(settled) and not self._weakened()
        level = None
        if clean:
            level = Consistency.APPLICATION if at_rest else Consistency.FILESYSTEM
        return Held(
            level=level,
            why="; ".join(self._why),
            frozen_s=round(frozen.frozen_s, 4) if frozen else None,
            lines=tuple(self._lines),
            fault=frozen.fault() if frozen else None,
        )

    def _weakened(self) -> bool:
        return any("was only flushed" in why for why in self._why)

    def _tell_freeze(self, frozen: FreezeResult) -> None:
        if not frozen.held:
            self._why.append(frozen.why)
        if frozen.warm_up_s:
            self._lines.append(
                f"each filesystem was frozen and thawed once before, {frozen.warm_up_s:.3f} s in all, so "
                "that none waits frozen for another"
            )
        self._lines += frozen.notes
        self._lines += [
            f"{each.path} ({each.fstype}): {each.outcome.value}, frozen {each.frozen_s:.3f} s "
            f"(freezing {each.freeze_s * 1000:.1f} ms, thawing {each.thaw_s * 1000:.1f} ms)"
            for each in frozen.filesystems
        ]


def all_cut(settled: Settled) -> bool:
    """Tell whether every disk asked for is known to be cut."""
    asked = [disk_id for record in settled.records for disk_id in record.order.disk_ids]
    return all(reached(settled.snapshots.get(disk_id)) >= Reached.CUT for disk_id in asked)


def end_stale(ports: FreezePorts) -> str:
    """End a freeze that an interrupted run left behind; return what was done, or "".

    Raises:
        ThawFailed: a filesystem may still be frozen.
        StateUnusable: the marker cannot be read.
    """
    try:
        stale = end_stale_freeze(ports)
    except OSError as error:
        raise StateUnusable(f"the freeze marker cannot be read: {error.strerror}") from error
    if fault := stale.fault():
        raise fault
    return stale.why if stale.found else ""
