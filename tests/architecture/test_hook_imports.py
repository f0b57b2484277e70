"""What is loaded where each module more is waited for: by a hook, by a process beside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from hook_samples import SAMPLES
from snap_self.model.packages import HOOKS

AGENT = Path(__file__).resolve().parents[2] / "agent"
# It imports nothing that a hook must not load: that would count as there already.
PROBE = """
import os, sys
sys.path.insert(0, {agent!r})
before = set(sys.modules)
sys.argv = ["snap-self", "hook", {name!r}]
def report(status):
    os.write(2, repr((status, sorted(set(sys.modules) - before))).encode())
    os.kill(os.getpid(), 9)
os._exit = report
from snap_self.system.managers.state import ManagerState
ManagerState.__init__.__defaults__ = ("/nonexistent",) * 3  # not this machine's own configuration
from snap_self.cli.entry import main
main()
"""
COMMON = {
    *("__future__", "gc"),
    *("snap_self", "snap_self.cli", "snap_self.cli.entry", "snap_self.cli.manager_hook"),
    *("snap_self.usecases", "snap_self.usecases.before_change"),
    *("snap_self.changes", "snap_self.changes.conversation"),
    *("snap_self.changes.patterns", "snap_self.changes.risk", "snap_self.changes.boot_libraries"),
    *("snap_self.model", "snap_self.model.manager_facts", "snap_self.model.manager_settings"),
    *("snap_self.model.packages", "snap_self.system", "snap_self.system.managers.outside"),
    *("snap_self.system.environment", "snap_self.system.managers"),
    "snap_self.system.managers.state",
}
# Modules that take milliseconds. `json` loads `re` and `enum`.
SLOW = (
    *("dataclasses", "typing", "typer", "click", "rich", "requests", "subprocess", "pathlib"),
    *("tomllib", "tomli", "importlib", "signal", "urllib", "socket", "ssl", "logging", "datetime"),
    *("snap_self.config", "snap_self.errors"),
    *("re", "enum", "collections", "json"),
)


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
    status, modules = ast.literal_eval(done.stderr.decode())
    assert status == 0
    return set(modules)


def test_there_is_a_sample_for_every_hook() -> None:
    assert set(SAMPLES) == {hook.name for hook in HOOKS}


@pytest.mark.parametrize("name", ["apt", "pacman"])
def test_hook_loads_only_what_it_needs(name: str) -> None:
    assert loaded(name) == COMMON | {f"snap_self.changes.{name}"}


@pytest.mark.parametrize("name", [hook.name for hook in HOOKS])
def test_hook_loads_nothing_slow(name: str) -> None:
    found = {each for each in loaded(name) for one in SLOW if f"{each}.".startswith(f"{one}.")}
    assert found == set()


@pytest.mark.parametrize(
    ("entry", "slow"),
    [
        ("snap_self.system.manifest.entry", set()),
        ("snap_self.system.disks.aside_entry", {"collections"}),
        ("snap_self.system.opening.child", {"collections", "enum", "re", "socket", "typing"}),
    ],
)
def test_process_beside_a_command_loads_little(entry: str, slow: set[str]) -> None:
    probe = f"import sys; sys.path.append({str(AGENT)!r}); import {entry}; print([*sys.modules])"
    done = subprocess.run(
        [sys.executable, "-ISB", "-c", probe], capture_output=True, text=True, check=True
    )
    loaded = {each.split(".")[0] for each in ast.literal_eval(done.stdout)}
    assert "snap_self" in loaded
    assert loaded & set(SLOW) == slow
