"""Keys of the RAM role bound to this instance, from the metadata service."""

from __future__ import annotations

import re
from contextlib import suppress

from snap_self.cloud.credentials.fields import successful_role_credentials
from snap_self.cloud.credentials.sources import (
    ROLE_STALE_MARGIN_S,
    Offer,
    Skipped,
    Surroundings,
    broken,
)
from snap_self.errors import MetadataAbsent, MetadataRefused, MetadataUnreachable
from snap_self.instance.metadata import MetadataClient
from snap_self.model.snapshots import Credentials

ROLE = "ALIBABA_CLOUD_ECS_METADATA"
DISABLED = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
ROLE_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
LISTING = "meta-data/ram/security-credentials"
BIND_HINT = (
    "Bind a RAM role to the instance, for which `snap-self policy` prints the commands, or set up "
    "another source."
)


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the named role, or the role that the metadata service lists.

    Nobody asks for this source by name, so it is skipped if the metadata service does not answer.
    """
    if around.switched_on(DISABLED):
        return Skipped(why=f"switched off by {DISABLED}")
    if named := around.role or around.variable(ROLE):
        return Offer(
            load=lambda: load(around, named),
            how=f"role {named if ROLE_NAME.fullmatch(named) else 'as named'}",
            stale_margin_s=ROLE_STALE_MARGIN_S,
        )
    try:
        found = bound_role(around.metadata)
    except (MetadataRefused, MetadataUnreachable) as error:
        return Skipped(why=error.message)
    if not found:
        return Skipped(why="no RAM role is bound to this instance")
    return Offer(
        load=BoundRole(around, found).load, how=f"role {found}", stale_margin_s=ROLE_STALE_MARGIN_S
    )


class BoundRole:
    """The role that is bound when keys are needed: it can be replaced while we run.

    Args:
        name: the role that was bound a moment ago, for the first keys.
    """

    def __init__(self, around: Surroundings, name: str) -> None:
        self._around = around
        self._name = name

    def load(self) -> Credentials:
        """Return its keys.

        Raises:
            As `load`.
        """
        name, self._name = self._name, ""
        if name and not self._around.switched_on(DISABLED):
            with suppress(MetadataAbsent):
                return _keys(self._around, name)
        return load(self._around, "")


def bound_role(metadata: MetadataClient) -> str:
    """Return the name of the role that is bound to this instance, empty if none is.

    Raises:
        MetadataRefused, MetadataUnreachable: the service gives no answer.
    """
    try:
        names = metadata.list_dir(LISTING)
    except MetadataAbsent:
        return ""
    return next((name for name in names if ROLE_NAME.fullmatch(name)), "")


def load(around: Surroundings, role: str) -> Credentials:
    """Return the keys of the named role, or of the role that is bound now.

    Raises:
        CredentialsUnusable: no such role is bound, metadata is switched off, or the answer is
            malformed.
        MetadataRefused, MetadataUnreachable: the service gives no answer.
    """
    if around.switched_on(DISABLED):
        raise broken(f"the instance role is asked for but {DISABLED} switches it off")
    if role and not ROLE_NAME.fullmatch(role):
        raise broken("the name of the instance role is not one that a RAM role can have")
    try:
        if name := role or bound_role(around.metadata):
            return _keys(around, name)
    except MetadataAbsent:
        pass
    named = f"RAM role {role}" if role else "RAM role"
    raise broken(f"no {named} is bound to this instance", hint=BIND_HINT)


def _keys(around: Surroundings, name: str) -> Credentials:
    text = around.metadata.get(f"{LISTING}/{name}")
    where = f"the metadata service's answer for role {name}"
    return successful_role_credentials(text, where, f"instance role {name}")
