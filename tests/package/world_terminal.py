"""A pseudo terminal with a command in a world, typed at and read like a person would."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from apt_world import World

LIMIT_S = 30.0


class Screen:
    """The person's side of it."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    def wait_for(self, words: str) -> None:
        """Read until these words have been shown."""
        end = time.monotonic() + LIMIT_S
        while words not in self.seen:
            assert time.monotonic() < end, f"never shown: {words!r}\n{self.seen}"
            assert self._read() or words in self.seen, f"ended without {words!r}\n{self.seen}"

    def finish(self) -> int:
        """Read to the end and return the status."""
        end = time.monotonic() + LIMIT_S
        while self._read():
            assert time.monotonic() < end, f"never ended\n{self.seen}"
        return self.process.wait(LIMIT_S)

    def _read(self) -> bool:
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return self.process.poll() is None
        data = b""
        with suppress(OSError):  # EIO: nobody has the terminal open any more
            data = os.read(self._descriptor, 65536)
        self.seen += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


@contextmanager
def terminal(world: World, *command: str) -> Iterator[Screen]:
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
    screen = Screen(ours, process)
    try:
        yield screen
    finally:
        process.kill()
        process.wait()
        os.close(ours)  # hangs up whoever still sits there
        (folder / "stdout").write_text(screen.seen, encoding="utf-8")
