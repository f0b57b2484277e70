"""`snap-self policy` as a command: no key, no call of the API, hostile metadata."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator
from json_schemas import hold

ALIYUN = """#!/bin/sh
# Stands for the `aliyun` command line: notes what it is called with, an argument a line.
printf '%s\\n' "$@" -- >>"$CALLS"
"""


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator) -> AgentRunner:
    return agent.against(simulator)


def test_policy_needs_no_role_and_asks_the_api_nothing(
    user: AgentRunner, simulator: Simulator
) -> None:
    simulator.set_instance(role="")
    result = user.run("policy")
    assert result.status == 0, result.err
    document = json.loads(result.out)
    text = json.dumps(document)
    assert all(disk_id in text for disk_id in simulator.state.disks)
    assert simulator.cloud.own_instance.instance_id in text
    assert simulator.cloud.config.account_id in text
    assert "CreateRole" in result.err
    assert not simulator.calls


def test_policy_names_the_role_that_the_instance_has(user: AgentRunner) -> None:
    result = user.run("policy", "--json")
    hold(result.json, "policy")
    assert result.json["role"] == {"name": "SnapSelfRole", "bound": True}
    assert not any("CreateRole" in line for line in result.json["commands"])


def test_commands_when_pasted_into_a_shell_send_the_policy(
    user: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.set_instance(role="")
    said = user.run("policy", "--json").json
    program = tmp_path / "aliyun"
    program.write_text(ALIYUN, encoding="utf-8")
    program.chmod(0o755)
    calls = tmp_path / "calls"
    subprocess.run(
        ["/bin/sh", "-eu"],
        input="\n".join([*said["commands"], said["update_command"]]),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls)},
        text=True,
        check=True,
        timeout=60,
    )
    made = [each.split("\n") for each in calls.read_text(encoding="utf-8").split("\n--\n") if each]
    assert [words[1] for words in made] == [
        *("CreatePolicy", "CreateRole", "AttachPolicyToRole", "AttachInstanceRamRole"),
        "CreatePolicyVersion",
    ]
    for words in (made[0], made[-1]):
        assert json.loads(words[words.index("--PolicyDocument") + 1]) == said["policy"]
    assert json.loads(made[3][-1]) == [said["instance"]["id"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--session", "--fleet", "a=b"),
        ("--fleet", "web"),
        ("--disk", "vdb"),
        ("--disk", "d-1'; rm -rf /"),
    ],
    ids=" ".join,
)
def test_policy_when_asked_for_what_cannot_be_is_wrong_usage(
    user: AgentRunner, arguments: tuple[str, ...]
) -> None:
    result = user.run("policy", *arguments)
    assert (result.status, result.out) == (2, "")
    assert "  -> " in result.err


def test_policy_off_ecs_says_so_and_prints_none(agent: AgentRunner) -> None:
    closed = agent.with_env(SNAP_SELF_METADATA_URL="http://127.0.0.1:1")
    result = closed.run("policy")
    assert (result.status, result.out) == (4, "")
    assert "metadata service does not answer" in result.err
    failed = closed.run("policy", "--json").json
    hold(failed, "policy")
    assert failed["exit_status"] == 4
    assert failed["error"]["code"] == "metadata-unreachable"


class Metadata(ThreadingHTTPServer):
    """A metadata service that answers what a test wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.items = {
            "instance-id": "i-bp1good",
            "region-id": "cn-hangzhou",
            "owner-account-id": "1234567890123456",
            "disks/": "bp1one/\n",
            "disks/bp1one/id": "d-bp1one",
        }


class _Answer(BaseHTTPRequestHandler):
    server: Metadata

    def do_PUT(self) -> None:
        self._say("a-token")

    def do_GET(self) -> None:
        self._say(self.server.items.get(unquote(self.path).removeprefix("/latest/meta-data/")))

    def _say(self, text: str | None) -> None:
        body = (text or "").encode()
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    """Run one, with good answers."""
    with Metadata() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def stranger(agent: AgentRunner, metadata: Metadata) -> AgentRunner:
    """Return an agent that asks it."""
    port = metadata.server_address[1]
    return agent.with_env(SNAP_SELF_METADATA_URL=f"http://127.0.0.1:{port}")


HOSTILE = ("x'; rm -rf /", 'x","Action":"*', "x\x1b[2J", "*")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("item", ["instance-id", "region-id"])
def test_policy_of_metadata_that_cannot_be_is_refused(
    stranger: AgentRunner, metadata: Metadata, item: str, text: str
) -> None:
    metadata.items[item] = text
    result = stranger.run("policy")
    assert (result.status, result.out) == (4, "")
    assert text not in result.err


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_odd_disk_account_and_role_reach_neither_policy_nor_commands(
    stranger: AgentRunner, metadata: Metadata, text: str
) -> None:
    metadata.items |= {
        "owner-account-id": text,
        "disks/": f"bp1one/\nbp1two/\n{text}/\n",
        "disks/bp1two/id": text,
        "ram/security-credentials/": f"{text}'\"\n",
    }
    said = stranger.run("policy", "--json").json
    assert said["disks"] == ["d-bp1one"]
    assert said["instance"]["account"] == "*"
    assert "account-unknown" in [one["code"] for one in said["warnings"]]
    assert said["role"]["bound"] is False
    assert all(text not in line for line in said["commands"] if text != "*")
