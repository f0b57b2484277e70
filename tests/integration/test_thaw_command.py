"""`snap-self thaw` where there is nothing to end: in an emergency nothing else may keep it."""

from __future__ import annotations

import pytest

from agent_runner import AgentRunner

pytestmark = pytest.mark.root


def test_thaw_with_nothing_frozen_says_so(agent: AgentRunner) -> None:
    result = agent.run("thaw")
    assert result.status == 0
    assert "No freeze of snap-self is left" in result.err


def test_thaw_goes_on_with_a_configuration_that_is_wrong(agent: AgentRunner) -> None:
    result = agent.with_env(SNAP_SELF_SNAPSHOT_KEEP="for a while").run("thaw")
    assert result.status == 0
    assert "SNAP_SELF_SNAPSHOT_KEEP" in result.err
    assert "No freeze of snap-self is left" in result.err
