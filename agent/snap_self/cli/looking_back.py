"""Wire what looking back into a snapshot works with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from snap_self.cli.adapters import Adapters, text_of
from snap_self.cli.places import BOOT_ID
from snap_self.cli.wiring import copies_lock
from snap_self.errors import RootNeeded
from snap_self.model.progress import Event, EventKind
from snap_self.model.temporary import RestoreId
from snap_self.ports_looking_back import TemporaryDisks
from snap_self.system.commands import SystemCommands
from snap_self.system.environment import program_environment
from snap_self.system.inhibitor import LogindInhibitor
from snap_self.system.mount_points import MountPoints
from snap_self.system.state.copies import CopyJournal
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.tools import Here

if TYPE_CHECKING:
    from snap_self.model.manifest import Manifest
    from snap_self.model.packed import PackedManifest

# How long closing may take where it is done by the way.
BRIEF_S = 10.0
BRIEF_UNMOUNT_S = 2.0


def looking_back(adapters: Adapters) -> LookingBack:
    """Return what opening a snapshot, copying from it and ending it take."""
    from snap_self.system.copying.copier import SystemCopier
    from snap_self.system.opening.opener import SystemCopyOpener

    state = adapters.config.state.dir
    commands = SystemCommands(env=program_environment())
    opener = SystemCopyOpener(commands, adapters.clock)
    return LookingBack(
        clock=adapters.clock,
        lock=copies_lock(state, adapters.clock),
        copies=CopyJournal(state),
        disks=_disks,
        opener=opener,
        prepare=opener.prepare,
        copier=SystemCopier(own=(str(state),)),
        inhibitor=LogindInhibitor(),
        places=MountPoints(),
        listener=adapters.gate,
        new_id=lambda: _new_id(adapters),
        ask_packages=partial(_ask_packages, adapters),
        boot_id=text_of(BOOT_ID),
        max_gib=adapters.config.restore.max_gib,
    )


def brief_looking_back(adapters: Adapters) -> LookingBack:
    """Return what ends a copy by the way: nothing is waited for long, and no step is told."""
    from snap_self.system.opening.aside import Limits
    from snap_self.system.opening.opener import SystemCopyOpener

    def listen(event: Event) -> None:
        if event.kind is not EventKind.STEP:
            adapters.gate(event)

    opener = SystemCopyOpener(
        SystemCommands(env=program_environment()),
        adapters.clock,
        limits=Limits(idle_s=BRIEF_S, total_s=2 * BRIEF_S),
        unmount_wait_s=BRIEF_UNMOUNT_S,
    )
    return replace(looking_back(adapters), opener=opener, listener=listen)


def _ask_packages(adapters: Adapters, paths: Sequence[str]) -> Callable[[str], Sequence[str]]:
    """Ask which packages the paths belong to; return what tells which have another version."""
    from snap_self.cli.manifests import manifest_tools
    from snap_self.system.managers.owners import PackageOwners
    from snap_self.system.manifest.packages import manager_of
    from snap_self.usecases.looking_back.packages import PackageQuestion

    def values(packed: PackedManifest) -> Manifest:
        from snap_self.system.manifest.packing import unpack  # only what changed needs it

        return unpack(packed.content)

    owners = PackageOwners(SystemCommands(env=program_environment()), lambda: manager_of(""))
    return PackageQuestion(manifest_tools(adapters), values, owners, paths).warnings


def _disks(here: Here) -> TemporaryDisks:
    from snap_self.cloud.temporary_disks import EcsTemporaryDisks

    return EcsTemporaryDisks(here.cloud.caller)


def _new_id(adapters: Adapters) -> RestoreId:
    """Return an id of letters and digits alone: names of LVM and of files have it too."""
    return RestoreId(f"{adapters.clock.now():%Y%m%dt%H%M%Sz}{os.urandom(3).hex()}")


def need_root(command: str) -> None:
    """Refuse a command that mounts.

    Raises:
        RootNeeded: this is not root.
    """
    if os.geteuid():
        raise RootNeeded(
            f"{command} attaches a disk and mounts it, which needs root", hint="run it with sudo"
        )
