"""Worlds in which Debian's own dnf 4 installs risky packages without touching the machine.

As :mod:`apt_world`, with an rpm database of a few tiny packages. The root of a world is a machine's
root to every rule of the hook; nothing of it is an install root.
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

DATABASE = "/var/lib/rpm"
PLUGIN = "/usr/lib/python3/dist-packages/dnf-plugins/snap_self.py"
PLUGIN_CONFIG = "/etc/dnf/plugins/snap_self.conf"
GUARD = "/etc/snap-self/hook-guard"

RPM_PROGRAMS = ("/usr/bin/dnf", "rpm", "rpmbuild", "createrepo_c")

# What the worlds begin with, and what they can get.
INSTALLED = (
    *("glibc-2.34-1", "openssl-libs-1:3.0-1", "kernel-5.14.0-1", "kernel-5.14.0-2"),
    *("hello-1-1", "old-tool-1-1", "test-release-9-1"),
)
PACKAGES = (
    Rpm(name="glibc", version="2.34-1"),
    Rpm(name="glibc", version="2.34-2", generation=1),
    Rpm(name="openssl-libs", version="3.0-1", epoch=1),
    Rpm(name="openssl-libs", version="3.2-1", epoch=1, generation=1),
    Rpm(name="kernel", version="5.14.0-1"),
    Rpm(name="kernel", version="5.14.0-2", generation=1),
    Rpm(name="kernel", version="5.14.0-3", generation=2),
    Rpm(name="hello", version="1-1"),
    Rpm(name="hello", version="2-1", generation=1),
    Rpm(name="tree", version="1.7-1"),
    Rpm(name="libstdc++.test", version="1.7-1"),
    Rpm(name="old-tool", version="1-1"),
    Rpm(name="new-tool", version="2-1", tags=("Obsoletes: old-tool < 2",)),
    Rpm(name="test-release", version="9-1", tags=("Provides: system-release = 9-1",)),
    *(Rpm(name=f"bulk-{number:02}", version="1-1") for number in range(30)),
)
# Debian's rpm keeps its database in the home directory; elsewhere it is here.
MACROS = f"%_dbpath {DATABASE}\n"
DNF_CONFIG = """[main]
gpgcheck=0
installonly_limit=2
best=1
plugins=1
metadata_expire=never
module_platform_id=platform:el9
"""
# What /usr/bin/dnf-automatic is; Debian's python3-dnf has the module and not that file.
AUTOMATIC = "import sys, dnf.automatic.main as m; sys.exit(m.main(sys.argv[1:]))"
AUTOMATIC_CONFIG = """[commands]
upgrade_type = default
download_updates = yes
apply_updates = yes
[emitters]
emit_via = stdio
"""
# The hook as the packages place it: (in the checkout, in the world).
HOOK_FILES = (
    ("packaging/hooks/hook-guard", GUARD, 0o755),
    ("packaging/hooks/dnf4/snap_self.py", PLUGIN, 0o644),
    ("packaging/hooks/dnf4/snap_self.conf", PLUGIN_CONFIG, 0o644),
)
KEPT = ("var/lib/dnf", "var/lib/rpm", "var/cache/dnf", FOLDER.lstrip("/"))
# Of these the machine's own content is not seen in a world.
FRESH = ("etc/dnf", "etc/yum.repos.d", *KEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DnfWorld(World):
    """A machine on which dnf knows nothing but the tests' packages."""

    def dnf(self, *arguments: str, **env: str) -> Done:
        """Run dnf without questions."""
        return self.run("dnf", "-y", *arguments, **env)

    def installed(self, name: str) -> list[str]:
        """Return the versions of a package that the rpm database has."""
        done = self.run("rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}\\n", name)
        return done.out.split() if done.status == 0 else []


def make_dnf_base(folder: Path, run: RunDirectory) -> Base:
    """Make the repository, and let dnf install in a first world what all others begin with."""
    base = Base(folder / "repository", folder / "layer")
    make_rpms(base.repository, PACKAGES)
    _write(base.layer, "/etc/rpm/macros", MACROS)
    _write(base.layer, "/etc/dnf/dnf.conf", DNF_CONFIG)
    _write(
        base.layer,
        "/etc/yum.repos.d/test.repo",
        f"[test]\nname=test\nbaseurl=file://{base.repository}\nenabled=1\n",
    )
    (base.layer / "usr/bin").mkdir(parents=True, exist_ok=True)
    for name in FRESH:
        (base.layer / name).mkdir(parents=True, exist_ok=True)
        os.setxattr(base.layer / name, OPAQUE, b"y")
    _write(base.layer, "/opt/snap-self/bin/snap-self", AGENT, 0o755)
    (base.layer / "usr/bin/snap-self").symlink_to("/opt/snap-self/bin/snap-self")
    with dnf_world_running(base, None, folder / "seed", run) as seed:
        done = seed.dnf("install", "--setopt=obsoletes=0", *INSTALLED)
        assert done.status == 0, done.err
        for name in KEPT:
            subprocess.run(["cp", "-a", f"{seed.path(name)}/.", str(base.layer / name)], check=True)
    for source, target, mode in HOOK_FILES:
        if (CHECKOUT / source).exists():
            _write(base.layer, target, (CHECKOUT / source).read_text(encoding="utf-8"), mode)
    return base


def _write(layer: Path, inside: str, text: str, mode: int = 0o644) -> None:
    path = layer / inside.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


@contextmanager
def dnf_world_running(
    base: Base, cloud: Cloud | None, folder: Path, run: RunDirectory
) -> Iterator[DnfWorld]:
    """Run a world until the block ends; nothing of it is left then."""
    with world_running(base, cloud, folder, run) as world:
        yield DnfWorld(pid=world.pid, state=world.state, run_directory=run)
