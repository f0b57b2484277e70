"""A QEMU virtual machine that acts as the simulated instance.

The firmware tables name the cloud. The metadata service answers at its real address, the API at an
address in the same network, port 443; the guest's own ``/etc/hosts`` must have the names. The
storage supplies the disks. The machine ends with the process that started it.

Source: QEMU's man page (``-netdev user``, ``guestfwd``), ``setpriv(1)`` for the parent's death.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs_simulator import programs
from ecs_simulator.storage.kernel import StorageError
from ecs_simulator.storage.qmp import Qmp

METADATA_ADDRESS = "100.100.100.200"
API_ADDRESS = "100.100.100.50"
# The virtio port on which an agent in the guest stands in for Cloud Assistant.
ASSISTANT_PORT = "cloud.assistant.0"
QEMU = "qemu-system-x86_64"
_POWER_DOWN_LIMIT_S = 90.0
_QUIT_LIMIT_S = 10.0
# The storage serves nothing else meanwhile; a guest that is slow is waited for again.
_UNPLUG_LIMIT_S = 1.0
_ASK_AGAIN_S = 20.0
_NETWORK = "restrict=on,net=100.100.100.0/24,host=100.100.100.1,dhcpstart=100.100.100.15"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSettings:
    """What the virtual machine is made of.

    Args:
        console: file for the serial console's output; empty for one in the work folder.
        ssh_port: port on loopback that leads to the guest's port 22; 0 for none.
        resume: file with the state of a running machine, written by QEMU's ``migrate``; the first
            start restores it. That machine must have had the same disks attached.
        options: more arguments for QEMU.
    """

    memory_mib: int = 1024
    cpus: int = 2
    console: str = ""
    ssh_port: int = 0
    resume: str = ""
    serial_number: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestDisk:
    """A disk as the guest gets it: the block node that holds it, and how it is plugged in."""

    name: str
    node: str
    file: Path
    serial: str
    bus: str

    def device(self, *, boot: int = 0) -> dict[str, Any]:
        """Return QEMU's description of the device."""
        kind = "nvme" if self.bus == "nvme" else "virtio-blk-pci"
        described: dict[str, Any] = {
            "driver": kind,
            "drive": self.node,
            "id": self.name,
            "share-rw": True,  # so that a test may reach the disk beside the guest
        }
        if self.serial or kind == "nvme":  # QEMU has no NVMe disk without a serial
            described["serial"] = self.serial or "none"
        return described | ({"bootindex": boot} if boot else {})


def qcow2_node(node: str, file: Path, *, backing: bool = True) -> dict[str, Any]:
    """Return QEMU's description of an image file and all that it is based on."""
    # Nothing here must survive a crash of the host.
    cache = {"no-flush": True}
    described: dict[str, Any] = {
        "driver": "qcow2",
        "node-name": node,
        "cache": cache,
        "discard": "unmap",
        "file": {"driver": "file", "filename": str(file), "cache": cache, "discard": "unmap"},
    }
    return described if backing else described | {"backing": None}


class Guest:
    """The machine, on or off.

    Args:
        folder: for its sockets; they are the same for every start.
    """

    def __init__(self, settings: GuestSettings, folder: Path) -> None:
        self.settings = settings
        self.agent_socket = folder / "agent.sock"
        self.assistant_socket = folder / "assistant.sock"
        self.console_socket = folder / "console.sock"
        self.monitor_socket = folder / "monitor.sock"
        self.console = Path(settings.console or folder / "console.log")
        self._log = folder / "qemu.log"
        self._own_socket = folder / "qmp.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._lock = threading.RLock()
        # Disks that it was asked to let go of, and when.
        self._leaving: dict[str, float] = {}
        self._resume = settings.resume

    @property
    def on(self) -> bool:
        """Tell whether it has power."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return QEMU's process id; 0 when off."""
        return self._process.pid if self._process is not None and self.on else 0

    def start(
        self, disks: Sequence[GuestDisk], ports: Mapping[str, int], ended: Callable[[], None]
    ) -> None:
        """Switch it on.

        Args:
            ports: of ``metadata`` and ``ecs_tls`` on loopback.
            ended: called from another thread when it loses power, for any reason.

        Raises:
            StorageError: QEMU does not start.
        """
        with self._lock:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *self._argv(disks, ports)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=programs.ENVIRONMENT,
                    start_new_session=True,
                )
            try:
                self._qmp = Qmp(self._own_socket)
            except (OSError, StorageError) as error:
                self._process.kill()
                self._process.wait()
                said = self._log.read_text(encoding="utf-8", errors="replace").strip()
                raise StorageError(f"{QEMU} did not start: {said[-500:] or error}") from error
            process = self._process
            self._leaving.clear()
        threading.Thread(target=self._watch, args=(process, ended), daemon=True).start()

    @staticmethod
    def _watch(process: subprocess.Popen[bytes], ended: Callable[[], None]) -> None:
        process.wait()
        ended()

    def _argv(self, disks: Sequence[GuestDisk], ports: Mapping[str, int]) -> list[str]:
        settings = self.settings
        system = "manufacturer=Alibaba Cloud,product=Alibaba Cloud ECS"
        system += f",serial={settings.serial_number}" if settings.serial_number else ""
        log = f"logfile={self.console},logappend=on"
        argv = [
            *(QEMU, "-nodefaults", "-display", "none", "-machine", "pc"),
            # Without svm or vmx, programs in the guest fail at once (seen with QEMU 7.2).
            *("-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-smp", str(settings.cpus), "-m", str(settings.memory_mib)),
            *("-smbios", f"type=1,{system}", "-device", "virtio-rng-pci"),
            *("-chardev", f"socket,id=console,path={self.console_socket},{_SERVER},{log}"),
            *("-serial", "chardev:console"),
            *("-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={self.agent_socket},{_SERVER}"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-chardev", f"socket,id=assistant,path={self.assistant_socket},{_SERVER}"),
            *("-device", f"virtserialport,chardev=assistant,name={ASSISTANT_PORT}"),
            *("-qmp", f"unix:{self._own_socket},{_SERVER}"),
            *("-qmp", f"unix:{self.monitor_socket},{_SERVER}"),
            *("-netdev", self._netdev(ports), "-device", "virtio-net-pci,netdev=net"),
        ]
        for place, disk in enumerate(disks, start=1):
            argv += ["-blockdev", json.dumps(qcow2_node(disk.node, disk.file))]
            argv += ["-device", json.dumps(disk.device(boot=place))]
        if self._resume:
            argv += ["-incoming", f"exec:cat {shlex.quote(self._resume)}"]
            self._resume = ""
        return [*argv, *settings.options]

    def _netdev(self, ports: Mapping[str, int]) -> str:
        forwards = {(METADATA_ADDRESS, 80): "metadata", (API_ADDRESS, 443): "ecs_tls"}
        text = f"user,id=net,{_NETWORK}"
        for (address, port), name in forwards.items():
            if name in ports:
                text += f",guestfwd=tcp:{address}:{port}-cmd:socat - TCP:127.0.0.1:{ports[name]}"
        if self.settings.ssh_port:
            text += f",hostfwd=tcp:127.0.0.1:{self.settings.ssh_port}-:22"
        return text

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command of QEMU's monitor; ``_`` in an argument's name stands for ``-``.

        Raises:
            StorageError: it was refused, or the machine is off.
        """
        plain = {name.replace("_", "-"): value for name, value in arguments.items()}
        with self._lock:
            if self._qmp is None or not self.on:
                raise StorageError(f"{command}: the guest is off")
            return self._qmp.execute(command, plain)

    def plug(self, disk: GuestDisk) -> None:
        """Add a disk while the machine runs."""
        with self._lock:
            self.execute("blockdev-add", **qcow2_node(disk.node, disk.file))
            try:
                self.execute("device_add", **disk.device())
            except StorageError:
                self.execute("blockdev-del", node_name=disk.node)
                raise

    def unplug(self, disk: GuestDisk) -> bool:
        """Take a disk away while the machine runs; return whether the guest let go of it.

        A disk that it does not let go of for now is to be asked for again.
        """
        with self._lock:
            asked = self._leaving.get(disk.name)
            if asked is None or time.monotonic() - asked > _ASK_AGAIN_S:
                try:
                    self.execute("device_del", id=disk.name)
                except StorageError:
                    if asked is None:
                        raise
                self._leaving[disk.name] = time.monotonic()
            assert self._qmp is not None
            if not self._qmp.wait_for("DEVICE_DELETED", device=disk.name, limit_s=_UNPLUG_LIMIT_S):
                return False
            del self._leaving[disk.name]
            self.execute("blockdev-del", node_name=disk.node)
        return True

    def stop(self, *, force: bool) -> None:
        """Switch it off: by its power button, or by force at once."""
        process = self._process
        if process is None:
            return
        if not force:
            with contextlib.suppress(StorageError, TimeoutError):
                self.execute("system_powerdown")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_POWER_DOWN_LIMIT_S)
        if process.poll() is None:
            with contextlib.suppress(StorageError, TimeoutError):
                self.execute("quit")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_QUIT_LIMIT_S)
        if process.poll() is None:
            process.kill()
        process.wait()
        qmp, self._qmp = self._qmp, None  # it may be switched off twice at a time
        if qmp is not None:
            qmp.close()


_SERVER = "server=on,wait=off"


def what_guests_need() -> str:
    """Return what is missing here for a virtual machine; empty if nothing is."""
    needed = {
        QEMU: "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "socat": "socat",
        "setpriv": "util-linux",
    }
    lacking = [f"{name} (package {of})" for name, of in needed.items() if not programs.find(name)]
    return f"no {', '.join(lacking)}" if lacking else ""
