"""An in-memory machine with package managers, for the probes of hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.changes.registration.machine import AGENT, GUARD, Machine
from snap_self.model.registration import Note
from snap_self.ports import FileText

HOOKS = "/hooks"


@dataclass(slots=True, kw_only=True)
class FakeMachine:
    """What there is on it.

    Args:
        programs: names on the PATH; each lies in /usr/bin.
        files: text by path; those of ``executable`` may be executed.
        links: targets by path.
        says: what a command line that begins with these words prints; None: it fails.
    """

    programs: Sequence[str] = ()
    files: dict[str, str] = field(default_factory=dict)
    executable: Sequence[str] = (GUARD, AGENT)
    links: Mapping[str, str] = field(default_factory=dict)
    says: dict[str, str | None] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)
    stage: FakeStage | None = None

    def machine(self) -> Machine:
        """Return it as the probes see it."""
        return Machine(
            commands=self,
            read=self.read,
            which=lambda name: f"/usr/bin/{name}" if name in self.programs else "",
            link=lambda path: self.links.get(path, ""),
            hooks=HOOKS,
            stage=None if self.stage is None else self._stage,
        )

    def _stage(self) -> FakeStage:
        assert self.stage is not None
        return self.stage

    def read(self, path: str) -> FileText:
        """Return a file."""
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return FileText(text=self.files[path], mode=0o755 if path in self.executable else 0o644)

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Note the command and return what it prints."""
        self.ran.append(tuple(argv))
        line = " ".join(argv)
        for words, text in self.says.items():
            if line.startswith(words):
                return (0, text, "") if text is not None else (1, "", f"{words}: failed")
        raise FileNotFoundError(2, "No such file or directory", argv[0])


@dataclass(slots=True, kw_only=True)
class FakeStage:
    """A rehearsal that comes out as it is told to.

    Args:
        ended: the manager's exit status and what it says; an error is raised.
        noted: what the hook notes; None if it is not reached.
        left: names that are there afterwards.
    """

    ended: tuple[int, str] | OSError = (0, "")
    noted: Note | None = None
    left: Sequence[str] = ()
    folder: str = "/stage"
    wrote: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def __enter__(self) -> FakeStage:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def write(self, name: str, content: bytes) -> str:
        """Keep the file."""
        self.wrote[name] = content
        return f"{self.folder}/{name}"

    def link(self, name: str, target: str) -> None:
        """Keep the link."""
        self.links[name] = target

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Note the command and end as told."""
        self.ran.append(tuple(argv))
        if isinstance(self.ended, OSError):
            raise self.ended
        return self.ended

    def exists(self, name: str) -> bool:
        """Tell what is left."""
        return name in self.left

    def note(self) -> Note | None:
        """Return the note."""
        return self.noted
