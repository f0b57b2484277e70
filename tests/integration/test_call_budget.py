"""How many calls each command may make: limits of the API are shared by the whole account.

Each is a call on behalf of somebody; who adds one changes this table, and says what it is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from call_rig import Account, Asked, account

from fakes.inhibitor import FakeInhibitor
from fakes.lock import FakeLock
from fakes.main_job import main_job
from run_directory import RunDirectory
from snap_self.model.request import Request
from snap_self.system.clock import SystemClock
from snap_self.usecases.follow import Watching, follow

DISKS, INSTANCE = "DescribeDisks", "DescribeInstances"
SHOTS, GROUPS = "DescribeSnapshots", "DescribeSnapshotGroups"
CREATE, CREATE_GROUP = "CreateSnapshot", "CreateSnapshotGroup"
RETAIN = "ModifySnapshotAttribute"

# The cut comes a second after the create, and from then on the snapshot is available. A second look
# is for a cut that comes late.
BUDGET: Mapping[str, Mapping[int, Mapping[str, int]]] = {
    "hook: a snapshot is made": {
        1: {DISKS: 1, CREATE: 1, SHOTS: 2},
        # A look at a group's members, then at their snapshots.
        4: {DISKS: 1, CREATE_GROUP: 1, GROUPS: 1, SHOTS: 2},
    },
    "hook: an earlier one is reused": {
        1: {DISKS: 1, SHOTS: 1},
        # The tags of a group do not reach its members.
        4: {DISKS: 1, SHOTS: 1, GROUPS: 1},
    },
    "main job": {
        # The earlier snapshots for the notes, and looks until it is available.
        1: {DISKS: 1, CREATE: 1, SHOTS: 1 + 3},
        4: {DISKS: 1, CREATE_GROUP: 1, GROUPS: 1, SHOTS: 1 + 3},
    },
    "main job: waited for until it is uploaded": {
        1: {DISKS: 1, CREATE: 1, SHOTS: 1 + 4},
        # Four members of its own, and those of two earlier groups, once, after a look at them.
        4: {DISKS: 1, CREATE_GROUP: 1, GROUPS: 1, SHOTS: 1 + 4 + 1, RETAIN: 4 + 8},
    },
    "plan": {
        1: {DISKS: 1, INSTANCE: 1, SHOTS: 1},
        4: {DISKS: 1, INSTANCE: 1, SHOTS: 1},
    },
    # By instance, by tag; an upload that goes on, or a retention that is due, asks for no more.
    "list": {1: {SHOTS: 2, GROUPS: 1}, 4: {SHOTS: 2, GROUPS: 1}},
    "list: uploaded, retention is due": {1: {SHOTS: 2, GROUPS: 1}, 4: {SHOTS: 2, GROUPS: 1}},
    "show": {
        1: {SHOTS: 2, GROUPS: 1, DISKS: 1},
        4: {SHOTS: 2, GROUPS: 1, DISKS: 1},
    },
    "rollback": {
        1: {SHOTS: 2, GROUPS: 1, DISKS: 1, INSTANCE: 1},
        4: {SHOTS: 2, GROUPS: 1, DISKS: 1, INSTANCE: 1},
    },
    "prune": {1: {SHOTS: 2, GROUPS: 1}, 4: {SHOTS: 2, GROUPS: 1}},
    "doctor: nothing is left to do": {
        1: {DISKS: 1, INSTANCE: 1, SHOTS: 2, GROUPS: 1},
        4: {DISKS: 1, INSTANCE: 1, SHOTS: 2, GROUPS: 1},
    },
}
# Of one that watches the upload of a group of two disks.
FOLLOWER_AN_HOUR: Mapping[str, int] = {SHOTS: 6}
MOST = {
    ("hook: a snapshot is made", 1): 4,
    ("hook: a snapshot is made", 4): 5,
    ("list", 1): 3,
    ("list", 4): 3,
    ("show", 1): 4,
    ("show", 4): 4,
}


def _all_commands(one: Account) -> Iterator[tuple[str, Asked]]:
    yield "hook: a snapshot is made", one.hook("packages")
    one.end_uploads()
    made = one.job("os upgrade")
    yield "main job", made
    yield "hook: an earlier one is reused", one.hook("more packages", "--reuse", "30m")
    yield "plan", one.job("a plan", "--dry-run")
    yield "list", one.ask("list")
    yield "show", one.ask("show", made.result.json["run"]["id"])
    yield "rollback", one.ask("rollback", made.result.json["run"]["id"], "--script")
    one.end_uploads()
    yield "list: uploaded, retention is due", one.ask("list")
    one.simulator.set_life(accomplished_s=1.0)
    whole = one.job("schema change", "--wait", "accomplished")
    yield "main job: waited for until it is uploaded", whole
    yield "prune", one.ask("prune", "--yes")
    yield "doctor: nothing is left to do", one.ask("doctor")


@pytest.fixture(scope="module", params=[1, 4], ids=["one-disk", "four-disks"])
def asked(
    request: pytest.FixtureRequest,
    run_directory: RunDirectory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[int, Mapping[str, Asked]]]:
    """Give what each command asked, one after the other in one account."""
    folder = tmp_path_factory.mktemp("calls")
    with account(request.param, run_directory, folder) as one:
        yield request.param, dict(_all_commands(one))


@pytest.mark.parametrize("command", BUDGET)
def test_command_when_run_then_stays_within_its_calls(
    asked: tuple[int, Mapping[str, Asked]], command: str
) -> None:
    disks, found = asked[0], asked[1][command]
    over = found.counted - Counter(BUDGET[command][disks])
    assert not over, f"not in the budget of {command}, {disks} disks: {dict(over)}"
    assert len(found.actions) <= MOST.get((command, disks), len(found.actions))
    assert found.actions, found.result.err


@pytest.mark.parametrize("command", BUDGET)
def test_command_when_run_then_opens_one_connection(
    asked: tuple[int, Mapping[str, Asked]], command: str
) -> None:
    assert asked[1][command].connections == 1


def test_follower_when_it_watches_for_an_hour_then_stays_within_its_calls() -> None:
    with main_job() as job:
        job.simulator.set_life(accomplished_s=1e6)
        job.run(Request(before="os upgrade"))
        before = len(job.simulator.calls)
        watching = Watching(inhibitor=FakeInhibitor(), lock=FakeLock(SystemClock()), limit_s=3600.0)
        follow(job.tools, watching)
        found = Counter(call.action for call in job.simulator.calls[before:])
        assert found
        assert not found - Counter(FOLLOWER_AN_HOUR), found
