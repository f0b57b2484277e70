"""Worlds in which Debian's own pacman installs risky packages without touching the machine.

As :mod:`apt_world`, with a pacman database of a few tiny packages and a repository of more.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apt_world import Base, Cloud, Done, World, world_running
from world_init import OPAQUE
from zypper_world import place, place_agent

from agent_runner import CHECKOUT
from run_directory import RunDirectory

HOOK = "/usr/share/libalpm/hooks/05-snap-self.hook"
GUARD = "/etc/snap-self/hook-guard"
FOLDER = "/usr/share/snap-self-test"
CONFIG = """[options]
Architecture = auto
SigLevel = Never
HoldPkg = pacman
[test]
Server = file://{}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkg:
    """One package; it has one file, which holds its version."""

    name: str
    version: str

    @property
    def file_name(self) -> str:
        """Return what its archive is called."""
        return f"{self.name}-{self.version}-any.pkg.tar.gz"

    def archive(self) -> bytes:
        """Return the archive, see PKGBUILD(5) and BUILDINFO(5) of pacman's manual."""
        info = (
            f"pkgname = {self.name}\npkgver = {self.version}\npkgdesc = of a test\n"
            "url = none\nbuilddate = 1\npackager = Nobody\nsize = 1\narch = any\n"
        )
        return _tar({".PKGINFO": info, f"{FOLDER.lstrip('/')}/{self.name}": self.version})

    def description(self, archive: bytes) -> str:
        """Return its entry in the repository's list."""
        fields = {
            "FILENAME": self.file_name,
            "NAME": self.name,
            "VERSION": self.version,
            "CSIZE": len(archive),
            "ISIZE": 1,
            "SHA256SUM": hashlib.sha256(archive).hexdigest(),
            "ARCH": "any",
        }
        return "".join(f"%{name}%\n{value}\n\n" for name, value in fields.items())


OLD = (
    Pkg(name="glibc", version="2.39-1"),
    Pkg(name="openssl", version="1:3.2.1-1"),
    Pkg(name="linux", version="6.8.1.arch1-1"),
    Pkg(name="hello", version="1.0-1"),
    *(Pkg(name=f"small-{number:02}", version="1-1") for number in range(12)),
)
NEW = (
    Pkg(name="glibc", version="2.40-1"),
    Pkg(name="openssl", version="1:3.3.0-1"),
    Pkg(name="linux", version="6.9.1.arch1-1"),
    Pkg(name="hello", version="2.0-1"),
    Pkg(name="linux-lts", version="6.6.30-1"),
    Pkg(name="new++.tool", version="1-1"),
    *(Pkg(name=f"small-{number:02}", version="2-1") for number in range(12)),
)
KEPT = ("var/lib/pacman", FOLDER.lstrip("/"))
FRESH = ("etc/pacman.d", "usr/share/libalpm/hooks", "var/cache/pacman", *KEPT)
# The hook as the packages place it: (in the checkout, in the world).
HOOK_FILES = (
    ("packaging/hooks/hook-guard", GUARD, 0o755),
    ("packaging/hooks/pacman/05-snap-self.hook", HOOK, 0o644),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacmanWorld(World):
    """A machine on which pacman knows nothing but the tests' packages."""

    def pacman(self, *arguments: str, **env: str) -> Done:
        """Run pacman without questions."""
        return self.run("pacman", "--noconfirm", *arguments, **env)

    def installed(self, name: str) -> str:
        """Return the version of a package that pacman's database has; empty for none."""
        done = self.run("pacman", "-Q", name)
        return done.out.split()[1] if done.status == 0 else ""


def make_pacman_base(folder: Path, run: RunDirectory) -> Base:
    """Make the repository, and let pacman install in a first world what all others begin with."""
    base = Base(folder / "repository", folder / "layer")
    base.repository.mkdir(parents=True)
    for package in OLD:
        (base.repository / package.file_name).write_bytes(package.archive())
    _make_repository(base.repository, NEW)
    for name in FRESH:
        (base.layer / name).mkdir(parents=True, exist_ok=True)
        os.setxattr(base.layer / name, OPAQUE, b"y")
    place(base.layer, "/etc/pacman.conf", CONFIG.format(base.repository))
    place_agent(base.layer)
    with pacman_world_running(base, None, folder / "seed", run) as seed:
        files = [str(base.repository / package.file_name) for package in OLD]
        for command in (["-Sy"], ["-U", *files]):
            done = seed.pacman(*command)
            assert done.status == 0, done.out + done.err
        for name in KEPT:
            subprocess.run(["cp", "-a", f"{seed.path(name)}/.", str(base.layer / name)], check=True)
    for source, target, mode in HOOK_FILES:
        place(base.layer, target, (CHECKOUT / source).read_text(encoding="utf-8"), mode)
    return base


def _make_repository(folder: Path, packages: Iterable[Pkg]) -> None:
    entries = {}
    for package in packages:
        archive = package.archive()
        (folder / package.file_name).write_bytes(archive)
        entries[f"{package.name}-{package.version}/desc"] = package.description(archive)
    (folder / "test.db").write_bytes(_tar(entries))


def _tar(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


@contextmanager
def pacman_world_running(
    base: Base, cloud: Cloud | None, folder: Path, run: RunDirectory
) -> Iterator[PacmanWorld]:
    """Run a world until the block ends; nothing of it is left then."""
    with world_running(base, cloud, folder, run) as world:
        yield PacmanWorld(pid=world.pid, state=world.state, run_directory=run)
