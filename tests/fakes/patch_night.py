"""The arithmetic of a patch night: machines, how many at a time, and what quotas must let pass.

The agent's calls of one run are those that ``tests/bench/bench_fleet.py`` and the story of ten
instances count; the template's follow from its steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

# Of one machine's run before a change, where nothing is refused.
AGENT_CALLS: Mapping[str, int] = {"DescribeDisks": 1, "CreateSnapshot": 1, "DescribeSnapshots": 2}
# Of the template for one machine, but for its looks every 30 s (DescribeInvocations).
TEMPLATE_CALLS: Mapping[str, int] = {"RunCommand": 1, "DescribeInvocationResults": 2}
LOOKS_A_MINUTE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchNight:
    """One execution of the patch template.

    Args:
        minutes: how long one machine takes, snapshot and command together.
    """

    machines: int
    at_a_time: int
    minutes: int

    @property
    def lasts_min(self) -> int:
        """Return how many minutes it takes."""
        return ceil(self.machines / self.at_a_time) * self.minutes

    @property
    def busiest(self) -> int:
        """Return the calls of the busiest action in its busiest minute: all begin together."""
        each = max(*AGENT_CALLS.values(), *TEMPLATE_CALLS.values(), LOOKS_A_MINUTE)
        return min(self.at_a_time, self.machines) * each

    @property
    def quota(self) -> int:
        """Return the calls a minute and action that leave half to everybody else."""
        return 2 * self.busiest


NIGHTS = tuple(
    PatchNight(machines=machines, at_a_time=at_a_time, minutes=5)
    for machines in (100, 1000)
    for at_a_time in (10, 50, 100)
)


def table() -> list[str]:
    """Return the rows of the document's table."""
    return [
        f"| {n.machines:,} | {n.at_a_time} | {n.lasts_min} min | {n.busiest} | {n.quota} |"
        for n in NIGHTS
    ]
