"""Keys of the RAM role bound to this instance, from the metadata service."""

from __future__ import annotations

import re

from snap_self.cloud.credentials.fields import successful_role_credentials
from snap_self.cloud.credentials.sources import (
    ROLE_STALE_MARGIN_S,
    Offer,
    Skipped,
    Surroundings,
    broken,
)
from snap_self.errors import MetadataAbsent, MetadataRefused, MetadataUnreachable
from snap_self.model.snapshots import Credentials

ROLE = "ALIBABA_CLOUD_ECS_METADATA"
DISABLED = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
ROLE_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
LISTING = "meta-data/ram/security-credentials"
BIND_HINT = "Bind a RAM role to the instance (AttachInstanceRamRole), or set up another source."


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the named role, or the one the metadata service lists.

    Nobody asks for this source by name, so a metadata service that does not answer skips it.
    """
    if around.switched_on(DISABLED):
        return Skipped(why=f"switched off by {DISABLED}")
    role = around.role or around.variable(ROLE)
    if not role:
        try:
            role = only_role(around)
        except MetadataAbsent:
            return Skipped(why="no RAM role is bound to this instance")
        except (MetadataRefused, MetadataUnreachable) as error:
            return Skipped(why=error.message)
    if not role:
        return Skipped(why="no RAM role is bound to this instance")
    return offer(around, role)


def only_role(around: Surroundings) -> str:
    """Return the name of the bound role, empty if none is listed.

    Raises:
        As `MetadataClient.get`.
    """
    names = around.metadata.list_dir(LISTING)
    return next((name for name in names if ROLE_NAME.fullmatch(name)), "")


def offer(around: Surroundings, role: str) -> Offer:
    """Return the offer of a role's keys; an empty name is looked up at each load."""
    shown = role if ROLE_NAME.fullmatch(role) else "as named"
    return Offer(
        load=lambda: load(around, role),
        how=f"role {shown}" if role else "the bound role",
        stale_margin_s=ROLE_STALE_MARGIN_S,
    )


def load(around: Surroundings, role: str) -> Credentials:
    """Return a role's keys.

    Raises:
        CredentialsUnusable: no such role is bound, metadata is switched off, or a malformed answer.
        MetadataRefused, MetadataUnreachable: the service does not tell.
    """
    if around.switched_on(DISABLED):
        raise broken(f"the instance role is asked for but {DISABLED} switches it off")
    if role and not ROLE_NAME.fullmatch(role):
        raise broken("the name of the instance role is not one that a RAM role can have")
    try:
        name = role or only_role(around)
        text = around.metadata.get(f"{LISTING}/{name}") if name else ""
    except MetadataAbsent:
        named = f"RAM role {role}" if role else "RAM role"
        raise broken(f"no {named} is bound to this instance", hint=BIND_HINT) from None
    if not name:
        raise broken("no RAM role is bound to this instance", hint=BIND_HINT)
    where = f"the metadata service's answer for role {name}"
    return successful_role_credentials(text, where, f"instance role {name}")
