"""Guests for stories: a virtual machine on a simulated ECS, booted, used, rebooted, switched off.

::

    with running(image, Disk(size_gib=1, bus="nvme"), folder=folder) as guest:
        guest.run("mkfs.ext4 -q /dev/nvme0n1")
        guest.reboot()
        guest.operator.call("StopInstance", InstanceId=guest.instance_id)

All that keeps a guest alive hangs on the test process: the simulator dies with it, QEMU with the
simulator, and a timer ends both when a story takes too long. What a failed story leaves is in its
folder: ``console.log``, ``journal.log``, ``simulator.log``, ``calls.json``, ``state.json``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from guest_agent import GuestAgent, NoAnswer, Ran

from ecs_simulator import AccessKeyConfig
from fakes.simulated_cloud import Answer, Signer
from fixtures_simulator import AGENT_FOLDER, SimulatorProcess

COMMAND_LIMIT_S = 300.0
BOOT_LIMIT_S = 400.0
CLOUD_LIMIT_S = 240.0
STORY_LIMIT_S = 1800.0
ROOT_GIB = 4
_alive: list[Guest] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk that the instance has from the start.

    Args:
        bus: ``virtio`` or ``nvme``.
        image: raw or qcow2 image that it begins with.
        fields: of a disk's description to the simulator: ``serial``, ``category`` and so on.
    """

    size_gib: int = 1
    bus: str = "virtio"
    image: Path | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """Return it as the simulator wants it."""
        image = {"image": str(self.image)} if self.image else {}
        return {"size_gib": self.size_gib, "bus": self.bus, **image, **self.fields}


class Operator:
    """Somebody with keys of the account, who works on the instance from outside."""

    def __init__(self, cloud: SimulatorProcess) -> None:
        self._cloud = cloud
        key = AccessKeyConfig()
        self._signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """Make one ECS call and return its answer; ``__`` in a name stands for a dot.

        Raises:
            AssertionError: it was refused.
        """
        answer = self.try_call(action, **params)
        assert answer.status == 200, f"{action} {params}: {answer.status} {answer.body}"
        return answer.body

    def try_call(self, action: str, **params: Any) -> Answer:
        """Make one ECS call and return its answer, also a refusal."""
        named = {name.replace("__", "."): str(value) for name, value in params.items()}
        named = {"RegionId": str(self._cloud.ready["region_id"]), "Action": action, **named}
        query = urlencode(self._signer.sign(named, at=time.time()))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self._cloud.ecs_url}/?{query}", timeout=60) as answer:
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, json.loads(refusal.read()))

    def wait_for_disk(self, disk_id: str, status: str) -> dict[str, Any]:
        """Wait until a disk has a status; return it."""

        def found() -> dict[str, Any] | None:
            disks = self.call("DescribeDisks", DiskIds=json.dumps([disk_id]))["Disks"]["Disk"]
            return disks[0] if disks and disks[0]["Status"] == status else None

        disk: dict[str, Any] = wait_until(found, f"{disk_id} {status}", tell=self._faults)
        return disk

    def wait_for_instance(self, instance_id: str, status: str) -> dict[str, Any]:
        """Wait until an instance has a status; return it."""

        def found() -> dict[str, Any] | None:
            ids = json.dumps([instance_id])
            told = self.call("DescribeInstances", InstanceIds=ids)["Instances"]["Instance"]
            return told[0] if told and told[0]["Status"] == status else None

        told: dict[str, Any] = wait_until(found, f"{instance_id} {status}", tell=self._faults)
        return told

    def _faults(self) -> str:
        return str(self._cloud.control("GET", "state")["storage_faults"])


def wait_until(
    found: Callable[[], Any],
    what: str,
    *,
    limit_s: float = CLOUD_LIMIT_S,
    every_s: float = 0.2,
    tell: Callable[[], str] = lambda: "",
) -> Any:
    """Return the first true value of ``found``, or fail loudly."""
    deadline = time.monotonic() + limit_s
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never came within {limit_s} s: {what} {tell()}")
        time.sleep(every_s)


class Guest:
    """A guest and the cloud around it."""

    def __init__(self, cloud: SimulatorProcess, folder: Path, ssh_key: Path | None) -> None:
        self.cloud = cloud
        self.folder = folder
        self.operator = Operator(cloud)
        self._sockets: dict[str, Any] = dict(cloud.ready["guest"])
        self._agent = GuestAgent(Path(self._sockets["agent_socket"]))
        self._ssh_key = ssh_key
        self._boot_id = ""

    # -- who it is

    @property
    def instance_id(self) -> str:
        """Return its instance id."""
        return self.cloud.instance_id

    @property
    def disk_ids(self) -> tuple[str, ...]:
        """Return the disks it had at the start, in order; the first is the system disk."""
        return tuple(disk.disk_id for disk in self.cloud.disks)

    def device_of(self, disk_id: str) -> str:
        """Return a disk's name in the guest now, such as ``/dev/vdb``; it must have a serial."""
        serial = next(disk.serial for disk in self.cloud.disks if disk.disk_id == disk_id)
        return self.device(serial)

    def snapshots(self, **filters: Any) -> list[dict[str, Any]]:
        """Return DescribeSnapshots' entries, at most 100."""
        found = self.operator.call("DescribeSnapshots", MaxResults=100, **filters)
        return list(found["Snapshots"]["Snapshot"])

    def captured(self, snapshot_id: str) -> Path:
        """Return a raw image of what a snapshot holds, fit for ``Disk(image=...)`` and fsck."""
        return self.cloud.captured_image(snapshot_id)

    # -- what is done in it

    def run(
        self,
        command: str,
        *,
        timeout_s: float = COMMAND_LIMIT_S,
        stdin: bytes = b"",
        shell: str = "bash",
    ) -> Ran:
        """Run a shell command as root to its end, whatever its status."""
        begun = time.monotonic()
        ran = self._agent.run(command, timeout_s=timeout_s, stdin=stdin, shell=shell)
        self._note(ran, time.monotonic() - begun)
        return ran

    def _note(self, ran: Ran, took_s: float) -> None:
        """Keep what was said: it is searched for secrets, and read when a story fails."""
        with (self.folder / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"# {ran.command}\n{ran.out}{ran.err}# status {ran.status}, {took_s:.1f} s\n")

    def do(self, command: str, *, timeout_s: float = COMMAND_LIMIT_S) -> str:
        """Run a shell command as root that must succeed; return what it printed."""
        return self.run(command, timeout_s=timeout_s).checked().out

    def program(self, path: str, *arguments: str) -> Ran:
        """Run a program as root to its end, whatever its status, no shell in between."""
        begun = time.monotonic()
        ran = self._agent.run_program(path, *arguments, timeout_s=COMMAND_LIMIT_S)
        self._note(ran, time.monotonic() - begun)
        return ran

    def start(self, command: str) -> int:
        """Start a shell command as root and go on; return its process id."""
        return self._agent.start(command)

    def ended(self, pid: int) -> Ran | None:
        """Return how a started command ended, once; None while it runs."""
        ran = self._agent.ended(f"process {pid}", pid)
        if ran is not None:
            self._note(ran, 0.0)
        return ran

    def write(self, path: str, content: str | bytes, *, mode: int = 0o644) -> None:
        """Write a small file."""
        data = content.encode() if isinstance(content, str) else content
        self._agent.write(path, data)
        self.do(f"chmod {mode:o} '{path}'")

    def read(self, path: str) -> str:
        """Return what a small file holds, also where no program can be started any more."""
        return self._agent.read(path).decode()

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file or folder of the host's into a folder of the guest's, by ssh."""
        argv = self.ssh_argv(f"mkdir -p '{target}' && tar -x -C '{target}'")
        packed = ["tar", "-c", "-C", str(source.parent), "--exclude=__pycache__", source.name]
        with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
            done = subprocess.run(argv, stdin=tar.stdout, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def ssh_argv(self, *command: str) -> list[str]:
        """Return what logs in as root from the host by ssh and runs a command there."""
        assert self._ssh_key is not None
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "20",
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        port = str(self._sockets["ssh_port"])
        return ["ssh", "-i", str(self._ssh_key), "-p", port, *given, "root@127.0.0.1", *command]

    @contextlib.contextmanager
    def console(self) -> Iterator[Console]:
        """Give the serial console, on which root is logged in."""
        with Console(Path(self._sockets["console_socket"])) as console:
            yield console

    # -- its disks

    def attach(self, disk_id: str) -> str:
        """Attach a disk by the API; return its device's name in the guest once it is there.

        A disk without a serial has no name that could be known: then the name is empty.
        """
        self.operator.call("AttachDisk", InstanceId=self.instance_id, DiskId=disk_id)
        serial = str(self.operator.wait_for_disk(disk_id, "In_use")["SerialNumber"])
        return self.device(serial) if serial else ""

    def detach(self, disk_id: str) -> None:
        """Detach a disk by the API and wait until it is free."""
        self.operator.call("DetachDisk", InstanceId=self.instance_id, DiskId=disk_id)
        self.operator.wait_for_disk(disk_id, "Available")

    def device(self, serial: str) -> str:
        """Return the whole disk with this serial, such as ``/dev/vdb``, once it is there."""
        find = f"lsblk -dnpo NAME,SERIAL | awk '$2 == \"{serial}\" {{print $1}}'"
        return str(wait_until(lambda: self.do(find).strip(), f"a device {serial}", limit_s=30))

    # -- power

    def wait_until_up(self, limit_s: float = BOOT_LIMIT_S) -> None:
        """Return when it has booted to the end; its agent then answers."""
        begun = time.monotonic()
        wait_until(
            lambda: self._agent.answers(3.0) and self._other_boot(),
            "the guest's agent",
            limit_s=limit_s,
            tell=lambda: f"\nconsole:\n{self.console_text()[-3000:]}",
        )
        left_s = max(5.0, limit_s - (time.monotonic() - begun))
        self.run("systemctl is-system-running --wait", timeout_s=left_s)

    def _other_boot(self) -> bool:
        try:
            boot_id = self.run("cat /proc/sys/kernel/random/boot_id", timeout_s=20).out.strip()
        except NoAnswer:  # the last words of the boot before
            return False
        if not boot_id or boot_id == self._boot_id:
            return False
        self._boot_id = boot_id
        return True

    def reboot(self, command: str = "systemctl reboot") -> None:
        """Reboot it from inside and wait until it is up again."""
        with contextlib.suppress(NoAnswer):
            self.run(command, timeout_s=30)
        self.wait_until_up()

    def power_off(self) -> None:
        """Switch it off from inside, as an operating system does."""
        with contextlib.suppress(NoAnswer):
            self.run("systemctl poweroff", timeout_s=30)
        self.operator.wait_for_instance(self.instance_id, "Stopped")
        self._agent.close()

    def stop(self, *, force: bool = False) -> None:
        """Stop it by the API and wait until it is stopped."""
        mode = {"ForceStop": "true"} if force else {}
        self.operator.call("StopInstance", InstanceId=self.instance_id, **mode)
        self.operator.wait_for_instance(self.instance_id, "Stopped")
        self._agent.close()

    def begin_start(self) -> None:
        """Start it by the API; return when it has power."""
        self.operator.call("StartInstance", InstanceId=self.instance_id)
        self.operator.wait_for_instance(self.instance_id, "Running")

    def power_on(self) -> None:
        """Start it by the API and wait until it is up."""
        self.begin_start()
        self.wait_until_up()

    def crash(self) -> None:
        """Take its power away at once, as when its host dies; what it had not flushed is lost."""
        self.stop(force=True)

    # -- what is kept

    def console_text(self) -> str:
        """Return what the console said so far."""
        path = Path(self._sockets["console"])
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def close(self) -> None:
        """Close the connection to its agent."""
        self._agent.close()

    def keep_evidence(self) -> None:
        """Put into its folder what helps to understand a failed story."""
        with contextlib.suppress(NoAnswer, OSError, AssertionError):
            journal = self.run("journalctl -b --no-pager -o short-monotonic", timeout_s=40).out
            (self.folder / "journal.log").write_text(journal, encoding="utf-8")
        with contextlib.suppress(OSError, ValueError):
            for name in ("calls", "state"):
                told = self.cloud.control("GET", name)
                (self.folder / f"{name}.json").write_text(json.dumps(told, indent=1))
        with contextlib.suppress(OSError):
            shutil.copy(self.cloud.work_dir / "qemu.log", self.folder)


class Console:
    """The serial console, as somebody in front of it has it.

    ``shown`` is all that it ever showed here; ``text`` what was not yet waited for.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self.text = ""
        self.shown = ""

    def type(self, line: str) -> None:
        """Type a line."""
        self._socket.sendall(line.encode() + b"\r")

    def wait_for(self, pattern: str, limit_s: float = 30.0) -> re.Match[str]:
        """Return the first match in what was shown since the last one.

        Raises:
            AssertionError: it never came.
        """
        deadline = time.monotonic() + limit_s
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end() :]
                return match
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"the console never showed {pattern!r}:\n{self.text[-2000:]}"
            self._socket.settimeout(left_s)
            with contextlib.suppress(TimeoutError):
                received = self._socket.recv(65536).decode("utf-8", "replace")
                self.text += received
                self.shown += received

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@contextlib.contextmanager
def running(
    *disks: Disk,
    folder: Path,
    ssh_key: Path | None = None,
    instance: dict[str, Any] | None = None,
    cloud: dict[str, Any] | None = None,
    ca_dir: Path | None = None,
    memory_mib: int = 1024,
    options: tuple[str, ...] = (),
    wait: bool = True,
    limit_s: float = STORY_LIMIT_S,
) -> Iterator[Guest]:
    """Run a guest on a simulated ECS until the block ends.

    Args:
        disks: the first is the system disk.
        folder: for what the story leaves.
        instance: further fields of the instance's description; the metadata service asks for
            tokens unless they say otherwise.
        cloud: further fields of the simulator's description.
        ca_dir: where the certificate authority is that the guest trusts.
        options: further arguments of the simulator.
        wait: until it has booted.
        limit_s: after which everything is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {"http_tokens": "required", **(instance or {})}
    own["disks"] = [disk.described() for disk in disks]
    description = folder / "description.json"
    description.write_text(json.dumps({**(cloud or {}), "instances": [own]}), encoding="utf-8")
    argv = [
        *(sys.executable, "-m", "ecs_simulator", "--die-with-parent", "--storage", "qmp"),
        *("--config", str(description), "--guest-console", str(folder / "console.log")),
        *("--guest-ssh-port", str(_free_port()), "--guest-memory", str(memory_mib)),
        *(("--ca-dir", str(ca_dir)) if ca_dir else ()),
        *options,
    ]
    with _simulator(argv, folder, limit_s) as process:
        guest = Guest(process, folder, ssh_key)
        _alive.append(guest)
        try:
            if wait:
                guest.wait_until_up()
            yield guest
        except BaseException:
            guest.keep_evidence()
            raise
        finally:
            _alive.remove(guest)
            guest.close()


def keep_evidence() -> list[Path]:
    """Have every guest that runs now keep its evidence; return their folders.

    A fixture does not see that its story failed: its block just ends.
    """
    for guest in _alive:
        guest.keep_evidence()
    return [guest.folder for guest in _alive]


@contextlib.contextmanager
def _simulator(argv: list[str], folder: Path, limit_s: float) -> Iterator[SimulatorProcess]:
    with (folder / "simulator.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(AGENT_FOLDER)},
            cwd="/",
        )
    timer = threading.Timer(limit_s, process.send_signal, (signal.SIGTERM,))
    timer.daemon = True
    timer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"no simulator: {(folder / 'simulator.log').read_text()}"
        yield SimulatorProcess(process, json.loads(line))
    finally:
        timer.cancel()
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
