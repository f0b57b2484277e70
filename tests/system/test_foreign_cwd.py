"""Root stands in a directory of somebody else's: nothing that lies there is executed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign_folder import ForeignFolder
from main_job_rig import Cloud, cloud_running, records, wait_until

from agent_runner import CHECKOUT, AgentRunner

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not (Path(sys.executable).parent / "snap-self").exists(),
        reason="the command is not installed",
    ),
]
JOB = ("--before", "os upgrade")
VERBS = (
    ("--version",),
    ("plan", *JOB),
    ("doctor",),
    (*JOB, "--consistency", "filesystem"),
    ("list",),
    ("hook", "status"),
    ("run", *JOB, "--", "/bin/true"),
)


@pytest.fixture
def foreign(tmp_path: Path) -> ForeignFolder:
    return ForeignFolder.planted(tmp_path / "foreign")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("disks")) as running:
        yield running


@pytest.fixture
def calm(cloud: Cloud) -> Iterator[Cloud]:
    yield cloud
    cloud.finish_uploads()
    cloud.calm()


@pytest.fixture(params=["directory", "variable"])
def user(request: pytest.FixtureRequest, agent: AgentRunner, foreign: ForeignFolder) -> AgentRunner:
    """Return the installed command, in that directory, or with a PYTHONPATH that names it too.

    What the interpreter of the command itself looks at before it runs the agent is not the agent's:
    it is isolated, as the packaged one is.
    """
    if request.param == "directory":
        return agent.installed_in(foreign.path).with_env(PYTHONPATH="")
    named = {"PYTHONPATH": str(foreign.path), "PYTHONSTARTUP": str(foreign.path / "os.py")}
    return agent.installed_in(foreign.path, "-I").with_env(**named)


@pytest.mark.parametrize("words", VERBS, ids=[" ".join(words[:2]) for words in VERBS])
def test_verb_in_a_foreign_directory_executes_nothing_of_it(
    user: AgentRunner, cloud: Cloud, foreign: ForeignFolder, words: tuple[str, ...]
) -> None:
    result = user.against(cloud).run(*words)
    assert foreign.executed() == []
    # `hook status` tells what the package managers of this machine lack.
    assert result.status in (0, 4, 6, 100, 101), result.err


def test_demo_in_a_foreign_directory_executes_nothing_of_it(
    user: AgentRunner, foreign: ForeignFolder
) -> None:
    result = user.run("demo")
    assert foreign.executed() == []
    assert result.status in (0, 101), result.err
    assert "version 1: the state before the upgrade" in result.out


def test_follower_started_from_a_foreign_directory_executes_nothing_of_it(
    user: AgentRunner, calm: Cloud, foreign: ForeignFolder
) -> None:
    cloud = calm
    cloud.life(accomplished_s=3600.0)
    quick = {"SNAP_SELF_FOLLOW_ENABLED": "true", "SNAP_SELF_FOLLOW_PAUSE": "1s"}
    follows = user.against(cloud).with_env(**quick)
    result = follows.run(*JOB, "--wait", "cut")
    assert result.status in (0, 101), result.err
    wait_until(
        lambda: all(record["upload"].get("follower") for record in records(follows)),
        "a follower in the journal",
    )
    cloud.finish_uploads()
    wait_until(
        lambda: not any(record["upload"]["going_on"] for record in records(follows)),
        "the end of every upload in the journal",
    )
    assert foreign.executed() == []


def test_main_job_of_a_hook_in_a_foreign_directory_executes_nothing_of_it(
    foreign: ForeignFolder,
) -> None:
    # A package manager's hook stands where the manager was started.
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from snap_self.cli.manager_hook import run_job; "
        "import snap_self.system.managers.job, snap_self.system.python_child; "
        "sys.path[:0] = ['', sys.argv[2]]; "
        "end = run_job(['--version'], limit_s=60.0, tick=lambda: None); print(end.out.decode())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(CHECKOUT / "agent"), str(foreign.path)],
        cwd=foreign.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (foreign.executed(), done.returncode) == ([], 0), done.stderr
    assert done.stdout.startswith("snap-self ")


def test_module_started_from_a_foreign_directory_gives_its_children_another_path(
    foreign: ForeignFolder,
) -> None:
    # `-m` puts the current directory first before any code of ours runs; a child has to do without.
    code = (
        "import subprocess, sys; sys.path.insert(0, sys.argv[1]); "
        "from snap_self.system.python_child import child_command; "
        "sys.path[:0] = ['', sys.argv[2]]; "
        "sys.exit(subprocess.run(child_command(['--version'])).returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(CHECKOUT / "agent"), str(foreign.path)],
        cwd=foreign.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (foreign.executed(), done.returncode) == ([], 0), done.stderr
    assert done.stdout.startswith("snap-self ")
