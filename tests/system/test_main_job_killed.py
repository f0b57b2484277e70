"""``kill -9`` of the agent anywhere: the next command explains or finishes, and no second set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from main_job_rig import Cloud, cloud_running, records, stages, wait_for_words, wait_until

from agent_runner import AgentRunner, RunningAgent
from snap_self.model.shown import shown

pytestmark = pytest.mark.root

DIRTY_MIB = 192


@dataclass(frozen=True, kw_only=True)
class Point:
    """A place in the run at which the agent is killed.

    Args:
        hang: the action whose call hangs (``metadata:PATH`` for the metadata service).
        fault: more about that hang.
        life: the stages' times of the snapshots of this run.
        says: words after which it is killed, where no call hangs.
        stage: what the journal then says; empty for no record.
        explained: words of the next command about it.
    """

    name: str
    hang: str = ""
    fault: dict[str, Any] = field(default_factory=dict)
    life: dict[str, float] = field(default_factory=dict)
    says: str = ""
    options: tuple[str, ...] = ()
    stage: str = ""
    explained: str = ""


EARLY = [
    Point(name="metadata-token", hang="metadata:/latest/api/token"),
    Point(name="identity", hang="metadata:/latest/dynamic/instance-identity/document"),
    Point(name="keys", hang="metadata:/latest/meta-data/ram/security-credentials/SnapSelfRole"),
    Point(name="DescribeDisks", hang="DescribeDisks"),
]
UNSEEN = "no snapshot of it can be seen so far"
MADE = "was interrupted after it had asked the cloud for s-"


def _late(create: str, count: int) -> list[Point]:
    both = {"count": count}
    return [
        Point(name="create-sent", hang=create, fault=both, stage="creating", explained=UNSEEN),
        Point(
            name="created-reply-lost",
            hang=create,
            fault={"when": "after", **both},
            stage="creating",
            explained=MADE,
        ),
        Point(
            name="created-still-at-work",
            hang=create,
            fault={"when": "during", "seconds": 2.5, **both},
            stage="creating",
            explained=MADE,
        ),
        Point(
            name="before-the-cut",
            life={"cut_s": 2.0},
            says=": asked, 0 %",
            options=("--verbose",),
            stage="created",
            explained=MADE,
        ),
        Point(
            name="waiting-for-the-upload",
            life={"accomplished_s": 2.0},
            says=": cut, " if create == "CreateSnapshot" else ": available, ",
            options=("--wait", "accomplished", "--verbose"),
            stage="created",
            explained=MADE,
        ),
    ]


GROUPED = [
    *_late("CreateSnapshotGroup", 1),
    Point(name="history", hang="DescribeSnapshots", stage="created", explained=MADE),
    Point(name="members-unknown", hang="DescribeSnapshotGroups", stage="created", explained=MADE),
    Point(
        name="after-the-cut",
        life={"available_s": 2.0, "accomplished_s": 2.0},
        says=": cut, ",
        options=("--verbose",),
        stage="created",
        explained=MADE,
    ),
    Point(
        name="setting-retention",
        hang="ModifySnapshotAttribute",
        options=("--wait", "accomplished"),
        stage="created",
        explained=MADE,
    ),
]
SINGLE = [
    *_late("CreateSnapshot", 2),
    Point(
        name="half-made",
        hang="CreateSnapshot",
        fault={"skip": 1},
        stage="creating",
        explained="; none of d-",
    ),
    Point(
        name="first-poll",
        hang="DescribeSnapshots",
        fault={"skip": 1},
        stage="created",
        explained=MADE,
    ),
]

EXPLAINED_SINGLES = [point for point in SINGLE if point.name in ("half-made", "created-reply-lost")]


@pytest.fixture(scope="module")
def new_disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("essd")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def old_disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("efficiency"), category="cloud_efficiency") as cloud:
        yield cloud


@dataclass(frozen=True)
class Scene:
    """One agent on one cloud, its change named by the test."""

    agent: AgentRunner
    cloud: Cloud
    before: str

    def job(self, *options: str) -> tuple[str, ...]:
        """Return the main job's arguments; the same each time."""
        return ("--before", self.before, *options)

    def kill_at(self, point: Point) -> None:
        """Start the main job and kill it there."""
        if point.hang:
            self.cloud.fault("hang", point.hang, **point.fault)
        self.cloud.life(**point.life)
        with self.agent.start(*self.job(*point.options)) as running:
            if point.hang:
                wait_until(
                    lambda: self.cloud.faults_struck() or _ended(running),
                    point.hang,
                    lambda: f"{running.err}\n{self.cloud.calls()}",
                )
            else:
                wait_for_words(running, point.says)
            if point.fault.get("skip") and point.hang == "CreateSnapshot":
                wait_until(lambda: "CreateSnapshot" in self.cloud.calls(), "the other reply")
            assert running.kill().status == -9, running.err
        assert stages(self.agent) == ([point.stage] if point.stage else [])
        self.cloud.life()

    def finish(self, *options: str) -> dict[str, Any]:
        """Give the same command again; it must come to a good end."""
        done = self.agent.run(*self.job(*options), "--json")
        assert done.status == 0, done.err
        return done.json

    def one_set(self, *, grouped: bool) -> None:
        """Hold the cloud to exactly one set of this change."""
        made = self.cloud.sets(self.before)
        wanted = [self.cloud.disk_ids] if grouped else [{d} for d in self.cloud.disk_ids]
        assert sorted(map(sorted, made)) == sorted(map(sorted, wanted))

    def list(self) -> str:
        """Run ``list``, which must leave nothing open; return what it said beside the list."""
        listed = self.agent.run("list")
        assert listed.status == 0, listed.err
        assert set(stages(self.agent)) <= {"finished"}
        return listed.err


def _ended(running: RunningAgent) -> bool:
    return running.process.poll() is not None


@pytest.fixture
def scene(agent: AgentRunner, request: pytest.FixtureRequest) -> Iterator[Callable[[Cloud], Scene]]:
    clouds: list[Cloud] = []

    def make(cloud: Cloud) -> Scene:
        cloud.calm()
        clouds.append(cloud)
        return Scene(agent.against(cloud), cloud, request.node.name[:100])

    try:
        yield make
    finally:
        for cloud in clouds:
            cloud.calm()


MakeScene = Callable[[Cloud], Scene]
by_name = {"ids": lambda point: point.name}


@pytest.mark.parametrize("point", EARLY, **by_name)
def test_kill_before_anything_is_asked_for_leaves_no_trace(
    scene: MakeScene, new_disks: Cloud, point: Point
) -> None:
    one = scene(new_disks)
    one.kill_at(point)
    assert one.cloud.sets(one.before) == []
    assert one.finish()["result"] == "done"
    one.one_set(grouped=True)


@pytest.mark.parametrize("point", GROUPED, **by_name)
def test_kill_then_the_same_command_finishes_the_group(
    scene: MakeScene, new_disks: Cloud, point: Point
) -> None:
    _rerun_first(scene(new_disks), point, grouped=True)


@pytest.mark.parametrize("point", SINGLE, **by_name)
def test_kill_then_the_same_command_finishes_the_singles(
    scene: MakeScene, old_disks: Cloud, point: Point
) -> None:
    _rerun_first(scene(old_disks), point, grouped=False)


def _rerun_first(one: Scene, point: Point, *, grouped: bool) -> None:
    one.kill_at(point)
    assert one.finish(*point.options)["result"] == "resumed"
    one.one_set(grouped=grouped)
    assert "interrupted" not in one.list()
    assert [record["result"] for record in records(one.agent)] == ["resumed"]


@pytest.mark.parametrize("point", GROUPED, **by_name)
def test_kill_then_list_explains_and_the_same_command_takes_the_group_up(
    scene: MakeScene, new_disks: Cloud, point: Point
) -> None:
    _list_first(scene(new_disks), point, grouped=True)


@pytest.mark.parametrize("point", EXPLAINED_SINGLES, **by_name)
def test_kill_then_list_explains_and_the_same_command_takes_the_singles_up(
    scene: MakeScene, old_disks: Cloud, point: Point
) -> None:
    _list_first(scene(old_disks), point, grouped=False)


def _list_first(one: Scene, point: Point, *, grouped: bool) -> None:
    one.kill_at(point)
    said = one.list()
    assert f"(before {shown(one.before)}) was interrupted" in said
    assert point.explained in said
    assert one.finish(*point.options)["result"] == "resumed"
    one.one_set(grouped=grouped)
    assert "interrupted" not in one.list()


@pytest.mark.parametrize("list_first", [False, True], ids=["rerun", "list"])
def test_kill_during_the_flush_leaves_a_planned_run_that_is_explained(
    scene: MakeScene, new_disks: Cloud, *, list_first: bool
) -> None:
    one = scene(new_disks)
    _kill_while_planned(one)
    assert one.cloud.sets(one.before) == []
    said = one.list() if list_first else ""
    done = one.agent.run(*one.job())
    assert done.status == 0, done.err
    assert "before it asked the cloud for anything; no snapshot was made" in said + done.err
    one.one_set(grouped=True)
    assert sorted(record["result"] for record in records(one.agent)) == ["done", "interrupted"]


def _kill_while_planned(one: Scene) -> None:
    """Kill it while it writes much dirty memory to the disks: then it has only planned."""
    runs = one.agent.state / "runs"
    _dirty(one.cloud)
    with one.agent.start(*one.job()) as running:
        wait_until(lambda: any(runs.glob("*.json")), "the first record")
        running.kill()
    assert stages(one.agent) == ["planned"], "killed too late: the flush was too quick"


def _dirty(cloud: Cloud) -> None:
    for mount in (cloud.ext4, cloud.xfs):
        with (mount / "dirty").open("wb") as file:
            for _ in range(DIRTY_MIB):
                file.write(os.urandom(1 << 20))


def test_request_that_takes_effect_after_the_kill_is_found(
    scene: MakeScene, new_disks: Cloud
) -> None:
    one = scene(new_disks)
    one.kill_at(
        Point(
            name="late",
            hang="CreateSnapshotGroup",
            fault={"seconds": 2.5},
            stage="creating",
        )
    )
    assert UNSEEN in one.list()
    wait_until(lambda: one.cloud.sets(one.before), "the late effect")
    assert one.finish()["result"] == "resumed"
    one.one_set(grouped=True)


def test_kill_twice_still_ends_in_one_set(scene: MakeScene, new_disks: Cloud) -> None:
    one = scene(new_disks)
    one.kill_at(GROUPED[1])
    one.cloud.fault("hang", "DescribeSnapshotGroups")
    with one.agent.start(*one.job()) as running:
        wait_until(one.cloud.faults_struck, "the second run's first question")
        running.kill()
    assert one.finish()["result"] == "resumed"
    one.one_set(grouped=True)
    assert [record["result"] for record in records(one.agent)] == ["resumed"]
