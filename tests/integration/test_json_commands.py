"""Every command with --json, as it is started: one object by its schema, and words if it failed."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agent_runner import AgentResult, AgentRunner
from ecs_simulator.simulator import Simulator
from json_schemas import hold
from snap_self.cli.demo import made_up_machine
from snap_self.cli.simulated import SimulatedDisk
from snap_self.disks import recording
from snap_self.system.disks.recorded import MACHINE

# A made-up machine; what it cannot do at all is left out.
JOB = ("--before", "os upgrade", "--consistency", "crash")
RECORDED = Path(__file__).parents[1] / "machines" / "lvm-two-disks"
DESCRIBE = {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}
UNKNOWN_RUN = "20260101t000000z-000000"
# With what makes each begin; those that need no cloud come after.
ASKING = {
    "snapshot": JOB,
    "plan": (*JOB, "--dry-run"),
    "run": ("run", *JOB, "--json", "--", "true"),
    "list": ("list",),
    "show": ("show", "s-1"),
    "diff": ("diff", "s-1"),
    "prune": ("prune", "--yes"),
    "doctor": ("doctor",),
    "restore": ("restore", "last", "/etc/fstab", "--yes"),
    "rollback": ("rollback", "last"),
    "confirm": ("confirm",),
    "mount": ("mount", "last", "--yes"),
    "verify": ("verify", "last", "--yes"),
    "hook covers": ("hook", "covers", UNKNOWN_RUN),
}
OFFLINE = {
    "check": ("check",),
    "thaw": ("thaw",),
    "config check": ("config", "check"),
    "reset": ("reset", "--yes"),
    "notify": ("notify", "--test"),
    "unmount": ("unmount", "nosuch"),
    "hook status": ("hook", "status"),
    "hook enable": ("hook", "enable", "nosuch"),
    "hook disable": ("hook", "disable", "nosuch"),
}


def with_json(arguments: Sequence[str]) -> Sequence[str]:
    return arguments if "--json" in arguments else (*arguments, "--json")


def told(result: AgentResult, command: str) -> dict[str, Any]:
    """Return the one object, after what holds of each."""
    said = result.json
    hold(said, command)
    assert said["exit_status"] == result.status, result.err
    if said["error"]:
        first = said["error"]["message"].split("\n")[0]
        assert result.err.count(f"snap-self: {first}") == 1, result.err
    assert '"schema"' not in result.err
    return said


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator) -> AgentRunner:
    return agent.against(simulator)


@pytest.fixture
def machine(simulator: Simulator, tmp_path: Path) -> tuple[str, ...]:
    """Return the option by which the main job meets a made-up machine with the cloud's disks."""
    disks = [
        SimulatedDisk(
            disk_id=disk.disk_id,
            serial=disk.serial,
            size_gib=disk.size_gib,
            device="",
            fstype="",
            mount="",
        )
        for disk in simulator.state.disks.values()
    ]
    (tmp_path / MACHINE).write_text(recording.dump(made_up_machine(disks)))
    return ("--recorded", str(tmp_path))


@pytest.fixture
def old(simulator: Simulator) -> None:
    """Have snapshots that are past their date."""
    disk_id, *_ = simulator.state.disks
    past = datetime.now(timezone.utc) - timedelta(days=1)
    tags = {
        "snap-self-owner": simulator.cloud.own_instance.instance_id,
        "snap-self-before": "os upgrade",
        "snap-self-expires": f"{past:%Y-%m-%dT%H:%M:%SZ}",
    }
    simulator.add_snapshots(disk_id, 3, tags=tags)


# --- success ---------------------------------------------------------------------------------


def test_main_job_and_what_looks_at_it_say_what_their_schemas_describe(
    user: AgentRunner, machine: tuple[str, ...]
) -> None:
    planned = told(user.run(*JOB, *machine, "--dry-run", "--json"), "plan")
    assert (planned["result"], planned["run"]["before"]) == ("planned", "os upgrade")
    made = told(user.run(*JOB, *machine, "--json"), "snapshot")
    assert (made["result"], len(made["snapshots"])) == ("done", 2)
    reused = told(user.run(*JOB, *machine, "--reuse", "30m", "--json"), "snapshot")
    assert reused["result"] == "reused"
    listed = told(user.run("list", "--json"), "list")
    assert len(listed["snapshots"]) == 2
    shown = told(user.run("show", made["run"]["id"], "--json"), "show")
    assert (shown["run"]["id"], len(shown["snapshots"])) == (made["run"]["id"], 2)
    covered = told(user.run("hook", "covers", made["run"]["id"], "--json"), "hook covers")
    assert covered["serves"] is True


def test_plan_of_a_recorded_machine_is_a_plan(agent: AgentRunner) -> None:
    said = told(agent.run("plan", "--recorded", str(RECORDED), "--json"), "plan")
    assert (said["result"], bool(said["disks"])) == ("planned", True)


@pytest.mark.parametrize(
    ("script", "status", "ended"),
    [("exit 0", 0, (0, None)), ("exit 3", 3, (3, None)), ("kill -9 $$", 137, (None, 9))],
)
def test_run_says_its_own_status_and_how_the_command_ended(
    user: AgentRunner,
    machine: tuple[str, ...],
    script: str,
    status: int,
    ended: tuple[int | None, int | None],
) -> None:
    said = told(user.run("run", *JOB, *machine, "--json", "--", "sh", "-c", script), "run")
    assert (said["exit_status"], said["snapshot_exit_status"]) == (status, 0)
    assert (said["cmd"]["status"], said["cmd"]["signal"]) == ended
    assert said["cmd"]["argv"] == ["sh", "-c", script]


@pytest.mark.usefixtures("old")
def test_prune_says_what_it_would_do_and_what_it_did(user: AgentRunner) -> None:
    assert told(user.run("prune", "--dry-run", "--json"), "prune")["result"] == "planned"
    assert told(user.run("prune", "--yes", "--json"), "prune")["result"] == "done"


def test_doctor_says_every_check(user: AgentRunner) -> None:
    said = told(user.run("doctor", "--json"), "doctor")
    assert {"metadata", "credentials", "api"} <= {check["check"] for check in said["checks"]}


def test_commands_that_need_no_cloud_say_what_their_schemas_describe(agent: AgentRunner) -> None:
    told(agent.run("thaw", "--json"), "thaw")
    told(agent.run("hook", "status", "--json"), "hook status")
    told(agent.run("config", "check", "--json"), "config check")
    said = told(agent.run("--version", "--json"), "version")
    assert said["version"]


# --- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [*ASKING, *OFFLINE])
def test_wrong_option_is_told_by_each_command(agent: AgentRunner, command: str) -> None:
    arguments = with_json({**ASKING, **OFFLINE}[command])
    place = arguments.index("--json")
    said = told(agent.run(*arguments[:place], "--bogus", *arguments[place:]), command)
    assert said["error"]["code"] == "usage"


@pytest.mark.parametrize("command", [*ASKING, "hook status", "config check"])
def test_wrong_configuration_is_told_by_each_command(agent: AgentRunner, command: str) -> None:
    arguments = with_json({**ASKING, **OFFLINE}[command])
    result = agent.with_env(SNAP_SELF_SNAPSHOT_KEEP="soon").run(*arguments)
    said = told(result, command)
    assert said["error"]["code"] == "config-invalid"


@pytest.mark.parametrize(
    ("command", "quiet"), [*((command, False) for command in ASKING), ("list", True)]
)
def test_no_metadata_service_is_told_by_each_command(
    agent: AgentRunner, command: str, *, quiet: bool
) -> None:
    arguments = list(with_json(ASKING[command]))
    if quiet:
        arguments.insert(arguments.index("--json"), "--quiet")
    result = agent.with_env(SNAP_SELF_METADATA_URL="http://127.0.0.1:1").run(*arguments)
    said = told(result, command)
    assert said["error"] is not None
    assert result.status == (125 if command == "run" else 4)
    if "run" in said and command in ("snapshot", "plan", "run"):
        assert said["run"]["before"] == "os upgrade"


@pytest.mark.parametrize(
    ("arguments", "command", "status"),
    [
        (("show", "s-nosuch"), "show", 2),
        (("show", UNKNOWN_RUN), "show", 2),
        (("diff", "last"), "diff", 2),
        (("diff", UNKNOWN_RUN), "diff", 2),
        (("diff", "a", "b", "c"), "diff", 2),
        (("prune",), "prune", 2),
        (("prune", "--yes", "--dry-run"), "prune", 2),
        (("--keep", "soon", *JOB), "snapshot", 2),
        (("--json",), "snapshot", 2),
        ((*JOB, "--path", "/no/such/place"), "snapshot", 2),
        ((*JOB, "--disk", "d-nosuch"), "snapshot", 6),
        (("--json", "list"), "list", 2),
        (("--before", "os", "upgrade"), "snapshot", 2),
        (("hook", "enable", "nosuch"), "hook enable", 2),
        (("hook", "status", "nosuch"), "hook status", 2),
        (("run", *JOB, "--json", "--", "no-such-program"), "run", 127),
        (("run", *JOB, "--keep", "soon", "--json", "--", "true"), "run", 125),
        (("demo",), "demo", 2),
        (("hook",), "hook", 2),
        (("config",), "config", 2),
        (("config", "check", "a", "b"), "config check", 2),
        (("config", "check", "/no/such/file"), "config check", 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_what_cannot_be_done_is_told_in_both_forms(
    user: AgentRunner, arguments: tuple[str, ...], command: str, status: int
) -> None:
    result = user.run(*with_json(arguments))
    assert result.status == status, result.err
    if command in ("demo", "hook", "config"):  # nothing of its own to say
        assert json.loads(result.out)["command"] == command
        return
    said = told(result, command)
    assert said["error"]
    if arguments[:2] == JOB[:2] or arguments[1:3] == JOB[:2]:
        assert said["run"]["before"] == "os upgrade"


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_refused_permission_is_said_in_words_too(
    user: AgentRunner, simulator: Simulator, machine: tuple[str, ...], quiet: tuple[str, ...]
) -> None:
    simulator.set_policies("SnapSelfRole", {"Version": "1", "Statement": [DESCRIBE]})
    for command, arguments in (
        ("snapshot", (*JOB, *machine, *quiet, "--json")),
        ("run", ("run", *JOB, *machine, *quiet, "--json", "--", "true")),
        ("prune", ("prune", "--yes", *quiet, "--json")),
    ):
        result = user.run(*arguments)
        said = told(result, command)
        assert said["error"]["code"] == "permission-refused"
        assert result.status == (125 if command == "run" else 5)
        assert said["error"]["request_id"]
        assert said["error"]["hint"].split(":")[0] in result.err


def test_role_that_may_nothing_is_told_by_each_command(
    user: AgentRunner, simulator: Simulator
) -> None:
    simulator.set_policies("SnapSelfRole", {"Version": "1", "Statement": []})
    for command, arguments in ASKING.items():
        said = told(user.run(*with_json(arguments)), command)
        if command in ("snapshot", "plan", "run", "doctor"):  # the others are told of nothing
            assert said["error"], command


# --- signals ---------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Return a service that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.mark.parametrize(
    ("command", "number"),
    [*((command, signal.SIGTERM) for command in ASKING), ("snapshot", signal.SIGINT)],
)
def test_signal_is_told_by_each_command(
    agent: AgentRunner, silent: socket.socket, command: str, number: signal.Signals
) -> None:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with agent.with_env(SNAP_SELF_METADATA_URL=url).start(*with_json(ASKING[command])) as running:
        asked, _ = silent.accept()
        with asked:
            running.signal(number)
            result = running.wait()
    assert result.status == (125 if command == "run" else 128 + number)
    said = result.json
    hold(said, command)
    assert said["exit_status"] == result.status
    assert said["error"]["code"] == "ended-by-signal"
    assert f"ended by {number.name}" in result.err
    if command in ("snapshot", "plan", "run"):
        assert said["run"]["before"] == "os upgrade"
