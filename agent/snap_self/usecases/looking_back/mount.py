"""Open a snapshot for people to look into, read-only, until it is closed or its time is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from snap_self.disks.where import Place, Places
from snap_self.errors import SnapSelfError, UsageError
from snap_self.model.restored import Intent, Mounted
from snap_self.model.temporary import CopyRecord, Purpose, Stage
from snap_self.usecases.looking_back.finding import Found, Source, find, place_of, source_at
from snap_self.usecases.looking_back.opening import Life, Plan
from snap_self.usecases.looking_back.planning import check_size, intent_of, plan_copy
from snap_self.usecases.looking_back.restore import Consent
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.looking_back.turn import opened_in_turn
from snap_self.usecases.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class MountRequest:
    """What is asked for.

    Args:
        wanted: a snapshot, group or run, or ``last``.
        at: where to; None for the usual place.
        path: the filesystem that holds it is meant; None for the only one, or that of ``/``.
        life_s: how long it stays open.
        sure: whoever asks has agreed beforehand.
    """

    wanted: str
    at: str | None = None
    path: str | None = None
    life_s: int = 3600
    sure: bool = False


def mount(
    tools: Tools, looking: LookingBack, request: MountRequest, consent: Consent
) -> Mounted | None:
    """Mount a snapshot, or tell where it is mounted already; None if no disk was wanted.

    Raises:
        DiskLeft: it failed, and something of the copy stays.
        SnapSelfError: it failed, and nothing stays.
    """
    found = find(tools, request.wanted)
    source = _source(found, tools, request)
    life = timedelta(seconds=request.life_s)
    plan = plan_copy(looking, found, source, Purpose.MOUNT, life=life)
    known = _known(looking.copies.unfinished(), plan.record)
    if known is not None:
        return _join(tools, looking, known, plan, intent_of(plan, found, source))
    at = request.at or looking.places.usual(source.shots[0].snapshot_id)
    makes = looking.places.check(at)
    intent = replace(intent_of(plan, found, source), to=at)
    check_size(looking, intent, sure=request.sure)
    if not consent.to_disk(intent):
        return None
    plan = replace(plan, record=replace(plan.record, made_folder=makes))
    with opened_in_turn(tools, looking, found, plan, at=at) as copy:
        _leave_open(looking, copy, life)
    timed = looking.places.end_after(copy.record.restore_id, request.life_s)
    return Mounted(
        record=copy.record, intent=intent, timed=timed, notes=found.notes, caveats=copy.caveats
    )


def _leave_open(looking: LookingBack, copy: Life, life: timedelta) -> None:
    record = copy.record.at(Stage.OPEN)
    copy.note(replace(record, until=looking.clock.now() + life))
    copy.kept_open = True


def _known(records: Sequence[CopyRecord], wanted: CopyRecord) -> CopyRecord | None:
    """Return a mount of the same snapshots that is open."""
    sources = [disk.order.snapshot_id for disk in wanted.disks]
    for record in records:
        shots = [disk.order.snapshot_id for disk in record.disks]
        if record.is_open and shots == sources and record.source == wanted.source:
            return record
    return None


def _join(
    tools: Tools, looking: LookingBack, known: CopyRecord, plan: Plan, intent: Intent
) -> Mounted:
    """Let a mount that is open live as long as is asked for now, if that is longer."""
    with looking.lock.hold(timeout_s=tools.lock_wait_s, purpose="mount"):
        record = looking.copies.load(known.restore_id)
        if record is None or not record.is_open:
            raise UsageError(
                f"{known.mounted_at} was closed just now", hint="give the same command again"
            )
        until = max(record.until, plan.record.until)
        record = replace(record, until=until)
        looking.copies.save(record)
    seconds = max(1, int((until - looking.clock.now()).total_seconds()))
    timed = looking.places.end_after(record.restore_id, seconds)
    return Mounted(record=record, intent=intent, timed=timed, joined=True)


def _source(found: Found, tools: Tools, request: MountRequest) -> Source:
    """Return the filesystem that is meant.

    Raises:
        UsageError: the snapshots hold several, and none of them is meant for certain.
    """
    if request.path is not None:
        return source_at(found, place_of(found, tools.machine, request.path))
    held = list(_held(found))
    roots = [place for place in held if place.mount.path == "/"]
    if len(held) == 1 or roots:
        return source_at(found, (roots or held)[0])
    if not held:
        raise UsageError(
            f"nothing that is mounted here now lies in {found.name} whole",
            hint=f"`snap-self show {found.name}` has the steps for another machine",
        )
    names = ", ".join(place.mount.path for place in held)
    raise UsageError(
        f"{found.name} holds several filesystems: {names}", hint="name one with --path"
    )


def _held(found: Found) -> Sequence[Place]:
    """Return each filesystem that the snapshots hold whole, at its first mount point."""
    places, held = Places(found.survey.layout), []
    for filesystem in found.survey.layout.filesystems.values():
        seen = [m for m in filesystem.mounts if m.namespace is None and not m.hidden]
        if not seen or filesystem.parents:
            continue
        place = places.of_mount_point(seen[0].path)
        if place is None or place.filesystem is not filesystem:
            continue
        try:
            source_at(found, place)
        except SnapSelfError:
            continue
        held.append(place)
    return held
