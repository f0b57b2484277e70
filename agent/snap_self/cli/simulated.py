"""Start the bundled simulated ECS as a process of its own, and end it again."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snap_self.errors import EnvironmentFault
from snap_self.system.environment import SYSTEM_PATH
from snap_self.system.python_child import child_command, is_beside_us

MODULE = "ecs_simulator"
END_S = 30.0
CONTROL_S = 60.0


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
    """A running simulated cloud, as its one line of output describes it.

    Args:
        left_out: what it could not do here.
        why_no_loops: why its disks have no devices; empty if they have.
    """

    metadata_url: str
    ecs_url: str
    control_socket: str
    ca_file: str
    disks: tuple[SimulatedDisk, ...]
    left_out: tuple[str, ...]
    why_no_loops: str = ""

    @property
    def has_devices(self) -> bool:
        """Tell whether all of its disks are devices of this machine, and mounted."""
        return all(disk.device and disk.mount for disk in self.disks)


@contextmanager
def simulated_cloud(disks: Sequence[str], *, files: str) -> Iterator[SimulatedCloud]:
    """Run the simulated ECS inside the block; it takes away all it made when it ends.

    Args:
        disks: one description each, as its ``--disk`` option takes it.
        files: a folder of this user's own, for what it keeps.

    Raises:
        EnvironmentFault: it is not installed or does not start.
    """
    if not is_beside_us(MODULE):
        raise EnvironmentFault(
            "the simulated ECS is not installed",
            hint="install snap-self with its `simulator` extra, or run ./install.sh demo",
        )
    options = [word for disk in disks for word in ("--disk", disk)]
    words = ("--profile", "realistic", "--die-with-parent", "--state-dir", files, *options)
    process = subprocess.Popen(
        child_command(words, module=f"{MODULE}.__main__"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
        env=_kept(_SIMULATORS),
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


def control(
    cloud: SimulatedCloud, method: str, name: str, body: Mapping[str, object]
) -> Mapping[str, Any]:
    """Ask the simulator itself, behind the simulated cloud's back.

    Raises:
        EnvironmentFault: it refused, or gave no answer.
    """
    connection = _Control(cloud.control_socket)
    try:
        connection.request(method, f"/_simulator/{name}", body=json.dumps(body))
        answer = connection.getresponse()
        said: Mapping[str, Any] = json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise EnvironmentFault(f"the simulated ECS gave no answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise EnvironmentFault(f"the simulated ECS refused {name}: {said.get('error')}")
    return said


class _Control(http.client.HTTPConnection):
    """HTTP on the socket in a folder that only the simulator's user can enter."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONTROL_S)
        self._path = Path(path)

    def connect(self) -> None:
        """Connect by the folder's descriptor: its path may be longer than an address (unix(7))."""
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def cloud_environment(cloud: SimulatedCloud, folder: str) -> Mapping[str, str]:
    """Return an environment in which the agent finds only the simulated cloud."""
    return {**_kept(), **cloud_variables(cloud, folder)}


def cloud_variables(cloud: SimulatedCloud, folder: str) -> dict[str, str]:
    """Return what points the agent to the simulated cloud.

    Keys, profiles and settings of the user's own, which lie below HOME, stay out, so that nothing
    of a real account is ever used.

    Args:
        folder: for the state and as HOME.
    """
    return {
        "HOME": folder,
        "SNAP_SELF_METADATA_URL": cloud.metadata_url,
        "SNAP_SELF_ECS_ENDPOINT": cloud.ecs_url,
        "SNAP_SELF_NETWORK_CA_BUNDLE": cloud.ca_file,
        "SNAP_SELF_STATE_DIR": f"{folder}/state",
        # The simulated cloud ends with the demo.
        "SNAP_SELF_FOLLOW_ENABLED": "false",
        # Nothing of it has happened to this machine.
        "SNAP_SELF_WATCH_JOURNAL": "false",
        "SNAP_SELF_METRICS_TEXTFILE": f"{folder}/demo.prom",
    }


def _kept(more: Sequence[str] = ()) -> dict[str, str]:
    """Return what a child gets of the caller's environment: nothing that names code to load."""
    wanted = (*_SHOWN_BY, *more)
    return {"PATH": SYSTEM_PATH} | {n: os.environ[n] for n in wanted if n in os.environ}


_SHOWN_BY = ("LANG", "LC_ALL", "TERM", "NO_COLOR", "COLUMNS")
# Where it notes what it makes on the machine and, for tests, the secrets that it hands out.
_SIMULATORS = ("XDG_RUNTIME_DIR", "ECS_SIMULATOR_RUN_DIR", "SNAP_SELF_TEST_SECRETS_DIR")


def _described(process: subprocess.Popen[str]) -> SimulatedCloud:
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        said: dict[str, Any] = json.loads(line)
        return SimulatedCloud(
            metadata_url=said["metadata_url"],
            ecs_url=said["ecs_tls_url"] or said["ecs_url"],
            control_socket=said["control_socket"],
            ca_file=said["ca_file"] or "",
            disks=tuple(_disk(disk) for disk in said["disks"]),
            left_out=tuple(said["left_out"]),
            why_no_loops=said["why_no_loops"],
        )
    except (ValueError, KeyError, TypeError):
        _, complaint = process.communicate()
        raise EnvironmentFault(
            "the simulated ECS did not start",
            hint=" ".join(complaint.split())[-2000:] or "it said nothing",
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
