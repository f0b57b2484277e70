"""Runs other programs with limits on time and output."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

MAX_OUTPUT_BYTES = 1 << 20
CHUNK_BYTES = 65536
CHUNKS_AT_ONCE = 32
TERMINATE_GRACE_S = 1.0
FIRST_LOOK_S = 0.002
LAST_LOOK_S = 0.05


class SystemCommands:
    """Implement ``ports.Commands`` with ``subprocess``.

    The program runs in a process group of its own. The first MiB of each
    output stream is kept and the rest dropped. Background processes that it leaves behind are not
    waited for.

    Args:
        env: the program's environment; None for the agent's own.
        folder: its working directory; None for the agent's own.
        stdin: what it reads; nothing where it is empty.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        stdin: bytes = b"",
    ) -> None:
        self._env = env
        self._folder = folder
        self._stdin = stdin

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return exit status (negative: ended by that signal), standard output and standard error.

        Raises:
            OSError: it could not be started.
            TimeoutError: it and its group were killed at the time limit.
        """
        with ready_to_read(self._stdin) as stdin:
            process = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=self._env,
                cwd=self._folder,
            )
        try:
            out, err = _collect(process, time.monotonic() + timeout_s)
        except TimeoutError:
            message = f"{argv[0]} did not end within {timeout_s:g} s and was killed"
            raise TimeoutError(message) from None
        finally:
            _end_group(process)
        return process.returncode, _text(out), _text(err)


@contextmanager
def ready_to_read(content: bytes) -> Iterator[int]:
    """Give what stands for a program's standard input: nobody writes to it while it reads.

    Raises:
        OSError: there is no room for it.
    """
    if not content:
        yield subprocess.DEVNULL
        return
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _collect(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Read both pipes until the program has ended, then the rest that is in them."""
    assert process.stdout is not None
    assert process.stderr is not None
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
        look_s = FIRST_LOOK_S
        while process.poll() is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if not selector.get_map():
                time.sleep(min(look_s, left_s))
            for key, _ in selector.select(min(look_s, left_s)) if selector.get_map() else ():
                if not _drain(key.fileobj, kept):
                    selector.unregister(key.fileobj)
            look_s = min(look_s * 2, LAST_LOOK_S)
    for pipe in kept:
        _drain(pipe, kept)
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])


def _drain(pipe: object, kept: dict[IO[bytes], bytearray]) -> bool:
    """Move what is in a pipe now to its buffer; return whether more can come."""
    target = next(file for file in kept if file is pipe)
    with suppress(BlockingIOError):
        # Bounded: a background process may fill the pipe as fast as it is emptied.
        for _ in range(CHUNKS_AT_ONCE):
            chunk = os.read(target.fileno(), CHUNK_BYTES)
            if not chunk:
                return False
            kept[target] += chunk[: MAX_OUTPUT_BYTES - len(kept[target])]
    return True


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes. Unless its leader has ended, ask the whole group to end, then kill it."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if process.returncode is not None:
        return
    _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + TERMINATE_GRACE_S
    while not _has_ended(process) and time.monotonic() < deadline:
        time.sleep(FIRST_LOOK_S)
    # The leader is not reaped yet, so the number still belongs to this group.
    _signal_group(process, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(TERMINATE_GRACE_S)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
