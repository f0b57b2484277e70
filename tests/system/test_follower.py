"""The follower: it watches uploads, holds a reboot back with a real logind, and ends by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from logind_rig import Logind, lacking, logind_running
from main_job_rig import Cloud, cloud_running, opened_files, records, wait_until

from agent_runner import AgentRunner
from json_schemas import hold

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(lacking()), reason=f"not installed: {lacking()}"),
]
JOB = ("--before", "os upgrade", "--wait", "cut")
SLOW = 3600.0


@pytest.fixture(scope="module")
def running_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("disks")) as cloud:
        yield cloud


@pytest.fixture
def cloud(running_cloud: Cloud) -> Iterator[Cloud]:
    running_cloud.calm()
    yield running_cloud
    running_cloud.finish_uploads()
    running_cloud.calm()


@pytest.fixture(scope="module")
def logind() -> Iterator[Logind]:
    with logind_running() as one:
        yield one


@pytest.fixture
def user(agent: AgentRunner, cloud: Cloud, logind: Logind) -> Iterator[AgentRunner]:
    runner = logind.agent(agent.against(cloud))
    yield runner
    with suppress(OSError, ValueError, KeyError):
        os.kill(json.loads((runner.state / "follow.lock").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: not logind.inhibitors(), "the end of every inhibitor")


def _follower(record: dict[str, Any]) -> dict[str, Any] | None:
    upload = record.get("upload") or {}
    found: dict[str, Any] | None = upload.get("follower")
    return found


def _followed(user: AgentRunner) -> dict[str, Any]:
    """Return the follower as the newest record has it, once it has one."""
    wait_until(lambda: _follower(records(user)[-1]), "a follower in the journal")
    found = _follower(records(user)[-1])
    assert found
    return found


def _uploads_end(user: AgentRunner) -> None:
    wait_until(
        lambda: not any((r.get("upload") or {}).get("going_on") for r in records(user)),
        "the end of every upload in the journal",
    )


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_reboot_is_held_back_until_the_upload_is_accomplished(
    user: AgentRunner, cloud: Cloud, logind: Logind
) -> None:
    cloud.life(accomplished_s=SLOW)
    result = user.run(*JOB, "--json")
    assert result.status == 0, result.err
    hold(result.json, "snapshot")
    assert result.json["watch"]["held"]
    assert result.json["watch"]["until"]
    wait_until(logind.inhibitors, "an inhibitor")
    ((what, who, why, mode),) = logind.inhibitors()
    assert (what, who, mode) == ("shutdown", "snap-self", "block")
    run_id = result.json["run"]["id"]
    assert run_id in why
    assert all(shot["snapshot_id"] in why for shot in result.json["snapshots"])
    follower = _followed(user)
    assert (follower["held"], follower["ended"]) == (True, "")
    assert "a follower holds a reboot back until then" in user.run("show", run_id).out
    cloud.finish_uploads()
    _uploads_end(user)
    wait_until(lambda: not logind.inhibitors(), "the end of the inhibitor")
    wait_until(lambda: _gone(follower["pid"]), "the follower's own end")
    shots = cloud.state()["snapshots"]
    made = [shots[shot["snapshot_id"]] for shot in result.json["snapshots"]]
    assert [shot["retention_days"] for shot in made] == [14, 14]
    assert records(user)[-1]["upload"]["text"] == "accomplished"
    assert "Upload     accomplished" in user.run("show", run_id).out


def test_second_run_is_served_by_the_same_follower(
    user: AgentRunner, cloud: Cloud, logind: Logind
) -> None:
    cloud.life(accomplished_s=SLOW)
    one, other = sorted(cloud.disk_ids)
    runs = [user.run(*JOB, "--json", "--disk", disk).json["run"]["id"] for disk in (one, other)]
    wait_until(lambda: all(map(_follower, records(user))), "a follower of both runs")
    pids = {(_follower(record) or {})["pid"] for record in records(user)}
    assert len(pids) == 1
    ((_, _, why, _),) = logind.inhibitors()
    assert all(run in why for run in runs)
    cloud.finish_uploads()
    _uploads_end(user)


def test_killed_follower_holds_nothing_back_and_show_says_so(
    user: AgentRunner, cloud: Cloud, logind: Logind
) -> None:
    cloud.life(accomplished_s=SLOW)
    run_id = user.run(*JOB, "--json").json["run"]["id"]
    os.kill(_followed(user)["pid"], signal.SIGKILL)
    wait_until(lambda: not logind.inhibitors(), "the end of the inhibitor")
    assert "the follower was ended, and nothing holds a reboot back" in user.run("show", run_id).out


def test_follower_asked_to_end_does_so_at_once(
    user: AgentRunner, cloud: Cloud, logind: Logind
) -> None:
    cloud.life(accomplished_s=SLOW)
    assert user.run(*JOB).status == 0
    pid = _followed(user)["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not logind.inhibitors(), "the end of the inhibitor")
    wait_until(lambda: _gone(pid), "the follower's end")


def test_limit_ends_the_hold(user: AgentRunner, cloud: Cloud, logind: Logind) -> None:
    cloud.life(accomplished_s=SLOW)
    result = user.with_env(SNAP_SELF_FOLLOW_LIMIT="6s").run(*JOB)
    assert "a reboot is held back until it is done, at the latest until" in result.err
    wait_until(lambda: (_follower(records(user)[-1]) or {}).get("ended"), "the end by the limit")
    assert not logind.inhibitors()
    assert "follow.limit" in (_follower(records(user)[-1]) or {})["ended"]


def test_wait_until_accomplished_needs_no_follower(user: AgentRunner, logind: Logind) -> None:
    result = user.run("--before", "reboot", "--wait", "accomplished", "--json")
    assert result.json["watch"] is None
    assert _follower(records(user)[-1]) is None
    assert not logind.inhibitors()


def test_switched_off_follower_is_not_started_and_the_report_says_so(
    user: AgentRunner, cloud: Cloud, logind: Logind
) -> None:
    cloud.life(accomplished_s=SLOW)
    result = user.with_env(SNAP_SELF_FOLLOW_ENABLED="false").run(*JOB, "-v")
    assert "No stop or reboot of this instance before it is uploaded" in result.err
    assert "Nothing holds a reboot back meanwhile: follow.enabled is false." in result.err
    assert _follower(records(user)[-1]) is None
    assert not logind.inhibitors()


def test_interrupted_main_job_leaves_a_follower(
    user: AgentRunner, cloud: Cloud, logind: Logind
) -> None:
    cloud.life(accomplished_s=SLOW)
    with user.start("--before", "os upgrade", "--wait", "accomplished", "-v") as running:
        wait_until(lambda: "wait:" in running.err, "the wait", lambda: running.err)
        running.signal(signal.SIGINT)
        assert running.wait().status == 128 + signal.SIGINT
    assert _followed(user)["held"]
    assert logind.inhibitors()


def test_reboot_is_held_back_while_the_command_of_run_goes_on(
    user: AgentRunner, cloud: Cloud, logind: Logind, tmp_path: Path
) -> None:
    cloud.life(accomplished_s=SLOW)
    go = tmp_path / "go"
    command = ("sh", "-c", f"while ! [ -e {go} ]; do sleep 0.02; done; exit 3")
    with user.start("run", *JOB, "--", *command) as running:
        wait_until(logind.inhibitors, "an inhibitor", lambda: running.err)
        go.touch()
        assert running.wait().status == 3
    assert logind.inhibitors()
    assert records(user)[-1]["outcome"].startswith("failed with status 3")


def test_follower_keeps_nothing_of_its_starter(user: AgentRunner, cloud: Cloud) -> None:
    cloud.life(accomplished_s=SLOW)
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    # As apt and dnf give their hooks descriptors, and wait until nobody has them any more.
    process = _start_with(user, writer)
    assert process.wait(60) == 0
    os.close(writer)
    pid = _followed(user)["pid"]
    assert os.read(reader, 1) == b""
    os.close(reader)
    folder = Path(f"/proc/{pid}")
    assert not any("stdout" in name or "stderr" in name for name in opened_files(pid))
    assert [str((folder / f"fd/{n}").readlink()) for n in range(3)] == ["/dev/null"] * 3
    stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    group, session, terminal = stat[2:5]
    assert (group, session, terminal) == (str(pid), str(pid), "0")
    assert str((folder / "cwd").readlink()) == "/"


def _start_with(user: AgentRunner, descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*user.wrapper, sys.executable, "-m", "snap_self", *JOB],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=user.environment(),
        cwd="/",
        pass_fds=(descriptor,),
    )


def test_without_logind_the_report_says_so_and_the_upload_is_watched(
    agent: AgentRunner, cloud: Cloud
) -> None:
    cloud.life(accomplished_s=SLOW)
    with logind_running(logind=False) as none:
        user = none.agent(agent.against(cloud))
        result = user.run(*JOB, "-v")
        assert "Nothing holds a reboot back meanwhile: logind does not run here." in result.err
        assert _followed(user)["why"] == "logind does not run here"
        doctor = user.run("doctor").out
        assert "nothing can hold a reboot back while a snapshot is being uploaded" in doctor
        cloud.finish_uploads()
        _uploads_end(user)


def test_doctor_says_that_a_reboot_can_be_held_back(user: AgentRunner, logind: Logind) -> None:
    assert "logind can hold a reboot back" in user.run("doctor").out
    assert not logind.inhibitors()


def test_leaks_no_process_when_the_state_directory_is_taken_away(
    user: AgentRunner, cloud: Cloud
) -> None:
    cloud.life(accomplished_s=SLOW)
    user.run(*JOB)
    pid = _followed(user)["pid"]
    shutil.rmtree(user.state)
    wait_until(lambda: _gone(pid), "the follower's end")
