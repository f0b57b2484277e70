"""Wire the real adapters to the use cases, for one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snap_self.cli.adapters import MARKER, Adapters, text_of
from snap_self.config.load import Sources, load_config
from snap_self.config.settings import Config
from snap_self.errors import RootNeeded
from snap_self.model.ids import RunId
from snap_self.model.request import Request
from snap_self.model.snapshots import Identity
from snap_self.plan import is_held
from snap_self.system.change_log import ChangeLog
from snap_self.system.configfiles import list_config_folder, read_config_file
from snap_self.system.filesystems import KernelFilesystems
from snap_self.system.follower_start import FollowerStart
from snap_self.system.lock import FileLock
from snap_self.system.machine import KernelMachineReader
from snap_self.usecases.tools import Process, Tools

if TYPE_CHECKING:
    from snap_self.cloud.client import EcsClient

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Busy enough that a snapshot's slow-down is felt: more runnable or waiting tasks than processors.
BUSY_LOAD_PER_CPU = 1.5


class Wiring(Adapters):
    """What the commands work with."""

    def identify(self) -> Identity:
        """Ask the metadata service; keys are fetched beside it, since every call needs them."""
        from concurrent.futures import ThreadPoolExecutor

        from snap_self.instance.identity import read_identity

        self.transport.warm()  # before any thread of this one's imports, see `warm`
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="keys") as pool:
            keys = pool.submit(self.credentials, False)
            identity = read_identity(self.metadata, product_name=self.product_name)
            keys.exception()  # the first call that needs keys raises it
        return identity

    def connect(self, identity: Identity) -> EcsClient:
        """Return the client for the instance's region."""
        from snap_self.cli.connecting import connect

        return connect(self, identity)

    def warm(self) -> None:
        """Import what a cloud call needs.

        The SDK's copy of ``six`` imports ``http.client`` and others while it holds the import
        system's own lock. A thread that is importing the same then waits for that lock, and both
        wait for ever. So ``requests``, which loads all of them, goes first, on whichever thread.
        """
        from snap_self.cloud.rpc import warm

        self.transport.warm()
        warm()

    def trail(self) -> Sequence[tuple[str, str]]:
        """Return each source of credentials with its verdict, after resolving them."""
        self.credentials(False)
        return self.provider.trail

    def tools(self) -> Tools:
        """Return what the use cases work with."""
        _ = self.transport  # made before there are threads that would each make one
        return Tools(
            clock=self.clock,
            machine=KernelMachineReader(),
            filesystems=KernelFilesystems(),
            store=self.store,
            lock=FileLock(self.config.state.dir, self.clock),
            process=Process(pid=os.getpid(), boot_id=text_of(BOOT_ID)),
            identify=self.identify,
            connect=self.connect,
            warm=self.warm,
            new_run_id=self._new_run_id,
            busy=busy,
            end_stale_freeze=self.end_stale_freeze,
            gate=self.gate,
            user_map=dict(self.config.disks.map),
            resume_s=self.config.state.resume_s,
            process_started=process_started,
            start_follower=self.follower_start(),
            changes_of=ChangeLog(self.config.state.dir).of,
        )

    def follower_start(self) -> FollowerStart:
        """Return what starts the process that watches uploads on."""
        return FollowerStart(
            clock=self.clock,
            env=self.env,
            enabled=self.config.follow.enabled,
            limit_s=self.config.follow.limit_s,
        )

    def tools_for(self, request: Request) -> Tools:
        """Return what a run works with; only one that freezes loads that part."""
        if not is_held(request.consistency):
            return self.tools()
        from snap_self.cli.holding import hold_tools

        return replace(self.tools(), hold=hold_tools(self, request.before))

    def try_freeze(self) -> str:
        """Freeze and thaw a small filesystem made for it; return what went wrong."""
        from snap_self.cli.holding import try_freeze

        return try_freeze(self)

    def try_hold(self) -> str:
        """Hold a reboot back for an instant; return why it cannot be."""
        from snap_self.system.inhibitor import LogindInhibitor

        if not self.config.follow.enabled:
            return "follow.enabled is false"
        inhibitor = LogindInhibitor()
        try:
            return inhibitor.hold("snap-self doctor tries whether it can")
        finally:
            inhibitor.release()

    def end_stale_freeze(self, *, must_look: bool = False) -> str:
        """End what a freeze marker names, and tell which hooks were released without the agent.

        Args:
            must_look: not being root is an error, instead of nothing to do.

        Raises:
            RootNeeded: only root may look.
        """
        try:
            marked = has_marker(MARKER.exists)
        except RootNeeded:
            if must_look:
                raise
            marked = False
        thawed = self._thawed() if marked else ""
        return "; ".join(filter(None, (thawed, self._hooks_released())))

    def _thawed(self) -> str:
        from snap_self.cli.holding import freeze_ports
        from snap_self.usecases.holding import end_stale

        return end_stale(freeze_ports(self))

    def _hooks_released(self) -> str:
        from snap_self.quiesce.hooks.aftermath import interrupted_hooks

        released = interrupted_hooks(self.store)
        return released.sentence() if released else ""

    def raw_disks(self, identity: Identity) -> Mapping[str, Any]:
        """Return DescribeDisks' own answer, for a recording."""
        from snap_self.cli.connecting import make_rpc

        return make_rpc(self, identity).call(
            "DescribeDisks",
            {"RegionId": identity.region, "InstanceId": identity.instance_id, "MaxResults": "100"},
            timeout_s=10.0,
            credentials=self.credentials(False),
        )

    def _new_run_id(self) -> RunId:
        return RunId(f"{self.clock.now():%Y%m%dt%H%M%Sz}-{os.urandom(3).hex()}")


def has_marker(look: Callable[[], bool]) -> bool:
    """Tell whether a freeze left its marker, whose folder is root's alone.

    Raises:
        RootNeeded: this user may not look.
    """
    try:
        return look()
    except PermissionError:
        raise RootNeeded(
            "only root may see whether a freeze of snap-self was left behind",
            hint="sudo snap-self thaw",
        ) from None


def busy() -> str:
    """Return what makes the machine busy, in words, or an empty string."""
    import psutil

    load, cpus = psutil.getloadavg()[0], psutil.cpu_count() or 1
    if load / cpus < BUSY_LOAD_PER_CPU:
        return ""
    return f"load {load:.1f} on {cpus} processors"


def process_started(pid: int) -> int | None:
    """Return when a process was started, in the kernel's ticks; None when it has ended."""
    from snap_self.system.guardian_launch import ProcBootFacts

    return ProcBootFacts().started(pid)


def load_settings(env: Mapping[str, str]) -> Config:
    """Return the configuration of this machine and environment.

    Raises:
        ConfigError: with every fault there is.
    """
    return load_config(
        Sources(
            env=env,
            read=read_config_file,
            listing=list_config_folder,
            as_root=os.geteuid() == 0,
        )
    )
