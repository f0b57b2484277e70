"""What is asked of going back while the system runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineRequest:
    """What is asked for.

    Args:
        wanted: the id of a snapshot, a group or a run, or ``last``; of a run its data disks.
        units: of systemd, which are stopped meanwhile.
        snapshot_first: snapshot the present state of the disks before anything is changed.
    """

    wanted: str
    units: tuple[str, ...] = ()
    snapshot_first: bool = False
