"""What service managers' sandboxes take from the agent: it may claim less, but nothing untrue.

Each is made by hand as systemd.exec(5) says of the directive, around an agent on real disks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from mounts_rig import (
    Mounts,
    bare_cloud,
    consistency,
    in_sandbox,
    mounts_on,
    needs_recovery,
    safe_to_freeze,
)

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import SimulatedDisk, SimulatorProcess

pytestmark = pytest.mark.root

REMOUNT = "mount -o remount,bind,ro"


@dataclass(frozen=True)
class Sandbox:
    """A directive.

    Args:
        steps: what it does to the mounts; ``{home}`` is above both disks' mount points, ``{one}``
            is one of them, ``{both}`` are both, ``{state}`` is what the agent may write to.
        prefix: what else stands before the agent.
        expected: exit status for level flush, and for level filesystem.
        words: part of the reason where less than ``filesystem`` was reached.
    """

    steps: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    expected: tuple[int, int] = (0, 0)
    words: str = ""


SANDBOXES: Mapping[str, Sandbox] = {
    "none": Sandbox(),
    "ProtectSystem=strict": Sandbox(
        ("mount --bind {state} {state}", f"for m in {{both}} /; do {REMOUNT} $m; done")
    ),
    "ReadOnlyPaths=": Sandbox((f"{REMOUNT} {{one}}",)),
    "ProtectHome=": Sandbox(
        ("mount -t tmpfs -o ro,mode=0755 tmpfs {home}",), expected=(0, 100), words="cannot open it"
    ),
    "InaccessiblePaths=": Sandbox(
        ("mount -t tmpfs -o ro,mode=0000 tmpfs {home}",), expected=(0, 100), words="cannot open it"
    ),
    "TemporaryFileSystem=": Sandbox(
        ("mount -t tmpfs tmpfs {home}",), expected=(0, 100), words="cannot open it"
    ),
    "PrivateDevices=": Sandbox(
        (
            "touch {state}/null",
            "mount --bind /dev/null {state}/null",
            "mount -t tmpfs -o mode=0755 tmpfs /dev",
            "touch /dev/null",
            "mount --bind {state}/null /dev/null",
        ),
        expected=(6, 6),
        words="cannot be told for certain",
    ),
    "ProcSubset=pid": Sandbox(
        ("mount -t proc -o subset=pid proc /proc",), expected=(0, 100), words="ProcSubset=pid"
    ),
    "ProtectProc=invisible": Sandbox(("mount -t proc -o hidepid=invisible proc /proc",)),
    "ProtectKernelTunables=": Sandbox(
        ("mount --bind /proc/sys /proc/sys", f"for m in /sys /proc/sys; do {REMOUNT} $m; done")
    ),
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH": Sandbox(
        prefix=("setpriv", "--bounding-set", "-all,+dac_read_search"),
        expected=(0, 100),
        words="not permitted",
    ),
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatorProcess]:
    with bare_cloud(disks=2) as process:
        yield process


@pytest.fixture
def mounts(cloud: SimulatorProcess) -> Iterator[Mounts]:
    with mounts_on(cloud) as found:
        yield found


def with_canaries(mounts: Mounts) -> dict[Path, SimulatedDisk]:
    """Mount both disks below one folder, with a canary in each."""
    disks = [mounts.make(0), mounts.make(1)]
    places = {mounts.mount(d.device, f"home/{n}"): d for n, d in enumerate(disks)}
    for place, disk in places.items():
        mounts.canary(place, disk)
    return places


@pytest.mark.parametrize("level", ["flush", "filesystem"])
@pytest.mark.parametrize("name", SANDBOXES)
def test_agent_in_a_sandbox_claims_nothing_untrue(
    agent: AgentRunner, mounts: Mounts, name: str, level: str
) -> None:
    sandbox = SANDBOXES[name]
    places = with_canaries(mounts)
    both = [str(place) for place in places]
    agent.state.mkdir(parents=True, exist_ok=True)
    fields = {"home": f"{mounts.folder}/home", "one": both[0], "both": " ".join(both)}
    steps = [step.format(state=agent.state, **fields) for step in sandbox.steps]
    with safe_to_freeze(agent, mounts, *places) as safe:
        bind_run = f"mount --bind {mounts.folder}/run /run/snap-self"
        runner = safe.with_wrapper(*in_sandbox(bind_run, *steps), *sandbox.prefix)
        result = runner.against(mounts.cloud).run("--before", "x", "--json", "--consistency", level)
    assert result.status == sandbox.expected[level == "filesystem"], result.out + result.err
    if result.status == 0:
        assert consistency(result)["reached"] == level
    elif result.status != 100 or level == "filesystem":
        assert sandbox.words in result.out
    for disk in places.values() if result.json["snapshots"] else ():
        assert_true(result, mounts, disk)


def assert_true(result: AgentResult, mounts: Mounts, disk: SimulatedDisk) -> None:
    """Hold the level that was reached against what was captured."""
    reached = consistency(result)["reached"]
    if reached != "crash":
        assert mounts.caught(result, disk), f"{reached} without what was written before"
    if reached == "filesystem":
        assert not needs_recovery(mounts.image(result, disk)), "filesystem without a freeze"
