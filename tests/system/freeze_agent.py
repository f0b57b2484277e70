"""An agent that freezes step by step: reads a step a line, answers a line.

Arguments: folder of the package, directory of the marker, longest hold in seconds, mount points.
"""

from __future__ import annotations

import sys
import time

sys.path.insert(0, sys.argv[1])

from pathlib import Path

from freeze_rig import target  # in the folder of this file

from snap_self.errors import SnapSelfError
from snap_self.quiesce.freeze import FreezeLimits, FreezePorts, FreezeSession
from snap_self.quiesce.wire import SIZE
from snap_self.system.freezing import KernelFreezeCalls
from snap_self.system.guardian_launch import (
    GuardianProcessStarter,
    MarkerFile,
    MountDirectories,
    ProcBootFacts,
)


class BootClock:
    """CLOCK_BOOTTIME, as the product's clock has it."""

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def session_for(paths: list[str], markers: Path, hold_s: float) -> FreezeSession:
    """Return a session with the real adapters."""
    store = MarkerFile(markers)
    ports = FreezePorts(
        opener=MountDirectories(),
        starter=GuardianProcessStarter(marker_path=str(store.path), message_bytes=SIZE),
        markers=store,
        calls=KernelFreezeCalls(),
        boot=ProcBootFacts(),
        clock=BootClock(),
    )
    return FreezeSession(
        [target(path) for path in paths], ports, FreezeLimits(hold_s=hold_s, sync_s=20)
    )


def step(session: FreezeSession, name: str) -> str:
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
    elif name == "thaw":
        result = session.thaw()
        frozen = ",".join(result.maybe_frozen)
        return f"held={result.held} frozen=[{frozen}] s={result.frozen_s:.4f} why={result.why}"
    return "ok"


def main() -> None:
    """Serve the steps until the input ends."""
    with session_for(sys.argv[4:], Path(sys.argv[2]), float(sys.argv[3])) as session:
        for line in sys.stdin:
            try:
                answer = step(session, line.strip())
            except SnapSelfError as error:
                answer = f"error {error.code}: {error.message}"
            print(answer, flush=True)


if __name__ == "__main__":
    main()
