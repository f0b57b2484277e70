"""What tests build from Debian's packages once and keep, outside the work tree."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

KEEP_DAYS = 14


class CannotBuild(RuntimeError):
    """Say why there can be no such thing here."""


def cache_folder(kind: str) -> Path:
    """Return where builds of one kind are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "snap-self" / kind


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_old(folder: Path, *, but: str) -> None:
    """Remove the builds in a folder that nobody used for a while."""
    for old in folder.iterdir():
        age_s = time.time() - old.stat().st_mtime
        if old.is_dir() and old.name != but and age_s > KEEP_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)


def debian_sources() -> Sequence[str]:
    """Return this machine's own apt sources for Debian's packages: place, codename, component.

    Raises:
        CannotBuild: apt tells none.
    """
    form = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
    try:
        told = checked(
            *("apt-get", "indextargets", "--format", form),
            *("Created-By: Packages", "Origin: Debian"),
        )
    except (CannotBuild, OSError) as error:
        raise CannotBuild(f"apt tells no mirror: {error}") from error
    return tuple(dict.fromkeys(told.splitlines()))


def source_of(suite: str) -> str:
    """Return the line for apt that gets a suite from where this machine's own apt gets Debian.

    Raises:
        CannotBuild: apt tells no such place.
    """
    for source in debian_sources():
        place, codename, component = source.split()
        if component == "main" and "-" not in codename:  # suites of fixes have places of their own
            return f"deb {place} {suite} main\n"
    raise CannotBuild("apt has no sources for Debian (or was never updated)")


def checked(*argv: str) -> str:
    """Run a program and return what it prints.

    Raises:
        CannotBuild: it failed.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(argv[:4])}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def tail(log: Path) -> str:
    """Return a log's last lines."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
