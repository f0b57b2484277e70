"""The keys of a simulated instance's role, read as the agent reads them."""

from __future__ import annotations

import json
from urllib.request import urlopen

from ecs_simulator import Simulator
from snap_self.model.snapshots import Credentials


class RoleKeys:
    """The instance role's keys, kept until fresh ones are forced."""

    def __init__(self, cloud: Simulator) -> None:
        self._url = f"{cloud.metadata_url}/latest/meta-data/ram/security-credentials/SnapSelfRole"
        self._kept: Credentials | None = None
        self.forced = 0

    def __call__(self, force: bool) -> Credentials:
        """Return them; new ones if forced."""
        self.forced += force
        if self._kept is None or force:
            with urlopen(self._url, timeout=5) as answer:
                document = json.load(answer)
            self._kept = Credentials(
                access_key_id=document["AccessKeyId"],
                access_key_secret=document["AccessKeySecret"],
                security_token=document["SecurityToken"],
                source="role",
                expires=None,
            )
        return self._kept
