"""The keeper of hooks: runs them for the agent, and their post parts if the agent is gone.

Every hook is the keeper's child and not the agent's. So there is no moment after a hook's start at
which the agent's death could lose it.
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

LONGEST_SILENCE_S = 300.0
"""How long an agent may prepare and write out dirty data between two requests."""
_IDLE_S = 5.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperTools:
    """What a keeper needs from outside.

    Args:
        frozen: tells whether a freeze of ours is still marked.
        note: keeps for the next command what the keeper did alone.
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
        self._quiet_since_s = 0.0
        self._was_frozen = False
        self._done_alone: dict[int, str] = {}

    def tell_started(self, pid: int) -> None:
        """Report a started program: the agent must know it in case this process is killed."""
        self._tools.seat.tell(encode(Answer(number=self._number, pid=pid)))

    def serve(self) -> None:
        """Answer requests until there are no more, then do what is due."""
        while True:
            line = self._next()
            request = _understood(line)
            if request is None or request.verb is Verb.END:
                self._finish(told=request is not None)
                return
            self._number = request.number
            outcome = self._outcome(request)
            self._tools.seat.tell(encode(Answer(number=request.number, outcome=outcome)))
            self._quiet_since_s = self._tools.clock.monotonic()

    def _next(self) -> str:
        while not self._tools.seat.pending():
            self._mind_silence()
            self._tools.processes.wait(_LOOK_S if self._due else _IDLE_S)
        return self._tools.seat.take()

    def _mind_silence(self) -> None:
        """Release everything if the agent is silent for too long, longer than a freeze lasts.

        An agent that is stopped (SIGSTOP) or hangs must not keep applications at rest: the
        guardian ends its freeze, and soon afterwards its hooks are ended here.
        """
        now_s = self._tools.clock.monotonic()
        if not self._due:
            return
        if self._tools.frozen():
            self._was_frozen, self._quiet_since_s = True, now_s
        limit_s = self._plan.silence_s if self._was_frozen else LONGEST_SILENCE_S
        if now_s - self._quiet_since_s >= limit_s:
            self._release_all()

    def _outcome(self, request: Request) -> StepOutcome:
        step = self._plan.steps[request.index]
        if request.index in self._done_alone:
            why = self._done_alone[request.index]
            told = "it was released, since nothing was heard of the agent any more"
            return StepOutcome(why=f"{told}: {why}" if why else told)
        if request.verb is Verb.START:
            # Due before it is begun; a hook that was not begun is removed again.
            self._due.append(request.index)
            # Any message from the agent meanwhile, or its end, means that it no longer waits.
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

    def _finish(self, *, told: bool) -> None:
        """After the thaw, run the post parts that are due; note what the agent was not told.

        Args:
            told: the agent said that it ends.
        """
        if self._due:
            # The closed pipe would end every wait at once.
            self._tools.processes.stop_watching()
            end = self._tools.clock.monotonic() + self._plan.thaw_wait_s
            while self._tools.frozen() and self._tools.clock.monotonic() < end:
                self._tools.processes.wait(_LOOK_S)
            self._release_all()
            told = False
        if self._done_alone and not told:
            done = {self._plan.steps[index].name: why for index, why in self._done_alone.items()}
            self._tools.note({"run": self._plan.run_id, **done})

    def _release_all(self) -> None:
        """Run the post parts that are due, in reverse."""
        while self._due:
            index = self._due.pop()
            outcome = self._runner.stop(self._plan.steps[index], HookResult.INTERRUPTED)
            self._done_alone[index] = outcome.why


def _understood(line: str) -> Request | None:
    """Return the request; None if the agent is gone or the line is not a request."""
    try:
        return decode(Request, line) if line else None
    except WireFault:
        return None
