"""What the main job's snapshots hold, taken under heavy writers: clean images, one instant."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_images import WRITER, is_clean
from freeze_rig import skip_reason
from hold_rig import Machine, level_of, machine, scene
from main_job_rig import wait_until

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import mounted_copy

FSTYPES = ("ext4", "xfs", "btrfs")
WHY_NOT = skip_reason(FSTYPES)
pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-"),
]
CUT_APART_S = 0.3
# A log that is on the disk before the data it is about, as databases write: a number is in the data
# only if it is in the log.
DATABASE = """
import os, sys, itertools
log, data = (open(os.path.join(place, "numbers"), "ab", buffering=0) for place in sys.argv[1:3])
for number in itertools.count(1):
    for file in (log, data):
        file.write(b"%015d\\n" % number)
        os.fdatasync(file.fileno())
"""
TRIES = 4


@contextlib.contextmanager
def program(text: str, *places: Path) -> Iterator[None]:
    """Run a program in another process until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *map(str, places)], stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def written(on: Machine) -> Iterator[None]:
    """Write to all disks all the time."""
    with contextlib.ExitStack() as writers:
        for mount in on.mounts.values():
            writers.enter_context(program(WRITER, mount))
        for disk in on.loops.disks:
            on.loops.busy(disk)
        try:
            yield
        finally:
            on.loops.thaw_all()


def cut_apart(on: Machine) -> None:
    """Have single snapshots of the disks cut one after the other."""
    for number, disk in enumerate(on.cloud.process.disks):
        on.cloud.process.control(
            "PUT", "disk-life", {"disk_id": disk.disk_id, "cut_skew_s": number * CUT_APART_S}
        )


@pytest.fixture(scope="module")
def groupable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("group"), *FSTYPES) as made, written(made):
        yield made


@pytest.fixture(scope="module")
def ungroupable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("apart")
    with machine(folder, *FSTYPES, category="cloud_efficiency") as made, written(made):
        cut_apart(made)
        yield made


def captured(on: Machine, done: AgentResult) -> dict[str, bool]:
    """Return by filesystem type whether what was captured is clean without any replay."""
    taken = {shot["disk_id"]: shot["snapshot_id"] for shot in done.json["snapshots"]}
    clean = {}
    copy = on.loops.base / "store" / "copy"
    for disk in on.cloud.process.disks:
        if disk.disk_id not in taken:
            continue
        image = on.cloud.process.captured_image(taken[disk.disk_id])
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        try:
            clean[disk.fs] = is_clean(disk.fs, copy)
        finally:
            copy.unlink()
    return clean


def snapshot(
    agent: AgentRunner, on: Machine, name: str, *options: str, level: str = "filesystem"
) -> AgentResult:
    """Do the main job at a level and hold it to having reached it."""
    with scene(agent, on, name) as one:
        one.agent = one.agent.with_env(SNAP_SELF_FREEZE_LIMIT="10s")
        done = one.run(*options, level=level)
    assert (done.status, level_of(done)) == (0, level), done.out + done.err
    return done


@pytest.mark.parametrize("fstype", FSTYPES)
def test_image_of_one_disk_is_clean(agent: AgentRunner, groupable: Machine, fstype: str) -> None:
    mount = next(m for name, m in groupable.mounts.items() if name.endswith(fstype))
    done = snapshot(agent, groupable, f"one {fstype}", "--path", str(mount))
    assert captured(groupable, done) == {fstype: True}


@pytest.mark.parametrize("level", ["filesystem", "application"])
def test_images_of_a_group_are_clean(agent: AgentRunner, groupable: Machine, level: str) -> None:
    done = snapshot(agent, groupable, f"group {level}", level=level)
    assert len({shot["group_id"] for shot in done.json["snapshots"]}) == 1
    assert captured(groupable, done) == dict.fromkeys(FSTYPES, True)


@pytest.mark.parametrize("level", ["filesystem", "application"])
def test_images_of_disks_that_cannot_be_grouped_are_clean(
    agent: AgentRunner, ungroupable: Machine, level: str
) -> None:
    done = snapshot(agent, ungroupable, f"apart {level}", level=level)
    assert {shot["group_id"] for shot in done.json["snapshots"]} == {None}
    assert captured(ungroupable, done) == dict.fromkeys(FSTYPES, True)


@pytest.mark.parametrize(("disks", "level"), [("groupable", "flush"), ("ungroupable", "crash")])
def test_image_is_not_clean_when_nothing_is_frozen(
    agent: AgentRunner, request: pytest.FixtureRequest, disks: str, level: str
) -> None:
    on: Machine = request.getfixturevalue(disks)
    assert not all(
        all(captured(on, snapshot(agent, on, f"{disks} {level} {n}", level=level)).values())
        for n in range(TRIES)
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("database")
    with machine(folder, "ext4", "xfs", category="cloud_efficiency") as made:
        cut_apart(made)  # the log's disk first, the data's 300 ms later
        log, data = made.mounts.values()
        with program(DATABASE, log, data):
            wait_until(lambda: len(numbers(data)) > 20, "a database that writes")
            try:
                yield made
            finally:
                made.loops.thaw_all()


def numbers(folder: Path) -> set[bytes]:
    """Return the whole numbers in a file of the database."""
    path = folder / "numbers"
    return {n for n in path.read_bytes().split(b"\n") if len(n) == 15} if path.exists() else set()


def ahead_of_its_log(on: Machine, done: AgentResult, folder: Path) -> int:
    """Return how many numbers the captured data has that the captured log lacks."""
    taken = {shot["disk_id"]: shot["snapshot_id"] for shot in done.json["snapshots"]}
    found = []
    for disk in on.cloud.process.disks:
        image = on.cloud.process.captured_image(taken[disk.disk_id])
        with mounted_copy(image, disk.fs, folder) as mounted:
            found.append(numbers(mounted))
    log, data = found
    assert len(data) > 20
    return len(data - log)


@pytest.mark.parametrize("level", ["filesystem", "application"])
def test_database_over_two_disks_cut_apart_is_whole_when_held(
    agent: AgentRunner, database: Machine, tmp_path: Path, level: str
) -> None:
    done = snapshot(agent, database, f"database {level}", level=level)
    assert ahead_of_its_log(database, done, tmp_path) == 0


def test_database_over_two_disks_cut_apart_is_torn_when_only_flushed(
    agent: AgentRunner, database: Machine, tmp_path: Path
) -> None:
    done = snapshot(agent, database, "database flush", level="flush")
    assert ahead_of_its_log(database, done, tmp_path) > 0
