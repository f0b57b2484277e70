"""The RAM policies as templates, for whoever fills them in without an instance at hand."""

from __future__ import annotations

from collections.abc import Mapping

TRUST = "trust.json"
# Of the one role of many instances.
FLEET = "snap-self-fleet.json"
# Of the role that OOS is given.
ROLLBACK_ROLE = "snap-self-rollback-role.json"
ROLLBACK_TRUST = "trust-oos.json"


def templates() -> Mapping[str, str]:
    """Return each file of packaging/ram by its name."""
    from snap_self.access.documents import (
        OOS_SERVICE,
        FleetTag,
        as_read,
        fleet_policy,
        role_policy,
        rollback_role_policy,
        trust_policy,
    )
    from snap_self.model.actions import TEMPLATE, Policy

    documents = {
        **{each.value: role_policy(TEMPLATE, [each]) for each in Policy},
        FLEET: fleet_policy(TEMPLATE, FleetTag(key="TAG_KEY", value="TAG_VALUE"), [Policy.CREATE]),
        TRUST: trust_policy(),
        ROLLBACK_ROLE: rollback_role_policy(TEMPLATE),
        ROLLBACK_TRUST: trust_policy(OOS_SERVICE),
    }
    return {name: f"{as_read(one)}\n" for name, one in documents.items()}
