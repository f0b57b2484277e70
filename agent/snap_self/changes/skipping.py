"""When no snapshot is made before a change, however risky it is: pure.

Everywhere but on an ECS instance that runs its own system, nothing at all is to happen. What one
left-over file could bring about on such an instance is told all the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from snap_self.model.manager_facts import Facts

# The limit for a snapshot if nothing listens yet, or no longer.
SHORT_LIMIT_S = 20
SKIP_VARIABLE = "SNAP_SELF_SKIP"
ECS_PRODUCT = "Alibaba Cloud ECS"
_OFF = ("", "0", "false", "no", "off")


class Skip:
    """That no snapshot is made.

    Args:
        why: for people.
        loud: whoever waits is told, since it may not be what they think.
        doubt: a stable word for what could not be made out; empty where it is as it should be, or
            as somebody wished.
    """

    __slots__ = ("doubt", "loud", "why")

    def __init__(self, why: str, *, loud: bool, doubt: str = "") -> None:
        self.why = why
        self.loud = loud
        self.doubt = doubt


def find_skip(facts: Facts) -> Skip | None:
    """Return why there is to be no snapshot; the first reason there is."""
    if facts.variable.lower() not in _OFF:
        return Skip(f"{SKIP_VARIABLE} is set", loud=True)
    if facts.told:
        return Skip(facts.told, loud=True)
    if facts.now < facts.skip_until:
        left = int(facts.skip_until - facts.now) // 60 + 1
        return Skip(f"/run/snap-self/skip-until holds for {left} more minutes", loud=True)
    if facts.container:
        doubt = "" if facts.container_sure else "maybe-container"
        return Skip(f"inside a container ({facts.container})", loud=bool(doubt), doubt=doubt)
    if facts.chroot:
        return Skip("inside a chroot", loud=False)
    if facts.root.strip("/."):
        return Skip(f"the packages go to {facts.root}", loud=False)
    if facts.building:
        return Skip(f"an image is being built: {facts.building}", loud=True)
    if facts.metadata_named:
        return None
    if facts.product is None:
        why = "not known to be an ECS instance: the firmware cannot be asked"
        return Skip(why, loud=True, doubt="maybe-not-ecs")
    if facts.product.strip() != ECS_PRODUCT:
        return Skip("not an ECS instance", loud=False)
    return None


def limit_s(facts: Facts, configured_s: float) -> float:
    """Return how long a snapshot may take."""
    return min(configured_s, SHORT_LIMIT_S) if facts.stopping else configured_s
