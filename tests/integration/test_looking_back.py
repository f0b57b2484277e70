"""Restore, mount and unmount as use cases: the real calls against the simulated cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from looking_back_rig import MAKES, Snapshotted, There

from ecs_simulator.faults import Fault
from fakes.looking import MemoryTree
from fakes.looking_back import Killed
from fakes.main_job import DISKS, MainJob, machine, main_job
from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudRefused,
    DiskLeft,
    ExitStatus,
    PreconditionRefused,
    QuotaReached,
    SnapSelfError,
    SnapshotNotTagged,
    StateUnusable,
    UsageError,
)
from snap_self.model.copying import Change, CopyPlan, Difference, Leaving, LeftOut
from snap_self.model.disks import Selection
from snap_self.model.machine import PathFact
from snap_self.model.opening import Closed, CopyShape, Holder, Note, Refusal, RefusalKind
from snap_self.model.refusals import refusal_of
from snap_self.model.request import Request
from snap_self.model.restored import Intent, Restored, Undone
from snap_self.model.temporary import KeptFiles, Purpose
from snap_self.ports_looking_back import Tree
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.usecases.contents import compare_contents
from snap_self.usecases.looking_back.contents import SnapshotTrees
from snap_self.usecases.looking_back.mount import MountRequest, mount
from snap_self.usecases.looking_back.restore import RestoreRequest, restore
from snap_self.usecases.looking_back.sweeping import sweep, unmount
from snap_self.usecases.looking_back.undoing import undo_restore


class Consents:
    """Answers as a test wants, and keeps what was asked."""

    def __init__(self, *, disk: bool = True, change: bool = True) -> None:
        self._disk = disk
        self._change = change
        self.intents: list[Intent] = []
        self.plans: list[CopyPlan] = []

    def to_disk(self, intent: Intent) -> bool:
        """Tell whether a disk may be made."""
        self.intents.append(intent)
        return self._disk

    def to_change(self, plan: CopyPlan, intent: Intent) -> bool:
        """Tell whether what differs may be replaced."""
        del intent
        self.plans.append(plan)
        return self._change


class Refusing(There):
    """Refuses what the real one does."""

    def refusal(self, shapes: Sequence[CopyShape]) -> Refusal | None:
        """Return why the first is not opened; None if it is."""
        return refusal_of(shapes[0], btrfs_beside=True, lvm_usable=True)


class Scene(Snapshotted):
    """The same, for restores."""

    def __init__(self, job: MainJob, *, opener: type[There] = There) -> None:
        super().__init__(job, opener=opener)
        self.asked: list[KeptFiles] = []
        self.on_asked: Callable[[], object] = lambda: None

    def restore(self, *paths: str, consent: Consents | None = None, **more: object) -> Restored:
        """Restore from the newest snapshots."""
        request = replace(RestoreRequest(wanted="last", paths=paths), **more)  # type: ignore[arg-type]
        done = restore(self.job.tools, self.looking(), request, consent or Consents())
        assert done is not None
        return done

    def undo(self, restore_id: str, *, wanted: bool = True) -> Undone | None:
        """Take a restore back."""

        def agree(kept: KeptFiles) -> bool:
            self.asked.append(kept)
            self.on_asked()
            return wanted

        return undo_restore(self.job.tools, self.looking(), restore_id, agree)

    def existed(self) -> int:
        """Return how many temporary disks were paid for; none is any more."""
        used = [each for each in self.job.simulator.disk_usage() if each.disk_id not in self.before]
        assert [each.disk_id for each in used if each.deleted_at is None] == []
        return len(used)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with main_job() as job:
        yield Scene(job)


def test_restore_makes_one_disk_and_leaves_none(scene: Scene) -> None:
    done = scene.restore("/srv/a")
    assert done.exit_status is ExitStatus.DONE
    assert scene.world.copier.copied == ["/srv/a"]
    assert scene.made() == ["CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk"]
    assert done.record.disks[0].source == DISKS[1]
    # All of /srv is not walked in search of what a copy that ended well did not leave.
    assert "tidy" not in scene.world.life.effects
    scene.nothing_is_left()


def test_what_was_not_as_it_should_be_while_it_was_open_is_told(scene: Scene) -> None:
    scene.opener.notes = (Note.MAGIC_STAYS, Note.OLD_CALLS)
    assert scene.restore("/srv/a").caveats == scene.opener.notes


def test_what_is_not_as_it_should_be_while_it_is_mounted_is_told(scene: Scene) -> None:
    scene.opener.notes = (Note.MAGIC_STAYS, Note.OLD_CALLS)
    request = MountRequest(wanted="last", path="/srv", life_s=600)
    mounted = mount(scene.job.tools, scene.looking(), request, Consents())
    assert mounted is not None
    assert mounted.caveats == scene.opener.notes


def test_run_does_not_wait_while_a_restore_asks_and_copies(scene: Scene) -> None:
    class Asks(Consents):
        """Somebody upgrades while the question stands there."""

        def to_change(self, plan: CopyPlan, intent: Intent) -> bool:
            """Answer after a snapshot was made."""
            with scene.job.tools.lock.attempt(purpose="before an upgrade") as free:
                self.free = free
            return super().to_change(plan, intent)

    consent = Asks()
    scene.restore("/srv/a", consent=consent)
    assert consent.free


def test_disk_is_tagged_and_goes_with_the_instance(scene: Scene) -> None:
    seen = []
    scene.job.edit = lambda action, answer: (
        seen.append(scene.job.simulator.dump()["disks"]) if action == "AttachDisk" else None,
        answer,
    )[1]
    done = scene.restore("/srv/a")
    (disk,) = (each for name, each in seen[0].items() if name not in scene.before)
    tags = disk["tags"]
    assert tags["snap-self-temp"] == done.record.instance_id
    assert tags["snap-self-restore"] == done.record.restore_id
    assert tags["snap-self-temp-until"].endswith("Z")
    assert disk["delete_with_instance"] is True


def test_whoever_is_asked_hears_what_is_made_and_what_is_replaced(scene: Scene) -> None:
    consent = Consents()
    scene.restore("/srv/a", "/srv/b", consent=consent)
    (intent,) = consent.intents
    assert (intent.gib, intent.disks, intent.source) == (100, 1, "/srv")
    assert intent.paths == ("/srv/a", "/srv/b")
    assert intent.aside == "/srv/.snap-self-replaced/r1"
    assert consent.plans == [scene.world.copier.planned]


def test_no_disk_is_made_if_whoever_is_asked_does_not_want_it(scene: Scene) -> None:
    request = RestoreRequest(wanted="last", paths=("/srv/a",))
    assert restore(scene.job.tools, scene.looking(), request, Consents(disk=False)) is None
    assert scene.made() == []
    scene.nothing_is_left()


@pytest.mark.parametrize("more", [{"dry_run": True}, {"consent": Consents(change=False)}])
def test_nothing_is_copied_if_it_is_only_looked_at(scene: Scene, more: dict[str, object]) -> None:
    done = scene.restore("/srv/a", **more)  # type: ignore[arg-type]
    assert scene.world.copier.copied == []
    assert (done.outcome, done.exit_status) == (None, ExitStatus.DONE)
    scene.nothing_is_left()


def test_nothing_is_copied_where_nothing_differs(scene: Scene) -> None:
    scene.world.copier.planned = CopyPlan(same=3)
    consent = Consents()
    assert scene.restore("/srv/a", consent=consent).outcome is None
    assert consent.plans == []


@pytest.mark.parametrize(
    "code", [Leaving.IN_USE, Leaving.PACKAGE_DATABASE, Leaving.NO_ROOM, Leaving.READ_ONLY]
)
def test_what_would_not_be_whole_is_refused_before_anything_is_replaced(
    scene: Scene, code: Leaving
) -> None:
    left = LeftOut(path="/srv/db/data", why="is open in mariadbd (7)", code=code)
    scene.world.copier.planned = replace(scene.world.copier.planned, left_out=(left,))
    with pytest.raises(PreconditionRefused) as caught:
        scene.restore("/srv/db")
    assert "/srv/db/data" in caught.value.message
    assert "--to" in caught.value.hint
    assert scene.world.copier.copied == []
    scene.nothing_is_left()


@pytest.mark.parametrize(
    ("paths", "error"),
    [
        (("srv/a",), UsageError),
        (("/srv/a", "/etc/fstab"), UsageError),
        (("/proc/1/status",), PreconditionRefused),
    ],
)
def test_paths_that_no_one_snapshot_holds_are_refused_before_anything_is_made(
    scene: Scene, paths: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        scene.restore(*paths)
    assert scene.made() == []


class Linked(RecordedMachine):
    """A machine with one link, from the root's filesystem to a directory of another one."""

    def locate(self, path: str) -> PathFact:
        """Return where a path lies."""
        found = super().locate(path)
        return replace(found, real=found.real.replace("/etc/link", "/srv/deep"))


def test_directory_above_a_link_is_that_of_where_it_leads(scene: Scene) -> None:
    linked = Linked(machine())
    tools, consent = replace(scene.job.tools, machine=linked), Consents()
    request = RestoreRequest(wanted="last", paths=("/etc/link/../a",))
    restore(tools, scene.looking(), request, consent)
    assert (consent.intents[0].source, consent.intents[0].paths) == ("/srv", ("/srv/a",))


def test_copy_that_cannot_be_opened_here_is_refused_with_what_works(scene: Scene) -> None:
    steps = ("start another machine", "attach the disk there")
    scene.opener.refused = Refusal(
        kind=RefusalKind.LUKS, what="/srv", why="it is encrypted", steps=steps
    )
    with pytest.raises(PreconditionRefused) as caught:
        scene.restore("/srv/a")
    assert all(step in caught.value.hint for step in steps)
    assert scene.made() == []


def test_vfat_that_verify_has_only_checked_is_not_opened_for_files() -> None:
    with main_job(efi=True) as job:
        scene = Scene(job, opener=Refusing)
        with pytest.raises(PreconditionRefused, match="does not open copies of vfat"):
            scene.restore("/boot/efi/grub.cfg")
        assert scene.made() == []


def test_disk_of_which_the_run_has_no_snapshot_is_named(scene: Scene) -> None:
    scene.job.clock.moves_cloud = True
    scene.job.clock.sleep(2)  # the cloud tells a cut in whole seconds, and this is to be the newest
    scene.job.run(Request(before="only the root", selection=Selection(disks=(DISKS[0],))))
    with pytest.raises(PreconditionRefused) as caught:
        scene.restore("/srv/a")
    assert DISKS[1] in caught.value.message
    assert scene.made() == []


@pytest.mark.parametrize(("sure", "made"), [(False, 0), (True, 4)])
def test_large_disk_needs_to_be_agreed_to(scene: Scene, *, sure: bool, made: int) -> None:
    looking = replace(scene.looking(), max_gib=99)
    request = RestoreRequest(wanted="last", paths=("/srv/a",), sure=sure)
    if sure:
        restore(scene.job.tools, looking, request, Consents())
    else:
        with pytest.raises(PreconditionRefused, match=r"max_gib"):
            restore(scene.job.tools, looking, request, Consents())
    assert len(scene.made()) == made


@pytest.mark.parametrize("action", MAKES)
@pytest.mark.parametrize("kind", ["lost_reply", "reset", "html_502", "truncated"])
def test_lost_answer_of_each_call_changes_nothing_of_the_end(
    scene: Scene, action: str, kind: str
) -> None:
    scene.job.simulator.inject(Fault(kind=kind, action=action))
    assert scene.restore("/srv/a").exit_status is ExitStatus.DONE
    scene.nothing_is_left()


@pytest.mark.parametrize("kind", ["lost_reply", "empty_body", "html_502"])
@pytest.mark.parametrize("times", [1, 2])
def test_token_that_is_forgotten_at_once_leaves_none_of_the_disks_it_made(
    scene: Scene, kind: str, times: int
) -> None:
    scene.job.simulator.set_token_memory(0.0)
    scene.job.simulator.inject(Fault(kind=kind, action="CreateDisk", when="after", count=times))
    assert scene.restore("/srv/a").exit_status is ExitStatus.DONE
    assert scene.existed() == times + 1
    scene.nothing_is_left()


def test_disk_of_a_lost_answer_that_fills_the_quota_leaves_nothing(scene: Scene) -> None:
    scene.job.simulator.set_token_memory(0.0)
    scene.job.simulator.set_account(disk_quota=len(scene.before) + 1)
    scene.job.simulator.inject(Fault(kind="lost_reply", action="CreateDisk"))
    with pytest.raises(QuotaReached):
        scene.restore("/srv/a")
    assert scene.existed() == 1
    scene.nothing_is_left()


@pytest.mark.parametrize(
    "code", ["InvalidDiskCategory.NotSupported", "Forbidden.RAM", "QuotaExceed.PostPaidDisk"]
)
def test_refusal_after_a_lost_answer_leaves_nothing(scene: Scene, code: str) -> None:
    scene.job.simulator.inject(Fault(kind="lost_reply", action="CreateDisk"))
    refused = Fault(kind=f"error:{code}:403", action="CreateDisk", count=99)
    scene.job.simulator.inject(refused)
    with pytest.raises(ApiFault):
        scene.restore("/srv/a")
    assert scene.existed() == 1
    scene.nothing_is_left()


@pytest.mark.parametrize("memory_s", [0.0, None])
def test_answers_without_a_disk_id_leave_nothing(scene: Scene, memory_s: float | None) -> None:
    scene.job.simulator.set_token_memory(memory_s)
    scene.job.edit = lambda action, answer: {} if action == "CreateDisk" else answer
    with pytest.raises(CloudAnswerUnclear):
        scene.restore("/srv/a")
    assert scene.existed() == (1 if memory_s is None else 2)
    scene.nothing_is_left()


@pytest.mark.parametrize("later_s", [0.0, 3600.0])
def test_disk_of_a_process_that_was_killed_goes_with_the_next_command(
    scene: Scene, later_s: float
) -> None:
    def die(action: str, answer: dict[str, object]) -> dict[str, object]:
        if action == "CreateDisk":
            scene.world.life.dead = True
            raise Killed
        return answer

    scene.job.edit = die
    with pytest.raises(Killed):
        scene.restore("/srv/a")
    scene.world.new_process()
    scene.job.edit = lambda _action, answer: answer
    scene.job.simulator.set_token_memory(0.0)
    scene.job.clock.sleep(later_s)
    # A sweep waits for nothing: each does what can be done by then.
    tries = (sweep(scene.job.tools, scene.looking()).left for _ in range(5))
    assert () in tries
    # Long after, the one that is there is looked for before another is made.
    assert scene.existed() == (1 if later_s else 2)
    scene.nothing_is_left()


@pytest.mark.parametrize("action", MAKES)
def test_lost_answers_of_a_cloud_that_shows_things_late_leave_nothing(
    scene: Scene, action: str
) -> None:
    scene.job.simulator.set_sight_lag(0.3)
    scene.job.simulator.inject(Fault(kind="lost_reply", action=action, count=3))
    assert scene.restore("/srv/a").exit_status is ExitStatus.DONE
    assert scene.existed() == 1
    scene.nothing_is_left()


def test_restore_looks_once_for_disks_that_it_does_not_know(scene: Scene) -> None:
    scene.restore("/srv/a")
    calls = scene.job.simulator.calls[scene.calls :]
    looks = [call for call in calls if call.action == "DescribeDisks"]
    assert calls[-1] == looks[-1]
    assert ["Tag.2.Key" in call.params for call in looks].count(True) == 1


def test_category_that_is_sold_out_makes_room_for_the_next(scene: Scene) -> None:
    fault = Fault(
        kind="error", action="CreateDisk", code="InvalidDiskCategory.NotSupported", status=403
    )
    scene.job.simulator.inject(fault)
    done = scene.restore("/srv/a")
    assert done.record.disks[0].order.choice.category != "cloud_essd"
    calls = [call.action for call in scene.job.simulator.calls]
    assert calls.count("DescribeAvailableResource") == 1
    scene.nothing_is_left()


def test_category_that_the_instance_does_not_take_is_exchanged_for_the_next(scene: Scene) -> None:
    code = "InvalidInstanceType.NotSupportDiskCategory"
    scene.job.simulator.inject(Fault(kind="error", action="AttachDisk", code=code, status=403))
    done = scene.restore("/srv/a")
    assert done.record.disks[0].order.choice.category != "cloud_essd"
    made = ["CreateDisk", "AttachDisk", "DeleteDisk", *MAKES]
    assert scene.made() == made
    scene.nothing_is_left()


@pytest.mark.parametrize("action", ["CreateDisk", "AttachDisk"])
def test_refused_call_leaves_nothing(scene: Scene, action: str) -> None:
    fault = Fault(kind="error", action=action, code="OperationDenied", status=403, count=99)
    scene.job.simulator.inject(fault)
    with pytest.raises((CloudRefused, PreconditionRefused)):
        scene.restore("/srv/a")
    scene.nothing_is_left()


@pytest.mark.parametrize("tagged", [True, False])
def test_snapshot_without_its_own_tag_that_is_refused_says_how_it_gets_it(*, tagged: bool) -> None:
    with main_job() as job:
        job.simulator.set_group_behaviour(propagate_tags=tagged)
        scene = Scene(job)
        refusal = Fault(kind="error", action="CreateDisk", code="Forbidden.RAM", status=403)
        job.simulator.inject(refusal)
        with pytest.raises(SnapSelfError) as caught:
            scene.restore("/srv/a")
        assert isinstance(caught.value, SnapshotNotTagged) is not tagged
        asked = next(call for call in job.simulator.calls if call.action == "CreateDisk")
        adds = f"--ResourceId.1 {asked.params['SnapshotId']} --Tag.1.Key snap-self-owner"
        assert (adds in caught.value.hint) is not tagged
        scene.nothing_is_left()


def test_disk_that_cannot_be_deleted_is_told_beside_what_was_restored(scene: Scene) -> None:
    fault = Fault(kind="error", action="DeleteDisk", code="Forbidden.RAM", status=403, count=9999)
    scene.job.simulator.inject(fault)
    done = scene.restore("/srv/a")
    assert done.exit_status is ExitStatus.DISK_LEFT
    assert scene.world.copier.copied == ["/srv/a"]
    assert done.left is not None
    assert done.record.disks[0].disk_id in done.left.message
    scene.job.simulator.api.faults.clear()
    swept = sweep(scene.job.tools, scene.looking())
    assert swept.left == ()
    scene.nothing_is_left()


def test_copy_in_use_is_not_detached(scene: Scene) -> None:
    scene.opener.closing = Closed(busy=("/dev/vdc",), holders=(Holder(pid=7, program="less"),))
    done = scene.restore("/srv/a")
    assert isinstance(done.left, DiskLeft)
    assert "less (7)" in done.left.message
    assert "DetachDisk" not in scene.made()


def test_undo_puts_back_what_was_replaced_and_can_be_undone(scene: Scene) -> None:
    done = scene.restore("/srv/a")
    undone = scene.undo(done.record.restore_id)
    assert undone is not None
    assert undone.exit_status is ExitStatus.DONE
    assert scene.world.copier.undone == [("/srv/a", f"{done.aside}/a")]
    assert scene.world.copier.whole


def test_undo_when_it_is_not_wanted_then_changes_nothing(scene: Scene) -> None:
    done = scene.restore("/srv/a")
    assert scene.undo(done.record.restore_id, wanted=False) is None
    assert scene.world.copier.undone == []


def test_undo_when_a_program_writes_to_a_file_then_is_refused_unasked(scene: Scene) -> None:
    done = scene.restore("/srv/a")
    why = "is open for writing by mariadbd (7): stop it first"
    scene.world.copier.used = [LeftOut(path="/srv/a", why=why, code=Leaving.IN_USE)]
    with pytest.raises(PreconditionRefused, match=r"/srv/a: is open .* mariadbd"):
        scene.undo(done.record.restore_id)
    assert (scene.asked, scene.world.copier.undone) == ([], [])


def test_program_that_opens_a_file_while_undo_asks_then_stops_it(scene: Scene) -> None:
    done = scene.restore("/srv/a")
    left = LeftOut(path="/srv/a", why="is open for writing", code=Leaving.IN_USE)
    scene.on_asked = lambda: scene.world.copier.used.append(left)
    with pytest.raises(PreconditionRefused):
        scene.undo(done.record.restore_id)
    assert scene.world.copier.undone == []


def test_way_back_is_noted_before_anything_is_replaced(scene: Scene) -> None:
    differences = (
        Difference(path="/srv/a", kind=Change.CONTENT),
        Difference(path="/srv/new", kind=Change.NEW),
        Difference(path="/srv/new/x", kind=Change.NEW),
        Difference(path="/srv/more", kind=Change.EXTRA),
        Difference(path="/srv", kind=Change.ATTRIBUTES),
        Difference(path="/srv/mode", kind=Change.ATTRIBUTES, size_before=1),
    )
    scene.world.copier.planned = CopyPlan(differences=differences)
    scene.world.life.broken["write"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        scene.restore("/srv/a")
    kept = scene.world.copies.kept("r1")
    assert kept is not None
    assert not kept.whole
    top = "/srv/.snap-self-replaced/r1"
    assert [(each.path, each.kept) for each in kept.files] == [
        ("/srv/a", f"{top}/srv/a"),
        ("/srv/mode", f"{top}/srv/mode"),
    ]
    assert [each.path for each in kept.made] == ["/srv/new"]
    effects = scene.world.life.effects
    assert effects.index("keep") < effects.index("write")
    assert any(top in said and "--undo r1" in said for said in scene.world.said)
    undone = scene.undo("r1")
    assert undone is not None
    assert not scene.world.copier.whole


def test_nothing_is_replaced_where_the_way_back_cannot_be_noted(scene: Scene) -> None:
    scene.world.life.broken["keep"] = [StateUnusable("no space left")]
    with pytest.raises(StateUnusable):
        scene.restore("/srv/a")
    assert "write" not in scene.world.life.effects
    scene.nothing_is_left()


def test_list_that_cannot_be_completed_is_told_and_the_first_one_stays(scene: Scene) -> None:
    real, noted = scene.world.copies.keep, list[KeptFiles]()

    def keep(kept: KeptFiles) -> None:
        if noted:
            raise StateUnusable("no space left")
        noted.append(kept)
        real(kept)

    scene.world.copies.keep = keep  # type: ignore[method-assign]
    assert scene.restore("/srv/a").exit_status is ExitStatus.DONE
    assert scene.world.copies.kept("r1") == noted[0]
    assert any("no space left" in said for said in scene.world.said)


def test_what_stops_a_restore_stops_it_after_it_was_agreed_to(scene: Scene) -> None:
    left = LeftOut(path="/srv/a", why="is open in mariadbd (7)", code=Leaving.IN_USE)
    scene.world.copier.by_now = replace(scene.world.copier.planned, left_out=(left,))
    with pytest.raises(PreconditionRefused, match="mariadbd"):
        scene.restore("/srv/a")
    assert scene.world.copier.copied == []
    scene.nothing_is_left()


@pytest.mark.parametrize(("sure", "agreed"), [(False, {"/srv/a"}), (True, None)])
def test_only_what_was_shown_is_replaced_unless_all_was_agreed_to(
    scene: Scene, *, sure: bool, agreed: set[str] | None
) -> None:
    new = Difference(path="/srv/b", kind=Change.NEW)
    planned = scene.world.copier.planned
    scene.world.copier.planned = replace(planned, differences=(*planned.differences, new))
    scene.restore("/srv/a", sure=sure)
    assert scene.world.copier.agreed == agreed


def test_undo_of_what_kept_nothing_is_refused(scene: Scene) -> None:
    done = scene.restore("/srv/a", backup=False)
    with pytest.raises(UsageError):
        scene.undo(done.record.restore_id)


# --- mounts ----------------------------------------------------------------------------------


def test_mount_stays_until_it_is_closed(scene: Scene) -> None:
    request = MountRequest(wanted="last", path="/srv", life_s=600)
    mounted = mount(scene.job.tools, scene.looking(), request, Consents())
    assert mounted is not None
    assert sweep(scene.job.tools, scene.looking()).open == (mounted.record,)
    assert mounted.record.mounted_at in scene.opener.mounted
    assert scene.world.places.timers == {mounted.record.restore_id: 600}
    swept = unmount(scene.job.tools, scene.looking(), mounted.record.mounted_at, every=False)
    assert [ended.why for ended in swept.ended] == [""]
    scene.nothing_is_left()
    assert scene.world.places.timers == {}


def test_mount_whose_time_is_up_is_closed_by_the_next_command(scene: Scene) -> None:
    request = MountRequest(wanted="last", path="/srv", life_s=600)
    mount(scene.job.tools, scene.looking(), request, Consents())
    scene.job.clock.sleep(601)
    assert len(sweep(scene.job.tools, scene.looking()).left) == 1
    assert scene.made()[2:] == ["DetachDisk"]
    scene.job.clock.sleep(60)
    assert sweep(scene.job.tools, scene.looking()).left == ()
    scene.nothing_is_left()


def test_second_mount_of_the_same_snapshot_joins_the_first(scene: Scene) -> None:
    short = MountRequest(wanted="last", path="/srv", life_s=600)
    first = mount(scene.job.tools, scene.looking(), short, Consents())
    longer = replace(short, life_s=7200)
    second = mount(scene.job.tools, scene.looking(), longer, Consents())
    assert first is not None
    assert second is not None
    assert second.joined
    assert second.record.mounted_at == first.record.mounted_at
    assert second.record.until > first.record.until
    assert scene.made() == ["CreateDisk", "AttachDisk"]


def test_mount_without_a_path_is_that_of_the_root(scene: Scene) -> None:
    mounted = mount(scene.job.tools, scene.looking(), MountRequest(wanted="last"), Consents())
    assert mounted is not None
    assert mounted.record.source == "/"


def test_unmount_of_what_is_not_open_is_refused(scene: Scene) -> None:
    with pytest.raises(UsageError):
        unmount(scene.job.tools, scene.looking(), "/mnt", every=False)
    assert unmount(scene.job.tools, scene.looking(), None, every=True).ended == ()


def test_sweep_asks_nothing_where_nothing_is_left(scene: Scene) -> None:
    before = len(scene.job.simulator.calls)
    sweep(scene.job.tools, scene.looking())
    assert len(scene.job.simulator.calls) == before


# --- contents --------------------------------------------------------------------------------


class Looked:
    """A `diff` that looks into the snapshot of the newest run."""

    def __init__(
        self, scene: Scene, tree: Tree, *, agreed: bool = True, sure: bool = False
    ) -> None:
        self.scene = scene
        self.intents: list[Intent] = []
        self.fds: list[int] = []

        def tree_of(fd: int) -> Tree:
            self.fds.append(fd)
            return tree

        def agree(intent: Intent) -> bool:
            self.intents.append(intent)
            return agreed

        looking = replace(scene.looking(), max_gib=99 if sure else 500)
        self.trees = SnapshotTrees(scene.job.tools, looking, tree_of, agree, sure=sure)
        (self.run_id,) = {each.run_id for each in scene.job.tools.store.all()}


def test_content_of_then_is_read_at_its_place_in_the_copy(scene: Scene) -> None:
    looked = Looked(scene, MemoryTree({"/a": b"old\n", "/b/c": b"1\n"}))
    now = MemoryTree({"/srv/a": b"new\n", "/srv/b/c": b"1\n"})
    with looked.trees(looked.run_id, ["/srv/a", "/srv/b"]) as then:
        assert then is not None
        found = compare_contents(then, now, ["/srv/a", "/srv/b"])
        assert scene.made() == ["CreateDisk", "AttachDisk"]
    assert [each.lines[-2:] for each in found.found] == [("-old", "+new")]
    assert (found.same, looked.fds) == (1, [7])
    assert scene.made() == [*MAKES]
    assert looked.trees.record is not None
    assert looked.trees.record.purpose is Purpose.DIFF
    assert looked.intents[0].paths == ("/srv/a", "/srv/b")
    scene.nothing_is_left()


def test_content_of_the_whole_of_a_filesystem_is_that_of_the_copy_s_root(scene: Scene) -> None:
    looked = Looked(scene, MemoryTree({"/a": b"x\n"}))
    with looked.trees(looked.run_id, ["/srv"]) as then:
        assert then is not None
        assert then.read("/srv/a", 9) == b"x\n"


def test_nothing_is_made_for_contents_that_nobody_wants_to_pay_for(scene: Scene) -> None:
    looked = Looked(scene, MemoryTree(), agreed=False)
    with looked.trees(looked.run_id, ["/srv/a"]) as then:
        assert then is None
    assert (scene.made(), looked.trees.record) == ([], None)
    scene.nothing_is_left()


def test_large_disk_for_contents_needs_to_be_agreed_to(scene: Scene) -> None:
    looked = Looked(scene, MemoryTree(), sure=True)
    with looked.trees(looked.run_id, ["/srv/a"]):
        pass
    assert scene.made() == [*MAKES]
    unsure = SnapshotTrees(
        scene.job.tools,
        replace(scene.looking(), max_gib=99),
        lambda fd: MemoryTree(),
        lambda intent: True,
        sure=False,
    )
    with (
        pytest.raises(PreconditionRefused, match="max_gib"),
        unsure(looked.run_id, ["/srv/a"]),
    ):
        pass


def test_fault_while_contents_are_compared_leaves_nothing(scene: Scene) -> None:
    looked = Looked(scene, MemoryTree())
    with pytest.raises(ZeroDivisionError), looked.trees(looked.run_id, ["/srv/a"]):
        raise ZeroDivisionError
    scene.nothing_is_left()


def test_disk_that_was_made_for_contents_and_stays_is_told(scene: Scene) -> None:
    fault = Fault(kind="error", action="DeleteDisk", code="Forbidden.RAM", status=403, count=9999)
    scene.job.simulator.inject(fault)
    looked = Looked(scene, MemoryTree({"/a": b"1\n"}))
    with looked.trees(looked.run_id, ["/srv/a"]):
        pass
    assert looked.trees.left is not None
    assert looked.trees.left.exit_status is ExitStatus.DISK_LEFT
    scene.job.simulator.api.faults.clear()
    assert sweep(scene.job.tools, scene.looking()).left == ()
    scene.nothing_is_left()
