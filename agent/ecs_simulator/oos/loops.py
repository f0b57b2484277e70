"""How fast a loop goes: concurrency, batches, and how many errors it stands. Pure.

Source: "Task loops" of the user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from math import ceil
from typing import Any

from ecs_simulator.oos.faults import TaskFault

MAX_ITEMS = 1000
_BATCH_CONCURRENCY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A loop's rate control.

    Args:
        ends: where each batch ends, as a number of items.
        concurrency: of each batch.
    """

    max_errors: int
    ends: tuple[int, ...]
    concurrency: tuple[int, ...]

    @classmethod
    def of(cls, given: Mapping[str, Any], count: int) -> Rate:
        """Return the rate of a loop over ``count`` items; ``given`` is a map.

        Raises:
            TaskFault: a mode or number is not one.
        """
        mode = given.get("Mode", "Concurrency")
        errors = _amount(given.get("MaxErrors", 0), count)
        if mode == "Concurrency":
            at_once = max(1, _amount(given.get("Concurrency", 1), count))
            return cls(max_errors=errors, ends=(count,), concurrency=(at_once,))
        if mode != "Batch":
            raise TaskFault(f"There is no Mode {mode!r} of a RateControl.")
        if given.get("BatchPauseOption", "Automatic") != "Automatic":
            raise TaskFault("BatchPauseOption is only simulated as Automatic.")
        batch, at_once_in = given.get("Batch") or [count], given.get("ConcurrencyInBatches") or []
        if not isinstance(batch, list) or not isinstance(at_once_in, list):
            raise TaskFault("Batch and ConcurrencyInBatches are lists.")
        sizes = [_amount(size, count) for size in batch]
        if count and min(sizes) < 1:
            raise TaskFault("A batch has at least one item.")
        # The last size holds for all further batches.
        wanted = accumulate(chain(sizes, repeat(sizes[-1])))
        ends: list[int] = []
        while not ends or ends[-1] < count:
            ends.append(min(count, next(wanted)))
        own = [_amount(each, count) for each in at_once_in]
        filled = chain(own, repeat(own[-1] if own else _BATCH_CONCURRENCY))
        at_once_of = tuple(max(1, each) for _, each in zip(ends, filled, strict=False))
        return cls(max_errors=errors, ends=tuple(ends), concurrency=at_once_of)

    def room(self, *, begun: int, running: int) -> int:
        """Return how many more items may be begun now."""
        starts = (0, *self.ends[:-1])
        if begun in starts[1:] and running:
            return 0  # the batch before is not yet done
        number = next((n for n, end in enumerate(self.ends) if begun < end), None)
        if number is None:
            return 0
        return max(0, min(self.ends[number] - begun, self.concurrency[number] - running))


def _amount(value: Any, count: int) -> int:
    """Return a number, or a percentage of all items, rounded up."""
    try:
        if isinstance(value, str) and value.endswith("%"):
            return ceil(float(value[:-1]) * count / 100)
        return int(value)
    except (ValueError, TypeError):
        raise TaskFault(f"{value!r} is neither a number nor a percentage.") from None


def items_of(value: Any) -> list[Any]:
    """Return a loop's items.

    Raises:
        TaskFault: they are no list, or too many.
    """
    if not isinstance(value, list):
        raise TaskFault("The items of a loop are a list.")
    if len(value) > MAX_ITEMS:
        raise TaskFault(f"A loop has at most {MAX_ITEMS} items.")
    return value
