"""Reading key files from a real filesystem."""

import os
import stat
from pathlib import Path

import pytest

from snap_self.system.textfile import MAX_BYTES, read_text_file


def test_read_when_it_is_a_file_then_returns_text_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes("ü\xff".encode("latin-1") + "é".encode())
    path.chmod(0o640)
    found = read_text_file(str(path))
    assert found.text.encode("utf-8", "surrogateescape") == path.read_bytes()
    assert found.mode == 0o640


def test_read_when_it_is_a_link_then_follows_it(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("x")
    (tmp_path / "link").symlink_to("keys")
    assert read_text_file(str(tmp_path / "link")).text == "x"


def test_read_when_it_is_a_pipe_then_refuses_instead_of_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(OSError, match="not a regular file"):
        read_text_file(str(tmp_path / "pipe"))


@pytest.mark.parametrize("name", [".", "absent"])
def test_read_when_it_is_no_file_then_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):
        read_text_file(str(tmp_path / name))


def test_read_when_it_is_large_then_refuses(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_text_file(str(tmp_path / "keys"))
