"""The program that tests run behind ``snap-self run``: it tells what reaches it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

counts: dict[str, int] = {}


def say(text: str) -> None:
    """Write a line, also from within a handler that interrupts another one's writing."""
    os.write(1, f"{text}\n".encode())


def told(number: int, frame: FrameType | None) -> None:
    """Count a signal and say so."""
    del frame
    name = signal.Signals(number).name
    counts[name] = counts.get(name, 0) + 1
    size = ""
    if number == signal.SIGWINCH:
        columns, rows = os.get_terminal_size(0)
        size = f" {rows}x{columns}"
    say(f"got {name} {counts[name]}{size}")


def main() -> int:
    """Tell everything until a line ``end N`` comes, then end with status N."""
    for name in sys.argv[1:]:
        signal.signal(signal.Signals[name], told)
    front = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    say(f"ready, in front: {front}")
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "end":
            say(f"counted {counts}")
            return int(rest)
        say(f"read {line.strip()}")
    return 99


if __name__ == "__main__":
    raise SystemExit(main())
