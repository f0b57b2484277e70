"""What a hook that finds nothing risky loads: every change waits for each module more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hook_samples import SAMPLES
from snap_self.cli.hooking import ADAPTERS

AGENT = Path(__file__).resolve().parents[2] / "agent"
PROBE = """
import json, os, sys
sys.path.insert(0, {agent!r})
before = set(sys.modules)
sys.argv = ["snap-self", "hook", {name!r}]
def report(status):
    os.write(2, json.dumps([status, sorted(set(sys.modules) - before)]).encode())
    os.kill(os.getpid(), 9)
os._exit = report
from snap_self.system.hook_state import HookState
HookState.__init__.__defaults__ = ("/nonexistent",) * 3  # not this machine's own configuration
from snap_self.cli.entry import main
main()
"""
COMMON = {
    *("__future__", "gc"),
    *("snap_self", "snap_self.cli", "snap_self.cli.entry", "snap_self.cli.hooking"),
    *("snap_self.usecases", "snap_self.usecases.before_change"),
    *("snap_self.changes", "snap_self.changes.conversation", "snap_self.changes.policy"),
    *("snap_self.changes.patterns", "snap_self.changes.risk"),
    *("snap_self.model", "snap_self.model.hook_facts", "snap_self.model.hook_settings"),
    *("snap_self.model.packages", "snap_self.system", "snap_self.system.hook_outside"),
    "snap_self.system.hook_state",
}
# Modules that take milliseconds. What speaks JSON cannot do without `json`, which loads `re`.
SLOW = (
    *("dataclasses", "typing", "typer", "click", "rich", "requests", "subprocess", "pathlib"),
    *("tomllib", "tomli", "importlib", "signal", "urllib", "socket", "ssl", "logging", "datetime"),
    *("snap_self.config", "snap_self.errors"),
)
OF_JSON = ("re", "enum", "collections", "json")
SPEAK_JSON = ("dnf", "dnf5", "yum", "zypper")


def loaded(name: str) -> set[str]:
    """Return the modules that a hook loads for a harmless change."""
    probe = PROBE.format(agent=str(AGENT), name=name)
    done = subprocess.run(
        [sys.executable, "-IS", "-c", probe],
        input=SAMPLES[name],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    status, modules = json.loads(done.stderr)
    assert status == 0
    return set(modules)


def test_there_is_a_sample_for_every_hook() -> None:
    assert set(SAMPLES) == set(ADAPTERS)


@pytest.mark.parametrize("name", ["apt", "pacman"])
def test_hook_loads_only_what_it_needs(name: str) -> None:
    assert loaded(name) == COMMON | {f"snap_self.changes.{name}"}


@pytest.mark.parametrize("name", ADAPTERS)
def test_hook_loads_nothing_slow(name: str) -> None:
    slow = SLOW if name in SPEAK_JSON else (*SLOW, *OF_JSON)
    found = {each for each in loaded(name) for one in slow if f"{each}.".startswith(f"{one}.")}
    assert found == set()
