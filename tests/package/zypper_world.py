"""Worlds in which Debian's own zypper installs risky packages without touching the machine.

As :mod:`apt_world`, with an rpm database of a few tiny packages.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apt_world import AGENT, Base, Cloud, Done, World, world_running
from rpm_repository import FOLDER, Rpm, make_rpms
from world_init import OPAQUE

from agent_runner import CHECKOUT
from run_directory import RunDirectory

PROGRAMS = ("zypper", "rpm", "rpmbuild", "createrepo_c")
PLUGIN = "/usr/lib/zypp/plugins/commit/snap-self"
GUARD = "/etc/snap-self/hook-guard"
DATABASE = "/var/lib/rpm"
LOG = "/var/log/zypper.log"
INSTALLED = ("glibc-2.38-1", "openssl-1:3.2-1", "hello-1-1", "grub2-2.12-1")
PACKAGES = (
    Rpm(name="glibc", version="2.38-1"),
    Rpm(name="glibc", version="2.38-2", generation=1),
    Rpm(name="openssl", version="3.1-1"),
    Rpm(name="openssl", version="3.2-1", epoch=1, generation=1),
    Rpm(name="kernel-default", version="6.4.0-1"),
    Rpm(name="grub2", version="2.12-1"),
    Rpm(name="sudo", version="1.9-1"),
    Rpm(name="sudo", version="1.9-2", generation=1),
    Rpm(name="hello", version="1-1"),
    Rpm(name="hello", version="2-1", generation=1),
    *(Rpm(name=f"small-{number:02}", version="1-1") for number in range(12)),
)
# Debian's rpm keeps its database in the home directory; elsewhere it is here.
MACROS = f"%_dbpath {DATABASE}\n"
REPOSITORY = (
    "[test]\nname=test\nenabled=1\nautorefresh=0\nbaseurl=dir:{}\ntype=rpm-md\ngpgcheck=0\n"
)
KEPT = ("var/lib/rpm", "var/lib/zypp", "var/cache/zypp", FOLDER.lstrip("/"))
FRESH = ("etc/zypp", "usr/lib/zypp", *KEPT)
# The hook as the packages place it: (in the checkout, in the world).
HOOK_FILES = (
    ("packaging/hooks/hook-guard", GUARD, 0o755),
    ("packaging/hooks/zypper/snap-self", PLUGIN, 0o755),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZypperWorld(World):
    """A machine on which zypper knows nothing but the tests' packages."""

    def zypper(self, *arguments: str, **env: str) -> Done:
        """Run zypper without questions."""
        return self.run("zypper", "--non-interactive", *arguments, **env)

    def installed(self, name: str) -> str:
        """Return the version of a package that the rpm database has; empty for none."""
        done = self.run("rpm", "-q", "--qf", "%{VERSION}-%{RELEASE} ", name)
        return done.out.strip() if done.status == 0 else ""

    def log(self) -> str:
        """Return what libzypp wrote down, plugins' standard error too."""
        return self.path(LOG).read_text(errors="replace")


def make_zypper_base(folder: Path, run: RunDirectory) -> Base:
    """Make the repository, and let zypper install in a first world what all others begin with."""
    base = Base(folder / "repository", folder / "layer")
    make_rpms(base.repository, PACKAGES)
    for name in FRESH:
        (base.layer / name).mkdir(parents=True, exist_ok=True)
        os.setxattr(base.layer / name, OPAQUE, b"y")
    place(base.layer, "/etc/rpm/macros", MACROS)
    place(base.layer, "/etc/zypp/zypp.conf", "[main]\n")
    place(base.layer, "/etc/zypp/repos.d/test.repo", REPOSITORY.format(base.repository))
    place_agent(base.layer)
    with zypper_world_running(base, None, folder / "seed", run) as seed:
        for command in (("refresh",), ("install", *INSTALLED)):
            done = seed.zypper("--no-gpg-checks", *command)
            assert done.status == 0, done.out + done.err
        for name in KEPT:
            subprocess.run(["cp", "-a", f"{seed.path(name)}/.", str(base.layer / name)], check=True)
    for source, target, mode in HOOK_FILES:
        place(base.layer, target, (CHECKOUT / source).read_text(encoding="utf-8"), mode)
    return base


def place_agent(layer: Path) -> None:
    """Put the agent where the packages put it, running from the checkout."""
    place(layer, "/opt/snap-self/bin/snap-self", AGENT, 0o755)
    (layer / "usr/bin").mkdir(parents=True, exist_ok=True)
    (layer / "usr/bin/snap-self").symlink_to("/opt/snap-self/bin/snap-self")


def place(layer: Path, inside: str, text: str, mode: int = 0o644) -> None:
    """Write a file of a layer."""
    path = layer / inside.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


@contextmanager
def zypper_world_running(
    base: Base, cloud: Cloud | None, folder: Path, run: RunDirectory
) -> Iterator[ZypperWorld]:
    """Run a world until the block ends; nothing of it is left then."""
    with world_running(base, cloud, folder, run) as world:
        yield ZypperWorld(pid=world.pid, state=world.state, run_directory=run)
