"""``run``: real commands behind real snapshots, on loop disks and on terminals."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from main_job_rig import ALLOW_ALL, Cloud, cloud_running, opened_files, records, stages, wait_until
from terminal_rig import terminal

from agent_runner import AgentResult, AgentRunner, RunningAgent
from json_schemas import hold

pytestmark = pytest.mark.root

PROGRAM = (sys.executable, str(Path(__file__).with_name("run_program.py")))
# Room for the interpreter and what it imports, not for the stacks of threads.
ENOUGH_KIB = 100_000
RUN = ("run", "--before", "schema change")
DENY_CREATES = {
    "Version": "1",
    "Statement": [{"Effect": "Deny", "Action": "ecs:CreateSnapshot*", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def running_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("disks")) as cloud:
        yield cloud


@pytest.fixture
def cloud(running_cloud: Cloud) -> Iterator[Cloud]:
    running_cloud.calm()
    try:
        yield running_cloud
    finally:
        running_cloud.calm()


@pytest.fixture
def user(agent: AgentRunner, cloud: Cloud) -> AgentRunner:
    return agent.against(cloud)


def _run(user: AgentRunner, *command: str, options: tuple[str, ...] = ()) -> AgentResult:
    return user.run(*RUN, *options, "--", *command)


def _wait_for_output(running: RunningAgent, words: str) -> None:
    wait_until(lambda: words in running.out, words, lambda: running.err)


@pytest.mark.parametrize("status", [0, 1, 2, 100, 125, 128, 255])
def test_exit_status_is_the_commands(user: AgentRunner, status: int) -> None:
    result = _run(user, "sh", "-c", f"echo said; exit {status}")
    assert result.status == status, result.err
    assert result.out == "said\n"


def test_death_by_signal_is_128_and_its_number(user: AgentRunner) -> None:
    result = _run(user, "sh", "-c", "kill -9 $$")
    assert result.status == 128 + signal.SIGKILL
    assert records(user)[0]["outcome"].startswith("ended by SIGKILL after ")


def test_outcome_is_in_journal_tags_list_and_show(user: AgentRunner, cloud: Cloud) -> None:
    _run(user, "sh", "-c", "exit 3")
    (record,) = records(user)
    outcome = record["outcome"]
    assert outcome.startswith("failed with status 3 after ")
    assert record["stage"] == "finished"
    made = {sid for order in record["orders"] for sid in order["snapshot_ids"].values()}
    shots = cloud.state()["snapshots"]
    assert len(made) == len(cloud.disk_ids)
    assert {shots[sid]["tags"]["snap-self-outcome"] for sid in made} == {outcome}
    assert outcome in user.run("list", "--json").json["snapshots"][0]["outcome"]
    assert f"Command    {outcome}" in user.run("show", record["run_id"]).out


def test_failed_command_is_followed_by_the_ways_back(user: AgentRunner) -> None:
    err = _run(user, "sh", "-c", "echo from-the-command >&2; exit 3", options=("--quiet",)).err
    assert err.index("from-the-command") < err.index("failed with status 3")
    assert err.index("failed with status 3") < err.index("aliyun ecs ResetDisk")


def test_good_command_is_not_followed_by_the_ways_back(user: AgentRunner) -> None:
    assert "ResetDisk" not in _run(user, "true", options=("--quiet",)).err


def test_standard_input_is_the_commands(user: AgentRunner) -> None:
    text = b"line one\n\x00\xff binary\n" * 5000
    result = user.run(*RUN, "--", "sha256sum", stdin=text)
    direct = subprocess.run(["sha256sum"], input=text, capture_output=True, check=True)
    assert result.out == direct.stdout.decode()


def test_signal_dispositions_are_what_the_caller_gave(user: AgentRunner) -> None:
    look = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]
    for wrapper in ([], ["nohup"]):
        direct = subprocess.run([*wrapper, *look], capture_output=True, check=True)
        given = _run(user.with_wrapper(*wrapper), *look)
        assert _signals(given.out) == _signals(direct.stdout.decode())


def test_core_limit_is_what_the_caller_gave_and_none_of_the_agents_own(user: AgentRunner) -> None:
    limited = user.with_wrapper("prlimit", "--core=1048576:2097152")
    # The agent takes its own limit back just after it has started the command.
    look = """ulimit -S -c; ulimit -H -c
        for tenth in $(seq 100); do
            grep -q 'Max core.* 0 ' /proc/$PPID/limits && break
            sleep 0.1
        done
        grep 'Max core' /proc/$PPID/limits"""
    soft, hard, agents = _run(limited, "sh", "-c", look).out.splitlines()
    assert (int(soft) * 512, int(hard) * 512) == (1048576, 2097152)
    assert agents.split()[4:6] == ["0", "2097152"]


def _signals(status: str) -> list[int]:
    """Return the masks without 32 and 33, which glibc's posix_spawn ignores for its threads."""
    return [int(line.split()[1], 16) & ~0x180000000 for line in status.splitlines()]


def test_json_follows_the_commands_output(user: AgentRunner) -> None:
    result = _run(user, "sh", "-c", "echo from the command; exit 3", options=("--json",))
    first, _, rest = result.out.partition("\n")
    assert first == "from the command"
    value = json.loads(rest)
    hold(value, "run")
    command = value["cmd"]
    assert (command["status"], command["signal"]) == (3, None)
    assert command["argv"] == ["sh", "-c", "echo from the command; exit 3"]
    assert command["seconds"] >= 0
    assert value["snapshots"]


def test_without_a_snapshot_the_command_is_not_started(
    user: AgentRunner, cloud: Cloud, tmp_path: Path
) -> None:
    cloud.policies(ALLOW_ALL, DENY_CREATES)
    result = _run(user, "touch", str(tmp_path / "ran"), options=("--json",))
    assert result.status == 125
    assert not (tmp_path / "ran").exists()
    assert "the command was not started" in result.err
    hold(result.json, "run")
    assert result.json["error"]["code"] == "permission-refused"
    assert result.json["cmd"]["status"] is None


@pytest.mark.parametrize("how", ["option", "variable"])
def test_without_a_snapshot_the_command_is_started_if_asked(
    user: AgentRunner, cloud: Cloud, how: str
) -> None:
    cloud.policies(ALLOW_ALL, DENY_CREATES)
    options = ("--on-snapshot-failure", "run") if how == "option" else ()
    variables = {"SNAP_SELF_RUN_ON_SNAPSHOT_FAILURE": "run"} if how == "variable" else {}
    result = _run(user.with_env(**variables), "sh", "-c", "exit 7", options=options)
    assert result.status == 7
    assert "Warning: the snapshot was not made as asked" in result.err


def test_weaker_snapshot_is_said_loudly_and_the_command_started(
    user: AgentRunner, tmp_path: Path
) -> None:
    # No hook lies there, so nothing proves that applications were at rest.
    weaker = user.with_env(SNAP_SELF_HOOKS_DIR=str(tmp_path))
    result = _run(weaker, "sh", "-c", "exit 9", options=("--consistency", "application", "-q"))
    assert result.status == 9
    assert "Warning: the snapshot is weaker than asked; the command is started" in result.err


@pytest.mark.parametrize(("program", "status"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_command_that_cannot_be_started_gets_no_snapshot(
    user: AgentRunner, cloud: Cloud, program: str, status: int
) -> None:
    result = _run(user, program, options=("--json",))
    assert result.status == status
    hold(result.json, "run")
    assert result.json["cmd"]["argv"] == [program]
    assert not cloud.asked_anything()


def test_wrong_option_value_is_125_since_the_command_was_not_started(
    user: AgentRunner, cloud: Cloud
) -> None:
    assert _run(user, "true", options=("--keep", "soon")).status == 125
    assert not cloud.asked_anything()


def test_broken_configuration_is_125_and_the_object_names_the_command(
    user: AgentRunner, cloud: Cloud
) -> None:
    result = _run(user.with_env(SNAP_SELF_FREEZE_LIMIT="soon"), "true", options=("--json",))
    assert result.status == 125
    hold(result.json, "run")
    assert result.json["cmd"]["argv"] == ["true"]
    assert result.json["cmd"]["status"] is None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_while_another_run_is_waited_for_is_125(user: AgentRunner, name: str) -> None:
    user.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (user.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with user.start(*RUN, "--json", "--", "touch", str(user.state / "ran")) as running:
            wait_until(lambda: str(user.state / "lock") in opened_files(running.pid), "the wait")
            running.signal(signal.Signals[name])
            result = running.wait()
    assert result.status == 125
    hold(result.json, "run")
    assert result.json["error"]["code"] == "ended-by-signal"
    assert result.json["cmd"]["status"] is None
    assert not (user.state / "ran").exists()


@pytest.mark.parametrize("started", [True, False], ids=["run", "main job"])
def test_limit_on_memory_that_leaves_no_thread_is_the_machines_fault(
    user: AgentRunner, started: bool
) -> None:
    limited = user.with_wrapper("sh", "-c", f'ulimit -v {ENOUGH_KIB} && exec "$@"', "sh")
    if started:
        result = _run(limited, "true", options=("--json",))
    else:
        result = limited.run("--before", "x", "--json")
    assert result.status == (125 if started else 4), result.err
    assert result.json["error"]["code"] == "environment"
    assert "a bug" not in result.err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT"])
def test_signal_to_the_agent_reaches_the_command(
    user: AgentRunner, name: str, tmp_path: Path
) -> None:
    script = f'trap "exit 44" {name[3:]}; echo ready; while :; do sleep 0.02; done'
    with user.start(*RUN, "--", "sh", "-c", script) as running:
        _wait_for_output(running, "ready")
        running.signal(signal.Signals[name])
        assert running.wait().status == 44
    assert records(user)[0]["outcome"].startswith("failed with status 44")


def test_killed_agent_leaves_the_command_and_the_next_command_explains(
    user: AgentRunner, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = f"echo ready; while ! [ -e {go} ]; do sleep 0.02; done; touch {go}.done"
    with user.start(*RUN, "--", "sh", "-c", script) as running:
        _wait_for_output(running, "ready")
        assert stages(user) == ["command"]
        (record,) = records(user)
        listed = user.run("list", "--json").json["snapshots"]
        mine = [shot["outcome"] for shot in listed if shot["run_id"] == record["run_id"]]
        assert mine
        assert all("running since" in outcome for outcome in mine)
        assert stages(user) == ["command"]
        running.kill()
        listed = user.run("list")
        go.touch()
        wait_until((tmp_path / "go.done").exists, "the command's own end")
    assert "how it ended, or whether it still runs, is not known" in listed.err
    (record,) = records(user)
    assert record["stage"] == "finished"
    assert record["outcome"].startswith("not known; started ")


def test_same_run_again_after_a_kill_makes_a_new_snapshot(user: AgentRunner, cloud: Cloud) -> None:
    with user.start(*RUN, "--", "sh", "-c", "echo ready; exec sleep 60") as running:
        _wait_for_output(running, "ready")
        running.kill()
        running.kill_group()
    assert _run(user, "true").status == 0
    assert sorted(stages(user)) == ["finished", "finished"]


def test_ctrl_c_reaches_the_command_once_and_not_the_agent(user: AgentRunner) -> None:
    with terminal(user, *RUN, "--", *PROGRAM, "SIGINT", "SIGQUIT") as screen:
        screen.wait_for("ready, in front: True")
        screen.type("\x03")
        screen.wait_for("got SIGINT 1")
        screen.type("\x1c")
        screen.wait_for("got SIGQUIT 1")
        screen.type("end 7\n")
        screen.wait_for("shell: 7")
        screen.finish()
    assert "counted {'SIGINT': 1, 'SIGQUIT': 1}" in screen.seen
    assert "failed with status 7" in screen.seen


def test_ctrl_c_that_ends_the_command_is_status_130(user: AgentRunner) -> None:
    with terminal(user, *RUN, "--", "sh", "-c", "echo ready; exec sleep 60") as screen:
        screen.wait_for("ready")
        screen.type("\x03")
        screen.wait_for("shell: 130")
        screen.finish()
    assert "ended by SIGINT" in screen.seen
    assert records(user)[0]["outcome"].startswith("ended by SIGINT after ")


def test_window_size_and_typed_lines_reach_the_command(user: AgentRunner) -> None:
    with terminal(user, *RUN, "--", *PROGRAM, "SIGWINCH") as screen:
        screen.wait_for("ready, in front: True")
        screen.resize(33, 101)
        screen.wait_for("got SIGWINCH 1 33x101")
        screen.type("hello\n")
        screen.wait_for("read hello")
        screen.type("end 0\n")
        screen.wait_for("shell: 0")
        screen.finish()


def test_stopped_job_goes_on_in_the_foreground(user: AgentRunner) -> None:
    with terminal(user, *RUN, "--", *PROGRAM, "SIGCONT") as screen:
        screen.wait_for("ready, in front: True")
        screen.type("\x1a")
        screen.wait_for(f"shell: {128 + signal.SIGTSTP}")
        screen.wait_for("got SIGCONT 1")
        screen.type("end 5\n")
        screen.wait_for("shell: 5")
        screen.finish()
