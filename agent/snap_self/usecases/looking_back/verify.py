"""Prove snapshots: open each filesystem's copy, check it, compare it with what the run noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from snap_self.errors import (
    CopyDamaged,
    CopyNotOpened,
    DiskLeft,
    PreconditionRefused,
    SnapSelfError,
    StateUnusable,
)
from snap_self.model.ids import RunId, SnapshotId
from snap_self.model.restored import Intent
from snap_self.model.snapshots import VERIFIED_TAG
from snap_self.model.temporary import Purpose
from snap_self.model.verification import Verdict, Verification, worst
from snap_self.model.verified import FilesystemProof, Verified
from snap_self.usecases.looking_back.finding import Found, Source, find
from snap_self.usecases.looking_back.planning import LIFE, check_size, intent_of, plan_copy
from snap_self.usecases.looking_back.proving import Proving, Target, look_into, targets_of
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.looking_back.turn import opened_in_turn
from snap_self.usecases.tools import Tools

TAG_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What is asked for.

    Args:
        wanted: a snapshot, group or run, or ``last``.
        path: only the filesystem that holds it; None for all.
        sure: whoever asks has agreed beforehand, to large disks too.
    """

    wanted: str
    path: str | None = None
    sure: bool = False


class Consent(Protocol):
    """Asks whoever started the command; what does not ask, agrees."""

    def to_disks(self, intents: Sequence[Intent]) -> bool:
        """Tell whether these disks may be made, one after the other."""
        ...


def verify(
    tools: Tools, looking: LookingBack, proving: Proving, request: VerifyRequest, consent: Consent
) -> Verified | None:
    """Prove what can be proved of each filesystem; None if no disk was wanted.

    Raises:
        SnapSelfError: nothing could be opened, so nothing is known.
    """
    found = find(tools, request.wanted)
    work = _Work(tools, looking, proving, found)
    if request.path is not None:
        work.lacks = _lacking(targets_of(found, tools.machine, None))
    targets = [work.planned(each) for each in targets_of(found, tools.machine, request.path)]
    intents = [intent for _, intent in targets if intent is not None]
    for intent in intents:
        check_size(looking, intent, sure=request.sure)
    if intents and not consent.to_disks(intents):
        return None
    for target, _ in targets:
        work.prove(target)
    return work.result()


def _lacking(targets: Iterable[Target]) -> frozenset[SnapshotId]:
    """Return the snapshots that hold more than one filesystem, so that one is not all of it."""
    counts = Counter(shot for each in targets for shot in each.unproved.snapshot_ids)
    return frozenset(shot for shot, count in counts.items() if count > 1)


class _Work:
    """Looks into one copy after the other, and keeps what that has proved.

    Attributes:
        lacks: snapshots of which not all is looked at.
    """

    def __init__(self, tools: Tools, looking: LookingBack, proving: Proving, found: Found) -> None:
        self._tools = tools
        self._looking = looking
        self._proving = proving
        self._found = found
        self._proofs: list[FilesystemProof] = []
        self._faults: list[SnapSelfError] = []
        self._stopped: SnapSelfError | None = None
        self._left: DiskLeft | None = None
        self.lacks: frozenset[SnapshotId] = frozenset()

    def planned(self, target: Target) -> tuple[Target, Intent | None]:
        """Return it with what opening it will make; without if it cannot be opened here."""
        if target.source is None:
            return target, None
        try:
            plan = plan_copy(self._looking, self._found, target.source, Purpose.VERIFY, life=LIFE)
        except SnapSelfError as error:
            told = replace(target.unproved, code=error.code, why=error.told)
            return Target(unproved=told, fault=error), None
        return target, intent_of(plan, self._found, target.source)

    def prove(self, target: Target) -> None:
        """Look into one filesystem's copy, unless something has ended all of it."""
        if target.fault is not None:
            self._faults.append(target.fault)
        if target.source is None:
            self._proofs.append(target.unproved)
            return
        if self._stopped is not None or self._left is not None:
            why = "it was not reached"
            self._proofs.append(replace(target.unproved, code="not-reached", why=why))
            return
        try:
            self._proofs.append(self._opened(target, target.source))
        except SnapSelfError as error:
            self._met(target, error)

    def _opened(self, target: Target, source: Source) -> FilesystemProof:
        tools, looking, found = self._tools, self._looking, self._found
        # Between two filesystems others may have their turn.
        plan = plan_copy(looking, found, source, Purpose.VERIFY, life=LIFE)
        with opened_in_turn(tools, looking, found, plan) as life:
            assert life.opened is not None
            proof = look_into(looking, self._proving, found, tools.machine, target, life.opened)
        self._left = life.left
        return replace(proof, record=life.record, caveats=life.caveats)

    def _met(self, target: Target, error: SnapSelfError) -> None:
        """Note why one was not opened; what concerns it alone does not end the others."""
        reason = error.__cause__ if isinstance(error, DiskLeft) else error
        is_damaged = isinstance(reason, CopyDamaged)
        told = reason if isinstance(reason, SnapSelfError) else error
        verdict = Verdict.DAMAGED if is_damaged else Verdict.NOT_OPENED
        proof = replace(target.unproved, code=told.code, why=told.told, verdict=verdict)
        self._proofs.append(proof)
        self._faults.append(error)
        if isinstance(error, DiskLeft):
            self._left = error
        elif not isinstance(error, (CopyNotOpened, PreconditionRefused)):
            self._stopped = error

    # --- what comes of it ---------------------------------------------------------------------

    def result(self) -> Verified:
        """Return what was proved, noted in the journal and in the cloud as far as that is allowed.

        Raises:
            SnapSelfError: nothing is known, so nothing was noted.
        """
        verdicts = [proof.verdict for proof in self._proofs]
        if all(each is Verdict.NOT_OPENED for each in verdicts):
            raise self._nothing()
        done = Verified(
            name=self._found.name,
            at=self._looking.clock.now(),
            filesystems=tuple(self._proofs),
            notes=self._found.notes,
            stopped=self._stopped,
            left=self._left,
        )
        known = self._by_snapshot(done.at)
        notes = [*done.notes]
        recorded = self._record(known, notes)
        tagged = self._tag(known, notes)
        return replace(done, recorded=recorded, tagged=tagged, notes=tuple(notes))

    def _nothing(self) -> SnapSelfError:
        """Return why nothing is known: what costs money, what ended it, or the first reason."""
        if self._left is not None or self._stopped is not None:
            return self._left or self._stopped or self._faults[0]
        if self._faults:
            return self._faults[0]
        return PreconditionRefused(
            f"nothing that is mounted here now lies in {self._found.name}",
            hint=f"`snap-self show {self._found.name}` has the steps for another machine",
        )

    def _by_snapshot(self, at: datetime) -> dict[SnapshotId, Verification]:
        """Return what is known of each snapshot; of one that was not opened an older look stays."""
        verdicts: dict[SnapshotId, list[Verdict]] = {}
        for proof in self._proofs:
            for snapshot_id in proof.snapshot_ids:
                verdicts.setdefault(snapshot_id, []).append(proof.verdict)
        for snapshot_id in self.lacks & verdicts.keys():
            verdicts[snapshot_id].append(Verdict.IN_PART)
        results = {snapshot_id: worst(each) for snapshot_id, each in verdicts.items()}
        return {
            snapshot_id: Verification(at=at, result=result)
            for snapshot_id, result in results.items()
            if result is not Verdict.NOT_OPENED
        }

    def _record(self, known: dict[SnapshotId, Verification], notes: list[str]) -> bool:
        run_id = self._found.shots[0].run_id
        try:
            with self._tools.lock.hold(timeout_s=self._tools.lock_wait_s, purpose="verify"):
                record = self._tools.store.load(RunId(run_id)) if run_id else None
                if record is None:
                    notes.append(f"the journal has no record of {self._found.name} to note it in")
                    return False
                verified = {**record.verified, **known}
                self._tools.store.save(replace(record, verified=verified))
        except (SnapSelfError, StateUnusable) as error:
            notes.append(f"it is not noted in the journal: {error.told}")
            return False
        return True

    def _tag(self, known: dict[SnapshotId, Verification], notes: list[str]) -> bool:
        cloud = self._found.survey.cloud
        by_value: dict[str, list[SnapshotId]] = {}
        for snapshot_id, each in known.items():
            by_value.setdefault(each.tag, []).append(snapshot_id)
        try:
            for value, ids in by_value.items():
                cloud.tag_snapshots(ids, {VERIFIED_TAG: value}, deadline_s=TAG_LIMIT_S)
        except SnapSelfError as error:
            notes.append(f"the snapshots are not tagged with it: {error.told}")
            return False
        return True
