"""Runs hooks: each in its own session, its output in memory, killed with all it started."""

from __future__ import annotations

import ctypes
import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from snap_self.model.hooks import MAX_OUTPUT_BYTES, HookCommand, ProcessView
from snap_self.system.cores import CORE_LIMIT

CHUNK_BYTES = 65536
CHUNKS_AT_ONCE = 16
TERMINATE_GRACE_S = 1.0
KILL_LIMIT_S = 3.0
KILL_AGAIN_S = 0.2
LOOK_S = 0.02
READY = b"READY"
LINE_BYTES = 256
PR_SET_CHILD_SUBREAPER = 36
"""linux/prctl.h"""


def adopt_orphans() -> None:
    """Become the parent of processes that this process's descendants leave behind (prctl(2)).

    Otherwise a hook's child that begins its own session could not be found again.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(slots=True)
class _Running:
    """A hook that was started."""

    process: subprocess.Popen[bytes]
    strangers: frozenset[int]
    output: bytearray = field(default_factory=bytearray)
    dropped_bytes: int = 0
    line: bytearray = field(default_factory=bytearray)
    ready: bool = False

    def take(self, chunk: bytes, *, is_answer: bool) -> None:
        room = MAX_OUTPUT_BYTES - len(self.output)
        self.output += chunk[:room]
        self.dropped_bytes += max(0, len(chunk) - room)
        if is_answer and not self.ready:
            *lines, rest = (bytes(self.line) + chunk).split(b"\n")
            self.ready = any(line.rstrip(b"\r ") == READY for line in lines)
            self.line[:] = rest[:LINE_BYTES]  # a longer line is not an answer


class SystemHookProcesses:
    """Implement ``ports.HookProcesses``.

    Processes that a hook leaves running go on after its end: qemu-ga's published hooks hold a lock
    this way. A hook's pipes stay open until it is forgotten, so such a process can still write.

    Args:
        adopts: this process called :func:`adopt_orphans`.
        watch: other descriptors that end a wait when there is something to read.
    """

    def __init__(self, *, adopts: bool = False, watch: Sequence[int] = ()) -> None:
        self._adopts = adopts
        self._running: dict[int, _Running] = {}
        self._selector = selectors.DefaultSelector()
        self._watched = frozenset(watch)
        for fd in watch:
            self._selector.register(fd, selectors.EVENT_READ)

    def start(self, command: HookCommand) -> int:
        """Start a program; return its process id.

        Raises:
            OSError: it could not be started.
        """
        strangers = frozenset(_children(_processes(), os.getpid()))
        try:
            process = _open(command.argv, command)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script whose first line names no interpreter; every shell does this.
            process = _open(("/bin/sh", *command.argv), command)
        running = _Running(process, strangers)
        self._running[process.pid] = running
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, (running, pipe))
        return process.pid

    def look(self, pid: int) -> ProcessView:
        """Return its present state; read what it has printed first."""
        running = self._running[pid]
        ended = _has_ended(pid)
        for pipe in (running.process.stdout, running.process.stderr):
            if pipe is not None and not pipe.closed:
                self._drain(running, pipe)
        return ProcessView(
            ready=running.ready,
            status=_status(pid) if ended else None,
            output=running.output.decode("utf-8", "replace"),
            dropped_bytes=running.dropped_bytes,
        )

    def wait(self, seconds: float) -> None:
        """Read what is printed; return when something came or a hook may have ended."""
        look_s = LOOK_S if any(not _has_ended(pid) for pid in self._running) else seconds
        for key, _ in self._selector.select(max(0.0, min(seconds, look_s))):
            if key.data is not None:
                self._drain(*key.data)

    def close_input(self, pid: int) -> None:
        pipe = self._running[pid].process.stdin
        if pipe is not None:
            with suppress(OSError):
                pipe.close()

    def kill(self, pid: int) -> None:
        """End it and everything it started: ask first, kill after a second.

        All are stopped before any is killed, in passes until no new process is found. If they were
        killed one by one, a child that is restarted at its every end would escape.
        """
        if pid in self._running:
            self._end(lambda: self._family(pid))

    def kill_stranger(self, pid: int, *, proof: str) -> None:
        """End what an ended process started in the session with its id.

        Args:
            proof: an entry in its processes' environment; the id may be in use again.
        """
        self._end(lambda: {each for each in _session(pid) if _has_in_environment(each, proof)})

    def stop_watching(self) -> None:
        """From now on, let only hooks end a wait."""
        for fd in self._watched:
            self._selector.unregister(fd)
        self._watched = frozenset()

    def forget(self, pid: int) -> None:
        """Close its pipes, and reap it if it has ended."""
        running = self._running.pop(pid, None)
        if running is None:
            return
        for pipe in (running.process.stdin, running.process.stdout, running.process.stderr):
            if pipe is not None and not pipe.closed:
                self._unregister(pipe)
                with suppress(OSError):
                    pipe.close()
        if running.process.poll() is None:
            # It cannot be killed (stuck in the kernel); Popen must not warn about it.
            running.process.returncode = -signal.SIGKILL
        self._reap_adopted()

    def _drain(self, running: _Running, pipe: IO[bytes]) -> None:
        """Read what is in a pipe now, with a limit: a flood must not hide that time is up."""
        try:
            for _ in range(CHUNKS_AT_ONCE):
                chunk = os.read(pipe.fileno(), CHUNK_BYTES)
                if not chunk:
                    self._unregister(pipe)
                    return
                running.take(chunk, is_answer=pipe is running.process.stdout)
        except BlockingIOError:
            return

    def _unregister(self, pipe: IO[bytes]) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(pipe)

    def _end(self, family: Callable[[], set[int]]) -> None:
        """End a family of processes: SIGTERM, after a second SIGSTOP to all, then SIGKILL."""
        _send(family(), signal.SIGTERM)
        self._until_gone(family, TERMINATE_GRACE_S)
        deadline = time.monotonic() + KILL_LIMIT_S
        stopped: set[int] = set()
        while (fresh := family() - stopped) and time.monotonic() < deadline:
            _send(fresh, signal.SIGSTOP)
            stopped |= fresh
        while (left := family()) and time.monotonic() < deadline:
            _send(left, signal.SIGKILL)
            self._until_gone(family, KILL_AGAIN_S)

    def _until_gone(self, family: Callable[[], set[int]], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while family() and time.monotonic() < deadline:
            self.wait(LOOK_S)
            self._reap_adopted()
            time.sleep(LOOK_S / 4)  # a flood of output makes every wait return at once

    def _family(self, pid: int) -> set[int]:
        """Return the running processes that a hook started, and the hook itself."""
        table = _processes()
        found = {each for each, row in table.items() if pid in (each, row.session)}
        if self._adopts:
            orphans = _children(table, os.getpid()) - self._running[pid].strangers
            found |= orphans - self._running.keys()
        fresh = found
        while fresh:
            fresh = {each for each, row in table.items() if row.parent in fresh} - found
            found |= fresh
        return {each for each in found if each in table and table[each].state not in "ZX"}

    def _reap_adopted(self) -> None:
        """Reap adopted children that have ended; ``look`` reads a hook's own exit."""
        if not self._adopts:
            return
        mine = os.getpid()
        for pid, row in _processes().items():
            if row.parent == mine and row.state == "Z" and pid not in self._running:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


@dataclass(frozen=True, slots=True)
class _Row:
    parent: int
    session: int
    state: str


def _processes() -> Mapping[int, _Row]:
    """Return every process (proc(5), ``stat``: the name in brackets may hold any character)."""
    table = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        table[int(name)] = _Row(int(fields[1]), int(fields[3]), fields[0].decode("ascii"))
    return table


def _children(table: Mapping[int, _Row], parent: int) -> set[int]:
    return {pid for pid, row in table.items() if row.parent == parent}


def _session(number: int) -> set[int]:
    table = _processes()
    return {pid for pid, row in table.items() if row.session == number and row.state not in "ZX"}


def _has_in_environment(pid: int, text: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return text.encode() in file.read().split(b"\0")
    except OSError:
        return False


def _send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _open(argv: Sequence[str], command: HookCommand) -> subprocess.Popen[bytes]:
    with CORE_LIMIT.lent():
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if command.keeps_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=dict(command.env),
            umask=0o022,
            close_fds=True,
            start_new_session=True,
        )


def _has_ended(pid: int) -> bool:
    """Return whether it has ended; it is not reaped, so its id is not reused."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, pid, flags) is not None
    except ChildProcessError:
        return True


def _status(pid: int) -> int:
    """Return an ended process's exit status; negative: the signal that ended it."""
    try:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        info = None
    if info is None:
        return -signal.SIGKILL
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
