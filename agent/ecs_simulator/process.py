"""A simulator as a separate process: its start, its announcement, and the clean-up after it.

Everything it makes on the machine is written to a ledger first. It removes everything when it ends.
If it is killed, a watchdog process does that, or else the next start.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from ecs_simulator import programs
from ecs_simulator.description import Description, DiskUse
from ecs_simulator.guest_assistant import GuestAssistant
from ecs_simulator.ports import NoStorage, Storage
from ecs_simulator.simulator import Simulator, TlsContexts
from ecs_simulator.storage import own
from ecs_simulator.storage.files import LEFT_OUT, FileStorage
from ecs_simulator.storage.guest import GuestSettings, what_guests_need
from ecs_simulator.storage.kernel import StorageError
from ecs_simulator.storage.ledger import Ledger, clean_dead, clean_one
from ecs_simulator.storage.loop import BY_ID, LoopStorage, what_loops_need
from ecs_simulator.storage.qcow import QcowStorage

STORAGES = ("auto", "loop", "files", "qmp", "none")
Say = Callable[[str], None]
# For files that may be large; the simulator makes its own folder in it and checks the path.
LARGE_TEMPORARY = "/var/tmp"  # noqa: S108  # nosec B108


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """How a simulator process runs.

    Args:
        storage: one of ``STORAGES``; ``auto`` is ``loop`` if possible, else ``files``.
        https: also serve the API over HTTPS, with a throw-away certificate authority.
        links: make ``/dev/disk/by-id/virtio-SERIAL``.
        state_dir: where its folder of files is made; empty for ``$TMPDIR`` or ``/var/tmp``.
        die_with_parent: end when the starting process ends.
        ca_dir: where the trusted certificate authority is kept between simulators.
        executions: a file that OOS's executions are kept in between simulators.
        guest: the virtual machine of storage ``qmp``.
    """

    storage: str = "auto"
    https: bool = True
    links: bool = True
    state_dir: str = ""
    die_with_parent: bool = False
    ca_dir: str = ""
    executions: str = ""
    guest: GuestSettings = field(default_factory=GuestSettings)


@dataclass(slots=True, kw_only=True)
class Instance:
    """A running simulator with its resources."""

    simulator: Simulator
    storage: Storage
    work_dir: Path
    ca_file: str = ""
    left_out: list[str] = field(default_factory=list)
    why_no_loops: str = ""

    def announcement(self, uses: tuple[DiskUse, ...]) -> dict[str, Any]:
        """Return what a caller needs to use it; no secrets."""
        config = self.simulator.config
        instance = self.simulator.cloud.own_instance
        return {
            "ready": True,
            "pid": os.getpid(),
            **{f"{name}_url": url for name, url in self.simulator.urls().items()},
            "control_socket": str(self.simulator.control_socket),
            "ca_file": self.ca_file,
            "region_id": config.region_id,
            "zone_id": instance.zone_id,
            "instance_id": instance.instance_id,
            "role": instance.role,
            "storage": _STORAGE_NAMES[type(self.storage)],
            "work_dir": str(self.work_dir),
            "left_out": self.left_out,
            "why_no_loops": self.why_no_loops,
            "guest": self._guest(),
            "disks": [self._disk(use) for use in uses],
        }

    def _guest(self) -> dict[str, Any] | None:
        if not isinstance(self.storage, QcowStorage):
            return None
        guest = self.storage.guest
        return {
            "agent_socket": str(guest.agent_socket),
            "console_socket": str(guest.console_socket),
            "monitor_socket": str(guest.monitor_socket),
            "console": str(guest.console),
            "ssh_port": guest.settings.ssh_port,
        }

    def _disk(self, use: DiskUse) -> dict[str, Any]:
        disk = self.simulator.state.disks[use.disk_id]
        shown: dict[str, Any] = {
            "disk_id": disk.disk_id,
            "serial": disk.serial,
            "size_gib": disk.size_gib,
            "category": disk.category,
            "kind": disk.kind,
            "api_device": disk.device,
            "device": "",
            "link": "",
            "fs": "",
            "mount": "",
            "image": disk.path,
        }
        if isinstance(self.storage, LoopStorage):
            on = self.storage.disk(disk.disk_id)
            shown |= {"device": on.device, "link": str(on.link or ""), "image": str(on.image)}
            shown |= {"fs": use.fs, "mount": use.mount}
        return shown


_STORAGE_NAMES: Mapping[type[Any], str] = {
    LoopStorage: "loop",
    FileStorage: "files",
    QcowStorage: "qmp",
    NoStorage: "none",
}


@contextlib.contextmanager
def running(description: Description, options: ProcessOptions, *, say: Say) -> Iterator[Instance]:
    """Start a simulator with all it needs; take everything away in the end.

    Raises:
        StorageError: the machine lacks something that was asked for.
        OSError: an address or port cannot be used.
    """
    with ExitStack() as stack:
        ledger = Ledger.create()
        stack.enter_context(_watchdog(ledger))
        # This runs before the watchdog's end: the watchdog waits for the ledger's lock.
        stack.callback(_close, ledger, say)
        work_dir = _make_work_dir(options.state_dir, ledger)
        left_out: list[str] = []
        storage = _storage(options, work_dir, ledger, left_out, description.uses)
        tls, ca_file = _tls(description, options, work_dir, left_out)
        simulator = Simulator(
            description.config,
            storage=storage,
            tls=tls,
            control_dir=work_dir,
            executions=Path(options.executions) if options.executions else None,
        )
        _prepare(storage, description.uses, left_out)
        stack.callback(simulator.stop)
        simulator.start()
        if isinstance(storage, QcowStorage):
            stack.enter_context(_powered(simulator, storage))
        for text in left_out:
            say(f"left out: {text}")
        yield Instance(
            simulator=simulator,
            storage=storage,
            work_dir=work_dir,
            ca_file=ca_file,
            left_out=left_out,
            why_no_loops=_why_no_loops(options, work_dir),
        )


def _why_no_loops(options: ProcessOptions, work_dir: Path) -> str:
    """Return why disks have no devices although they were wanted where that is possible."""
    return what_loops_need(work_dir) if options.storage == "auto" else ""


def _close(ledger: Ledger, say: Say) -> None:
    for fault in ledger.close():
        say(f"could not be taken away: {fault}; try `python -m ecs_simulator --clean`")


def _make_work_dir(state_dir: str, ledger: Ledger) -> Path:
    parent = Path(state_dir or os.environ.get("TMPDIR") or LARGE_TEMPORARY)
    parent.mkdir(parents=True, exist_ok=True)
    own.check_way(parent)
    work_dir = parent.resolve() / f"ecs-simulator-{os.urandom(16).hex()}"
    ledger.note("tree", work_dir)
    own.make_folder(work_dir)
    return work_dir


def _storage(
    options: ProcessOptions,
    work_dir: Path,
    ledger: Ledger,
    left_out: list[str],
    uses: tuple[DiskUse, ...],
) -> Storage:
    if options.storage == "qmp":
        missing = what_guests_need()
        if missing:
            raise StorageError(f"no virtual machine here: {missing}")
        forms = {use.disk_id: use.form for use in uses}
        return QcowStorage(work_dir, settings=options.guest, forms=forms)
    if options.storage == "none":
        left_out.append("disks hold no bytes")
        return NoStorage()
    if options.storage in ("auto", "loop"):
        missing = what_loops_need(work_dir)
        if not missing:
            return LoopStorage(work_dir, ledger, links=BY_ID if options.links else None)
        if options.storage == "loop":
            raise StorageError(f"no loop disks here: {missing}")
        left_out.append(f"no loop disks here: {missing}")
    left_out.extend(LEFT_OUT)
    return FileStorage(work_dir)


def _tls(
    description: Description, options: ProcessOptions, work_dir: Path, left_out: list[str]
) -> tuple[TlsContexts | None, str]:
    if not options.https:
        return None, ""
    if importlib.util.find_spec("cryptography") is None:
        left_out.append("no HTTPS: the Python package cryptography is not installed")
        return None, ""
    from ecs_simulator import tls

    config = description.config
    hosts = (f"{product}{net}" for product in ("ecs", "oos", "sts") for net in ("", "-vpc"))
    products = (f"{host}.{config.region_id}" for host in hosts)
    names = [
        *dict.fromkeys((config.host, "127.0.0.1", "::1", "localhost")),
        *(f"{product}.aliyuncs.com" for product in products),
        *(f"{product}.aliyuncs.com" for product in ("ecs-cn-hangzhou", "ecs", "sts")),
    ]
    folder = work_dir / "tls"
    keep = Path(options.ca_dir) if options.ca_dir else None
    return tls.make_contexts(folder, names, keep=keep), str(folder / "ca.pem")


class _GuestPower:
    """The switch of the virtual machine that is the own instance."""

    def __init__(self, simulator: Simulator, storage: QcowStorage) -> None:
        self._simulator = simulator
        self._storage = storage
        urls = simulator.urls()
        self._ports = {name: urlsplit(url).port or 0 for name, url in urls.items() if url}
        self._steps: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._work, name="power", daemon=True).start()

    def on(self) -> None:
        """Switch it on; returns before it has booted."""
        self._storage.power_on(self._ports, self._ended)

    def off(self, *, force: bool) -> None:
        """Switch it off, after it was asked to end unless forced."""
        self._storage.power_off(force=force)

    def switch(self, step: Callable[[], None]) -> None:
        """Do it beside all else: a system takes its time to end."""
        self._steps.put(step)

    def _work(self) -> None:
        # A machine is killed when the thread that has started it ends, so this one does not.
        while True:
            self._steps.get()()

    def _ended(self) -> None:
        """Show an instance that lost power, or switched itself off, as stopped."""
        cloud = self._simulator.cloud
        with cloud.state.lock:
            instance = cloud.own_instance
            if instance.status == "Running":
                instance.status, instance.stopped_mode = "Stopped", "KeepCharging"


@contextlib.contextmanager
def _powered(simulator: Simulator, storage: QcowStorage) -> Iterator[None]:
    power = _GuestPower(simulator, storage)
    simulator.cloud.power = power
    name = simulator.cloud.own_instance.instance_id
    assistant = GuestAssistant(name, storage.guest.assistant_socket)
    simulator.cloud.assistant.guest = assistant
    try:
        if simulator.cloud.own_instance.status == "Running":
            power.on()
        yield
    finally:
        assistant.close()
        power.off(force=True)


def _prepare(storage: Storage, uses: tuple[DiskUse, ...], left_out: list[str]) -> None:
    """Put filesystems on the disks and mount them."""
    if isinstance(storage, QcowStorage):  # its guest makes its filesystems itself
        left_out += [f"{use.fs} on {use.disk_id}" for use in uses if use.fs]
        return
    if not isinstance(storage, LoopStorage):
        left_out += [f"{use.fs} on {use.disk_id}, {use.mount}" for use in uses if use.fs]
        return
    for use in uses:
        if use.fs:
            storage.format(use.disk_id, use.fs)
        if use.mount:
            storage.mount(use.disk_id, Path(use.mount))
    attached = [disk for disk in (storage.disk(use.disk_id) for use in uses) if disk.device]
    if any(disk.serial and not disk.link for disk in attached):
        left_out.append("links under /dev/disk/by-id (not wanted, taken, or /dev is read-only)")


@contextlib.contextmanager
def _watchdog(ledger: Ledger) -> Iterator[None]:
    """Keep a process that cleans up when this one is gone: it sees its standard input end."""
    watchdog = subprocess.Popen(
        programs.own_command(("--watch", str(ledger.path))),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=programs.ENVIRONMENT,
        start_new_session=True,
    )
    with watchdog:
        yield


def watch(ledger_path: Path) -> int:
    """Wait until standard input ends and its writer is dead, then remove what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _, faults = clean_one(ledger_path, wait=True)
    return 1 if faults else 0


def clean(*, say: Say) -> int:
    """Remove what dead simulators of this user left, and say what."""
    made, faults = clean_dead()
    for thing in reversed(made):
        say(f"taken away, if it was still there: {thing.kind} {thing.path}")
    for fault in faults:
        say(f"could not be taken away: {fault}")
    return 1 if faults else 0


def serve(description: Description, options: ProcessOptions, *, say: Say) -> int:
    """Run a simulator until a signal or its parent's end; print one JSON line when ready."""
    stop = threading.Event()
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    clean(say=say)
    with running(description, options, say=say) as instance:
        print(json.dumps(instance.announcement(description.uses)), flush=True)
        while not stop.wait(0.25):
            if options.die_with_parent and os.getppid() != parent:
                break
    return 0
