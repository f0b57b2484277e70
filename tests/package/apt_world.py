"""Worlds in which the machine's own apt installs risky packages without touching the machine.

A world is this machine's root under an overlay, with process and mount namespaces of its own, a
package database of a few tiny packages, and snap-self's hook in place. The hook sees a machine, so
its own checks for containers, chroots and other roots stay in force; see ``world_init``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import world_init
from debian_repository import ORIGIN, Deb, make_database, make_repository

from agent_runner import CHECKOUT, wait_for
from fixtures_simulator import SimulatorProcess, simulator_running
from run_directory import RunDirectory

HERE = Path(__file__).resolve().parent
LIMIT_S = 60.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOBODY = "http://127.0.0.1:9"  # the port of the discard service, which nobody runs
PROGRAM = "/opt/snap-self/bin/snap-self"
GUARD = "/etc/snap-self/hook-guard"
LIFE: dict[str, Any] = {
    "cut_s": 0.02,
    "available_s": 0.03,
    "accomplished_s": 0.05,
    "visible_lag_s": 0.0,
    "member_lag_s": 0.0,
    "fail_at": "",
}

# What the worlds begin with, and what they can get.
INSTALLED = (
    Deb(name="libc6", version="2.36-9"),
    Deb(name="openssl", version="3.0.11-1"),
    Deb(name="systemd", version="252.1-1"),
    Deb(name="grub-pc", version="2.06-13"),
    Deb(name="login", version="4.13-1", essential=True),
    Deb(name="harmless-essential", version="1.0", essential=True),
    Deb(name="hello-harmless", version="1.0"),
    *(Deb(name=f"small-tool-{n}", version="1.0") for n in range(4)),
)
BULK = tuple(Deb(name=f"bulk-{number:04}", version="1.0") for number in range(1010))
AVAILABLE = (
    Deb(name="libc6", version="2.36-8"),
    Deb(name="libc6", version="2.36-9"),
    Deb(name="libc6", version="2.36-10"),
    Deb(name="openssl", version="3.0.15-1"),
    Deb(name="systemd", version="252.2-1"),
    Deb(name="grub-pc", version="2.06-14"),
    Deb(name="linux-image-6.1.0-99-amd64", version="6.1.99-1"),
    Deb(name="hello-harmless", version="1.0"),
    Deb(name="hello-harmless", version="2.0"),
    Deb(name="tree-tool", version="1.0", preinst="echo unpacking tree-tool"),
    *(Deb(name=f"small-tool-{n}", version="2.0") for n in range(4)),
    *BULK,
)

# The hook as the packages place it: (in the checkout, in the world).
HOOK_FILES = (
    ("packaging/hooks/hook-guard", "etc/snap-self/hook-guard", 0o755),
    ("packaging/hooks/apt/65snap-self", "etc/apt/apt.conf.d/65snap-self", 0o644),
)
APT_FOLDERS = (
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
    "var/log/apt",
    "var/lib/snap-self",
)
# Of the machine's configuration of apt, what a fresh Debian has too.
KEPT_APT_CONF = ("01autoremove", "50unattended-upgrades", "70debconf")
AGENT = f"""#!{sys.executable} -I
import sys
sys.path.insert(0, {str(CHECKOUT / "agent")!r})
from snap_self.cli.entry import main
main()
"""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A simulated cloud whose two loop disks are mounted at the same places in every world."""

    process: SimulatorProcess
    mounts: tuple[Path, ...]

    def begin_anew(self) -> None:
        """Delete all snapshots, lift all faults and forget all calls."""
        control = self.process.control
        control("DELETE", "faults")
        self.latencies()
        self.policies(ALLOW_ALL)
        control("PUT", "life", LIFE)
        control("DELETE", "snapshots")
        control("DELETE", "calls")

    def secrets(self) -> list[str]:
        """Return every secret handed out."""
        found: list[str] = self.process.control("GET", "secrets")["secrets"]
        return found

    def fault(self, kind: str, action: str, **more: object) -> None:
        """Have a call go wrong."""
        self.process.control("POST", "faults", {"kind": kind, "action": action, **more})

    def latencies(self, **times_s: float) -> None:
        """Have each named action take so long; those not named are fast."""
        self.process.control("PUT", "latencies", {"times_s": times_s})

    def hang(self, action: str) -> None:
        """Have the next call of an action get no answer."""
        self.fault("hang", action)

    def wait_until_struck(self) -> None:
        """Return when every fault has met its call."""
        end = time.monotonic() + LIMIT_S
        while self.process.control("GET", "faults")["faults"]:
            assert time.monotonic() < end, "the call never came"
            time.sleep(0.02)

    def policies(self, *policies: object) -> None:
        """Give the instance's role these policies alone."""
        self.process.control(
            "PUT", "policies", {"name": "SnapSelfRole", "policies": list(policies)}
        )

    def calls(self) -> list[str]:
        """Return the actions of all API calls since the test began."""
        return [call["action"] for call in self.process.control("GET", "calls")["calls"]]

    def asked_anything(self) -> bool:
        """Tell whether the API or the metadata service was asked anything."""
        return bool(self.calls() or self.process.control("GET", "metadata-calls")["calls"])

    def befores(self) -> list[str]:
        """Return the text of each group that exists, in the order in which they were made."""
        groups = self.process.control("GET", "state")["groups"].values()
        return [group["tags"]["snap-self-before"] for group in groups]


ALLOW_ALL = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}

DENY_CREATES = {
    "Version": "1",
    "Statement": [{"Effect": "Deny", "Action": "ecs:CreateSnapshot*", "Resource": "*"}],
}


@contextmanager
def cloud_running(folder: Path) -> Iterator[Cloud]:
    """Run a cloud with two loop disks, ext4 and xfs, mounted below ``folder``."""
    mounts = (folder / "ext4", folder / "xfs")
    disks = [f"size=1,category=cloud_essd,fs={path.name},mount={path}" for path in mounts]
    with simulator_running(
        "--storage", "loop", "--no-https", "--disk", disks[0], "--disk", disks[1]
    ) as process:
        yield Cloud(process, mounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command in a world ended."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A machine with nothing but the tests' packages; see :func:`world_running`.

    Args:
        pid: its process 1, as the machine counts.
        state: the agent's state directory, seen from here.
        environment: variables that every command gets.
        limit_s: no command may take longer.
    """

    pid: int
    state: Path
    run_directory: RunDirectory
    environment: dict[str, str] = field(default_factory=dict)
    limit_s: float = LIMIT_S

    def path(self, inside: str) -> Path:
        """Return where a file of the world can be reached from here."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Write a file, its folders too."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def configure(self, *lines: str) -> None:
        """Write lines into the section of package managers."""
        text = "\n".join(("[package_managers]", *lines, ""))
        self.write("/etc/snap-self/conf.d/50-test.toml", text)

    def cut_off(self) -> None:
        """Have nobody answer where the agent looks for the cloud."""
        _configure(self, NOBODY, NOBODY)

    def argv(self, *command: str) -> list[str]:
        """Return what starts a command in the world."""
        return [sys.executable, "-IS", str(HERE / "world_enter.py"), str(self.pid), *command]

    def variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return all variables a command gets."""
        return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", **self.environment, **env}

    def run(self, *command: str, **env: str) -> Done:
        """Run a command to its end, with these variables beyond the usual ones."""
        folder = self.run_directory.new_folder("agent", "world-" + "-".join(command))
        (folder / "argv").write_text(json.dumps(command), encoding="utf-8")
        begin = time.monotonic()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                self.argv(*command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.variables(env),
                start_new_session=True,
            )
            try:
                status = wait_for(process, self.limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
                said = (folder / "stderr").read_text(errors="replace")
                raise AssertionError(
                    f"{command} ran longer than {self.limit_s} s\n{said}"
                ) from None
        texts = [(folder / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        return Done(
            argv=command,
            status=status,
            out=texts[0],
            err=texts[1],
            seconds=time.monotonic() - begin,
        )

    def apt(self, *arguments: str, **env: str) -> Done:
        """Run apt-get without questions."""
        return self.run("apt-get", "-y", *arguments, **env)

    def listed(self) -> list[dict[str, Any]]:
        """Return what ``snap-self list --json`` shows."""
        done = self.run("snap-self", "list", "--json")
        assert done.status == 0, done.err
        shown: list[dict[str, Any]] = json.loads(done.out)["snapshots"]
        return shown

    def version(self, package: str) -> str:
        """Return which version is unpacked by the file on the disk; empty where none is."""
        path = self.path(f"/usr/share/snap-self-test/{package}")
        return path.read_text() if path.exists() else _installed_by_database(self, package)


def _installed_by_database(world: World, package: str) -> str:
    status = world.path("/var/lib/dpkg/status").read_text()
    for paragraph in status.split("\n\n"):
        lines = paragraph.strip().splitlines()
        if f"Package: {package}" in lines and "Status: install ok installed" in lines:
            return next(line[9:] for line in lines if line.startswith("Version: "))
    return ""


@dataclass(frozen=True, slots=True)
class Base:
    """What all worlds of a test run share: the repository, and what lies in them at first."""

    repository: Path
    layer: Path


def make_base(folder: Path, run: RunDirectory) -> Base:
    """Make the repository and the first layer, and let apt read the repository once."""
    base = Base(folder / "repository", folder / "layer")
    make_repository(base.repository, AVAILABLE)
    make_database(base.layer / "var/lib/dpkg", INSTALLED)
    apt = base.layer / "etc/apt"
    (apt / "apt.conf.d").mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb [trusted=yes] file:{base.repository} ./\n")
    for name in KEPT_APT_CONF:
        with suppress(FileNotFoundError):
            text = (Path("/etc/apt/apt.conf.d") / name).read_text()
            (apt / "apt.conf.d" / name).write_text(text)
    (apt / "apt.conf.d" / "90world").write_text(
        f'Unattended-Upgrade::Origins-Pattern:: "origin={ORIGIN}";\n'
        'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
    )
    for name in APT_FOLDERS:
        (base.layer / name).mkdir(parents=True)
    _place_agent(base.layer)
    with world_running(base, None, folder / "seed", run) as seed:
        done = seed.apt("update")
        assert done.status == 0, done.err
        for path in seed.path("/var/lib/apt/lists").glob("*_*"):
            (base.layer / "var/lib/apt/lists" / path.name).write_bytes(path.read_bytes())
    return base


def _place_agent(layer: Path) -> None:
    for source, target, mode in HOOK_FILES:
        path = layer / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((CHECKOUT / source).read_bytes())
        path.chmod(mode)
    program = layer / "opt/snap-self/bin/snap-self"
    program.parent.mkdir(parents=True)
    program.write_text(AGENT)
    program.chmod(0o755)
    (layer / "var/lib/snap-self").chmod(0o700)
    link = layer / "usr/bin/snap-self"
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/snap-self/bin/snap-self")


def _hidden_needs() -> Iterator[Path]:
    """Return what the agent here needs and a world would not have: below /tmp, as of a clone."""
    for path in {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}:
        if path.parts[1] in world_init.EMPTY:
            yield path


@contextmanager
def world_running(
    base: Base,
    cloud: Cloud | None,
    folder: Path,
    run: RunDirectory,
    environment_of_init: Iterable[tuple[str, str]] = (),
) -> Iterator[World]:
    """Run a world until the block ends; nothing of it is left then.

    Args:
        environment_of_init: variables of its process 1, which container managers mark.
    """
    (folder / "place").mkdir(parents=True)
    state = run.new_folder("state", f"world-{folder.name}")
    mounts = cloud.mounts if cloud else ()
    description = {
        "folder": str(folder / "place"),
        "layers": [str(base.layer)],
        "fresh": ["etc/apt", "var/lib/dpkg", "var/lib/apt", "var/cache/apt", "var/log"],
        "hidden": ["usr/sbin/policy-rc.d"],
        "shared": [str(path) for path in (*mounts, base.repository, run.root, *_hidden_needs())],
        "environment": dict(environment_of_init),
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
            world = World(pid=int(pid), state=state, run_directory=run)
            if cloud:
                _configure(world, cloud.process.metadata_url, cloud.process.ecs_url)
            yield world
        finally:
            process.stdin.close()
            process.wait(LIMIT_S)


def _configure(world: World, metadata_url: str, ecs_url: str) -> None:
    text = (
        f'[state]\ndir = "{world.state}"\n'
        f'[network]\nmetadata_url = "{metadata_url}"\necs_endpoint = "{ecs_url}"\n'
    )
    world.write("/etc/snap-self/conf.d/10-world.toml", text)
