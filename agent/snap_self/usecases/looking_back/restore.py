"""Bring files back from a snapshot, which is open only for the time of the copying."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from snap_self.errors import PreconditionRefused
from snap_self.model.copying import Change, CopyOutcome, CopyPlan, Leaving, LeftOut
from snap_self.model.restored import Intent, Restored
from snap_self.model.temporary import Purpose, Stage
from snap_self.usecases.looking_back.finding import Source, find, source_of
from snap_self.usecases.looking_back.opening import Life, Plan
from snap_self.usecases.looking_back.planning import LIFE, check_size, intent_of, plan_copy
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.looking_back.turn import opened_in_turn
from snap_self.usecases.looking_back.undoing import MOST_NAMED, WayBack
from snap_self.usecases.tools import Tools

ASIDE = ".snap-self-replaced"
# Nothing is brought back at all where one of these is met: what would come of it is not whole.
STOPPERS = (
    *(Leaving.IN_USE, Leaving.PACKAGE_DATABASE, Leaving.NO_ROOM, Leaving.QUOTA),
    *(Leaving.OWN_STATE, Leaving.READ_ONLY),
)
_MENDS = {
    Leaving.IN_USE: "stop what has it open first, or bring it back elsewhere with --to DIR",
    Leaving.PACKAGE_DATABASE: "the files and the package database would disagree; bring packages "
    "back with the package manager, or look at the old database with --to DIR",
    Leaving.NO_ROOM: "free some space, or bring it back to another filesystem with --to DIR",
    Leaving.QUOTA: "raise the quota, or bring it back elsewhere with --to DIR",
    Leaving.OWN_STATE: "name other paths, or bring it back elsewhere with --to DIR",
    Leaving.READ_ONLY: "mount it writable, or bring it back elsewhere with --to DIR",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """What is asked for.

    Args:
        wanted: a snapshot, group or run, or ``last``.
        to: bring the paths back below this directory instead of to their own places.
        exact: what the snapshot lacks is taken away too.
        backup: what is replaced is kept aside.
        sure: whoever asks has agreed beforehand, to a large disk too.
    """

    wanted: str
    paths: tuple[str, ...]
    to: str | None = None
    exact: bool = False
    backup: bool = True
    dry_run: bool = False
    sure: bool = False


class Consent(Protocol):
    """Asks whoever started the command; what does not ask, agrees."""

    def to_disk(self, intent: Intent) -> bool:
        """Tell whether a disk may be made."""
        ...

    def to_change(self, plan: CopyPlan, intent: Intent) -> bool:
        """Tell whether what differs may be replaced."""
        ...


def restore(
    tools: Tools, looking: LookingBack, request: RestoreRequest, consent: Consent
) -> Restored | None:
    """Bring files back, or show what differs; None if no disk was wanted.

    Raises:
        DiskLeft: it failed, and something of the copy stays.
        SnapSelfError: it failed; what was not told as brought back is as it was.
    """
    warnings = looking.ask_packages(request.paths)
    found = find(tools, request.wanted)
    source = source_of(found, tools.machine, request.paths)
    plan = plan_copy(looking, found, source, Purpose.RESTORE, life=LIFE)
    intent = replace(
        intent_of(plan, found, source),
        warnings=tuple(warnings(found.name)),
        paths=tuple(one.path for one in source.wanted),
        to=request.to,
        aside=_aside(request, plan, source),
    )
    check_size(looking, intent, sure=request.sure)
    if not consent.to_disk(intent):
        return None
    with opened_in_turn(tools, looking, found, plan) as life:
        work = _Work(looking, life, request, source, intent)
        done = work.do(consent)
    return replace(
        done,
        record=life.record,
        notes=found.notes,
        caveats=life.caveats,
        left=life.left,
    )


def _aside(request: RestoreRequest, plan: Plan, source: Source) -> str | None:
    """Return where what is replaced is kept: on the same filesystem, at its top."""
    if not request.backup:
        return None
    top = (request.to or source.mount.path).rstrip("/")
    return f"{top}/{ASIDE}/{plan.record.restore_id}"


class _Work:
    """What is done with an open copy."""

    def __init__(
        self,
        tools: LookingBack,
        life: Life,
        request: RestoreRequest,
        source: Source,
        intent: Intent,
    ) -> None:
        self._tools = tools
        self._life = life
        self._request = request
        self._source = source
        self._intent = intent

    def do(self, consent: Consent) -> Restored:
        assert self._life.opened is not None
        fd, request = self._life.opened.fd, self._request
        self._tools.step("compare")
        plan = self._tools.copier.plan(fd, self._source.wanted, to=request.to, exact=request.exact)
        _refuse(plan, self._source)
        if request.dry_run or not plan.differences:
            return self._restored(plan)
        if not consent.to_change(plan, self._intent):
            return self._restored(plan, declined=True)
        roots = (request.to,) if request.to else tuple(w.path for w in self._source.wanted)
        self._life.note(replace(self._life.record.at(Stage.COPYING), roots=roots))
        outcome = self._copy(fd, plan)
        self._life.copied()
        return self._restored(plan, outcome)

    def _copy(self, fd: int, shown: CopyPlan) -> CopyOutcome:
        """Copy what differs by now, as far as that was agreed to."""
        request, intent, way = self._request, self._intent, None
        if intent.aside is not None:
            way = WayBack(
                self._tools, self._life.record.restore_id, intent.aside, exact=request.exact
            )

        def begins(plan: CopyPlan) -> None:
            # What was asked for was shown a while ago.
            _refuse(plan, self._source)
            if way:
                way.begin(plan)

        replaced = (one.path for one in shown.differences if one.kind is not Change.NEW)
        with way.noting() if way else nullcontext():
            return self._tools.copier.copy(
                fd,
                self._source.wanted,
                mark=self._life.record.restore_id,
                to=request.to,
                exact=request.exact,
                aside=intent.aside,
                progress=self._progress(),
                agreed=None if request.sure else frozenset(replaced),
                begins=begins,
                ended=way.note if way else _not_noted,
            )

    def _progress(self) -> Callable[[int, int], None]:
        self._tools.step("copy")

        def told(done: int, of: int) -> None:
            if done == of:
                self._tools.step(f"copied {done}")

        return told

    def _restored(
        self, plan: CopyPlan, outcome: CopyOutcome | None = None, *, declined: bool = False
    ) -> Restored:
        kept = outcome is not None and bool(outcome.kept_aside)
        return Restored(
            intent=self._intent,
            record=self._life.record,
            plan=plan,
            outcome=outcome,
            aside=self._intent.aside if kept else None,
            declined=declined,
            dry_run=self._request.dry_run,
        )


def _not_noted(outcome: CopyOutcome) -> None:
    del outcome


def _refuse(plan: CopyPlan, source: Source) -> None:
    """Refuse what would not be whole, before anything is replaced.

    Raises:
        PreconditionRefused: with every path named, or some of many.
    """
    stopping = [left for left in plan.left_out if left.code in STOPPERS]
    if stopping:
        raise PreconditionRefused(
            f"nothing was brought back: {_named(stopping)}", hint=_MENDS[stopping[0].code]
        )
    if plan.left_out and not plan.differences and not plan.same:
        missing = all(left.code is Leaving.NOT_THERE for left in plan.left_out)
        names = ", ".join(shot.snapshot_id for shot in source.shots)
        raise PreconditionRefused(
            f"nothing was brought back: {_named(plan.left_out)}",
            hint=f"`snap-self mount {names}` shows what the snapshot has" if missing else "",
        )


def _named(left: Sequence[LeftOut]) -> str:
    more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    return "; ".join(f"{one.path}: {one.why}" for one in left[:MOST_NAMED]) + more
