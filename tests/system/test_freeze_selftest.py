"""The self-test on a real scratch filesystem; the root filesystem is never touched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from freeze_agent import real_ports
from freeze_rig import skip_reason

from snap_self.quiesce.freeze.selftest import root_tested, run_self_test
from snap_self.system.freeze.scratch import LoopScratch

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason() or "-"),
]


class Facts:
    def __init__(self) -> None:
        self.kept: Mapping[str, str] = {}

    def remember(self, name: str, facts: Mapping[str, str]) -> None:
        self.kept = dict(facts)

    def recall(self, name: str) -> Mapping[str, str]:
        return self.kept


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a tmpfs; an outside timer thaws whatever is mounted below it."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True)
    thaw = f'for m in {tmp_path}/run/*/mounted; do mountpoint -q "$m" && fsfreeze -u "$m"; done'
    timer = subprocess.Popen(["sh", "-c", f"sleep 30; {thaw}"], start_new_session=True)
    try:
        yield tmp_path
    finally:
        timer.kill()
        timer.wait()
        subprocess.run(["sh", "-c", thaw], capture_output=True)
        subprocess.run(["umount", "-R", str(tmp_path)], check=True)


def test_self_test_passes_and_leaves_nothing_behind(memory: Path) -> None:
    facts = Facts()
    outcome = run_self_test(
        LoopScratch(memory / "run"), real_ports(memory / "markers"), facts, release="6.12"
    )
    assert outcome.why == ""
    assert root_tested(facts, release="6.12", allowed=True)
    assert list((memory / "run").iterdir()) == []
    assert list((memory / "markers").iterdir()) == []


def test_scratch_filesystem_is_a_loop_mount_of_its_own(memory: Path) -> None:
    with LoopScratch(memory / "run") as path:
        assert Path(path).is_mount()
        assert Path(path).stat().st_dev != Path("/").stat().st_dev
    assert not Path(path).exists()
