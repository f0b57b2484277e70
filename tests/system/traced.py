"""What a program and all that it starts did to files, as strace(1) saw it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = ",".join(
    (
        *("execve", "execveat", "open", "openat", "openat2", "creat", "mkdir", "mkdirat"),
        *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    )
)
# Call, arguments, result. A file a process (-ff) spares us calls that are torn into two lines.
_LINE = re.compile(r"^(?P<call>\w+)\((?P<args>.*)\)\s+= (?P<result>-?\d+|\?)(?P<rest>.*)$")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call.

    Args:
        texts: the strings among its arguments, unescaped.
        args: all of them, as strace writes them.
        failed: it had no effect.
    """

    name: str
    texts: tuple[str, ...]
    args: str
    failed: bool

    @property
    def path(self) -> str:
        """Return the first path."""
        return self.texts[0] if self.texts else ""

    @property
    def creates(self) -> bool:
        """Tell whether it may make a file."""
        return "O_CREAT" in self.args or self.name == "creat"

    @property
    def relative_to_nothing(self) -> bool:
        """Tell whether its path begins at the current directory."""
        here = self.name in ("open", "creat", "execve") or self.args.startswith("AT_FDCWD")
        return here and bool(self.path) and not self.path.startswith("/")


def command(folder: Path) -> tuple[str, ...]:
    """Return what is put before a program, so that one file a process is written to a folder."""
    folder.mkdir()
    return (
        "strace",
        *("-ff", "-qq", "-s", "100000", "-e", f"trace={CALLS}", "-e", "signal=none"),
        *("-o", f"{folder}/trace"),
    )


def calls(folder: Path) -> Sequence[Call]:
    """Return every call that was seen."""
    return [call for file in sorted(folder.iterdir()) for call in _calls(file)]


def _calls(file: Path) -> Iterator[Call]:
    for line in file.read_text("utf-8", "surrogateescape").splitlines():
        found = _LINE.match(line)
        if found is not None:
            texts = tuple(_plain(text) for text in _TEXT.findall(found["args"]))
            yield Call(
                name=found["call"],
                texts=texts,
                args=found["args"],
                failed=found["result"].startswith(("-", "?")),
            )


def _plain(text: str) -> str:
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
