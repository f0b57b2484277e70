"""Fixtures: a simulated ECS inside the test process, as a process, and with real loop disks."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator import DiskConfig, InstanceConfig, Simulator, SimulatorConfig

AGENT_FOLDER = Path(__file__).resolve().parent.parent / "agent"
START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDisk:
    """One disk as the simulator announced it; empty texts where there is no such thing."""

    disk_id: str
    serial: str
    size_gib: int
    category: str
    kind: str
    api_device: str
    device: str
    link: str
    fs: str
    mount: str
    image: str


@dataclass(frozen=True, slots=True)
class SimulatorProcess:
    """A simulator in a process of its own."""

    process: subprocess.Popen[bytes]
    ready: Mapping[str, Any]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    @property
    def metadata_url(self) -> str:
        """Return the metadata service's URL."""
        return str(self.ready["metadata_url"])

    @property
    def ecs_url(self) -> str:
        """Return the API's URL over HTTP."""
        return str(self.ready["ecs_url"])

    @property
    def ecs_tls_url(self) -> str:
        """Return the API's URL over HTTPS."""
        return str(self.ready["ecs_tls_url"])

    @property
    def control_socket(self) -> Path:
        """Return the socket of the control service."""
        return Path(self.ready["control_socket"])

    @property
    def ca_file(self) -> Path:
        """Return the file of the certificate authority to trust."""
        return Path(self.ready["ca_file"])

    @property
    def work_dir(self) -> Path:
        """Return where it keeps its files."""
        return Path(self.ready["work_dir"])

    @property
    def instance_id(self) -> str:
        """Return the id of the instance that this machine is."""
        return str(self.ready["instance_id"])

    @property
    def disks(self) -> tuple[SimulatedDisk, ...]:
        """Return the instance's disks as they were at the start."""
        return tuple(SimulatedDisk(**disk) for disk in self.ready["disks"])

    def disk_with(self, fs: str) -> SimulatedDisk:
        """Return the first disk with this filesystem."""
        return next(disk for disk in self.disks if disk.fs == fs)

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Steer it: see ``ecs_simulator.control_api``."""
        status, answer = ask_control(self.control_socket, method, path, body or {})
        assert status == http.client.OK, f"{method} {path}: {status} {answer}"
        return answer

    def captured_image(self, snapshot_id: str) -> Path:
        """Return the read-only image file of what a snapshot captured."""
        return Path(self.control("POST", "image-path", {"snapshot_id": snapshot_id})["path"])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, wait for its end and return its status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=START_LIMIT_S)


class ControlConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket, whose path may be longer than an address of one."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect by the folder's descriptor."""
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def ask_control(path: Path, method: str, name: str, body: Any = None) -> tuple[int, Any]:
    """Ask a simulator's control service; return the status and what it answered."""
    with contextlib.closing(ControlConnection(path)) as connection:
        text = None if body is None else json.dumps(body)
        connection.request(method, f"/_simulator/{name}", body=text)
        answer = connection.getresponse()
        return answer.status, json.load(answer)


@contextlib.contextmanager
def simulator_running(
    *arguments: str,
    wrapper: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[SimulatorProcess]:
    """Run ``python -m ecs_simulator`` with arguments until the block ends.

    Args:
        wrapper: a command put before it that ends in becoming it (``exec``).
        env: variables beyond the test's own.
        python: what runs it.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*wrapper, python, "-m", "ecs_simulator", "--die-with-parent", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": str(AGENT_FOLDER), **(env or {})},
            cwd="/",
        )
        with process:
            try:
                line = _first_line(process)
                errors.seek(0)
                assert line, f"the simulator did not start: {errors.read().decode()}"
                yield SimulatorProcess(process, json.loads(line))
            finally:
                process.terminate()
                try:
                    process.wait(timeout=START_LIMIT_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_LIMIT_S)
    return process.stdout.readline() if ready else b""


@contextlib.contextmanager
def mounted_copy(image: Path, fs: str, folder: Path) -> Iterator[Path]:
    """Mount a writable copy of a captured image, so that its log can be replayed."""
    copy, target = folder / f"{image.stem}.copy", folder / f"{image.stem}.mounted"
    target.mkdir()
    options = "loop,nouuid" if fs == "xfs" else "loop"
    _run("cp", "--sparse=always", str(image), str(copy))
    try:
        _run("mount", "-t", fs, "-o", options, str(copy), str(target))
        try:
            yield target
        finally:
            _run("umount", str(target))
    finally:
        copy.unlink()
        target.rmdir()


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a cloud in this process: one instance, two disks that hold no bytes."""
    disks = (DiskConfig(size_gib=40), DiskConfig(size_gib=20))
    config = SimulatorConfig(instances=(InstanceConfig(disks=disks),))
    with Simulator(config) as cloud:
        yield cloud


@pytest.fixture
def loop_cloud(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """Run a cloud with two loop disks of 1 GiB, ext4 and xfs, mounted. Mark the test ``root``."""
    with simulator_running(
        *("--storage", "loop"),
        *("--disk", f"size=1,fs=ext4,mount={tmp_path}/ext4"),
        *("--disk", f"size=1,fs=xfs,mount={tmp_path}/xfs"),
    ) as cloud:
        yield cloud
