"""A directory above a mount point is exchanged while the agent asks the cloud.

Whoever owns that directory may rename it although a filesystem is mounted below, in any mount
namespace, and put another in its place. What is claimed must be true all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mounts_rig import NOBODY, Mounts, bare_cloud, consistency, mounts_on, run, safe_to_freeze

from agent_runner import AgentResult, AgentRunner, RunningAgent
from fixtures_simulator import SimulatedDisk, SimulatorProcess

pytestmark = pytest.mark.root

# Long enough for the agent to have read the mounts before, and for a rename meanwhile.
ASKING_S = 2.5
LOOKED_S = 1.2


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatorProcess]:
    with bare_cloud(disks=1) as process:
        yield process


@pytest.fixture
def mounts(cloud: SimulatorProcess) -> Iterator[Mounts]:
    cloud.control("PUT", "latencies", {"times_s": {"DescribeDisks": ASKING_S}})
    with mounts_on(cloud) as found:
        yield found


@pytest.fixture
def owned(mounts: Mounts) -> Iterator[Path]:
    """Give a folder of another user's; what was renamed in it is put back before it goes."""
    folder = mounts.place("home")
    for place in (folder, mounts.place("home/x"), mounts.place("home/x/data")):
        run("chown", "65534:65534", place)
    yield folder
    if (folder / "y").exists():
        run("rm", "-rf", "--one-file-system", folder / "x")
        (folder / "y").rename(folder / "x")


def exchange(folder: Path) -> None:
    """Have the owner put an empty folder in place of the one that the mount is in."""
    script = f"mv {folder}/x {folder}/y && mkdir -p {folder}/x/data"
    run(*NOBODY, "sh", "-c", script)


def link(folder: Path) -> None:
    """Have the owner put a symbolic link to another filesystem in its place."""
    script = f"mv {folder}/x {folder}/y && mkdir -p {folder}/z/data && ln -s z {folder}/x"
    run(*NOBODY, "sh", "-c", script)


def nothing(folder: Path) -> None:
    """Leave all as it is."""


def while_asking(
    agent: AgentRunner, cloud: SimulatorProcess, act: Callable[[], None], level: str
) -> AgentResult:
    started: RunningAgent
    with agent.against(cloud).start("--before", "x", "--json", "--consistency", level) as started:
        time.sleep(LOOKED_S)
        assert started.process.poll() is None
        act()
        return started.wait()


def judged(result: AgentResult, mounts: Mounts, disk: SimulatedDisk) -> str:
    """Return the level that was reached, which what was captured must bear out."""
    reached = str(consistency(result)["reached"])
    assert reached == "crash" or mounts.caught(result, disk), result.out
    return reached


@pytest.mark.parametrize("level", ["flush", "filesystem"])
@pytest.mark.parametrize("act", [exchange, link], ids=["folder", "link"])
@pytest.mark.parametrize("foreign", [False, True], ids=["own-namespace", "foreign-namespace"])
def test_exchanged_folder_above_a_mount_makes_no_false_claim(
    agent: AgentRunner,
    mounts: Mounts,
    owned: Path,
    act: Callable[[Path], None],
    level: str,
    *,
    foreign: bool,
) -> None:
    disk, place = mount_disk(mounts, owned, foreign=foreign)
    with safe_to_freeze(agent, mounts, place) as runner:
        result = while_asking(runner, mounts.cloud, lambda: act(owned), level)
    reached = judged(result, mounts, disk)
    assert result.status == (0 if reached == level else 100), result.err


@pytest.mark.parametrize("foreign", [False, True], ids=["own-namespace", "foreign-namespace"])
def test_folder_that_stays_is_flushed_as_asked(
    agent: AgentRunner, mounts: Mounts, owned: Path, *, foreign: bool
) -> None:
    disk, _ = mount_disk(mounts, owned, foreign=foreign)
    result = while_asking(agent, mounts.cloud, lambda: nothing(owned), "flush")
    assert (result.status, judged(result, mounts, disk)) == (0, "flush")


def mount_disk(mounts: Mounts, owned: Path, *, foreign: bool) -> tuple[SimulatedDisk, Path]:
    """Mount the disk below the owned folder, here or in another namespace only; leave a canary."""
    disk = mounts.make(0)
    if foreign:
        space = mounts.namespace()
        space.run("mount", disk.device, owned / "x" / "data")
        place = Path(f"/proc/{space.pid}/root{owned}/x/data")
    else:
        place = mounts.mount(disk.device, "home/x/data")
    mounts.canary(place, disk)
    return disk, place
