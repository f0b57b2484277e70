"""The log-in message: the script tells exactly what its twin in Python does, and is silent else."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from snap_self.system.watching.login_file import (
    LINES as FILE,
)
from snap_self.system.watching.login_file import (
    TEXT,
    due,
    show_frozen_text,
    write_login_lines,
)

SCRIPT = CHECKOUT / "packaging/login/95-snap-self"
NOW = int(time.time())
AT = datetime.fromtimestamp(NOW, timezone.utc)
LINES = (
    f"0\t{2**53}\tsnap-self: always\n"
    f"{NOW + 3600}\t{2**53}\tsnap-self: later\n"
    f"0\t{NOW - 1}\tsnap-self: over\n"
    f"{NOW - 5}\t{NOW + 3600}\tsnap-self: now %s \\n $HOME `id`\n"
)
SHOWN = "snap-self: always\nsnap-self: now %s \\n $HOME `id`\n"

Login = Callable[[str], str]


@pytest.fixture(params=["dash", "bash"])
def login(request: pytest.FixtureRequest, tmp_path: Path) -> Login:
    """Return what a log-in prints for the lines left by the agent."""
    shell = str(request.param)
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")

    def run(lines: str) -> str:
        if lines:
            (tmp_path / FILE).write_text(lines, encoding="utf-8")
        done = subprocess.run(
            [shell, str(SCRIPT)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "SNAP_SELF_LOGIN_STATE": str(tmp_path / FILE),
                "SNAP_SELF_LOGIN_MARKER": str(tmp_path / "frozen.json"),
                "SNAP_SELF_LOGIN_PROGRAM": "/bin/sh",
            },
        )
        assert done.stderr == ""
        return done.stdout

    return run


def test_what_is_due_is_told_as_it_is(login: Login) -> None:
    assert login(LINES) == SHOWN


def test_nothing_is_told_where_nothing_is_left(login: Login) -> None:
    assert login("") == ""


def test_lines_that_cannot_be_understood_are_passed_over(login: Login) -> None:
    assert login(f"x\ty\tz\n\nsnap-self\n{LINES}") == SHOWN


@pytest.mark.parametrize(("age_s", "told"), [(60, False), (600, True)])
def test_a_marker_of_a_freeze_is_told_once_no_freeze_lasts_so_long(
    login: Login, tmp_path: Path, age_s: int, told: bool
) -> None:
    marker = tmp_path / "frozen.json"
    marker.write_text("{}", encoding="utf-8")
    written = time.time() - age_s
    os.utime(marker, (written, written))
    assert ("STILL BE FROZEN: snap-self thaw" in login("")) is told
    assert login(LINES).endswith(SHOWN)


def test_a_removed_package_tells_nothing(tmp_path: Path) -> None:
    write_login_lines(tmp_path, LINES, now=AT)
    gone = {"SNAP_SELF_LOGIN_STATE": str(tmp_path / FILE), "SNAP_SELF_LOGIN_PROGRAM": "/none"}
    done = subprocess.run(["sh", str(SCRIPT)], env=gone, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""


def test_the_twin_in_python_tells_the_same() -> None:
    assert due(LINES, AT) == SHOWN


def test_a_text_is_left_for_those_who_only_show_one(tmp_path: Path) -> None:
    write_login_lines(tmp_path, LINES, now=AT)
    assert (tmp_path / TEXT).read_text(encoding="utf-8") == SHOWN
    assert (tmp_path / TEXT).stat().st_mode & 0o777 == 0o644
    write_login_lines(tmp_path, "", now=AT)
    assert (tmp_path / TEXT).read_text(encoding="utf-8") == ""


def test_text_of_a_freeze_goes_when_there_is_none_any_more(tmp_path: Path) -> None:
    show_frozen_text(tmp_path, "frozen\n")
    assert (tmp_path / TEXT).read_text(encoding="utf-8") == "frozen\n"
    show_frozen_text(tmp_path, "")
    show_frozen_text(tmp_path, "")
    assert not (tmp_path / TEXT).exists()
