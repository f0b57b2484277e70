"""Whether data disks can go back while the system runs, and what is to be done around it; pure.

Source: ECS API reference, DetachDisk, ResetDisk, AttachDisk: a detached disk is reset without a
stop of its instance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snap_self.disks.carried import MOST_MOUNTS
from snap_self.errors import (
    DisksInUse,
    NotWhileRunning,
    RollbackUnfinished,
    SnapSelfError,
    TornSet,
    UsageError,
)
from snap_self.model.disks import Filesystem, Layout
from snap_self.model.going_back import (
    DamagedReturn,
    DiskState,
    Heading,
    ReturnRecord,
    Stacked,
    Standing,
    Step,
    UnitFacts,
    User,
)
from snap_self.model.ids import DiskId
from snap_self.model.shown import printable
from snap_self.model.users import in_use
from snap_self.recovery.rollback import ROOT, SYSTEM_PARTS, RollbackPlan

# What is taken away and made again by the kernel, or by LVM.
PLAIN_LAYERS = frozenset({"partition", "lvm"})
ON_OTHERS = "btrfs"
# From when all is unmounted until the first is mounted again.
DETACHED = frozenset({Step.DETACHING, Step.RESETTING, Step.ATTACHING})
GOES_ON = "every later snap-self command that looks after interrupted work goes on with it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What lies around the disks.

    Args:
        layout: all of the machine's storage.
        standing: what stands on the disks.
        units: those that are named, as systemd knows them.
        kept: directories that must stay where they are, such as that of the journal.
        unmeant: those of the units that nobody named: systemd stops them with a mount.
    """

    layout: Layout
    standing: Standing
    units: tuple[UnitFacts, ...]
    kept: tuple[str, ...]
    unmeant: frozenset[str] = frozenset()


def refusals_online(plan: RollbackPlan, around: Around) -> tuple[SnapSelfError, ...]:
    """Return every reason not to do it while the system runs, the gravest first."""
    names = frozenset(one.disk.name for one in plan.returns if one.disk.name)
    outside = f"snap-self rollback {plan.run} --oos stops the machine for it, or --print tells how"
    return (
        *_of_the_system(plan, names, around, outside),
        *_not_portable(plan, outside),
        *_stacked(names, around, outside),
        *_mounted_oddly(names, around),
        *_unfit_units(around),
        *_used(around),
    )


def _of_the_system(
    plan: RollbackPlan, names: frozenset[str], around: Around, hint: str
) -> Iterator[SnapSelfError]:
    system = [one.disk_id for one in plan.returns if one.disk.is_system]
    if system:
        yield NotWhileRunning(
            f"{', '.join(system)} is the system disk, which goes back only while the machine is "
            "stopped",
            hint=hint,
        )
        return
    parts = {ROOT, *SYSTEM_PARTS}
    for each in _filesystems(around.layout, names):
        if places := sorted(parts & {mount.path for mount in each.mounts}):
            yield NotWhileRunning(
                f"{places[0]} lies on a disk that would go back, and the system runs from it",
                hint=hint,
            )
    for place in around.standing.mounts:
        for kept in around.kept:
            if _lies_in(kept, place.place):
                yield NotWhileRunning(
                    f"{kept} lies on {place.place}, and snap-self needs it meanwhile", hint=hint
                )


def _not_portable(plan: RollbackPlan, hint: str) -> Iterator[SnapSelfError]:
    for one in plan.returns:
        if not one.disk.is_system and not one.disk.cloud.portable:
            yield NotWhileRunning(
                f"{one.disk_id} was bought with the instance and cannot be detached", hint=hint
            )
        elif not one.disk.cloud.serial:
            yield NotWhileRunning(
                f"the cloud tells no serial of {one.disk_id}, by which it would be found again",
                hint=hint,
            )


def _stacked(names: frozenset[str], around: Around, hint: str) -> Iterator[SnapSelfError]:
    """Yield what stands on the disks that is not taken away here."""
    for path, disks in around.layout.swaps.items():
        if disks & names:
            yield DisksInUse(f"{path} is swap in use", hint=f"swapoff {path}")
    for each in around.standing.on_top:
        if each.kind not in PLAIN_LAYERS:
            yield NotWhileRunning(
                f"{_called(each)} stands on a disk that would go back, and is not taken apart here",
                hint=hint,
            )
    for span in around.layout.spans:
        if span.disks & names and span.kind == ON_OTHERS:
            yield NotWhileRunning(
                f"{span.name} is a btrfs over several disks, which is not done while it runs",
                hint=hint,
            )
    ours = frozenset(around.standing.nodes)
    for group, nodes in around.standing.groups.items():
        if others := sorted({*nodes} - ours):
            yield TornSet(
                f"volume group {group} lies also on {', '.join(others)}, which would not go back",
                hint=hint,
            )


def _called(device: Stacked) -> str:
    kinds = {"crypt": "encrypted volume", "md": "md array", "loop": "loop device"}
    return f"{kinds.get(device.kind, f'a device of kind {device.kind},')} {device.name}"


def _mounted_oddly(names: frozenset[str], around: Around) -> Iterator[SnapSelfError]:
    """Yield what could not be unmounted, or not be mounted again as it was."""
    for each in _filesystems(around.layout, names):
        if each.fstype == "overlay" or each.parents:
            where = each.mounts[0].path if each.mounts else each.key
            yield DisksInUse(
                f"{where} stands on files of a disk that would go back",
                hint="end what uses it first, as a container or a loop device",
            )
            continue
        yield from _oddly(each)
    for user in around.standing.elsewhere:
        yield DisksInUse(
            f"the disks are also mounted in another mount namespace, of {printable(user.program)} "
            f"(pid {user.pid}), which keeps them",
            hint="end the container or sandbox that has it",
        )
    for place in around.standing.below:
        yield DisksInUse(
            f"{place} is mounted on a filesystem that would go back", hint=f"umount {place}"
        )
    for unseen in (one for one in around.layout.unseen if one.disks & names):
        yield DisksInUse(
            f"{unseen.what} ({unseen.fstype}) is in use, and mounted nowhere that can be seen",
            hint="end the process that holds it: a container, or one whose files were unmounted",
        )
    for doubt in (one for one in around.layout.doubts if one.disks & names):
        yield NotWhileRunning(f"{doubt.what}: {doubt.why}", hint="see `snap-self plan`")


def _oddly(filesystem: Filesystem) -> Iterator[SnapSelfError]:
    """Yield which of a filesystem's own mounts keep it from being unmounted and mounted again."""
    own = {mount.path for mount in filesystem.mounts if mount.namespace is None}
    for mount in filesystem.mounts:
        if mount.namespace is not None:
            # At the same place it is what a service's sandbox was given, and goes with ours.
            # Where it does not, what stands on the disks tells so.
            if mount.path in own:
                continue
            process = f" (process {mount.pid})" if mount.pid else ""
            yield DisksInUse(
                f"{mount.path} is also mounted in another mount namespace{process}",
                hint="end the container or service that has it",
            )
        elif mount.hidden:
            yield DisksInUse(
                f"{mount.path} is mounted below another mount, which hides it",
                hint="unmount what lies over it",
            )
        elif mount.root != "/" and filesystem.fstype != ON_OTHERS:
            yield DisksInUse(
                f"{mount.path} is a part of a filesystem that would go back, mounted by itself",
                hint=f"umount {mount.path}",
            )


def _unfit_units(around: Around) -> Iterator[SnapSelfError]:
    for unit in around.units:
        if unit.name in around.standing.own_units:
            yield UsageError(
                f"this command runs in unit {unit.name}, and would be ended with it",
                hint="run it outside of that: from another log-in, or by "
                "`systemd-run --pty --slice=system.slice snap-self rollback …`",
            )
        if not unit.known:
            yield UsageError(
                f"systemd knows no unit {unit.name}", hint="systemctl list-units shows their names"
            )


def _used(around: Around) -> Iterator[SnapSelfError]:
    """Yield who has something open there and is not to be stopped."""
    named = frozenset(unit.name for unit in around.units) - around.unmeant
    strangers = [user for user in around.standing.users if user.unit not in named]
    if error := in_use(strangers):
        yield error


def lvm_groups(standing: Standing) -> tuple[str, ...]:
    """Return the volume groups that are to be deactivated, and activated again, in a fixed order.

    What was not active stays so.
    """
    return tuple(sorted({*standing.groups} - standing.idle_groups))


def younger_places(
    record: ReturnRecord, carried: Mapping[DiskId, Sequence[str]]
) -> tuple[str, ...]:
    """Return what is mounted of the disks and was not when the snapshots were made.

    Args:
        carried: where each disk was mounted then, as a run notes it: some of many.
    """
    then = [carried[disk] for disk in record.disk_ids if disk in carried]
    if len(then) < len(record.disks) or any(len(places) >= MOST_MOUNTS for places in then):
        return ()  # it was not noted, or not all of it
    known = {path for places in then for path in places}
    return tuple(place for place in record.places if place not in known)


def unfinished(record: ReturnRecord, why: str) -> RollbackUnfinished:
    """Return the truth about disks that are half-way."""
    asked = [disk for disk in record.disks if disk.state is DiskState.ASKED]
    left = [disk for disk in record.disks if disk.state is DiskState.AS_IT_WAS]
    used = "findmnt and systemctl tell what of them is mounted and runs"
    if record.step in DETACHED:
        used = "snap-self has nothing on them mounted or started"
    if not record.whole and not record.untouched:
        used += ", as they would not fit together"
    missing = [*asked, *left] if record.heading is Heading.FORWARD else []
    return RollbackUnfinished(
        f"rollback {record.return_id} to run {record.run} is not finished: {why}. "
        f"{fate_words(record)}; {used}{_boot_words(record)}",
        hint=_hint(record, [f"{disk.disk_id} to {disk.snapshot_id}" for disk in missing]),
    )


def damaged_hint(damaged: DamagedReturn) -> str:
    """Return what is to be done about a record that cannot be read."""
    return (
        f"snap-self rollback {damaged.return_id} --give-up tells where its disks are, and sets the "
        "record aside"
    )


def fate_words(record: ReturnRecord) -> str:
    """Return what is known of the content of each disk."""
    gone = [disk.disk_id for disk in record.disks if disk.state is DiskState.WENT_BACK]
    asked = [disk for disk in record.disks if disk.state is DiskState.ASKED]
    left = [disk for disk in record.disks if disk.state is DiskState.AS_IT_WAS]
    told = []
    if gone:
        told.append(f"{', '.join(gone)} went back")
    told += [f"whether {disk.disk_id} did is not known" for disk in asked]
    if left and (gone or asked):
        told.append(f"{', '.join(disk.disk_id for disk in left)} did not")
    if record.untouched:
        told.append("no disk was reset, and nothing is lost")
    return "; ".join(told)


def _boot_words(record: ReturnRecord) -> str:
    if not record.waits_in_fstab:
        return ""
    places = ", ".join(map(printable, record.waits_in_fstab))
    return f". Do not restart this machine until then: /etc/fstab has it wait for {places}"


def beneath_words(users: Sequence[User]) -> tuple[str, ...]:
    """Return what is said of processes whose files a mount hides."""
    return tuple(
        f"{printable(user.program) or 'a process'} (pid {user.pid}{_of(user.unit)}) goes on with "
        f"{printable(user.path)} of below the mount, which is not on the disk: restart it"
        for user in users
    )


def _of(unit: str) -> str:
    return f", unit {unit}" if unit else ""


def mind_words(record: ReturnRecord, standing: Standing) -> Iterator[str]:
    """Yield what whoever agrees is to know of disks that are away for a while."""
    if record.waits_in_fstab:
        places = ", ".join(map(printable, record.waits_in_fstab))
        yield (
            f"do not restart the machine meanwhile: /etc/fstab has it wait for {places} without "
            "nofail, so it would come up in emergency mode"
        )
    for name in standing.kernel_names:
        yield (
            f"/etc/fstab names {printable(name)}, which may be another disk's name once disks were "
            "detached: name it by its UUID"
        )
    yield from released_words({disk.disk_id: disk.delete_with_instance for disk in record.disks})


def _hint(record: ReturnRecord, resets: Sequence[str]) -> str:
    told = GOES_ON
    if resets:
        told += f"; what it tries again is to reset {', '.join(resets)}"
    if record.present and resets:
        told += f"; the state before is kept by run {record.present}"
    told += f". To have it end here: snap-self rollback {record.return_id} --give-up"
    return told


def _filesystems(layout: Layout, names: Collection[str]) -> list[Filesystem]:
    return [each for each in layout.filesystems.values() if each.disks & frozenset(names)]


def _lies_in(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def released_words(released: Mapping[DiskId, bool | None]) -> Iterator[str]:
    """Yield which disks lose that they are released with the instance, as nobody knows it."""
    for disk_id, value in released.items():
        if value is None:
            yield (
                f"it is not known whether {disk_id} is to be released with the instance; it will "
                "not be"
            )
