"""A fleet before one account's quota: who gets a snapshot, who is told so, how many calls it takes.

Every agent is the real main job in virtual time (``fakes.fleet``): calls per minute and action are
limited for all of them together, as the API does it. Figures are medians of three seeds. A goal is
met when they reach it and no agent has two sets.

``--real 50`` starts so many processes of the agent before the simulated ECS over HTTP instead, and
prints what became of them beside the simulation of the same.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

import measuring

from fakes import patch_night
from fakes.fleet import Scene, Tally, simulate

SEEDS = (1, 2, 3)
# A brief run has fleets and quotas of this part: what counts is one over the other.
BRIEF_PART = 10
TEN_MINUTES_S, HOUR_S = 600.0, 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Medians over the seeds; ``doubles`` is the most."""

    made: float
    sets: float
    hidden: float
    doubles: int
    calls: float
    refused: float
    early: float
    longest_s: float

    @classmethod
    def of(cls, tallies: Sequence[Tally]) -> Figures:
        """Return the figures of the same scene with several seeds."""

        def median(read: Callable[[Tally], float]) -> float:
            return statistics.median(read(tally) for tally in tallies)

        return cls(
            made=median(lambda tally: tally.made),
            sets=median(lambda tally: tally.sets),
            hidden=median(lambda tally: tally.hidden),
            doubles=max(tally.doubles for tally in tallies),
            calls=median(lambda tally: tally.calls),
            refused=median(lambda tally: tally.refused),
            early=median(lambda tally: tally.early),
            longest_s=median(lambda tally: tally.longest_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a fleet is to reach.

    Args:
        made, sets: shares of the agents at least.
        calls, refused, early: per agent at most; None for no limit.
    """

    scene: Scene
    made: float
    sets: float
    calls: float | None = None
    refused: float | None = None
    early: float | None = None

    def missed(self, got: Figures) -> list[str]:
        """Return what of it is missed, in words."""
        agents = self.scene.agents
        most = (
            ("calls", got.calls, self.calls),
            ("refused", got.refused, self.refused),
            ("calls in ten minutes", got.early, self.early),
            ("agents with two sets", got.doubles, 0),
        )
        least = (("made", got.made, self.made * agents), ("sets", got.sets, self.sets * agents))
        missed = [f"{name} {value:g} < {bound:g}" for name, value, bound in least if value < bound]
        return missed + [
            f"{name} {value:.2f} > {bound:g}"
            for name, value, bound in most
            if bound is not None and value > bound
        ]


THOUSAND = Scene(agents=1000, spread_s=60.0, quota=1000)
GOALS = (
    Goal(scene=THOUSAND, made=0.99, sets=1.0, calls=4.0, refused=0.6),
    Goal(
        scene=replace(THOUSAND, quota=500, limit_s=300.0, followers=True),
        made=0.99,
        sets=1.0,
        early=8.0,
    ),
    Goal(scene=replace(THOUSAND, quota=200, limit_s=300.0), made=0.7, sets=0.99),
    Goal(
        scene=replace(THOUSAND, spread_s=HOUR_S, quota=500, followers=True),
        made=0.995,
        sets=1.0,
        calls=15.0,
    ),
    Goal(scene=replace(THOUSAND, agents=100, quota=200), made=1.0, sets=1.0, calls=4.0),
)
SPREADS_S = (60.0, 300.0, TEN_MINUTES_S, 1800.0, HOUR_S)
QUOTAS = (1000, 500, 200, 100)
SEPARATE = "  | "


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, or the comparison with real processes."""
    parser = argparse.ArgumentParser(description="Measure a fleet.")
    parser.add_argument("--real", type=int, metavar="N", help="compare with N real processes")
    parser.add_argument("--goals", action="store_true", help="only the goals")
    options = parser.parse_args(argv)
    if options.real:
        from real_fleet import compare

        return compare(options.real)
    brief = bool(os.environ.get(measuring.BRIEF))
    begun = time.perf_counter()
    with ProcessPoolExecutor() as pool:
        runs = Runs(pool, SEEDS[:1] if brief else SEEDS)
        print_goals(runs, brief=brief)
        print_patch_nights()
        if not brief and not options.goals:
            print_spreads(runs)
            print_followers(runs)
    print(f"took {time.perf_counter() - begun:.0f} s")
    return 0


class Runs:
    """Runs scenes with every seed, in processes side by side."""

    def __init__(self, pool: ProcessPoolExecutor, seeds: Sequence[int]) -> None:
        self._pool = pool
        self.seeds = seeds

    def figures(self, scenes: Sequence[Scene], seeds: Sequence[int] = ()) -> Iterator[Figures]:
        """Yield the figures of each scene, as soon as they are there."""
        chosen = seeds or self.seeds
        seeded = [replace(scene, seed=seed) for scene in scenes for seed in chosen]
        tallies = self._pool.map(simulate, seeded)
        for _ in scenes:
            yield Figures.of(list(islice(tallies, len(chosen))))


def print_goals(runs: Runs, *, brief: bool) -> None:
    """Print each goal with what was reached.

    With ``brief`` the fleets are a tenth as large, and their quotas with them.
    """
    goals = [smaller(goal) for goal in GOALS] if brief else GOALS
    seeds = ", ".join(map(str, runs.seeds))
    print(f"goals, seeds {seeds}: made and told so within the limit | sets | calls (refused)")
    for goal, got in zip(goals, runs.figures([goal.scene for goal in goals]), strict=True):
        missed = "; ".join(goal.missed(got))
        print(
            f"{described(goal.scene):50} {got.made:5.0f}{SEPARATE}{got.sets:5.0f}{SEPARATE}"
            f"{got.calls:5.1f} ({got.refused:.1f}), {got.early:4.1f} in 10 min, "
            f"longest {got.longest_s:3.0f} s, doubles {got.doubles}: "
            f"{f'MISSED: {missed}' if missed else 'met'}",
            flush=True,
        )


def print_patch_nights() -> None:
    """Print what a patch night by OOS asks of the quotas, as ``packaging/docs/oos.md`` has it."""
    print("\npatch nights: machines | at a time | lasts | most calls a minute and action | quota")
    print("\n".join(patch_night.table()))


def print_spreads(runs: Runs) -> None:
    """Print what becomes of fleets without followers, by quota and by how far they spread."""
    print(
        f"\nno followers, limit 60 s, seed {runs.seeds[0]}: told made / set / of these not told so"
    )
    print(f"{'agents':>6} {'quota':>6}" + "".join(f"{shown(s):>24}" for s in SPREADS_S))
    for agents, quotas in ((1000, QUOTAS), (100, QUOTAS), (10, QUOTAS[-1:])):
        scenes = [
            Scene(agents=agents, spread_s=spread_s, quota=quota)
            for quota in quotas
            for spread_s in SPREADS_S
        ]
        print_cells(scenes, runs.figures(scenes, runs.seeds[:1]))


def print_followers(runs: Runs) -> None:
    """Print what followers cost the hooks."""
    spreads_s = (60.0, TEN_MINUTES_S, HOUR_S)
    print("\nfollowers on, limit 5 min: told made / set / of these not told so")
    print(f"{'agents':>6} {'quota':>6}" + "".join(f"{shown(s):>24}" for s in spreads_s))
    scenes = [
        Scene(agents=1000, spread_s=spread_s, quota=quota, limit_s=300.0, followers=True)
        for quota in (1000, 500, 200)
        for spread_s in spreads_s
    ]
    print_cells(scenes, runs.figures(scenes, runs.seeds[:1]))


def print_cells(scenes: Sequence[Scene], figures: Iterable[Figures]) -> None:
    """Print a line for each quota, in which the spreads stand side by side."""
    before = 0
    for scene, got in zip(scenes, figures, strict=True):
        if scene.quota != before:
            before = scene.quota or 0
            print(f"{scene.agents:6} {before:6}", end="")
        cell = f"{got.made:.0f}/{got.sets:.0f}/{got.hidden:.0f}; {got.calls:.1f}"
        twice = f" DOUBLES {got.doubles}" if got.doubles else ""
        last = scene.spread_s == HOUR_S
        print(f"{f'{cell} ({got.refused:.1f}){twice}':>24}", end="\n" if last else "", flush=True)


def smaller(goal: Goal) -> Goal:
    """Return the same goal for a smaller fleet."""
    scene = goal.scene
    agents, quota = scene.agents // BRIEF_PART, (scene.quota or 0) // BRIEF_PART
    return replace(goal, scene=replace(scene, agents=agents, quota=quota))


def described(scene: Scene) -> str:
    """Return a scene in words."""
    followers = ", followers" if scene.followers else ""
    return (
        f"{scene.agents} in {shown(scene.spread_s)}, {scene.quota}/min, "
        f"limit {shown(scene.limit_s)}{followers}"
    )


def shown(seconds: float) -> str:
    """Return a length of time as a person writes it."""
    return f"{seconds / 60:g} min" if seconds > 60 else f"{seconds:g} s"


if __name__ == "__main__":
    sys.exit(main())
