"""Which manifests `diff` compares, and what it says where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from fakes.builders import INSTANCE
from fakes.looking import (
    MadeUpMachine,
    MemoryManifests,
    MemoryTree,
    cut,
    file,
    link,
    manifest,
    packages,
)
from fakes.records import order_record, run_record
from fakes.taken import RUN, Taken, snapshot_of, tags
from snap_self.errors import (
    CloudUnreachable,
    MetadataUnreachable,
    NoManifest,
    NotInManifest,
    UsageError,
)
from snap_self.model.differences import Part
from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.looking import DiffReport
from snap_self.model.manifest import FileFact, Manifest
from snap_self.model.run import ManifestRecord, RunRecord, Stage, Upload
from snap_self.ports_looking_back import Tree
from snap_self.recovery.contents import MOST_BYTES
from snap_self.system.manifest.packing import unpack
from snap_self.usecases.differences import Looking, Question, find_differences
from snap_self.usecases.tools import ManifestTools

DISK = DiskId("d-bp1aaaabbbbccccdddd1")


def record(number: int, snapshot: str = "", **changes: object) -> RunRecord:
    """Return a run that made a snapshot of that id, or none."""
    order = order_record(sent=True)
    made = {DISK: SnapshotId(snapshot)} if snapshot else {}
    ordered = replace(order, snapshot_ids=made)
    known = run_record(number, stage=Stage.FINISHED, orders=(ordered,))
    return replace(known, **changes)


OLD, NEW = record(1, "s-old"), record(2, "s-new")


@dataclass
class Case:
    """A machine with a journal, manifests, and whatever answers for the rest."""

    records: tuple[RunRecord, ...] = (OLD, NEW)
    now: Manifest = field(default_factory=lambda: manifest(packages=packages(a="3")))
    manifests: MemoryManifests = field(default_factory=MemoryManifests)
    taken: Taken = field(default_factory=lambda: Taken.of("one-virtio-disk"))
    instance_id: str = str(INSTANCE)
    unreachable: bool = False
    tree: MemoryTree | None = None
    here: MemoryTree = field(default_factory=MemoryTree)
    declined: bool = False
    opened: list[tuple[RunId, tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in self.records:
            self.taken.journal.save(each)
        for each, version in zip(self.records, "123", strict=False):
            self.manifests.write(manifest(each.run_id, packages=packages(a=version)))

    def ask(self, wanted: str = "last", other: str = "", *paths: str, **more: bool) -> DiffReport:
        self.machine = MadeUpMachine(self.now)
        usual = {Part.FILES: ("/etc/mtab",)}
        looking = Looking(
            manifests=ManifestTools(reader=self.machine, store=self.manifests, usual=lambda: usual),
            values=lambda packed: unpack(packed.content),
            instance_id=self._who,
            here=self.here,
            opened=self._open if self.tree is not None else None,
        )
        question = Question(wanted=wanted, other=other, paths=paths, **more)
        return find_differences(self.taken.tools, looking, question)

    def _who(self) -> InstanceId:
        if self.unreachable:
            raise MetadataUnreachable("the metadata service does not answer")
        return InstanceId(self.instance_id)

    @contextmanager
    def _open(self, run_id: RunId, paths: Sequence[str]) -> Iterator[Tree | None]:
        self.opened.append((run_id, tuple(paths)))
        yield None if self.declined else self.tree


def versions(report: DiffReport) -> tuple[str, str]:
    (change,) = report.differences.packages
    assert change.before is not None
    assert change.after is not None
    return change.before.version, change.after.version


def test_without_words_the_newest_run_is_compared_with_now() -> None:
    report = Case().ask()
    assert (report.before.run_id, report.after.run_id) == (NEW.run_id, None)
    assert versions(report) == ("2", "3")
    assert (report.before.before, report.after.before) == ("os upgrade", "")


@pytest.mark.parametrize("name", [OLD.run_id, "s-old", "ssg-old"])
def test_run_is_found_by_each_of_its_ids(name: str) -> None:
    (order,) = OLD.orders
    grouped = replace(OLD, orders=(replace(order, group_id=GroupId("ssg-old")),))
    assert versions(Case(records=(grouped, NEW)).ask(name)) == ("1", "3")


def test_two_runs_are_compared_without_a_look_at_the_machine() -> None:
    case = Case()
    report = case.ask(OLD.run_id, "last")
    assert versions(report) == ("1", "2")
    assert report.after.run_id == NEW.run_id
    assert case.machine.limits == []


def test_last_is_the_newest_run_of_which_something_is_left() -> None:
    failed = replace(
        record(3, "s-failed"),
        upload=Upload(going_on=False, boot_id="b", failed=(SnapshotId("s-failed"),)),
    )
    assert Case(records=(OLD, failed)).ask().before.run_id == OLD.run_id


def test_run_that_made_nothing_is_not_the_last() -> None:
    assert Case(records=(OLD, record(3))).ask().before.run_id == OLD.run_id


def test_machine_without_a_run_says_what_makes_the_first() -> None:
    with pytest.raises(UsageError, match="no snapshot yet"):
        Case(records=()).ask()


def test_run_of_an_older_version_has_no_manifest_and_says_what_opens_it() -> None:
    case = Case()
    case.manifests.forget([NEW.run_id])
    with pytest.raises(NoManifest, match="an older snap-self") as raised:
        case.ask()
    assert f"snap-self diff {NEW.run_id} PATH" in raised.value.hint
    assert int(raised.value.exit_status) == 6


def test_run_without_a_manifest_has_its_paths_read_in_the_snapshot() -> None:
    case = etc(file("aa"), file("aa"))
    case.manifests.forget([NEW.run_id])
    report = case.ask("last", "", "/etc/a")
    assert case.opened == [(NEW.run_id, ("/etc/a",))]
    assert report.contents is not None
    assert report.contents.found[0].lines[-2:] == ("-old", "+new")
    assert report.differences.files == ()
    (doubt,) = report.differences.not_compared
    assert "has no manifest: an older snap-self" in doubt.why
    assert (report.before.taken, report.before.complete) == (NEW.started, False)


def test_run_whose_manifest_could_not_be_kept_says_why() -> None:
    noted = ManifestRecord(kept=False, why="no space left")
    case = Case(records=(replace(NEW, manifest=noted),))
    case.manifests.forget([NEW.run_id])
    with pytest.raises(NoManifest, match="no space left"):
        case.ask()


def test_reading_is_given_up_where_there_is_nothing_to_compare_with() -> None:
    case = Case()
    case.manifests.forget([NEW.run_id])
    with pytest.raises(NoManifest):
        case.ask()
    assert case.machine.dropped


def test_manifest_of_another_machine_is_told_by_its_instance() -> None:
    report = Case(instance_id="i-bp1another0000000001").ask(NEW.run_id)
    assert report.before.instance_id == INSTANCE
    assert report.after.instance_id == "i-bp1another0000000001"


def test_run_of_another_instance_is_not_the_last() -> None:
    theirs = replace(NEW, instance_id=InstanceId("i-bp1theoriginal"))
    assert Case(records=(OLD, theirs)).ask().before.run_id == OLD.run_id
    with pytest.raises(UsageError, match="there is no snapshot yet"):
        Case(records=(theirs,)).ask()


def test_who_this_is_is_asked_once_also_where_nobody_tells() -> None:
    case = Case(unreachable=True)
    asked: list[int] = []
    who = case._who
    case._who = lambda: (asked.append(1), who())[1]  # type: ignore[method-assign]
    assert case.ask().before.run_id == NEW.run_id
    assert len(asked) == 1


def test_machine_whose_metadata_are_out_of_reach_is_compared_all_the_same() -> None:
    report = Case(unreachable=True).ask()
    assert versions(report) == ("2", "3")
    assert report.after.instance_id == ""
    assert ["does not answer" in note for note in report.notes] == [True]


def test_id_that_only_the_cloud_knows_is_looked_for_there() -> None:
    case = Case(records=(NEW,))
    case.taken.snapshots.append(snapshot_of(case.taken.disk_ids[0], SnapshotId="s-cloud"))
    case.manifests.write(manifest(RUN, packages=packages(a="0")))
    assert versions(case.ask("s-cloud")) == ("0", "3")


def test_id_that_nobody_knows_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="x is not a snapshot, group or run of this instance"):
        Case().ask("x")


def test_snapshot_of_another_instance_is_told_as_such() -> None:
    case = Case()
    other = snapshot_of("d-other", SnapshotId="s-other", Tags=tags(**{"snap-self-owner": "i-x"}))
    case.taken.answers["DescribeSnapshots"] = lambda params: {
        "Snapshots": {"Snapshot": [other] if "s-other" in params.get("SnapshotIds", "") else []},
        "PageNumber": 1,
        "PageSize": 100,
        "TotalCount": 1,
    }
    with pytest.raises(NoManifest, match=r"s-other is of another instance .i-x"):
        case.ask("s-other")


def test_unknown_id_without_the_cloud_fails_as_that_does() -> None:
    case = Case()
    case.taken.answers["DescribeSnapshots"] = _unreachable
    with pytest.raises(CloudUnreachable):
        case.ask("s-cloud")


def _unreachable(_: Mapping[str, str]) -> Mapping[str, object]:
    raise CloudUnreachable("no answer")


def test_known_id_asks_the_cloud_nothing() -> None:
    case = Case()
    case.ask("s-old")
    assert case.taken.rpc.calls == []


def test_what_changes_by_itself_is_left_out_unless_all_is_asked_for() -> None:
    now = manifest(files={"/etc/mtab": file()}, packages=packages(a="2"))
    assert not Case(now=now).ask().different
    report = Case(now=now).ask(everything=True)
    assert [(each.name, each.usual) for each in report.differences.files] == [("/etc/mtab", True)]


def test_paths_below_etc_are_answered_from_the_manifests() -> None:
    now = manifest(files={"/etc/a": file(), "/etc/b": file()}, packages=packages(a="9"))
    report = Case(now=now).ask("last", "", "/etc/a", "/srv")
    assert [each.name for each in report.differences.files] == ["/etc/a"]
    assert report.differences.packages == ()
    assert report.outside == ("/srv",)


def test_paths_of_which_a_manifest_has_nothing_are_refused_with_what_opens_them() -> None:
    with pytest.raises(NotInManifest, match="nothing of /srv, /etcetera") as raised:
        Case().ask("last", "", "/srv", "/etcetera")
    assert "snap-self mount" in raised.value.hint


def test_contents_are_looked_for_in_the_opened_snapshot_where_that_can_be_done() -> None:
    case = Case(tree=MemoryTree({"/srv/a": b"old\n"}), here=MemoryTree({"/srv/a": b"new\n"}))
    report = case.ask("last", "", "/srv")
    assert case.opened == [(NEW.run_id, ("/srv",))]
    assert report.contents is not None
    (found,) = report.contents.found
    assert found.lines[-2:] == ("-old", "+new")
    assert report.outside == ()
    assert report.different


def test_contents_are_never_opened_unless_a_path_is_named() -> None:
    case = Case(tree=MemoryTree())
    assert case.ask().contents is None
    assert case.opened == []


def test_two_runs_are_never_opened() -> None:
    case = Case(tree=MemoryTree())
    assert case.ask(OLD.run_id, NEW.run_id, "/etc").contents is None


def etc(then: FileFact | None, now: FileFact | None, *, declined: bool = False) -> Case:
    """Return a machine of which one file in /etc was that and is this, and which can be opened."""
    case = Case(
        tree=MemoryTree({"/etc/a": b"old\n"}),
        here=MemoryTree({"/etc/a": b"new\n"}),
        now=manifest(files={"/etc/a": now} if now else {}),
        declined=declined,
    )
    files = {"/etc/a": then} if then else {}
    for each in (OLD, NEW):
        case.manifests.forget([each.run_id])
        case.manifests.write(manifest(each.run_id, files=files))
    return case


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (file("aa"), file("aa")),
        (file("aa"), file("aa", mode=0o600)),
        (None, file("aa")),
        (file("aa", size=MOST_BYTES + 1), file("bb", size=10)),
        (link("x"), link("y")),
    ],
    ids=["equal", "of another mode", "new", "too large to be shown", "a link"],
)
def test_no_disk_is_made_for_what_the_manifest_tells(
    then: FileFact | None, now: FileFact | None
) -> None:
    case = etc(then, now)
    report = case.ask("last", "", "/etc/a")
    assert case.opened == []
    assert (report.contents, report.unread) == (None, ())


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (file("aa"), file("bb")),
        (file("aa"), None),
        (file(""), file("")),
        (file("aa"), link("x")),
    ],
    ids=["of another content", "gone", "not read", "of another kind"],
)
def test_content_that_only_the_snapshot_has_is_read_there(
    then: FileFact | None, now: FileFact | None
) -> None:
    case = etc(then, now)
    report = case.ask("last", "", "/etc/a")
    assert case.opened == [(NEW.run_id, ("/etc/a",))]
    assert report.contents is not None
    assert report.contents.found[0].lines[-2:] == ("-old", "+new")


def test_of_a_folder_in_etc_only_the_files_that_differ_are_read() -> None:
    case = etc(file("aa"), file("bb"))
    assert case.tree is not None
    case.here.files = {**case.here.files, "/etc/same": b"1\n"}
    report = case.ask("last", "", "/etc")
    assert report.contents is not None
    assert ([each.path for each in report.contents.found], report.contents.same) == (["/etc/a"], 0)


def test_folder_in_which_only_what_changes_by_itself_differs_needs_no_disk() -> None:
    case = Case(tree=MemoryTree(), now=manifest(files={"/etc/mtab": file("bb")}))
    case.manifests.forget([NEW.run_id])
    case.manifests.write(manifest(NEW.run_id, files={"/etc/mtab": file("aa")}))
    case.ask("last", "", "/etc")
    assert case.opened == []
    case.ask("last", "", "/etc/mtab")
    assert len(case.opened) == 1


def test_files_of_a_manifest_that_was_cut_are_read_in_the_snapshot() -> None:
    case = etc(file("aa"), file("aa"))
    case.now = replace(case.now, left_out=(cut("files"),))
    case.ask("last", "", "/etc/a")
    assert len(case.opened) == 1


def test_path_in_etc_that_only_a_link_leads_to_is_read_in_the_snapshot() -> None:
    case = etc(file("aa"), file("aa"))
    case.here.files = {"/etc/link/b": b"1\n"}
    case.ask("last", "", "/etc/link/b")
    assert [paths for _, paths in case.opened] == [("/etc/link/b",)]


def test_path_in_etc_at_which_there_never_was_anything_is_told_without_a_disk() -> None:
    case = etc(file("aa"), file("aa"))
    report = case.ask("last", "", "/etc/typo")
    assert case.opened == []
    assert report.notes == ("there is nothing at /etc/typo, then or now",)


def test_disk_that_nobody_wanted_leaves_what_the_manifest_tells() -> None:
    case = etc(file("aa"), file("bb"), declined=True)
    report = case.ask("last", "", "/etc/a", "/srv")
    assert [each.name for each in report.differences.files] == ["/etc/a"]
    assert (report.contents, report.outside) == (None, ("/srv",))
    assert report.unread == ("/etc/a", "/srv")


def test_two_runs_say_whose_contents_they_lack() -> None:
    case = etc(file("aa"), file("aa"))
    case.manifests.forget([OLD.run_id])
    case.manifests.write(manifest(OLD.run_id, files={"/etc/a": file("bb")}))
    assert case.ask(OLD.run_id, NEW.run_id, "/etc/a").unread == ("/etc/a",)
