"""The inside of the guardian's two processes: descriptors, signals, timer, locked memory.

Linux only, through libc by ctypes: ``timerfd`` counts suspended time (CLOCK_BOOTTIME), which the
time limit of poll(2) does not, and ``signalfd`` makes a signal one more thing to read, so that
none is ever handled half-way through an action.
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
from snap_self.system.freezing import read_whole
from snap_self.system.guardian_helpers import Helpers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LIBC = ctypes.CDLL(None, use_errno=True)

# sys/mman.h, linux/time.h, sys/signalfd.h, sys/timerfd.h, linux/prctl.h
MCL_CURRENT_AND_FUTURE = 1 | 2
CLOCK_BOOTTIME = 7
SIG_BLOCK = 0
FD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
PR_SET_NAME = 15
SIGNALFD_RECORD = 128
SIGSET_BYTES = 128

# Those the kernel raises for a fault in the process itself must kill it: the partner thaws then.
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT})
ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def lock_memory() -> bool:
    """Lock what is mapped and what will be; False where the limit forbids it (mlockall(2))."""
    gc.collect()
    gc.disable()
    gc.freeze()
    return bool(_LIBC.mlockall(MCL_CURRENT_AND_FUTURE) == 0)


def exempt_from_oom() -> bool:
    """Ask the out-of-memory killer to look elsewhere; inherited by the understudy (proc(5))."""
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
    """Block every signal that can be blocked, in this process and those it forks.

    The guardian reads the ending ones. The understudy ignores all of them: it ends with the
    guardian, which thaws on them, so that a signal to both does not make two thaws of one freeze.
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
        inputs: what to listen to, most important first: when several are ready at once, an answer
            about a freeze is read before a reason to end it.
        agent_fd: end of the status pipe.
        partner_fd: end of the pipe to the other process.
        marker_owner: what the marker says if it is of this freeze: one of another is left alone.
        partner_pid: None where the other process is not to be killed from here.
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
            # A reader that is stopped must not stop us; the pipes hold far more than is ever sent.
            os.set_blocking(fd, False)

    def wait(self) -> tuple[Source, bytes]:
        """Wait without limit: the timer is one of the inputs."""
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            for fd, source in self._inputs:
                if fd not in ready:
                    continue
                try:
                    data = os.read(fd, self._sizes[fd])
                except BlockingIOError:
                    continue  # a timer set anew since it was seen to be ready
                if not data:
                    self._poll.unregister(fd)
                return source, data

    def tell_agent(self, data: bytes) -> None:
        """Write to the status pipe."""
        self._write(self._agent_fd, data)

    def tell_partner(self, data: bytes) -> None:
        """Write to the other process."""
        self._write(self._partner_fd, data)

    def _write(self, fd: int, data: bytes) -> None:
        try:
            os.write(fd, data)
        except (BlockingIOError, BrokenPipeError):
            return

    def arm(self, seconds: float) -> None:
        """Set the timerfd, relative, once; a time that is over already ends at once."""
        ns = max(1, int(seconds * 1e9))
        spec = struct.pack("qqqq", 0, 0, ns // 10**9, ns % 10**9)
        if _LIBC.timerfd_settime(self._timer_fd, 0, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def now_ns(self) -> int:
        """Read CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(CLOCK_BOOTTIME)

    def forget_marker(self) -> None:
        """Unlink the marker, after the thaw, so even on a disk this does not block."""
        try:
            if self._marker_owner not in read_whole(self._marker_path):
                return
            os.unlink(self._marker_path)  # noqa: PTH108 - pathlib costs memory here
        except OSError:
            return  # the marker is then stale, and whoever finds it finds nothing frozen

    def start_helpers(self, count: int, work: Callable[[bytes], bytes]) -> None:
        """Start the threads; their answers are read first of all inputs."""
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        self._inputs.insert(0, (read_fd, Source.HELPER))
        self._sizes[read_fd] = self._message_bytes
        self._poll.register(read_fd, select.POLLIN)
        self._helpers = Helpers(count, work, write_fd)

    def order_helper(self, place: int, data: bytes) -> None:
        """Ring its bell."""
        if self._helpers is not None:
            self._helpers.order(place, data)

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def end_partner(self) -> None:
        """Kill the partner while it still is our parent, so never another process of that id."""
        if self._partner_pid is not None and os.getppid() == self._partner_pid:
            os.kill(self._partner_pid, signal.SIGKILL)


def fork_understudy() -> tuple[int, int, int]:
    """Fork; return the child's id (0 in the child), a pipe end to read and one to write.

    Each side closes the ends it does not use at once: an end kept open would hide a death.
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


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
