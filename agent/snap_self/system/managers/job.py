"""Runs the process that takes the snapshot, within a time limit, and ends it with its children."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

from snap_self.model.job_end import BEGUN, THROTTLED, Ending, JobEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from snap_self.model.job_end import Longer
    from snap_self.system.managers.notices import NoticePipe

ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
# Time for the process between the request to end and the kill.
GRACE_S = 3.0
KILL_WAIT_S = 0.5
MAX_OUT_BYTES = 8 << 20
MAX_ERR_BYTES = 64 << 10
_CHUNK = 65536


class SnapshotJob:
    """One process in its own session, so that it and what it starts can be ended together.

    Terminal keys do not reach it there; a signal to the caller is passed on to it. Guardians have
    their own sessions: they end a freeze when this process dies.
    """

    def __init__(self, limit_s: float, longer: Longer | None = None) -> None:
        self._begun = time.monotonic()
        self._limit_s = limit_s
        self._longer = longer
        self._notices: NoticePipe | None = None
        self._throttled = False
        self._from = self._begun + (longer.spread_s if longer else 0.0)
        self._set_limit(limit_s)
        self._pid = 0
        self._ending: Ending | None = None
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
        """Run it to its end; it is ended at the limit at the latest.

        Args:
            tick: called every ``tick_s`` while it runs.
        """
        with _Signals() as signals, self._listening() as (more, descriptors):
            try:
                process = subprocess.Popen(
                    [*argv, *more],
                    env=dict(env),
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                return JobEnd(Ending.NOT_STARTED, err=os.fsencode(error.strerror or ""))
            self._pid = process.pid
            if self._notices is not None:
                self._notices.close_writing()
            try:
                self._attend(process, signals, tick, tick_s)
            finally:
                _end_whole(process)
        return self._end(process)

    @contextmanager
    def _listening(self) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
        """Yield the arguments and descriptors through which the process can send notices."""
        if self._longer is None:
            yield (), ()
            return
        from snap_self.system.managers.notices import OPTION, NoticePipe

        self._notices = NoticePipe()
        try:
            yield (OPTION, str(self._notices.writing)), (self._notices.writing,)
        finally:
            self._notices.close()

    def _set_limit(self, limit_s: float) -> None:
        self._hard = self._from + limit_s - KILL_WAIT_S
        self._soft = self._hard - min(GRACE_S, limit_s / 4)

    def _heed(self) -> None:
        """Give the process more time if a notice is a reason for it."""
        if self._notices is None or self._longer is None:
            return
        for word, seconds in self._notices.taken():
            if word == BEGUN:
                self._from = min(self._from, time.monotonic())
            self._throttled = self._throttled or word == THROTTLED
            if not self._ending:
                longer_s = max(self._limit_s, self._longer.throttled_s)
                self._set_limit(longer_s if self._throttled else self._limit_s)
            with suppress(OSError, ValueError):
                self._longer.told(word, seconds)

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
        if self._notices is not None:
            poll.register(self._notices.reading, select.POLLIN)
        next_tick = time.monotonic() + tick_s
        while process.poll() is None and time.monotonic() < self._hard:
            self._heed()
            self._press(process, signals.taken())
            until = min(next_tick, self._hard if self._ending else self._soft)
            for descriptor, seen in poll.poll(max(0.0, until - time.monotonic()) * 1000 + 1):
                if descriptor in pipes and not self._take(descriptor, pipes[descriptor]):
                    poll.unregister(descriptor)
                if self._notices is not None and descriptor == self._notices.reading:
                    self._heed()
                    if seen & select.POLLHUP:
                        poll.unregister(descriptor)
            if time.monotonic() >= next_tick:
                next_tick += tick_s
                with suppress(OSError, ValueError):  # the manager no longer listens
                    tick()
        for descriptor in pipes:
            os.set_blocking(descriptor, False)
            while self._take(descriptor, pipes[descriptor]):
                pass
        if process.poll() is None:
            self._ending = self._ending or Ending.TIMED_OUT

    def _press(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Ask the process to end if it is time to; once."""
        if self._ending:
            return
        if number:
            self._ending, self._number = Ending.SIGNALLED, number
            self._hard = min(self._hard, time.monotonic() + GRACE_S)
            # The main job cleans up on any signal except SIGQUIT.
            process.send_signal(signal.SIGTERM if number == signal.SIGQUIT else number)
        elif time.monotonic() >= self._soft:
            self._ending = Ending.TIMED_OUT
            process.terminate()

    def _take(self, descriptor: int, most: int) -> bool:
        """Read what is there; return whether more may come."""
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
        ending = self._ending
        # A snapshot that was taken although the process was asked to end counts.
        if ending is None or (ending is Ending.TIMED_OUT and status in (0, 20, 100, 101)):
            ending = Ending.EXITED if status >= 0 else Ending.KILLED
        return JobEnd(
            ending,
            status=status if ending is Ending.EXITED else None,
            number=self._number,
            out=out,
            err=err,
            took_s=time.monotonic() - self._begun,
            pid=self._pid,
            throttled=self._throttled,
        )


class _Signals:
    """Takes the signals that ask to end; a child's end interrupts a wait."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        self._number = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        os.set_blocking(self.reading, False)
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in (*ENDING, signal.SIGCHLD):
            # An ignored signal, as by nohup(1), stays ignored.
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
    """Kill the process and what it started, unless it has ended; wait only a moment."""
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
