"""What all application drivers share: the server they speak to, their tools, the quiescer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from snap_self.errors import QuiesceFailed
from snap_self.model.applications import ApplicationSettings, ProcessFact
from snap_self.model.machine import PathFact
from snap_self.ports import Clock, LinkProbe, ReadText, UnlockerStarter

# The longest hold there is: a freeze ends after 30 s at most, and flushing goes before it. Where
# a server can be told to let go by itself, it is told this.
HOLD_S = 60
OTHERS_MAY_READ = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What drivers reach the world with.

    Args:
        locate: tells which mount a path of a process lies on.
        hold_s: a server that can lets go by itself after so long.
    """

    clock: Clock
    link: LinkProbe
    read_text: ReadText
    locate: Callable[[int, str], PathFact]
    unlockers: UnlockerStarter
    hold_s: int = HOLD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server whose data lies on the disks concerned.

    Args:
        data_dir: as the server sees it.
        one_cut: all that gets a snapshot is cut at one instant.
    """

    label: str
    process: ProcessFact
    data_dir: str
    settings: ApplicationSettings
    one_cut: bool

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.label} {self.data_dir}"

    def seen_from_here(self, path: str) -> str:
        """Return a path of the server's, as it is reached also when it runs in a container."""
        return f"/proc/{self.process.pid}/root{path}"


class Driver(Protocol):
    """One application's way of coming to rest; may raise what ``errors`` names anywhere."""

    def errors(self) -> tuple[type[Exception], ...]:
        """Return what its library raises.

        Raises:
            QuiesceFailed: the library is not installed.
        """
        ...

    def open(self, limit: Limit) -> None:
        """Connect."""
        ...

    def hold(self, limit: Limit) -> None:
        """Come to rest."""
        ...

    def state(self) -> str:
        """Return an empty text while surely at rest, else why not."""
        ...

    def release(self) -> str:
        """Let go; return an empty text or what makes the rest doubtful."""
        ...

    def close(self) -> None:
        """Drop the connection, and with it what the server holds for it; must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class Limit:
    """A point in time until which something may take."""

    clock: Clock
    at: float

    def left(self) -> float:
        """Return how many seconds are left.

        Raises:
            QuiesceFailed: none are.
        """
        seconds = self.at - self.clock.monotonic()
        if seconds <= 0:
            raise QuiesceFailed("it did not come to rest in time", hint=_SLOW)
        return seconds

    def pause(self, seconds: float) -> None:
        """Wait that long, if there is time."""
        self.clock.sleep(min(seconds, self.left()))


class ApplicationQuiescer:
    """Implement ``Quiescer`` over a driver: time limit, words for failures, each release once.

    Args:
        timeout_s: its own limit, within the deadline.
    """

    def __init__(self, name: str, driver: Driver, clock: Clock, *, timeout_s: float) -> None:
        self._name = name
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
        failures = self._driver.errors()
        try:
            self._driver.open(limit)
            self._driver.hold(limit)
            self._held = True
        except QuiesceFailed as error:
            raise QuiesceFailed(f"{self._name}: {error.message}", hint=error.hint) from error
        except failures as error:
            raise QuiesceFailed(f"{self._name}: {told(error)}", hint=_REFUSED) from error
        finally:
            if not self._held:
                self._driver.close()

    def check(self) -> str:
        """Return an empty text while it is surely still at rest, else why not."""
        if not self._held:
            return "it is not at rest"
        try:
            return self._driver.state()
        except self._driver.errors() as error:
            return told(error)

    def stop(self) -> str:
        """Release it; return an empty text or what went wrong."""
        if not self._held:
            return ""
        self._held = False
        try:
            return self._driver.release()
        except self._driver.errors() as error:
            return f"the release failed, so the connection was dropped: {told(error)}"
        finally:
            self._driver.close()


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


def library(module: str, package: str) -> Any:
    """Return a client library, loaded only here since most runs need none.

    Raises:
        QuiesceFailed: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise QuiesceFailed(
            f"the Python package {package} is not installed",
            hint=f"pip install {package} into snap-self's environment, or install "
            "snap-self[applications]",
        ) from error


def password_of(settings: ApplicationSettings, read_text: ReadText) -> str:
    """Return the password, empty if there is none.

    Raises:
        QuiesceFailed: its file cannot be read, or others may read it.
    """
    path = settings.password_file
    if not path:
        return ""
    try:
        file = read_text(path)
    except OSError as error:
        raise QuiesceFailed(f"password file {path}: {error.strerror}") from error
    if file.mode & OTHERS_MAY_READ:
        raise QuiesceFailed(f"password file {path} can be read by others", hint=f"chmod 600 {path}")
    return file.text.partition("\n")[0]


def told(error: Exception) -> str:
    """Return a library's error as one line."""
    words = " ".join(str(each) for each in error.args[-1:]) or type(error).__name__
    return " ".join(words.split())[:300]


_SLOW = (
    "nothing is held now; a long query or transaction may be in the way: run it at another time, "
    "or raise applications.timeout"
)
_REFUSED = "nothing is held now; the manual lists the grants that the agent's user needs"
