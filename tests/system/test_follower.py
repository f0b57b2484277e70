"""The follower: it watches uploads, holds a reboot back with a real logind, and ends by itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from logind_rig import Logind, lacking, logind_running
from main_job_rig import Cloud, cloud_running, records, wait_until

from agent_runner import CHECKOUT, AgentRunner

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(lacking()), reason=f"not installed: {lacking()}"),
]
JOB = ("--before", "os upgrade", "--wait", "cut")
SLOW = 3600.0
SCHEMA = json.loads(
    (CHECKOUT / "agent" / "snap_self" / "data" / "report.schema.json").read_text("utf-8")
)


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
    for record in records(runner):
        if follower := _follower(record):
            with suppress(ProcessLookupError):
                os.kill(follower["pid"], signal.SIGKILL)
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
    jsonschema.validate(result.json, SCHEMA)
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
    assert "a follower has logind refuse" in user.run("show", run_id).out
    cloud.finish_uploads()
    _uploads_end(user)
    wait_until(lambda: not logind.inhibitors(), "the end of the inhibitor")
    wait_until(lambda: _gone(follower["pid"]), "the follower's own end")
    shots = cloud.state()["snapshots"]
    made = [shots[shot["snapshot_id"]] for shot in result.json["snapshots"]]
    assert [shot["retention_days"] for shot in made] == [14, 14]
    assert records(user)[-1]["upload"]["text"] == "accomplished"
    assert "Upload     accomplished" in user.run("show", run_id).out
