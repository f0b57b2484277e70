"""A command that is not run, and ends as the test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snap_self.model.command import Ended, NotStartable


class FakeForeground:
    """The memory twin of ``SystemForeground``.

    Args:
        ending: how each command ends.
        missing: what the programs are that cannot be started, and why.
        while_running: is called in the command's place.
    """

    def __init__(
        self,
        ending: Ended | None = None,
        *,
        missing: dict[str, NotStartable] | None = None,
        while_running: Callable[[], None] = lambda: None,
    ) -> None:
        self._ending = ending or Ended(status=0)
        self._missing = missing or {}
        self._while_running = while_running
        self.started: list[tuple[str, ...]] = []

    def fault(self, program: str) -> NotStartable | None:
        """Return why the program cannot be started."""
        return self._missing.get(program)

    def run(self, argv: Sequence[str]) -> Ended | NotStartable:
        """Pretend to run it."""
        if fault := self.fault(argv[0]):
            return fault
        self.started.append(tuple(argv))
        self._while_running()
        return self._ending
