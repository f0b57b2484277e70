"""The order of the sources, as the SDKs' default chain has it."""

from __future__ import annotations

from snap_self.cloud.credentials import environment, instance_role
from snap_self.cloud.credentials.provider import Chain, CredentialProvider
from snap_self.cloud.credentials.sources import Look, Surroundings

SOURCES: tuple[tuple[str, Look], ...] = (
    ("environment", environment.look),
    ("instance role", instance_role.look),
)


def default_provider(around: Surroundings) -> CredentialProvider:
    """Return the provider over the default chain."""
    return CredentialProvider(Chain(around, SOURCES), around.clock)
