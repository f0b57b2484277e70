"""Runs the process that makes the snapshot, within a limit, and ends it whole."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress

from snap_self.model.hook_facts import JobEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

TIMED_OUT = "timed out"
KILLED = "killed"
NOT_STARTED = "not started"
SIGNALLED = "signalled"

ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
# What the process gets between being asked to end and being killed.
GRACE_S = 3.0
KILL_WAIT_S = 0.5
MAX_OUT_BYTES = 8 << 20
MAX_ERR_BYTES = 64 << 10
_CHUNK = 65536


class SnapshotJob:
    """One process in a session of its own, so that it and what it starts can be ended together.

    Keys of the terminal do not reach it there; a signal to the hook is passed on to it. Guardians
    have sessions of their own: they end a freeze when this process dies.
    """

    def __init__(self, limit_s: float) -> None:
        self._begun = time.monotonic()
        self._hard = self._begun + limit_s - KILL_WAIT_S
        self._soft = self._hard - min(GRACE_S, limit_s / 4)
        self._ending: str = ""
        self._number = 0
        self._out: dict[int, bytearray] = {}

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        tick: Callable[[], None],
        tick_s: float,
    ) -> JobEnd:
        """Run it to its end, which comes at the limit at the latest.

        Args:
            tick: called every ``tick_s`` while it runs.
        """
        with _Signals() as signals:
            try:
                process = subprocess.Popen(
                    argv,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                return JobEnd(NOT_STARTED, err=os.fsencode(error.strerror or ""))
            try:
                self._attend(process, signals, tick, tick_s)
            finally:
                _end_whole(process)
        return self._end(process)

    def _attend(
        self,
        process: subprocess.Popen[bytes],
        signals: _Signals,
        tick: Callable[[], None],
        tick_s: float,
    ) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = {process.stdout.fileno(): MAX_OUT_BYTES, process.stderr.fileno(): MAX_ERR_BYTES}
        self._out = {descriptor: bytearray() for descriptor in pipes}
        poll = select.poll()
        for descriptor in (*pipes, signals.reading):
            poll.register(descriptor, select.POLLIN)
        next_tick = time.monotonic() + tick_s
        while process.poll() is None and time.monotonic() < self._hard:
            self._press(process, signals.taken())
            until = min(next_tick, self._hard if self._ending else self._soft)
            for descriptor, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000 + 1):
                if descriptor in pipes and not self._take(descriptor, pipes[descriptor]):
                    poll.unregister(descriptor)
            if time.monotonic() >= next_tick:
                next_tick += tick_s
                with suppress(OSError, ValueError):  # the manager does not listen any more
                    tick()
        for descriptor in pipes:
            os.set_blocking(descriptor, False)
            while self._take(descriptor, pipes[descriptor]):
                pass
        if process.poll() is None:
            self._ending = self._ending or TIMED_OUT

    def _press(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Ask the process to end, if the time for it has come; once."""
        if self._ending:
            return
        if number:
            self._ending, self._number = SIGNALLED, number
            self._hard = min(self._hard, time.monotonic() + GRACE_S)
            # The main job undoes what it did on any but SIGQUIT.
            process.send_signal(signal.SIGTERM if number == signal.SIGQUIT else number)
        elif time.monotonic() >= self._soft:
            self._ending = TIMED_OUT
            process.terminate()

    def _take(self, descriptor: int, most: int) -> bool:
        """Take what there is to read; tell whether there may be more."""
        try:
            part = os.read(descriptor, _CHUNK)
        except OSError:
            return False
        held = self._out[descriptor]
        held += part
        if len(held) > most:
            del held[: len(held) - most]
        return bool(part)

    def _end(self, process: subprocess.Popen[bytes]) -> JobEnd:
        out, err = (bytes(held) for held in self._out.values())
        status = process.returncode
        ending: int | str = self._ending
        # What was made in spite of being asked to end is made.
        if not ending or (ending == TIMED_OUT and status in (0, 20, 100, 101)):
            ending = status if status >= 0 else KILLED
        return JobEnd(
            ending, number=self._number, out=out, err=err, took_s=time.monotonic() - self._begun
        )


class _Signals:
    """Takes the signals that ask to end; the end of a child wakes whoever waits."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        self._number = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        os.set_blocking(self.reading, False)
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in (*ENDING, signal.SIGCHLD):
            # What is ignored, as by nohup(1), stays so.
            if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        signal.set_wakeup_fd(-1)
        os.close(self.reading)
        os.close(self._writing)

    def taken(self) -> int:
        """Return the signal that asked to end; 0 for none."""
        with suppress(OSError):
            while os.read(self.reading, _CHUNK):
                pass
        return self._number

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number != signal.SIGCHLD:
            self._number = self._number or number


def _end_whole(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it started, unless it has ended; wait no longer than a moment."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILL_WAIT_S)
    if process.returncode is None:
        process.returncode = -signal.SIGKILL  # stuck in the kernel; nobody waits for it
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
