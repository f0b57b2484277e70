"""The main job on two real loop disks with a writer running; what was captured is mounted."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running, on_terminal, wait_until

from agent_runner import AgentRunner
from fixtures_simulator import mounted_copy
from json_schemas import hold

pytestmark = pytest.mark.root

RECORD = 4096


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


@dataclass
class Writer:
    """Writes numbered records, each fsynced, and a stream that is never synced."""

    folder: Path
    synced: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write until told to stop."""
        with (
            (self.folder / "records").open("wb", buffering=0) as records,
            (self.folder / "stream").open("wb") as stream,
        ):
            while not self._stop.wait(0.002):
                records.write(record(self.synced))
                os.fsync(records.fileno())
                self.synced += 1
                stream.write(os.urandom(1024))

    def stop(self) -> None:
        """Have it stop."""
        self._stop.set()


def record(number: int) -> bytes:
    """Return the record of that number, which tells a wrong byte."""
    head = f"{number:012}".encode()
    return (head + hashlib.sha256(head).digest() * RECORD)[:RECORD]


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    writer = Writer(folder)
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        wait_until(lambda: writer.synced >= 20, "twenty records")
        yield writer
    finally:
        writer.stop()
        thread.join()


def test_everything_synced_before_the_run_is_in_what_was_captured(
    agent: AgentRunner, cloud: Cloud, tmp_path: Path
) -> None:
    still = {mount: os.urandom(1 << 20) for mount in (cloud.ext4, cloud.xfs)}
    for mount, content in still.items():
        # Written, not synced: the agent's flush must bring it to the disk.
        (mount / "still").write_bytes(content)
    with writing(cloud.ext4) as first, writing(cloud.xfs) as second:
        before = {cloud.ext4: first.synced, cloud.xfs: second.synced}
        result = agent.against(cloud).run("--before", "os upgrade", "--json")
    assert result.status == 0, result.err
    hold(result.json, "snapshot")
    assert {d["disk_id"] for d in result.json["disks"]} == cloud.disk_ids
    assert result.json["consistency"]["reached"] == "flush"
    taken = {shot["disk_id"]: shot["snapshot_id"] for shot in result.json["snapshots"]}
    for disk in cloud.process.disks:
        image = cloud.process.captured_image(taken[disk.disk_id])
        with mounted_copy(image, disk.fs, tmp_path) as mounted:
            mount = Path(disk.mount)
            assert (mounted / "still").read_bytes() == still[mount]
            captured = (mounted / "records").read_bytes()
            for number in range(before[mount]):
                assert captured[number * RECORD :][:RECORD] == record(number)


def test_path_on_one_mount_takes_only_its_disk(agent: AgentRunner, cloud: Cloud) -> None:
    result = agent.against(cloud).run("--before", "xfs only", "--path", str(cloud.xfs), "--json")
    assert result.status == 0, result.err
    hold(result.json, "snapshot")
    wanted = cloud.process.disk_with("xfs").disk_id
    assert cloud.sets("xfs only") == [{wanted}]
    assert [s["disk_id"] for s in result.json["snapshots"]] == [wanted]
    assert [s["disk_id"] for s in result.json["skipped"]] == [
        cloud.process.disk_with("ext4").disk_id
    ]


def test_text_has_data_on_stdout_and_the_rest_on_stderr(agent: AgentRunner, cloud: Cloud) -> None:
    result = agent.against(cloud).run("--before", "text", "-v")
    assert result.status == 0, result.err
    assert len(result.out.splitlines()) == 2
    assert all(line.startswith("Snapshot   s-") for line in result.out.splitlines())
    for words in ("Instance ", "How to go back:", "aliyun ecs ResetDisk", "Consistency  flush"):
        assert words in result.err
    assert "\x1b" not in result.out + result.err


def test_own_root_that_the_cloud_does_not_hold_makes_it_partial_in_words_status_and_object(
    agent: AgentRunner, cloud: Cloud
) -> None:
    plain = agent.against(cloud).with_env(SNAP_SELF_DISKS_EXCLUDE="")
    result = plain.run("--before", "text")
    assert result.status == 101, result.err
    assert "Safe to go on" not in result.err
    assert "Not in it: /" in result.err
    assert "Do not go on with: text, unless you can do without what is missing" in result.err
    said = plain.run("--before", "object", "--json")
    assert said.status == 101
    hold(said.json)
    assert (said.json["result"], said.json["exit_status"]) == ("partial", 101)
    assert "/" in [gap["what"] for gap in said.json["not_covered"] if gap["left_out"]]


def test_own_root_that_is_excluded_by_the_configuration_leaves_it_safe(
    agent: AgentRunner, cloud: Cloud
) -> None:
    result = agent.against(cloud).run("--before", "text")
    assert result.status == 0, result.err
    assert "Safe to go on with: text" in result.err
    assert "Not in it" not in result.err


def test_wait_none_says_do_not_begin_yet(agent: AgentRunner, cloud: Cloud) -> None:
    cloud.life(cut_s=2.0)
    result = agent.against(cloud).run("--before", "text", "--wait", "none")
    assert result.status == 0, result.err
    assert "Safe to go on" not in result.err
    assert "Do not begin yet with: text" in result.err


def test_quiet_says_only_data(agent: AgentRunner, cloud: Cloud) -> None:
    result = agent.against(cloud).run("--before", "text", "--quiet")
    assert result.status == 0
    assert len(result.out.splitlines()) == 2
    assert result.err == ""


@pytest.mark.parametrize("no_color", [False, True], ids=["colour", "NO_COLOR"])
def test_terminal_shows_a_bar_per_disk(agent: AgentRunner, cloud: Cloud, *, no_color: bool) -> None:
    cloud.life(accomplished_s=1.0)
    variables = {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    runner = agent.against(cloud).with_env(**variables)
    shown = on_terminal(runner, "--before", "bars", "--wait", "accomplished")
    bars = [line for line in shown.splitlines() if "━" in line or "─" in line]
    for disk in cloud.process.disks:
        assert any(Path(disk.device).name in line and " %" in line for line in bars)
    coloured = any(f"\x1b[{code}" in shown for code in ("3", "38;", "1;3"))
    assert coloured is not no_color
