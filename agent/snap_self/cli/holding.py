"""Wire what a freeze needs; imported only for a run that freezes, or to end a stale freeze."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from snap_self.cli.wiring import MARKER
from snap_self.quiesce.freeze import FreezeLimits, FreezePorts
from snap_self.quiesce.preflight import FreezeFacts
from snap_self.quiesce.wire import SIZE
from snap_self.system.freezing import KernelFreezeCalls
from snap_self.system.guardian_launch import (
    GuardianProcessStarter,
    MarkerFile,
    MountDirectories,
    ProcBootFacts,
)
from snap_self.usecases.holding import HoldTools

if TYPE_CHECKING:
    from snap_self.cli.wiring import Wiring


def freeze_ports(wiring: Wiring) -> FreezePorts:
    """Return the kernel's side of a freeze."""
    markers = MarkerFile(MARKER.parent)
    return FreezePorts(
        opener=MountDirectories(),
        starter=GuardianProcessStarter(marker_path=str(markers.path), message_bytes=SIZE),
        markers=markers,
        calls=KernelFreezeCalls(),
        boot=ProcBootFacts(),
        clock=wiring.clock,
    )


def hold_tools(wiring: Wiring) -> HoldTools:
    """Return everything that holding this machine still needs."""
    # While a filesystem is frozen, an import must read compiled code but never write any.
    sys.dont_write_bytecode = True
    limits = FreezeLimits(hold_s=10.0)
    return HoldTools(
        ports=freeze_ports(wiring),
        limits=limits,
        facts=lambda _order: FreezeFacts(release=os.uname().release),
        quiescers=lambda _coverage, _one_cut: (),
        renew=wiring.renew,
        applications_limit_s=60.0,
    )
