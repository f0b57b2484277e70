"""What waits for a confirmation, by the cloud and by the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from snap_self.errors import UsageError
from snap_self.model.executions import Execution, Waiting
from snap_self.model.run import ArmedRecord, RunRecord
from snap_self.model.snapshots import Identity
from snap_self.ports import Executions
from snap_self.recovery.outside import execution_tags
from snap_self.recovery.went_back import armed_it
from snap_self.usecases.aftercare.going_back import how_far_it_came
from snap_self.usecases.confirming.calling_off import SHOWN_AFTER
from snap_self.usecases.inventory.named import LAST
from snap_self.usecases.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What waits for a confirmation.

    Args:
        unseen: what was asked for and is not shown, each with what that means.
        gone: of what the journal knows to wait, what was seen to have ended, or to have brought
            disks back.
        going: all that goes on, what waits and what brings disks back now.
    """

    waiting: tuple[Waiting, ...]
    unseen: tuple[tuple[Waiting, str], ...]
    gone: tuple[Execution, ...] = ()
    going: tuple[Execution, ...] = ()

    def of(self, run: str) -> Found:
        """Return what goes back to that run; all for none."""
        return Found(
            waiting=tuple(each for each in self.waiting if run in ("", each.run)),
            unseen=tuple((each, why) for each, why in self.unseen if run in ("", each.run)),
            gone=tuple(each for each in self.gone if run in ("", each.run)),
            going=tuple(each for each in self.going if run in ("", each.run)),
        )

    def meant(self, run: str) -> str:
        """Return the run that is meant; empty for whatever waits.

        Raises:
            UsageError: something waits, but nothing of that run.
        """
        every = (*self.waiting, *(each for each, _ in self.unseen))
        latest = max(every, key=lambda each: each.deadline, default=None)
        if run == LAST:
            return latest.run if latest else ""
        if run and latest and all(run != each.run for each in every):
            raise UsageError(
                f"no rollback to {run} waits for a confirmation; this machine goes back to run "
                f"{latest.run} at {latest.deadline:%F %T} UTC",
                hint=f"snap-self confirm {latest.run}",
            )
        return run


def find(tools: Tools, calls: Executions, identity: Identity) -> Found:
    """Return what waits, by the cloud and the journal.

    The list lags behind what was begun, so what the journal knows is looked for by its id.

    Raises:
        ApiFault, CloudUnreachable: it cannot be seen.
    """
    shown = {e.execution_id: e for e in calls.newest(execution_tags(identity.instance_id))}
    going = {name: each for name, each in shown.items() if not _is_gone(each)}
    found = {
        name: Waiting(execution_id=name, run=each.run, deadline=each.deadline)
        for name, each in going.items()
        if each.deadline
    }
    unseen: list[tuple[Waiting, str]] = []
    gone: list[Execution] = []
    for record in own(tools, identity):
        armed, waiting = record.armed, record.waiting
        if armed is None or waiting is None:
            continue
        # A move that was interrupted leaves the one before.
        before = [shown.get(name) or calls.look(name) for name in armed.replaces.split()]
        seen = _armed_by(record, calls, shown)
        if seen is None and (why := _unseen(armed, waiting, tools.clock.now())):
            unseen.append((waiting, why))
        for each in filter(None, (*before, seen)):
            name = each.execution_id
            if _is_gone(each):
                gone.append(how_far_it_came(calls, each))
                continue
            going[name] = each
            deadline = each.deadline or waiting.deadline
            found[name] = Waiting(execution_id=name, run=record.run_id, deadline=deadline)
    return Found(
        waiting=tuple(found.values()),
        unseen=tuple(unseen),
        gone=tuple(gone),
        going=tuple(going.values()),
    )


def _is_gone(seen: Execution) -> bool:
    """Tell whether nothing can be called off any more."""
    return seen.ended or seen.over


def _armed_by(
    record: RunRecord, calls: Executions, shown: Mapping[str, Execution]
) -> Execution | None:
    """Return what a run has armed; None where the cloud does not show it."""
    if record.armed is not None and record.armed.execution_id:
        name = record.armed.execution_id
        return shown.get(name) or calls.look(name)
    return next((one for one in shown.values() if armed_it(record, one)), None)


def _unseen(armed: ArmedRecord, waiting: Waiting, now: datetime) -> str:
    """Return why what the cloud does not show may wait; empty where it does not."""
    if armed.execution_id:
        return "" if waiting.overdue(now) else "the cloud does not show it"
    if now - armed.asked < SHOWN_AFTER:
        return "it was asked for a moment ago, and the cloud does not show it yet"
    return ""


def own(tools: Tools, identity: Identity) -> Sequence[RunRecord]:
    """Return what this instance's runs have armed.

    A journal that was copied with its disk names those of another one, whose they are to call off.
    """
    return [r for r in tools.store.armed() if r.instance_id == identity.instance_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What waited when the checks were begun.

    Args:
        ids: of executions.
        unnamed: run and deadline of those whose id was not known.
    """

    ids: frozenset[str]
    unnamed: frozenset[tuple[str, datetime]] = frozenset()

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> Checked:
        """Return what the journal knows to wait."""
        armed = [(r.run_id, r.armed) for r in records if r.armed]
        replaced = (name for _, one in armed for name in one.replaces.split())
        return cls(
            ids=frozenset(
                {one.execution_id for _, one in armed if one.execution_id}.union(replaced)
            ),
            unnamed=frozenset((run, one.deadline) for run, one in armed if not one.execution_id),
        )

    def has(self, waiting: Waiting) -> bool:
        """Tell whether it is among them."""
        return waiting.execution_id in self.ids or (waiting.run, waiting.deadline) in self.unnamed


def is_of(record: RunRecord, waiting: Waiting) -> bool:
    """Tell whether an execution is what a record has armed, or what stands in for it.

    An order that came to nothing before it had an id leaves the one that it was to replace.
    """
    armed = record.armed
    if armed is None:
        return False
    if armed.execution_id:
        return armed.execution_id == waiting.execution_id
    mine = (record.run_id, armed.deadline) == (waiting.run, waiting.deadline)
    return mine or waiting.execution_id in armed.replaces.split()
