"""The list: what the cloud's tags say, and what the journal knows better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from fakes.journal import FakeJournal
from fakes.records import order_record, run_record
from fakes.rpc import refusal
from fakes.taken import BEFORE, RUN, TAGS, Taken, snapshot_of, tags
from snap_self.errors import StateUnusable, UsageError
from snap_self.model.ids import SnapshotId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.result import Result
from snap_self.model.retention import Retention
from snap_self.model.run import RunRecord, Stage, Upload
from snap_self.model.snapshots import Consistency
from snap_self.usecases.listing import Wanted, list_snapshots

RECORD = replace(run_record(stage=Stage.FINISHED), run_id=RUN, result=Result.DONE)


def listed(taken: Taken) -> tuple[ListedSnapshot, ...]:
    return list_snapshots(taken.tools).snapshots


def with_record(record: RunRecord, **changes: object) -> Taken:
    taken = Taken.of("one-virtio-disk", **changes)
    taken.journal.save(record)
    return taken


def test_newest_snapshot_is_first_and_one_without_a_cut_before_it() -> None:
    taken = Taken.of("nvme")
    for shot, cut in zip(taken.snapshots, ("2026-11-20", "2026-11-22", ""), strict=True):
        shot["CreationTime"] = cut and f"{cut}T08:00:00Z"
    days = [shot.cut_time and shot.cut_time.day for shot in listed(taken)]
    assert days == [None, 22, 20]


def test_what_only_the_journal_knows_in_full_comes_from_there() -> None:
    taken = with_record(replace(RECORD, before="a longer text than tags hold", outcome="failed"))
    (shot,) = listed(taken)
    assert (shot.before, shot.outcome) == ("a longer text than tags hold", "failed")


def test_what_the_journal_does_not_know_comes_from_the_tags() -> None:
    known = {
        "snap-self-outcome": "exit status 1 after 2 s",
        "snap-self-verified": "proved 2026-11-29T03:04:05Z",
    }
    (shot,) = listed(Taken.of("one-virtio-disk", Tags=tags(**TAGS, **known)))
    assert (shot.before, shot.outcome) == (BEFORE, "exit status 1 after 2 s")
    assert shot.verified is not None
    assert shot.verified.tag == known["snap-self-verified"]


@pytest.mark.parametrize(
    ("stage", "reached", "level"),
    [
        (Stage.FINISHED, Consistency.CRASH, Consistency.CRASH),
        (Stage.FINISHED, Consistency.FILESYSTEM, Consistency.FILESYSTEM),
        (Stage.CREATING, Consistency.CRASH, Consistency.FLUSH),
        (Stage.CREATING, Consistency.FILESYSTEM, Consistency.FILESYSTEM),
        (Stage.FINISHED, None, Consistency.FLUSH),
    ],
)
def test_level_is_the_proved_one_once_the_run_had_its_snapshots(
    stage: Stage, reached: Consistency | None, level: Consistency
) -> None:
    taken = with_record(replace(RECORD, stage=stage, consistency_reached=reached))
    with taken.lock.attempt(purpose="the run itself"):  # which nothing explains meanwhile
        (shot,) = listed(taken)
    assert shot.level is level


def test_snapshot_expires_when_the_first_of_cloud_and_prune_deletes_it() -> None:
    given = tags(**TAGS, **{"snap-self-expires": "2026-12-06T08:32:30Z"})
    (shot,) = listed(Taken.of("one-virtio-disk", Tags=given, RetentionDays=3))
    assert shot.expires == datetime(2026, 11, 25, 8, 32, 30, tzinfo=timezone.utc)


def test_retention_that_is_still_to_be_set_is_pending_by_the_journal() -> None:
    taken = Taken.of("one-virtio-disk", Tags=_expiring())
    name = SnapshotId(taken.snapshots[0]["SnapshotId"])
    order = replace(order_record(sent=True), retention_pending=(name,))
    taken.journal.save(replace(RECORD, orders=(order,)))
    with taken.lock.attempt(purpose="another"):
        (shot,) = listed(taken)
    assert shot.retention is Retention.PENDING


def test_retention_of_a_group_s_member_is_pending_until_it_is_uploaded() -> None:
    uploading = {"Status": "progressing", "Progress": "40%", "Tags": _expiring()}
    (shot,) = listed(Taken.of("one-virtio-disk", grouped=True, **uploading))
    assert shot.retention is Retention.PENDING
    (shot,) = listed(Taken.of("one-virtio-disk", **uploading))
    assert shot.retention is Retention.SET


def _expiring() -> object:
    return tags(**TAGS, **{"snap-self-expires": "2026-12-06T08:32:30Z"})


def test_snapshots_that_nobody_deletes_are_named_up_to_three() -> None:
    taken = Taken.of("outer-journals", Tags=_expiring())
    (note,) = list_snapshots(taken.tools).notes
    assert note.count("s-bp1") == 3
    assert " and 1 more: the cloud has no retention for them" in note


def test_nothing_found_is_said_to_look_like_a_role_that_may_not_look() -> None:
    listing = list_snapshots(replace(Taken.of("nvme"), snapshots=[]).tools)
    (note,) = listing.notes
    assert listing.snapshots == ()
    assert "may not list snapshots looks the same" in note


def test_groups_that_are_refused_hide_no_snapshot_and_are_told() -> None:
    taken = Taken.of("nvme", grouped=True)
    taken.answers["DescribeSnapshotGroups"] = refusal("Forbidden.RAM")
    listing = list_snapshots(taken.tools)
    assert len(listing.snapshots) == 3
    assert listing.notes[0].startswith("some may be missing: ")


def test_snapshot_that_an_incomplete_list_lacks_is_asked_for_before_it_counts_as_deleted() -> None:
    taken = Taken.of("nvme")
    names = {disk: SnapshotId(f"s-{disk[2:]}") for disk in taken.disk_ids}
    order = replace(order_record(sent=True), snapshot_ids=names)
    upload = Upload(going_on=True, boot_id="boot")
    taken.journal.save(replace(RECORD, orders=(order,), upload=upload))
    taken.snapshots[2]["Tags"] = tags()  # those of its group would say whose it is
    taken.answers["DescribeSnapshotGroups"] = refusal("Forbidden.RAM")
    taken.clock.advance(3600)
    assert len(listed(taken)) == 2
    (record,) = taken.journal.all()
    assert record.upload is not None
    assert (record.upload.deleted, record.upload.accomplished) == ((), True)


def test_journal_is_left_alone_while_another_run_goes_on() -> None:
    taken = with_record(replace(RECORD, stage=Stage.CREATING))
    with taken.lock.attempt(purpose="another"):
        listing = list_snapshots(taken.tools)
    assert listing.notes == ("another run is going on; its snapshots may not be listed yet",)
    assert taken.journal.all()[0].stage is Stage.CREATING


class _Closed(FakeJournal):
    """A journal that this user may not read."""

    def all(self) -> tuple[RunRecord, ...]:
        """Refuse."""
        raise StateUnusable("/var/lib/snap-self cannot be read: Permission denied")

    unfinished = uploading = all


class _ClosedLock:
    """A lock that this user may not open."""

    held = False

    @contextmanager
    def attempt(self, *, purpose: str) -> Iterator[bool]:
        """Refuse."""
        raise StateUnusable(f"the lock for {purpose} cannot be opened: Permission denied")
        yield False

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        """Refuse."""
        raise StateUnusable(f"{purpose}: no lock in {timeout_s} s")
        yield


def test_user_who_may_not_read_the_journal_still_has_the_clouds_tags() -> None:
    tools = replace(Taken.of("nvme").tools, store=_Closed(), lock=_ClosedLock())
    listing = list_snapshots(tools)
    assert [shot.before for shot in listing.snapshots] == [BEFORE] * 3
    assert listing.notes[0].startswith("the journal was left alone: the lock for list ")


@pytest.mark.parametrize("readable", [True, False])
def test_snapshot_of_a_detached_disk_is_unknown_for_a_reason_that_is_true(readable: bool) -> None:
    taken = Taken.of("nvme")
    detached = snapshot_of("d-detached")
    taken.answers["DescribeSnapshots"] = lambda params: {
        "Snapshots": {"Snapshot": [detached] if "Tag.1.Key" in params else []}
    }
    tools = taken.tools if readable else replace(taken.tools, store=_Closed(), lock=_ClosedLock())
    listing = list_snapshots(tools)
    assert [shot.disk_id for shot in listing.unknown] == ["d-detached"]
    (note,) = [note for note in listing.notes if note.startswith("unknown: ")]
    assert ("the journal cannot be read, so whether they are of" in note) is not readable
    assert ("are of no disk that is attached here or in its journal" in note) is readable


def test_snapshot_of_another_instance_is_not_listed() -> None:
    taken = Taken.of("one-virtio-disk")
    taken.snapshots.append(snapshot_of("d-2", Tags=tags(**{**TAGS, "snap-self-owner": "i-2"})))
    assert [shot.disk_id for shot in listed(taken)] == [taken.disk_ids[0]]


def _two_runs() -> Taken:
    """Return a machine of three disks: an older run of two, and a newer one of the third."""
    taken = Taken.of("nvme")
    taken.snapshots[2]["CreationTime"] = "2026-11-23T08:00:00Z"
    newer = {"snap-self-run": "20261123t080000z-000002", "snap-self-before": "Schema CHANGE"}
    taken.snapshots[2]["Tags"] = tags(**{**TAGS, **newer})
    return taken


def _disks(taken: Taken, wanted: Wanted) -> set[str]:
    return {shot.disk_id for shot in list_snapshots(taken.tools, wanted).snapshots}


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (Wanted(), {0, 1, 2}),
        (Wanted(last=1), {2}),
        (Wanted(last=2), {0, 1, 2}),
        (Wanted(last=9), {0, 1, 2}),
        (Wanted(before="schema change"), {2}),
        (Wanted(before="UPGRADE"), {0, 1}),
        (Wanted(before="upgrade", last=1), {0, 1}),
        (Wanted(before="nothing such"), set()),
    ],
)
def test_wanted_runs_are_listed_whole_and_no_others(wanted: Wanted, places: set[int]) -> None:
    taken = _two_runs()
    assert _disks(taken, wanted) == {taken.disk_ids[place] for place in places}


@pytest.mark.parametrize("disk", ["/logs", "nvme1n1", "/dev/nvme1n1", "its id"])
def test_runs_with_a_disk_are_wanted_by_any_name_of_it(disk: str) -> None:
    taken = _two_runs()
    named = taken.disk_ids[1] if disk == "its id" else disk
    assert _disks(taken, Wanted(disks=(named,))) == set(taken.disk_ids[:2])


def test_disk_that_is_detached_is_wanted_by_its_id() -> None:
    taken = _two_runs()
    taken.snapshots[2]["SourceDiskId"] = "d-bp1gone0000000000000"
    wanted = Wanted(disks=("d-bp1gone0000000000000",))
    assert _disks(taken, wanted) == {"d-bp1gone0000000000000"}
    assert "DescribeDisks" not in [call.action for call in taken.rpc.calls]


def test_disk_that_is_none_here_is_refused() -> None:
    told = "/nowhere is no disk id, block device or mount point"
    with pytest.raises(UsageError, match=told) as caught:
        list_snapshots(_two_runs().tools, Wanted(disks=("/nowhere",)))
    assert "--path" not in caught.value.hint  # which a list does not take


def test_nothing_that_is_as_wanted_is_not_taken_for_nothing_at_all() -> None:
    listing = list_snapshots(_two_runs().tools, Wanted(before="nothing such"))
    assert listing.notes[0] == "none of the 2 runs that have snapshots is as asked for"
    assert not any("looks the same" in note for note in listing.notes)


def test_mount_points_of_a_disk_are_those_that_the_journal_has() -> None:
    taken = Taken.of("one-virtio-disk")
    (disk_id,) = taken.disk_ids
    taken.journal.save(replace(RECORD, carried={disk_id: ("/", "/boot")}))
    (shot,) = listed(taken)
    assert shot.mounts == ("/", "/boot")


@pytest.mark.parametrize(
    ("result", "told"),
    [(Result.PARTIAL, True), (Result.DONE, False), (Result.INTERRUPTED, None)],
)
def test_run_that_the_journal_calls_partial_is_listed_as_that(
    result: Result, told: bool | None
) -> None:
    (shot,) = listed(with_record(replace(RECORD, result=result)))
    assert shot.partial is told
