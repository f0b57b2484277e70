"""Messages as the journal's socket gets them; a real journal reads them in the integration tier."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.system.watching.journald import journal_datagram, send_to_journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        yield listening


def test_value_of_one_line_stands_behind_its_name() -> None:
    assert journal_datagram({"MESSAGE": "a=b", "N": ""}) == b"MESSAGE=a=b\nN=\n"


def test_value_of_several_lines_has_its_length_before_it() -> None:
    assert journal_datagram({"M": "a\nb"}) == b"M\n" + (3).to_bytes(8, "little") + b"a\nb\n"


def test_what_utf_8_cannot_carry_is_escaped() -> None:
    assert journal_datagram({"M": "\udcff\0"}) == b"M=\\udcff \n"


def test_message_comes_in_one_datagram(journal: socket.socket, tmp_path: Path) -> None:
    assert send_to_journal({"MESSAGE": "x"}, path=str(tmp_path / "socket"))
    assert journal.recv(100) == b"MESSAGE=x\n"


def test_message_that_is_too_large_comes_in_a_sealed_file(
    journal: socket.socket, tmp_path: Path
) -> None:
    large = "x" * 1_000_000
    assert send_to_journal({"MESSAGE": large}, path=str(tmp_path / "socket"))
    _, descriptors, _, _ = socket.recv_fds(journal, 10, 1)
    with os.fdopen(descriptors[0], "rb+", buffering=0) as file:
        file.seek(0)
        assert file.read() == f"MESSAGE={large}\n".encode()
        with pytest.raises(PermissionError):
            file.write(b"more")


def test_nobody_to_take_it_is_no_fault(tmp_path: Path) -> None:
    assert not send_to_journal({"MESSAGE": "x"}, path=str(tmp_path / "none"))


def test_a_journal_that_is_full_is_not_waited_for(journal: socket.socket, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    taken = 0
    while send_to_journal({"MESSAGE": "x"}, path=path):
        taken += 1
        assert taken < 100_000
    assert journal.recv(100) == b"MESSAGE=x\n"
