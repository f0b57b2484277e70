"""Hooks: programs of the user's that run before the cut and after the thaw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

MAX_OUTPUT_BYTES = 65536
"""So much of what a hook prints is kept, in memory."""


class OnFailure(Enum):
    """What a hook that fails before the cut does to the others."""

    ABORT = "abort"
    """Nothing stays at rest: what follows is up to ``--on-quiesce-failure``."""
    GO_ON = "go-on"
    """The others are brought to rest all the same, but the level falls."""


class HookResult(Enum):
    """What hooks are told after the thaw, in ``SNAP_SELF_RESULT``."""

    CUT = "cut"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCommand:
    """A program to start.

    Args:
        argv: the first is the program's absolute path.
        script: the file whose owner and mode are checked: the program, or what a shell shall run.
        env: all of its environment.
        keeps_input: standard input is a pipe that is closed to end it, not ``/dev/null``.
        executable: the script must have an execute bit.
    """

    argv: tuple[str, ...]
    script: str
    env: Mapping[str, str] = field(default_factory=dict)
    keeps_input: bool = False
    executable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStep:
    """One hook, whatever its protocol: what is run before the cut and after the thaw.

    Args:
        name: for people: ``hook 10-app``.
        fault: why it cannot be run at all; the commands are None then.
        hint: what to do about the fault.
        start: None where the protocol has nothing to run then.
        timeout_s: for each attempt of either command.
        retries: how often a start that failed is tried again; one at its time limit is not.
        private: the scripts may have no permission for anybody but their owner.
    """

    name: str
    start: HookCommand | None
    stop: HookCommand | None
    timeout_s: float
    retries: int = 0
    stop_retries: int = 0
    on_failure: OnFailure = OnFailure.ABORT
    private: bool = False
    fault: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFacts:
    """What hooks are told about the run.

    Args:
        before: what the snapshot is made before, as the user put it.
        disks: disk ids.
        mounts: mount points.
    """

    run_id: str
    before: str
    disks: tuple[str, ...]
    mounts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """What is known of a program that was started.

    Args:
        ready: it said READY on a line of its own on standard output.
        status: exit status, negative: ended by that signal; None while it runs.
        output: both streams, the first 64 KiB.
        dropped_bytes: what was printed beyond that.
    """

    ready: bool
    status: int | None
    output: str = field(repr=False)
    dropped_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HookOutput:
    """What one command of a hook printed."""

    name: str
    phase: str
    text: str = field(repr=False)
    dropped_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How the start or the stop of a hook went.

    Args:
        why: what went wrong; empty when all is well.
        begun: a program was started, so the post part is due.
        session: a program that said READY holds on.
    """

    why: str = ""
    hint: str = ""
    begun: bool = False
    session: bool = False
    seconds: float = 0.0
    outputs: tuple[HookOutput, ...] = ()
