"""A pseudo terminal with the agent as its foreground job, typed at and read like a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agent_runner import AgentRunner
from pseudo_terminal import Terminal

# A shell with job control, which tells what becomes of its one job.
JOB = """
set -m
"$@"
status=$?
echo "shell: $status"
while [ $status = 148 ]; do
    fg %1 >/dev/null
    status=$?
    echo "shell: $status"
done
"""


@contextmanager
def terminal(user: AgentRunner, *arguments: str) -> Iterator[Terminal]:
    """Run the agent under a shell with job control on a terminal of its own."""
    folder = user.run_directory.new_folder("agent", "terminal-" + "-".join(arguments))
    ours, theirs = os.openpty()
    agent = [sys.executable, "-m", "snap_self", *arguments]
    process = subprocess.Popen(
        ["setsid", "--ctty", "bash", "-c", JOB, "bash", *agent],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**user.environment(), "TERM": "dumb"},
        cwd="/",
    )
    os.close(theirs)
    one = Terminal(ours, process)
    try:
        yield one
    finally:
        process.kill()
        process.wait()
        os.close(ours)  # hangs up whoever still sits there
        (folder / "stdout").write_text(one.seen, encoding="utf-8")
