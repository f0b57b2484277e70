"""The order of the sources, as in the SDKs' default chain."""

from __future__ import annotations

from snap_self.cloud.credentials import (
    cli_config,
    environment,
    ini_file,
    instance_role,
    key_uri,
    named_profile,
    oidc,
)
from snap_self.cloud.credentials.provider import Chain, CredentialProvider
from snap_self.cloud.credentials.sources import Look, Surroundings

SOURCES: tuple[tuple[str, Look], ...] = (
    ("environment", environment.look),
    ("OIDC", oidc.look),
    ("~/.aliyun/config.json", cli_config.look),
    ("~/.alibabacloud/credentials", ini_file.look),
    ("profile named elsewhere", named_profile.look),
    ("instance role", instance_role.look),
    ("credentials URI", key_uri.look),
)


def default_provider(around: Surroundings) -> CredentialProvider:
    """Return the provider over the default chain."""
    return CredentialProvider(Chain(around, SOURCES), around.clock)
