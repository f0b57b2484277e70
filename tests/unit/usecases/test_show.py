"""One run in full: found by any of its ids, with the ways back and who watches its upload."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from fakes.records import order_record, run_record
from fakes.taken import GROUP, RUN, TAGS, Taken, tags
from snap_self.errors import UsageError
from snap_self.model.changes import LoggedChange
from snap_self.model.machine import MachineText
from snap_self.model.result import Result
from snap_self.model.run import FollowerRecord, RunRecord, Stage, Upload
from snap_self.model.ways import WayKind
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.usecases.inventory.named import LAST
from snap_self.usecases.show import Lack, Shown, show

RECORD = replace(run_record(stage=Stage.FINISHED), run_id=RUN, result=Result.DONE)
UNTIL = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
FOLLOWER = FollowerRecord(pid=7, pid_started=99, boot_id="boot", until=UNTIL, held=True)


def with_record(record: RunRecord, machine: str = "one-virtio-disk") -> Taken:
    taken = Taken.of(machine)
    taken.journal.save(record)
    return taken


@pytest.mark.parametrize("which", ["run", "group", "first snapshot", "last snapshot"])
def test_run_is_shown_whole_by_any_id_of_it(which: str) -> None:
    taken = Taken.of("nvme", grouped=True)
    taken.journal.save(RECORD)
    names = {
        "run": RUN,
        "group": GROUP,
        "first snapshot": taken.snapshots[0]["SnapshotId"],
        "last snapshot": taken.snapshots[-1]["SnapshotId"],
    }
    shown = show(taken.tools, names[which])
    assert len(shown.snapshots) == 3
    assert shown.record is not None
    assert shown.record.run_id == RUN


def test_snapshot_of_another_run_is_not_shown_with_it() -> None:
    taken = Taken.of("nvme")
    taken.snapshots[2]["Tags"] = tags(**{**TAGS, "snap-self-run": "20261122t083225z-000002"})
    assert len(show(taken.tools, RUN).snapshots) == 2


def test_id_that_is_none_of_ours_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="s-unknown is not a snapshot, group or run"):
        show(Taken.of("nvme").tools, "s-unknown")


def test_run_of_which_the_cloud_has_nothing_left_is_shown_without_ways() -> None:
    taken = with_record(RECORD)
    taken.snapshots.clear()
    change = LoggedChange(at="", manager="apt", program="apt", packages=())
    shown = show(replace(taken, changes=(change,)).tools, RUN)
    assert (shown.snapshots, shown.ways, shown.undo) == ((), (), ())
    assert (shown.record, shown.changes) == (RECORD, (change,))


def test_one_client_asks_all_that_a_command_asks() -> None:
    tools, made = Taken.of("nvme").tools, []
    connect = tools.connect
    show(replace(tools, connect=lambda one: made.append(one) or connect(one)), RUN)  # type: ignore[func-returns-value]
    assert len(made) == 1


def test_short_way_is_that_of_the_way_in_place() -> None:
    shown = show(Taken.of("nvme").tools, RUN)
    assert shown.ways[0].kind is WayKind.IN_PLACE
    assert shown.undo == shown.ways[0].steps


def test_snapshots_of_no_attached_disk_have_no_short_way() -> None:
    taken = Taken.of("one-virtio-disk")
    taken.snapshots[0]["SourceDiskId"] = "d-gone"
    shown = show(taken.tools, RUN)
    assert [way.kind for way in shown.ways] == [WayKind.NEW_DISK]
    assert shown.undo == ()


def test_failed_snapshot_has_no_way_and_its_disk_is_told_to_be_lost() -> None:
    taken = Taken.of("nvme")
    taken.snapshots[2].update(Status="failed", Available=False)
    order = order_record(sent=True)
    ordered = replace(order, order=replace(order.order, disk_ids=taken.disk_ids))
    taken.journal.save(replace(RECORD, orders=(ordered,)))
    in_place, *_ = show(taken.tools, RUN).ways
    assert any(f"no snapshot of {taken.disk_ids[2]} is left" in line for line in in_place.cautions)
    assert taken.disk_ids[2] not in in_place.title


def test_machine_that_cannot_be_understood_has_its_ways_all_the_same() -> None:
    taken = Taken.of("nvme")
    nothing = RecordedMachine(MachineText(files={}, links={}, failures={}))
    shown = show(replace(taken.tools, machine=nothing), RUN)
    understood = show(taken.tools, RUN)
    assert shown.undo == understood.undo
    assert "/data" in understood.ways[0].title
    assert "/data" not in shown.ways[0].title


@pytest.mark.parametrize(
    ("before", "manager", "told"),
    [
        ("pacman: upgrade linux", "", False),
        ("pacman: x", "apt", False),
        ("pamac-daemon: upgrade linux", "pacman", True),
        ("a word that names no manager", "pacman", True),
    ],
)
def test_lock_of_pacman_is_told_by_the_logged_manager_whatever_the_text_says(
    before: str, manager: str, *, told: bool
) -> None:
    taken = with_record(replace(RECORD, before=before))
    if manager:
        change = LoggedChange(at="", manager=manager, program="", packages=())
        taken = replace(taken, changes=(change,))
    way = show(taken.tools, RUN).ways[0]
    assert any("pacman/db.lck" in line for line in way.after) is told


def _shown(upload: Upload, *, pid_started: int | None = 99) -> Shown:
    taken = with_record(replace(RECORD, upload=upload))
    tools = replace(taken.tools, process_started=lambda _: pid_started)
    with taken.lock.attempt(purpose="another"):  # so that the list does not see its end
        return show(tools, RUN)


GOING_ON = Upload(going_on=True, boot_id="boot")
UPLOADS: dict[str, tuple[Upload, str]] = {
    "ended": (replace(GOING_ON, going_on=False, text="accomplished"), "accomplished"),
    "unwatched": (GOING_ON, "going on; nobody watches it, and nothing holds a reboot back"),
    "held": (
        replace(GOING_ON, follower=FOLLOWER),
        "going on; a follower holds a reboot back until then, at the latest until "
        "2026-11-22 12:00 UTC",
    ),
    "not held": (
        replace(GOING_ON, follower=replace(FOLLOWER, held=False, why="no logind")),
        "going on; a follower watches it, but nothing holds a reboot back: no logind",
    ),
    "left": (
        replace(GOING_ON, follower=replace(FOLLOWER, ended="its time was over")),
        "going on when it was left: its time was over; nothing holds a reboot back",
    ),
    "ended with its boot": (
        replace(GOING_ON, follower=replace(FOLLOWER, boot_id="an earlier one")),
        "going on; the follower was ended, and nothing holds a reboot back",
    ),
}


@pytest.mark.parametrize(("upload", "words"), UPLOADS.values(), ids=list(UPLOADS))
def test_upload_is_told_with_who_watches_it(upload: Upload, words: str) -> None:
    assert _shown(upload).upload == words


@pytest.mark.parametrize("pid_started", [None, 100], ids=["ended", "another process"])
def test_follower_whose_process_is_gone_holds_nothing(pid_started: int | None) -> None:
    shown = _shown(replace(GOING_ON, follower=FOLLOWER), pid_started=pid_started)
    assert shown.upload == "going on; the follower was ended, and nothing holds a reboot back"


def _with_newer(state: str) -> Taken:
    """Return a machine whose third disk has a snapshot of a newer run."""
    taken = Taken.of("nvme")
    newer = tags(**{**TAGS, "snap-self-run": NEWER})
    taken.snapshots[2].update(
        CreationTime="2026-11-23T08:00:00Z", Tags=newer, Status=state, Available=state != "failed"
    )
    return taken


NEWER = "20261123t080000z-000002"


def test_last_is_the_newest_run_with_a_snapshot() -> None:
    shown = show(_with_newer("accomplished").tools, LAST)
    assert {shot.run_id for shot in shown.snapshots} == {NEWER}
    assert not any("failed" in note for note in shown.notes)


def test_last_when_the_newest_failed_is_the_one_before_it_and_says_so() -> None:
    shown = show(_with_newer("failed").tools, LAST)
    assert {shot.run_id for shot in shown.snapshots} == {RUN}
    assert f"newer, but failed: {NEWER}" in shown.notes


def test_last_where_every_run_failed_is_refused() -> None:
    taken = Taken.of("one-virtio-disk", Status="failed", Available=False)
    with pytest.raises(UsageError, match=f"every snapshot of {RUN} failed"):
        show(taken.tools, LAST)


def test_last_where_there_is_none_tells_how_to_make_the_first() -> None:
    with pytest.raises(UsageError, match="there is no snapshot yet") as caught:
        show(replace(Taken.of("nvme"), snapshots=[]).tools, LAST)
    assert "--before" in caught.value.hint


def test_set_of_all_disks_lacks_nothing() -> None:
    assert show(Taken.of("nvme").tools, RUN).lacks == ()


def test_set_that_lacks_a_disk_tells_what_is_mounted_from_it_now() -> None:
    taken = Taken.of("nvme")
    why = f"there is no snapshot of {taken.disk_ids[0]}"
    del taken.snapshots[0]
    assert show(taken.tools, RUN).lacks == (
        Lack(what="/", why=why),
        Lack(what="/boot/efi", why=why),
    )


def test_set_tells_what_was_not_in_it_then_if_the_journal_knows() -> None:
    taken = Taken.of("nvme")
    _, gone, failed = taken.disk_ids
    carried = {gone: ("/data",), failed: ("/logs",)}
    taken.snapshots[2].update(Status="failed", Available=False)
    del taken.snapshots[1]
    whys = {"/elsewhere": "it is foreign"}
    lacking = ("/elsewhere", "/old")
    taken.journal.save(replace(RECORD, carried=carried, lacking=lacking, lacking_why=whys))
    assert show(taken.tools, RUN).lacks == (
        Lack(what="/data", why=f"the snapshot of {gone} is gone"),
        Lack(what="/logs", why=f"the snapshot of {failed} failed"),
        Lack(what="/elsewhere", why="it is foreign"),
        Lack(what="/old"),
    )


def test_machine_that_cannot_be_understood_tells_nothing_of_what_lacks() -> None:
    taken = Taken.of("nvme")
    nothing = RecordedMachine(MachineText(files={}, links={}, failures={}))
    del taken.snapshots[0]
    assert show(replace(taken.tools, machine=nothing), RUN).lacks == ()


def test_set_with_a_disk_that_is_detached_tells_nothing_of_what_lacks() -> None:
    taken = Taken.of("nvme")
    taken.snapshots[0]["SourceDiskId"] = "d-replaced"  # what it held may be mounted from another
    assert show(taken.tools, RUN).lacks == ()
