"""A path that does not exist is told before anything is asked."""

from __future__ import annotations

import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator


@pytest.mark.parametrize("command", [(), ("plan",), ("run",)], ids=["job", "plan", "run"])
def test_path_when_it_does_not_exist_then_nobody_is_asked(
    agent: AgentRunner, simulator: Simulator, command: tuple[str, ...]
) -> None:
    end = ("--", "true") if command == ("run",) else ()
    options = ("--before", "x", "--path", "/no/such/path")
    result = agent.against(simulator).run(*command, *options, *end)
    assert result.status == (125 if end else 2), result.err
    assert "'/no/such/path' cannot be looked at" in result.err
    assert "Instance" not in result.err
    assert not simulator.calls
