"""How long a change may be held up: for longer when nobody waits at a terminal. Pure.

At a terminal a person waits, and a minute is long. A patch night is started by a timer, by Cloud
Assistant or by Ansible, on a thousand machines at once: nobody waits, and the account's limits are
what everybody runs into.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.model.manager_facts import Ancestor
    from snap_self.model.manager_settings import ManagerSettings


class Patience:
    """How long one snapshot may take.

    Args:
        limit_s: as a rule.
        throttled_s: once the cloud has refused a call as one too many.
        spread_s: before it begins, a delay of at most so long.
    """

    __slots__ = ("limit_s", "spread_s", "throttled_s")

    def __init__(self, limit_s: float, *, throttled_s: float = 0.0, spread_s: float = 0.0) -> None:
        self.limit_s = limit_s
        self.throttled_s = max(throttled_s, limit_s)
        self.spread_s = spread_s


def nobody_waits(above: Sequence[Ancestor], action: Ancestor | None) -> bool:
    """Tell whether the action that a hook is a part of has no terminal.

    What is below it may have one all the same: Ansible asks for one by default, and some programs
    make one for what they start.

    Args:
        above: the processes above the hook, its parent first.
        action: the one that is the human action; None where none is.
    """
    top = action or next(iter(above), None)
    return top is not None and not top.terminal


def find_patience(
    settings: ManagerSettings, *, allowed_s: float, longest_s: float, nobody: bool
) -> Patience:
    """Return how long a snapshot may take.

    Args:
        allowed_s: what the guard allows as a rule.
        longest_s: what it allows when nobody waits.
        nobody: does.
    """
    limit_s = min(float(settings.limit_s), allowed_s)
    if not nobody:
        return Patience(limit_s)
    throttled_s = min(max(float(settings.throttled_limit_s), limit_s), max(longest_s, limit_s))
    spread_s = min(float(settings.spread_s), max(0.0, longest_s - throttled_s))
    return Patience(limit_s, throttled_s=throttled_s, spread_s=spread_s)
