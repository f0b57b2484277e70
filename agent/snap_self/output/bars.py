"""A bar for each disk's upload, as many as a terminal has room for; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from snap_self.model.ids import DiskId
from snap_self.output.cells import cell_width, fitted, padded

# Rows of the screen that are left for what is said before and after the bars.
SPARE_ROWS = 8
LEAST_ROWS = 2
WIDEST_NAME = 24
WIDEST_BAR = 30
LEAST_BAR = 5
FULL, EMPTY = "━", "─"
# In a locale that has no such characters.
PLAIN_FULL, PLAIN_EMPTY = "#", "-"
_STATES = {
    "asked": "asked for",
    "cut": "content fixed",
    "available": "usable",
    "accomplished": "uploaded",
    "failed": "failed",
}


class Part(Enum):
    """What a piece of a row is, which decides how it looks."""

    TEXT = "text"
    DONE = "done"
    TO_DO = "to do"
    BAD = "bad"


Row = Sequence[tuple[str, Part]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How far the upload of one disk's snapshot is.

    Args:
        percent: 0 to 100.
        state: a word of the event's.
        remaining_s: by the cloud's guess; None without one.
        seen_s: when that was, on the drawing clock.
    """

    name: str
    percent: int = 0
    state: str = "asked"
    remaining_s: int | None = None
    seen_s: float = 0.0

    def moved(self, *, percent: int, state: str, remaining_s: int | None, now_s: float) -> Bar:
        """Return it as it is now."""
        return replace(self, percent=percent, state=state, remaining_s=remaining_s, seen_s=now_s)

    def left_s(self, began_s: float, now_s: float) -> float | None:
        """Return how long the upload will take on; None while that cannot be told."""
        if self.state in ("accomplished", "failed"):
            return None
        if self.remaining_s is not None:
            return max(0.0, self.remaining_s - (now_s - self.seen_s))
        taken_s = self.seen_s - began_s
        if self.percent <= 0 or taken_s <= 0:
            return None
        whole_s = taken_s * 100 / self.percent
        return max(0.0, began_s + whole_s - now_s)


def bar_rows(
    bars: Mapping[DiskId, Bar],
    *,
    columns: int,
    rows: int,
    began_s: float,
    now_s: float,
    plain: bool = False,
) -> Sequence[Row]:
    """Return the rows to draw: no wider and no more than there is room for.

    Those that are least far are shown; the rest is one row. The last row has the times.

    Args:
        rows: of the whole terminal.
        plain: in ASCII alone.
    """
    room = max(rows - SPARE_ROWS, LEAST_ROWS)
    shown = list(bars.values())
    hidden: list[Bar] = []
    if len(shown) > room - 1:
        # By their places: two bars may be equal.
        slowest = sorted(range(len(shown)), key=lambda place: shown[place].percent)
        kept = set(slowest[: max(room - 2, 0)])
        hidden = [bar for place, bar in enumerate(shown) if place not in kept]
        shown = [bar for place, bar in enumerate(shown) if place in kept]
    drawn = [_row(bar, shown, columns, plain=plain) for bar in shown]
    if hidden:
        least = min(bar.percent for bar in hidden)
        text = f"and {len(hidden)} more disks, each at least {least} % uploaded"
        drawn.append([(fitted(text, columns), Part.TEXT)])
    return [*drawn, [(fitted(_times(bars, began_s, now_s), columns), Part.TEXT)]]


def _row(bar: Bar, shown: Sequence[Bar], columns: int, *, plain: bool) -> Row:
    state = _STATES.get(bar.state, bar.state)
    tail = f" {bar.percent:3} %  "
    widest = max(cell_width(each.name) for each in shown)
    name_cells = min(widest, WIDEST_NAME, max(columns // 3, 1))
    states = max(len(_STATES.get(each.state, each.state)) for each in shown)
    bar_cells = min(columns - name_cells - 1 - len(tail) - states, WIDEST_BAR)
    if bar_cells < LEAST_BAR:  # what is left is for the number
        state, bar_cells = "", min(max(columns - name_cells - 1 - len(tail), 0), WIDEST_BAR)
    done = bar_cells * bar.percent // 100
    full, empty = (PLAIN_FULL, PLAIN_EMPTY) if plain else (FULL, EMPTY)
    return (
        (padded(fitted(bar.name, name_cells), name_cells) + " ", Part.TEXT),
        (full * done, Part.DONE),
        (empty * (bar_cells - done), Part.TO_DO),
        (tail, Part.TEXT),
        (state, Part.BAD if bar.state == "failed" else Part.TEXT),
    )


def _times(bars: Mapping[DiskId, Bar], began_s: float, now_s: float) -> str:
    """Return how long it takes so far and, as the slowest tells, how long the upload will."""
    left = [left_s for bar in bars.values() if (left_s := bar.left_s(began_s, now_s)) is not None]
    end = f", about {_clock(max(left))} left to upload" if left else ""
    return f"{_clock(now_s - began_s)} so far{end}"


def _clock(seconds: float) -> str:
    minutes, left = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
