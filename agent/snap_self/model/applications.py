"""Values of the applications that are brought to rest: what is configured, what is running."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Use(Enum):
    """Whether an application is brought to rest."""

    OFF = "off"
    AUTO = "auto"
    ON = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """How one kind of application is reached; empty texts are found out.

    Args:
        use: ``auto`` where one is running on the disks concerned, ``on`` it has to be.
        socket: path of the server's local socket.
        user: whom to connect as.
        password_file: file whose first line is the password; root alone may read it.
    """

    use: Use = Use.OFF
    socket: str = ""
    user: str = ""
    password_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFact:
    """A running program.

    Args:
        name: as the kernel has it (``mariadbd``).
        cwd: working directory as the process sees it; empty if unknown.
        sockets: local sockets it listens on.
        ports: TCP ports it listens on where loopback leads to.
        files: regular files it has open.
    """

    pid: int
    name: str
    argv: tuple[str, ...] = ()
    cwd: str = ""
    sockets: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
