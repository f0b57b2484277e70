"""What the kernel asks the view of a copy, and what it gets."""

from __future__ import annotations

import errno
import struct

import pytest

from snap_self.system.opening.view import NAME, Server

DISK = bytes(range(256)) * 64
LOOKUP, FORGET, GETATTR, OPEN, READ, WRITE, INIT = 1, 2, 3, 14, 15, 16, 26


def server(*instead: tuple[int, bytes]) -> Server:
    return Server(lambda offset, length: DISK[offset : offset + length], len(DISK), instead)


def asked(view: Server, code: int, body: bytes = b"", node: int = 1) -> tuple[int, bytes]:
    """Return the errno and the body of the answer."""
    head = struct.pack("=IIQQIIII", 40 + len(body), code, 7, node, 0, 0, 0, 0)
    answer = view.answer(head + body)
    assert answer is not None
    length, error, unique = struct.unpack_from("=IiQ", answer)
    assert (length, unique) == (len(answer), 7)
    return -error, answer[16:]


def read(view: Server, offset: int, length: int) -> bytes:
    error, body = asked(view, READ, struct.pack("=QQI", 0, offset, length) + bytes(20), node=2)
    assert error == 0
    return body


def test_start_agrees_on_a_protocol_that_the_view_speaks() -> None:
    error, body = asked(server(), INIT, struct.pack("=IIII", 7, 44, 131072, 1 << 22))
    assert (error, len(body)) == (0, 64)
    assert struct.unpack_from("=II", body) == (7, 31)


def test_one_file_of_the_disks_size_is_there() -> None:
    error, body = asked(server(), LOOKUP, f"{NAME}\0".encode())
    node, size = struct.unpack_from("=Q32xQQ", body)[0], struct.unpack_from("=40xQQ", body)[1]
    assert (error, node, size) == (0, 2, len(DISK))
    assert asked(server(), LOOKUP, b"other\0")[0] == errno.ENOENT


@pytest.mark.parametrize(("node", "mode"), [(1, 0o40500), (2, 0o100400)])
def test_file_and_folder_are_for_reading_alone(node: int, mode: int) -> None:
    error, body = asked(server(), GETATTR, bytes(16), node=node)
    assert (error, struct.unpack_from("=16x60xI", body)[0]) == (0, mode)


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (100, 4096), (16380, 100), (16384, 1)])
def test_bytes_are_the_disks_up_to_its_end(offset: int, length: int) -> None:
    assert read(server(), offset, length) == DISK[offset : offset + length]


@pytest.mark.parametrize("offset", range(4090, 4104))
@pytest.mark.parametrize("length", [1, 3, 8, 20])
def test_bytes_shown_instead_are_seen_however_they_are_read(offset: int, length: int) -> None:
    shown = bytearray(DISK)
    shown[4096:4104] = b"_BHRfS_M"
    view = server((4096, b"_BHRfS_M"))
    assert read(view, offset, length) == bytes(shown[offset : offset + length])


def test_what_is_shown_behind_the_disks_end_is_not_there() -> None:
    assert read(server((len(DISK), b"beyond")), len(DISK) - 2, 10) == DISK[-2:]


def test_write_is_refused() -> None:
    assert asked(server(), WRITE, bytes(40), node=2)[0] == errno.ENOSYS


def test_disk_that_fails_is_an_error_of_the_read() -> None:
    def failing(offset: int, length: int) -> bytes:
        raise OSError(errno.EIO, "bad sector")

    view = Server(failing, 4096, ())
    assert asked(view, READ, struct.pack("=QQI", 0, 0, 10), node=2)[0] == errno.EIO


def test_what_needs_no_answer_gets_none() -> None:
    head = struct.pack("=IIQQIIII", 48, FORGET, 7, 2, 0, 0, 0, 0)
    assert server().answer(head + bytes(8)) is None


def test_opening_needs_no_handle() -> None:
    assert asked(server(), OPEN, bytes(8), node=2) == (0, bytes(16))
