"""A Python of ours beside this one, with a pipe each way; the end of either tells of a death."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from snap_self.system.python_child import bare_command

_EXIT_WAIT_S = 1.0


class PipedChild:
    """The child, and this process's ends of the pipes.

    Args:
        send_fd: what is written here the child reads.
        receive_fd: what the child writes is read here.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, send_fd: int, receive_fd: int) -> None:
        self.process = process
        self.send_fd = send_fd
        self.receive_fd = receive_fd
        self.is_open = True

    def close(self) -> None:
        """Close both pipes, once; a child that is still busy is not waited for longer."""
        if not self.is_open:
            return
        self.is_open = False
        os.close(self.send_fd)
        os.close(self.receive_fd)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_WAIT_S)
        # Not ours to wait for any longer; else Popen warns when it is forgotten.
        self.process.returncode = self.process.returncode or 0


def start_piped(
    module: str,
    arguments: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
) -> PipedChild:
    """Start a fresh interpreter, isolated, without site packages, writing no bytecode.

    It has its own session, so what is sent to this process's group does not reach it, nothing on
    its standard streams, and ``/`` as its directory.

    Args:
        module: of ours, with a function ``main``. It finds the number of the descriptor it reads
            from and of the one it writes to before the arguments.
        env: its environment beside ``LD_LIBRARY_PATH``.
        fds: descriptors that it gets under their own numbers.

    Raises:
        OSError: it cannot be started.
    """
    ask_read, ask_write = os.pipe()
    try:
        answer_read, answer_write = os.pipe()
    except OSError:
        os.close(ask_read)
        os.close(ask_write)
        raise
    keep = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    try:
        process = subprocess.Popen(
            bare_command((str(ask_read), str(answer_write), *arguments), module=module),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**keep, **(env or {})},
            start_new_session=True,
            pass_fds=(ask_read, answer_write, *fds),
        )
    except OSError:
        os.close(ask_write)
        os.close(answer_read)
        raise
    finally:
        # The child's ends: kept here, they would hide its death.
        os.close(ask_read)
        os.close(answer_write)
    return PipedChild(process, send_fd=ask_write, receive_fd=answer_read)
