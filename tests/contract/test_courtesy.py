"""Messages to a standard error that is full, closed, gone or read by nobody."""

from __future__ import annotations

import fcntl
import os
import pty
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.system.courtesy import (
    END_PATIENCE_S,
    LEFT_OUT,
    MOST_KEPT,
    PATIENCE_S,
    CourtesyFile,
    courteous,
)

IN_TIME_S = PATIENCE_S + 1.0
# As snap-self(8) and packaging/docs/commands.md say it.
DOCUMENTED_S = 4.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return a small pipe that nobody reads yet."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def read_all(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    found = bytearray()
    while True:
        try:
            part = os.read(descriptor, 65536)
        except BlockingIOError:
            return bytes(found)
        if not part:
            return bytes(found)
        found += part


def test_lines_are_written_at_once(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with os.fdopen(os.dup(writing), "w", encoding="utf-8") as given:
        made = courteous(given)
        assert made
        stream, _ = made
        stream.write("one: é\n")
        assert read_all(reading) == "one: é\n".encode()


def test_what_the_encoding_lacks_is_escaped(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with os.fdopen(os.dup(writing), "w", encoding="ascii") as given:
        made = courteous(given)
        assert made
        made[0].write("升\n")
    assert read_all(reading) == b"\\u5347\n"


def test_pipe_nobody_reads_holds_nothing_up_for_long(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    file = CourtesyFile(writing)
    began = time.monotonic()
    for number in range(100):
        assert file.write(f"{number:0999}\n".encode()) == 1000
    assert time.monotonic() - began < IN_TIME_S
    got = bytearray()
    while more := read_all(reading):
        got += more
        file.finish(0.0)
    first, last = bytes(got).split(LEFT_OUT)
    begun = [int(line) for line in first.split()]
    assert begun == list(range(len(begun)))
    numbers = [int(line) for line in last.split()]
    assert numbers == list(range(100 - len(numbers), 100))
    assert MOST_KEPT // 1000 - 1 <= len(numbers) <= MOST_KEPT // 1000


def test_reader_that_comes_late_gets_all_that_was_kept(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    file = CourtesyFile(writing)
    text = b"".join(b"%07d\n" % number for number in range(2000))
    file.write(text)
    got = bytearray()

    def read() -> None:
        while len(got) < len(text):
            got.extend(os.read(reading, 4096))

    reader = threading.Thread(target=read)
    reader.start()
    file.finish()
    reader.join(10)
    assert bytes(got) == text


def test_messages_wait_for_a_reader_only_so_long_in_all(pipe: tuple[int, int]) -> None:
    file = CourtesyFile(pipe[1])
    began = time.monotonic()
    file.write(b"x" * 8192)
    file.finish()
    file.write(b"x")
    file.finish()
    assert PATIENCE_S + END_PATIENCE_S == DOCUMENTED_S
    assert time.monotonic() - began < DOCUMENTED_S + 1.0


def test_descriptor_set_not_to_block_is_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    file = CourtesyFile(writing)
    file.write(b"x" * 8192)
    assert len(read_all(reading)) == 4096
    file.finish()
    assert len(read_all(reading)) == 4096


def test_reader_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = CourtesyFile(writing)
    assert file.write(b"one\n") == 4
    assert file.write(b"two\n") == 4
    os.close(writing)
    assert file.write(b"three\n") == 6


def test_full_disk_takes_the_next_line_again() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    reading, writing = os.pipe()
    file = CourtesyFile(full)
    assert file.write(b"lost\n") == 5
    os.dup2(writing, full)
    file.write(b"said\n")
    assert read_all(reading) == b"said\n"
    for descriptor in (full, reading, writing):
        os.close(descriptor)


def test_terminal_that_is_stopped_gets_the_lines_when_it_goes_on() -> None:
    ours, theirs = pty.openpty()
    try:
        file = CourtesyFile(theirs)
        assert file.isatty()
        termios.tcflow(theirs, termios.TCOOFF)
        began = time.monotonic()
        file.write(b"one\n")
        file.write(b"two\n")
        assert time.monotonic() - began < IN_TIME_S
        assert read_all(ours) == b""
        termios.tcflow(theirs, termios.TCOON)
        file.finish()
        assert os.read(ours, 100) == b"one\r\ntwo\r\n"
    finally:
        os.close(ours)
        os.close(theirs)
