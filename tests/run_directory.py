"""Keep everything that a test run captures in one folder, and look for secrets in it.

::

    RUN/secrets/*       one secret a line, as simulators handed them out; the one place for them
    RUN/agent/*/        one folder per start of the agent: argv, stdout, stderr, status
    RUN/state/*/        the agent's state directories: journals, locks, remembered facts
    RUN/home/  RUN/tmp/ the agent's HOME and TMPDIR
    RUN/captured/*      what pytest captured in each test: output and logs
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 8
# A signed request as the SDKs write it into a URL; no output may show one, whoever signed it.
SIGNED_URL = re.compile(rb"[?&](?:Signature|SecurityToken)=[A-Za-z0-9%+/=_-]{12,}")
# What nearly every secret is made of; a longer word may hold one.
WORD = re.compile(rb"[A-Za-z0-9_.~%+/=-]{8,}")


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret found where none may be.

    Args:
        file: relative to the run directory.
        what: which secret, named without showing it.
    """

    file: str
    what: str


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of one test run."""

    root: Path

    @classmethod
    def create(cls, where: Path | None = None) -> RunDirectory:
        """Make the folder and its parts, at ``where`` or in a fresh place."""
        root = where or Path(tempfile.mkdtemp(prefix="snap-self-tests-"))
        run = cls(root)
        for name in ("secrets", "agent", "state", "home", "tmp", "captured"):
            (root / name).mkdir(parents=True, exist_ok=True)
        return run

    @property
    def secrets_folder(self) -> Path:
        """Return the folder to whose files simulators append what they hand out."""
        return self.root / "secrets"

    def new_folder(self, part: str, name: str) -> Path:
        """Make a folder of its own below ``part``."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[-80:]
        return Path(tempfile.mkdtemp(prefix=f"{stem}-", dir=self.root / part))

    def note_secrets(self, secrets: Iterable[str], *, source: str = "fixtures") -> None:
        """Remember secrets that a simulator handed out."""
        with (self.secrets_folder / source).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(secret) + "\n" for secret in secrets)

    def secrets(self) -> tuple[str, ...]:
        """Return every secret handed out so far, once each."""
        lines = (
            line
            for file in sorted(self.secrets_folder.iterdir())
            for line in file.read_text(encoding="utf-8").splitlines()
        )
        found = {_unquoted(line) for line in lines if line}
        return tuple(sorted(secret for secret in found if len(secret) >= SHORTEST_SECRET))

    def agent_runs(self) -> int:
        """Return how often the agent was started."""
        return sum(1 for _ in (self.root / "agent").iterdir())

    def leaks(self) -> tuple[Leak, ...]:
        """Return every place where a secret, or a signed URL, can be read."""
        return tuple(self._leaks())

    def _leaks(self) -> Iterator[Leak]:
        contents = {path: _read(path) for path in self._files()}
        everything = b"\0".join(contents.values())
        words = b"\0".join(set(WORD.findall(everything)))
        for number, secret in enumerate(self.secrets(), start=1):
            for form in spellings(secret):
                # Thousands of secrets: look among the words, each once, where that is enough.
                if form in (words if WORD.fullmatch(form) else everything):
                    yield from (
                        Leak(self._relative(path), f"secret {number}, {len(secret)} characters")
                        for path, content in contents.items()
                        if form in content
                    )
        for path, content in contents.items():
            if SIGNED_URL.search(content):
                yield Leak(self._relative(path), "a signed URL")

    def _files(self) -> Iterator[Path]:
        for path in sorted(self.root.rglob("*")):
            inside = self.secrets_folder in path.parents
            if path.is_file() and not path.is_symlink() and not inside:
                yield path

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def remove(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.root, ignore_errors=True)


def spellings(secret: str) -> frozenset[bytes]:
    """Return the forms in which a secret may show up in text."""
    forms = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    }
    return frozenset(form.encode() for form in forms)


def _unquoted(line: str) -> str:
    if line.startswith('"'):
        return str(json.loads(line))
    return line.strip()


def _read(path: Path) -> bytes:
    # A program that is still ending may remove its files meanwhile.
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""
