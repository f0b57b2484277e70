"""An agent that freezes step by step: reads a step a line, answers a line.

Arguments: directory of the marker, longest hold in seconds, mount points, each with ``@RANK``
behind it unless that is 0.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "agent"))

from freeze_rig import target  # in the folder of this file

from snap_self.errors import SnapSelfError
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts, FreezeSession
from snap_self.quiesce.freeze.stale import end_stale_freeze
from snap_self.quiesce.freeze.wire import SIZE
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.calls import KernelFreezeCalls
from snap_self.system.freeze.launch import (
    GuardianProcessStarter,
    MarkerFile,
    MountDirectories,
    ProcBootFacts,
)


class BootClock:
    """CLOCK_BOOTTIME, as the product's clock has it."""

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def real_ports(markers: Path) -> FreezePorts:
    """Return the real adapters."""
    store = MarkerFile(markers)
    return FreezePorts(
        opener=MountDirectories(AsideProcess()),
        starter=GuardianProcessStarter(marker_path=str(store.path), message_bytes=SIZE),
        markers=store,
        calls=KernelFreezeCalls(),
        boot=ProcBootFacts(),
        clock=BootClock(),
    )


def step(session: FreezeSession, ports: FreezePorts, name: str) -> str:
    """Make one step; return the answer."""
    if name == "prepare":
        session.prepare()
        return f"ok {session._link.pid} {session._story.ready.first} {session._story.ready.number}"
    if name == "mark":
        session._mark()
    elif name == "freeze":
        session.freeze()
    elif name == "check":
        return str(session.still_held())
    elif name == "recover":
        report = end_stale_freeze(ports)
        return f"{report.why}: {[(path, outcome.name) for path, outcome in report.filesystems]}"
    elif name == "thaw":
        result = session.thaw()
        frozen = ",".join(result.maybe_frozen)
        return f"held={result.held} frozen=[{frozen}] s={result.frozen_s:.4f} why={result.why}"
    return "ok"


def main() -> None:
    """Serve the steps until the input ends."""
    ports = real_ports(Path(sys.argv[1]))
    limits = FreezeLimits(hold_s=float(sys.argv[2]), sync_s=20)
    targets = []
    for argument in sys.argv[3:]:
        path, _, rank = argument.partition("@")
        targets.append(target(path, rank=int(rank or 0)))
    with FreezeSession(targets, ports, limits) as session:
        for line in sys.stdin:
            try:
                answer = step(session, ports, line.strip())
            except SnapSelfError as error:
                answer = f"error {error.code}: {error.message}"
            print(answer, flush=True)


if __name__ == "__main__":
    main()
