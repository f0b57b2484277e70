"""Children that go on beside this process and may outlive it: nobody waits for their end.

One that ends before this process does is a zombie until its end is taken note of.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

_PIDS: list[int] = []


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Leave a child to itself; ``Popen`` neither waits for it nor warns that nobody does."""
    process.returncode = 0
    take_note()
    _PIDS.append(process.pid)


def take_note() -> None:
    """Take note of those that have ended; it waits for none."""
    for _ in range(len(_PIDS)):
        # Not in the list meanwhile: a signal that raises here must leave no number behind that
        # another child may get.
        pid = _PIDS.pop(0)
        try:
            ended, _status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
        if not ended:
            _PIDS.append(pid)
