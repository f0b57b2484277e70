"""Deleting by the cloud's answers: what goes, what is tried once, and which error wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from fakes.lock import FakeLock
from fakes.records import run_record
from fakes.rpc import Outcome, no_answer, refusal
from fakes.taken import ME, TAGS, Taken, snapshot_of, tags
from snap_self.errors import (
    CloudThrottled,
    CloudUnreachable,
    CredentialsRefused,
    ExitStatus,
    LockHeld,
    PermissionRefused,
    PreconditionRefused,
    SnapSelfError,
)
from snap_self.model.ids import SnapshotId
from snap_self.model.progress import Event
from snap_self.usecases.gate import Gate
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.prune import POLICY_HINT, Pruned, PruneOutcome, prune

DENIED, LOCKED = refusal("Forbidden.RAM"), refusal("InvalidOperation.SnapshotIsLocked")
CUT = datetime(2026, 9, 1, tzinfo=timezone.utc)
GONE: Outcome = {"RequestId": "R"}


def shot(day: int, *, disk: str = "d-a", owner: str = ME, **changes: Any) -> dict[str, Any]:
    """Return a snapshot made so many days after the first one, that has expired by now."""
    cut = CUT + timedelta(days=day)
    own = {
        **TAGS,
        "snap-self-owner": owner,
        "snap-self-run": f"run-{day}",
        "snap-self-expires": f"{cut + timedelta(days=14):%Y-%m-%dT%H:%M:%SZ}",
    }
    fields = {
        "SnapshotId": f"s-{day}{disk.removeprefix('d-')}",
        "CreationTime": f"{cut:%Y-%m-%dT%H:%M:%SZ}",
        "Tags": tags(**own),
    }
    return snapshot_of(disk, **{**fields, **changes})


def group_of(*members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group of these members, with their tags."""
    return {
        "SnapshotGroupId": "ssg-1",
        "InstanceId": ME,
        "Status": "accomplished",
        "Snapshots": {"Snapshot": list(members)},
        "Tags": members[0]["Tags"],
    }


def progress(*kept: tuple[str, str], gone: Sequence[str] = ()) -> Outcome:
    """Return the answer to a group's deletion: the members kept, with the code, and those gone."""
    rows = [(name, "Failed", code) for name, code in kept]
    rows += [(name, "Success", "") for name in gone]
    return {
        "RequestId": "REQ-9",
        "OperationProgressSet": {
            "OperationProgress": [
                {
                    "OperationStatus": status,
                    "ErrorCode": code,
                    "ErrorMsg": "words",
                    "RelatedItemSet": {"RelatedItem": [{"Name": "SnapshotId", "Value": name}]},
                }
                for name, status, code in rows
            ]
        },
    }


class Shelf:
    """A cloud that holds snapshots of one instance; the last one of each disk is never due.

    Args:
        groups: those that are shown.
        outcomes: by snapshot or group, what its deletion is answered; what is refused stays.
        lost: what goes although its deletion is answered so.
    """

    def __init__(
        self,
        *shots: dict[str, Any],
        groups: Sequence[dict[str, Any]] = (),
        outcomes: Mapping[str, Outcome] | None = None,
        lost: Sequence[str] = (),
    ) -> None:
        self.taken = Taken(machine="one-virtio-disk", snapshots=[*shots])
        self.groups = list(groups)
        self.outcomes, self.lost = outcomes or {}, lost
        self.deletions: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.ended = ""
        self.held_at: list[bool] = []
        self.taken.answers |= {
            "DescribeSnapshotGroups": self._shown_groups,
            "DeleteSnapshot": self._delete,
            "DeleteSnapshotGroup": self._delete_group,
        }

    @property
    def left(self) -> list[str]:
        """Return what is there."""
        return [one["SnapshotId"] for one in self.taken.snapshots]

    @property
    def names(self) -> list[str]:
        """Return what the deletion of was called, each as often as it was."""
        return [name for name, _ in self.deletions]

    @property
    def told(self) -> list[str]:
        """Return what was told meanwhile."""
        return [event.text for event in self.events]

    def prune(self, *, dry_run: bool = False, **policy: Any) -> Pruned:
        """Delete what may go."""
        tools = replace(
            self.taken.tools,
            gate=Gate(self.events.append),
            end_stale_freeze=self._end_stale_freeze,
            lock_wait_s=5.0,
        )
        return prune(tools, PrunePolicy(**policy), dry_run=dry_run)

    def _end_stale_freeze(self) -> str:
        self.held_at.append(self.taken.lock.held)
        return self.ended

    def _shown_groups(self, params: Mapping[str, str]) -> Outcome:
        self.held_at.append(self.taken.lock.held)
        wanted = params.get("SnapshotGroupId.1")
        shown = [g for g in self.groups if wanted is None or g["SnapshotGroupId"] == wanted]
        return {"SnapshotGroups": {"SnapshotGroup": shown}}

    def _delete(self, params: Mapping[str, str]) -> Outcome:
        name = params["SnapshotId"]
        self.deletions.append((name, params["Force"]))
        outcome = self.outcomes.get(name, GONE)
        if outcome is GONE or name in self.lost:
            self._drop(name)
        return outcome

    def _delete_group(self, params: Mapping[str, str]) -> Outcome:
        name = params["SnapshotGroupId"]
        self.deletions.append((name, ""))
        members = [m["SnapshotId"] for m in self.groups[0]["Snapshots"]["Snapshot"]]
        outcome = self.outcomes.get(name, progress(gone=members))
        gone = {*self.lost}
        if isinstance(outcome, Mapping):
            rows = outcome.get("OperationProgressSet", {}).get("OperationProgress", [])
            gone |= {
                row["RelatedItemSet"]["RelatedItem"][0]["Value"]
                for row in rows
                if row["OperationStatus"] == "Success"
            }
        for member in gone:
            self._drop(member)
        return outcome

    def _drop(self, name: str) -> None:
        self.taken.snapshots = [s for s in self.taken.snapshots if s["SnapshotId"] != name]


def outcome_of(done: Pruned, snapshot_id: str) -> PruneOutcome:
    """Return what became of a snapshot's step."""
    return next(each for each in done.outcomes if snapshot_id in each.step.snapshot_ids)


def test_dry_run_deletes_nothing_and_needs_no_lock() -> None:
    shelf = Shelf(shot(1), shot(2), shot(3))
    done = shelf.prune(dry_run=True)
    assert (done.dry_run, done.due, done.deleted, done.left_over) == (True, 2, 0, 0)
    assert (shelf.deletions, shelf.taken.lock.purposes) == ([], [])
    assert shelf.held_at == [False]
    assert [each.tried for each in done.outcomes] == [False] * 3
    assert done.exit_status is ExitStatus.DONE


def test_what_has_expired_goes_once_and_the_newest_stays() -> None:
    shelf = Shelf(shot(1), shot(2), shot(3), shot(1, disk="d-b"))
    done = shelf.prune()
    assert shelf.deletions == [("s-1a", "false"), ("s-2a", "false")]
    assert (done.dry_run, done.due, done.deleted, done.left_over) == (False, 2, 2, 0)
    assert outcome_of(done, "s-1a").tried
    assert not outcome_of(done, "s-3a").tried
    assert (done.error, shelf.told, done.notes) == (None, [], ())


def test_everything_is_looked_at_only_under_the_lock() -> None:
    shelf = Shelf(shot(1), shot(2))
    shelf.ended = "a freeze was ended"
    done = shelf.prune()
    assert shelf.held_at == [True, True]
    assert shelf.taken.lock.purposes == ["prune"]
    assert not shelf.taken.lock.held
    assert done.notes == ("a freeze was ended",)


def test_nothing_goes_while_another_run_is_going_on() -> None:
    shelf = Shelf(shot(1), shot(2))
    shelf.taken.lock = FakeLock(shelf.taken.clock, free_after_s=60.0)
    with pytest.raises(LockHeld):
        shelf.prune()
    assert (shelf.deletions, shelf.held_at) == ([], [])
    assert sum(shelf.taken.clock.sleeps) == 5.0


@pytest.mark.parametrize(
    "kept",
    [
        shot(1, owner="i-somebodyelse"),
        shot(1, Status="progressing"),
        shot(1, Usage="image"),
        shot(1, Usage="disk"),
        shot(1, SourceDiskId=""),
        shot(1, Tags=tags(**TAGS)),  # no date: for ever
        shot(80),  # not past its date
    ],
)
def test_what_must_stay_is_never_asked_to_go(kept: dict[str, Any]) -> None:
    shelf = Shelf(kept, shot(90))
    shelf.prune()
    assert shelf.deletions == []


def test_force_is_given_only_where_a_disk_was_made_of_it() -> None:
    shelf = Shelf(shot(1, Usage="disk"), shot(2), shot(3))
    shelf.prune(force=True)
    assert shelf.deletions == [("s-1a", "true"), ("s-2a", "false")]


def test_empty_list_may_be_one_that_is_not_shown() -> None:
    for dry_run in (True, False):
        (note,) = Shelf().prune(dry_run=dry_run).notes
        assert "a role that may not list them looks the same" in note
    assert Shelf(shot(1)).prune().notes == ()


def test_list_that_may_lack_something_says_so() -> None:
    shelf = Shelf(shot(1), shot(2))
    shelf.taken.answers["DescribeSnapshotGroups"] = DENIED
    assert "some may be missing" in shelf.prune(dry_run=True).notes[0]


@pytest.mark.parametrize(
    ("outcome", "kind", "goes_on"),
    [
        (DENIED, PermissionRefused, False),
        (refusal("InvalidAccessKeyId.NotFound"), CredentialsRefused, False),
        (refusal("Throttling.User", 400), CloudThrottled, False),
        (no_answer(), CloudUnreachable, False),
        (LOCKED, PreconditionRefused, True),
    ],
)
def test_goes_on_only_where_the_next_call_may_fare_better(
    outcome: Outcome, kind: type[SnapSelfError], goes_on: bool
) -> None:
    shelf = Shelf(shot(1), shot(2), shot(3), outcomes={"s-1a": outcome})
    done = shelf.prune()
    assert set(shelf.names) == ({"s-1a", "s-2a"} if goes_on else {"s-1a"})
    assert isinstance(done.error, kind)
    assert done.error.message.startswith("s-1a: not deleted: ")
    assert done.exit_status is kind.exit_status
    assert (done.due, done.deleted, done.left_over) == ((2, 1, 1) if goes_on else (2, 0, 2))
    assert (done.error.hint == POLICY_HINT) is (kind is PermissionRefused)
    second = outcome_of(done, "s-2a")
    assert second.tried is goes_on
    assert second.failed == ({} if goes_on else {"s-2a": "not tried"})
    # What was not tried is not told: one thing is wrong, not many.
    (told,) = shelf.told[-1:]
    assert told.startswith("s-1a was not deleted: ")


def test_first_error_is_the_one_that_is_told() -> None:
    shelf = Shelf(shot(1), shot(2), shot(3), outcomes={"s-1a": LOCKED, "s-2a": DENIED})
    done = shelf.prune()
    assert isinstance(done.error, PreconditionRefused)
    assert done.error.hint != POLICY_HINT
    assert "not deleted: " not in outcome_of(done, "s-1a").failed[SnapshotId("s-1a")]
    assert len(shelf.told) == 2


@pytest.mark.parametrize("outcome", [no_answer(), DENIED])
def test_what_is_gone_all_the_same_is_deleted(outcome: Outcome) -> None:
    shelf = Shelf(shot(1), shot(2), shot(3), outcomes={"s-1a": outcome}, lost=["s-1a"])
    done = shelf.prune()
    assert (done.deleted, done.error) == (2, None)
    assert shelf.names[-1] == "s-2a"


def test_what_cannot_be_looked_for_counts_as_there() -> None:
    shelf = Shelf(shot(1), shot(2), outcomes={"s-1a": LOCKED}, lost=["s-1a"])
    shown = [{"Snapshots": {"Snapshot": list(shelf.taken.snapshots)}}] * 2
    shelf.taken.answers["DescribeSnapshots"] = lambda _params: shown.pop(0) if shown else DENIED
    done = shelf.prune()
    assert (done.deleted, done.left_over) == (0, 1)
    assert isinstance(done.error, PreconditionRefused)


def test_group_goes_as_one_and_not_member_by_member() -> None:
    members = (shot(1), shot(1, disk="d-b"))
    shelf = Shelf(*members, shot(2), shot(2, disk="d-b"), groups=[group_of(*members)])
    done = shelf.prune()
    assert shelf.deletions == [("ssg-1", "")]
    assert (done.deleted, done.error) == (2, None)


def test_group_that_no_tag_shows_is_looked_for_by_its_members() -> None:
    word = "Created_from_ssg-1"
    members = (shot(1, Description=word), shot(1, disk="d-b", Description=word))
    shelf = Shelf(*members, shot(2), shot(2, disk="d-b"), groups=[group_of(*members)])
    by_name: Callable[[Mapping[str, str]], Outcome] = shelf.taken.answers[  # type: ignore[assignment]
        "DescribeSnapshotGroups"
    ]
    shelf.taken.answers["DescribeSnapshotGroups"] = lambda params: (
        by_name(params)
        if "SnapshotGroupId.1" in params
        else {"SnapshotGroups": {"SnapshotGroup": []}}
    )
    shelf.prune()
    assert shelf.deletions == [("ssg-1", "")]


def test_members_of_a_group_that_is_gone_are_tried_until_one_shows_that_it_is_no_use() -> None:
    word = "Created_from_ssg-1"
    members = (shot(1, Description=word), shot(1, disk="d-b", Description=word))
    shelf = Shelf(*members, shot(2), shot(2, disk="d-b"), outcomes={"s-1a": DENIED})
    done = shelf.prune()
    assert shelf.names == ["s-1a"]
    assert outcome_of(done, "s-1a").failed[SnapshotId("s-1b")] == "not tried"
    assert outcome_of(done, "s-1a").tried


def grouped(
    outcome: Outcome, *, usage: str = "none", lost: Sequence[str] = (), member: Outcome = GONE
) -> Shelf:
    """Return a shelf with one group of two members that is due.

    Args:
        outcome: of the group's deletion.
        member: of the deletion of the first member by itself.
    """
    members = (shot(1, Usage=usage), shot(1, disk="d-b"))
    return Shelf(
        *members,
        shot(2),
        shot(2, disk="d-b"),
        groups=[group_of(*members)],
        outcomes={"ssg-1": outcome, "s-1a": member},
        lost=lost,
    )


def test_member_that_the_answer_names_as_kept_is_not_deleted() -> None:
    shelf = grouped(progress(("s-1a", "SnapshotCreatedImage"), gone=["s-1b"]))
    done = shelf.prune()
    assert outcome_of(done, "s-1a").deleted == ("s-1b",)
    assert list(outcome_of(done, "s-1a").failed) == ["s-1a"]
    assert shelf.names == ["ssg-1"]
    assert isinstance(done.error, PreconditionRefused)
    assert done.error.request_id == "REQ-9"


def test_member_that_is_kept_without_a_reason_is_not_deleted_either() -> None:
    done = grouped(progress(("s-1a", ""), gone=["s-1b"])).prune()
    assert (done.deleted, done.left_over) == (1, 1)


@pytest.mark.parametrize(
    ("usage", "code", "forced"),
    [
        ("disk", "SnapshotCreatedDisk", True),
        ("disk", "SnapshotCreatedImage", False),
        ("none", "SnapshotCreatedDisk", False),
    ],
)
def test_member_is_forced_only_where_the_policy_and_the_reason_allow_it(
    usage: str, code: str, forced: bool
) -> None:
    shelf = grouped(progress(("s-1a", code), gone=["s-1b"]), usage=usage)
    done = shelf.prune(force=True)
    assert shelf.deletions[1:] == ([("s-1a", "true")] if forced else [])
    assert done.left_over == (0 if forced else 1)


def test_member_that_is_forced_in_vain_is_not_deleted() -> None:
    shelf = grouped(
        progress(("s-1a", "SnapshotCreatedDisk"), gone=["s-1b"]), usage="disk", member=LOCKED
    )
    done = shelf.prune(force=True)
    assert (done.deleted, done.left_over) == (1, 1)


@pytest.mark.parametrize(
    ("outcome", "lost", "deleted"),
    [
        (progress(gone=["s-1a"]), ["s-1b"], 2),
        (progress(gone=["s-1a"]), [], 1),
        (refusal("InvalidSnapshotGroupId.NotFound", 404), ["s-1a", "s-1b"], 2),
        (refusal("InvalidSnapshotGroupId.NotFound", 404), ["s-1a"], 1),
        (DENIED, ["s-1a", "s-1b"], 2),
        (DENIED, ["s-1a"], 1),
        (DENIED, [], 0),
    ],
)
def test_member_that_no_answer_names_is_deleted_only_where_it_is_not_shown_any_more(
    outcome: Outcome, lost: Sequence[str], deleted: int
) -> None:
    done = grouped(outcome, lost=lost).prune()
    assert (done.deleted, done.left_over) == (deleted, 2 - deleted)
    assert (done.error is None) is (deleted == 2)


def test_error_names_the_members_that_are_left() -> None:
    done = grouped(DENIED, lost=["s-1a"]).prune()
    assert done.error is not None
    assert done.error.message.startswith("s-1b: not deleted: ")
    done = grouped(DENIED).prune()
    assert done.error is not None
    assert done.error.message.startswith("s-1a, s-1b: not deleted: ")


def test_journal_forgets_the_retention_of_what_is_gone_and_of_nothing_else() -> None:
    shelf = Shelf(shot(1), shot(2), shot(3), outcomes={"s-2a": LOCKED})
    journal = shelf.taken.journal
    pending = tuple(SnapshotId(name) for name in ("s-1a", "s-2a", "s-9"))
    # Of another instance, so that nothing is asked of it afterwards.
    first, second = run_record(1), run_record(2)
    first, second = (
        replace(
            record,
            instance_id=type(record.instance_id)("i-other"),
            orders=(replace(record.orders[0], retention_pending=ids),),
        )
        for record, ids in ((first, pending), (second, pending[1:]))
    )
    journal.save(first)
    journal.save(second)
    shelf.prune()
    (saved,) = journal.history[2:]
    assert saved.run_id == first.run_id
    assert saved.orders[0].retention_pending == ("s-2a", "s-9")


def test_journal_is_left_alone_where_nothing_goes() -> None:
    shelf = Shelf(shot(1))
    shelf.taken.journal.save(run_record(1))
    shelf.prune()
    assert len(shelf.taken.journal.history) == 1
