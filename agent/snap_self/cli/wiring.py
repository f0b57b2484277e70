"""Wire the real adapters to the use cases, for one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from snap_self.cli.adapters import Adapters, text_of
from snap_self.cli.places import BOOT_ID, MARKER, RUN_DIRECTORY
from snap_self.config.load import Loaded, Sources, load_config, load_usable
from snap_self.config.settings import Config
from snap_self.errors import RootNeeded
from snap_self.model.ids import RunId
from snap_self.model.request import Request
from snap_self.model.snapshots import Identity
from snap_self.ports import Clock, Executions, RunLock
from snap_self.system.configfiles import (
    distrust_config,
    list_config_folder,
    read_config_file,
)
from snap_self.system.disks.filesystems import KernelFilesystems
from snap_self.system.disks.machine import KernelMachineReader
from snap_self.system.follower_start import FollowerStart
from snap_self.system.managers.change_log import ChangeLog
from snap_self.system.state.awaited import AwaitedFiles
from snap_self.system.state.lock import FileLock, JoinedLocks
from snap_self.usecases.tools import Process, Tools

if TYPE_CHECKING:
    from snap_self.cloud.client import EcsClient
    from snap_self.model.summary import Holdings

# Busy enough that a snapshot's slow-down is felt: more runnable or waiting tasks than processors.
BUSY_LOAD_PER_CPU = 1.5
COPIES_LOCK = "copies.lock"


def make_tools(adapters: Adapters) -> Tools:
    """Return what the use cases work with."""
    _ = adapters.transport  # made before there are threads that would each make one
    return Tools(
        clock=adapters.clock,
        machine=KernelMachineReader(adapters.aside),
        filesystems=KernelFilesystems(adapters.aside),
        store=adapters.store,
        lock=run_lock(adapters),
        process=Process(pid=os.getpid(), boot_id=text_of(BOOT_ID)),
        identify=partial(identify, adapters),
        connect=partial(_connect, adapters),
        warm=partial(warm, adapters),
        new_run_id=lambda: _new_run_id(adapters),
        busy=busy,
        end_stale_freeze=partial(end_stale_freeze, adapters),
        random=chance,
        gate=adapters.gate,
        user_map=dict(adapters.config.disks.map),
        resume_s=adapters.config.state.resume_s,
        process_started=process_started,
        start_follower=follower_start(adapters),
        changes_of=ChangeLog(adapters.config.state.dir).of,
        awaited=AwaitedFiles(adapters.config.state.dir),
        executions=partial(_executions, adapters),
        tell_system_log=_tell_system_log,
        saw=partial(_saw, adapters),
    )


def tools_for(adapters: Adapters, request: Request) -> Tools:
    """Return what a run works with; only one that freezes loads that part."""
    from snap_self.cli.manifests import manifest_tools

    tools = replace(make_tools(adapters), manifests=manifest_tools(adapters))
    if not request.consistency.is_held:
        return tools
    from snap_self.cli.holding import hold_tools

    return replace(tools, hold=hold_tools(adapters, request.before))


def identify(adapters: Adapters) -> Identity:
    """Ask the metadata service; keys are fetched beside it, since every call needs them."""
    from snap_self.instance.identity import read_identity
    from snap_self.threads.pool import side_by_side

    adapters.transport.warm()  # before any thread of this one's imports, see `warm`
    with side_by_side(1, "keys") as pool:
        keys = pool.submit(adapters.credentials, False)
        identity = read_identity(adapters.metadata, product_name=adapters.product_name)
        keys.exception()  # the first call that needs keys raises it
    return identity


def warm(adapters: Adapters) -> None:
    """Import what a cloud call needs.

    The SDK's copy of ``six`` imports ``http.client`` and others while it holds the import
    system's own lock. A thread that is importing the same then waits for that lock, and both
    wait for ever. So ``requests``, which loads all of them, goes first, on whichever thread.
    """
    from snap_self.cloud.rpc import warm as warm_calls

    adapters.transport.warm()
    warm_calls()


def _connect(adapters: Adapters, identity: Identity) -> EcsClient:
    from snap_self.cli.connecting import connect

    return connect(adapters, identity)


def _executions(adapters: Adapters, identity: Identity) -> Executions:
    from snap_self.cli.connecting import connect_oos
    from snap_self.cloud.executions import OosExecutions

    return OosExecutions(connect_oos(adapters, identity))


def _saw(adapters: Adapters, holdings: Holdings) -> None:
    if adapters.watching is not None:
        adapters.watch.saw(holdings)


def _tell_system_log(text: str) -> None:
    from snap_self.system.system_log import write_notice

    write_notice(text)


def run_lock(adapters: Adapters) -> RunLock:
    """Return the lock that one run at a time holds.

    As root it also lies beside the marker of a freeze, which is the machine's: a command with
    another state directory must not take a freeze that is alive for one that was left behind.
    """
    own = FileLock(adapters.config.state.dir, adapters.clock)
    if os.geteuid():
        return own
    machine = FileLock(RUN_DIRECTORY, adapters.clock, required=False)
    return JoinedLocks(adapters.clock, machine, own)


def copies_lock(state: Path, clock: Clock) -> RunLock:
    """Return the lock that is held by whoever opens or ends copies of snapshots.

    As root it lies on tmpfs: what is open has to be ended on a full disk too.
    """
    folder = RUN_DIRECTORY if os.geteuid() == 0 else state
    return FileLock(folder, clock, name=COPIES_LOCK, required=False)


def follower_start(adapters: Adapters) -> FollowerStart:
    """Return what starts the process that watches uploads on."""
    return FollowerStart(
        clock=adapters.clock,
        env=adapters.env,
        enabled=adapters.config.follow.enabled,
        limit_s=adapters.config.follow.limit_s,
    )


def end_stale_freeze(adapters: Adapters, *, must_look: bool = False) -> str:
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
    thawed = _thawed(adapters) if marked else ""
    return "; ".join(filter(None, (thawed, _hooks_released(adapters))))


def _thawed(adapters: Adapters) -> str:
    from snap_self.cli.holding import freeze_ports
    from snap_self.usecases.job.hold import end_stale

    return end_stale(freeze_ports(adapters))


def _hooks_released(adapters: Adapters) -> str:
    from snap_self.quiesce.hooks.aftermath import interrupted_hooks

    released = interrupted_hooks(adapters.store)
    return released.sentence() if released else ""


def _new_run_id(adapters: Adapters) -> RunId:
    return RunId(f"{adapters.clock.now():%Y%m%dt%H%M%Sz}-{os.urandom(3).hex()}")


def chance() -> float:
    """Return 0 to 1, evenly."""
    return int.from_bytes(os.urandom(4), "big") / 0xFFFFFFFF


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
    from snap_self.system.freeze.launch import ProcBootFacts

    return ProcBootFacts().started(pid)


def load_settings(env: Mapping[str, str]) -> Config:
    """Return the configuration of this machine and environment.

    Raises:
        ConfigError: with every fault there is.
    """
    return load_config(config_sources(env))


def usable_settings(env: Mapping[str, str]) -> Loaded:
    """Return the same without what has a fault."""
    return load_usable(config_sources(env))


def config_sources(env: Mapping[str, str]) -> Sources:
    """Return where this machine's configuration comes from."""
    return Sources(
        env=env,
        read=read_config_file,
        listing=list_config_folder,
        distrust=distrust_config,
        example=_example,
    )


def _example() -> str:
    from snap_self.system.installation import read_installation

    return read_installation().example
