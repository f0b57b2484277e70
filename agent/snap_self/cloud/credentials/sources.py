"""What every source of credentials gets and returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from snap_self.errors import CredentialsUnusable
from snap_self.instance.metadata import MetadataClient
from snap_self.model.snapshots import Credentials
from snap_self.ports import Clock, Commands, HttpTransport, ReadText

STALE_MARGIN_S = 300.0
ROLE_STALE_MARGIN_S = 900.0
# The end of hints on keys, which doctor itself leaves out.
DOCTOR_HINT = "; `snap-self doctor` shows every source"
BROKEN_HINT = f"Repair that source of credentials, or remove it{DOCTOR_HINT}"


def new_nonce() -> str:
    """Return a text that no other request has."""
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that sources may read; they look nowhere else.

    Args:
        home: the home directory; empty if there is none (a daemon's may be unset).
        profile: chosen in our own configuration; overrides ``ALIBABA_CLOUD_PROFILE``.
        role: the instance's, from our own configuration; overrides ``ALIBABA_CLOUD_ECS_METADATA``.
        sts_endpoint: host or URL in place of the region's STS host; plain http on loopback only.
    """

    env: Mapping[str, str] = field(repr=False)
    home: str
    read: ReadText
    transport: HttpTransport
    commands: Commands
    clock: Clock
    metadata: MetadataClient
    profile: str = ""
    role: str = ""
    sts_endpoint: str = ""
    nonce: Callable[[], str] = new_nonce

    def variable(self, name: str) -> str:
        """Return an environment variable's stripped text, empty if unset."""
        return self.env.get(name, "").strip()

    def switched_on(self, name: str) -> bool:
        """Return whether a switch variable is ``true`` in upper or lower case, or ``1``."""
        return self.variable(name).lower() in ("true", "1")

    def chosen_profile(self) -> str:
        """Return the profile that somebody named; empty for the file's own choice."""
        return self.profile or self.variable("ALIBABA_CLOUD_PROFILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A source that is set up.

    Args:
        load: returns the keys; called again whenever they are about to expire.
        how: for people: which part of the source is used (``profile default, mode AK``).
        stale_margin_s: renew the keys when at most this is left.
        warnings: problems of the source that do not stop it.
    """

    load: Callable[[], Credentials] = field(repr=False)
    how: str
    stale_margin_s: float = STALE_MARGIN_S
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A source that is not set up, and why it counts as that."""

    why: str


Look = Callable[[Surroundings], "Offer | Skipped"]


def broken(message: str, *, hint: str = "") -> CredentialsUnusable:
    """Return the error for a source that is set up but cannot be used."""
    return CredentialsUnusable(message, hint=hint or BROKEN_HINT)


def masked(access_key_id: str) -> str:
    """Return at most the last four characters of a key id, to tell keys apart."""
    return f"…{access_key_id[-4:]}" if len(access_key_id) >= 12 else "…"
