"""Ask the cloud for the snapshots of a run, held still where that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from snap_self.errors import PreconditionRefused
from snap_self.model.request import OnQuiesceFailure
from snap_self.model.run import OrderRecord
from snap_self.plan import THAW, create_steps
from snap_self.usecases.job.create import Made, make
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.look import Survey
from snap_self.usecases.job.steps import DONE, failed
from snap_self.usecases.job.sync import flush_again, look_before_cut
from snap_self.usecases.tools import Tools

if TYPE_CHECKING:  # only a run that freezes pays for the import
    from snap_self.usecases.job.hold import Held

# A throttled action is callable again in the next minute window, so a create may have to wait for
# one, and be answered in it.
CREATE_LIMIT_S = 150.0


class Sender:
    """Sends a run's orders, and logs it.

    Args:
        job_end: when every call must have ended, on the monotonic clock; None without such a time.
    """

    def __init__(
        self, facts: RunFacts, tools: Tools, found: Survey, *, job_end: float | None
    ) -> None:
        self._facts = facts
        self._tools = tools
        self._found = found
        self._job_end = job_end
        # When orders were sent last, on the monotonic clock; None if none was by this command.
        self.asked: float | None = None

    def send(self) -> Made:
        """Send every order of the record that is not made yet.

        Raises:
            SnapSelfError: a hold could not be had, or its result may be frozen; nothing was sent.
        """
        facts, held = self._facts, None
        records = facts.need_record().orders
        steps = create_steps([each.order for each in records], facts.need_coverage())
        with facts.steps.step(*steps, told="ask the cloud for the snapshots") as results:
            if facts.request.consistency.is_held:
                made, held = self._send_held(records)
            else:
                made = self._send(records)
            refused = failed(made.errors[0]) if made.errors else "failed"
            results[:] = [DONE if record.is_made else refused for record in made.records]
        if held is not None and held.frozen_s is not None:
            thawed = failed(held.fault) if held.fault else DONE
            facts.steps.add(THAW, seconds=held.thaw_s, result=thawed)
        return made

    def _send(self, records: Sequence[OrderRecord]) -> Made:
        limit_s = max(self._facts.request.timeout_s, 1.0)
        if self._job_end is None:
            limit_s = min(CREATE_LIMIT_S, limit_s)
        made = make(
            self._found.cloud,
            records,
            instance_id=self._found.identity.instance_id,
            deadline_s=limit_s,
        )
        if not all(order.is_made for order in records):
            self.asked = self._tools.clock.monotonic()
        return made

    def _send_held(self, records: Sequence[OrderRecord]) -> tuple[Made, Held]:
        """Send them while everything is held still, and take over what that was worth."""
        # Only a run that freezes pays for the import.
        from snap_self.usecases.job.held_create import HeldCalls
        from snap_self.usecases.job.hold import Hold

        facts, tools, found = self._facts, self._tools, self._found
        if tools.hold is None:
            raise PreconditionRefused("nothing can be frozen here: the machine is a recording")
        hold = Hold(
            tools.hold,
            tools.clock,
            tools.gate,
            asked=facts.request.consistency,
            strict=facts.request.on_quiesce_failure is OnQuiesceFailure.ABORT,
            look=partial(look_before_cut, facts, tools),
        )
        calls = HeldCalls(
            found.cloud,
            tools.clock,
            tools.listener,
            instance_id=found.identity.instance_id,
            orders=records,
            send_again=self._send_unheld,
        )
        outcome = hold.run(facts.run_id, facts.need_coverage(), calls)
        facts.take_hold(outcome.held)
        return outcome.made, outcome.held

    def _send_unheld(self, records: Sequence[OrderRecord]) -> Made:
        """Send what a hold could not get; what was flushed before the hold is old by now."""
        flush_again(self._facts, self._tools)
        return self._send(records)
