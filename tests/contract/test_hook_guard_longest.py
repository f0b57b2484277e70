"""The guard allows longer where nobody waits at a terminal, and nowhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from pseudo_terminal import Terminal

GUARD = CHECKOUT / "packaging/hooks/hook-guard"
TELL = '#!/bin/sh\necho "limits $SNAP_SELF_HOOK_LIMIT $SNAP_SELF_HOOK_LONGEST." >&2\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A guard that finds its files in a folder."""

    argv: Sequence[str]
    agent: Path
    limit: Path

    def without_terminal(self) -> str:
        """Run it in a session of its own; return what is told."""
        done = subprocess.run(
            self.argv, capture_output=True, text=True, timeout=30, check=False,
            start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.stderr

    def at_terminal(self, *before: str) -> str:
        """Run it as the foreground job of a terminal; return what is told.

        Args:
            before: a program that runs the rest of its arguments.
        """
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *before, *self.argv],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        screen = Terminal(ours, process)
        screen.finish()
        os.close(ours)
        return screen.seen


@pytest.fixture(params=["dash", "bash"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    shell = shutil.which(request.param)
    if shell is None:
        pytest.skip(f"no {request.param} here")
    text = GUARD.read_text(encoding="utf-8")
    agent, limit = tmp_path / "snap-self", tmp_path / "hook-limit"
    for name, path in (("AGENT", agent), ("LIMIT_FILE", limit), ("RUN", tmp_path / "run")):
        (before,) = [line for line in text.splitlines() if line.startswith(f"{name}=")]
        text = text.replace(before, f"{name}={path}")
    guard = tmp_path / "hook-guard"
    guard.write_text(text, encoding="utf-8")
    agent.write_text(TELL, encoding="utf-8")
    agent.chmod(0o755)
    return Rig(argv=(shell, str(guard), "apt"), agent=agent, limit=limit)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        (None, "65 305"),
        ("65\n305\n", "65 305"),
        ("25\n4205\n", "25 4205"),
        ("25\n", "25 25"),
        ("65\n10\n", "65 65"),
        ("65\n99999\n", "65 65"),
        ("\n7\n", "65 65"),
        ("x\nx\n", "65 305"),
    ],
)
def test_without_a_terminal_the_longest_limit_is_allowed(
    rig: Rig, text: str | None, limits: str
) -> None:
    if text is not None:
        rig.limit.write_text(text, encoding="utf-8")
    assert rig.without_terminal() == f"limits {limits}.\n"


def test_at_a_terminal_only_the_usual_one_is(rig: Rig) -> None:
    assert rig.at_terminal() == "limits 65 65.\n"


def test_terminal_that_ansible_asked_for_is_none(rig: Rig, tmp_path: Path) -> None:
    module = tmp_path / "AnsiballZ_apt.py"
    module.write_text("import subprocess, sys\nsubprocess.run(sys.argv[1:])\n", encoding="utf-8")
    assert rig.at_terminal(sys.executable, str(module)) == "limits 65 305.\n"


def test_program_whose_name_is_odd_hides_nothing_above_it(rig: Rig, tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.write_text('#!/bin/sh\n"$@"\n', encoding="utf-8")
    odd.chmod(0o755)
    module = tmp_path / "AnsiballZ_apt.py"
    module.write_text("import subprocess, sys\nsubprocess.run(sys.argv[1:])\n", encoding="utf-8")
    assert rig.at_terminal(sys.executable, str(module), str(odd)) == "limits 65 305.\n"


def test_agent_that_hangs_at_a_terminal_is_ended_at_the_usual_limit(rig: Rig) -> None:
    rig.limit.write_text("1\n60\n", encoding="utf-8")
    rig.agent.write_text("#!/bin/sh\nexec sleep 100\n", encoding="utf-8")
    begun = time.monotonic()
    said = rig.at_terminal()
    assert time.monotonic() - begun < 15
    assert "did not end within 1 s and was ended" in said
    assert "`snap-self list` shows one that was asked for by then" in said
