"""Check every precondition of the main job, each failed one with its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from snap_self.cloud.answers import Unclear
from snap_self.cloud.credentials.sources import DOCTOR_HINT
from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import (
    ConfigError,
    ExitStatus,
    NoCredentials,
    SnapSelfError,
    StateUnusable,
)
from snap_self.model.disks import CloudDisk, Coverage, LocalDisk, Selection
from snap_self.model.flushing import unreachable
from snap_self.model.ids import InstanceId
from snap_self.model.installation import Installation
from snap_self.model.report import ErrorReport
from snap_self.model.snapshots import OWNER_TAG, Identity
from snap_self.model.temporary import CopyRecord
from snap_self.plan import can_group, near_limit
from snap_self.usecases.aftercare.pending import Pending, finish_pending
from snap_self.usecases.create_proof import CreateProof, create_proof, should_be_there
from snap_self.usecases.inventory.own import PAGE
from snap_self.usecases.open_proof import open_proof
from snap_self.usecases.tools import Here, Tools

# Enough to see a few disks' limit come near; API limits are shared by the whole account.
LIMIT_PAGES = 12
PERMISSION = "permission"
LOOKING_BACK = "looking-back"
TRY = 'snap-self --before "first try" --keep 1d'


class Verdict(Enum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class Readiness(Enum):
    """Whether the main job can run."""

    YES = "yes"
    # Nothing is in the way, but that the role may create snapshots was not seen.
    AS_FAR_AS_KNOWN = "as-far-as-known"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's result.

    Args:
        hint: how to mend it; empty when nothing is to be mended.
        exit_status: what the main job would end with because of it.
        error: what a failed check met; its details are told too.
    """

    check: str
    verdict: Verdict
    text: str
    hint: str = ""
    exit_status: ExitStatus = ExitStatus.DONE
    error: ErrorReport | None = None


@dataclass(slots=True)
class _Known:
    """What earlier checks learned for later ones."""

    tools: Tools
    excluded: Sequence[str] = ()
    state_known: bool = True
    copies: Callable[[], Sequence[CopyRecord]] = tuple
    identity: Identity | None = None
    keys: bool = True
    keys_from: str = ""
    here: Here | None = None
    disks: tuple[CloudDisk, ...] = ()
    coverage: Coverage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings; the exit status is that of the first failed one."""

    findings: tuple[Finding, ...]
    identity: Identity | None
    installation: Installation | None = None

    @property
    def readiness(self) -> Readiness:
        """Whether the main job can run, as far as that can be told."""
        if self.exit_status is not ExitStatus.DONE:
            return Readiness.NO
        said = [found.verdict for found in self.findings if found.check == PERMISSION]
        proved = bool(said) and all(verdict is Verdict.OK for verdict in said)
        return Readiness.YES if proved else Readiness.AS_FAR_AS_KNOWN

    @property
    def exit_status(self) -> ExitStatus:
        """What the main job would end with."""
        failed = (f.exit_status for f in self.findings if f.verdict is Verdict.FAIL)
        return next(failed, ExitStatus.DONE)


def diagnose(
    tools: Tools,
    *,
    credentials: Callable[[], Sequence[tuple[str, str]]],
    root: bool,
    try_freeze: Callable[[], str] | None,
    try_hold: Callable[[], str] | None = None,
    hooks: Callable[[], tuple[Sequence[str], Sequence[str]]] | None = None,
    keys_from: Callable[[], str] = str,
    fault: ConfigError | None = None,
    installation: Installation | None = None,
    excluded: Sequence[str] = (),
    state_known: bool = True,
    copies: Callable[[], Sequence[CopyRecord]] = tuple,
) -> Diagnosis:
    """Run every check; one failed check does not stop those that do not need it.

    Args:
        credentials: resolves credentials and returns each source of the chain with its verdict.
        root: whether this process is root.
        try_freeze: freezes and thaws a small filesystem made for it and returns what went wrong;
            None unless the root filesystem may be frozen.
        try_hold: holds a reboot back for an instant and returns why it cannot; None unless root.
        hooks: returns the package managers whose hooks are in place, and those whose are not; None
            where this snap-self is not installed.
        keys_from: returns which source gave the keys; empty where none did.
        fault: what is wrong in the configuration; the checks go by what is left of it.
        installation: how this snap-self came here.
        excluded: what the configuration leaves out of every snapshot.
        state_known: whether it is known where the journal lies; if not, none is looked for.
        copies: returns the records of snapshots that were looked into, newest first.
    """
    known = _Known(tools, excluded, state_known, copies)
    findings = [*_installation(installation), *_configuration(fault)]
    for name, check in _CHECKS:
        try:
            findings += check(known)
        except SnapSelfError as error:
            findings.append(_failed(name, error))
        if name == "metadata":
            findings += _credentials(known, credentials)
            known.keys_from = keys_from()
    findings += _root(root)
    if try_freeze is not None:
        findings += _freeze(try_freeze)
    if try_hold is not None:
        findings.append(_hold(try_hold()))
    if hooks is not None:
        findings.append(_hooks(*hooks()))
    return Diagnosis(findings=tuple(findings), identity=known.identity, installation=installation)


def _installation(found: Installation | None) -> Iterator[Finding]:
    """Tell how it came here, and what is missing then."""
    if found is None:
        return
    text = f"{found.words}, in {found.folder}"
    if found.is_whole:
        yield _ok("installation", text)
        return
    yield Finding(
        check="installation",
        verdict=Verdict.WARN,
        text=text,
        hint=f"{found.limits}; after a crash `snap-self thaw` is for you to run",
    )


def _configuration(fault: ConfigError | None) -> Iterator[Finding]:
    """Tell each fault; all that has one counts as not written."""
    if fault is None:
        return
    for text in fault.faults:
        yield replace(_failed("configuration", fault), text=text)


def _hold(why: str) -> Finding:
    """Tell whether a reboot can be held back while an upload goes on."""
    if not why:
        return _ok("reboot", "logind can hold a reboot back while a snapshot is being uploaded")
    return Finding(
        check="reboot",
        verdict=Verdict.WARN,
        text=f"nothing can hold a reboot back while a snapshot is being uploaded: {why}",
        hint="before a command that reboots, give --wait accomplished",
    )


def _hooks(here: Sequence[str], missing: Sequence[str]) -> Finding:
    """Tell whether package managers ask for snapshots; they themselves are not asked."""
    if missing:
        return Finding(
            check="hooks",
            verdict=Verdict.WARN,
            text=f"{', '.join(missing)}: risky changes get no snapshot, the hook is not in place",
            hint="sudo snap-self hook enable; or switch off what is not wanted: "
            f"sudo snap-self hook disable {missing[0]}",
        )
    names = ", ".join(here) or "no package manager"
    return _ok("hooks", f"in place for {names}; `snap-self hook status` tells more")


def _freeze(try_freeze: Callable[[], str]) -> Iterator[Finding]:
    """Tell how the freeze's self-test went, without which the root filesystem is never frozen."""
    try:
        why = try_freeze()
    except SnapSelfError as error:
        yield _failed("freeze", error)
        return
    if not why:
        yield _ok("freeze", "a filesystem made for the test was frozen and thawed as it should")
        return
    yield Finding(
        check="freeze",
        verdict=Verdict.WARN,
        text=f"the freeze's self-test failed: {why}",
        hint="the root filesystem will not be frozen; levels above flush fall to flush",
    )


def _failed(check: str, error: SnapSelfError) -> Finding:
    return Finding(
        check=check,
        verdict=Verdict.FAIL,
        text=error.message,
        hint=error.hint,
        exit_status=error.exit_status,
        error=ErrorReport.of(error),
    )


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, text=text)


def _warn(check: str, text: str, *, hint: str = "") -> Finding:
    return Finding(check=check, verdict=Verdict.WARN, text=text, hint=hint)


def _skipped(check: str, needs: str) -> Finding:
    return Finding(check=check, verdict=Verdict.SKIPPED, text=f"needs {needs}")


def _metadata(known: _Known) -> Iterator[Finding]:
    known.identity = known.tools.identify()
    one = known.identity
    yield _ok("metadata", f"{one.instance_id} in {one.region}, {one.source}, {one.mode} mode")


def _credentials(
    known: _Known, resolve: Callable[[], Sequence[tuple[str, str]]]
) -> Iterator[Finding]:
    try:
        trail = resolve()
    except NoCredentials as error:
        known.keys = False
        if known.identity is None:
            # Whether this is an instance with a role is what is not known.
            yield _skipped("credentials", "the metadata service, as no other source is set up")
            return
        yield _without_keys(error)
    except SnapSelfError as error:
        known.keys = False
        yield _without_keys(error)
    else:
        yield _ok("credentials", "; ".join(f"{source}: {verdict}" for source, verdict in trail))


def _without_keys(error: SnapSelfError) -> Finding:
    """Tell why there are none, and what each source says beyond that."""
    failed = _failed("credentials", error)
    failed = replace(failed, hint=failed.hint.removesuffix(DOCTOR_HINT))
    others = (line for line in error.details if error.message not in line)
    looked_at = "; ".join(others)
    return replace(failed, text=f"{failed.text} ({looked_at})") if looked_at else failed


def _api(known: _Known) -> Iterator[Finding]:
    if known.identity is None:
        yield _skipped("api", "the metadata service")
        return
    if not known.keys:
        yield _skipped("api", "credentials")
        return
    known.tools.warm()
    here = known.tools.here_as(known.identity)
    known.disks = here.cloud.describe_disks(known.identity.instance_id)
    known.here = here  # it answers: one that does not would be waited for again by each check
    if known.disks:
        yield _ok("api", f"DescribeDisks shows {len(known.disks)} disks of this instance")
        return
    yield Finding(
        check="api",
        verdict=Verdict.FAIL,
        text="DescribeDisks shows no disk of this instance",
        hint="a role that may not describe disks gets an empty list: allow ecs:DescribeDisks, as "
        "`snap-self policy` prints it",
        exit_status=ExitStatus.CREDENTIALS,
    )


def _instance(known: _Known) -> Iterator[Finding]:
    if known.here is None:
        yield _skipped("instance", "the ECS API")
        return
    state = known.here.cloud.describe_instance(known.here.identity.instance_id)
    if state is None:
        yield Finding(
            check="instance",
            verdict=Verdict.WARN,
            text="DescribeInstances shows nothing",
            hint="allow ecs:DescribeInstances, so that the instance's state can be checked first",
        )
    else:
        yield _ok("instance", f"{state.status}, type {state.instance_type}")


def _disks(known: _Known) -> Iterator[Finding]:
    layout = read_layout(known.tools.machine.read())
    if not known.disks or known.identity is None:
        yield _ok("mounts", f"{len(layout.filesystems)} filesystems on {len(layout.disks)} devices")
        yield _skipped("disks", "the ECS API")
        return
    mapped = map_disks(
        layout,
        known.disks,
        instance_id=known.identity.instance_id,
        serial_to_disk=known.identity.serial_to_disk,
        user_map=known.tools.user_map,
    )
    excluded = tuple(known.excluded)
    selection = Selection(exclude=excluded, configured=frozenset(excluded))
    known.coverage = choose(layout, mapped, selection, ())
    for target in known.coverage.targets:
        yield _ok("disks", f"{target.cloud.disk_id} is {_local(target.local)}: {target.how}")
    for skipped in known.coverage.skipped:
        yield Finding(
            check="disks",
            verdict=Verdict.WARN,
            text=f"{skipped.disk_id} is left out: {skipped.why}",
        )
    for gap in known.coverage.not_covered:
        if gap.data_at_risk:
            yield Finding(
                check="disks",
                verdict=Verdict.WARN,
                text=f"{gap.what} is not covered: {gap.why}",
                hint=_ACCEPT if gap.left_out else "",
            )


_ACCEPT = (
    "a snapshot ends with status 101 because of it; if it may be missing, name it in disks.exclude "
    "of the configuration"
)


def _local(local: LocalDisk | None) -> str:
    return local.node if local else "not seen here"


def _one_instant(known: _Known) -> Iterator[Finding]:
    if known.coverage is None:
        yield _skipped("one-instant", "the disks")
        return
    why = can_group([target.cloud for target in known.coverage.targets])
    if unflushable := unreachable(flush_plan(known.coverage)):
        yield Finding(check="flush", verdict=Verdict.WARN, text=unflushable)
    if not why or len(known.coverage.targets) == 1:
        yield _ok("one-instant", "all disks can be cut at one instant")
        return
    verdict = Verdict.FAIL if known.coverage.spans else Verdict.WARN
    yield Finding(
        check="one-instant",
        verdict=verdict,
        text=f"the disks cannot be cut at one instant: {why}",
        hint="a volume over several of these disks cannot be snapshotted whole",
        exit_status=ExitStatus.PRECONDITION,
    )


def _snapshots(known: _Known) -> Iterator[Finding]:
    if known.here is None:
        yield _skipped("snapshots", "the ECS API")
        return
    cloud, own = known.here.cloud, known.here.identity.instance_id
    unclear: list[Unclear] = []
    tags = {OWNER_TAG: own}
    shots = cloud.describe_snapshots(tags=tags, max_pages=1, unclear=unclear)
    groups = cloud.describe_groups(tags=tags, unclear=unclear)
    some = f"{len(shots)}{'+' if len(shots) == PAGE else ''} tagged snapshots"
    yield _ok("snapshots", f"ours that can be seen: {some}, {len(groups)} groups")
    everybodys = cloud.describe_snapshots(instance_id=own, max_pages=LIMIT_PAGES, unclear=unclear)
    # The members of a group need not have its tags.
    yield from _unshown(known, shown=bool(shots or everybodys), groups=bool(groups))
    for why in {one.why for one in unclear}:
        yield Finding(check="snapshots", verdict=Verdict.WARN, text=why)
    for sentence in near_limit(everybodys, (disk.disk_id for disk in known.disks)).values():
        yield Finding(
            check="limit",
            verdict=Verdict.WARN,
            text=sentence,
            hint="`snap-self prune` deletes what is past its date, with --keep-last N more; those "
            "of other programs are deleted in the console",
        )


def _unshown(known: _Known, *, shown: bool, groups: bool) -> Iterator[Finding]:
    """Tell what is not shown though it was made: to whom may not list, the API shows nothing."""
    if not known.state_known:
        return
    try:
        records = known.tools.store.all()
    except StateUnusable:
        return  # the journal's own check tells
    own = known.identity.instance_id if known.identity else InstanceId("")
    made, grouped = should_be_there(records, own, known.tools.clock.now())
    for what, missing, action in (
        ("snapshot", made and not shown, "ecs:DescribeSnapshots"),
        ("group", grouped and not groups, "ecs:DescribeSnapshotGroups"),
    ):
        if missing:
            yield _warn(
                "snapshots",
                f"the cloud shows no {what} of ours, though the journal has some that were made",
                hint=f"unless they were deleted, allow {action}, as `snap-self policy` prints it",
            )


def _permission(known: _Known) -> Iterator[Finding]:
    """Tell whether the role may create snapshots, which only a create shows."""
    if known.identity is None:
        yield _skipped(PERMISSION, "the metadata service")
        return
    if not known.state_known:
        text = "whether snapshots may be created is not known, as the journal cannot be looked for"
        yield _warn(PERMISSION, text, hint=f"mend the configuration, then try it: {TRY}")
        return
    try:
        records = known.tools.store.all()
    except StateUnusable as error:
        text = f"whether snapshots may be created is not known: {error.message}"
        yield _warn(PERMISSION, text, hint=f"try it: {TRY}")
        return
    proof = create_proof(records, known.identity.instance_id)
    doubts = list(_doubts(proof, known))
    yield from doubts
    if not doubts:
        whose = f", with keys of: {proof.keys}" if proof.keys else ""
        yield _ok(PERMISSION, f"the last create worked, on {_day(proof)}{whose}")


def _doubts(proof: CreateProof, known: _Known) -> Iterator[Finding]:
    """Yield why what earlier creates show does not show that the next one will work."""
    if proof.refused is not None:
        yield _warn(
            PERMISSION,
            f"the cloud refused what run {proof.refused} asked for, for lack of permission",
            hint=f"`snap-self policy` prints what the role needs; then try again: {TRY}",
        )
        return
    if proof.worked is None:
        yield _warn(
            PERMISSION,
            "whether snapshots may be created shows only by creating one, and none is known",
            hint=f"try it: {TRY}",
        )
        return
    if known.keys_from and proof.keys and known.keys_from != proof.keys:
        yield _warn(
            PERMISSION,
            f"the last create worked, on {_day(proof)}, but with keys of: {proof.keys}; now they "
            f"are of: {known.keys_from}",
            hint=f"try it: {TRY}",
        )
    targets = known.coverage.targets if known.coverage else ()
    if new := proof.unproved([target.cloud.disk_id for target in targets]):
        yield _warn(
            PERMISSION,
            f"creating worked, on {_day(proof)}, but never yet for {', '.join(new)}",
            hint=f"the policy must name it, see `snap-self policy`; try it: {TRY}",
        )


def _day(proof: CreateProof) -> str:
    return _minute(proof.worked) if proof.worked else "no day"


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _looking_back(known: _Known) -> Iterator[Finding]:
    """Tell whether the role may look into snapshots; the main job does not need it."""
    if known.identity is None:
        yield _skipped(LOOKING_BACK, "the metadata service")
        return
    if not known.state_known:
        yield _skipped(LOOKING_BACK, "state.dir, which cannot be told from the configuration")
        return
    try:
        proof = open_proof(known.copies(), known.identity.instance_id)
    except StateUnusable as error:
        yield replace(_skipped(LOOKING_BACK, "the journal"), hint=error.message)
        return
    if proof.opened and not proof.failed:
        text = f"a snapshot was last opened on {_minute(proof.opened)}, and its disk deleted again"
        yield _ok(LOOKING_BACK, text)
        return
    tried = f"; the last try, on {_minute(proof.failed)}, opened none" if proof.failed else ""
    seen = f"one was opened on {_minute(proof.opened)}" if proof.opened else "none is known"
    yield Finding(
        check=LOOKING_BACK,
        verdict=Verdict.SKIPPED,
        text="whether restore, mount and verify may make their disks shows only by making one: "
        f"{seen}{tried}; no snapshot needs it",
        hint="the role needs what `snap-self policy --restore` prints; try it: snap-self verify "
        "last, which makes a disk for some minutes",
    )


def _journal(known: _Known) -> Iterator[Finding]:
    if not known.state_known:
        yield _skipped("journal", "state.dir, which cannot be told from the configuration")
        return
    with known.tools.lock.attempt(purpose="doctor") as held:
        if not held:
            yield Finding(check="journal", verdict=Verdict.WARN, text="another run is going on")
            return
        damaged = known.tools.store.damaged()
        for name in damaged:
            yield Finding(
                check="journal",
                verdict=Verdict.WARN,
                text=f"{name} cannot be read",
                hint="move it away; the cloud's tags still tell what was made",
            )
        now = known.tools.clock.now()
        for waiting in (record.waiting for record in known.tools.store.armed()):
            if waiting is not None:
                yield Finding(check="journal", verdict=Verdict.WARN, text=waiting.words(now))
        for record in known.tools.store.unfinished():
            yield Finding(
                check="journal",
                verdict=Verdict.WARN,
                text=f"{record.label} was interrupted",
                hint="`snap-self list` finds out what became of it",
            )
        if known.here is not None:
            own = known.here.identity.instance_id
            yield from _pending(finish_pending(known.tools, known.here.cloud, own, insist=True))
        if not damaged:
            yield _ok("journal", "the state directory can be written and read")


def _pending(pending: Pending) -> Iterator[Finding]:
    for text in pending.news:
        yield Finding(check="upload", verdict=Verdict.WARN, text=text)
    if not pending.left:
        return
    text = f"{pending.left} group members have no retention yet"
    hint = "it is set once they are uploaded: by the follower, a later snapshot, prune or doctor"
    if pending.refused:
        text += f"; the cloud refused it: {pending.refused}"
        hint = pending.mend or "the cloud's own words tell why; `snap-self prune` deletes them"
    if pending.given_up:
        hint += "; of itself snap-self does not try it again: `snap-self doctor` does"
    yield Finding(check="retention", verdict=Verdict.WARN, text=text, hint=hint)


def _root(root: bool) -> Iterator[Finding]:
    if root:
        yield _ok("root", "running as root")
    else:
        yield Finding(
            check="root",
            verdict=Verdict.WARN,
            text="not root: mounts of other namespaces (containers) cannot be seen",
            hint="run it with sudo",
        )


Check = Callable[[_Known], Iterator[Finding]]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("metadata", _metadata),
    ("api", _api),
    ("instance", _instance),
    ("disks", _disks),
    ("one-instant", _one_instant),
    ("snapshots", _snapshots),
    (PERMISSION, _permission),
    (LOOKING_BACK, _looking_back),
    ("journal", _journal),
)
