"""A hundred runs through the command line, then `prune`: exactly the right ones are left."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runner import AgentResult, AgentRunner
from ecs_simulator.simulator import Simulator
from fakes.main_job import DISKS, config, machine
from snap_self.disks import recording
from snap_self.system.disks.recorded import MACHINE

RUNS = 100
TEXTS = ("os upgrade", "schema change", "kernel", "config push")
FOR_EVER, IN_IMAGE, ON_DISK = 7, 20, 21
EXPIRED = range(60)
DONE = ("--wait", "accomplished")
# With lives this short they are accomplished by then; nobody waits for a first look at each.
AT_ONCE = ("--wait", "none")
PAST = "2026-01-01T00:00:00Z"
QUICK = {"cut_s": 0.0, "available_s": 0.0, "accomplished_s": 0.0, "visible_lag_s": 0.0}
MANY = Path(__file__).with_name("many_commands.py")
LIMIT_S = 600.0


class Account:
    """An account in which this instance made its hundred runs."""

    def __init__(self, simulator: Simulator, agent: AgentRunner, folder: Path) -> None:
        (folder / MACHINE).write_text(recording.dump(machine()), encoding="utf-8")
        self.simulator = simulator
        self._user = agent.against(simulator)
        self._folder = folder

    def job(self, text: str, *options: str) -> list[str]:
        """Return the main job's command line."""
        recorded = ("--consistency", "crash", "--recorded", str(self._folder))
        return ["--before", text, *recorded, "--json", *options]

    def made(self, text: str, *options: str) -> set[str]:
        """Run the main job and return its snapshots."""
        result = self._user.run(*self.job(text, *options))
        assert result.status == 0, result.err
        return _named(result.json)

    def made_by(self, commands: list[list[str]]) -> list[set[str]]:
        """Run main jobs one after the other in one process, which spares its start, and return
        the snapshots of each.
        """
        many = self._user.with_wrapper(sys.executable, str(MANY))
        given = "".join(f"{json.dumps(command)}\n" for command in commands)
        result = many.run(stdin=given.encode(), timeout_s=LIMIT_S)
        assert result.status == 0, result.err
        said = result.out.split("=0\n")
        assert (len(said), said[-1]) == (len(commands) + 1, ""), result.out[-500:]
        return [_named(json.loads(each)) for each in said[:-1]]

    def spread(self, runs: list[set[str]]) -> None:
        """Put an hour between these runs: the cloud tells the instant of a cut to the second."""
        state = self.simulator.state
        for hours, run in enumerate(reversed(runs), start=1):
            for name in run:
                shot = state.snapshots[name]
                shot.cut_at = shot.accepted_at - 3600.0 * hours

    def prune(self, *options: str) -> AgentResult:
        """Run `prune`."""
        return self._user.run("prune", *options)

    def there(self) -> set[str]:
        """Return every snapshot that is left, whoever made it."""
        return set(self.simulator.dump()["snapshots"])

    def expire(self, made: set[str]) -> None:
        """Put the date of one run's group into the past."""
        for group in self.simulator.state.groups.values():
            if made & set(group.member_ids):
                group.tags["snap-self-expires"] = PAST

    def foreigners(self, like: str) -> set[str]:
        """Put in snapshots that look like one of ours and are not this instance's."""
        state = self.simulator.state
        ours = state.snapshots[like]
        me = self.simulator.cloud.own_instance.instance_id
        tags = dict(next(g.tags for g in state.groups.values() if like in g.member_ids))
        tags["snap-self-expires"] = PAST
        found: set[str] = set()
        for owner in ("", "i-bp1someotherinstance", me.upper(), me[:-1], f"{me}x", f" {me}"):
            own = {**tags, "snap-self-owner": owner}
            if not owner:
                del own["snap-self-owner"]
            (name,) = self.simulator.add_snapshots(ours.disk_id, 1, tags=own, spacing_s=9e6)
            state.snapshots[name].name = ours.name
            state.snapshots[name].description = ours.description.partition("Created_from")[0]
            found.add(name)
        return found


@pytest.fixture
def account(agent: AgentRunner, tmp_path: Path) -> Iterator[Account]:
    with Simulator(config()) as simulator:
        simulator.set_life(**QUICK)
        yield Account(simulator, agent, tmp_path)


def _named(report: dict[str, Any]) -> set[str]:
    return {shot["snapshot_id"] for shot in report["snapshots"]}


def _all(sets: list[set[str]]) -> set[str]:
    return set().union(*sets)


def test_hundred_runs_and_prunes_by_date_and_number_leave_exactly_the_right_ones(
    account: Account,
) -> None:
    runs = account.made_by(
        [
            account.job(
                TEXTS[number % len(TEXTS)],
                *("--keep", "forever" if number == FOR_EVER else "30d"),
                *AT_ONCE,
            )
            for number in range(RUNS)
        ]
    )
    assert [len(run) for run in runs] == [2] * RUNS
    account.spread(runs)
    for number in EXPIRED:
        if number != FOR_EVER:
            account.expire(runs[number])
    account.simulator.mark_image(min(runs[IN_IMAGE]))
    account.simulator.state.snapshots[min(runs[ON_DISK])].created_disks.add("d-bp1madefromit0000")
    foreign = account.foreigners(min(runs[0]))
    kept = _all([runs[n] for n in (FOR_EVER, IN_IMAGE, ON_DISK)])
    everything = account.there()

    shown = account.prune("--dry-run")
    assert (shown.status, account.there()) == (0, everything)
    assert not any(name in shown.out for name in foreign)

    done = account.prune("--yes", "--json")
    assert (done.status, done.json["result"]) == (0, "done")
    assert account.there() == foreign | kept | _all(runs[len(EXPIRED) :])
    assert account.prune("--yes").out == ""

    assert account.prune("--yes", "--force").status == 0
    kept -= runs[ON_DISK]
    assert account.there() == foreign | kept | _all(runs[len(EXPIRED) :])

    # A number for all and a number for each text: what either keeps stays.
    done = account.prune("--yes", "--keep-last", "3", "--keep-per-text", "2")
    assert done.status == 0, done.err
    assert account.there() == foreign | kept | _all(runs[-8:])


def test_half_failed_group_is_reported_and_finished_by_the_next_prune(account: Account) -> None:
    old = account.made("os upgrade", *DONE)
    new = account.made("schema change", *DONE)
    account.spread([old, new])
    account.expire(old)
    account.expire(new)
    # Another program's snapshot: nothing of this disk is deleted while it is being made.
    account.simulator.set_disk_life(DISKS[0], accomplished_s=3600.0)
    (busy,) = account.made("their own", "--disk", DISKS[0], "--wait", "cut")
    account.simulator.state.snapshots[busy].tags.clear()

    failed = account.prune("--yes", "--json")
    (rest,) = old & account.there()
    assert (failed.status, failed.json["result"]) == (7, "partial")
    assert rest in failed.json["error"]["message"]
    shots = {s["snapshot_id"]: s for step in failed.json["steps"] for s in step["snapshots"]}
    assert (shots[rest]["deleted"], bool(shots[rest]["why_not"])) == (False, True)
    assert [shots[name]["deleted"] for name in old - {rest}] == [True]

    account.simulator.finish_snapshots()
    again = account.prune("--yes")
    assert again.status == 0, again.err
    assert account.there() == new | {busy}
