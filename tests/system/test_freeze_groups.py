"""Two disks frozen together under a writer on each: what the simulated cloud captures is clean."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from freeze_images import WRITER, is_clean
from freeze_rig import Disk, Rig, guard, rig, skip_reason

from ecs_simulator.config import AccessKeyConfig
from fixtures_simulator import SimulatorProcess, simulator_running

FSTYPES = ("ext4", "xfs", "btrfs")
CUT_LATER_S = 0.3
LIMIT_S = 20.0
LIFE = {
    "cut_s": 0.1,
    "available_s": 0.1,
    "accomplished_s": 0.1,
    "visible_lag_s": 0.0,
    "member_lag_s": 0.0,
    "fail_at": "",
}
pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(skip_reason(FSTYPES)), reason=skip_reason(FSTYPES) or "-"),
]


class Pair:
    """A cloud with two disks that are written to all the time, and a rig that can freeze them."""

    def __init__(self, cloud: SimulatorProcess, loops: Rig, *, grouped: bool) -> None:
        self.cloud = cloud
        self.loops = loops
        self.grouped = grouped

    def capture(self, *, freeze: bool) -> dict[str, bool]:
        """Return by filesystem type whether the image that was captured is clean."""
        if freeze:
            agent = self.loops.agent(*self.loops.disks, hold_s=8)
            assert agent.do("prepare").startswith("ok")
            assert agent.do("freeze") == "ok"
        before = {one["SnapshotId"] for one in self.snapshots()}
        self.create()
        end = time.monotonic() + 6
        while len(new := [s for s in self.done() if s["SnapshotId"] not in before]) < 2:
            assert time.monotonic() < end, "the cut was not seen in time"
            time.sleep(0.02)
        if freeze:
            assert "held=True" in agent.do("thaw")
            agent.close()
        self.loops.disarm()
        by_disk = {one["SourceDiskId"]: one["SnapshotId"] for one in new}
        return {disk.fs: self.is_clean(disk.fs, by_disk[disk.disk_id]) for disk in self.cloud.disks}

    def is_clean(self, fstype: str, snapshot_id: str) -> bool:
        copy = self.loops.base / "store" / "copy"
        image = self.cloud.captured_image(snapshot_id)
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        try:
            return is_clean(fstype, copy)
        finally:
            copy.unlink()

    def create(self) -> None:
        ids = [disk.disk_id for disk in self.cloud.disks]
        if self.grouped:
            numbered = {f"DiskId.{n}": disk_id for n, disk_id in enumerate(ids, start=1)}
            self.call("CreateSnapshotGroup", InstanceId=self.cloud.instance_id, **numbered)
            return
        for number, disk_id in enumerate(ids):
            life = LIFE | {"cut_s": LIFE["cut_s"] + number * CUT_LATER_S}  # type: ignore[operator]
            self.cloud.control("PUT", "life", life)
            self.call("CreateSnapshot", DiskId=disk_id)

    def snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("DescribeSnapshots", PageSize="100")["Snapshots"][
            "Snapshot"
        ]
        return found

    def done(self) -> list[dict[str, Any]]:
        return [one for one in self.snapshots() if one["Status"] == "accomplished"]

    def call(self, action: str, **values: str) -> dict[str, Any]:
        core = pytest.importorskip("aliyunsdkcore.client")
        from aliyunsdkcore.request import CommonRequest

        key = AccessKeyConfig()
        client = core.AcsClient(key.access_key_id, key.access_key_secret, "cn-hangzhou")
        asked = CommonRequest(domain=self.cloud.ecs_url.removeprefix("http://"))
        asked.set_version("2014-05-26")
        asked.set_action_name(action)
        for name, value in values.items():
            asked.add_query_param(name, value)
        try:
            answer: dict[str, Any] = json.loads(client.do_action_with_exception(asked))
        finally:
            client.session.close()
        return answer


@contextlib.contextmanager
def written(pair: Pair) -> Iterator[None]:
    """Write to both disks all the time."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(disk.path)], stderr=subprocess.DEVNULL)
        for disk in pair.loops.disks
    ]
    try:
        for disk in pair.loops.disks:
            pair.loops.busy(disk)
        yield
    finally:
        pair.loops.thaw_all()
        for writer in writers:
            writer.kill()
            writer.wait()


@contextlib.contextmanager
def running(tmp_path: Path, fstypes: tuple[str, str], *, category: str) -> Iterator[Pair]:
    folder, base = tmp_path / "mounts", tmp_path / "rig"
    base.mkdir()
    disks = [f"size=1,category={category},fs={fs},mount={folder}/{fs}" for fs in fstypes]
    with (
        simulator_running(
            "--storage", "loop", "--no-https", "--disk", disks[0], "--disk", disks[1]
        ) as cloud,
        rig(base) as loops,
    ):
        cloud.control("PUT", "life", LIFE)
        for disk in cloud.disks:
            guard(disk.mount)
            loops.disks.append(Disk(Path(disk.mount), disk.device, Path(disk.image)))
        pair = Pair(cloud, loops, grouped=category == "cloud_essd")
        try:
            with written(pair):
                yield pair
        finally:
            loops.thaw_all()
            for agent in loops._agents:
                agent.close()
            loops.thaw_all()
            loops.disks.clear()  # the simulator's to unmount


@pytest.mark.parametrize("category", ["cloud_essd", "cloud_efficiency"], ids=["group", "apart"])
@pytest.mark.parametrize("fstypes", [("ext4", "xfs"), ("btrfs", "ext4")], ids="+".join)
def test_both_images_are_clean_when_both_disks_are_frozen_until_the_last_cut(
    tmp_path: Path, fstypes: tuple[str, str], category: str
) -> None:
    with running(tmp_path, fstypes, category=category) as pair:
        assert pair.capture(freeze=True) == dict.fromkeys(fstypes, True)
        assert pair.capture(freeze=True) == dict.fromkeys(fstypes, True)


@pytest.mark.parametrize("category", ["cloud_essd", "cloud_efficiency"], ids=["group", "apart"])
def test_image_is_not_clean_when_nothing_is_frozen(tmp_path: Path, category: str) -> None:
    with running(tmp_path, ("ext4", "xfs"), category=category) as pair:
        assert not all(all(pair.capture(freeze=False).values()) for _ in range(3))
