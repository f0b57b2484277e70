"""A small fleet in virtual time: what it counts, and that a lean run stays lean."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from fakes.fleet import FleetAgent, FleetCloud, Scene, simulate
from fakes.virtual_time import VirtualTime

SCENE = Scene(agents=3, spread_s=60.0, quota=5)


class Alone:
    """One instance before the cloud, asked by hand."""

    def __init__(self, scene: Scene) -> None:
        self.time = VirtualTime()
        self.agent = FleetAgent(0, scene, self.time)
        self.cloud = FleetCloud(scene, self.time, [self.agent.instance])

    def at(self, when_s: float) -> None:
        """Let time pass until then."""
        self.time.at(when_s, lambda: None)
        self.time.run(until_s=when_s)

    def ask(self, action: str, **params: str) -> tuple[int, dict[str, object]]:
        """Return an answer's status and body."""
        answer = self.cloud.answer(action, {"RegionId": "cn-hangzhou", **params})
        return answer.status, json.loads(answer.body)

    def create(self, token: str) -> int:
        """Ask for a snapshot; return the answer's status."""
        return self.ask("CreateSnapshot", DiskId=self.agent.disks[0], ClientToken=token)[0]


def test_quota_lets_so_many_calls_pass_in_each_minute() -> None:
    alone, passed = Alone(SCENE), Counter[int]()
    for when_s in range(0, 180, 5):
        alone.at(float(when_s))
        status, body = alone.ask("DescribeDisks", InstanceId=alone.agent.instance.instance_id)
        passed[when_s // 60] += status == 200
        assert status == 200 or (status, body["Code"]) == (400, "Throttling.User")
    assert passed == {0: 5, 1: 5, 2: 5}


def test_quota_counts_each_action_for_itself() -> None:
    alone = Alone(SCENE)
    asked = ("DescribeDisks", "DescribeInstances", "DescribeSnapshots") * 5
    assert [alone.ask(action)[0] for action in asked] == [200] * 15
    assert alone.ask("DescribeSnapshots")[0] == 400


def test_snapshot_is_cut_when_its_time_has_come() -> None:
    alone = Alone(SCENE)
    alone.create("one")
    seen = []
    for when_s in (1.4, 1.6):
        alone.at(when_s)
        (shot,) = alone.ask("DescribeSnapshots")[1]["Snapshots"]["Snapshot"]  # type: ignore[index]
        seen.append(bool(shot["CreationTime"]))
    assert seen == [False, True]


def test_repeated_order_makes_one_set() -> None:
    alone = Alone(SCENE)
    assert [alone.create("one"), alone.create("one")] == [200, 200]
    assert alone.cloud.sets(alone.agent.disks) == 1


def test_second_order_of_the_same_disk_counts_as_a_double() -> None:
    alone = Alone(SCENE)
    alone.create("one")
    alone.at(6000.0)
    assert alone.create("two") == 200
    assert alone.cloud.sets(alone.agent.disks) == 2


def test_fleet_without_a_quota_is_done_in_seconds() -> None:
    tally = simulate(Scene(agents=10, spread_s=60.0, quota=None))
    assert (tally.made, tally.sets, tally.hidden, tally.doubles) == (10, 10, 0, 0)
    assert tally.refused == 0
    assert 1.5 < tally.longest_s < 10.0


def test_group_of_several_disks_counts_as_one_set() -> None:
    tally = simulate(Scene(agents=2, spread_s=1.0, quota=None, disks=4))
    assert (tally.made, tally.sets, tally.doubles) == (2, 2, 0)


def test_hook_that_waits_too_long_is_ended_at_its_limit() -> None:
    tally = simulate(Scene(agents=2, spread_s=1.0, quota=0))
    assert (tally.made, tally.sets) == (0, 0)
    assert all(fate.took_s <= 57.0 for fate in tally.fates)


@pytest.mark.parametrize("seed", [1, 2])
def test_same_seed_is_the_same_run(seed: int) -> None:
    scene = Scene(agents=10, spread_s=60.0, quota=8, seed=seed)
    assert simulate(scene) == simulate(scene)


def test_another_seed_is_another_run() -> None:
    scenes = (Scene(agents=10, spread_s=60.0, quota=8, seed=seed) for seed in (1, 2))
    one, other = (simulate(scene) for scene in scenes)
    assert one != other


def test_fleet_that_asks_as_much_as_its_quota_gets_all_its_sets() -> None:
    # The same load as a thousand agents with a thousand calls per minute and action. With the
    # reads that only give advice before the create, and without a wait for the limit's window,
    # 3 of 40 were told of a set, 17 had one, and each agent made 15 calls.
    tally = simulate(Scene(agents=40, spread_s=60.0, quota=40))
    assert (tally.made, tally.sets, tally.doubles) == (40, 40, 0)
    assert tally.calls <= 4.0
    assert tally.refused <= 0.6


def test_fleet_over_its_quota_gets_its_sets_within_five_minutes() -> None:
    tally = simulate(Scene(agents=40, spread_s=60.0, quota=20, limit_s=300.0))
    assert (tally.made, tally.sets, tally.doubles) == (40, 40, 0)
    assert tally.calls <= 5.0


def test_followers_leave_the_quota_to_the_hooks() -> None:
    # Of followers that ask once a minute each makes 120 calls until its upload has ended: 21 of
    # these 40 were told of a set, and 31 had one.
    tally = simulate(Scene(agents=40, spread_s=3600.0, quota=20, followers=True))
    assert (tally.made, tally.sets, tally.doubles) == (40, 40, 0)
    assert tally.calls <= 15.0
