"""What all application drivers share: the server they speak to, their tools, limits, words."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from snap_self.errors import QuiesceFailed
from snap_self.model.applications import ApplicationSettings
from snap_self.model.machine import PathFact
from snap_self.model.servers import ProcessFact
from snap_self.model.shell import command
from snap_self.model.shown import shown
from snap_self.model.trust import Distrust
from snap_self.ports import (
    Accounts,
    Clock,
    LinkProbe,
    ReadText,
    ServerSockets,
    UnlockerStarter,
)

# The longest hold there is: a freeze ends after 30 s at most, and flushing goes before it. Where
# a server can be told to let go by itself, it is told this.
HOLD_S = 60
OTHERS_MAY_READ = 0o077
AGENT = 0
"""Stands for the agent's own process where another's is asked about."""
HERE = "."
"""The data directory of a server that works in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What drivers reach the world with.

    Args:
        distrust: tells why root must not trust what lies at a path; None when it may.
        locate: tells which mount a path of a process lies on; process 0 is the agent.
        leads: tells what leads out of a directory of a process, by links and the like.
        hold_s: a server that can lets go by itself after so long.
    """

    clock: Clock
    link: LinkProbe
    read_text: ReadText
    distrust: Callable[[str], Distrust | None]
    locate: Callable[[int, str], PathFact]
    leads: Callable[[int, str], Sequence[str]]
    accounts: Accounts
    sockets: ServerSockets
    unlockers: UnlockerStarter
    hold_s: int = HOLD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server whose data lies on the disks concerned.

    Args:
        data_dir: as the server sees it; in a container relative to its working directory.
        one_cut: all that gets a snapshot is cut at one instant.
        covers: tells whether what lies at a place gets a snapshot.
    """

    label: str
    process: ProcessFact
    data_dir: str
    settings: ApplicationSettings
    one_cut: bool
    covers: Callable[[PathFact], bool]

    @property
    def name(self) -> str:
        """For people."""
        where = f"in a container {shown(self.folder)}" if self.process.contained else self.data_dir
        return f"{self.label} {where}"

    @property
    def folder(self) -> str:
        """The data directory by the server's own name for it."""
        return named_folder(self.process, self.data_dir)

    @property
    def root(self) -> str:
        """The root directory that its paths begin at, since a service may have its own mounts."""
        return f"/proc/{self.process.pid}/root"


def named_folder(process: ProcessFact, data_dir: str) -> str:
    """Return a server's data directory by its own name for it."""
    return process.cwd if process.contained and data_dir == HERE else data_dir


class Driver(Protocol):
    """One application's way of coming to rest; whatever its library raises may come of it."""

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
        """Drop the connection, and with it what the server holds for it."""
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
            hint="the packages and install.sh bring it; with pip, from a checkout: "
            "pip install '.[applications]'",
        ) from error


def password_for(server: Server, tools: Tools) -> str:
    """Return the password that a server may be told, empty if there is none.

    A container's root can run whatever it likes as whatever user. Only through a socket that lies
    where root named it is it known which container is meant.

    Raises:
        QuiesceFailed: as ``password_of``, or it is not known whom it would be told.
    """
    own = server.settings
    if own.password_file and server.process.contained and not own.socket:
        raise QuiesceFailed(
            "it runs in a container, and no password is told to whichever one it is",
            hint=f"name its socket, in a folder shared with it: applications.{server.label}.socket",
        )
    return password_of(own, tools)


def password_of(settings: ApplicationSettings, tools: Tools) -> str:
    """Return the password, empty if there is none.

    Raises:
        QuiesceFailed: its file cannot be read, or others may read it or exchange it.
    """
    path = settings.password_file
    if not path:
        return ""
    try:
        found = tools.distrust(path)
        if found is not None:
            raise QuiesceFailed(f"password file {path}: {found.why}", hint=found.hint)
        file = tools.read_text(path)
    except OSError as error:
        raise QuiesceFailed(f"password file {path}: {error.strerror}") from error
    if file.mode & OTHERS_MAY_READ:
        raise QuiesceFailed(
            f"password file {path} can be read by others", hint=command("chmod", "600", path)
        )
    return file.text.partition("\n")[0]


def uncovered(folders: Sequence[str]) -> QuiesceFailed:
    """Return what to raise for folders with its data that get no snapshot."""
    return QuiesceFailed(
        f"it has data in {', '.join(map(shown, folders))}, on no disk that gets a snapshot, "
        "without which it would not start",
        hint="choose that disk too",
    )


def told(error: Exception) -> str:
    """Return a library's error as one line."""
    name = type(error).__name__
    words = " ".join(" ".join(str(each) for each in error.args[-1:]).split())[:300]
    is_own = type(error).__module__ != "builtins" or isinstance(error, OSError)
    return words if words and is_own else f"{name}: {words}".rstrip(": ")


_SLOW = (
    "nothing is held now; a long query or transaction may be in the way: run it at another time, "
    "or raise applications.timeout"
)
