"""The manifest of this machine: in the journal, in the snapshot, past what never answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kernel_servers import unanswering
from main_job_rig import Cloud, cloud_running

from agent_runner import AgentRunner
from fixtures_simulator import mounted_copy
from snap_self.model.ids import RunId
from snap_self.model.packed import ManifestKey
from snap_self.system.clock import SystemClock
from snap_self.system.manifest.etc_files import digest_of
from snap_self.system.manifest.reading import MachineManifests
from snap_self.system.state.manifests import Manifests

pytestmark = pytest.mark.root

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("disks")) as running:
        yield running


def test_manifest_is_private_and_in_the_snapshot_that_it_belongs_to(
    agent: AgentRunner, cloud: Cloud, tmp_path: Path
) -> None:
    cloud.calm()
    user = replace(agent, state=cloud.ext4 / "state").against(cloud)
    made = user.run("--before", "x", "--json").json
    run_id = RunId(made["run"]["id"])
    live = Manifests(user.state)
    kept = live.read(run_id)
    assert kept is not None
    assert (kept.instance_id, kept.manager) == (made["instance"]["id"], "dpkg")
    assert kept.kernel.get("running", os.uname().release) == os.uname().release
    told = [note for note in made["notes"] if "could be noted" in note]  # where it is slow here
    assert bool(told) is not kept.complete
    modes = {path.stat().st_mode & 0o777 for path in (user.state / "manifests").iterdir()}
    assert modes == {0o600}
    (disk,) = [each for each in cloud.process.disks if each.fs == "ext4"]
    (shot,) = [s for s in made["snapshots"] if s["disk_id"] == disk.disk_id]
    with mounted_copy(
        cloud.process.captured_image(shot["snapshot_id"]), "ext4", tmp_path
    ) as inside:
        held = Manifests(inside / "state")
        assert held.read(run_id) == kept
        assert held.key() == live.key()


def test_filesystem_below_etc_that_never_answers_is_told_and_holds_up_nothing(
    tmp_path: Path,
) -> None:
    hung = tmp_path / "etc/hung"
    hung.mkdir(parents=True)
    (tmp_path / "etc/zz-last").write_text("x")
    key = ManifestKey(key=b"k" * 32, key_id="one")
    reader = MachineManifests(lambda: key, SystemClock(), root=str(tmp_path))
    began = time.monotonic()
    with unanswering(hung):
        one = reader.read(RunId("run"), "i-1", limit_s=PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S
    assert one.files["/etc/zz-last"].digest == digest_of(b"x", key.key)
    assert "/etc/hung" not in one.files
    (missing,) = one.left_out
    assert (missing.part, missing.why) == (
        "files",
        "/etc/hung: not looked into, as it is a mount of fuse",
    )
