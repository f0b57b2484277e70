"""Standard streams that take nothing: full ones, pipes without a reader or with an idle one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full() -> Iterator[int]:
    """Give a descriptor that refuses all that is written to it, as on a full disk."""
    with Path("/dev/full").open("wb", buffering=0) as file:
        yield file.fileno()


@contextmanager
def gone() -> Iterator[int]:
    """Give a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def unread() -> Iterator[int]:
    """Give a full pipe whose reader does not read."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    yield writing
    os.close(reading)
    os.close(writing)
