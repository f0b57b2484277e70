"""What a run that freezes works with, beside the tools of every run; wired by the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from snap_self.model.disks import Coverage
from snap_self.model.freezing import FreezeFacts
from snap_self.model.ids import RunId
from snap_self.model.servers import RestedServer
from snap_self.quiesce.freeze.order import FreezeOrder
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts
from snap_self.quiesce.quiescer import Quiescer


class Applications(Protocol):
    """The hooks and applications of one run that concern its disks and are switched on."""

    @property
    def quiescers(self) -> Sequence[Quiescer]:
        """In the order of starting."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was found and is left alone, a sentence each."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """What is switched on and may not be at rest all the same, a sentence each."""
        ...

    @property
    def servers(self) -> Sequence[RestedServer | None]:
        """Which server is behind each quiescer, in their order; None for hooks."""
        ...

    def say_cut(self) -> None:
        """Have the parts after the thaw be told that the cut was seen in time."""
        ...

    def outputs(self) -> Sequence[str]:
        """Return what hooks printed, line by line."""
        ...

    def kept(self) -> Mapping[str, str]:
        """Return what a restore needs beside the snapshot, by name; known after the release."""
        ...

    def close(self) -> None:
        """End what watches over the hooks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTools:
    """What is needed to hold a machine still.

    Args:
        facts: what must be known of the machine before a freeze.
        applications: finds them; the last argument tells whether all disks get one cut.
        renew: makes sure that the keys live so many seconds longer.
        applications_limit_s: for all of them together to come to rest.
    """

    ports: FreezePorts
    limits: FreezeLimits
    facts: Callable[[FreezeOrder], tuple[FreezeFacts, Sequence[str]]]
    applications: Callable[[RunId, Coverage, bool], Applications]
    renew: Callable[[float], None]
    applications_limit_s: float
