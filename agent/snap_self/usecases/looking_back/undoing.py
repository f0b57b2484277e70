"""Take a restore back: what is noted for it before anything is replaced, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from snap_self.errors import PreconditionRefused, StateUnusable, UsageError
from snap_self.model.copying import Change, CopyOutcome, CopyPlan, Difference
from snap_self.model.restored import Undone
from snap_self.model.shell import command
from snap_self.model.temporary import Kept, KeptFiles, RestoreId
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.tools import Tools

MOST_NAMED = 3


@dataclass(slots=True)
class WayBack:
    """Notes what a restore replaces, so that it can be taken back, whatever ends it.

    Args:
        aside: where what is replaced is kept.
    """

    tools: LookingBack
    restore_id: RestoreId
    aside: str
    exact: bool
    _planned: KeptFiles | None = None
    _done: CopyOutcome | None = None

    def begin(self, plan: CopyPlan) -> None:
        """Note where all will be that is going to be replaced, and what will be made.

        Raises:
            StateUnusable: it could not be noted, so nothing may be replaced.
        """
        changes = [each for each in plan.differences if self._is_replaced(each)]
        planned = KeptFiles(
            restore_id=self.restore_id,
            files=self._places(each.path for each in changes),
            made=self._places(_topmost(plan.differences)),
            aside=self.aside,
            whole=False,
        )
        self.tools.copies.keep(planned)
        self._planned = planned

    def note(self, outcome: CopyOutcome) -> None:
        """Take what was done, to be written at the end of ``noting``."""
        self._done = outcome

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Write down at the end of the block what was replaced, also after a signal."""
        whole = False
        try:
            yield
            whole = True
        finally:
            if self._planned is not None:
                if not whole:
                    self.tools.warn(self._broken_off())
                self._write(self._planned, whole=whole)

    def _write(self, planned: KeptFiles, *, whole: bool) -> None:
        done = self._done
        if done is None and not whole:
            return  # nothing is known beyond what was planned
        files, made = (pairs(done.kept_aside), pairs(done.made)) if done else ((), ())
        if not whole:
            # One thing more may be kept than was told.
            files, made = _merged(files, planned.files), _merged(made, planned.made)
        try:
            self.tools.copies.keep(replace(planned, files=files, made=made, whole=whole))
        except StateUnusable as error:
            self.tools.warn(
                f"{error.told}; what was replaced is in {self.aside}, and --undo goes by what was "
                "planned"
            )

    def _broken_off(self) -> str:
        undo = command("snap-self", "restore", "--undo", self.restore_id)
        return f"broken off: what was replaced by then is in {self.aside}; to go back: {undo}"

    def _is_replaced(self, difference: Difference) -> bool:
        """Tell whether something will be kept; of directories that stay only attributes are."""
        if difference.kind is Change.EXTRA:
            return self.exact
        if difference.kind is Change.ATTRIBUTES:
            return difference.size_before is not None
        return difference.kind is not Change.NEW

    def _places(self, paths: Iterator[str]) -> tuple[Kept, ...]:
        return tuple(Kept(path=path, kept=f"{self.aside}{path}") for path in paths)


def _topmost(differences: Sequence[Difference]) -> Iterator[str]:
    """Yield what is new, but for what lies below something that comes as a whole."""
    known = {each.path for each in differences if each.kind is Change.KIND}
    for path in sorted(each.path for each in differences if each.kind is Change.NEW):
        if not _lies_in(path, known):
            known.add(path)
            yield path


def _lies_in(path: str, known: Collection[str]) -> bool:
    """Tell whether a path, or a directory above it, is among those known."""
    parts = path.split("/")
    return any("/".join(parts[:level]) in known for level in range(1, len(parts) + 1))


def _merged(done: Sequence[Kept], planned: Sequence[Kept]) -> tuple[Kept, ...]:
    known = {each.path for each in done}
    return (*done, *(each for each in planned if not _lies_in(each.path, known)))


def pairs(told: Sequence[tuple[str, str]]) -> tuple[Kept, ...]:
    """Return what the copier tells as it is written down."""
    return tuple(Kept(path=path, kept=kept) for path, kept in told)


def undo_restore(
    tools: Tools,
    looking: LookingBack,
    restore_id: str,
    agree: Callable[[KeptFiles], bool],
) -> Undone | None:
    """Put back what a restore replaced, and move away what it made; nothing is lost by it.

    The same again takes that back.

    Args:
        agree: asks whoever started the command.

    Returns:
        None if that was not wanted.

    Raises:
        UsageError: nothing is known of such a restore, or nothing was kept.
        PreconditionRefused: a program writes to one of the files.
        StateUnusable: what was kept is known no more.
    """
    kept = _kept(looking, restore_id)
    _refuse_in_use(looking, kept)
    if not agree(kept):
        return None
    with looking.lock.hold(timeout_s=tools.lock_wait_s, purpose="restore --undo"):
        if kept != _kept(looking, restore_id):
            raise PreconditionRefused(
                f"another command changed what is kept of {restore_id} meanwhile",
                hint="look at it again with the same command",
            )
        _refuse_in_use(looking, kept)
        looking.step("put back what is kept")
        # After a kill the same again goes on with what is not done.
        with suppress(StateUnusable):
            looking.copies.keep(replace(kept, whole=False))
        outcome = looking.copier.undo(told(kept.files), told(kept.made), whole=kept.whole)
        try:
            looking.copies.keep(_kept_after(kept, outcome, looking.clock.now()))
        except StateUnusable as error:
            looking.warn(f"{error.told}; the same again cannot take this back")
    return Undone(restore_id=restore_id, outcome=outcome)


def _kept(looking: LookingBack, restore_id: str) -> KeptFiles:
    kept = looking.copies.kept(restore_id)
    if kept is None:
        raise UsageError(
            f"nothing is kept of a restore {restore_id}",
            hint="its id was printed when it ended; with --no-backup nothing is kept",
        )
    return kept


def _refuse_in_use(looking: LookingBack, kept: KeptFiles) -> None:
    found = looking.copier.in_use([each.path for each in (*kept.files, *kept.made)])
    if found:
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        named = "; ".join(f"{one.path}: {one.why}" for one in found[:MOST_NAMED])
        raise PreconditionRefused(
            f"nothing was put back: {named}{more}", hint="then give the same command again"
        )


def _kept_after(kept: KeptFiles, outcome: CopyOutcome, now: datetime) -> KeptFiles:
    """Return what can be put back after that: what was there by then, and what was left out."""
    left = {one.path for one in outcome.left_out}
    return replace(
        kept,
        files=(*pairs(outcome.kept_aside), *(one for one in kept.files if one.path in left)),
        made=(*pairs(outcome.made), *(one for one in kept.made if one.path in left)),
        undone=now,
        whole=True,
    )


def told(noted: Sequence[Kept]) -> tuple[tuple[str, str], ...]:
    """Return what is written down as the copier takes it."""
    return tuple((each.path, each.kept) for each in noted)
