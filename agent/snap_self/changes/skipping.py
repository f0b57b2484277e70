"""When no snapshot is made before a change, however risky it is: pure.

Everywhere but on an ECS instance that runs its own system, nothing at all is to happen.
"""

from __future__ import annotations

# Where nothing listens yet, or no longer, a snapshot is tried for so long only.
SHORT_LIMIT_S = 20
SKIP_VARIABLE = "SNAP_SELF_SKIP"
METADATA_VARIABLES = ("SNAP_SELF_METADATA_URL", "SNAP_SELF_NETWORK_METADATA_URL")
ECS_PRODUCT = "Alibaba Cloud ECS"
_OFF = ("", "0", "false", "no", "off")


class Facts:
    """What decides it, as an adapter reads it from the machine.

    Args:
        variable: value of ``SKIP_VARIABLE``.
        told: why the package manager was told that no snapshot is wanted; else empty.
        root: the root that the packages go to.
        skip_until: what ``/run/snap-self/skip-until`` says: seconds since 1970; 0 for nothing.
        now: the same, of now.
        container: by what it is known that this is one; else empty.
        chroot: ``/`` is not that of process 1.
        building: by what it is known that an image is being built; else empty.
        product: what the firmware calls the machine.
        metadata_named: the configuration or environment names a metadata service.
        stopping: the system is being shut down, or updates itself before it starts.
    """

    __slots__ = (
        "building",
        "chroot",
        "container",
        "metadata_named",
        "now",
        "product",
        "root",
        "skip_until",
        "stopping",
        "told",
        "variable",
    )

    def __init__(
        self,
        *,
        variable: str = "",
        told: str = "",
        root: str = "/",
        skip_until: float = 0.0,
        now: float = 0.0,
        container: str = "",
        chroot: bool = False,
        building: str = "",
        product: str = "",
        metadata_named: bool = False,
        stopping: bool = False,
    ) -> None:
        self.variable = variable
        self.told = told
        self.root = root
        self.skip_until = skip_until
        self.now = now
        self.container = container
        self.chroot = chroot
        self.building = building
        self.product = product
        self.metadata_named = metadata_named
        self.stopping = stopping


class Skip:
    """That no snapshot is made.

    Args:
        why: for people.
        loud: whoever waits is told, since it may not be what they think.
    """

    __slots__ = ("loud", "why")

    def __init__(self, why: str, *, loud: bool) -> None:
        self.why = why
        self.loud = loud


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
        return Skip(f"inside a container ({facts.container})", loud=False)
    if facts.chroot:
        return Skip("inside a chroot", loud=False)
    if facts.root.strip("/"):
        return Skip(f"the packages go to {facts.root}", loud=False)
    if facts.building:
        return Skip(f"an image is being built: {facts.building}", loud=True)
    if not facts.metadata_named and facts.product.strip() != ECS_PRODUCT:
        return Skip("not an ECS instance", loud=False)
    return None


def limit_s(facts: Facts, configured_s: float) -> float:
    """Return how long a snapshot may take."""
    return min(configured_s, SHORT_LIMIT_S) if facts.stopping else configured_s
