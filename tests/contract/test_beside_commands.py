"""A program that is run beside the reading process: taken over, ended gently, and bounded."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.ports import Commands
from snap_self.system.commands import SystemCommands
from snap_self.system.environment import SYSTEM_PATH
from snap_self.system.manifest.programs import MOST_OUTPUT_BYTES, BesideCommands

LIMIT_S = 30.0
SHORT_S = 0.2
# Whoever runs it is told that it is ready, so nothing hangs on how soon it starts.
GENTLE = """trap 'echo ended >"$0"; exit 7' TERM
echo $$ >"$0"
while :; do sleep 0.01; done"""


@pytest.fixture
def beside() -> Iterator[BesideCommands]:
    """Return what runs one program, which is ended at the end."""
    commands = BesideCommands()
    yield commands
    commands.end()


def wait_for(path: Path, text: str) -> None:
    """Return once a file holds this."""
    end = time.monotonic() + LIMIT_S
    while not path.exists() or path.read_text() != text:
        assert time.monotonic() < end, f"{path} never held {text!r}"
        time.sleep(0.005)


def number_in(path: Path) -> int:
    """Return the process id that a program writes to a file."""
    end = time.monotonic() + LIMIT_S
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < end, f"{path} never held a number"
        time.sleep(0.005)
    return int(path.read_text())


def end_of(pid: int) -> int:
    """Return how a child of this process has ended."""
    end = time.monotonic() + LIMIT_S
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1])


@pytest.mark.parametrize("commands", [SystemCommands(), BesideCommands()], ids=["system", "beside"])
@pytest.mark.parametrize(
    ("line", "status", "output"),
    [("echo a; echo b", 0, "a\nb\n"), ("exit 3", 3, ""), ("kill -9 $$", -9, "")],
)
def test_status_and_output_are_told_by_both_that_run_programs(
    commands: Commands, line: str, status: int, output: str
) -> None:
    found = commands.run(("/bin/sh", "-c", line), timeout_s=LIMIT_S)
    assert found[:2] == (status, output)


def test_program_that_was_begun_is_taken_over_and_not_run_again(
    beside: BesideCommands, tmp_path: Path
) -> None:
    counted = tmp_path / "counted"
    argv = ("/bin/sh", "-c", f"echo x >>{counted}; echo out")
    beside.begin(argv)
    wait_for(counted, "x\n")
    assert beside.run(argv, timeout_s=LIMIT_S) == (0, "out\n", "")
    assert counted.read_text() == "x\n"
    # The next one of the same words is another.
    assert beside.run(argv, timeout_s=LIMIT_S)[0] == 0
    assert counted.read_text() == "x\nx\n"


def test_program_has_no_input_no_error_stream_and_a_clean_environment(
    beside: BesideCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPM_CONFIGDIR", "/somewhere")
    line = "cat; echo lost >&2; /usr/bin/env | /usr/bin/sort; test ! -t 0"
    status, output, error = beside.run(("/bin/sh", "-c", line), timeout_s=LIMIT_S)
    told = dict(each.partition("=")[::2] for each in output.splitlines())
    # The shell sets these itself.
    assert {"PWD", "_", "SHLVM", "OLDPWD", "SHLVL"} | {"PATH", "LC_ALL"} >= told.keys()
    assert (told["PATH"], told["LC_ALL"]) == (SYSTEM_PATH, "C")
    assert (status, error) == (0, "")


def test_bytes_that_are_no_text_are_kept(beside: BesideCommands) -> None:
    _, output, _ = beside.run(("/bin/sh", "-c", r"printf '\377a\n'"), timeout_s=LIMIT_S)
    assert os.fsencode(output) == b"\xffa\n"


def test_program_that_takes_too_long_is_asked_to_end_and_can_clear_up(
    beside: BesideCommands, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    argv = ("/bin/sh", "-c", GENTLE, str(marker))
    beside.begin(argv)
    pid = number_in(marker)
    with pytest.raises(TimeoutError):
        beside.run(argv, timeout_s=SHORT_S)
    assert end_of(pid) == 7
    wait_for(marker, "ended\n")


def test_program_nobody_waits_for_is_asked_to_end_with_its_children(
    beside: BesideCommands, tmp_path: Path
) -> None:
    marker, own = tmp_path / "child", tmp_path / "own"
    child = tmp_path / "child.sh"
    child.write_text(GENTLE)
    line = f"/bin/sh -c '. {child}' {marker} & echo $$ >{own}; wait"
    beside.begin(("/bin/sh", "-c", line))
    number_in(marker)
    pid = number_in(own)
    beside.end()
    assert end_of(pid) == -signal.SIGTERM
    wait_for(marker, "ended\n")
    beside.end()  # once more is nothing


def test_output_without_end_is_given_up_and_its_program_ended(
    beside: BesideCommands, tmp_path: Path
) -> None:
    argv = ("/bin/sh", "-c", 'echo $$ >"$0"; exec yes', str(tmp_path / "own"))
    with pytest.raises(OSError, match=f"longer than {MOST_OUTPUT_BYTES >> 20} MiB") as caught:
        beside.run(argv, timeout_s=LIMIT_S)
    assert not isinstance(caught.value, TimeoutError)
    # It may meet the closed pipe first.
    assert end_of(number_in(tmp_path / "own")) in (-signal.SIGTERM, -signal.SIGPIPE, 1)


def test_program_that_is_not_there_is_told_when_it_is_run(beside: BesideCommands) -> None:
    argv = ("/nowhere/rpm", "-qa")
    beside.begin(argv)
    with pytest.raises(FileNotFoundError):
        beside.run(argv, timeout_s=LIMIT_S)


def test_descriptors_are_closed_again(beside: BesideCommands) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for argv in (("/bin/true",), ("/nowhere/rpm",)):
        beside.begin(argv)
        try:
            beside.run(argv, timeout_s=LIMIT_S)
        except FileNotFoundError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
