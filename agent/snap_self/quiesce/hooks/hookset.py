"""The agent's side of hooks: each hook is a quiescer, and one keeper runs them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snap_self.config.settings import HookSettings
from snap_self.errors import QuiesceFailed
from snap_self.model.hooks import (
    HookFacts,
    HookOutput,
    HookResult,
    HookStep,
    OnFailure,
    StepOutcome,
)
from snap_self.ports import (
    Clock,
    HookFiles,
    HookKeeperLink,
    HookKeeperStarter,
    HookProcesses,
)
from snap_self.quiesce.hooks.building import Builder
from snap_self.quiesce.hooks.environment import RUN
from snap_self.quiesce.hooks.registry import find_steps
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

AFTER_FREEZE_S = 5.0
"""How much longer than a freeze may last the keeper waits for its end."""
_MARGIN_S = 8.0
"""More than it takes to ask, kill and reap a hook."""
_CHECK_S = 2.0
_GONE = "the keeper of hooks was killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPorts:
    """Everything outside the process that hooks need.

    Args:
        processes: creates what runs hooks in this process once the keeper is gone.
    """

    clock: Clock
    files: HookFiles
    keepers: HookKeeperStarter
    processes: Callable[[], HookProcesses]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlaces:
    """The keeper's files and time limits.

    Args:
        marker: the freeze's marker file.
        hold_s: how long a freeze may last.
        silence_s: how long after a thaw a silent agent is taken for dead.
    """

    marker: Path
    state_dir: Path
    hold_s: float
    silence_s: float = 15.0


class Hooks:
    """The hooks of one run.

    Args:
        steps: in the order of starting.
        notes: a sentence for each file that was ignored.
    """

    def __init__(
        self,
        steps: tuple[HookStep, ...],
        ports: HookPorts,
        places: HookPlaces,
        *,
        run_id: str,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.notes = notes
        self.result = HookResult.FAILED
        self._steps = steps
        self._ports = ports
        self._plan = KeeperPlan(
            run_id=run_id,
            steps=steps,
            marker=str(places.marker),
            thaw_wait_s=float(places.hold_s + AFTER_FREEZE_S),
            silence_s=float(places.silence_s),
            state_dir=str(places.state_dir),
        )
        self._link: HookKeeperLink | None = None
        self._runner: StepRunner | None = None
        self._number = 0
        self._running = 0
        self._due: set[int] = set()
        self._sessions: set[int] = set()
        self._weak: dict[int, str] = {}
        self._outputs: dict[tuple[str, str], HookOutput] = {}

    @property
    def quiescers(self) -> tuple[HookQuiescer, ...]:
        return tuple(HookQuiescer(self, index, step) for index, step in enumerate(self._steps))

    @property
    def outputs(self) -> tuple[HookOutput, ...]:
        """Return what hooks have printed so far; do not show it while anything is frozen."""
        return tuple(self._outputs.values())

    def say_result(self, result: HookResult) -> None:
        """Set the result for the post parts; by default they learn that no snapshot was taken."""
        self.result = result

    def close(self) -> None:
        """End the keeper; it runs the post parts that are still due."""
        if self._link is not None:
            self._number += 1
            self._link.send(encode(Request(number=self._number, verb=Verb.END)))
            self._link.close()
            self._link = None

    def start(self, index: int, deadline: float) -> None:
        """Run the start of a hook.

        Raises:
            QuiesceFailed: it failed, and what it held was released.
        """
        step = self._steps[index]
        limit_s = deadline - self._ports.clock.monotonic()
        if limit_s <= 0:
            raise QuiesceFailed(f"{step.name} was not started: no time was left for it")
        self._open(step)
        self._due.add(index)
        patience_s = limit_s + _MARGIN_S
        outcome = self._ask(Verb.START, index, limit_s=limit_s, patience_s=patience_s)
        if outcome is None:
            outcome = StepOutcome(why=_GONE, hint="see the kernel's log (dmesg)", begun=True)
        if not outcome.begun:
            self._due.discard(index)
        if outcome.session:
            self._sessions.add(index)
        if outcome.why:
            self._fail(index, outcome)

    def check(self, index: int) -> str:
        """Return an empty text while it is certainly still at rest, else why not."""
        if index in self._weak:
            return self._weak[index]
        if index not in self._due:
            return "it was not started"
        if self._link is not None:
            outcome = self._ask(Verb.CHECK, index, patience_s=_CHECK_S)
            if outcome is not None:
                return outcome.why
        return f"{_GONE}, which ended its session" if index in self._sessions else ""

    def stop(self, index: int) -> str:
        """Run the stop of a hook if it is due; return what went wrong."""
        if index not in self._due:
            return ""
        step = self._steps[index]
        # A session has this time to end, and each attempt has it to run.
        patience_s = (step.timeout_s + _MARGIN_S) * (2 + step.stop_retries)
        outcome = self._ask(Verb.STOP, index, patience_s=patience_s) if self._link else None
        if outcome is None:
            outcome = self._stop_here(step)
        # Not earlier: an interrupt must not cost the hook its post part. A keeper that is asked
        # again does nothing twice.
        self._due.discard(index)
        self._sessions.discard(index)
        self._keep(outcome)
        return outcome.why

    def _fail(self, index: int, outcome: StepOutcome) -> None:
        step = self._steps[index]
        if step.on_failure is OnFailure.GO_ON:
            self._weak[index] = outcome.why
            return
        after = self.stop(index)
        why = f"{outcome.why}; then its release: {after}" if after else outcome.why
        raise QuiesceFailed(f"{step.name}: {why}", hint=outcome.hint)

    def _open(self, step: HookStep) -> None:
        """Start the keeper if it does not run yet."""
        if self._link is not None:
            return
        if self._runner is not None:
            raise QuiesceFailed(f"{step.name} was not started: {_GONE}")
        try:
            self._link = self._ports.keepers.start()
        except OSError as error:
            why = f"the keeper of hooks cannot be started: {error.strerror or error}"
            raise QuiesceFailed(why) from error
        if not self._link.send(encode(self._plan)):
            self._lose()

    def _ask(
        self, verb: Verb, index: int, *, patience_s: float, limit_s: float = 0.0
    ) -> StepOutcome | None:
        """Return the keeper's answer; give it up and return None if it is gone or silent."""
        self._number += 1
        request = Request(
            number=self._number,
            verb=verb,
            index=index,
            limit_s=float(limit_s),
            result=self.result,
        )
        link = self._link
        if link is None or not link.send(encode(request)):
            self._lose()
            return None
        end = self._ports.clock.monotonic() + patience_s
        while True:
            line = link.receive(max(0.0, end - self._ports.clock.monotonic()))
            answer = _understood(line)
            if answer is None:
                self._lose()
                return None
            if answer.number != self._number:
                continue  # it answers an earlier request; an interrupt kept us from reading it
            if answer.outcome is not None:
                self._running = 0
                self._keep(answer.outcome)
                return answer.outcome
            self._running = answer.pid

    def _lose(self) -> None:
        """Give the keeper up: from now on this process runs what is due."""
        if self._link is not None:
            self._link.kill()
            self._link.close()
            self._link = None
        if self._runner is None:
            processes = self._ports.processes()
            self._runner = StepRunner(processes, self._ports.files, self._ports.clock)
            if self._running:
                proof = f"{RUN}={self._plan.run_id}"
                processes.kill_stranger(self._running, proof=proof)

    def _stop_here(self, step: HookStep) -> StepOutcome:
        self._lose()
        assert self._runner is not None
        return self._runner.stop(step, self.result)

    def _keep(self, outcome: StepOutcome) -> None:
        for output in outcome.outputs:
            self._outputs[output.name, output.phase] = output


class HookQuiescer:
    """One hook as the quiesce session sees it."""

    def __init__(self, hooks: Hooks, index: int, step: HookStep) -> None:
        self._hooks = hooks
        self._index = index
        self._step = step

    @property
    def name(self) -> str:
        """Return ``hook`` and its file's name."""
        return self._step.name

    def start(self, *, deadline: float) -> None:
        """Run the part before the cut.

        Raises:
            QuiesceFailed: it failed, and what it held was released.
        """
        self._hooks.start(self._index, deadline)

    def check(self) -> str:
        """Return an empty text while it is certainly still at rest, else why not."""
        return self._hooks.check(self._index)

    def stop(self) -> str:
        """Run the part after the thaw if the first part was begun; return what went wrong."""
        return self._hooks.stop(self._index)


def load_hooks(
    settings: HookSettings, facts: HookFacts, ports: HookPorts, places: HookPlaces
) -> Hooks:
    """Return the hooks from the configuration and the hook directory; none is run yet."""
    builder = Builder(facts=facts, files=ports.files, timeout_s=float(settings.timeout_s))
    steps, notes = find_steps(settings, builder)
    return Hooks(steps, ports, places, run_id=facts.run_id, notes=notes)


def _understood(line: str | None) -> Answer | None:
    try:
        return decode(Answer, line) if line else None
    except WireFault:
        return None
