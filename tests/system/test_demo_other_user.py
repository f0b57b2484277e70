"""Another user on the machine while root tries the demo: nothing is answered, made or touched."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
import pytest
from foreign_folder import NOBODY
from main_job_rig import wait_until

from agent_runner import AgentRunner, RunningAgent
from ecs_simulator import AccessKeyConfig
from fakes.simulated_cloud import Signer
from fixtures_simulator import SimulatorProcess, ask_control
from other_user import run_as

pytestmark = pytest.mark.root
EVIL = "plain-evil"
# Everything that somebody who knows the simulator would try, at every port; what came back.
ATTACK = r"""
    import http.client, json, ssl, sys
    ports, query, target = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    questions = [
        ("GET", "/_simulator/", None),
        ("GET", "/_simulator/secrets", None),
        ("GET", "/_simulator/state", None),
        ("POST", "/_simulator/disks", {"disk_id": "../" * 9 + target.lstrip("/"), "size_gib": 1}),
        ("PUT", "/_simulator/instance", {"status": "Stopped"}),
        ("PUT", "/latest/api/token", None),
        ("GET", "/latest/meta-data/instance-id", None),
        ("GET", "/latest/meta-data/ram/security-credentials/SnapSelfRole", None),
        ("GET", "/?" + query, None),
    ]
    answers = []
    for port in ports:
        for address in ("127.0.0.1", "::ffff:127.0.0.1"):
            for secure in (False, True):
                for method, path, body in questions:
                    connection = http.client.HTTPConnection(address, port, timeout=10)
                    try:
                        connection.connect()
                        if secure:
                            context = ssl._create_unverified_context()
                            connection.sock = context.wrap_socket(connection.sock)
                        headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": "100"}
                        connection.request(method, path, body and json.dumps(body), headers)
                        answer = connection.getresponse()
                        answers.append([port, method + path, answer.status, answer.read().decode()])
                    except (OSError, http.client.HTTPException):
                        answers.append([port, method + path, 0, ""])
                    finally:
                        connection.close()
    print(json.dumps(answers))
"""
# What of the simulator's folders somebody else can enter, read or connect to.
LOOK = r"""
    import json, os, socket, sys
    found = []
    for path in sys.argv[1:]:
        for ask in (os.listdir, os.stat, lambda p: open(p, "rb")):
            try:
                ask(path)
                found.append([ask.__name__, path])
            except OSError:
                pass
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(path)
                found.append(["connect", path])
            except OSError:
                pass
    print(json.dumps(found))
"""


@pytest.fixture
def foreign() -> Iterator[Path]:
    """Return a folder of the other user's, which that user can enter."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def signed(action: str, **params: str) -> str:
    """Return a request that the simulated cloud would carry out if it came from its owner."""
    key = AccessKeyConfig()
    signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)
    given = {"Action": action, "RegionId": "cn-hangzhou", **params}
    return urlencode(signer.sign(given, at=time.time()))


def listening(pid: int) -> list[int]:
    """Return the TCP ports that a process and its children listen on."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    found = [c for each in family for c in each.net_connections("tcp") if c.status == "LISTEN"]
    return sorted({connection.laddr.port for connection in found})


def evil_devices() -> list[bytes]:
    """Return the files on loop devices that an attack put there."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # detached meanwhile
            found.append(path.read_bytes().strip())
    return [name for name in found if EVIL.encode() in name]


def attack(ports: list[int], query: str, foreign: Path) -> list[list[Any]]:
    answers: list[list[Any]] = run_as(ATTACK, json.dumps(ports), query, str(foreign / EVIL))
    return answers


def advised(out: str) -> dict[str, str]:
    """Return the variables that a kept demo advises, as a shell would set them."""
    lines = [shlex.split(line) for line in out.splitlines() if line.startswith("  export ")]
    return dict(word.split("=", 1) for _, word in lines)


@contextlib.contextmanager
def demo_kept(agent: AgentRunner, files: str = "/var/tmp") -> Iterator[RunningAgent]:
    """Run a demo until its simulated cloud goes on for others; end it as by Ctrl-C.

    Args:
        files: its folder for temporary files; one that everybody can enter.
    """
    with agent.with_env(TMPDIR=files).start("demo", "--keep") as demo:
        wait_until(
            lambda: "export SNAP_SELF_STATE_DIR" in demo.out or demo.process.poll() is not None,
            "the demo's advice",
            lambda: demo.out + demo.err,
            limit_s=180.0,  # it plays the whole demo first
        )
        try:
            yield demo
        finally:
            demo.signal(signal.SIGINT)
            ended = demo.wait(60.0)
        assert ended.status == 0, ended.err
        assert ended.out.endswith("are gone; nothing of them is left.\n")
        assert "ended by" not in ended.out + ended.err
        assert "Safe to go on with: os upgrade" in ended.out


def test_other_user_gets_nothing_out_of_a_running_demo(agent: AgentRunner, foreign: Path) -> None:
    with demo_kept(agent) as demo:
        ports = listening(demo.pid)
        assert len(ports) == 3
        answers = attack(ports, signed("DescribeDisks"), foreign)
        assert {status for _, _, status, _ in answers} <= {0, 403}
        assert not re.search("AccessKey|secrets|bp1", "".join(text for *_, text in answers))
        assert list(foreign.iterdir()) == []
        assert evil_devices() == []
        advice = advised(demo.out)
        folder = Path(advice["SNAP_SELF_STATE_DIR"]).parent
        assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (0, 0o700)
        inside = [folder, *folder.rglob("*.sock"), Path(advice["SNAP_SELF_NETWORK_CA_BUNDLE"])]
        assert any(path.name == "control.sock" for path in inside)
        # The folder itself is seen in /var/tmp, as everything there.
        assert run_as(LOOK, *map(str, inside)) == [["stat", str(folder)]]
    assert not folder.exists()


def test_advice_of_a_kept_demo_works_for_its_owner(agent: AgentRunner) -> None:
    with demo_kept(agent) as demo:
        advice = advised(demo.out)
        listed = agent.with_env(**advice).run("list")
        assert listed.status == 0, listed.err
        assert "os upgrade" in listed.out


def test_demo_keeps_nothing_where_another_user_could_exchange_it(
    agent: AgentRunner, foreign: Path
) -> None:
    with demo_kept(agent, str(foreign)) as demo:
        advice = advised(demo.out)
        folder = Path(advice["SNAP_SELF_STATE_DIR"]).parent
        assert folder.parent == Path("/var/tmp")
        assert Path(advice["SNAP_SELF_NETWORK_CA_BUNDLE"]).is_relative_to(folder)
        assert list(foreign.iterdir()) == []


def test_requests_of_another_user_are_not_acted_upon(
    loop_cloud: SimulatorProcess, foreign: Path
) -> None:
    query = signed("CreateSnapshot", DiskId=loop_cloud.disks[1].disk_id)
    answers = attack(listening(loop_cloud.pid), query, foreign)
    assert {status for _, _, status, _ in answers} <= {0, 403}
    assert loop_cloud.control("GET", "calls")["calls"] == []
    assert loop_cloud.control("GET", "metadata-calls")["calls"] == []
    state = loop_cloud.control("GET", "state")
    assert (list(state["disks"]), state["snapshots"]) == (
        [disk.disk_id for disk in loop_cloud.disks],
        {},
    )
    assert {instance["status"] for instance in state["instances"].values()} == {"Running"}
    assert evil_devices() == []
    assert list(foreign.iterdir()) == []


@pytest.mark.parametrize(
    "disk_id",
    ["/", "..", "../plain-evil", "{foreign}/plain-evil", "d-\0", "", "d-" + "a" * 4000, "d-a\n"],
)
def test_id_that_is_a_path_is_refused_to_its_owner_too(
    loop_cloud: SimulatorProcess, foreign: Path, disk_id: str
) -> None:
    wanted = {"disk_id": disk_id.format(foreign=foreign), "size_gib": 1}
    status, said = ask_control(loop_cloud.control_socket, "POST", "disks", wanted)
    assert (status, "disk_id" in said["error"]) == (400, True)
    assert evil_devices() == []
    assert len(loop_cloud.control("GET", "state")["disks"]) == 2
    assert list(foreign.iterdir()) == []


@pytest.mark.parametrize("disk_id", ["../../plain-evil", "d-a\0b", "/", "d-" + "a" * 4000])
def test_id_that_is_a_path_names_no_disk_to_the_api(
    loop_cloud: SimulatorProcess, disk_id: str
) -> None:
    for action in ("CreateSnapshot", "DeleteDisk", "ResetDisk"):
        call(loop_cloud, action, DiskId=disk_id, SnapshotId=disk_id)
    state = loop_cloud.control("GET", "state")
    assert (len(state["disks"]), state["snapshots"], state["storage_faults"]) == (2, {}, [])


def call(cloud: SimulatorProcess, action: str, **params: str) -> int:
    place = urlsplit(cloud.ecs_url)
    assert place.hostname
    with contextlib.closing(http.client.HTTPConnection(place.hostname, place.port)) as connection:
        connection.request("GET", f"/?{signed(action, **params)}")
        answer = connection.getresponse()
        answer.read()
        return answer.status


def test_reset_of_a_disk_whose_image_became_a_link_leaves_the_target_alone(
    loop_cloud: SimulatorProcess, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("root's own")
    disk = loop_cloud.disks[1]
    assert call(loop_cloud, "CreateSnapshot", DiskId=disk.disk_id) == 200
    loop_cloud.control("POST", "finish-snapshots")

    def made() -> dict[str, Any]:
        snapshots: dict[str, Any] = loop_cloud.control("GET", "state")["snapshots"]
        return {name: shot for name, shot in snapshots.items() if shot["available"]}

    wait_until(made, "a snapshot that can be used")
    [snapshot_id] = made()
    instance = loop_cloud.instance_id
    assert call(loop_cloud, "StopInstance", InstanceId=instance) == 200

    def stopped() -> bool:
        instances = loop_cloud.control("GET", "state")["instances"]
        return bool(instances[instance]["status"] == "Stopped")

    wait_until(stopped, "a stopped instance")
    # As somebody could who can write into the folder, which takes root now.
    Path(disk.image).unlink()
    Path(disk.image).symlink_to(victim)
    wanted = {"DiskId": disk.disk_id, "SnapshotId": snapshot_id}
    assert call(loop_cloud, "ResetDisk", **wanted) == 200
    wait_until(lambda: loop_cloud.control("GET", "state")["storage_faults"], "a refusal")
    [fault] = loop_cloud.control("GET", "state")["storage_faults"]
    assert "not a plain file of this user's own" in fault
    assert victim.read_text() == "root's own"
    assert stat.S_IMODE(Path(disk.image).parent.stat().st_mode) == 0o700
