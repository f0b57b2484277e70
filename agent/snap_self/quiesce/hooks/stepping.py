"""Runs one hook's start or stop: trust, attempts, time limits, sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from snap_self.model.hooks import (
    HookCommand,
    HookOutput,
    HookResult,
    HookStep,
    ProcessView,
    StepOutcome,
)
from snap_self.ports import Clock, HookFiles, HookProcesses
from snap_self.quiesce.hooks.environment import RESULT
from snap_self.quiesce.hooks.trust import judge

_LONGEST_WAIT_S = 0.5


class _Ending(Enum):
    """How a command ended."""

    EXITED = "exited"
    READY = "ready"
    TIMED_OUT = "timed out"
    GIVEN_UP = "given up"
    NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    ending: _Ending
    why: str
    pid: int = 0


class StepRunner:
    """Runs hooks, and knows which sessions hold on.

    Args:
        on_started: called with each process id, before anything else is done.
    """

    def __init__(
        self,
        processes: HookProcesses,
        files: HookFiles,
        clock: Clock,
        *,
        on_started: Callable[[int], None] | None = None,
    ) -> None:
        self._processes = processes
        self._files = files
        self._clock = clock
        self._on_started = on_started
        self._sessions: dict[str, int] = {}
        self._lingering: dict[str, list[int]] = {}

    def start(
        self, step: HookStep, limit_s: float, *, give_up: Callable[[], bool] = lambda: False
    ) -> StepOutcome:
        """Run the part before the cut.

        Args:
            limit_s: for all attempts together.
            give_up: asked again and again; true ends it.
        """
        begun = self._clock.monotonic()
        why, hint = self._refusal(step)
        if why:
            return StepOutcome(why=why, hint=hint)
        assert step.start is not None
        run = _Run(ending=_Ending.NOT_STARTED, why="there was no time left for it")
        for _ in range(1 + step.retries):
            left_s = begun + limit_s - self._clock.monotonic()
            if left_s <= 0:
                break
            run = self._run(step, step.start, min(step.timeout_s, left_s), give_up)
            if not run.why or run.ending is not _Ending.EXITED:
                break
        if run.ending is _Ending.READY:
            self._sessions[step.name] = run.pid
        return StepOutcome(
            why=run.why,
            begun=bool(self._lingering.get(step.name)),
            session=run.ending is _Ending.READY,
            seconds=self._clock.monotonic() - begun,
            outputs=self._outputs(step, "pre"),
        )

    def check(self, step: HookStep) -> str:
        """Return an empty text while nothing is known against its being at rest."""
        pid = self._sessions.get(step.name)
        if pid is None:
            return ""
        status = self._processes.look(pid).status
        return "" if status is None else f"its session {_said(status)} before it was released"

    def stop(self, step: HookStep, result: HookResult) -> StepOutcome:
        """Release its session if it has one, then run the part after the thaw."""
        begun = self._clock.monotonic()
        faults = [self._release(step)]
        outputs = self._outputs(step, "pre")
        before = self._lingering.pop(step.name, [])
        if step.stop is not None and not step.fault:
            command = replace(step.stop, env={**step.stop.env, RESULT: result.value})
            faults.append(self._post(step, command))
            outputs += self._outputs(step, "post")
        for pid in (*before, *self._lingering.pop(step.name, [])):
            self._processes.forget(pid)
        return StepOutcome(
            why="; ".join(filter(None, faults)),
            seconds=self._clock.monotonic() - begun,
            outputs=outputs,
        )

    def _post(self, step: HookStep, command: HookCommand) -> str:
        why, _ = self._judge(command, private=step.private)
        if why:
            return why
        for _ in range(1 + step.stop_retries):
            run = self._run(step, command, step.timeout_s, lambda: False)
            if not run.why or run.ending is not _Ending.EXITED:
                break
        return run.why

    def _release(self, step: HookStep) -> str:
        """Close a session's input and wait for its end."""
        pid = self._sessions.pop(step.name, None)
        if pid is None:
            return ""
        view = self._processes.look(pid)
        if view.status is not None:
            return f"its session {_said(view.status)} before it was released"
        self._processes.close_input(pid)
        view = self._until_ended(pid, step.timeout_s)
        if view.status is None:
            self._processes.kill(pid)
            return f"its session did not end within {step.timeout_s:g} s of its release; killed"
        return f"its session {_said(view.status)}" if view.status else ""

    def _until_ended(self, pid: int, limit_s: float) -> ProcessView:
        end = self._clock.monotonic() + limit_s
        while True:
            view = self._processes.look(pid)
            left_s = end - self._clock.monotonic()
            if view.status is not None or left_s <= 0:
                return view
            self._processes.wait(min(left_s, _LONGEST_WAIT_S))

    def _refusal(self, step: HookStep) -> tuple[str, str]:
        """Return why a hook is not run at all; its post part must be good before it is begun."""
        if step.fault:
            return step.fault, step.hint
        for command in (step.start, step.stop):
            if command is not None:
                why, hint = self._judge(command, private=step.private)
                if why:
                    return why, hint
        return "", ""

    def _judge(self, command: HookCommand, *, private: bool) -> tuple[str, str]:
        try:
            hops = self._files.walk(command.script)
        except OSError as error:
            return f"{command.script}: {error.strerror or error}", ""
        return judge(hops, executable=command.executable, private=private)

    def _run(
        self, step: HookStep, command: HookCommand, limit_s: float, give_up: Callable[[], bool]
    ) -> _Run:
        end = self._clock.monotonic() + limit_s
        try:
            pid = self._processes.start(command)
        except (OSError, ValueError) as error:
            why = f"{command.script} cannot be started: {error}"
            return _Run(ending=_Ending.NOT_STARTED, why=why)
        self._lingering.setdefault(step.name, []).append(pid)
        if self._on_started is not None:
            self._on_started(pid)
        while True:
            view = self._processes.look(pid)
            if view.status is not None:
                return _Run(ending=_Ending.EXITED, why=_exit_fault(command, view), pid=pid)
            if command.keeps_input and view.ready:
                return _Run(ending=_Ending.READY, why="", pid=pid)
            left_s = end - self._clock.monotonic()
            if left_s <= 0:
                self._processes.kill(pid)
                why = f"did not end within {limit_s:.3g} s and was killed, with all it had started"
                return _Run(ending=_Ending.TIMED_OUT, why=why, pid=pid)
            if give_up():
                self._processes.kill(pid)
                return _Run(ending=_Ending.GIVEN_UP, why="was interrupted and killed", pid=pid)
            self._processes.wait(min(left_s, _LONGEST_WAIT_S))

    def _outputs(self, step: HookStep, phase: str) -> tuple[HookOutput, ...]:
        views = [self._processes.look(pid) for pid in self._lingering.get(step.name, ())]
        text = "".join(view.output for view in views)
        dropped = sum(view.dropped_bytes for view in views)
        output = HookOutput(name=step.name, phase=phase, text=text, dropped_bytes=dropped)
        return (output,) if text else ()


def _exit_fault(command: HookCommand, view: ProcessView) -> str:
    """Return what is wrong with how a command ended; empty if nothing is."""
    if view.status:
        return _said(view.status)
    return "said READY, but did not stay" if command.keeps_input and view.ready else ""


def _said(status: int) -> str:
    return (
        f"ended with status {status}"
        if status > 0
        else (f"was ended by signal {-status}" if status else "ended")
    )
