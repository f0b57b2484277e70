"""`snap-self list` and `show last` as commands: what a terminal shows, filters, lost journals."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pyte
import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator
from snap_self.output.cells import cell_width

ON_TERMINAL = """
import fcntl, os, pty, struct, sys, termios
def start(size, *argv):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 24, int(size), 0, 0))
    os.execvp(argv[0], argv)
if sys.argv[1] == "inside":
    start(*sys.argv[2:])
sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, __file__, "inside", *sys.argv[1:]])))
"""
OLD, NEW = "20261120t080000z-00000a", "20261121t080000z-00000b"
UPGRADE, SCHEMA = "数据库升级 before the great migration of everything", "schema change"


@pytest.fixture
def made(simulator: Simulator) -> Mapping[str, list[str]]:
    """Return the snapshots of two runs of two disks, and one whose run no tag tells."""
    one, two = list(simulator.state.disks)[:2]

    def add(disk: str, **tags: str) -> list[str]:
        owner = simulator.cloud.own_instance.instance_id
        given = {f"snap-self-{key}": value for key, value in tags.items()}
        return simulator.add_snapshots(disk, 1, tags={"snap-self-owner": owner, **given})

    old = [*add(one, run=OLD, before=UPGRADE), *add(two, run=OLD, before=UPGRADE)]
    nameless = add(two, before="no run")
    new = add(one, run=NEW, before=SCHEMA, outcome="failed with status 3 after 4.4 s")
    return {OLD: old, NEW: new, nameless[0]: nameless}


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator, made: object) -> AgentRunner:
    return agent.against(simulator)


def rows(text: str) -> list[str]:
    """Return the first word of each row below the head."""
    return [line.split()[0] for line in text.splitlines()[1:]]


def test_list_without_a_terminal_is_a_row_a_run_of_a_hundred_cells(
    user: AgentRunner, made: Mapping[str, list[str]]
) -> None:
    result = user.run("list")
    assert result.status == 0, result.err
    assert sorted(rows(result.out)) == sorted(made)
    assert max(map(cell_width, result.out.splitlines())) <= 100
    assert "数据库升级" in result.out
    assert "snap-self show RUN" in result.err


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_list_on_a_terminal_wraps_no_row(
    user: AgentRunner, made: Mapping[str, list[str]], columns: int
) -> None:
    script = user.state.parent / "on_terminal.py"
    script.write_text(ON_TERMINAL, encoding="utf-8")
    result = user.with_wrapper(sys.executable, str(script), str(columns)).run("list", "--quiet")
    assert result.status == 0, result.out
    screen = pyte.Screen(columns, 24)
    pyte.Stream(screen).feed(result.out.replace("\r\n", "\n").replace("\n", "\r\n"))
    shown = [line.rstrip() for line in screen.display if line.strip()]
    assert sorted(rows("\n".join(shown))) == sorted(made)
    assert ("LEVEL" in shown[0]) == (columns == 120)
    assert any("…" in line for line in shown)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--before", "SCHEMA"), {NEW}),
        (("--before", "升级"), {OLD}),
        (("--before", "升级", "--last", "1"), {OLD}),
        (("--before", "nothing such"), set()),
    ],
)
def test_list_of_some_runs_has_these_alone_in_either_form(
    user: AgentRunner,
    made: Mapping[str, list[str]],
    options: tuple[str, ...],
    wanted: set[str],
) -> None:
    assert set(rows(user.run("list", *options).out)) == wanted
    listed = user.run("list", *options, "--json").json["snapshots"]
    assert sorted(shot["snapshot_id"] for shot in listed) == sorted(
        sid for run in wanted for sid in made[run]
    )


def test_list_of_the_last_runs_is_the_beginning_of_the_list(
    user: AgentRunner, made: Mapping[str, list[str]]
) -> None:
    first, second, _ = rows(user.run("list").out)
    assert rows(user.run("list", "--last", "2").out) == [first, second]
    listed = user.run("list", "--last", "1", "--json").json["snapshots"]
    assert {shot["snapshot_id"] for shot in listed} == set(made[first])


def test_list_of_a_disk_has_every_run_with_it(
    user: AgentRunner, simulator: Simulator, made: Mapping[str, list[str]]
) -> None:
    one, two = list(simulator.state.disks)[:2]
    (nameless,) = set(made) - {OLD, NEW}
    assert set(rows(user.run("list", "--disk", one).out)) == {OLD, NEW}
    assert set(rows(user.run("list", "--disk", two).out)) == {OLD, nameless}
    unknown = user.run("list", "--disk", "/no/such/place")
    assert (unknown.status, unknown.out) == (2, "")


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_list_of_no_sensible_number_is_wrong_usage(user: AgentRunner, number: str) -> None:
    result = user.run("list", "--last", number)
    assert result.status == 2
    assert "`snap-self list --help`" in result.err


def test_show_last_is_the_first_of_the_list(
    user: AgentRunner, made: Mapping[str, list[str]]
) -> None:
    first, *_ = rows(user.run("list").out)
    result = user.run("show", "last")
    assert result.status == 0, result.err
    shown = {shot["snapshot_id"] for shot in user.run("show", "last", "--json").json["snapshots"]}
    assert shown == set(made[first])


def test_show_last_of_an_instance_without_snapshots_tells_how_to_make_one(
    agent: AgentRunner, simulator: Simulator
) -> None:
    result = agent.against(simulator).run("show", "last")
    assert result.status == 2
    assert "there is no snapshot yet" in result.err
    assert "snap-self --before" in result.err
