"""The keeper's template on the simulated OOS, with its policy and no more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ecs_simulator.config import RoleConfig
from ecs_simulator.faults import Fault
from ecs_simulator.records import Snapshot
from fakes.fleet_oos import OOS, Json, template_of
from fakes.simulated_cloud import TWO_DISKS
from fakes.simulated_oos import OosCloud

POLICY = Path(__file__).resolve().parents[3] / "packaging/ram/snap-self-keeper.json"
DAY_S = 86400.0


def keeper_policy() -> Json:
    """Return the shipped policy, filled in."""
    text = POLICY.read_text("utf-8")
    filled = text.replace("REGION", "cn-hangzhou").replace("ACCOUNT", "1234567890123456")
    policy: Json = json.loads(filled)
    return policy


class KeeperCloud(OosCloud):
    """Snapshots of ours and of others, and a role that keeps ours."""

    def __init__(self, policy: Json | None = None) -> None:
        role = RoleConfig(name="keeper", trusted=(OOS,), policies=(policy or keeper_policy(),))
        super().__init__(replace(TWO_DISKS, roles=(RoleConfig(), role)))
        self.ours = [self.shot("d-sys", 14, run="one"), self.shot("d-data", 7, run="two")]
        self.foreign = self.shot("d-data", 14)

    def shot(self, disk: str, days: int | None, *, run: str = "", owner: str = "i-own") -> str:
        """Make a finished snapshot."""
        tags = {"snap-self-owner": owner, "snap-self-run": run} if run else {"team": "db"}
        numbered = {
            f"Tag__{number}__{part}": value
            for number, pair in enumerate(tags.items(), 1)
            for part, value in zip(("Key", "Value"), pair, strict=True)
        }
        kept = {} if days is None else {"RetentionDays": days}
        name = self.made(
            "CreateSnapshot", DiskId=disk, SnapshotName=f"before-{disk}", **kept, **numbered
        )
        self.pass_time(2)
        self.pass_time(200)
        return str(name)

    def keep(self, **parameters: object) -> Json:
        """Run the template to its end."""
        given = {"OOSAssumeRole": "keeper", **parameters}
        return self.run(template_of("keep"), Parameters=given)

    def locks(self) -> dict[str, int]:
        """Return the days of each lock that has not ended."""
        found = self.call("DescribeLockedSnapshots").body["LockedSnapshotsInfo"]
        return {e["SnapshotId"]: e["LockDuration"] for e in found if e["LockStatus"] != "expired"}

    def copies(self) -> list[Json]:
        """Return what lies in the other region."""
        return self.snapshots(RegionId="cn-beijing")


def names_of_missing(cloud: KeeperCloud, ended: Json, task: str) -> list[str]:
    (found,) = cloud.tasks(ended["ExecutionId"], TaskName=task)
    return list(json.loads(found["Properties"])["Parameters"]["SnapshotIds"])


def test_keep_when_snapshots_are_finished_then_locks_ours_until_their_retention_ends() -> None:
    cloud = KeeperCloud()
    ended = cloud.keep(coolOffPeriod=24)
    assert ended["Status"] == "Success", ended["StatusMessage"]
    # Days that fit even if they begin after the cool-off.
    assert cloud.locks() == {cloud.ours[0]: 12, cloud.ours[1]: 5}
    assert sorted(ended["Outputs"]["locked"]) == sorted(cloud.ours)
    assert cloud.copies() == []


def test_keep_when_it_runs_again_then_leaves_all_as_it_is() -> None:
    cloud = KeeperCloud()
    cloud.keep(copyRegionId="cn-beijing")
    before, copies = cloud.locks(), cloud.copies()
    cloud.pass_time(DAY_S)
    assert cloud.keep(copyRegionId="cn-beijing")["Status"] == "Success"
    assert (cloud.locks(), cloud.copies()) == (before, copies)
    assert len(cloud.called("LockSnapshot", "CopySnapshot")) == 4


def test_keep_when_a_region_is_named_then_copies_with_tags_and_what_is_left_of_the_time() -> None:
    cloud = KeeperCloud()
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert ended["Status"] == "Success", ended["StatusMessage"]
    copies = {each["SourceSnapshotId"]: each for each in cloud.copies()}
    assert sorted(copies) == sorted(cloud.ours)
    assert (ended["Outputs"]["copied"], sorted(ended["Outputs"]["copying"])) == (
        [],
        sorted(cloud.ours),
    )
    first = copies[cloud.ours[0]]
    tags = {tag["TagKey"]: tag["TagValue"] for tag in first["Tags"]["Tag"]}
    assert tags == {
        "snap-self-owner": "i-own",
        "snap-self-run": "one",
        "snap-self-copy-of": cloud.ours[0],
    }
    assert first["RetentionDays"] == 13


def test_keep_when_an_event_names_a_snapshot_then_only_that_is_kept() -> None:
    cloud = KeeperCloud()
    assert cloud.keep(snapshotId=cloud.ours[1])["Status"] == "Success"
    assert [*cloud.locks()] == [cloud.ours[1]]


def test_keep_when_an_event_names_a_foreign_snapshot_then_nothing_is_done() -> None:
    cloud = KeeperCloud()
    assert cloud.keep(snapshotId=cloud.foreign)["Status"] == "Success"
    assert cloud.called("LockSnapshot", "CopySnapshot") == []


def many(cloud: KeeperCloud, count: int) -> None:
    """Make as many more snapshots of ours, of an instance with this name."""
    shots = cloud.cloud.state.snapshots
    first = shots[cloud.ours[0]]
    for number in range(count):
        tags = {"snap-self-owner": "i-many"}
        cloud.cloud.state.add_snapshot(
            replace(first, snapshot_id=f"s-many{number}", number=10_000 + number, tags=tags)
        )


def test_keep_when_there_may_be_more_than_a_listing_shows_then_does_nothing() -> None:
    cloud = KeeperCloud()
    many(cloud, 999)
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert (ended["Status"], cloud.called("LockSnapshot", "CopySnapshot")) == ("Failed", [])
    assert cloud.statuses(ended["ExecutionId"])["fewerThanAThousandAreFound"] == "Failed"
    one = cloud.keep(copyRegionId="cn-beijing", tagValue="i-own")
    assert one["Status"] == "Success", one["StatusMessage"]
    assert sorted(cloud.locks()) == sorted(cloud.ours)
    assert sorted(each["SourceSnapshotId"] for each in cloud.copies()) == sorted(cloud.ours)


def test_keep_when_there_would_be_more_copies_than_a_listing_shows_then_does_nothing() -> None:
    cloud = KeeperCloud()
    cloud.keep(copyRegionId="cn-beijing")
    copies = cloud.cloud.state.copies["cn-beijing"]
    first = copies[next(iter(copies))]
    for number in range(997):
        name = f"s-copy{number}"
        copies[name] = replace(first, snapshot_id=name, number=10_000 + number)
    new = cloud.shot("d-sys", 14, run="three")
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert (ended["Status"], new in cloud.locks()) == ("Failed", False)
    assert cloud.statuses(ended["ExecutionId"])["fewerThanAThousandCopies"] == "Failed"
    # An event names one, whose copy is looked for alone.
    assert cloud.keep(copyRegionId="cn-beijing", snapshotId=new)["Status"] == "Success"
    assert new in cloud.locks()


def test_keep_when_an_instance_is_named_then_only_its_own_are_kept() -> None:
    cloud = KeeperCloud()
    other = cloud.shot("d-data", 14, run="three", owner="i-else")
    assert cloud.keep(copyRegionId="cn-beijing", tagValue="i-else")["Status"] == "Success"
    assert [*cloud.locks()] == [other]
    assert [each["SourceSnapshotId"] for each in cloud.copies()] == [other]


def test_keep_when_little_time_is_left_then_that_one_is_passed_over() -> None:
    cloud = KeeperCloud()
    cloud.pass_time(5.5 * DAY_S)
    assert cloud.keep(coolOffPeriod=24)["Status"] == "Success"
    assert [*cloud.locks()] == [cloud.ours[0]]


@pytest.mark.parametrize(("given", "days"), [({}, 90), ({"maxDays": 30}, 30)], ids=str)
def test_keep_when_a_retention_lasts_for_decades_then_the_lock_does_not(
    given: Json, days: int
) -> None:
    cloud = KeeperCloud()
    junk = cloud.shot("d-sys", 36000, run="three")
    assert cloud.keep(**given)["Status"] == "Success"
    assert cloud.locks() == {cloud.ours[0]: 12, cloud.ours[1]: 5, junk: days}


def test_keep_when_a_limited_lock_has_ended_then_it_is_locked_again() -> None:
    cloud = KeeperCloud()
    cloud.keep(maxDays=2)
    cloud.pass_time(2 * DAY_S + 600)
    assert cloud.locks() == {}
    assert cloud.keep(maxDays=2)["Status"] == "Success"
    assert cloud.locks() == dict.fromkeys(cloud.ours, 2)


def test_keep_when_a_snapshot_is_kept_for_ever_then_it_is_left() -> None:
    cloud = KeeperCloud()
    forever = cloud.shot("d-sys", None, run="three")
    assert cloud.keep()["Status"] == "Success"
    assert forever not in cloud.locks()


def test_keep_when_one_lock_is_refused_then_the_others_are_locked_and_it_is_named() -> None:
    cloud = KeeperCloud()
    cloud.api.faults.add(Fault(kind="error:InternalError:500", action="LockSnapshot"))
    ended = cloud.keep()
    (lost,) = {*cloud.ours} - {*cloud.locks()}
    assert ended["Status"] == "Failed"
    assert names_of_missing(cloud, ended, "everyOneIsLocked") == [lost]


def test_keep_when_one_copy_is_refused_then_it_is_named_and_made_the_next_time() -> None:
    cloud = KeeperCloud()
    cloud.api.faults.add(Fault(kind="error:InternalError:500", action="CopySnapshot"))
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert (ended["Status"], len(cloud.copies()), len(cloud.locks())) == ("Failed", 1, 2)
    assert len(names_of_missing(cloud, ended, "everyOneIsCopied")) == 1
    assert cloud.keep(copyRegionId="cn-beijing")["Status"] == "Success"
    assert len(cloud.copies()) == 2


def copies_made(cloud: KeeperCloud) -> dict[str, Snapshot]:
    """Keep with a region, and return its records by what they are copies of."""
    assert cloud.keep(copyRegionId="cn-beijing")["Status"] == "Success"
    return {each.source_id: each for each in cloud.cloud.state.copies["cn-beijing"].values()}


def test_keep_when_a_copy_has_failed_then_it_is_made_again() -> None:
    cloud = KeeperCloud()
    copies_made(cloud)[cloud.ours[0]].failed_at = 0.0
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert ended["Outputs"]["copied"] == [cloud.ours[1]]
    assert ended["Outputs"]["copying"] == [cloud.ours[0]]
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert sorted(ended["Outputs"]["copied"]) == sorted(cloud.ours)
    tokens = [c.params["ClientToken"] for c in cloud.api.calls.all() if c.action == "CopySnapshot"]
    assert len({*tokens}) == len(tokens) == 3
    assert all(token.endswith("-cn-beijing") and len(token) <= 64 for token in tokens)


def test_keep_when_a_copy_is_under_way_then_it_is_told_and_is_no_proof() -> None:
    cloud = KeeperCloud()
    copy = copies_made(cloud)[cloud.ours[0]]
    copy.visible_at = copy.accepted_at = cloud.cloud.clock.now()
    copy.cut_at = cloud.cloud.clock.now() + DAY_S
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert ended["Outputs"]["copying"] == [cloud.ours[0]]
    assert ended["Outputs"]["copied"] == [cloud.ours[1]]
    assert len(cloud.called("CopySnapshot")) == 2


def test_keep_when_a_stranger_there_has_the_tag_then_it_is_no_copy() -> None:
    cloud = KeeperCloud()
    tagged = replace(
        cloud.cloud.state.snapshots[cloud.foreign],
        snapshot_id="s-stranger",
        tags={"snap-self-copy-of": cloud.ours[0]},
        source_id="s-else",
    )
    cloud.cloud.state.copies["cn-beijing"] = {"s-stranger": tagged}
    ended = cloud.keep(copyRegionId="cn-beijing")
    assert sorted(ended["Outputs"]["copying"]) == sorted(cloud.ours)
    assert ended["Outputs"]["copied"] == []
    assert {each["SourceSnapshotId"] for each in cloud.copies()} == {*cloud.ours, "s-else"}


def test_keep_when_the_answer_to_a_copy_is_lost_then_there_is_still_one_copy() -> None:
    cloud = KeeperCloud()
    cloud.api.faults.add(Fault(kind="lost_reply", action="CopySnapshot"))
    for _ in range(2):
        cloud.keep(copyRegionId="cn-beijing")
    assert len(cloud.copies()) == 2


def test_keep_when_it_is_started_twice_at_once_then_there_is_one_copy_of_each() -> None:
    cloud = KeeperCloud()
    given = {"OOSAssumeRole": "keeper", "copyRegionId": "cn-beijing"}
    names = [cloud.started(template_of("keep"), Parameters=given) for _ in range(2)]
    for _ in range(60):
        cloud.pass_time(5)
    assert {cloud.status(name) for name in names} == {"Success"}
    assert len(cloud.called("CopySnapshot")) == 4
    assert len(cloud.copies()) == 2


@pytest.mark.parametrize("lacking", ["LockSnapshot", "CopySnapshot", "DescribeLockedSnapshots"])
def test_keep_when_a_right_is_lacking_then_it_does_not_end_well(lacking: str) -> None:
    policy = keeper_policy()
    for statement in policy["Statement"]:
        statement["Action"] = [a for a in statement["Action"] if a != f"ecs:{lacking}"]
    cloud = KeeperCloud(policy)
    assert cloud.keep(copyRegionId="cn-beijing")["Status"] == "Failed"


def test_policy_when_a_snapshot_is_not_ours_then_it_cannot_be_locked() -> None:
    cloud = KeeperCloud()
    call = {"Service": "ECS", "API": "LockSnapshot"}
    given = {
        "SnapshotId": cloud.foreign,
        "LockMode": "compliance",
        "LockDuration": 1,
        "CoolOffPeriod": 0,
    }
    task = {"Name": "t", "Action": "ACS::ExecuteAPI", "Properties": {**call, "Parameters": given}}
    content = {"FormatVersion": "OOS-2019-06-01", "RamRole": "keeper", "Tasks": [task]}
    ended = cloud.run(json.dumps(content))
    assert (ended["Status"], "Forbidden" in ended["StatusMessage"]) == ("Failed", True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"coolOffPeriod": -1},
        {"coolOffPeriod": 73},
        {"coolOffPeriod": "a day"},
        {"snapshotId": "all"},
        {"maxDays": 0},
        {"maxDays": 36501},
        {"copyRegionId": "x"},
        {"tagValue": "web"},
    ],
    ids=str,
)
def test_keep_when_a_parameter_is_wrong_then_it_is_refused(wrong: Json) -> None:
    cloud = KeeperCloud()
    answer = cloud.oos("StartExecution", TemplateContent=template_of("keep"), Parameters=wrong)
    assert answer.outcome == (400, "InvalidParameter.Parameters")
