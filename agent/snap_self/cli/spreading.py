"""What a run goes by that may begin later than it was started."""

from __future__ import annotations

from collections.abc import Callable

from snap_self.model.request import Request
from snap_self.system.managers.outside import own_terminal
from snap_self.usecases.job.spreading import Spread


def spread_of(
    request: Request,
    delayed: Callable[[float], None] = lambda seconds: None,  # noqa: ARG005
) -> Spread:
    """Return over how long this machine and others are spread, and whether somebody waits here.

    Args:
        delayed: is told how long the delay is.
    """
    return Spread(within_s=request.spread_s, terminal=own_terminal(), delayed=delayed)
