"""The simulator as a process: what it announces, makes on the machine, and leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.storage import kernel
from ecs_simulator.storage.loop import what_loops_need
from fixtures_simulator import AGENT_FOLDER, SimulatorProcess, mounted_copy, simulator_running
from other_user import NOBODY, as_user

WAIT_S = 30.0
FIFREEZE = 0xC0045877


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this test's simulators a folder of ledgers of their own."""
    monkeypatch.setenv("ECS_SIMULATOR_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def loop_process(tmp_path: Path, run_folder: Path) -> Iterator[SimulatorProcess]:
    missing = what_loops_need(tmp_path)
    if missing:
        pytest.skip(f"no loop disks here: {missing}")
    with simulator_running(
        *("--storage", "loop", "--state-dir", str(tmp_path / "state")),
        *("--disk", f"size=1,fs=ext4,mount={tmp_path}/new/ext4"),
        *("--disk", f"size=2,fs=xfs,mount={tmp_path}/new/xfs"),
    ) as cloud:
        yield cloud


def command(
    *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ecs_simulator", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(AGENT_FOLDER), **(env or {})},
        timeout=60,
    )


def eventually(ask: Callable[[], Any]) -> None:
    limit = time.monotonic() + WAIT_S
    while not ask():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.02)


def remains(cloud: SimulatorProcess, tmp_path: Path, run_folder: Path) -> list[str]:
    """Return everything of a simulator that is still on the machine."""
    images = [Path(disk.image) for disk in cloud.disks] + [cloud.work_dir / "pool.img"]
    mounted = [m.target for m in kernel.mounts() if m.target.startswith(str(tmp_path))]
    loops = [device for image in images for device in kernel.loops_of(image)]
    links = [disk.link for disk in cloud.disks if disk.link and os.path.lexists(disk.link)]
    paths = [*(tmp_path / "state").glob("*"), tmp_path / "new", *run_folder.glob("*.ledger")]
    return [*mounted, *loops, *links, *(str(path) for path in paths if path.exists())]


def watchdog_of(cloud: SimulatorProcess) -> int:
    [child] = Path(f"/proc/{cloud.pid}/task/{cloud.pid}/children").read_text().split()
    assert b"--watch" in Path(f"/proc/{child}/cmdline").read_bytes()
    return int(child)


@pytest.mark.root
def test_announced_disks_are_block_devices_of_whole_gibibytes(
    loop_process: SimulatorProcess,
) -> None:
    sizes = [
        int(Path(f"/sys/block/{Path(disk.device).name}/size").read_text()) * 512
        for disk in loop_process.disks
    ]
    assert sizes == [1 << 30, 2 << 30]


@pytest.mark.root
def test_announced_links_lead_to_the_devices(loop_process: SimulatorProcess) -> None:
    assert loop_process.ready["left_out"] == []
    for disk in loop_process.disks:
        assert disk.link == f"/dev/disk/by-id/virtio-{disk.serial}"
        assert os.path.realpath(disk.link) == disk.device


@pytest.mark.root
def test_announced_mounts_are_mounted(loop_process: SimulatorProcess) -> None:
    seen = {(m.source, m.target, m.fstype) for m in kernel.mounts()}
    assert {(disk.device, disk.mount, disk.fs) for disk in loop_process.disks} <= seen


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_it_and_nothing_remains(
    loop_process: SimulatorProcess, tmp_path: Path, run_folder: Path, number: int
) -> None:
    assert len(remains(loop_process, tmp_path, run_folder)) >= 8
    assert loop_process.end(number) == 0
    assert remains(loop_process, tmp_path, run_folder) == []


@pytest.mark.root
def test_kill_leaves_nothing_for_the_watchdog_cleans_up(
    loop_process: SimulatorProcess, tmp_path: Path, run_folder: Path
) -> None:
    loop_process.end(signal.SIGKILL)
    eventually(lambda: remains(loop_process, tmp_path, run_folder) == [])


@pytest.mark.root
def test_clean_takes_away_what_is_left_when_the_watchdog_is_killed_too(
    loop_process: SimulatorProcess, tmp_path: Path, run_folder: Path
) -> None:
    os.kill(watchdog_of(loop_process), signal.SIGKILL)
    loop_process.end(signal.SIGKILL)
    assert remains(loop_process, tmp_path, run_folder) != []
    cleaned = command("--clean")
    assert (cleaned.returncode, remains(loop_process, tmp_path, run_folder)) == (0, [])


@pytest.mark.root
def test_next_start_takes_away_what_a_dead_one_left(
    loop_process: SimulatorProcess, tmp_path: Path, run_folder: Path
) -> None:
    os.kill(watchdog_of(loop_process), signal.SIGKILL)
    loop_process.end(signal.SIGKILL)
    with simulator_running("--storage", "none"):
        left = remains(loop_process, tmp_path, run_folder)
    assert [path for path in left if not path.endswith(".ledger") and "ecs-simulator" in path] == []
    assert not Path(loop_process.disks[0].mount).exists()


@pytest.mark.root
def test_clean_leaves_a_living_simulator_alone(
    loop_process: SimulatorProcess, tmp_path: Path, run_folder: Path
) -> None:
    before = remains(loop_process, tmp_path, run_folder)
    assert command("--clean").returncode == 0
    assert remains(loop_process, tmp_path, run_folder) == before


@pytest.mark.root
def test_busy_and_frozen_filesystems_do_not_stop_the_clean_up(
    loop_process: SimulatorProcess, tmp_path: Path, run_folder: Path
) -> None:
    mount = loop_process.disk_with("ext4").mount
    thaw_by_force = subprocess.Popen(["sh", "-c", f"sleep 60; fsfreeze -u {mount}"])
    folder = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(folder, FIFREEZE, 0)
        loop_process.end(signal.SIGKILL)
        eventually(lambda: not (run_folder.glob("*.ledger") and any(run_folder.glob("*.ledger"))))
        os.close(folder)
        folder = -1
        eventually(lambda: remains(loop_process, tmp_path, run_folder) == [])
    finally:
        thaw_by_force.kill()
        thaw_by_force.wait()
        if folder >= 0:
            os.close(folder)


def test_it_ends_with_its_parent_when_told_so(tmp_path: Path, run_folder: Path) -> None:
    # A parent that starts it, waits for its announcement and is gone.
    start = f"{sys.executable} -m ecs_simulator --storage files --die-with-parent"
    script = f"{start} --state-dir {tmp_path}/state > {tmp_path}/out & read line < {tmp_path}/go"
    os.mkfifo(tmp_path / "go")
    env = {**os.environ, "PYTHONPATH": str(AGENT_FOLDER)}
    with subprocess.Popen(["sh", "-c", script], env=env) as parent:
        eventually(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text())
        announced = json.loads((tmp_path / "out").read_text())
        parent.kill()
    eventually(lambda: not Path(f"/proc/{announced['pid']}").exists())
    assert list((tmp_path / "state").iterdir()) == []


@contextlib.contextmanager
def nobodys_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def python_for(wrapper: tuple[str, ...]) -> str:
    """Return a Python that can be started, and start itself again, under a command."""
    program = "import subprocess, sys, ecs_simulator; subprocess.run([sys.executable, '-V'])"
    env = {"PYTHONPATH": str(AGENT_FOLDER), "PATH": os.environ["PATH"]}
    for python in (sys.executable, "/usr/bin/python3"):
        argv = [*wrapper, python, "-c", program]
        if subprocess.run(argv, check=False, capture_output=True, env=env, cwd="/").returncode == 0:
            return python
    pytest.skip("another user can read neither the checkout nor a Python of 3.10 or later")


def test_without_root_it_serves_plain_files_and_says_what_is_left_out() -> None:
    wrapper: tuple[str, ...] = ()
    if os.geteuid() == 0:
        wrapper = as_user(NOBODY)
    with (
        nobodys_folder() as folder,
        simulator_running(
            *("--state-dir", f"{folder}/state", "--disk", "size=1,fs=ext4,mount=/mnt/left-out"),
            wrapper=wrapper,
            env={"ECS_SIMULATOR_RUN_DIR": f"{folder}/run", "SNAP_SELF_TEST_SECRETS_DIR": ""},
            python=python_for(wrapper),
        ) as cloud,
    ):
        [disk] = cloud.disks
        assert (cloud.ready["storage"], disk.device, disk.link, disk.mount) == ("files", "", "", "")
        assert Path(disk.image).stat().st_size == 1 << 30
        told = " ".join(cloud.ready["left_out"])
        assert "not root" in told
        assert "/mnt/left-out" in told


@pytest.mark.root
@pytest.mark.parametrize("variable", ["TMPDIR", "ECS_SIMULATOR_RUN_DIR"])
def test_it_does_not_work_where_others_could_exchange_its_files(
    tmp_path: Path, run_folder: Path, variable: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    done = command("--storage", "files", env={variable: str(place)})
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert str(place) in done.stderr
    assert list(place.iterdir()) == []


@pytest.mark.root
@pytest.mark.parametrize("options", [("--clean",), ("--storage", "files")])
def test_ledger_of_another_user_is_not_obeyed(
    tmp_path: Path, run_folder: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "victim").mkdir()
    run_folder.mkdir()
    line = {"kind": "tree", "path": str(tmp_path / "victim"), "of": ""}
    (run_folder / "1-a.ledger").write_text(json.dumps(line) + "\n")
    os.chown(run_folder, NOBODY, NOBODY)
    done = command(*options)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "not a folder of this user" in done.stderr
    assert (tmp_path / "victim").exists()


def test_faulty_description_is_told_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").write_text('colour = "red"\n[[disks]]\nsize_gib = "one"\n')
    done = command("--config", str(tmp_path / "cloud.toml"))
    assert done.returncode == 2
    assert "colour: unknown" in done.stderr
    assert "disks[0].size_gib: must be of type int, not 'one'" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--disk", "a\x1b[2J\nFAKE LINE=\u202e,x"),
        ("--bogus\x1b[2J\nFAKE LINE",),
        ("--config", "\x1b\nFAKE"),
    ],
    ids=("disk", "file", "option"),
)
def test_hostile_argument_is_told_on_one_line(words: tuple[str, ...]) -> None:
    done = command(*words)
    assert done.returncode == 2
    assert r"\x1b" in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n"))
    assert not any(line.startswith("FAKE") for line in done.stderr.split("\n"))


def test_help_has_examples_and_exit_statuses() -> None:
    done = command("--help")
    assert (done.returncode, "examples:" in done.stdout, "exit status:" in done.stdout) == (
        0,
        True,
        True,
    )


@pytest.mark.root
def test_group_of_both_disks_captures_what_was_synced(
    loop_cloud: SimulatorProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    core = pytest.importorskip("aliyunsdkcore.client")
    from aliyunsdkcore.request import CommonRequest

    from ecs_simulator.config import AccessKeyConfig

    key = AccessKeyConfig()
    client = core.AcsClient(key.access_key_id, key.access_key_secret, "cn-hangzhou")
    request.addfinalizer(client.session.close)

    def call(action: str, **values: str) -> dict[str, Any]:
        asked = CommonRequest(domain=loop_cloud.ecs_url.removeprefix("http://"))
        asked.set_version("2014-05-26")
        asked.set_action_name(action)
        for name, value in values.items():
            asked.add_query_param(name.replace("_", "."), value)
        answer = json.loads(client.do_action_with_exception(asked))
        assert isinstance(answer, dict)
        return answer

    for disk in loop_cloud.disks:
        (Path(disk.mount) / "file").write_text(disk.fs)
    os.sync()
    ids = {f"DiskId_{n}": disk.disk_id for n, disk in enumerate(loop_cloud.disks, start=1)}
    call("CreateSnapshotGroup", InstanceId=loop_cloud.instance_id, **ids)

    def members() -> list[dict[str, Any]]:
        found = call("DescribeSnapshots")["Snapshots"]["Snapshot"]
        return [one for one in found if one["Status"] == "accomplished"]

    eventually(lambda: len(members()) == 2)
    for disk in loop_cloud.disks:
        [member] = [one for one in members() if one["SourceDiskId"] == disk.disk_id]
        image = loop_cloud.captured_image(member["SnapshotId"])
        with mounted_copy(image, disk.fs, tmp_path) as target:
            assert (target / "file").read_text() == disk.fs
