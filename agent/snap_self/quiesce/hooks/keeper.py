"""The keeper of hooks: runs them for the agent, and their post parts when the agent is gone.

Every hook is the keeper's child and not the agent's, so that between a hook's start and somebody
knowing of it there is no moment at which the agent's death could lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snap_self.model.hooks import HookResult, StepOutcome
from snap_self.ports import Clock, HookKeeperSeat, HookProcesses
from snap_self.quiesce.hooks.stepping import StepRunner
from snap_self.quiesce.hooks.wire import (
    Answer,
    KeeperPlan,
    Request,
    Verb,
    WireFault,
    decode,
    encode,
)

_IDLE_S = 5.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperTools:
    """What a keeper works with.

    Args:
        frozen: tells whether a freeze of ours is still marked.
        note: keeps for the next command what was done alone.
    """

    seat: HookKeeperSeat
    processes: HookProcesses
    clock: Clock
    frozen: Callable[[], bool]
    note: Callable[[Mapping[str, str]], None]


class Keeper:
    """Serves one run of the agent."""

    def __init__(self, plan: KeeperPlan, runner: StepRunner, tools: KeeperTools) -> None:
        self._plan = plan
        self._runner = runner
        self._tools = tools
        self._due: list[int] = []
        self._number = 0

    def tell_started(self, pid: int) -> None:
        """Say that a program was started: the agent must know it should this process be killed."""
        self._tools.seat.tell(encode(Answer(number=self._number, pid=pid)))

    def serve(self) -> None:
        """Answer requests until there are no more, then do what is due."""
        while True:
            line = self._next()
            request = _understood(line)
            if request is None or request.verb is Verb.END:
                self._finish_alone()
                return
            self._number = request.number
            outcome = self._outcome(request)
            self._tools.seat.tell(encode(Answer(number=request.number, outcome=outcome)))

    def _next(self) -> str:
        while not self._tools.seat.pending():
            self._tools.processes.wait(_IDLE_S)
        return self._tools.seat.take()

    def _outcome(self, request: Request) -> StepOutcome:
        step = self._plan.steps[request.index]
        if request.verb is Verb.START:
            # Due before it is begun; a hook that was not begun is struck off again.
            self._due.append(request.index)
            # Whatever the agent says meanwhile, or its end, means that it no longer waits.
            outcome = self._runner.start(step, request.limit_s, give_up=self._tools.seat.pending)
            if not outcome.begun:
                self._due.remove(request.index)
            return outcome
        if request.verb is Verb.STOP:
            if request.index not in self._due:
                return StepOutcome()
            self._due.remove(request.index)
            return self._runner.stop(step, request.result)
        return StepOutcome(why=self._runner.check(step))

    def _finish_alone(self) -> None:
        """Run the post parts that are due, after the thaw, in reverse; note what was done."""
        if not self._due:
            return
        self._tools.processes.stop_watching()  # the end of a pipe would wake every wait at once
        end = self._tools.clock.monotonic() + self._plan.thaw_wait_s
        while self._tools.frozen() and self._tools.clock.monotonic() < end:
            self._tools.processes.wait(_LOOK_S)
        done: dict[str, str] = {"run": self._plan.run_id}
        for index in reversed(self._due):
            step = self._plan.steps[index]
            done[step.name] = self._runner.stop(step, HookResult.INTERRUPTED).why
        self._tools.note(done)


def _understood(line: str) -> Request | None:
    """Return the request; None where the agent is gone, or says what it cannot have said."""
    try:
        return decode(Request, line) if line else None
    except WireFault:
        return None
