"""Verify as a use case: the real calls against the simulated cloud, twins of what opens disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from itertools import count

import pytest
from looking_back_rig import Snapshotted, There

from ecs_simulator.faults import Fault
from fakes.looking import file
from fakes.main_job import main_job
from fakes.manifests import FakeManifests, manifest
from snap_self.errors import (
    CopyDamaged,
    CopyInUse,
    CopyNotOpened,
    DiskLeft,
    ExitStatus,
    PermissionRefused,
    PreconditionRefused,
    SnapSelfError,
)
from snap_self.model.ids import RunId
from snap_self.model.opening import (
    Checked,
    CheckResult,
    Closed,
    CopyShape,
    Note,
    Opened,
    Refusal,
    RefusalKind,
)
from snap_self.model.restored import Intent
from snap_self.model.temporary import RestoreId
from snap_self.model.verification import Verdict
from snap_self.model.verified import CopiedEtc, Verified
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.looking_back.proving import Proving
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.looking_back.verify import VerifyRequest, verify

FILES = {"/etc/hosts": file("aa")}
OLD_NS = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp() * 1e9)
ONE_COPY = ["CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk"]


class Checking(There):
    """Opens what a test lets it, and has the checker say what a test wants, by type."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type]
        self.says: dict[str, CheckResult] = {}
        self.only_checked: list[str] = []
        self.faults: dict[str, SnapSelfError] = {}

    def open(
        self, devices: Mapping[str, str], shape: CopyShape, *, at: str | None, mark: str = ""
    ) -> Opened:
        """Open it, or fail."""
        self.only_checked += [shape.fstype] if shape.only_checked else []
        if shape.fstype in self.faults:
            raise self.faults[shape.fstype]
        return super().open(devices, shape, at=at, mark=mark)

    def check(self, opened: Opened, *, limit_s: float) -> Checked:
        """Say it."""
        result = self.says.get(opened.fstype, CheckResult.CLEAN)
        return Checked(result=result, program=f"fsck.{opened.fstype}", why="its last words")


class Facts:
    """What lies in the copy."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.held: bool | None = True
        self.fault: OSError | None = None
        self.looked: list[str] = []

    def etc(self, root: int, inside: str) -> CopiedEtc:
        """Return it."""
        assert root == 7
        self.looked.append(inside)
        if self.fault:
            raise self.fault
        times = dict.fromkeys(("/etc", *self.files), OLD_NS)
        return CopiedEtc(files=self.files, changed_ns=times, key_id=manifest().key_id)

    def holds_manifest(self, root: int, inside: str, run_id: RunId) -> bool | None:
        """Return what a test wants."""
        assert root == 7
        assert run_id
        self.looked.append(inside)
        return self.held


REFUSED = Fault(kind="error", action="CreateDisk", code="Forbidden.RAM", status=403)


class Scene(Snapshotted):
    """An instance with ext4 on its system disk and xfs on the other, each with a snapshot."""

    opener: Checking

    def __init__(self, job: object) -> None:
        super().__init__(job, opener=Checking)  # type: ignore[arg-type]
        self.facts = Facts()
        self.numbers = count(1)
        self.manifests = FakeManifests()
        (record,) = self.job.journal.all()
        self.run_id = record.run_id
        self.manifests.write(manifest(record.run_id, files=FILES, mounts={}))
        self.asked: list[Sequence[Intent]] = []
        self.agrees = True

    def looking(self) -> LookingBack:
        """Return what the use case works with; each copy has an id of its own."""
        return replace(super().looking(), new_id=lambda: RestoreId(f"r{next(self.numbers)}"))

    def to_disks(self, intents: Sequence[Intent]) -> bool:
        """Agree, or not."""
        self.asked.append(intents)
        return self.agrees

    def proving(self) -> Proving:
        """Return what copies are compared with."""
        return Proving(manifests=self.manifests, facts=self.facts, state="/var/lib/snap-self")

    def verify(self, wanted: str = "last", **more: object) -> Verified:
        """Verify it."""
        request = replace(VerifyRequest(wanted=wanted), **more)  # type: ignore[arg-type]
        done = verify(self.job.tools, self.looking(), self.proving(), request, self)
        assert done is not None
        return done

    def listed(self) -> dict[str, Verdict | None]:
        """Return what the list tells of each mount point."""
        shots = list_snapshots(self.job.tools).snapshots
        return {s.mounts[0] if s.mounts else s.disk_id: _result(s.verified) for s in shots}


def _result(known: object) -> Verdict | None:
    return known.result if known else None  # type: ignore[attr-defined]


@pytest.fixture
def scene() -> Iterator[Scene]:
    with main_job() as job:
        yield Scene(job)


def results(done: Verified) -> dict[str, Verdict]:
    return {proof.source: proof.verdict for proof in done.filesystems}


def test_every_filesystem_of_the_run_is_proved_one_disk_at_a_time(scene: Scene) -> None:
    done = scene.verify()
    assert results(done) == {"/": Verdict.PROVED, "/srv": Verdict.PROVED}
    assert done.exit_status is ExitStatus.DONE
    assert scene.made() == ONE_COPY * 2
    scene.nothing_is_left()


def test_what_was_not_as_it_should_be_while_one_was_open_is_told_with_it(scene: Scene) -> None:
    scene.opener.notes = (Note.NOT_READ_ONLY,)
    assert {proof.caveats for proof in scene.verify().filesystems} == {scene.opener.notes}


@pytest.mark.parametrize(
    ("said", "verdict", "status"),
    [
        (CheckResult.CLEAN, Verdict.PROVED, ExitStatus.DONE),
        (CheckResult.NO_PROGRAM, Verdict.IN_PART, ExitStatus.WEAKER),
        (CheckResult.DAMAGED, Verdict.DAMAGED, ExitStatus.SNAPSHOT_FAILED),
    ],
)
def test_efi_partition_is_worth_what_its_checker_says_and_is_not_mounted(
    said: CheckResult, verdict: Verdict, status: ExitStatus
) -> None:
    with main_job(efi=True) as job:
        scene = Scene(job)
        scene.opener.says["vfat"] = said
        done = scene.verify()
        assert results(done)["/boot/efi"] is verdict
        assert done.exit_status is status
        assert scene.opener.only_checked == ["vfat"]
        told = {each.source: (each.opened, each.replayed) for each in done.filesystems}
        assert told["/boot/efi"] == (True, False)
        assert told["/"] == (True, True)
        scene.nothing_is_left()


def test_etc_and_the_note_are_looked_for_where_they_lie(scene: Scene) -> None:
    root, srv = scene.verify().filesystems
    assert scene.facts.looked == ["var/lib/snap-self", "etc"]
    assert root.files is not None
    assert (root.files.equal, root.files.manifest_held) == (1, True)
    assert srv.files is None


@pytest.mark.parametrize("said", list(CheckResult))
def test_what_the_checker_says_decides_the_status(scene: Scene, said: CheckResult) -> None:
    scene.opener.says["xfs"] = said
    done = scene.verify()
    statuses = {CheckResult.CLEAN: 0, CheckResult.DAMAGED: 11}
    assert done.exit_status == statuses.get(said, 100)
    assert results(done)["/"] is Verdict.PROVED
    scene.nothing_is_left()


def test_journal_list_and_tags_tell_it_of_each_snapshot(scene: Scene) -> None:
    scene.opener.says["xfs"] = CheckResult.DAMAGED
    done = scene.verify()
    assert (done.recorded, done.tagged) == (True, True)
    told = {"/": Verdict.PROVED, "/srv": Verdict.DAMAGED}
    assert scene.listed() == told
    # Without the journal the tags tell it.
    scene.job.forget()
    assert sorted(map(str, scene.listed().values())) == sorted(map(str, told.values()))


def test_tag_that_is_refused_is_a_note(scene: Scene) -> None:
    scene.job.simulator.inject(
        Fault(kind="error", action="TagResources", code="Forbidden.RAM", status=403)
    )
    done = scene.verify()
    assert (done.exit_status, done.tagged, done.recorded) == (ExitStatus.DONE, False, True)
    assert any("not tagged" in note for note in done.notes)


def test_run_that_the_journal_has_not_is_told_and_tagged(scene: Scene) -> None:
    scene.job.forget()
    done = scene.verify()
    assert (done.recorded, done.tagged) == (False, True)
    assert any("journal" in note for note in done.notes)


def test_file_of_the_copy_that_differs_is_damage(scene: Scene) -> None:
    scene.facts.files["/etc/hosts"] = file("cc")
    done = scene.verify()
    assert results(done) == {"/": Verdict.DAMAGED, "/srv": Verdict.PROVED}
    assert done.error is not None
    assert done.error.code == "snapshot-damaged"


def test_etc_of_the_copy_that_cannot_be_read_is_damage(scene: Scene) -> None:
    scene.facts.fault = OSError(5, "Input/output error")
    assert results(scene.verify())["/"] is Verdict.DAMAGED


def test_run_without_a_manifest_is_proved_in_part(scene: Scene) -> None:
    scene.manifests.forget([scene.run_id])
    done = scene.verify()
    assert results(done) == {"/": Verdict.IN_PART, "/srv": Verdict.PROVED}
    assert done.exit_status is ExitStatus.WEAKER


def test_copy_that_is_too_damaged_to_be_opened_is_damage(scene: Scene) -> None:
    scene.opener.faults["xfs"] = CopyDamaged("its log cannot be replayed")
    done = scene.verify()
    assert results(done) == {"/": Verdict.PROVED, "/srv": Verdict.DAMAGED}
    assert done.filesystems[1].code == "copy-damaged"
    scene.nothing_is_left()


@pytest.mark.parametrize("error", [CopyNotOpened("no"), CopyInUse("busy")])
def test_copy_that_cannot_be_opened_is_not_proved_and_the_others_are(
    scene: Scene, error: SnapSelfError
) -> None:
    scene.opener.faults["ext4"] = error
    done = scene.verify()
    assert results(done) == {"/": Verdict.NOT_OPENED, "/srv": Verdict.PROVED}
    assert done.exit_status is ExitStatus.WEAKER
    # Of what was not opened nothing is noted.
    assert scene.listed() == {"/": None, "/srv": Verdict.PROVED}


def test_older_proof_stays_where_a_later_look_came_to_nothing(scene: Scene) -> None:
    scene.verify()
    scene.opener.faults["ext4"] = CopyNotOpened("no")
    scene.verify()
    assert scene.listed()["/"] is Verdict.PROVED


def test_nothing_that_can_be_opened_is_a_failure_with_its_reason(scene: Scene) -> None:
    scene.opener.refused = Refusal(
        kind=RefusalKind.LUKS, what="/", why="it is encrypted", steps=("open it elsewhere",)
    )
    with pytest.raises(PreconditionRefused) as caught:
        scene.verify()
    assert "encrypted" in caught.value.message
    assert scene.made() == []
    assert scene.listed() == {"/": None, "/srv": None}


def test_cloud_that_refuses_ends_it_and_keeps_what_was_proved() -> None:
    with main_job() as job:
        job.simulator.set_group_behaviour(propagate_tags=True)
        scene = Scene(job)
        scene.job.simulator.inject(replace(REFUSED, skip=1, count=99))
        done = scene.verify()
        assert results(done) == {"/": Verdict.PROVED, "/srv": Verdict.NOT_OPENED}
        assert isinstance(done.stopped, PermissionRefused)
        assert done.exit_status is ExitStatus.CREDENTIALS
        assert scene.listed() == {"/": Verdict.PROVED, "/srv": None}


def test_snapshot_that_lacks_its_tag_is_passed_over_with_how_it_gets_it(scene: Scene) -> None:
    scene.job.simulator.inject(replace(REFUSED, count=1))
    done = scene.verify()
    assert results(done) == {"/": Verdict.NOT_OPENED, "/srv": Verdict.PROVED}
    assert done.stopped is None
    assert done.filesystems[0].code == "snapshot-not-tagged"
    assert done.exit_status is not ExitStatus.DONE


def test_disk_that_stays_ends_it_with_its_own_status(scene: Scene) -> None:
    scene.opener.closing = Closed(busy=("/dev/x",))
    done = scene.verify()
    assert isinstance(done.left, DiskLeft)
    assert done.exit_status is ExitStatus.DISK_LEFT
    assert results(done) == {"/": Verdict.PROVED, "/srv": Verdict.NOT_OPENED}
    assert scene.made().count("CreateDisk") == 1


def test_damage_is_not_forgotten_over_a_disk_that_stays(scene: Scene) -> None:
    scene.opener.faults["ext4"] = CopyDamaged("its log cannot be replayed")
    scene.opener.closing = Closed(busy=("/dev/x",))
    done = scene.verify()
    assert results(done)["/"] is Verdict.DAMAGED
    assert done.exit_status is ExitStatus.DISK_LEFT


def test_only_the_filesystem_of_a_path_is_opened(scene: Scene) -> None:
    done = scene.verify(path="/srv/www")
    assert results(done) == {"/srv": Verdict.PROVED}
    assert done.exit_status is ExitStatus.DONE
    assert scene.made() == ONE_COPY
    assert scene.listed() == {"/": None, "/srv": Verdict.PROVED}


def test_what_was_mounted_then_and_is_not_now_is_not_proved(scene: Scene) -> None:
    record = scene.job.journal.load(scene.run_id)
    assert record is not None
    carried = {disk: (*paths, f"{paths[0]}/gone") for disk, paths in record.carried.items()}
    scene.job.journal.save(replace(record, carried=carried))
    done = scene.verify()
    assert results(done)["/srv/gone"] is Verdict.NOT_OPENED
    assert done.exit_status is ExitStatus.WEAKER
    assert scene.listed()["/srv"] is Verdict.IN_PART


def test_whoever_is_asked_hears_of_all_disks_at_once_and_may_decline(scene: Scene) -> None:
    scene.agrees = False
    request = VerifyRequest(wanted="last")
    assert verify(scene.job.tools, scene.looking(), scene.proving(), request, scene) is None
    (intents,) = scene.asked
    assert [(each.source, each.gib) for each in intents] == [("/", 40), ("/srv", 100)]
    assert scene.made() == []


def test_large_disk_needs_consent_beforehand(scene: Scene) -> None:
    request = VerifyRequest(wanted="last")
    looking = replace(scene.looking(), max_gib=99)
    with pytest.raises(PreconditionRefused):
        verify(scene.job.tools, looking, scene.proving(), request, scene)
    sure = replace(request, sure=True)
    assert verify(scene.job.tools, looking, scene.proving(), sure, scene) is not None
