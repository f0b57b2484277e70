"""Wire what a hold needs; imported only for a run that freezes, or to end a stale freeze."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snap_self.cli.adapters import Adapters
from snap_self.cli.places import MARKER
from snap_self.errors import EnvironmentFault
from snap_self.model.disks import Coverage
from snap_self.model.freezing import FreezeFacts
from snap_self.model.hooks import HookFacts, HookResult
from snap_self.model.servers import RestedServer
from snap_self.quiesce.applications.base import Tools as ApplicationTools
from snap_self.quiesce.applications.finding import find_applications
from snap_self.quiesce.applications.quiescers import ApplicationQuiescer
from snap_self.quiesce.freeze.order import FreezeOrder
from snap_self.quiesce.freeze.selftest import root_tested, run_self_test
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts
from snap_self.quiesce.freeze.wire import SIZE
from snap_self.quiesce.hooks.hookset import HookPlaces, HookPorts, Hooks, load_hooks
from snap_self.quiesce.quiescer import Quiescer
from snap_self.system.accounts import SystemAccounts
from snap_self.system.applications.links import silent_link
from snap_self.system.applications.processes import SystemProcesses
from snap_self.system.applications.server_sockets import LocalServerSockets
from snap_self.system.applications.unlockers import UnlockerProcesses
from snap_self.system.disks.calls import KernelFreezeCalls
from snap_self.system.disks.machine import KernelMachineReader
from snap_self.system.freeze.facts import read_freeze_facts
from snap_self.system.freeze.launch import (
    GuardianProcessStarter,
    MarkerFile,
    MountDirectories,
    ProcBootFacts,
)
from snap_self.system.freeze.scratch import LoopScratch
from snap_self.system.hooks.files import SystemHookFiles
from snap_self.system.hooks.keeper import KeeperProcessStarter
from snap_self.system.hooks.process import SystemHookProcesses
from snap_self.system.textfile import read_text_file
from snap_self.system.trust import distrust
from snap_self.usecases.hold_tools import HoldTools


def freeze_ports(adapters: Adapters) -> FreezePorts:
    """Return the kernel's side of a freeze."""
    markers = MarkerFile(MARKER.parent)
    return FreezePorts(
        opener=MountDirectories(adapters.aside),
        starter=GuardianProcessStarter(marker_path=str(markers.path), message_bytes=SIZE),
        markers=markers,
        calls=KernelFreezeCalls(),
        boot=ProcBootFacts(),
        clock=adapters.clock,
    )


def hold_tools(adapters: Adapters, before: str) -> HoldTools:
    """Return everything that holding this machine still needs."""
    # While a filesystem is frozen, an import must read compiled code but never write any.
    sys.dont_write_bytecode = True
    hold_s = float(adapters.config.freeze.limit_s)
    return HoldTools(
        ports=freeze_ports(adapters),
        limits=FreezeLimits(hold_s=hold_s),
        facts=lambda order: _facts(adapters, order),
        applications=lambda run_id, coverage, one_cut: _RunApplications.find(
            adapters,
            HookFacts(run_id=run_id, before=before, **_places(coverage)),
            coverage,
            one_cut=one_cut,
        ),
        renew=adapters.renew,
        applications_limit_s=adapters.config.applications.timeout_s * 3.0,
    )


def try_freeze(adapters: Adapters) -> str:
    """Run the freeze's self-test, remember its outcome, and return what went wrong.

    Raises:
        EnvironmentFault: the filesystem for the test cannot be made.
    """
    try:
        return run_self_test(
            LoopScratch(MARKER.parent),
            freeze_ports(adapters),
            adapters.store,
            release=os.uname().release,
        ).why
    except OSError as error:
        raise EnvironmentFault(
            f"the freeze's self-test cannot be run: {error.strerror or error}",
            hint="it needs loop devices and mkfs.ext4",
        ) from error


def _facts(adapters: Adapters, order: FreezeOrder) -> tuple[FreezeFacts, Sequence[str]]:
    own = {"state directory": adapters.config.state.dir}
    mounts = {
        mount.mount_id: target.key
        for target in order.targets
        for mount in target.mounts
        if mount.namespace is None
    }
    return read_freeze_facts(
        mounts,
        adapters.aside,
        own=own,
        markers=MARKER.parent,
        root_tested=root_tested(
            adapters.store, release=os.uname().release, allowed=adapters.root_may_freeze
        ),
    )


def _places(coverage: Coverage) -> dict[str, tuple[str, ...]]:
    return {
        "disks": tuple(target.cloud.disk_id for target in coverage.targets),
        "mounts": tuple(
            mount.path
            for target in coverage.targets
            for filesystem in target.filesystems
            for mount in filesystem.mounts
            if mount.namespace is None
        ),
    }


@dataclass(frozen=True, slots=True)
class _RunApplications:
    """Implements usecases.hold_tools.Applications with hooks first, then the built-in drivers.

    Hooks come first since they may stop what would otherwise keep a driver waiting for its lock.
    """

    hooks: Hooks
    quiescers: tuple[Quiescer, ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]

    @classmethod
    def find(
        cls, adapters: Adapters, facts: HookFacts, coverage: Coverage, *, one_cut: bool
    ) -> _RunApplications:
        config = adapters.config
        hooks = load_hooks(
            config.hooks,
            facts,
            HookPorts(
                clock=adapters.clock,
                files=SystemHookFiles(),
                keepers=KeeperProcessStarter(),
                processes=SystemHookProcesses,
            ),
            HookPlaces(
                marker=MARKER, state_dir=config.state.dir, hold_s=float(config.freeze.limit_s)
            ),
        )
        machine = KernelMachineReader(adapters.aside)
        found = find_applications(
            config.applications,
            SystemProcesses(),
            coverage,
            one_cut=one_cut,
            tools=ApplicationTools(
                clock=adapters.clock,
                link=silent_link,
                read_text=read_text_file,
                distrust=distrust,
                locate=machine.locate_of,
                leads=machine.leads_of,
                accounts=SystemAccounts(),
                sockets=LocalServerSockets(str(MARKER.parent)),
                unlockers=UnlockerProcesses(),
            ),
        )
        return cls(
            hooks=hooks,
            quiescers=(*hooks.quiescers, *found.quiescers),
            notes=(*hooks.notes, *found.notes),
            doubts=found.doubts,
        )

    @property
    def servers(self) -> Sequence[RestedServer | None]:
        return [
            each.server if isinstance(each, ApplicationQuiescer) else None
            for each in self.quiescers
        ]

    def say_cut(self) -> None:
        self.hooks.say_result(HookResult.CUT)

    def outputs(self) -> Sequence[str]:
        return [
            f"{output.name} {output.phase}: {line}"
            for output in self.hooks.outputs
            for line in output.text.splitlines()
        ]

    def kept(self) -> Mapping[str, str]:
        return {
            f"{each.name}: {name}": text
            for each in self.quiescers
            if isinstance(each, ApplicationQuiescer)
            for name, text in each.kept.items()
        }

    def close(self) -> None:
        self.hooks.close()
