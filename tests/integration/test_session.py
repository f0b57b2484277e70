"""A signal while a command works is told as its session says, and ends the process."""

from __future__ import annotations

import json
import subprocess
import sys

from agent_runner import CHECKOUT

BEGIN = """
from snap_self.cli.boundary import Interrupted
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.config.load import default_config

def tell(streams, number, cut_short):
    streams.data(f"{number} {cut_short}")
    return 9

manner = Manner(json=True, quiet=False, verbose=False)
"""
USUAL = """
with open_session(manner, load=lambda env: default_config()) as session:
    raise Interrupted(15)
print("went on")
"""
TOLD = """
with open_session(manner, load=lambda env: default_config(), tell=tell) as session:
    session.note_cut_short("the report")
    raise Interrupted(15)
print("went on")
"""
EARLY = """
def load(env):
    raise Interrupted(2)

with open_session(manner, load=load, tell=tell) as session:
    print("went on")
"""


def run(program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env={"PYTHONPATH": str(CHECKOUT / "agent")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_signal_is_told_in_the_form_that_was_asked_for() -> None:
    status, out = run(USUAL)
    said = json.loads(out)
    assert (status, said["exit_status"], said["error"]["code"]) == (143, 143, "ended-by-signal")


def test_command_that_tells_it_itself_gets_the_report_of_its_run() -> None:
    assert run(TOLD) == (9, "15 the report\n")


def test_signal_before_the_session_is_there_is_told_too() -> None:
    assert run(EARLY) == (9, "2 None\n")
