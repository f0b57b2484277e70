"""The journal on a disk that fills up, and under a writer that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.records import order_record, run_record
from snap_self.errors import StateUnusable
from snap_self.model.run import Stage
from snap_self.system.state.journal import Journal

AGENT = Path(__file__).resolve().parents[2] / "agent"
TESTS = AGENT.parent / "tests"

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from fakes.records import run_record
from snap_self.system.state.journal import Journal

journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    journal.save(replace(run_record(), pid=number, explained="x" * (number % 7) * 3000))
    print(number, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount 64 KiB of memory."""
    target = tmp_path / "small"
    target.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "snap-self-test", str(target)]
    subprocess.run(command, check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.root
def test_full_disk_refuses_the_save_and_keeps_the_record_before(small_disk: Path) -> None:
    journal = Journal(small_disk / "state")
    journal.save(run_record())
    (small_disk / "filler").write_bytes(b"x" * 40_000)
    long = run_record(stage=Stage.CREATING, orders=(order_record(),) * 60)
    with pytest.raises(StateUnusable, match="No space left on device") as caught:
        journal.save(long)
    assert "free some space" in caught.value.hint
    assert journal.all() == (run_record(),)
    assert [path.suffix for path in (small_disk / "state/runs").iterdir()] == [".json"]


@pytest.mark.parametrize("lines", [1, 4, 9])
def test_killed_writer_leaves_a_whole_record(tmp_path: Path, lines: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{AGENT}{os.pathsep}{TESTS}", "PATH": os.environ.get("PATH", "")},
    )
    try:
        assert process.stdout is not None
        for _ in range(lines):
            last = int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
    journal = Journal(tmp_path / "state")
    (record,) = journal.all()
    assert record.pid >= last
    assert record.explained == "x" * (record.pid % 7) * 3000
    assert journal.damaged() == ()
