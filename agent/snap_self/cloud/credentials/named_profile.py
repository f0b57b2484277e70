"""Stops the chain after the two files if neither has the named profile.

The SDKs would go on to the instance role. But a user who names a profile wants no other keys.
"""

from __future__ import annotations

from snap_self.cloud.credentials.cli_modes import shown_profile
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings, broken


def look(around: Surroundings) -> Offer | Skipped:
    """Offer nothing.

    Raises:
        CredentialsUnusable: a profile is named; the sources before this one have not found it.
    """
    if not around.chosen_profile():
        return Skipped(why="none")
    raise broken(
        f"{shown_profile(around.chosen_profile())} is in no credentials file",
        hint="Correct or unset ALIBABA_CLOUD_PROFILE, or the profile in the agent's configuration.",
    )
