"""Make the RAM policy of this instance's role from the metadata alone: no key, no call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from snap_self.access.documents import (
    BOUND_LIMIT,
    CUSTOM_LIMIT,
    SESSION_LIMIT,
    Document,
    FleetTag,
    as_sent,
    fleet_policy,
    parse_fleet_tag,
    role_policy,
    rollback_role_policy,
    session_policy,
)
from snap_self.access.setup import (
    PolicyKind,
    RollbackSetup,
    Setup,
    fleet_setup,
    role_setup,
    rollback_setup,
    session_setup,
)
from snap_self.errors import EnvironmentFault, UsageError
from snap_self.model.actions import ANYTHING, Holder, Policy, rollback_role
from snap_self.model.disks import Layout, LocalDisk
from snap_self.model.ids import DISK_ID, DiskId
from snap_self.model.shown import shown
from snap_self.model.snapshots import Identity

PHYSICAL = "disk"
# As they are asked for on the command line.
OPTIONS = {
    Policy.PRUNE: "--prune",
    Policy.TAGS: "--tags",
    Policy.RESTORE: "--restore",
    Policy.ROLLBACK: "--rollback",
    Policy.ONLINE: "--online",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """What is asked for.

    Args:
        policies: what is to be allowed beside the main job.
        session: what narrows a shared role, instead of a role's own policy.
        fleet: the tag of a fleet as ``KEY=VALUE``; empty for this instance alone.
        disks: ids of the only disks to be named; empty for those that the metadata name.
        rollback_role: the role that OOS is given, as configured; empty for the usual one.
    """

    policies: tuple[Policy, ...] = ()
    session: bool = False
    fleet: str = ""
    disks: tuple[str, ...] = ()
    rollback_role: str = ""


class PolicyDoubt(Enum):
    """What a policy's reader must know."""

    TOO_LONG = "too-long"
    ACCOUNT_UNKNOWN = "account-unknown"
    DISK_NOT_NAMED = "disk-not-named"
    DELETES = "deletes"
    DELETES_OF_OTHERS = "deletes-of-others"
    READS_THE_PAST = "reads-the-past"
    READS_OTHERS = "reads-others"
    GOES_BACK = "goes-back"
    GOES_BACK_ONLINE = "goes-back-online"
    UNPROVED_HANDING = "unproved-handing-over"
    UNPROVED_DISK = "unproved-disk"
    SHARED_ROLE = "shared-role"
    UNPROVED_TAG = "unproved-tag"
    REBINDS = "rebinds"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWarning:
    """A doubt in words."""

    doubt: PolicyDoubt
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """A policy, and how it comes to the instance's role.

    Args:
        holder: the instance that it was made on, with the disks that it names.
        bound: the role that the instance has by now; empty for none.
        characters: of the text that the commands send; ``limit`` is the most the cloud takes.
        setup: has no commands and steps where the cloud would not take the policy.
        rollback: the second role, which OOS brings disks back with; None where none is asked for.
    """

    kind: PolicyKind
    holder: Holder
    bound: str
    fleet: FleetTag | None
    document: Document
    characters: int
    limit: int
    warnings: tuple[PolicyWarning, ...]
    setup: Setup
    rollback: RollbackSetup | None = None

    @property
    def fits(self) -> bool:
        """Tell whether the cloud takes it."""
        return self.characters <= self.limit


def make_policy(
    request: PolicyRequest,
    *,
    identify: Callable[[], Identity],
    bound_role: Callable[[], str],
    look: Callable[[], Layout],
    user_map: Mapping[str, DiskId],
) -> PolicyReport:
    """Return the policy that was asked for.

    Args:
        identify: asks the metadata service who and where this instance is.
        bound_role: returns the role that is bound to it; empty for none.
        look: returns the storage that the kernel sees.
        user_map: device to disk id, from the configuration.

    Raises:
        UsageError: what is asked for does not go together, or is no id or tag.
        EnvironmentFault: the metadata service does not answer, or names no disk.
    """
    fleet = _checked(request)
    identity = identify()
    holder = _holder(request, identity, user_map, needs_disks=fleet is None)
    bound = bound_role()
    policies = (Policy.CREATE, *request.policies)
    if fleet is not None:
        document = fleet_policy(holder, fleet, policies)
        setup = fleet_setup(holder, fleet, document, bound=bound)
        kind, limit = PolicyKind.FLEET, CUSTOM_LIMIT
    elif request.session:
        document = session_policy(holder, policies)
        setup = session_setup(holder, document, bound=bound)
        kind, limit = PolicyKind.SESSION, BOUND_LIMIT
    else:
        document = role_policy(holder, policies, passed=request.rollback_role)
        setup = role_setup(holder, document, bound=bound)
        kind, limit = PolicyKind.ROLE, CUSTOM_LIMIT
    report = PolicyReport(
        kind=kind,
        holder=holder,
        bound=bound,
        fleet=fleet,
        document=document,
        characters=len(as_sent(document)),
        limit=limit,
        warnings=(),
        setup=setup,
        rollback=_rollback(request, holder),
    )
    unnamed = () if fleet else _unnamed(look(), identity, user_map, holder)
    warnings = tuple(_warnings(report, request, unnamed))
    return replace(report, warnings=warnings, setup=setup if report.fits else setup.withheld())


def _rollback(request: PolicyRequest, holder: Holder) -> RollbackSetup | None:
    if Policy.ROLLBACK not in request.policies:
        return None
    role = request.rollback_role or rollback_role(holder.instance_id)
    return rollback_setup(rollback_role_policy(holder), role=role)


def _checked(request: PolicyRequest) -> FleetTag | None:
    """Return the fleet's tag, None without one.

    Raises:
        UsageError: what is asked for does not go together, or is no id or tag.
    """
    if request.session and request.fleet:
        raise UsageError(
            "--session and --fleet are two policies",
            hint="the role's: snap-self policy --fleet KEY=VALUE; then, on each instance, what "
            "narrows it: snap-self policy --session",
        )
    for policy in (Policy.ROLLBACK, Policy.ONLINE):
        if policy in request.policies and (request.session or request.fleet):
            raise UsageError(
                f"{OPTIONS[policy]} is of one instance alone, as its disks can be thrown back by "
                "it",
                hint=f"on each instance: snap-self policy {OPTIONS[policy]}",
            )
    if request.fleet and request.disks:
        raise UsageError(
            "--fleet names disks by their tag, not by --disk",
            hint="leave one of them out",
        )
    for disk_id in request.disks:
        if not DISK_ID.fullmatch(disk_id):
            raise UsageError(
                f"--disk {shown(disk_id)} is no disk id", hint="a policy needs ids: --disk d-bp1…"
            )
    return parse_fleet_tag(request.fleet) if request.fleet else None


def _holder(
    request: PolicyRequest,
    identity: Identity,
    user_map: Mapping[str, DiskId],
    *,
    needs_disks: bool,
) -> Holder:
    """Return whose disks the policy is about.

    Raises:
        EnvironmentFault: nothing names a disk, and the policy needs one.
    """
    known = (*identity.serial_to_disk.values(), *user_map.values())
    disks = tuple(sorted(set(request.disks or known)))
    if needs_disks and not disks:
        raise EnvironmentFault(
            "the metadata service names no disk of this instance",
            hint="name each by its id, which the ECS console shows: snap-self policy --disk d-bp1…",
        )
    return replace(identity.holder, disks=disks)


def _unnamed(
    layout: Layout, identity: Identity, user_map: Mapping[str, DiskId], holder: Holder
) -> Sequence[LocalDisk]:
    """Return the disks of this machine that nothing ties to one that the policy names."""
    by_user = {
        name: disk_id
        for device, disk_id in user_map.items()
        for name in layout.devices.get(device.removeprefix("/dev/"), ())
    }

    def is_named(disk: LocalDisk) -> bool:
        told = by_user.get(disk.name) or identity.serial_to_disk.get(disk.serial)
        return (told or _guess(disk)) in holder.disks

    return [d for d in layout.disks.values() if d.kind == PHYSICAL and not is_named(d)]


def _guess(disk: LocalDisk) -> str:
    """Return the id that a disk of this serial would have; empty where none fits."""
    guess = f"d-{disk.serial}"
    return guess if DISK_ID.fullmatch(guess) else ""


def _warnings(
    report: PolicyReport, request: PolicyRequest, unnamed: Sequence[LocalDisk]
) -> Iterator[PolicyWarning]:
    def warning(doubt: PolicyDoubt, text: str) -> PolicyWarning:
        return PolicyWarning(doubt=doubt, text=text)

    if not report.fits:
        yield warning(PolicyDoubt.TOO_LONG, _too_long(report, request))
    if report.holder.account == ANYTHING and report.kind is not PolicyKind.SESSION:
        text = "the metadata do not tell the account: * stands for it, which means the policy's own"
        yield warning(PolicyDoubt.ACCOUNT_UNKNOWN, text)
    if unnamed:
        yield warning(PolicyDoubt.DISK_NOT_NAMED, _not_named(unnamed, report.holder, request))
    if Policy.PRUNE in request.policies:
        yield warning(
            PolicyDoubt.DELETES,
            "whoever takes over the instance can delete its snapshots then; retention needs no "
            "such right, and `snap-self prune` may be run with other keys",
        )
        if report.kind is PolicyKind.FLEET:
            yield warning(
                PolicyDoubt.DELETES_OF_OTHERS,
                "each member may delete the snapshots of all others, unless its role is narrowed: "
                "snap-self policy --session --prune",
            )
    if Policy.RESTORE in request.policies:
        for doubt, text in _restore_doubts(report.kind):
            yield warning(doubt, text)
    for doubt, text in _going_back_doubts(request):
        yield warning(doubt, text)
    if report.kind is PolicyKind.FLEET:
        yield warning(
            PolicyDoubt.UNPROVED_TAG,
            "that CreateSnapshot and CreateSnapshotGroup heed the tags of disks and instances is "
            "not documented: try it on one member first",
        )
    if report.kind is PolicyKind.ROLE and report.bound:
        yield warning(
            PolicyDoubt.SHARED_ROLE,
            f"role {report.bound} gets these rights on every instance that it is bound to",
        )
    if report.kind is PolicyKind.SESSION and report.bound and report.fits:
        yield warning(
            PolicyDoubt.REBINDS,
            f"role {report.bound} is bound anew: between the two commands the instance has none",
        )


def _going_back_doubts(request: PolicyRequest) -> Iterator[tuple[PolicyDoubt, str]]:
    """Yield what a thief of the instance could do with the rights to bring disks back."""
    if Policy.ROLLBACK in request.policies:
        yield (
            PolicyDoubt.GOES_BACK,
            "whoever takes over the instance can bring its disks back to any snapshot of its own, "
            "which throws away what was written since, stop and start it, run commands on it, and "
            "make snapshots of its disks that cost money; no other instance, disk or snapshot. He "
            "can also cancel executions of OOS in this region, those of others too",
        )
        yield (
            PolicyDoubt.UNPROVED_HANDING,
            "that OOS asks for ram:PassRole is not documented for certain; without need for it the "
            "statement allows nothing more",
        )
    if Policy.ONLINE in request.policies:
        yield (
            PolicyDoubt.GOES_BACK_ONLINE,
            "whoever takes over the instance can detach its disks and bring them back to any "
            "snapshot of its own, which throws away what was written since; he can neither delete "
            "them nor touch those of others",
        )


def _restore_doubts(kind: PolicyKind) -> Iterator[tuple[PolicyDoubt, str]]:
    """Yield what no statement of a policy can say of temporary disks."""
    yield (
        PolicyDoubt.READS_THE_PAST,
        "whoever takes over the instance can read what its snapshots hold, deleted secrets too, "
        "and make disks that cost money; of disks he can delete temporary ones only",
    )
    if kind is PolicyKind.FLEET:
        yield (
            PolicyDoubt.READS_OTHERS,
            "each member may read the snapshots of all others, unless its role is narrowed: "
            "snap-self policy --session --restore",
        )
    yield (
        PolicyDoubt.UNPROVED_DISK,
        "that CreateDisk heeds the tags of the request and of the snapshot is not documented: if "
        "not, bringing files back is refused, or disks can be made of other snapshots too; try "
        "both once, as ram/README.md in snap-self's documentation says",
    )


def _too_long(report: PolicyReport, request: PolicyRequest) -> str:
    said = f"{report.characters} characters, and the cloud takes {report.limit}: "
    if report.kind is PolicyKind.SESSION:
        longer = (
            f" (AssumeRole takes {SESSION_LIMIT})" if report.characters <= SESSION_LIMIT else ""
        )
        fewer = "name fewer disks by --disk"
        if request.policies:
            fewer += f", or leave {' or '.join(OPTIONS[policy] for policy in request.policies)} out"
        return f"{said}as it is, it cannot be bound with the role{longer}; {fewer}"
    return f"{said}name fewer disks by --disk, or disks by a tag: --fleet KEY=VALUE"


def _not_named(unnamed: Sequence[LocalDisk], holder: Holder, request: PolicyRequest) -> str:
    """Tell of disks and of the one command that names them beside what is named by now."""
    which = ", ".join(
        f"{disk.node} ({f'serial {shown(disk.serial)}' if disk.serial else 'no serial'})"
        for disk in unnamed
    )
    ids = dict.fromkeys((*holder.disks, *(_guess(disk) or "d-…" for disk in unnamed)))
    asked = ["--session"] if request.session else []
    asked += [OPTIONS[policy] for policy in request.policies]
    words = " ".join([*asked, *(f"--disk {each}" for each in ids)])
    return f"not in the policy: {which}; if that is a cloud disk: snap-self policy {words}"
