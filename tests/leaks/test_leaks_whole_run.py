"""Search everything that the whole run captured for secrets; conftest orders this last."""

from __future__ import annotations

import pytest

from run_directory import RunDirectory


def test_captured_output_of_whole_run_holds_no_secret(run_directory: RunDirectory) -> None:
    secrets = run_directory.secrets()
    if not run_directory.agent_runs() and not secrets:
        pytest.skip("nothing to search: no simulator and no agent was started in this run")
    leaks = run_directory.leaks()
    if leaks:
        (run_directory.root / "keep").touch()
    assert not leaks, f"secrets lie in {run_directory.root}: {leaks}"
