"""Check every precondition of the main job, each failed one with its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from snap_self.cloud.answers import Unclear
from snap_self.cloud.client import EcsClient
from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.model.disks import CloudDisk, Coverage, Selection
from snap_self.model.snapshots import OWNER_TAG, Identity
from snap_self.plan import can_group, near_limit
from snap_self.usecases.own import PAGE
from snap_self.usecases.pending import Pending, finish_pending
from snap_self.usecases.tools import Tools

# Enough to see a few disks' limit come near; API limits are shared by the whole account.
LIMIT_PAGES = 12


class Verdict(Enum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's result.

    Args:
        hint: how to mend it; empty when nothing is to be mended.
        exit_status: what the main job would end with because of it.
    """

    check: str
    verdict: Verdict
    text: str
    hint: str = ""
    exit_status: ExitStatus = ExitStatus.DONE


@dataclass(slots=True)
class _Known:
    """What earlier checks learned for later ones."""

    tools: Tools
    identity: Identity | None = None
    keys: bool = True
    cloud: EcsClient | None = None
    disks: tuple[CloudDisk, ...] = ()
    coverage: Coverage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings; the exit status is that of the first failed one."""

    findings: tuple[Finding, ...]
    identity: Identity | None

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
    """
    known = _Known(tools)
    findings: list[Finding] = []
    for name, check in _CHECKS:
        try:
            findings += check(known)
        except SnapSelfError as error:
            findings.append(_failed(name, error))
        if name == "metadata":
            findings += _credentials(known, credentials)
    findings += _root(root)
    if try_freeze is not None:
        findings += _freeze(try_freeze)
    if try_hold is not None:
        findings.append(_hold(try_hold()))
    if hooks is not None:
        findings.append(_hooks(*hooks()))
    return Diagnosis(findings=tuple(findings), identity=known.identity)


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
    )


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, text=text)


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
    except SnapSelfError as error:
        known.keys = False
        failed = _failed("credentials", error)
        others = (line for line in error.details.splitlines() if error.message not in line)
        looked_at = "; ".join(others)
        yield replace(failed, text=f"{failed.text} ({looked_at})") if looked_at else failed
        return
    yield _ok("credentials", "; ".join(f"{source}: {verdict}" for source, verdict in trail))


def _api(known: _Known) -> Iterator[Finding]:
    if known.identity is None:
        yield _skipped("api", "the metadata service")
        return
    if not known.keys:
        yield _skipped("api", "credentials")
        return
    known.tools.warm()
    cloud = known.tools.connect(known.identity)
    known.disks = cloud.describe_disks(known.identity.instance_id)
    known.cloud = cloud  # it answers: one that does not would be waited for again by each check
    if known.disks:
        yield _ok("api", f"DescribeDisks shows {len(known.disks)} disks of this instance")
        return
    yield Finding(
        check="api",
        verdict=Verdict.FAIL,
        text="DescribeDisks shows no disk of this instance",
        hint="a role that may not describe disks gets an empty list: allow ecs:DescribeDisks",
        exit_status=ExitStatus.CREDENTIALS,
    )


def _instance(known: _Known) -> Iterator[Finding]:
    if known.cloud is None or known.identity is None:
        yield _skipped("instance", "the ECS API")
        return
    state = known.cloud.describe_instance(known.identity.instance_id)
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
    known.coverage = choose(layout, mapped, Selection(), ())
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
                check="disks", verdict=Verdict.WARN, text=f"{gap.what} is not covered: {gap.why}"
            )


def _local(local: object) -> str:
    return f"/dev/{getattr(local, 'name', '')}" if local else "not seen here"


def _one_instant(known: _Known) -> Iterator[Finding]:
    if known.coverage is None:
        yield _skipped("one-instant", "the disks")
        return
    why = can_group([target.cloud for target in known.coverage.targets])
    _, unflushable = flush_plan(known.coverage)
    if unflushable:
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
    if known.cloud is None or known.identity is None:
        yield _skipped("snapshots", "the ECS API")
        return
    tags = {OWNER_TAG: known.identity.instance_id}
    unclear: list[Unclear] = []
    shots = known.cloud.describe_snapshots(tags=tags, max_pages=1, unclear=unclear)
    groups = known.cloud.describe_groups(tags=tags, unclear=unclear)
    some = f"{len(shots)}{'+' if len(shots) == PAGE else ''} tagged snapshots"
    yield _ok("snapshots", f"ours that can be seen: {some}, {len(groups)} groups")
    everybodys = known.cloud.describe_snapshots(
        instance_id=known.identity.instance_id, max_pages=LIMIT_PAGES, unclear=unclear
    )
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


def _journal(known: _Known) -> Iterator[Finding]:
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
        for record in known.tools.store.unfinished():
            yield Finding(
                check="journal",
                verdict=Verdict.WARN,
                text=f"run {record.run_id} (before {record.before!r}) was interrupted",
                hint="`snap-self list` finds out what became of it",
            )
        if known.cloud is not None and known.identity is not None:
            own = known.identity.instance_id
            yield from _pending(finish_pending(known.tools, known.cloud, own, insist=True))
        if not damaged:
            yield _ok("journal", "the state directory can be written and read")


def _pending(pending: Pending) -> Iterator[Finding]:
    for text in pending.news:
        yield Finding(check="upload", verdict=Verdict.WARN, text=text)
    if not pending.left:
        return
    text = f"{pending.left} group members have no retention yet"
    hint = "it is set by the follower or a later command once they are uploaded"
    if pending.refused:
        text += f"; the cloud refused it: {pending.refused}"
        hint = "the role needs ecs:ModifySnapshotAttribute, see packaging/ram/README.md"
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
    ("journal", _journal),
)
