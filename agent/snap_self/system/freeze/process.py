"""The inside of the guardian's two processes: descriptors, signals, timer, locked memory.

It is for Linux only and calls libc through ctypes. ``timerfd`` counts suspended time
(CLOCK_BOOTTIME), which the time limit of poll(2) does not. ``signalfd`` makes a signal one more
input to read, so no signal is handled in the middle of an action.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import struct
import time

from snap_self.model.guardian import Source
from snap_self.system.disks.calls import read_whole
from snap_self.system.freeze.helpers import Helpers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIBC = ctypes.CDLL(None, use_errno=True)

# sys/mman.h, linux/time.h, sys/signalfd.h, sys/timerfd.h, linux/prctl.h
MCL_CURRENT_AND_FUTURE = 1 | 2
CLOCK_BOOTTIME = 7
SIG_BLOCK = 0
FD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
PR_SET_NAME = 15
SIGNALFD_RECORD = 128
SIGSET_BYTES = 128

# The kernel raises these for a fault in the process. They must kill it: the partner then thaws.
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT})
ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def lock_memory() -> bool:
    """Lock all present and future memory; False if the limit forbids it (mlockall(2))."""
    gc.collect()
    gc.disable()
    gc.freeze()
    return bool(_LIBC.mlockall(MCL_CURRENT_AND_FUTURE) == 0)


def exempt_from_oom() -> bool:
    """Exempt this process from the out-of-memory killer; the understudy inherits it (proc(5))."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"-1000")
    except OSError:
        return False
    finally:
        os.close(fd)
    return b"-1000" in read_whole("/proc/self/oom_score_adj")


def name_process(name: str) -> None:
    """Set the name that ps shows, at most 15 bytes (prctl(2))."""
    _LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


def block_signals() -> None:
    """Block every signal that can be blocked, in this process and its children.

    The guardian reads the signals that end it, and thaws. The understudy ignores all signals and
    ends with the guardian, so a signal to both does not cause two thaws of one freeze.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)


def open_signals() -> int:
    """Return a signalfd of the signals that end a freeze."""
    mask = bytearray(SIGSET_BYTES)
    for number in ENDING_SIGNALS:
        mask[(number - 1) // 8] |= 1 << (number - 1) % 8
    fd = _LIBC.signalfd(-1, bytes(mask), FD_FLAGS)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return int(fd)


def open_timer() -> int:
    """Return a timerfd that counts suspended time."""
    fd = _LIBC.timerfd_create(CLOCK_BOOTTIME, FD_FLAGS)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return int(fd)


class Seat:
    """The real ``GuardianSeat``.

    Args:
        inputs: what to listen to, most important first: if several are ready at once, an answer
            about a freeze is read before a reason to end it.
        agent_fd: end of the status pipe.
        partner_fd: end of the pipe to the other process.
        marker_owner: what this freeze's marker says; another freeze's marker is left alone.
        partner_pid: None if this process must not kill the other one.
    """

    def __init__(
        self,
        inputs: Mapping[Source, int],
        *,
        agent_fd: int,
        partner_fd: int,
        marker_path: str,
        marker_owner: bytes,
        message_bytes: int,
        partner_pid: int | None = None,
    ) -> None:
        self._timer_fd = open_timer()
        self._inputs = [(fd, source) for source, fd in inputs.items()]
        self._inputs.append((self._timer_fd, Source.TIMER))
        self._agent_fd = agent_fd
        self._partner_fd = partner_fd
        self._marker_path = marker_path
        self._marker_owner = marker_owner
        self._message_bytes = message_bytes
        self._helpers: Helpers | None = None
        self._partner_pid = partner_pid
        self._sizes = {fd: message_bytes for fd, _ in self._inputs}
        self._sizes[self._timer_fd] = 8
        if Source.SIGNAL in inputs:
            self._sizes[inputs[Source.SIGNAL]] = SIGNALFD_RECORD
        self._poll = select.poll()
        for fd, _ in self._inputs:
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)
        for fd in (agent_fd, partner_fd):
            # A stopped reader must not stop us; the pipes hold far more than is ever sent.
            os.set_blocking(fd, False)

    def wait(self) -> tuple[Source, bytes]:
        """Wait without a limit: the timer is one of the inputs."""
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            for fd, source in self._inputs:
                if fd not in ready:
                    continue
                try:
                    data = os.read(fd, self._sizes[fd])
                except BlockingIOError:
                    continue  # the timer was set again after it was seen to be ready
                if not data:
                    self._poll.unregister(fd)
                return source, data

    def tell_agent(self, data: bytes) -> None:
        self._write(self._agent_fd, data)

    def tell_partner(self, data: bytes) -> None:
        self._write(self._partner_fd, data)

    def _write(self, fd: int, data: bytes) -> None:
        try:
            os.write(fd, data)
        except (BlockingIOError, BrokenPipeError):
            return

    def arm(self, seconds: float) -> None:
        """Set the timerfd once, relative to now; a time that is over already fires at once."""
        ns = max(1, int(seconds * 1e9))
        spec = struct.pack("qqqq", 0, 0, ns // 10**9, ns % 10**9)
        if _LIBC.timerfd_settime(self._timer_fd, 0, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def now_ns(self) -> int:
        return time.clock_gettime_ns(CLOCK_BOOTTIME)

    def forget_marker(self) -> None:
        """Unlink the marker. This is after the thaw, so it does not block even on a disk."""
        try:
            if self._marker_owner not in read_whole(self._marker_path):
                return
            os.unlink(self._marker_path)  # noqa: PTH108 - pathlib costs memory here
        except OSError:
            return  # the marker is then stale: a later command finds nothing frozen

    def start_helpers(self, count: int, work: Callable[[bytes], bytes]) -> None:
        """Start the threads; their answers are read before all other inputs."""
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        self._inputs.insert(0, (read_fd, Source.HELPER))
        self._sizes[read_fd] = self._message_bytes
        self._poll.register(read_fd, select.POLLIN)
        self._helpers = Helpers(count, work, write_fd)

    def order_helper(self, place: int, data: bytes) -> None:
        if self._helpers is not None:
            self._helpers.order(place, data)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def end_partner(self) -> None:
        """Kill the partner only while it is our parent, so never another process with its id."""
        if self._partner_pid is not None and os.getppid() == self._partner_pid:
            os.kill(self._partner_pid, signal.SIGKILL)


def fork_understudy() -> tuple[int, int, int]:
    """Fork; return the child's id (0 in the child), a pipe end to read and one to write.

    Each side closes at once the ends it does not use: an open end would hide the other's death.
    """
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(down_write)
        os.close(up_read)
        os.setsid()
        return 0, down_read, up_write
    os.close(down_read)
    os.close(up_write)
    return pid, up_read, down_write
