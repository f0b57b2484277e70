"""An in-memory machine around a package manager's hook."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process above the hook."""

    parent: int
    executable: str = "/bin/sh"
    arguments: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class FakeOutside:
    """What ``changes.conversation.Outside`` offers.

    Args:
        processes: by process id; the hook's parent is the first.
        answers: what programs print, by the words of their command line that must be in it.
        folders: names by folder.
    """

    processes: Mapping[int, Running] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inputs: Mapping[int, bytes] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    terminal: list[str] = field(default_factory=list)
    system_log: list[str] = field(default_factory=list)
    interrupted: list[int] = field(default_factory=list)

    def open_input(self, descriptor: int) -> BinaryIO:
        """Return what was put there."""
        if descriptor not in self.inputs:
            raise OSError(9, "Bad file descriptor")
        return io.BytesIO(self.inputs[descriptor])

    def parent_pid(self) -> int:
        """Return the first process."""
        return next(iter(self.processes), 0)

    def executable(self, pid: int) -> str:
        """Return its program."""
        return self.processes[pid].executable if pid in self.processes else ""

    def parent_of(self, pid: int) -> int:
        """Return its parent."""
        return self.processes[pid].parent if pid in self.processes else 0

    def arguments(self, pid: int) -> tuple[str, ...]:
        """Return its command line."""
        return self.processes[pid].arguments if pid in self.processes else ()

    def ask(self, argv: Sequence[str], *, limit_s: float) -> str | None:
        """Note the question and return the answer."""
        self.asked.append(tuple(argv))
        line = " ".join(argv)
        return next((text for words, text in self.answers.items() if words in line), None)

    def names_in(self, folder: str) -> Sequence[str]:
        """Return the names put there."""
        return self.folders.get(folder, ())

    def tell_terminal(self, text: str) -> None:
        """Keep the line."""
        self.terminal.append(text)

    def tell_system_log(self, text: str) -> None:
        """Keep the line."""
        self.system_log.append(text)

    def interrupt(self, pid: int) -> bool:
        """Note who was interrupted."""
        self.interrupted.append(pid)
        return pid in self.processes
