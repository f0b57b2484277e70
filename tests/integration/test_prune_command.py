"""`snap-self prune` as a command: when it deletes, what it prints, its exit status."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator

TERMINAL = (
    sys.executable,
    "-c",
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
)


@pytest.fixture
def old(simulator: Simulator) -> list[str]:
    """Return three snapshots of a disk that are past their date, oldest first."""
    disk_id, *_ = simulator.state.disks
    past = datetime.now(timezone.utc) - timedelta(days=1)
    tags = {
        "snap-self-owner": simulator.cloud.own_instance.instance_id,
        "snap-self-before": "os upgrade",
        "snap-self-expires": f"{past:%Y-%m-%dT%H:%M:%SZ}",
    }
    return simulator.add_snapshots(disk_id, 3, tags=tags)


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator) -> AgentRunner:
    return agent.against(simulator)


def words(table: str) -> list[tuple[str, ...]]:
    """Return what is done, and to what, of each row."""
    done = ("keep", "delete", "FAILED")
    return [tuple(line.split()[:2]) for line in table.splitlines() if line.startswith(done)]


def there(simulator: Simulator) -> list[str]:
    return list(simulator.dump()["snapshots"])


def test_prune_without_terminal_or_yes_is_wrong_usage_and_asks_nobody(
    user: AgentRunner, simulator: Simulator, old: list[str]
) -> None:
    for arguments in (("prune",), ("prune", "--yes", "--dry-run"), ("prune", "--keep-last", "0")):
        result = user.run(*arguments)
        assert result.status == 2, result.err
    assert not simulator.calls
    assert not simulator.metadata_calls


def test_dry_run_points_at_no_command_that_would_choose_others(
    user: AgentRunner, old: list[str]
) -> None:
    result = user.run("prune", "--dry-run", "--keep-last", "1")
    assert "2 may go, 1 is kept. With --yes and the same choice they are deleted." in result.err
    assert "`snap-self prune --yes`" not in result.err


def test_prune_on_a_terminal_only_shows_what_would_go(
    user: AgentRunner, simulator: Simulator, old: list[str]
) -> None:
    result = user.with_wrapper(*TERMINAL).run("prune")
    assert result.status == 0, result.out
    assert words(result.out) == [("keep", old[2]), ("delete", old[1]), ("delete", old[0])]
    assert "With --yes and the same choice they are deleted." in " ".join(result.out.split())
    assert there(simulator) == old


def test_prune_with_yes_deletes_and_tells(
    user: AgentRunner, simulator: Simulator, old: list[str]
) -> None:
    planned = user.run("prune", "--dry-run", "--json").json
    assert (planned["result"], there(simulator)) == ("planned", old)
    result = user.run("prune", "--yes", "--json")
    assert (result.status, result.json["result"]) == (0, "done")
    assert there(simulator) == old[2:]
    shots = {s["snapshot_id"]: s for step in result.json["steps"] for s in step["snapshots"]}
    assert [shots[sid]["deleted"] for sid in old] == [True, True, False]
    again = user.run("prune", "--yes")
    assert (again.status, again.out) == (0, "")
    assert "0 deleted, 1 kept." in again.err


def test_prune_that_may_not_delete_ends_with_five_and_the_mend(
    user: AgentRunner, simulator: Simulator, old: list[str]
) -> None:
    allow = {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}
    simulator.set_policies("SnapSelfRole", {"Version": "1", "Statement": [allow]})
    result = user.run("prune", "--yes")
    assert result.status == 5
    assert words(result.out) == [("FAILED", old[1]), ("FAILED", old[0])]
    assert "snap-self policy --prune" in result.err
    assert "0 deleted, 2 could not be, 1 kept." in result.err
    assert user.run("prune", "--yes", "--json").json["error"]["code"] == "permission-refused"
    assert there(simulator) == old


def test_prune_tells_a_run_in_a_row_with_its_text_as_it_is(
    user: AgentRunner, simulator: Simulator
) -> None:
    past = datetime.now(timezone.utc) - timedelta(days=1)
    tags = {
        "snap-self-owner": simulator.cloud.own_instance.instance_id,
        "snap-self-run": "20261120t080000z-00000a",
        "snap-self-before": 'it\'s "升级"',
        "snap-self-expires": f"{past:%Y-%m-%dT%H:%M:%SZ}",
    }
    for disk_id in simulator.state.disks:
        simulator.add_snapshots(disk_id, 2, tags=tags)
    head, row, *_ = user.run("prune", "--dry-run").out.splitlines()
    assert head.split() == ["RUN", "AGE", "BEFORE", "DISKS", "WHY"]
    assert "20261120t080000z-00000a" in row
    assert 'it\'s "升级"' in row
    each = user.run("prune", "--dry-run", "-v").out
    assert each.count("\n  s-") == 4
