"""How the process that makes a hook's snapshot can end, and what it may tell before that.

Needed only once a change is risky.
"""

from __future__ import annotations

from enum import Enum, auto, unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


@unique
class Ending(Enum):
    """Every way there is; who asks for an outcome has a line for each."""

    EXITED = auto()
    TIMED_OUT = auto()
    KILLED = auto()
    NOT_STARTED = auto()
    # The hook itself was asked to end.
    SIGNALLED = auto()


class JobEnd:
    """How it ended.

    Args:
        status: its exit status; None unless it exited.
        number: the signal that asked the hook to end; 0 for none.
        out: what it wrote to standard output.
        err: the end of what it wrote to standard error.
        took_s: how long it took.
        pid: its id; 0 where it was not started.
        throttled: it told that the cloud refused a call as one too many.
    """

    __slots__ = ("ending", "err", "number", "out", "pid", "status", "throttled", "took_s")

    def __init__(
        self,
        ending: Ending,
        *,
        status: int | None = None,
        number: int = 0,
        out: bytes = b"",
        err: bytes = b"",
        took_s: float = 0.0,
        pid: int = 0,
        throttled: bool = False,
    ) -> None:
        self.ending = ending
        self.status = status
        self.number = number
        self.out = out
        self.err = err
        self.took_s = took_s
        self.pid = pid
        self.throttled = throttled


class Longer:
    """What the process that makes the snapshot may ask for beyond its limit.

    Args:
        throttled_s: its limit once it tells that the cloud refused a call as one too many.
        spread_s: it may begin so much later; the limit counts from then.
        told: is given each of its notices: one of ``NOTICES`` and its number of seconds.
    """

    __slots__ = ("spread_s", "throttled_s", "told")

    def __init__(
        self, *, throttled_s: float, spread_s: float, told: Callable[[str, float], None]
    ) -> None:
        self.throttled_s = throttled_s
        self.spread_s = spread_s
        self.told = told


# It begins later by so much; it begins; the cloud refused a call as one too many.
DELAYED = "delayed"
BEGUN = "begun"
THROTTLED = "throttled"
NOTICES = (DELAYED, BEGUN, THROTTLED)
