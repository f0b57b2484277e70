"""Where the guardian's processes begin, in a fresh interpreter, like ``cli`` for others.

The interpreter is fresh and not a fork of the agent. So the agent's libraries stay out of locked
memory (measured: 5 MiB private each instead of the agent's 40 or more), and no thread or lock of
the agent can be caught half-way.
"""

from __future__ import annotations

import os
import sys

from snap_self.model.guardian import Source
from snap_self.quiesce.freeze.guardian import Guardian
from snap_self.quiesce.freeze.understudy import Understudy
from snap_self.quiesce.freeze.wire import SIZE, Readiness, decode_mount, marker_owner
from snap_self.system.disks.calls import KernelFreezeCalls
from snap_self.system.freeze.process import (
    Seat,
    block_signals,
    exempt_from_oom,
    fork_understudy,
    lock_memory,
    name_process,
    open_signals,
)


def _readiness() -> int:
    bits = 0
    if lock_memory():
        bits |= Readiness.MEMORY_LOCKED
    if exempt_from_oom():
        bits |= Readiness.OOM_EXEMPT
    return bits


def main() -> None:
    """Serve one freeze; the arguments are two descriptors, the marker's path, and the mounts."""
    agent_fd, status_fd = int(sys.argv[1]), int(sys.argv[2])
    marker_path = sys.argv[3]
    mounts = [decode_mount(text) for text in sys.argv[4:]]
    calls = KernelFreezeCalls()
    block_signals()
    guardian_pid = os.getpid()
    pid, read_fd, write_fd = fork_understudy()
    if pid == 0:
        os.close(agent_fd)
        name_process("snap-understudy")
        seat = Seat(
            {Source.GUARDIAN: read_fd},
            agent_fd=status_fd,
            partner_fd=write_fd,
            marker_path=marker_path,
            marker_owner=marker_owner(guardian_pid),
            message_bytes=SIZE,
            partner_pid=guardian_pid,
        )
        Understudy(
            calls=calls, seat=seat, mounts=mounts, readiness=_readiness(), pid=os.getpid()
        ).run()
        os._exit(0)
    name_process("snap-guardian")
    seat = Seat(
        {Source.UNDERSTUDY: read_fd, Source.AGENT: agent_fd, Source.SIGNAL: open_signals()},
        agent_fd=status_fd,
        partner_fd=write_fd,
        marker_path=marker_path,
        marker_owner=marker_owner(guardian_pid),
        message_bytes=SIZE,
    )
    Guardian(calls=calls, seat=seat, mounts=mounts, readiness=_readiness()).run()
    os._exit(0)
