"""A Debian system with nothing in it, and what a stranger then asks apt and pip for; built once.

The root is mmdebstrap's smallest. Beside it lie a repository with the packages that README, the
demo and the build ask for, and the libraries that ``packaging/locked`` names, so that a walk
through it needs no network. All of it comes from where this machine's own apt and pip get theirs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from debian_repository import write_index

from agent_runner import CHECKOUT
from kept_builds import (
    CannotBuild,
    cache_folder,
    checked,
    locked,
    remove_old,
    source_of,
    tail,
)

# Raise it when it is to be made anew although nothing below tells.
_FORM = 1
LIMIT_S = 900
PROGRAMS = ("mmdebstrap", "apt-get", "dpkg-deb")
# A suite, and the Python that it has.
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
PACKAGES = (
    *("python3", "python3-venv"),  # README
    *("e2fsprogs", "xfsprogs", "btrfs-progs"),  # the demo's disks
    *("patchelf", "binutils"),  # the build
)
LOCKED = tuple(
    CHECKOUT / f"packaging/locked/{name}.txt" for name in ("agent", "applications", "build")
)


@dataclass(frozen=True, slots=True)
class BareRoot:
    """A suite as it is kept; never written to.

    Args:
        root: its root directory.
        repository: what apt reads with ``deb [trusted=yes] file:… ./``.
        wheels: what pip reads with ``--find-links``.
    """

    root: Path
    repository: Path
    wheels: Path


def bare_root(suite: str) -> BareRoot:
    """Return a suite's root; build it where there is none yet.

    Raises:
        CannotBuild: this machine lacks something, or a step failed.
    """
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        raise CannotBuild(f"no {', '.join(lacking)}" if lacking else "not root")
    source = source_of(suite)
    listed = [path.read_text(encoding="utf-8") for path in LOCKED]
    inputs = repr((_FORM, source, PACKAGES, PYTHONS[suite], listed))
    name = f"{suite}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"
    kept = cache_folder("roots")
    with locked(kept / "lock"):
        if not (kept / name).exists():
            remove_old(kept, but=name)
            _build(kept / name, suite, source)
    os.utime(kept / name)
    return BareRoot(*(kept / name / part for part in ("root", "repository", "wheels")))


def _build(folder: Path, suite: str, source: str) -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as name:
        work = Path(name) / "work"
        for part in ("repository", "wheels"):
            (work / part).mkdir(parents=True)
        _unpack(work, suite, source)
        _index(work / "repository")
        _libraries(work / "wheels", PYTHONS[suite])
        # A folder that is there is whole: the rename is the last step.
        work.rename(folder)
    print(f"bare Debian {suite}: built in {time.monotonic() - begun:.0f} s", flush=True)


def _unpack(work: Path, suite: str, source: str) -> None:
    """Make the root; what it may be asked for is downloaded by the same apt, not installed."""
    download = (
        f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes --download-only install'
        f" {' '.join(PACKAGES)} && mv \"$1\"/var/cache/apt/archives/*.deb '{work}/repository/'"
    )
    log = work.parent / "mmdebstrap.log"
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(
            [
                *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
                *("--aptopt=Acquire::Check-Valid-Until false", f"--customize-hook={download}"),
                *(suite, str(work / "root"), source.strip()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=LIMIT_S,
        )
    if done.returncode != 0:
        raise CannotBuild(f"mmdebstrap: {tail(log)}")


def _index(repository: Path) -> None:
    archives = sorted(repository.glob("*.deb"))
    write_index(
        repository, {path.name: checked("dpkg-deb", "--field", str(path)) for path in archives}
    )


def _libraries(wheels: Path, python: str) -> None:
    requirements = [f"--requirement={path}" for path in LOCKED]
    checked(
        *(sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-input"),
        *("--require-hashes", "--only-binary=:all:", f"--python-version={python}"),
        *(*requirements, "--dest", str(wheels)),
    )


if __name__ == "__main__":
    try:
        for each in sys.argv[1:] or PYTHONS:
            print(bare_root(each).root)
    except CannotBuild as error:
        sys.exit(f"no bare root: {error}")
