"""Runs a program beside the reading process's own work; loads next to nothing for it."""

from __future__ import annotations

import errno
import os
import select
import time

from snap_self.system.environment import SYSTEM_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_OUTPUT_BYTES = 16 << 20
_CHUNK = 1 << 16
# signal(7): of all architectures. The module ``signal`` loads ``enum``.
_SIGTERM = 15


class BesideCommands:
    """Implement ``ports.Commands`` for one program that may be begun before its output is needed.

    It gets no more than a SIGTERM: rpm clears the locks of its database then, which a SIGKILL
    would leave behind for everybody who comes later. What it says on standard error is dropped.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = env or {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
        self._argv: Sequence[str] = ()
        self._pid = 0
        self._output = -1

    def begin(self, argv: Sequence[str]) -> None:
        """Start it; ``run`` of the same words takes it over. That it cannot is told there."""
        try:
            self._start(argv)
        except OSError:
            self._pid = 0

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return exit status (negative: ended by that signal), standard output, and nothing.

        Raises:
            OSError: it could not be started, or printed more than 16 MiB.
            TimeoutError: it was asked to end at its time limit.
        """
        if not self._pid or self._argv != argv:
            self._start(argv)
        try:
            output = self._collect(time.monotonic() + timeout_s)
        except OSError:
            self.end()
            raise
        finally:
            os.close(self._output)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status), output.decode("utf-8", "surrogateescape"), ""

    def end(self) -> None:
        """Ask it to end, and do not wait for that."""
        pid, self._pid = self._pid, 0
        if pid:
            try:
                os.killpg(pid, _SIGTERM)
            except OSError:  # it has ended
                return

    def _start(self, argv: Sequence[str]) -> None:
        self._output, writing = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        streams = ((nothing, 0), (writing, 1), (nothing, 2))
        try:
            self._pid = os.posix_spawn(
                argv[0],
                list(argv),
                self._env,
                file_actions=[(os.POSIX_SPAWN_DUP2, *each) for each in streams],
                setsid=True,
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(writing)
            os.close(nothing)
        self._argv = argv

    def _collect(self, deadline: float) -> bytes:
        parts, left = [], MOST_OUTPUT_BYTES
        while left > 0:
            ready, _, _ = select.select(
                [self._output], [], [], max(0.0, deadline - time.monotonic())
            )
            if not ready:
                raise TimeoutError(errno.ETIMEDOUT, "no answer in time", self._argv[0])
            parts.append(os.read(self._output, _CHUNK))
            if not parts[-1]:
                return b"".join(parts)
            left -= len(parts[-1])
        raise OSError(errno.EFBIG, "longer than 16 MiB", self._argv[0])
