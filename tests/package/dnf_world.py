"""Worlds in which Debian's own dnf 4 installs risky packages without touching the machine.

As :mod:`apt_world`, with an rpm database of a few tiny packages. The root of a world is a machine's
root to every rule of the hook; nothing of it is an install root.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apt_world import AGENT, LIMIT_S, Cloud, Done, World
from rpm_repository import FOLDER, Rpm, make_rpms

from agent_runner import CHECKOUT
from run_directory import RunDirectory

HERE = Path(__file__).resolve().parent
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
# The hook as the packages place it: (in the checkout, in the world).
HOOK_FILES = (
    ("packaging/hooks/hook-guard", GUARD, 0o755),
    ("packaging/hooks/dnf4/snap_self.py", PLUGIN, 0o644),
    ("packaging/hooks/dnf4/snap_self.conf", PLUGIN_CONFIG, 0o644),
)
FRESH = ("etc/dnf", "etc/yum.repos.d", "var/lib/dnf", "var/lib/rpm", "var/cache/dnf", "var/log")
KEPT = ("var/lib/dnf", "var/lib/rpm", "var/cache/dnf", FOLDER.lstrip("/"))


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


@dataclass(frozen=True, slots=True)
class DnfBase:
    """What all worlds with dnf share: the repository, and what lies in them at first."""

    repository: Path
    layer: Path


def make_dnf_base(folder: Path, run: RunDirectory) -> DnfBase:
    """Make the repository, and let dnf install in a first world what all others begin with."""
    base = DnfBase(folder / "repository", folder / "layer")
    make_rpms(base.repository, PACKAGES)
    _write(base.layer, "/etc/rpm/macros", MACROS)
    _write(base.layer, "/etc/dnf/dnf.conf", DNF_CONFIG)
    _write(
        base.layer,
        "/etc/yum.repos.d/test.repo",
        f"[test]\nname=test\nbaseurl=file://{base.repository}\nenabled=1\n",
    )
    for name in (*KEPT, "usr/bin"):
        (base.layer / name).mkdir(parents=True, exist_ok=True)
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
    base: DnfBase, cloud: Cloud | None, folder: Path, run: RunDirectory
) -> Iterator[DnfWorld]:
    """Run a world until the block ends; nothing of it is left then."""
    (folder / "place").mkdir(parents=True)
    state = run.new_folder("state", f"world-{folder.name}")
    mounts = cloud.mounts if cloud else ()
    description = {
        "folder": str(folder / "place"),
        "layers": [str(base.layer)],
        "fresh": list(FRESH),
        "hidden": [".dockerenv", "usr/sbin/policy-rc.d"],
        "shared": [str(path) for path in (*mounts, base.repository, run.root)],
        "environment": {},
    }
    process = subprocess.Popen(
        [sys.executable, "-IS", str(HERE / "world_init.py"), json.dumps(description)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        try:
            pid, ready = process.stdout.readline(), process.stdout.readline()
            if ready != "ready\n":
                process.stdin.close()
                assert process.stderr is not None
                raise AssertionError(f"no world: {process.stderr.read()}")
            world = DnfWorld(pid=int(pid), state=state, run_directory=run)
            if cloud:
                _point_to(world, cloud)
            yield world
        finally:
            process.stdin.close()
            process.wait(LIMIT_S)


def _point_to(world: DnfWorld, cloud: Cloud) -> None:
    world.write(
        "/etc/snap-self/conf.d/10-world.toml",
        f'[state]\ndir = "{world.state}"\n[network]\n'
        f'metadata_url = "{cloud.process.metadata_url}"\n'
        f'ecs_endpoint = "{cloud.process.ecs_url}"\n',
    )
