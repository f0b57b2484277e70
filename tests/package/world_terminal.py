"""A pseudo terminal with a command in a world, typed at and read like a person would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from apt_world import World

from pseudo_terminal import Terminal


@contextmanager
def terminal(world: World, *command: str) -> Iterator[Terminal]:
    """Run a command of the world as the foreground job of a terminal of its own."""
    folder = world.run_directory.new_folder("agent", "terminal-" + "-".join(command))
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *world.argv(*command)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=world.variables({"TERM": "dumb"}),
    )
    os.close(theirs)
    screen = Terminal(ours, process)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        os.close(ours)  # hangs up whoever still sits there
        (folder / "stdout").write_text(screen.seen, encoding="utf-8")
