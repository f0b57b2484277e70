"""An in-memory machine with package managers, for the probes of hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.ports import FileText
from snap_self.usecases.registration.machine import GUARD, Machine

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
    executable: Sequence[str] = (GUARD,)
    links: Mapping[str, str] = field(default_factory=dict)
    says: dict[str, str | None] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def machine(self) -> Machine:
        """Return it as the probes see it."""
        return Machine(
            commands=self,
            read=self.read,
            which=lambda name: f"/usr/bin/{name}" if name in self.programs else "",
            link=lambda path: self.links.get(path, ""),
            hooks=HOOKS,
        )

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
