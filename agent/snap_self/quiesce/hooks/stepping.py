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
from snap_self.model.shell import quoted
from snap_self.ports import Clock, HookFiles, HookProcesses
from snap_self.quiesce.hooks.environment import RESULT
from snap_self.quiesce.hooks.trust import judge

_LONGEST_WAIT_S = 0.5


def named_interpreter(text: str) -> str:
    """Return the interpreter in a script's first line, as the kernel reads it; empty if none."""
    line = text.partition("\n")[0]
    if not line.startswith("#!"):
        return ""
    # For the kernel only a space or tab ends the name (fs/binfmt_script.c): a CR belongs to it.
    return line[2:].strip(" \t").replace("\t", " ").partition(" ")[0]


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
    """Runs hooks, and knows which sessions are open.

    Args:
        on_started: called with each process id before anything else.
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
            give_up: called repeatedly; True ends the attempts.
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
        """Return why it is not at rest; empty if nothing shows that."""
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
        """Return why a hook is not run; its post part must also be usable before it is begun."""
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

    def _start_fault(self, script: str, error: Exception) -> str:
        """Return why; the kernel's ENOENT and EACCES may concern the interpreter (execve(2))."""
        if not isinstance(error, FileNotFoundError | PermissionError):
            return str(error)
        try:
            interpreter = named_interpreter(self._files.read(script))
        except OSError:
            interpreter = ""
        if not interpreter:
            return f"{error.strerror}, maybe for the loader or interpreter that it needs"
        shown = quoted(interpreter)
        if interpreter.endswith("\r"):
            return f"its interpreter {shown} is not there: its lines end as on Windows (CR LF)"
        try:
            self._files.walk(interpreter)
        except OSError as fault:
            return f"its interpreter {shown}: {fault.strerror}"
        return f"{error.strerror}; its interpreter is {shown}"

    def _run(
        self, step: HookStep, command: HookCommand, limit_s: float, give_up: Callable[[], bool]
    ) -> _Run:
        end = self._clock.monotonic() + limit_s
        try:
            pid = self._processes.start(command)
        except (OSError, ValueError) as error:
            why = self._start_fault(command.script, error)
            return _Run(
                ending=_Ending.NOT_STARTED, why=f"{command.script} cannot be started: {why}"
            )
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
    """Return what was wrong with a command's end; empty if nothing was."""
    if view.status:
        return _said(view.status)
    return "said READY, but did not stay" if command.keeps_input and view.ready else ""


def _said(status: int) -> str:
    return (
        f"ended with status {status}"
        if status > 0
        else (f"was ended by signal {-status}" if status else "ended")
    )
