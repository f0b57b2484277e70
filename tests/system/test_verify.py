"""`verify` on loop disks: a sound copy is proved, a damaged one is found, and nothing stays."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running
from opening_rig import copies_in

from agent_runner import AgentRunner
from snap_self.model.opening import CopyShape
from snap_self.system.copied_etc import CopiedFacts
from snap_self.system.state.manifests import Manifests

pytestmark = pytest.mark.root

INODE_BYTES = 256


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a cloud with an ext4 and an xfs disk."""
    with cloud_running(tmp_path_factory.mktemp("verify")) as running:
        yield running


@pytest.fixture
def verifier(agent: AgentRunner, cloud: Cloud) -> AgentRunner:
    """Return the agent on that cloud."""
    cloud.calm()
    return agent.against(cloud)


def snapshot(agent: AgentRunner, cloud: Cloud) -> None:
    """Make a snapshot of both disks, whatever else is mounted here."""
    disks = [word for disk_id in sorted(cloud.disk_ids) for word in ("--disk", disk_id)]
    made = agent.run("--before", "a change", "--json", *disks)
    assert made.status == 0, made.err


def device_of(place: Path) -> str:
    """Return the device that is mounted at a place."""
    argv = ("findmnt", "--noheadings", "--output", "SOURCE", str(place))
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def damaged_inode(file: Path, place: Path) -> Iterator[None]:
    """Have a file's entry in the inode table be nonsense on the disk; the kernel has its own."""
    device = device_of(place)
    argv = ("debugfs", "-R", f"imap <{file.stat().st_ino}>", device)
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = re.search(r"located at block (\d+), offset 0x([0-9a-f]+)", told)
    assert found, told
    at = int(found[1]) * os.statvfs(place).f_bsize + int(found[2], 16)
    with open(device, "r+b", buffering=0) as disk:  # noqa: PTH123 - a device
        good = os.pread(disk.fileno(), INODE_BYTES, at)
        os.pwrite(disk.fileno(), b"\xa5" * INODE_BYTES, at)
        os.fsync(disk.fileno())
        try:
            yield
        finally:
            os.pwrite(disk.fileno(), good, at)
            os.fsync(disk.fileno())


def nothing_is_left(cloud: Cloud, agent: AgentRunner) -> None:
    """Hold cloud and machine to what they were."""
    assert set(cloud.state()["disks"]) == cloud.disk_ids
    assert list((agent.state / "restores").glob("*.json")) == []
    assert not Path("/run/udev/rules.d/59-snap-self-temp.rules").exists()


def test_sound_copy_is_proved_and_listed(cloud: Cloud, verifier: AgentRunner) -> None:
    (cloud.ext4 / "a").write_text("then\n", encoding="utf-8")
    snapshot(verifier, cloud)

    done = verifier.run("verify", "last", "--path", str(cloud.ext4), "--yes", "--json")

    assert done.status == 0, done.err
    (proof,) = done.json["filesystems"]
    assert (proof["opened"], proof["replayed"], proof["checked"]) == (True, True, "clean")
    assert proof["files"] is None
    assert all(disk["deleted"] for disk in done.json["disks"])
    nothing_is_left(cloud, verifier)
    listed = verifier.run("list", "--json").json["snapshots"]
    told = {shot["snapshot_id"]: shot["verified"] for shot in listed}
    assert told[proof["snapshot_ids"][0]]["result"] == "proved"
    assert [each for each in told.values() if each is None], "the other disk was not looked at"
    tags = cloud.state()["snapshots"][proof["snapshot_ids"][0]]["tags"]
    assert tags["snap-self-verified"].startswith("proved ")


def test_copy_with_a_damaged_inode_table_is_found_damaged(
    cloud: Cloud, verifier: AgentRunner
) -> None:
    file = cloud.ext4 / "b"
    file.write_text("then\n", encoding="utf-8")
    # Else the log has the entry too, and replaying it mends the copy.
    for how in ("ro", "rw"):
        subprocess.run(("mount", "-o", f"remount,{how}", str(cloud.ext4)), check=True)
    with damaged_inode(file, cloud.ext4):
        snapshot(verifier, cloud)

    done = verifier.run("verify", "last", "--path", str(cloud.ext4), "--yes")

    assert done.status == 11, f"{done.out}{done.err}"
    assert "e2fsck found damage" in done.out
    assert "is damaged" in done.err
    nothing_is_left(cloud, verifier)
    assert "DAMAGED" in verifier.run("list").out


@pytest.mark.parametrize("old_calls", [False, True], ids=["fsmount", "namespace"])
def test_etc_is_read_in_a_copy_however_it_was_opened(tmp_path: Path, *, old_calls: bool) -> None:
    with copies_in(tmp_path) as copies:
        original = copies.original("ext4")
        original.write("etc/hosts", "then", synced=True)
        opener = copies.opener(old_calls=old_calls)
        shape = CopyShape(fstype="ext4", what="/")
        opened = opener.open(copies.copy_of(original.image), shape, at=None)
        found = CopiedFacts(Manifests(tmp_path / "state")).etc(opened.fd, "etc")
        opener.close(opened)
    assert found.faults == ""
    assert found.files["/etc/hosts"].size == len("then")
    assert found.files["/etc/hosts"].digest
