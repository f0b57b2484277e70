"""Where the keeper's process begins: a fresh interpreter without the agent's threads and locks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.quiesce.hooks.aftermath import FACTS
from snap_self.quiesce.hooks.keeper import Keeper, KeeperTools
from snap_self.quiesce.hooks.stepping import StepRunner
from snap_self.quiesce.hooks.wire import KeeperPlan, WireFault, decode
from snap_self.system.clock import SystemClock
from snap_self.system.hooks.files import SystemHookFiles
from snap_self.system.hooks.keeper import KeeperChair, settle
from snap_self.system.hooks.process import SystemHookProcesses


def main() -> None:
    """Serve one run; the arguments are the descriptors of two pipes, the first line is the plan."""
    ask_fd, answer_fd = int(sys.argv[1]), int(sys.argv[2])
    for fd in (ask_fd, answer_fd):
        os.set_inheritable(fd, False)
    settle()
    seat = KeeperChair(ask_fd, answer_fd)
    processes = SystemHookProcesses(adopts=True, watch=(ask_fd,))
    while not seat.pending():
        processes.wait(1.0)
    try:
        plan = decode(KeeperPlan, seat.take())
    except WireFault:
        return  # the agent died before its first message; nothing was started
    started = _Started()
    clock = SystemClock()
    runner = StepRunner(processes, SystemHookFiles(), clock, on_started=started)
    tools = KeeperTools(
        seat=seat,
        processes=processes,
        clock=clock,
        frozen=lambda: os.path.lexists(plan.marker),
        note=lambda done: _note(Path(plan.state_dir), done),
    )
    keeper = Keeper(plan, runner, tools)
    started.keeper = keeper
    keeper.serve()


class _Started:
    """Connects the runner to the keeper, which is created after it."""

    keeper: Keeper | None = None

    def __call__(self, pid: int) -> None:
        if self.keeper is not None:
            self.keeper.tell_started(pid)


def _note(state_dir: Path, done: Mapping[str, str]) -> None:
    # Loaded only if the agent was killed. A state directory that is full, or on a filesystem that
    # others froze, does no harm here: everything that is due has been run.
    from snap_self.system.state.journal import Journal

    with suppress(StateUnusable):
        Journal(state_dir).remember(FACTS, done)
