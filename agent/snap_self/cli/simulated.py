"""Start the bundled simulated ECS as a process of its own, and end it again."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from snap_self.errors import EnvironmentFault

MODULE = "ecs_simulator"
READY_S = 60.0
END_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDisk:
    """One disk of the simulated cloud; without root it has no device and no mount point."""

    disk_id: str
    serial: str
    size_gib: int
    device: str
    fstype: str
    mount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCloud:
    """A running simulated cloud, as its one line of output describes it."""

    metadata_url: str
    ecs_url: str
    control_url: str
    ca_file: str
    disks: tuple[SimulatedDisk, ...]
    left_out: tuple[str, ...]


@contextmanager
def simulated_cloud(disks: Sequence[str]) -> Iterator[SimulatedCloud]:
    """Run the simulated ECS inside the block; it takes away all it made when it ends.

    Args:
        disks: one description each, as its ``--disk`` option takes it.

    Raises:
        EnvironmentFault: it is not installed or does not start.
    """
    if importlib.util.find_spec(MODULE) is None:
        raise EnvironmentFault(
            "the simulated ECS is not installed",
            hint="install snap-self with its `simulator` extra, or run ./install.sh demo",
        )
    options = [word for disk in disks for word in ("--disk", disk)]
    argv = [sys.executable, "-m", MODULE, "--profile", "realistic", "--die-with-parent", *options]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield _described(process)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            # Its watchdog takes away what it leaves.
            process.kill()
            process.communicate()


def cloud_environment(cloud: SimulatedCloud, state_dir: str) -> Mapping[str, str]:
    """Return an environment in which the agent finds only the simulated cloud.

    Keys, profiles and settings of the user's own stay out, so that nothing of a real account is
    ever used.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "HOME": state_dir,
        "SNAP_SELF_METADATA_URL": cloud.metadata_url,
        "SNAP_SELF_ECS_ENDPOINT": cloud.ecs_url,
        "SNAP_SELF_NETWORK_CA_BUNDLE": cloud.ca_file,
        "SNAP_SELF_STATE_DIR": f"{state_dir}/state",
        # The simulated cloud ends with the demo.
        "SNAP_SELF_FOLLOW_ENABLED": "false",
    }


_KEPT = ("PATH", "LANG", "LC_ALL", "TERM", "NO_COLOR", "COLUMNS", "PYTHONPATH")


def _described(process: subprocess.Popen[str]) -> SimulatedCloud:
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        said: dict[str, Any] = json.loads(line)
        return SimulatedCloud(
            metadata_url=said["metadata_url"],
            ecs_url=said["ecs_tls_url"] or said["ecs_url"],
            control_url=said["control_url"],
            ca_file=said["ca_file"] or "",
            disks=tuple(_disk(disk) for disk in said["disks"]),
            left_out=tuple(said["left_out"]),
        )
    except (ValueError, KeyError, TypeError):
        _, complaint = process.communicate()
        raise EnvironmentFault(
            "the simulated ECS did not start",
            hint=complaint.strip()[-2000:] or "it said nothing",
        ) from None


def _disk(said: Mapping[str, Any]) -> SimulatedDisk:
    return SimulatedDisk(
        disk_id=said["disk_id"],
        serial=said["serial"],
        size_gib=said["size_gib"],
        device=said["device"],
        fstype=said["fs"],
        mount=said["mount"],
    )
