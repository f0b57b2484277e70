"""The border of the application drivers: whatever happens behind it costs one level, never the run.

Drivers speak to foreign programs through foreign libraries, which raise more than their own errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from snap_self.errors import QuiesceFailed
from snap_self.model.servers import RestedServer
from snap_self.ports import Clock
from snap_self.quiesce.applications.base import Driver, Limit, told

Told = TypeVar("Told")


class ApplicationQuiescer:
    """Implement ``Quiescer`` over a driver: time limit, words for failures, each release once.

    Args:
        server: which one it is, for the claim that it came to rest.
        timeout_s: its own limit, within the deadline.
    """

    def __init__(
        self, name: str, driver: Driver, clock: Clock, *, server: RestedServer, timeout_s: float
    ) -> None:
        self._name = name
        self.server = server
        self._driver = driver
        self._clock = clock
        self._timeout_s = timeout_s
        self._held = False

    @property
    def name(self) -> str:
        """For people."""
        return self._name

    @property
    def kept(self) -> Mapping[str, str]:
        """Texts that going back needs, by file name; PostgreSQL's backup label."""
        return dict(getattr(self._driver, "kept", {}))

    def start(self, *, deadline: float) -> None:
        """Bring it to rest, or leave it as it was.

        Raises:
            QuiesceFailed: it did not come to rest; nothing is held.
        """
        limit = Limit(self._clock, min(deadline, self._clock.monotonic() + self._timeout_s))
        try:
            _tried(lambda: self._driver.open(limit))
            _tried(lambda: self._driver.hold(limit))
            self._held = True
        except QuiesceFailed as error:
            raise QuiesceFailed(f"{self._name}: {error.message}", hint=error.hint) from error
        finally:
            if not self._held:
                with suppress(QuiesceFailed):  # what led here is what is told
                    _tried(self._driver.close)

    def check(self) -> str:
        """Return an empty text while it is surely still at rest, else why not."""
        if not self._held:
            return "it is not at rest"
        try:
            return _tried(self._driver.state)
        except QuiesceFailed as error:
            return error.message

    def stop(self) -> str:
        """Release it; return an empty text or what went wrong."""
        if not self._held:
            return ""
        self._held = False
        fault = ""
        try:
            fault = _tried(self._driver.release)
        except QuiesceFailed as error:
            fault = f"the release failed, so the connection was dropped: {error.message}"
        finally:
            try:
                _tried(self._driver.close)
            except QuiesceFailed as error:
                fault = fault or f"its connection could not be dropped: {error.message}"
        return fault


class AbsentApplication:
    """Implement ``Quiescer`` for an application that had to be there and is not."""

    def __init__(self, name: str, why: str) -> None:
        self._why = why
        self.name = name

    def start(self, *, deadline: float) -> None:
        """Fail.

        Raises:
            QuiesceFailed: always.
        """
        del deadline
        raise QuiesceFailed(
            f"{self.name}: {self._why}",
            hint=f'set applications.{self.name} to "auto" if it need not be there',
        )

    def check(self) -> str:
        """Return why it is not at rest."""
        return self._why

    def stop(self) -> str:
        """Do nothing."""
        return ""


def _tried(step: Callable[[], Told]) -> Told:
    """Do one step of a driver.

    Raises:
        QuiesceFailed: whatever went wrong.
    """
    try:
        return step()
    except QuiesceFailed:
        raise
    except Exception as error:
        raise QuiesceFailed(told(error), hint=_REFUSED) from error


_REFUSED = "nothing is held now; the manual lists the grants that the agent's user needs"
