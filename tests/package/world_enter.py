"""Run a command in a world: ``world_enter.py PID COMMAND...``; end with its status."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings  # noqa: F401  # os.execvpe imports it, and not every world has its file


def main() -> None:
    """Join the namespaces of process PID, start the command there and wait for its end."""
    pid, *argv = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("net", "pid", "mnt")]
    for space in spaces:
        if libc.setns(space, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(space)
    os.chdir("/")
    child = os.fork()
    if not child:
        os.execvpe(argv[0], argv, os.environ)
    # The terminal's keys are for the command; this process is not in its world.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
