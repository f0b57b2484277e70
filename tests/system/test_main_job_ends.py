"""How the main job ends when something from outside ends it, or stands in its way."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running, records, stages, wait_for_words, wait_until

from agent_runner import AgentRunner

pytestmark = pytest.mark.root

JOB = ("--before", "os upgrade")
ALONE = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


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
def job(agent: AgentRunner, cloud: Cloud) -> AgentRunner:
    return agent.against(cloud)


def _on_tmpfs(job: AgentRunner, options: str) -> AgentRunner:
    """Return a runner whose state directory is a file system of its own, seen by it alone."""
    job.state.mkdir(exist_ok=True)
    return job.with_wrapper("unshare", "-m", "sh", "-c", ALONE, "sh", options, str(job.state))


def test_second_job_waits_and_joins_the_set_with_reuse(job: AgentRunner, cloud: Cloud) -> None:
    cloud.fault("hang", "CreateSnapshotGroup", seconds=1.5)
    with job.start(*JOB) as first:
        wait_until(cloud.faults_struck, "the first job's request")
        second = job.run("--before", "package change", "--reuse", "10m", "--json")
        done = first.wait()
    assert (done.status, second.status) == (0, 0), done.err + second.err
    assert second.json["result"] == "reused"
    assert cloud.calls().count("CreateSnapshotGroup") == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signal_ends_it_with_a_message_and_the_next_command_finishes(
    job: AgentRunner, cloud: Cloud, name: str
) -> None:
    before = f"end by {name}"
    number = signal.Signals[name]
    cloud.life(cut_s=2.0)
    with job.start("--before", before, "--verbose") as running:
        wait_for_words(running, ": asked, 0 %")
        running.signal(number)
        ended = running.wait(20.0)
    assert ended.status == 128 + number
    assert f"ended by {name}" in ended.err
    again = job.run("--before", before, "--json")
    assert again.status == 0, again.err
    assert again.json["result"] == "resumed"
    assert len(cloud.sets(before)) == 1


def test_signal_ends_it_while_a_call_hangs(job: AgentRunner, cloud: Cloud) -> None:
    cloud.fault("hang", "DescribeDisks")
    with job.start(*JOB) as running:
        wait_until(cloud.faults_struck, "DescribeDisks")
        running.signal(signal.SIGTERM)
        assert running.wait(10.0).status == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("redirection", "why"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")]
)
def test_stdout_that_takes_nothing_is_told_and_changes_no_status(
    job: AgentRunner, cloud: Cloud, redirection: str, why: str
) -> None:
    runner = job.with_wrapper("sh", "-c", f'exec "$@" {redirection}', "sh")
    result = runner.run(*JOB, "--json")
    assert result.status == 0, result.err
    assert f"standard output cannot be written: {why}" in result.err
    assert "Traceback" not in result.err
    assert stages(job) == ["finished"]


def test_stdout_whose_reader_is_gone_changes_no_status(job: AgentRunner, cloud: Cloud) -> None:
    script = '"$@" | true; exit ${PIPESTATUS[0]}'
    result = job.with_wrapper("bash", "-c", script, "bash").run(*JOB, "--json")
    assert (result.status, result.err) == (0, "")
    assert stages(job) == ["finished"]


def test_state_on_a_read_only_file_system_is_told_before_anything_is_made(
    job: AgentRunner, cloud: Cloud
) -> None:
    result = _on_tmpfs(job, "ro").run(*JOB, "--json")
    assert result.status == 4, result.err
    assert result.json["error"]["code"] == "state-unusable"
    assert str(job.state) in result.json["error"]["message"]
    assert "CreateSnapshotGroup" not in cloud.calls()


def test_state_on_a_full_file_system_is_told_before_anything_is_made(
    job: AgentRunner, cloud: Cloud
) -> None:
    result = _on_tmpfs(job, "size=4k,nr_inodes=3").run(*JOB, "--json")
    assert result.status == 4, result.err
    assert result.json["error"]["code"] == "state-unusable"
    assert result.json["error"]["hint"]
    assert "CreateSnapshotGroup" not in cloud.calls()


def test_missing_home_changes_nothing(job: AgentRunner, cloud: Cloud) -> None:
    result = job.with_wrapper("env", "-u", "HOME").run(*JOB)
    assert result.status == 0, result.err


def test_not_root_is_a_clear_end_or_works(job: AgentRunner, cloud: Cloud, tmp_path: Path) -> None:
    job.state.mkdir(exist_ok=True)
    os.chown(job.state, 65534, 65534)
    drop = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if subprocess.run([*drop, "test", "-r", str(Path(__file__))], check=False).returncode:
        pytest.skip("nobody cannot read this checkout")
    result = job.with_wrapper(*drop).run(*JOB)
    assert result.status in (0, 4, 6, 100, 101), result.err
    assert "Traceback" not in result.err
    assert [r["stage"] for r in records(job)] in ([], ["finished"])
