"""Implement ``ports.Copier``: plan, do, write to the disk, read again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack

from snap_self.model.copying import CopyOutcome, CopyPlan, Leaving, LeftOut, Wanted
from snap_self.system.copying import undoing
from snap_self.system.copying.asides import Aside, remove_empty
from snap_self.system.copying.holders import Holders, holders
from snap_self.system.copying.planning import Planned, Planner, Target
from snap_self.system.copying.refusing import left_out
from snap_self.system.copying.restoring import Done, Restorer
from snap_self.system.copying.surroundings import Surroundings, surroundings
from snap_self.system.copying.verifying import differing, sync
from snap_self.system.copying.walking import Refused


def _nothing(told: object) -> None:
    del told


class SystemCopier:
    """The real ``Copier``.

    Args:
        own: directories with snap-self's own state, which are never brought back.
        look_around: reads the mount table.
        who_holds: tells which files processes may write to.
    """

    def __init__(
        self,
        own: Sequence[str] = ("/var/lib/snap-self",),
        *,
        look_around: Callable[[], Surroundings] = surroundings,
        who_holds: Holders = holders,
    ) -> None:
        self._own = tuple(own)
        self._look_around = look_around
        self._who_holds = who_holds

    def plan(
        self, source: int, wanted: Sequence[Wanted], *, to: str | None, exact: bool
    ) -> CopyPlan:
        return self._plan(source, wanted, to=to, exact=exact).told()

    def _plan(
        self,
        source: int,
        wanted: Sequence[Wanted],
        *,
        to: str | None,
        exact: bool,
        agreed: Collection[str] | None = None,
    ) -> Planned:
        only = None if agreed is None else frozenset(agreed)
        around = self._look_around()
        planner = Planner(source, around, to=to, exact=exact, own=self._own, agreed=only)
        return planner.plan(wanted, self._who_holds)

    def copy(
        self,
        source: int,
        wanted: Sequence[Wanted],
        *,
        mark: str,
        to: str | None,
        exact: bool,
        aside: str | None,
        progress: Callable[[int, int], None],
        agreed: Collection[str] | None = None,
        begins: Callable[[CopyPlan], None] = _nothing,
        ended: Callable[[CopyOutcome], None] = _nothing,
    ) -> CopyOutcome:
        beside = undoing.temporary_name(mark)
        planned = self._plan(source, wanted, to=to, exact=exact, agreed=agreed)
        begins(planned.told())
        lacking = [room.lacking() for room in planned.rooms.values() if not room.suffices]
        if lacking:
            return CopyOutcome(
                left_out=(*planned.left_out, *lacking), followed=tuple(planned.followed)
            )
        busy = [target for target in planned.targets if target.nodes]
        with ExitStack() as stack:
            keep = _open_aside(aside, stack) if aside and busy else None
            if isinstance(keep, LeftOut):
                return CopyOutcome(left_out=(*planned.left_out, keep))
            restorer = Restorer(source, planned, beside=beside, aside=keep, progress=progress)
            stack.callback(lambda: ended(restorer.done.told()))
            _restore(restorer, busy, keep)
            outcome = _verified(restorer.done, busy).told()
            if aside and not outcome.kept_aside:
                remove_empty(aside)
            return outcome

    def tidy(self, roots: Sequence[str], mark: str) -> int:
        return undoing.tidy(roots, mark)

    def undo(
        self,
        kept: Sequence[tuple[str, str]],
        made: Sequence[tuple[str, str]] = (),
        *,
        whole: bool = True,
    ) -> CopyOutcome:
        if not whole:
            kept, made = undoing.done_of(kept, made)
        return undoing.undo(kept, made)

    def in_use(self, paths: Sequence[str]) -> tuple[LeftOut, ...]:
        return tuple(undoing.in_use(paths, self._who_holds))


def _open_aside(path: str, stack: ExitStack) -> Aside | LeftOut:
    try:
        keep = Aside(path)
    except Refused as refused:
        return LeftOut(path=path, why=refused.why, code=Leaving.ASIDE)
    except OSError as error:
        return LeftOut(path=path, why=left_out(path, error).why, code=Leaving.ASIDE)
    stack.callback(keep.close)
    return keep


def _restore(restorer: Restorer, targets: Sequence[Target], keep: Aside | None) -> None:
    try:
        for target in targets:
            if keep and keep.device != target.device:
                why = f"cannot be kept in {keep.path}, which is on another filesystem"
                left = LeftOut(path=target.path, why=why, code=Leaving.ASIDE)
                restorer.done.left_out.append(left)
                continue
            restorer.restore(target)
    finally:
        restorer.finish()


def _verified(done: Done, targets: Sequence[Target]) -> Done:
    done.left_out += sync(target.folder for target in targets)
    done.left_out += differing(done.written)
    return done
