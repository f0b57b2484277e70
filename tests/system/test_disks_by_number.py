"""Names of devices, images and layers mean what the kernel's numbers say, not what lies there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounts_rig import CANARY, Mounts, bare_cloud, consistency, job, mounts_on, run, safe_to_freeze

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import SimulatedDisk, SimulatorProcess, mounted_copy

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatorProcess]:
    with bare_cloud(disks=3) as process:
        yield process


@pytest.fixture
def mounts(cloud: SimulatorProcess) -> Iterator[Mounts]:
    with mounts_on(cloud) as found:
        yield found


def taken(result: AgentResult) -> set[str]:
    assert result.status in (0, 100, 101), result.out + result.err
    return {each["disk_id"] for each in result.json["snapshots"]}


def misleading_image(mounts: Mounts, fstype: str = "ext4") -> tuple[SimulatedDisk, Path]:
    """Mount an image on the second disk whose name leads to the first disk in our namespace."""
    first, second = mounts.make(0), mounts.make(1, fstype)
    upper = mounts.mount(first.device, "A")
    folder = upper / "data"
    folder.mkdir()
    space = mounts.namespace()
    space.run("mount", second.device, folder)
    image = folder / "image"
    space.run("truncate", "-s", "64M", image)
    space.run("mkfs.ext4", "-q", "-F", image)
    device = space.run("losetup", "--find", "--show", image).strip()
    mounts.undo.callback(run, "losetup", "--detach", device)
    (folder / "image").write_bytes(b"another file of that name")
    return second, mounts.mount(device, "inner")


@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
def test_path_in_an_image_opened_in_another_namespace_means_its_own_disk(
    agent: AgentRunner, mounts: Mounts, fstype: str
) -> None:
    disk, inner = misleading_image(mounts, fstype)
    content = os.urandom(1 << 16)
    (inner / CANARY).write_bytes(content)
    result = job(agent.against(mounts.cloud), "--path", str(inner))
    assert taken(result) == {disk.disk_id}
    assert consistency(result)["reached"] == "flush"
    captured = mounts.image(result, disk)
    folder = mounts.place("look")
    with (
        mounted_copy(captured, fstype, folder) as outer,
        mounted_copy(outer / "image", "ext4", folder) as found,
    ):
        assert (found / CANARY).read_bytes() == content


def test_image_on_a_subvolume_that_no_name_leads_to_takes_its_disk_or_none(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk, inner = misleading_image(mounts, "btrfs")
    result = job(agent.against(mounts.cloud), "--path", str(inner))
    # The kernel tells the subvolume's device alone: it can be of any btrfs of the machine.
    assert result.status == 6 or disk.disk_id in taken(result)


def test_image_is_not_told_to_lie_on_the_disk_that_its_name_leads_to(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk, inner = misleading_image(mounts)
    result = agent.against(mounts.cloud).run("plan", "--json", "--exclude", disk.disk_id)
    assert result.status == 0, result.err
    carried = {mount["path"] for each in result.json["disks"] for mount in each["mounts"]}
    assert str(mounts.folder / "A") in carried
    assert str(inner) not in carried


def test_deleted_image_is_traced_to_its_disk(agent: AgentRunner, mounts: Mounts) -> None:
    disk = mounts.make(0)
    outer = mounts.mount(disk.device, "outer")
    image = outer / "image"
    run("truncate", "-s", "64M", image)
    run("mkfs.ext4", "-q", "-F", image)
    inner = mounts.mount(image, "inner", "-o", "loop")
    image.unlink()
    result = job(agent.against(mounts.cloud), "--path", str(inner))
    assert taken(result) == {disk.disk_id}


@pytest.fixture
def xfs_log(mounts: Mounts) -> Iterator[Path]:
    """Mount an xfs whose log is named by a link such as a udev rule makes; give that link."""
    data, log = mounts.disks[0].device, mounts.disks[1].device
    link = Path(f"/dev/snap-self-log-{os.getpid()}")
    link.symlink_to(log)
    mounts.undo.callback(link.unlink, missing_ok=True)
    run("mkfs.xfs", "-q", "-f", "-l", f"logdev={log},size=64m", data)
    mounts.mount(data, "data", "-o", f"logdev={link}")
    return link


@pytest.mark.usefixtures("xfs_log")
def test_log_of_an_xfs_is_found_by_where_its_name_leads(agent: AgentRunner, mounts: Mounts) -> None:
    both = {disk.disk_id for disk in mounts.disks[:2]}
    runner = agent.against(mounts.cloud)
    assert taken(job(runner, "--path", f"{mounts.folder}/data")) == both
    result = runner.run("plan", "--json", "--exclude", mounts.disks[1].disk_id)
    assert result.status == 7
    assert "would not be in the snapshot set" in result.json["error"]["message"]


def test_log_of_an_xfs_that_cannot_be_found_refuses_its_disk_alone(
    agent: AgentRunner, mounts: Mounts, xfs_log: Path
) -> None:
    xfs_log.unlink()
    runner = agent.against(mounts.cloud)
    refused = runner.run("plan", "--json")
    assert refused.status == 7
    assert str(xfs_log) in refused.json["error"]["message"]
    assert runner.run("plan", "--json", "--exclude", f"{mounts.folder}/data").status == 0


def odd_btrfs(mounts: Mounts) -> Path:
    """Mount a btrfs over two disks and one on the third, by nodes in a folder of the test's own."""
    nodes = []
    for disk in mounts.disks:
        node = mounts.folder / "nodes" / Path(disk.device).name
        node.parent.mkdir(exist_ok=True)
        os.mknod(node, 0o600 | stat.S_IFBLK, Path(disk.device).stat().st_rdev)
        nodes.append(node)
    run("mkfs.btrfs", "-q", "-f", nodes[0], nodes[1])
    run("mkfs.btrfs", "-q", "-f", nodes[2])
    run("btrfs", "device", "scan", *nodes)
    place = mounts.mount(nodes[0], "two", "-o", f"device={nodes[0]},device={nodes[1]}")
    mounts.mount(nodes[2], "one")
    return place


def test_btrfs_by_nodes_of_other_names_is_flushed_whole(agent: AgentRunner, mounts: Mounts) -> None:
    place = odd_btrfs(mounts)
    mounts.canary(mounts.folder / "one", mounts.disks[2])
    runner = agent.against(mounts.cloud)
    result = job(runner)
    assert taken(result) == {disk.disk_id for disk in mounts.disks}
    assert consistency(result)["reached"] == "flush"
    assert mounts.caught(result, mounts.disks[2], "btrfs")
    gaps = [gap["what"] for gap in result.json["not_covered"]]
    assert not [gap for gap in gaps if gap.startswith(str(mounts.folder))]
    both = {disk.disk_id for disk in mounts.disks[:2]}
    assert taken(job(runner, "--path", str(place))) == both
    assert runner.run("plan", "--exclude", mounts.disks[1].disk_id).status == 7


def overlay(mounts: Mounts, store: Path) -> Path:
    for name in ("lower", "upper", "work"):
        (store / name).mkdir()
    (store / "lower" / "file").touch()
    options = f"lowerdir={store}/lower,upperdir={store}/upper,workdir={store}/work"
    return mounts.mount("overlay", "merged", "-t", "overlay", "-o", options)


def test_path_in_an_overlay_means_the_disk_that_its_layers_lead_to(
    agent: AgentRunner, mounts: Mounts
) -> None:
    system, data = mounts.make(0), mounts.make(1)
    upper = mounts.mount(system.device, "A")
    real = mounts.mount(data.device, "B") / "containerd"
    real.mkdir()
    (upper / "containerd").symlink_to(real)
    merged = overlay(mounts, upper / "containerd")
    runner = agent.against(mounts.cloud)
    assert taken(job(runner, "--path", str(merged / "file"))) == {data.disk_id}
    # With a layer on the other disk, both count.
    (upper / "more").mkdir()
    options = f"lowerdir={upper}/more:{upper}/containerd/lower"
    both = mounts.mount("overlay", "both", "-t", "overlay", "-o", options)
    assert taken(job(runner, "--path", str(both))) == {system.disk_id, data.disk_id}


def test_freeze_is_not_held_up_by_images_that_have_nothing_to_do_with_it(
    agent: AgentRunner, mounts: Mounts
) -> None:
    _, inner = misleading_image(mounts)
    other = mounts.make(2)
    place = mounts.mount(other.device, "other")
    with safe_to_freeze(agent, mounts, place) as safe:
        result = job(
            safe.against(mounts.cloud), "--consistency", "filesystem", "--path", str(place)
        )
    assert result.status == 0, result.out
    assert not [note for note in result.json["notes"] if "image" in note or "No such file" in note]
    assert inner.is_mount()


def test_freeze_of_what_holds_an_image_of_another_name_is_refused(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk, inner = misleading_image(mounts)
    mounts.mount(disk.device, "B")
    with safe_to_freeze(agent, mounts, mounts.folder / "B") as safe:
        result = job(
            safe.against(mounts.cloud), "--consistency", "filesystem", "--path", str(inner)
        )
    assert result.status == 100, result.out
    assert "is backed by" in consistency(result)["why"]


def test_journal_is_told_not_to_be_known_in_another_pid_namespace(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk = mounts.make(0)
    place = mounts.mount(disk.device, "data")
    runner = agent.against(mounts.cloud)
    inside = runner.with_wrapper("unshare", "--pid", "--fork", "--mount-proc")
    for each, expected in ((runner, False), (inside, True)):
        result = each.run("plan", "--json")
        assert result.status == 0, result.err
        assert any(str(place) in note for note in result.json["notes"]) is expected
