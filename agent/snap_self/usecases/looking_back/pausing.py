"""How long to wait before the cloud is asked about a disk again.

The cloud does not tell when an operation has ended, so it is asked, less often the longer it takes.
But a disk that is attached comes up on this machine, and one that is detached goes from it: that
is seen here, without asking anybody.
"""

from __future__ import annotations

from snap_self.usecases.looking_back.tools import LookingBack

FIRST_S = 0.1
LONGEST_S = 1.0
_GROWTH = 1.25
LOOK_S = 0.05


def longer(pause_s: float) -> float:
    """Return the pause after one of that length."""
    return min(LONGEST_S, pause_s * _GROWTH)


def pause_until(tools: LookingBack, serial: str, *, there: bool, longest_s: float) -> None:
    """Sleep, and wake before the end when the device of a disk comes or goes.

    Args:
        there: it is to come; else it is to go. One that has done so already wakes nobody.
    """
    clock = tools.clock
    if _is_there(tools, serial) is there:
        clock.sleep(longest_s)
        return
    end = clock.monotonic() + longest_s
    while (left_s := end - clock.monotonic()) > 0:
        clock.sleep(min(LOOK_S, left_s))
        if _is_there(tools, serial) is there:
            return


def _is_there(tools: LookingBack, serial: str) -> bool:
    return tools.opener.device_of(serial) is not None
