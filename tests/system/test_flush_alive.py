"""Every filesystem that is alive on a chosen disk is synced, or the level falls and names it.

However it is mounted, or not mounted any more, and whatever becomes of it while the cloud is asked.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hook_rig import HookRig
from mounts_rig import (
    CANARY,
    Mounts,
    asking,
    bare_cloud,
    consistency,
    in_sandbox,
    job,
    mounts_on,
    needs_recovery,
    run,
    safe_to_freeze,
    unmount,
)

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import SimulatedDisk, SimulatorProcess

pytestmark = pytest.mark.root

ASKING_S, LOOKED_S = 2.5, 1.2


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatorProcess]:
    with bare_cloud(disks=2) as process:
        yield process


@pytest.fixture
def mounts(cloud: SimulatorProcess) -> Iterator[Mounts]:
    with mounts_on(cloud) as found:
        yield found


def level_of(result: AgentResult, mounts: Mounts, disk: SimulatedDisk, fstype: str = "ext4") -> str:
    """Return the level that was reached, which what was captured must bear out."""
    assert result.json["snapshots"], result.out + result.err
    reached = str(consistency(result)["reached"])
    assert reached == "crash" or mounts.caught(result, disk, fstype), result.out
    if reached == "filesystem" and fstype == "ext4":
        assert not needs_recovery(mounts.image(result, disk))
    return reached


def lowered(result: AgentResult, reached: str, words: str = "") -> bool:
    """Tell whether a level that fell is told, unless another program's namespace led there."""
    if reached == "flush":
        return result.status == 0
    return result.status == 100 and words in consistency(result)["why"]


@dataclass
class Scene:
    """A filesystem on the first disk, and what tells of it."""

    mounts: Mounts
    disk: SimulatedDisk
    place: Path

    def run(self, agent: AgentRunner, *options: str) -> AgentResult:
        """Do the main job."""
        return job(agent.against(self.mounts.cloud), *options)


def at_home(mounts: Mounts, fstype: str = "ext4") -> Scene:
    disk = mounts.make(0, fstype)
    return Scene(mounts, disk, mounts.mount(disk.device, "data"))


@pytest.mark.parametrize("level", ["flush", "filesystem"])
@pytest.mark.parametrize("path", [False, True], ids=["all", "path"])
def test_filesystem_behind_a_read_only_mount_is_flushed_and_frozen(
    agent: AgentRunner, mounts: Mounts, level: str, *, path: bool
) -> None:
    scene = at_home(mounts)
    mounts.canary(scene.place, scene.disk)
    run("mount", "-o", "remount,bind,ro", scene.place)
    options = ("--path", str(scene.place)) if path else ()
    with safe_to_freeze(agent, mounts, scene.place) as safe:
        result = scene.run(safe, "--consistency", level, *options)
    assert level_of(result, mounts, scene.disk) == level
    assert result.status == 0


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_filesystem_unmounted_lazily_lowers_the_level_and_is_named(
    agent: AgentRunner, mounts: Mounts, fstype: str
) -> None:
    scene = at_home(mounts, fstype)
    with (scene.place / "held").open("wb") as held:
        mounts.canary(scene.place, scene.disk)
        run("umount", "--lazy", scene.place)
        held.write(b"more")
        result = scene.run(agent)
        run("mount", "-t", "tmpfs", "tmpfs", scene.place)  # for the test's own end
    reached = level_of(result, mounts, scene.disk, fstype)
    assert lowered(result, reached, "mounted nowhere that can be seen")


def test_filesystem_unmounted_lazily_is_not_called_frozen(
    agent: AgentRunner, mounts: Mounts
) -> None:
    scene = at_home(mounts)
    other = mounts.make(1)
    beside = mounts.mount(other.device, "beside")
    with (scene.place / "held").open("wb"):
        mounts.canary(scene.place, scene.disk)
        run("umount", "--lazy", scene.place)
        with safe_to_freeze(agent, mounts, beside) as safe:
            result = scene.run(safe, "--consistency", "filesystem")
        run("mount", "-t", "tmpfs", "tmpfs", scene.place)
    assert level_of(result, mounts, scene.disk) in ("crash", "flush")
    assert result.json["frozen_s"] is not None


def test_filesystem_in_a_namespace_without_a_process_lowers_the_level(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk = mounts.make(0)
    pinned = mounts.place("pinned")
    run("mount", "--bind", pinned, pinned)
    mounts.undo.callback(run, "umount", pinned)
    run("mount", "--make-private", pinned)
    name = pinned / "namespace"
    name.touch()
    place = mounts.place("data")
    space = ("nsenter", f"--mount={name}")
    run("unshare", f"--mount={name}", "--propagation", "private", "true")
    mounts.undo.callback(run, "umount", name)
    run(*space, "mount", disk.device, place)
    holder = subprocess.Popen([*space, "sleep", "60"])
    try:
        time.sleep(0.3)
        mounts.canary(Path(f"/proc/{holder.pid}/root{place}"), disk)
    finally:
        holder.kill()
        holder.wait()
    result = job(agent.against(mounts.cloud))
    assert lowered(result, level_of(result, mounts, disk))


THREAD = """\
import ctypes, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
device, place = sys.argv[1:]
def work():
    assert libc.unshare(0x00020000 | 0x00000200) == 0, ctypes.get_errno()
    assert libc.mount(b"none", b"/", None, 0x40000 | 0x4000, None) == 0
    assert libc.mount(device.encode(), place.encode(), b"ext4", 0, None) == 0
    open(place + "/canary", "wb").write(bytes(range(256)) * 256)
    print(flush=True)
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
sys.stdin.read()
"""


def test_filesystem_in_the_namespace_of_a_thread_lowers_the_level(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk = mounts.make(0)
    argv = [sys.executable, "-c", THREAD, disk.device, str(mounts.place("data"))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        mounts.canaries[disk.disk_id] = bytes(range(256)) * 256
        result = job(agent.against(mounts.cloud))
        process.kill()
    assert lowered(result, level_of(result, mounts, disk))


def test_end_of_the_only_process_of_a_namespace_makes_no_false_claim(
    agent: AgentRunner, mounts: Mounts
) -> None:
    disk = mounts.make(0)
    space = mounts.namespace()
    place = mounts.place("data")
    space.run("mount", disk.device, place)
    mounts.canary(Path(f"/proc/{space.pid}/root{place}"), disk)
    runner = agent.against(mounts.cloud)
    with asking(mounts.cloud, ASKING_S), runner.start("--before", "x", "--json") as running:
        time.sleep(LOOKED_S)
        space.end()  # its mounts go with it, and what they hold is written
        result = running.wait()
    assert lowered(result, level_of(result, mounts, disk))


def test_data_that_the_kernel_could_not_write_lowers_the_level(
    agent: AgentRunner, mounts: Mounts
) -> None:
    scene = at_home(mounts)
    image = scene.place / "image"
    run("truncate", "-s", "400M", image)
    run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=1", image)
    inner = mounts.mount(image, "inner", "-o", "loop")
    filler = scene.place / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:  # the disk is full, so the image cannot grow
            file.write(b"\xa5" * (1 << 20))
    with (inner / "lost").open("wb") as file:
        file.write(os.urandom(64 << 20))
    result = scene.run(agent)
    assert result.status == 100, result.out
    assert str(inner) in consistency(result)["why"]
    filler.unlink()


def test_filesystem_below_another_mount_lowers_the_level(
    agent: AgentRunner, mounts: Mounts
) -> None:
    # In a namespace of its own, since another one that has a copy of the mount leads there too.
    scene = at_home(mounts)
    run("mount", "--make-private", scene.place)
    mounts.canary(scene.place, scene.disk)
    run("mount", "-t", "tmpfs", "tmpfs", scene.place)
    mounts.undo.callback(run, "umount", scene.place)
    result = scene.run(agent)
    assert lowered(result, level_of(result, mounts, scene.disk), "mounted over it")


def test_filesystem_below_another_mount_and_bound_elsewhere_is_flushed(
    agent: AgentRunner, mounts: Mounts
) -> None:
    scene = at_home(mounts)
    run("mount", "--bind", scene.place, mounts.place("again"))
    mounts.undo.callback(run, "umount", mounts.place("again"))
    mounts.canary(scene.place, scene.disk)
    run("mount", "-t", "tmpfs", "tmpfs", scene.place)
    mounts.undo.callback(run, "umount", scene.place)
    result = scene.run(agent)
    assert (result.status, level_of(result, mounts, scene.disk)) == (0, "flush")


def test_mount_of_a_single_file_is_way_enough(agent: AgentRunner, mounts: Mounts) -> None:
    scene = at_home(mounts)
    mounts.canary(scene.place, scene.disk)
    (mounts.folder / "file").touch()
    steps = (
        f"mount --bind {scene.place}/canary {mounts.folder}/file",
        f"umount {scene.place}",
        # Another process's view would lead there as well.
        "mount -t proc -o hidepid=noaccess proc /proc",
    )
    result = scene.run(agent.with_wrapper(*in_sandbox(*steps)))
    assert (result.status, level_of(result, mounts, scene.disk)) == (0, "flush")


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "not-frozen"])
def test_mount_made_while_applications_come_to_rest_makes_no_false_claim(
    agent: AgentRunner, mounts: Mounts, *, frozen: bool
) -> None:
    scene = at_home(mounts)
    late = mounts.make(1)
    place = mounts.place("late")
    source = mounts.folder / "source"
    source.write_bytes(os.urandom(1 << 16))
    mounts.canaries[late.disk_id] = source.read_bytes()
    hooks = HookRig()
    mounts.undo.callback(hooks.close)
    mounts.undo.callback(unmount, place)
    target = place if frozen else scene.place
    mount = f"mount {late.device} {place} && " if frozen else ""
    hooks.hook("10-app", f"{mount}cp {source} {target}/{CANARY}", phase="pre")
    mounts.canaries[scene.disk.disk_id] = source.read_bytes()
    env = {"SNAP_SELF_HOOKS_DIR": str(hooks.folder)}
    if not frozen:
        env["SNAP_SELF_STATE_DIR"] = str(scene.place / "state")  # so a freeze is refused
    with safe_to_freeze(agent, mounts, scene.place) as safe:
        result = scene.run(safe.with_env(**env), "--consistency", "application")
    assert result.status == 100, result.out
    disk = late if frozen else scene.disk
    assert level_of(result, mounts, disk) == "flush"


Change = Callable[[Scene], None]


def move(scene: Scene) -> None:
    run("mount", "--move", scene.place, scene.mounts.place("elsewhere"))


def mount_and_write(scene: Scene) -> None:
    run("mount", scene.disk.device, scene.place)
    scene.mounts.canary(scene.place, scene.disk)


def unmount_and_mount_elsewhere(scene: Scene) -> None:
    run("umount", scene.place)
    run("mount", scene.disk.device, scene.mounts.place("elsewhere"))
    scene.mounts.canary(scene.mounts.place("elsewhere"), scene.disk)


def unmount_lazily(scene: Scene) -> None:
    run("umount", "--lazy", scene.place)


def unmount_for_good(scene: Scene) -> None:
    run("umount", scene.place)


def make_read_only(scene: Scene) -> None:
    run("mount", "-o", "remount,ro", scene.place)


def unmount_and_exchange(scene: Scene) -> None:
    run("umount", scene.place)
    run("mount", "-t", "tmpfs", "tmpfs", scene.place)


CHANGES: dict[str, Change] = {
    "moved": move,
    "mounted": mount_and_write,
    "mounted-elsewhere": unmount_and_mount_elsewhere,
    "unmounted-lazily": unmount_lazily,
    "unmounted": unmount_for_good,
    "read-only": make_read_only,
    "another-in-its-place": unmount_and_exchange,
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_while_the_cloud_is_asked_makes_no_false_claim(
    agent: AgentRunner, mounts: Mounts, name: str
) -> None:
    change = CHANGES[name]
    disk = mounts.make(0)
    scene = Scene(mounts, disk, mounts.place("data"))
    parent = mounts.mount("tmpfs", "base", "-t", "tmpfs")  # shared mounts cannot be moved
    run("mount", "--make-private", parent)
    scene.place, mounts.folder = parent / "data", parent
    mounts.place("data")
    holding = []
    if change is not mount_and_write:
        run("mount", disk.device, scene.place)
        mounts.canary(scene.place, disk)
    if change is unmount_lazily:
        holding.append((scene.place / "held").open("wb"))
    mounts.undo.callback(run, "umount", "-R", "-l", parent)
    runner = agent.against(mounts.cloud)
    with asking(mounts.cloud, ASKING_S), runner.start("--before", "x", "--json") as running:
        time.sleep(LOOKED_S)
        assert running.process.poll() is None
        change(scene)
        result = running.wait()
    for file in holding:
        file.close()
    mounts.folder = parent.parent
    reached = level_of(result, mounts, disk)
    assert reached == "flush" or change is unmount_lazily
    assert lowered(result, reached)
