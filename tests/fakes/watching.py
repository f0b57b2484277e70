"""Those who watch this machine, in memory; what each is told is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.errors import SnapSelfError
from snap_self.model.occurrences import Left, Occurrence
from snap_self.model.run import RunRecord
from snap_self.model.summary import Summary, Tally
from snap_self.ports import Clock
from snap_self.usecases.watching import WatchTools
from snap_self.watching.summing import Moment


@dataclass(slots=True, kw_only=True)
class Watchers:
    """Implement the ports of ``ports_watching``.

    Args:
        left: what earlier commands and the hooks' guard could not count.
        uncounted: raised instead of counting anything.
        unshown: raised instead of showing a summary.
        frozen: a filesystem may be.
    """

    tally: Tally = field(default_factory=Tally)
    left: list[Left] = field(default_factory=list)
    uncounted: SnapSelfError | None = None
    unshown: SnapSelfError | None = None
    frozen: bool = False
    logged: list[Mapping[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    notified: list[tuple[Occurrence, ...]] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    records: list[RunRecord] = field(default_factory=list)

    def tools(self, clock: Clock) -> WatchTools:
        """Return what a command tells them with."""
        return WatchTools(
            clock=clock,
            log=self,
            tally=_Tally(self),
            untold=self,
            summary=_Summaries(self),
            records=lambda: self.records,
            moment=lambda: Moment(now=clock.now(), version="1", boot_id="boot"),
            show=self._show,
            frozen=lambda: self.frozen,
            show_frozen=lambda _: None,
            notify=lambda happened: self.notified.append(tuple(happened)),
            wait_notified=lambda _: None,
        )

    def tell(self, fields: Mapping[str, str]) -> None:
        """Keep the message."""
        self.logged.append(fields)

    def complain(self, text: str) -> None:
        """Keep the complaint."""
        self.complaints.append(text)

    def keep(self, happened: Sequence[Occurrence]) -> None:
        """Add it to what is left, as told."""
        self.left += [Left(occurrence=one, told=True) for one in happened]

    def take(self) -> Sequence[Left]:
        """Return what is left."""
        return tuple(self.left)

    def drop(self) -> None:
        """Forget it."""
        self.left.clear()

    def _show(self, summary: Summary) -> None:
        del summary
        if self.unshown:
            raise self.unshown


@dataclass(slots=True)
class _Tally:
    watchers: Watchers

    def is_there(self) -> bool:
        return self.watchers.tally != Tally()

    def read(self) -> Tally:
        return self.watchers.tally

    def change(
        self, changed: Callable[[Tally], Tally], then: Callable[[Tally], None] = lambda _: None
    ) -> None:
        if self.watchers.uncounted:
            raise self.watchers.uncounted
        self.watchers.tally = changed(self.watchers.tally)
        then(self.watchers.tally)


@dataclass(slots=True)
class _Summaries:
    watchers: Watchers

    def read(self) -> Summary | None:
        return self.watchers.summaries[-1] if self.watchers.summaries else None

    def write(self, summary: Summary) -> None:
        self.watchers.summaries.append(summary)
