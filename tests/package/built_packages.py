"""The real self-contained tree and the real packages, built once for what they are made from."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_runner import CHECKOUT

CACHE = CHECKOUT / ".cache" / "packages"
SOURCES = (
    *("packaging", "agent", "pyproject.toml"),
    *("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"),
)
LIMIT_S = 600.0
NEXT_VERSION = "99.0"


def project_version() -> str:
    """Return the version that is built unless another is asked for."""
    lines = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def self_contained_tree() -> Path:
    """Return the parent of a built tree: a folder with ``opt/snap-self`` in it.

    Skips the test where it cannot be built.
    """
    need("patchelf", "strip")
    with _locked("tree"):
        folder, stamp = CACHE / "built", CACHE / "built.stamp"
        # What is up to date of an older one is kept by the script itself.
        if not stamp.exists() or stamp.read_text() != sources_hash():
            stamp.unlink(missing_ok=True)
            _build("packaging/build.sh", "--output", str(folder))
            stamp.write_text(sources_hash())
        return folder


def deb(version: str = "") -> Path:
    """Return the Debian package of this version."""
    need("dpkg-deb")
    return _package("deb", version, "gzip")


def rpm(version: str = "") -> Path:
    """Return the rpm package of this version."""
    need("rpmbuild")
    return _package("rpm", version, "gzip")


def need(*programs: str) -> None:
    """Skip the test aloud where one of these is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")


def _package(kind: str, version: str, compression: str) -> Path:
    tree = self_contained_tree()
    version = version or project_version()
    with _folder(kind) as folder:
        found = list(folder.glob(f"snap-self?{version}-1*.{kind}"))
        if not found:
            _build(
                *(f"packaging/{kind}/build.sh", "--output", str(folder), "--tree", str(tree)),
                *("--version", version, "--compression", compression),
            )
            found = list(folder.glob(f"snap-self?{version}-1*.{kind}"))
        return found[0]


@contextmanager
def _folder(kind: str) -> Iterator[Path]:
    """Hold the folder for what is built from the sources as they are; older ones go."""
    with _locked(kind):
        folder = CACHE / f"{kind}-{sources_hash()}"
        for other in CACHE.glob(f"{kind}-*"):
            if other != folder:
                shutil.rmtree(other)
        folder.mkdir(exist_ok=True)
        yield folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    # Not NAME.lock, which is the build script's own.
    with (CACHE / f"held-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(*argv: str) -> None:
    done = subprocess.run(
        [str(CHECKOUT / argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(argv)}:\n{done.stderr}"


@functools.cache
def sources_hash() -> str:
    """Return one hash over names, modes and contents of all that the packages are made from.

    It is that of the first look: who edits while the tests run gets no second build.
    """
    found = hashlib.sha256()
    for path in sorted(_sources()):
        found.update(f"{path.relative_to(CHECKOUT)} {path.stat().st_mode:o}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for name in SOURCES:
        top = CHECKOUT / name
        if top.is_file():
            yield top
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name != "__pycache__"]
            yield from (Path(folder) / file for file in files if not file.endswith(".pyc"))
