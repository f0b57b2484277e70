"""What the probes ask of the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from snap_self.model.registration import Note, Placed, RegisteredFile
from snap_self.ports import Commands, ReadText

GUARD = "/etc/snap-self/hook-guard"
# The guard starts this, independent of the PATH.
AGENT = "/usr/bin/snap-self"
# Time limit for a package manager that lists its plugins: some load all repository data first.
ASK_S = 20.0
# Time limit for programs with little to do: a version, our helper scripts, pacman's settings.
QUIET_S = 5.0


class Stage(Protocol):
    """A private place for a rehearsal; ``system/managers/stage.py`` has it."""

    folder: str

    def write(self, name: str, content: bytes) -> str:
        """Put a file into the place and return its path."""

    def link(self, name: str, target: str) -> None:
        """Put a symbolic link into the place."""

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Return a program's exit status and what it says. Raises OSError, TimeoutError."""

    def exists(self, name: str) -> bool:
        """Tell whether something was left there under a name."""

    def note(self) -> Note | None:
        """Take what a hook noted since it was last asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the probes ask of the machine.

    Args:
        which: returns a program's path, or an empty string.
        link: returns what a symbolic link points to, or an empty string.
        hooks: the folder with what is to be registered.
        names: returns the names in a folder; none if it cannot be read.
        stage: makes a place for a rehearsal; None where none can be had, as for who is not root.
    """

    commands: Commands
    read: ReadText
    which: Callable[[str], str]
    link: Callable[[str], str]
    hooks: str
    names: Callable[[str], Sequence[str]] = lambda folder: ()  # noqa: ARG005
    stage: Callable[[], AbstractContextManager[Stage]] | None = None

    def ask(self, *argv: str, limit_s: float = ASK_S) -> str | None:
        """Return what a program prints; None if it fails, is missing or takes too long."""
        try:
            status, out, _ = self.commands.run(argv, timeout_s=limit_s)
        except (OSError, TimeoutError):
            return None
        return None if status else out

    def text(self, path: str) -> str | None:
        """Return a file's text; None where there is none that can be read."""
        try:
            return self.read(path).text
        except OSError:
            return None

    def is_executable(self, path: str) -> bool:
        """Tell whether there is a file that may be executed."""
        try:
            return bool(self.read(path).mode & 0o111)
        except OSError:
            return False

    def source(self, name: str) -> str | None:
        """Return the text of a file that is to be registered."""
        return self.text(f"{self.hooks}/{name}")

    def helper(self, name: str, *arguments: str) -> str | None:
        """Return what a script beside the files prints; None where it fails."""
        return self.ask("/bin/sh", f"{self.hooks}/{name}", *arguments, limit_s=QUIET_S)

    def compare(self, path: str, wanted: str | None) -> RegisteredFile:
        """Return where a registration file stands."""
        found = self.text(path)
        if found is None:
            placed = Placed.MISSING
        else:
            placed = Placed.OURS if found == wanted else Placed.CHANGED
        return RegisteredFile(path=path, placed=placed)

    def version_of(self, *argv: str) -> str:
        """Return the first version number that a program prints of itself."""
        return first_version(self.ask(*argv, limit_s=QUIET_S) or "")


def first_version(text: str) -> str:
    """Return the first thing in a text that looks like a version."""
    found = re.search(r"\d+(?:\.\d+)+[\w.+~-]*", text)
    return found[0] if found else ""


def listed_after(text: str, label: str) -> Sequence[str] | None:
    """Return the words of the line that a label begins; None where there is no such line.

    yum breaks a long line, and begins what follows with spaces and a colon.
    """
    whole = re.sub(r"\n\s+:\s", " ", text)
    for line in whole.splitlines():
        head, found, rest = line.partition(label)
        if found and not head.strip():
            return re.split(r"[,\s]+", rest.strip())
    return None
