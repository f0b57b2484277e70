"""Calls that may never return: answered, given up, and never waited for."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from fakes.aside import InThreads
from snap_self.system.disks.aside import AsideProcess, SideCalls, results

LIMIT_S = 30.0


@pytest.fixture(params=["process", "threads"])
def calls(request: pytest.FixtureRequest) -> SideCalls:
    return AsideProcess() if request.param == "process" else InThreads()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """Give a file of which a read never ends."""
    path = tmp_path / "silent"
    os.mkfifo(path)
    keep = os.open(path, os.O_RDWR)
    yield str(path)
    os.write(keep, b"x")
    os.close(keep)


def test_answer_comes_back(calls: SideCalls, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\n" * 40_000)
    asked = calls.begin("read", str(tmp_path / "file"))
    assert asked.result(LIMIT_S) == b"\xff\n" * 40_000


def test_error_comes_back_as_one(calls: SideCalls, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        calls.begin("read", str(tmp_path / "missing")).result(LIMIT_S)


@pytest.mark.parametrize("path", ["/proc/self/a\0b", "/\udcff\ud800"])
def test_path_that_is_none_is_an_error(calls: SideCalls, path: str) -> None:
    with pytest.raises(OSError):
        calls.begin("locate", path).result(LIMIT_S)


def test_call_that_hangs_holds_up_no_other(calls: SideCalls, silent: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    hanging = calls.begin("read", silent)
    assert calls.begin("read", str(tmp_path / "file")).result(LIMIT_S) == b""
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        hanging.result(0.01)


def test_limit_holds_for_all_together(calls: SideCalls, silent: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    asked = [calls.begin("read", path) for path in (silent, silent, str(tmp_path / "file"))]
    asked[-1].result(LIMIT_S)
    asked[-1] = calls.begin("read", str(tmp_path / "file"))
    start = time.monotonic()
    found = results(asked, 0.5)
    assert time.monotonic() - start < 1.0
    assert [getattr(each, "errno", 0) for each in found[:2]] == [errno.ETIMEDOUT] * 2


def test_many_ask_at_once(calls: SideCalls, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / str(number)).write_text(str(number))
    got: list[bytes] = []

    def ask(number: int) -> None:
        got.append(calls.begin("read", str(tmp_path / str(number))).result(LIMIT_S))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, got)) == list(range(40))


def children() -> set[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii")
    return {int(pid) for pid in text.split()}


def is_dead(pid: int) -> bool:
    """Tell whether a child is gone, though nobody may have collected it yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_process_that_was_killed_is_an_error_and_the_next_call_gets_another(silent: str) -> None:
    calls = AsideProcess()
    others = children()
    # Several times: its end of the pipe of questions may outlive that of the answers for a moment.
    for _ in range(10):
        hanging = calls.begin("read", silent)
        (pid,) = (pid for pid in children() - others if not is_dead(pid))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BrokenPipeError):
            hanging.result(LIMIT_S)
        assert calls.begin("read", "/proc/self/comm").result(LIMIT_S)


def test_process_ends_when_nobody_holds_it_any_more() -> None:
    calls = AsideProcess()
    before = children()
    calls.begin("read", "/proc/self/comm").result(LIMIT_S)
    (pid,) = children() - before
    del calls
    end = time.monotonic() + LIMIT_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.01)


PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
from snap_self.system.disks.aside import AsideProcess
calls = AsideProcess()
print(calls.begin("read", sys.argv[2]).result(0.2))
"""


def test_neither_the_program_nor_its_reader_waits_for_a_call_that_hangs(silent: str) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(CHECKOUT / "agent"), silent],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 1
    assert "no answer within 0.2 s" in done.stderr
    assert time.monotonic() - start < LIMIT_S / 2


def test_process_has_neither_terminal_nor_directory_nor_variables_of_ours() -> None:
    calls = AsideProcess()
    before = children()
    calls.begin("read", "/proc/self/comm").result(LIMIT_S)
    (pid,) = children() - before
    process = Path(f"/proc/{pid}")
    assert (process / "cwd").readlink() == Path("/")
    assert set((process / "environ").read_bytes().split(b"\0")) <= {b""}
    assert os.getsid(pid) == pid
    assert {link.name for link in (process / "fd").iterdir()} == {"0", "1", "2"}
