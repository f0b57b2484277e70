"""The real program runner: exit statuses, limits, and what is left running."""

import os
import sys
import time
from pathlib import Path

import pytest

from snap_self.system.commands import MAX_OUTPUT_BYTES, SystemCommands


def run(script: str, timeout_s: float = 20.0) -> tuple[int, str, str]:
    return SystemCommands().run(["sh", "-c", script], timeout_s=timeout_s)


def ends(pid: int) -> bool:
    """Tell whether a process is gone, or a zombie, within a few seconds."""
    for _ in range(500):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_run_when_the_program_ends_then_returns_all_it_said() -> None:
    assert run("echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")


def test_run_when_ended_by_a_signal_then_the_status_is_negative() -> None:
    assert run("kill -9 $$")[0] == -9


def test_run_when_it_reads_input_then_finds_none() -> None:
    assert run("cat; echo done") == (0, "done\n", "")


def test_run_when_both_streams_are_long_then_neither_blocks_the_other() -> None:
    code = "import sys; sys.stderr.write('e' * 300000); sys.stdout.write('o' * 300000)"
    status, out, err = SystemCommands().run([sys.executable, "-c", code], timeout_s=20)
    assert (status, len(out), len(err)) == (0, 300000, 300000)


def test_run_when_the_output_is_endless_then_keeps_the_first_part() -> None:
    status, out, _ = run("head -c 3000000 /dev/zero | tr '\\0' x; exit 4")
    assert (status, len(out)) == (4, MAX_OUTPUT_BYTES)


def test_run_when_the_output_is_not_text_then_is_still_returned() -> None:
    assert run("printf 'a\\377b'")[1] == "a\ufffdb"


def test_run_when_it_takes_too_long_then_its_whole_group_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(TimeoutError, match="sh did not end within"):
        run(f"sleep 300 & echo $! > {note}; wait", timeout_s=0.5)
    assert ends(int(note.read_text()))


@pytest.mark.parametrize("wait", ["wait", "trap : TERM; wait; wait"])
def test_run_when_a_child_ignores_the_request_to_end_then_is_killed(
    tmp_path: Path, wait: str
) -> None:
    note = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        run(f"(trap '' TERM; exec sleep 300) & echo $! > {note}; {wait}", timeout_s=0.5)
    assert ends(int(note.read_text()))


def test_run_when_it_leaves_a_child_with_our_pipes_then_does_not_wait_for_it() -> None:
    status, out, _ = run("sleep 300 & echo $!")
    assert status == 0
    os.kill(int(out), 9)


def test_run_when_it_does_not_exist_then_raises() -> None:
    with pytest.raises(FileNotFoundError):
        SystemCommands().run(["/no/such/program"], timeout_s=1)
