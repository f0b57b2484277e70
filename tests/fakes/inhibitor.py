"""An inhibitor in memory."""

from __future__ import annotations


class FakeInhibitor:
    """The memory twin of ``LogindInhibitor``.

    Args:
        refuses: why nothing can be held back; empty if it can be.
    """

    def __init__(self, *, refuses: str = "") -> None:
        self._refuses = refuses
        self.held = ""
        self.said: list[str] = []

    def hold(self, why: str) -> str:
        """Hold with these words."""
        if not self._refuses:
            self.held = why
            self.said.append(why)
        return self._refuses

    def release(self) -> None:
        """Hold nothing any more."""
        self.held = ""
