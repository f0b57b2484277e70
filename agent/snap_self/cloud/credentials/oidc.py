"""A role assumed with an OIDC token, as ACK gives pods (RRSA)."""

from __future__ import annotations

from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings
from snap_self.cloud.credentials.sts import RoleRequest, assume_role_with_oidc

ROLE_ARN = "ALIBABA_CLOUD_ROLE_ARN"
PROVIDER_ARN = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
TOKEN_FILE = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"  # noqa: S105  (a variable's name)
VARIABLES = (ROLE_ARN, PROVIDER_ARN, TOKEN_FILE)


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the role if all three variables are set; the SDKs document that all are needed."""
    lacking = [name for name in VARIABLES if not around.variable(name)]
    if len(lacking) == len(VARIABLES):
        return Skipped(why="not set")
    if lacking:
        return Skipped(why=f"not set: {', '.join(lacking)} missing")
    role = RoleRequest(role_arn=around.variable(ROLE_ARN))
    return Offer(
        load=lambda: assume_role_with_oidc(
            around,
            role,
            provider_arn=around.variable(PROVIDER_ARN),
            token_file=around.variable(TOKEN_FILE),
        ),
        how="role assumed with an OIDC token",
    )
