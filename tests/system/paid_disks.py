"""What the temporary disks of a test cost: how many were made, and how long they existed."""

from __future__ import annotations

import sys
import time
from typing import Any

from main_job_rig import Cloud


class PaidDisks:
    """The disks that a simulated cloud makes of snapshots from now on.

    Args:
        what: what makes them, for whoever reads the figures.
    """

    def __init__(self, cloud: Cloud, what: str) -> None:
        self._cloud = cloud
        self._what = what
        self._before = {disk["disk_id"] for disk in self._told()}
        self._begin = time.monotonic()

    def check(self, *, most: int) -> None:
        """Hold them to their bounds, and print the figures: ``pytest -rP`` shows them.

        Each is deleted by now. Only one exists at a time, so all of them together cannot have
        existed for longer than the test went on.
        """
        since_s = time.monotonic() - self._begin
        made = [disk for disk in self._told() if disk["disk_id"] not in self._before]
        paid_s = sum(disk["seconds"] for disk in made)
        gib_s = sum(disk["gib_seconds"] for disk in made)
        sys.stdout.write(
            f"{self._what}: {len(made)} disks, {paid_s:.1f} disk-seconds, {gib_s:.1f} GiB-seconds "
            f"in {since_s:.1f} s\n"
        )
        assert [disk for disk in made if disk["deleted_at"] is None] == []
        assert 1 <= len(made) <= most
        assert paid_s <= since_s

    def _told(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._cloud.process.control("GET", "disk-usage")["disks"]
        return found
