"""A run's turn: one run at a time on a machine, or be content with what the other one made."""

from __future__ import annotations

from collections.abc import Callable

from snap_self.errors import LockHeld
from snap_self.model.request import Request
from snap_self.usecases.tools import Tools

# Whoever is content with an earlier snapshot looks after so long, then after twice as long and so
# on, whether the run that holds the lock has made one by now.
FIRST_TURN_S = 1.0


def in_turn(
    tools: Tools, request: Request, *, work: Callable[[], None], content: Callable[[], bool]
) -> None:
    """Work while no other run is going on, unless what that one made will do.

    Another one holds the lock until its wait is over: for hours, if that is for the upload.

    Args:
        content: looks without the lock, which reading needs not, for a snapshot that serves.

    Raises:
        LockHeld: the other run has not ended in time.
        SnapSelfError: as ``work`` and ``content`` do.
    """
    clock, begun = tools.clock, tools.clock.monotonic()
    end = begun + min(tools.lock_wait_s, request.timeout_s)
    turn_s = FIRST_TURN_S if request.reuse_s is not None else tools.lock_wait_s
    while True:
        left_s = max(0.0, end - clock.monotonic())
        try:
            with tools.lock.hold(timeout_s=min(turn_s, left_s), purpose=f"before {request.before}"):
                return work()
        except LockHeld as held:
            if content():
                return None
            if clock.monotonic() >= end:
                waited = f"it was waited for {end - begun:g} s; try again when it has ended"
                raise LockHeld(held.message, hint=waited) from None
        turn_s *= 2
