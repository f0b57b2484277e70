"""`policy`: the RAM policy of this instance's role, from the metadata alone."""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.cli.adapters import Adapters
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.disks.layout import read_layout
from snap_self.model.actions import Policy
from snap_self.model.disks import Layout
from snap_self.model.snapshots import Identity
from snap_self.output.policy import write_policy
from snap_self.usecases.policy import PolicyRequest, make_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """What was typed."""

    prune: bool
    tags: bool
    restore: bool
    rollback: bool
    online: bool
    session: bool
    fleet: str
    disks: tuple[str, ...]

    def request(self, rollback_role: str) -> PolicyRequest:
        """Return the same as the use case has it.

        Args:
            rollback_role: as configured.
        """
        extra = (
            (Policy.PRUNE, self.prune),
            (Policy.TAGS, self.tags),
            (Policy.RESTORE, self.restore),
            (Policy.ROLLBACK, self.rollback),
            (Policy.ONLINE, self.online),
        )
        return PolicyRequest(
            policies=tuple(policy for policy, wanted in extra if wanted),
            session=self.session,
            fleet=self.fleet,
            disks=self.disks,
            rollback_role=rollback_role,
        )


def run_policy(options: PolicyOptions, manner: Manner) -> int:
    """Print the policy and how it comes to the role."""
    with open_session(manner) as session:
        adapters = session.adapters
        report = make_policy(
            options.request(session.config.rollback.role),
            identify=lambda: _identity(adapters),
            bound_role=lambda: _bound_role(adapters),
            look=lambda: _layout(adapters),
            user_map=session.config.disks.map,
        )
    write_policy(session.streams, report)
    return 0


def _identity(adapters: Adapters) -> Identity:
    """Ask the metadata service, and nothing for keys."""
    from snap_self.instance.identity import read_identity

    return read_identity(adapters.metadata, product_name=adapters.product_name)


def _bound_role(adapters: Adapters) -> str:
    from snap_self.cloud.credentials.instance_role import bound_role

    return bound_role(adapters.metadata)


def _layout(adapters: Adapters) -> Layout:
    from snap_self.system.disks.machine import KernelMachineReader

    return read_layout(KernelMachineReader(adapters.aside).read())
