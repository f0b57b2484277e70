"""Which snapshots may go: dates, numbers, and what is never deleted whatever the policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.builders import INSTANCE, NOW, snapshot
from snap_self.model.ids import DiskId, GroupId, InstanceId, SnapshotId
from snap_self.model.snapshots import (
    BEFORE_TAG,
    EXPIRES_TAG,
    OWNER_TAG,
    RUN_TAG,
    GroupMember,
    SnapshotGroup,
    SnapshotStatus,
)
from snap_self.usecases.inventory.keep import Holdings, PrunePolicy, PruneStep, prune_steps
from snap_self.usecases.inventory.own import OwnSnapshot

OTHER = InstanceId("i-bp1ooootttthhhheeerr")
EXPIRED = PrunePolicy()
DONE, MAKING, FAILED = (
    SnapshotStatus.ACCOMPLISHED,
    SnapshotStatus.PROGRESSING,
    SnapshotStatus.FAILED,
)


def run(
    day: int,
    *,
    disks: Collection[int] = (1,),
    keep_days: int | None = 14,
    before: str = "os upgrade",
    group: bool = False,
    status: SnapshotStatus = DONE,
    usage: str = "none",
    owner: InstanceId = INSTANCE,
) -> list[OwnSnapshot]:
    """Return what a run made so many days ago made, ids after day and disk."""
    cut = NOW - timedelta(days=day)
    until = (
        "never" if keep_days is None else f"{cut + timedelta(days=keep_days):%Y-%m-%dT%H:%M:%SZ}"
    )
    tags = {
        OWNER_TAG: owner,
        RUN_TAG: f"run-{day}-{owner}",
        BEFORE_TAG: before,
        EXPIRES_TAG: until,
    }
    return [
        OwnSnapshot(
            shot=replace(
                snapshot(disk, status=status, cut_time=cut, tags=tags),
                snapshot_id=SnapshotId(f"s-{day:03}-{disk}"),
                usage=usage,
            ),
            tags=tags,
            group_id=GroupId(f"ssg-{day:03}") if group else None,
        )
        for disk in disks
    ]


def group_of(members: list[OwnSnapshot], *, owner: str = INSTANCE) -> SnapshotGroup:
    """Return the group that the cloud shows for these members."""
    group_id = members[0].group_id
    assert group_id
    return SnapshotGroup(
        group_id=group_id,
        name="",
        description="",
        status=DONE,
        instance_id=INSTANCE,
        created=None,
        members=tuple(
            GroupMember(
                snapshot_id=m.shot.snapshot_id, disk_id=m.shot.disk_id, progress=100, available=True
            )
            for m in members
        ),
        tags={OWNER_TAG: owner},
    )


def steps(
    *runs: list[OwnSnapshot],
    policy: PrunePolicy = EXPIRED,
    groups: Collection[SnapshotGroup] | None = None,
    now: datetime = NOW,
) -> tuple[PruneStep, ...]:
    """Return the steps; groups are shown as their members have it unless given."""
    shown = [group_of(made) for made in runs if made[0].group_id] if groups is None else groups
    holdings = Holdings(
        instance_id=INSTANCE,
        own=tuple(one for made in runs for one in made),
        groups={group.group_id: group for group in shown},
    )
    return prune_steps(holdings, policy, now=now)


def deleted(found: tuple[PruneStep, ...]) -> set[str]:
    """Return what may go."""
    return {sid for step in found if step.delete for sid in step.snapshot_ids}


def reason(found: tuple[PruneStep, ...], snapshot_id: str) -> str:
    """Return why a snapshot goes or stays."""
    return next(step.reason for step in found if snapshot_id in step.snapshot_ids)


def test_prune_by_date_takes_what_is_past_it() -> None:
    assert deleted(steps(run(1), run(13), run(14), run(15))) == {"s-014-1", "s-015-1"}


def test_prune_when_all_expired_keeps_newest_good_of_each_disk() -> None:
    found = steps(run(90, disks=(1, 2)), run(80), run(70, status=FAILED))
    assert deleted(found) == {"s-090-1", "s-070-1"}
    assert "newest good one" in reason(found, "s-080-1")


def test_prune_by_number_takes_older_ones_before_their_date() -> None:
    found = steps(*(run(day) for day in range(1, 6)), policy=PrunePolicy(keep_last=3))
    assert deleted(found) == {"s-004-1", "s-005-1"}


@pytest.mark.parametrize(("count", "told"), [(2, "1 newer one of"), (3, "2 newer ones of")])
def test_prune_by_number_tells_how_many_newer_ones_there_are(count: int, told: str) -> None:
    runs = [run(day) for day in range(1, count + 1)]
    oldest, *_ = steps(*runs, policy=PrunePolicy(keep_last=1))
    assert oldest.reason.startswith(told)


def test_prune_by_number_keeps_what_is_past_its_date() -> None:
    found = steps(*(run(day) for day in (20, 30, 40)), policy=PrunePolicy(keep_last=2))
    assert deleted(found) == {"s-040-1"}


def test_prune_by_number_counts_a_set_of_other_disks_apart() -> None:
    found = steps(
        run(1), run(2), run(3, disks=(1, 2)), run(4, disks=(1, 2)), policy=PrunePolicy(keep_last=1)
    )
    assert deleted(found) == {"s-002-1", "s-004-1", "s-004-2"}


def test_prune_by_number_takes_a_rest_that_newer_sets_cover() -> None:
    rest = run(9, disks=(2,), group=True)
    found = steps(run(1, disks=(1, 2), group=True), rest, policy=PrunePolicy(keep_last=1))
    assert deleted(found) == {"s-009-2"}


def test_prune_per_text_keeps_that_many_of_each_text() -> None:
    runs = [run(day, before=text) for day, text in enumerate("ababab", start=1)]
    found = steps(*runs, policy=PrunePolicy(keep_per_text=1))
    assert deleted(found) == {"s-003-1", "s-004-1", "s-005-1", "s-006-1"}


def test_prune_by_both_numbers_keeps_what_either_keeps() -> None:
    runs = [run(day, before=text) for day, text in enumerate("aaab", start=1)]
    found = steps(*runs, policy=PrunePolicy(keep_last=2, keep_per_text=1))
    assert deleted(found) == {"s-003-1"}


@pytest.mark.parametrize("policy", [EXPIRED, PrunePolicy(keep_last=1, force=True)])
def test_prune_never_takes_what_is_kept_for_ever(policy: PrunePolicy) -> None:
    found = steps(run(1), run(900, keep_days=None), policy=policy)
    assert reason(found, "s-900-1") == "it is kept for ever"
    assert deleted(found) == set()


def test_prune_failed_ones_do_not_count_as_kept() -> None:
    found = steps(run(1, status=FAILED), run(2), run(3), policy=PrunePolicy(keep_last=1))
    assert deleted(found) == {"s-003-1"}


def test_prune_leaves_what_is_still_being_made_and_what_it_blocks() -> None:
    found = steps(run(20), run(30), run(40, disks=(2,)), run(50, disks=(2,)), run(1, status=MAKING))
    assert deleted(found) == {"s-050-2"}
    assert "is being made" in reason(found, "s-030-1")


@pytest.mark.parametrize(
    ("usage", "force", "goes"),
    [
        ("none", False, True),
        ("disk", False, False),
        ("disk", True, True),
        ("image", True, False),
        ("image_disk", True, False),
        ("something new", True, False),
    ],
)
def test_prune_of_what_something_depends_on(usage: str, force: bool, goes: bool) -> None:
    found = steps(run(1), run(20, usage=usage), policy=PrunePolicy(force=force))
    assert deleted(found) == ({"s-020-1"} if goes else set())
    assert found[0].forced is (usage != "none")


def test_prune_keeps_a_group_whole_when_one_member_is_used() -> None:
    old = run(20, disks=(1, 2), group=True)
    old[1] = replace(old[1], shot=replace(old[1].shot, usage="image"))
    found = steps(run(1, disks=(1, 2)), old)
    assert deleted(found) == set()
    assert "image" in reason(found, "s-020-1")


def test_prune_keeps_a_group_with_a_member_not_ours() -> None:
    old = run(20, disks=(1, 2), group=True)
    found = steps(run(1, disks=(1, 2)), old[:1], groups=[group_of(old)])
    assert deleted(found) == set()
    assert "s-020-2" in reason(found, "s-020-1")


@pytest.mark.parametrize("owner", ["", OTHER])
def test_prune_keeps_a_group_not_tagged_as_ours(owner: str) -> None:
    old = run(20, disks=(1, 2), group=True)
    found = steps(run(1, disks=(1, 2)), old, groups=[group_of(old, owner=owner)])
    assert deleted(found) == set()


def test_prune_of_a_group_names_the_group() -> None:
    old = run(20, disks=(1, 2), group=True)
    step = steps(run(1, disks=(1, 2)), old)[0]
    assert (step.delete, step.group_id, len(step.members)) == (True, "ssg-020", 2)


def test_prune_of_a_group_that_is_gone_takes_its_members_one_by_one() -> None:
    old = run(20, disks=(1, 2), group=True)
    step = steps(run(1, disks=(1, 2)), old, groups=[])[0]
    assert (step.delete, step.group_id, len(step.members)) == (True, None, 2)


def test_prune_keeps_snapshots_of_a_disk_that_is_gone() -> None:
    old = run(20)
    old[0] = replace(old[0], shot=replace(old[0].shot, disk_id=DiskId("")))
    newer = run(15)
    newer[0] = replace(newer[0], shot=replace(newer[0].shot, disk_id=DiskId("")))
    assert deleted(steps(old, newer)) == set()


def test_prune_leaves_another_instances_alone() -> None:
    assert deleted(steps(run(1), run(2), run(30, owner=OTHER))) == set()


Run = tuple[int, frozenset[int], int | None, str, SnapshotStatus, str, bool, bool]
A_RUN = st.tuples(
    st.integers(0, 365),
    st.frozensets(st.integers(1, 3), min_size=1),
    st.sampled_from([1, 7, 14, 90, None]),
    st.sampled_from("abc"),
    st.sampled_from([DONE, DONE, DONE, FAILED, MAKING]),
    st.sampled_from(["none", "none", "none", "image", "disk"]),
    st.booleans(),
    st.sampled_from([True, True, True, False]),
)
A_YEAR = st.lists(A_RUN, max_size=25, unique_by=lambda one: one[0])
A_NUMBER = st.one_of(st.none(), st.integers(1, 5))
POLICIES = st.builds(PrunePolicy, keep_last=A_NUMBER, keep_per_text=A_NUMBER, force=st.booleans())


def made_in(year: list[Run]) -> list[list[OwnSnapshot]]:
    """Return the snapshots of all runs."""
    return [
        run(
            day,
            disks=sorted(disks),
            keep_days=keep,
            before=text,
            status=status,
            usage=usage,
            group=group,
            owner=INSTANCE if ours else OTHER,
        )
        for day, disks, keep, text, status, usage, group, ours in year
    ]


@settings(max_examples=150)
@given(year=A_YEAR, policy=POLICIES)
def test_prune_of_any_year_keeps_what_must_never_go(year: list[Run], policy: PrunePolicy) -> None:
    runs = made_in(year)
    gone = deleted(steps(*runs, policy=policy))
    everything = [one for made in runs for one in made]
    newest: dict[DiskId, OwnSnapshot] = {}
    for one in sorted(everything, key=lambda o: o.shot.cut_time or NOW):
        if one.tags[OWNER_TAG] == INSTANCE and one.shot.status is DONE:
            newest[one.shot.disk_id] = one
    kept_for_certain = [
        *newest.values(),
        *(one for one in everything if one.tags[OWNER_TAG] != INSTANCE),
        *(one for one in everything if one.expires is None),
        *(one for one in everything if one.shot.status is MAKING),
        *(one for one in everything if one.shot.usage == "image"),
        *(one for one in everything if one.shot.usage == "disk" and not policy.force),
    ]
    assert gone.isdisjoint(one.shot.snapshot_id for one in kept_for_certain)
    if not policy.counts:
        assert all(
            one.expires <= NOW for one in everything if one.shot.snapshot_id in gone and one.expires
        )


@settings(max_examples=150)
@given(year=A_YEAR, policy=POLICIES)
def test_prune_of_any_year_deletes_groups_whole(year: list[Run], policy: PrunePolicy) -> None:
    runs = made_in(year)
    gone = deleted(steps(*runs, policy=policy))
    for made in runs:
        if made[0].group_id:
            assert len(gone & {one.shot.snapshot_id for one in made}) in (0, len(made))


@settings(max_examples=150)
@given(year=A_YEAR, number=st.integers(1, 5))
def test_prune_by_number_leaves_that_many_newer_for_each_that_goes(
    year: list[Run], number: int
) -> None:
    runs = [m for m in made_in(year) if m[0].tags[OWNER_TAG] == INSTANCE]
    gone = deleted(steps(*runs, policy=PrunePolicy(keep_last=number)))
    good: dict[frozenset[DiskId], list[datetime]] = defaultdict(list)
    for made in runs:
        if made[0].shot.status is DONE and made[0].shot.snapshot_id not in gone:
            good[frozenset(o.shot.disk_id for o in made)].append(made[0].shot.cut_time or NOW)
    for made in runs:
        if made[0].shot.status is DONE and made[0].shot.snapshot_id in gone:
            mine = {one.shot.disk_id for one in made}
            cut = made[0].shot.cut_time or NOW
            newer = sum(at > cut for disks, cuts in good.items() if disks >= mine for at in cuts)
            assert newer >= number


@settings(max_examples=50)
@given(year=A_YEAR, policy=POLICIES)
def test_prune_again_at_once_finds_nothing_more(year: list[Run], policy: PrunePolicy) -> None:
    runs = made_in(year)
    gone = deleted(steps(*runs, policy=policy))
    rest = [kept for made in runs if (kept := [o for o in made if o.shot.snapshot_id not in gone])]
    assert deleted(steps(*rest, policy=policy)) == set()
