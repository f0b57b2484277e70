"""What `doctor` tries and asks beyond what the other commands work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snap_self.cli.adapters import Adapters
from snap_self.model.snapshots import Identity


def trail(adapters: Adapters) -> Sequence[tuple[str, str]]:
    """Return each source of credentials with its verdict, after resolving them."""
    adapters.credentials(False)
    return adapters.provider.trail


def try_freeze(adapters: Adapters) -> str:
    """Freeze and thaw a small filesystem made for it; return what went wrong."""
    from snap_self.cli.holding import try_freeze as run_test

    return run_test(adapters)


def try_hold(adapters: Adapters) -> str:
    """Hold a reboot back for an instant; return why it cannot be."""
    from snap_self.system.inhibitor import LogindInhibitor

    if not adapters.config.follow.enabled:
        return "follow.enabled is false"
    inhibitor = LogindInhibitor()
    try:
        return inhibitor.hold("snap-self doctor tries whether it can")
    finally:
        inhibitor.release()


def raw_disks(adapters: Adapters, identity: Identity) -> Mapping[str, Any]:
    """Return DescribeDisks' own answer, for a recording."""
    from snap_self.cli.connecting import make_rpc

    return make_rpc(adapters, identity).call(
        "DescribeDisks",
        {"RegionId": identity.region, "InstanceId": identity.instance_id, "MaxResults": "100"},
        timeout_s=10.0,
        credentials=adapters.credentials(False),
    )
