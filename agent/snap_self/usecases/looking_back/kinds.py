"""Which kind of disk is asked for next, when the cloud or the instance takes one not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from snap_self.model.disk_orders import DiskChoice, OnSale
from snap_self.model.ids import DiskId

# Gives the kinds that serve for a copy of a disk, of those that are on sale.
OfThese = Callable[[DiskId, Sequence[OnSale]], Sequence[DiskChoice]]


class Kinds:
    """Of all the disks of one copy: what one was refused for, the others are not asked for.

    Args:
        choices: the kinds that serve, by the disk copied, the best first.
        of_these: the same of what is on sale.
        on_sale: asks the cloud what is; none where it does not tell. It is asked once, and only
            after a refusal.
    """

    def __init__(
        self,
        choices: Mapping[DiskId, Sequence[DiskChoice]],
        of_these: OfThese,
        on_sale: Callable[[], Sequence[OnSale]],
    ) -> None:
        self._choices = choices
        self._of_these = of_these
        self._ask = on_sale
        self._on_sale: Sequence[OnSale] | None = None
        self._refused: set[tuple[str, str]] = set()

    @property
    def refusals(self) -> int:
        """How many kinds were refused."""
        return len(self._refused)

    def refuse(self, choice: DiskChoice) -> None:
        """Note that a kind is not to be had."""
        self._refused.add((choice.category, choice.level))
        if self._on_sale is None:
            self._on_sale = self._ask()

    def best(self, source: DiskId) -> DiskChoice | None:
        """Return the best kind for a copy of a disk that was not refused; None if there is none."""
        return next(self._left(source), None)

    def _left(self, source: DiskId) -> Iterator[DiskChoice]:
        """Yield what is on sale first: that list is not always right, so the others come after."""
        sold = self._of_these(source, self._on_sale) if self._on_sale else ()
        for choice in (*sold, *self._choices[source]):
            if (choice.category, choice.level) not in self._refused:
                yield choice
