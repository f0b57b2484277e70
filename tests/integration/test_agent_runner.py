"""The helper that starts the agent: what it keeps, what it hides, how it ends things."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent_runner import AgentRunner, AgentTimedOut
from run_directory import RunDirectory


@pytest.fixture
def runner(tmp_path: Path) -> AgentRunner:
    """Return a runner with a run directory of its own."""
    run = RunDirectory.create(tmp_path / "run")
    return AgentRunner(run_directory=run, state=run.new_folder("state", "x"))


def shell(runner: AgentRunner, script: str) -> AgentRunner:
    """Return the runner with a shell script in the agent's place."""
    return runner.with_wrapper("sh", "-c", script)


def test_run_keeps_status_and_both_outputs(runner: AgentRunner) -> None:
    result = shell(runner, "printf out; printf err >&2; exit 3").run("list")
    assert (result.status, result.out, result.err) == (3, "out", "err")
    kept = {path.name: path.read_text(encoding="utf-8") for path in result.folder.iterdir()}
    assert kept == {
        "argv": json.dumps(["snap-self", "list"]),
        "stdout": "out",
        "stderr": "err",
        "status": "3\n",
    }


def test_run_gives_only_a_clean_environment(runner: AgentRunner) -> None:
    result = shell(runner.with_env(EXTRA="1"), "env").run("plan")
    names = {line.partition("=")[0] for line in result.out.splitlines()}
    shells_own = {"PWD", "_", "SHLVL", "OLDPWD"}
    assert names - shells_own == {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "SNAP_SELF_FOLLOW_ENABLED",
        "PYTHONPATH",
        "SNAP_SELF_STATE_DIR",
        "SNAP_SELF_TEST_SECRETS_DIR",
        "EXTRA",
    }


def test_against_a_cloud_sets_its_urls(runner: AgentRunner) -> None:
    cloud = SimpleNamespace(metadata_url="http://127.0.0.1:1", ecs_url="https://127.0.0.1:2")
    env = runner.against(cloud, ca_bundle=Path("/ca.pem")).environment()
    assert env["SNAP_SELF_METADATA_URL"] == "http://127.0.0.1:1"
    assert env["SNAP_SELF_ECS_ENDPOINT"] == "https://127.0.0.1:2"
    assert env["SNAP_SELF_NETWORK_CA_BUNDLE"] == "/ca.pem"


def test_run_passes_standard_input(runner: AgentRunner) -> None:
    assert shell(runner, "cat").run("hook", stdin=b"given").out == "given"


def test_json_of_an_answer_is_an_object(runner: AgentRunner) -> None:
    assert shell(runner, "echo '{\"schema\": 1}'").run("list", "--json").json == {"schema": 1}


def test_run_past_its_time_kills_what_was_started(runner: AgentRunner) -> None:
    script = "sleep 1000 & echo $!; wait"
    with pytest.raises(AgentTimedOut, match="ran longer than") as caught:
        shell(runner, script).run("list", timeout_s=0.5)
    child = int(str(caught.value).splitlines()[1])
    assert ends(child)


def test_kill_ends_only_the_agent_itself(runner: AgentRunner) -> None:
    with shell(runner, "exec sleep 1000").start("list") as running:
        assert running.kill().status == -signal.SIGKILL


def test_start_left_early_ends_the_agent(runner: AgentRunner) -> None:
    with shell(runner, "sleep 1000").start("list") as running:
        pid = running.pid
    assert ends(pid)


def ends(pid: int, tries: int = 500) -> bool:
    """Tell whether a killed process goes away; the kernel may take a moment."""
    for _ in range(tries):
        if not is_running(pid):
            return True
        time.sleep(0.01)
    return False


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
