"""What changed on this machine since a run, or between two: from their manifests.

The journal and the manifests are here, so the cloud is asked only for an id that they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from snap_self.errors import (
    EnvironmentFault,
    NoManifest,
    NotInManifest,
    UsageError,
)
from snap_self.model.differences import Part
from snap_self.model.ids import InstanceId, RunId, SnapshotId
from snap_self.model.looking import Contents, DiffReport, Looked
from snap_self.model.manifest import Manifest
from snap_self.model.packed import Missing, PackedManifest
from snap_self.model.run import RunRecord
from snap_self.model.shell import command
from snap_self.model.snapshots import OWNER_TAG
from snap_self.ports_looking_back import ManifestReading, Tree, TreeOpener
from snap_self.recovery.contents import ETC, ToRead, outside, to_read
from snap_self.recovery.differences import below, compare, marked, notable
from snap_self.usecases.contents import compare_contents
from snap_self.usecases.tools import ManifestTools, Tools

LAST = "last"
# Nobody is held up by it but who asked.
READ_LIMIT_S = 30.0
_FIRST = '`snap-self --before "os upgrade"`'


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be compared.

    Args:
        wanted: a run, group or snapshot, or ``last``.
        other: with what; empty for this machine as it is now.
        paths: absolute; nothing else is compared.
        everything: what changes by itself counts too.
    """

    wanted: str = LAST
    other: str = ""
    paths: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What looking back works with.

    Args:
        instance_id: asks who this instance is, and for no keys.
        values: gives a manifest as values.
        here: this machine's files.
        opened: opens a run's snapshots, if whoever asks agrees; None where that cannot be done.
    """

    manifests: ManifestTools
    instance_id: Callable[[], InstanceId]
    values: Callable[[PackedManifest], Manifest]
    here: Tree
    opened: TreeOpener | None = None


def find_differences(tools: Tools, looking: Looking, question: Question) -> DiffReport:
    """Return what differs between a run's manifest and another's, or this machine as it is.

    Raises:
        UsageError: there is no such run, group or snapshot of this instance.
        NoManifest: there is one, without a manifest, and nothing else tells what was asked for.
        NotInManifest: a manifest has nothing of what was asked for.
        StateUnusable: the journal or a manifest cannot be read.
    """
    if question.other:
        return _report(tools, looking, question, None)
    # The machine is read by another process while the rest is found out.
    reading = looking.manifests.reader.begin()
    try:
        return _report(tools, looking, question, reading)
    finally:
        reading.drop()


def _report(
    tools: Tools, looking: Looking, question: Question, reading: ManifestReading | None
) -> DiffReport:
    looking = replace(looking, instance_id=_asked_once(looking.instance_id))
    finder = _Finder(tools, looking)
    beyond = outside(question.paths)
    opens = looking.opened is not None and reading is not None
    before = finder.manifest(question.wanted, opens=opens and bool(question.paths))
    if question.paths and len(beyond) == len(question.paths) and not opens:
        raise _not_in_it(beyond, before.run_id)
    if reading is None:
        notes: tuple[str, ...] = ()
        after = finder.manifest(question.other)
        last = finder.looked(after)
    else:
        after, notes = _now(looking, reading, before.run_id)
        last = replace(finder.looked(after), run_id=None, before="")
    found = marked(compare(before, after), looking.manifests.usual())
    wanted = to_read(
        found, (before, after), question.paths, is_here=lambda path: _is_here(looking, path)
    )
    if question.paths:
        found = below(found, [path for path in question.paths if path not in beyond])
    contents = _contents(looking, before.run_id, wanted) if opens else None
    return DiffReport(
        before=finder.looked(before),
        after=last,
        # Who names a path wants to see what there is of it.
        differences=found if question.everything or question.paths else notable(found),
        everything=question.everything,
        paths=question.paths,
        outside=() if contents else beyond,
        unread=() if contents else wanted.paths,
        contents=contents,
        notes=(*notes, *(f"there is nothing at {path}, then or now" for path in wanted.unknown)),
    )


def _asked_once(ask: Callable[[], InstanceId]) -> Callable[[], InstanceId]:
    """Return what asks at most once, also where nobody answers: each waits for its own seconds."""
    answers: list[InstanceId | EnvironmentFault] = []

    def asked() -> InstanceId:
        if not answers:
            try:
                answers.append(ask())
            except EnvironmentFault as error:
                answers.append(error)
        if isinstance(answers[0], EnvironmentFault):
            raise answers[0]
        return answers[0]

    return asked


def _is_here(looking: Looking, path: str) -> bool:
    try:
        return looking.here.look(path) is not None
    except OSError:
        return True


def _now(
    looking: Looking, reading: ManifestReading, run_id: RunId
) -> tuple[Manifest, tuple[str, ...]]:
    """Return what this machine is now, without the instance's id where nobody tells it."""
    notes: tuple[str, ...] = ()
    try:
        instance_id = looking.instance_id()
    except EnvironmentFault as error:
        instance_id = InstanceId("")
        notes = (f"whether the manifest is of this instance is not known: {error.message}",)
    packed = reading.end(run_id, instance_id, limit_s=READ_LIMIT_S)
    return looking.values(packed), notes


def _contents(looking: Looking, run_id: RunId, wanted: ToRead) -> Contents | None:
    if looking.opened is None or not wanted.paths:
        return None
    with looking.opened(run_id, wanted.paths) as then:
        return None if then is None else compare_contents(then, looking.here, wanted.within)


def _not_in_it(paths: Sequence[str], run_id: RunId) -> NotInManifest:
    opens = command("snap-self", "mount", run_id)
    return NotInManifest(
        f"a manifest tells of files in {ETC} alone, and so nothing of {', '.join(paths)}",
        hint=f"`{opens}` opens the snapshot itself",
    )


def _empty(record: RunRecord, why: str) -> Manifest:
    """Return what stands for the manifest of a run that has none."""
    return Manifest(
        run_id=record.run_id,
        instance_id=record.instance_id,
        taken=record.started,
        key_id="",
        complete=False,
        left_out=(Missing(part=Part.FILES.value, why=why),),
    )


class _Finder:
    """Finds runs by what people call them."""

    def __init__(self, tools: Tools, looking: Looking) -> None:
        self._tools = tools
        self._manifests = looking.manifests.store
        self._instance_id = looking.instance_id
        self._records = tools.store.all()

    def manifest(self, wanted: str, *, opens: bool = False) -> Manifest:
        """Return the manifest of the run that is meant.

        Args:
            opens: what it lacks is looked at in the snapshot, so it may lack everything.
        """
        record = self._last() if wanted == LAST else self._named(wanted)
        run_id = record.run_id if record else self._told_by_cloud(wanted)
        found = self._manifests.read(run_id)
        if found is not None:
            return found
        noted = record.manifest if record else None
        why = noted.why if noted and noted.why else "an older snap-self made it"
        if opens and record:
            return _empty(record, f"the run has no manifest: {why}")
        asked = command("snap-self", "diff", run_id, "PATH")
        raise NoManifest(
            f"run {run_id} has no manifest: {why}",
            hint=f"`{asked}` looks into the snapshot itself"
            if record
            else f"`{command('snap-self', 'mount', run_id)}` opens the snapshot itself",
        )

    def looked(self, manifest: Manifest) -> Looked:
        """Return what is told of a run's manifest."""
        record = self._named(manifest.run_id)
        return Looked(
            run_id=manifest.run_id,
            before=record.before if record else "",
            instance_id=manifest.instance_id,
            taken=manifest.taken,
            complete=manifest.complete,
        )

    def _named(self, wanted: str) -> RunRecord | None:
        for record in self._records:
            groups = [order.group_id for order in record.orders]
            if wanted in (record.run_id, *record.snapshot_ids, *groups):
                return record
        return None

    def _last(self) -> RunRecord:
        """Return the newest run that made something, as far as the journal knows.

        One of another instance, of whose image this machine was made, is not this one's last; where
        nobody tells who this is, the journal is taken for its own.
        """
        made = [each for each in self._records if any(order.is_made for order in each.orders)]
        with suppress(EnvironmentFault):
            own = self._instance_id() if made else None
            made = [each for each in made if each.instance_id == own]
        for record in made:
            lost = {*record.upload.failed, *record.upload.deleted} if record.upload else set()
            if not record.snapshot_ids or set(record.snapshot_ids) - lost:
                return record
        raise UsageError(
            f"every snapshot of run {made[0].run_id} failed or was deleted"
            if made
            else "there is no snapshot yet",
            hint="`snap-self list` shows them" if made else f"{_FIRST} makes the first one",
        )

    def _told_by_cloud(self, wanted: str) -> RunId:
        """Return the run of what the journal does not know, from the cloud's tags."""
        from snap_self.usecases.inventory.own import Remembered, own_snapshots

        here = self._tools.here()
        own_id = here.identity.instance_id
        own = own_snapshots(here.cloud, own_id, lambda: Remembered.of(self._records, own_id))
        for one in own.found:
            if wanted in (one.shot.snapshot_id, one.group_id, one.run_id):
                if one.run_id:
                    return one.run_id
                raise NoManifest(
                    f"{wanted} does not tell its run, and so has no manifest here",
                    hint="`snap-self mount` opens the snapshot itself",
                )
        if wanted.startswith("s-"):
            for shot in here.cloud.describe_snapshots(ids=[SnapshotId(wanted)]):
                owner = shot.tags.get(OWNER_TAG, "")
                raise NoManifest(
                    f"{wanted} is of another instance ({owner})"
                    if owner
                    else f"{wanted} was not made by snap-self",
                    hint="its manifest lies on that instance: ask `snap-self diff` there"
                    if owner
                    else "",
                )
        raise UsageError(
            f"{wanted} is not a snapshot, group or run of this instance that snap-self made",
            hint="`snap-self list` shows their ids; a PATH begins with / or ./",
        )
