"""A stranger's instance: a bare Debian on a disk of a simulated cloud, with a clone of the project.

Its root and its data disk are the cloud's, the metadata service answers at its own address, the API
at the region's name. Nothing is configured: what a stranger has after ordering the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apt_world import Done, World
from bare_root import BareRoot
from built_packages import deb, self_contained_tree
from debian_repository import Deb, make_repository

from agent_runner import CHECKOUT
from fixtures_simulator import SimulatorProcess, simulator_running
from run_directory import RunDirectory

HERE = Path(__file__).resolve().parent
LIMIT_S = 240.0
ADDRESS = "100.100.100.200"
REGION = "cn-hangzhou"
API_NAMES = (f"ecs-vpc.{REGION}.aliyuncs.com", f"ecs.{REGION}.aliyuncs.com")
NETWORK = f'ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec "$@"'
ROLE = "SnapSelfRole"
NO_PERMISSION = {"Version": "1", "Statement": []}
CLONE = "/root/snap-self"
DATA = "/srv"
CA_FILE = "usr/local/share/ca-certificates/cloud.crt"
# Every image of a cloud has these. Where they come later, apt keeps them: it recommends the one
# itself, and counts the other as essential.
BASICS = "apt-get update && apt-get install ca-certificates e2fsprogs && update-ca-certificates"
# A demo that was cut off has disks on this machine's kernel: it is given time to take them away.
END_DEMOS = (
    "kill -TERM -1; for n in $(seq 200); do"
    " grep -q 'ecs_simulato[r]' /proc/[0-9]*/cmdline 2>/dev/null || break; sleep 0.1; done"
)
# Beside the root on a filesystem that is not the machine's.
BESIDE = "/run/walk"
# Risky to change, though these two hold one small file each.
KERNEL = Deb(name="linux-image-amd64", version="6.1.1-1")
NEWER_KERNEL = Deb(name="linux-image-amd64", version="6.1.2-1")
# What a person answers with Enter, and what comes from where no network is needed.
FILES = {
    "etc/hosts": f"127.0.0.1 localhost\n{ADDRESS} {' '.join(API_NAMES)}\n",
    "etc/resolv.conf": "nameserver 127.0.0.1\n",
    "etc/hostname": "stranger\n",
    "etc/apt/sources.list": (
        f"deb [trusted=yes] file:{BESIDE}/debian ./\ndeb [trusted=yes] file:{BESIDE}/local ./\n"
    ),
    "etc/apt/apt.conf.d/90stranger": 'APT::Get::Assume-Yes "true";\n',
}
# No part of a clone, where git is not asked.
NOT_CLONED = ("__pycache__", "*.pyc", "*.egg-info", ".git", ".venv", ".*cache", "build")
# What apt and dpkg, and what they call, note of their own doings.
STATE_OF_APT = (
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/status-old",
    "/var/lib/dpkg/diversions-old",
    "/var/lib/apt/extended_states",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/cache/ldconfig/aux-cache",
    "/var/log/dpkg.log",
    "/var/log/apt/eipp.log.xz",
    "/var/log/apt/history.log",
    "/var/log/apt/term.log",
)
# A file: kind and mode, owner, group, link or hash of the content.
Entry = tuple[str, int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A machine and the cloud that it is in."""

    world: World
    cloud: SimulatorProcess

    def gives(self, command: str, where: str = "/root") -> Done:
        """Give a command line to a shell, as a person does, and wait for its end."""
        return self.world.run("sh", "-c", f"cd {where} && {command}")

    def does(self, command: str, where: str = "/root") -> Done:
        """Give a command that has to succeed, since others of the walk rest on it."""
        done = self.gives(command, where)
        assert done.status == 0, f"$ {command}\n{done.out}{done.err}[{done.status}]"
        return done

    def binds_role(self, policy: object) -> None:
        """Do in the console what the steps of `snap-self policy` say."""
        self.cloud.control("PUT", "policies", {"name": ROLE, "policies": [policy]})
        self.cloud.control("PUT", "instance", {"role": ROLE})

    def files(self) -> dict[str, Entry]:
        """Return everything that lies on the machine's disks and below /run."""
        root = self.world.path("/")
        found: dict[str, Entry] = {}
        for top in (root, root / "run", root / DATA.lstrip("/")):
            device = top.stat().st_dev
            for path in _below(top, device):
                found[f"/{path.relative_to(root)}"] = _entry(path)
        return found

    def processes(self) -> list[str]:
        """Return the command lines of ours that run on the machine."""
        lines = []
        for path in self.world.path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has just ended
                continue
            if "snap-self" in words or "snap_self" in words:
                lines.append(words.strip())
        return lines

    def keeps_traces(self) -> None:
        """Keep what the agent noted so far, and the secrets to be searched for in it."""
        state = self.world.path("/var/lib/snap-self")
        if state.exists():
            shutil.copytree(state, self.world.state, dirs_exist_ok=True)
        secrets = self.world.path(f"{BESIDE}/secrets")
        shutil.copytree(secrets, self.world.run_directory.secrets_folder, dirs_exist_ok=True)

    def packages(self) -> set[str]:
        """Return the names of all packages that are installed, or have left something."""
        form = "${db:Status-Abbrev}${Package}\\n"
        return set(self.world.run("dpkg-query", "-W", "-f", form).out.splitlines())


def differences(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> dict[str, str]:
    """Return what is not as it was, by path, but for what apt notes of its own doings."""
    found = {}
    for path in sorted({*before, *after}):
        if path in STATE_OF_APT or before.get(path) == after.get(path):
            continue
        word = "changed" if path in before and path in after else ""
        found[path] = word or ("new" if path in after else "gone")
    return found


def _below(top: Path, device: int) -> Iterator[Path]:
    for path in top.iterdir():
        facts = path.lstat()
        if facts.st_dev != device:
            continue  # a mount point: what it hides is compared by nobody, and changed by nobody
        yield path
        if stat.S_ISDIR(facts.st_mode):
            yield from _below(path, device)


def _entry(path: Path) -> Entry:
    facts = path.lstat()
    content = ""
    if stat.S_ISLNK(facts.st_mode):
        content = os.readlink(path)  # noqa: PTH115  # as it is
    elif stat.S_ISREG(facts.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return (stat.filemode(facts.st_mode), facts.st_uid, facts.st_gid, content)


@contextmanager
def stranger_arriving(bare: BareRoot, folder: Path, run: RunDirectory) -> Iterator[Stranger]:
    """Run the machine until the block ends; nothing of it is left then."""
    places = {name: folder / name for name in ("root", "data", "local", "init")}
    (folder / "init").mkdir(parents=True)
    make_repository(places["local"], [NEWER_KERNEL])
    disks = (
        *("--disk", f"size=8,category=cloud_essd,fs=ext4,mount={places['root']}"),
        *("--disk", f"size=1,category=cloud_essd,fs=xfs,mount={places['data']}"),
    )
    with simulator_running(
        *("--storage", "loop", "--region", REGION, *disks),
        *("--host", ADDRESS, "--metadata-port", "80", "--ecs-tls-port", "443"),
        wrapper=("unshare", "--net", "sh", "-c", NETWORK, "sh"),
    ) as cloud:
        _fill(places["root"], bare, cloud)
        cloud.control("PUT", "instance", {"role": ""})
        # Without that, which is not documented, retention needs more than the role is given.
        cloud.control("PUT", "groups", {"propagate_tags": True})
        cloud.control("PUT", "policies", {"name": ROLE, "policies": [NO_PERMISSION]})
        copies = {
            "debian": str(bare.repository),
            "wheels": str(bare.wheels),
            "local": str(places["local"]),
            "tree": str(self_contained_tree()),
            "secrets": str(run.new_folder("tmp", "secrets")),
        }
        described = {
            "root": str(places["root"]),
            "folder": str(places["init"]),
            "mounts": {DATA: str(places["data"])},
            "copies": copies,
        }
        with _running(described, cloud) as pid:
            stranger = Stranger(world=_world(pid, run), cloud=cloud)
            try:
                stranger.does(BASICS)
                yield stranger
            finally:
                stranger.gives(END_DEMOS)
                stranger.keeps_traces()


def _world(pid: int, run: RunDirectory) -> World:
    environment = {
        # pip's own settings, which apply.
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{BESIDE}/wheels",
        "SNAP_SELF_TEST_SECRETS_DIR": f"{BESIDE}/secrets",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    return World(
        pid=pid,
        state=run.new_folder("state", "stranger"),
        run_directory=run,
        environment=environment,
        limit_s=LIMIT_S,
    )


@contextmanager
def _running(described: Mapping[str, Any], cloud: SimulatorProcess) -> Iterator[int]:
    """Run the machine in the cloud's network; give its process 1 as it is counted here."""
    enter = ("nsenter", f"--net=/proc/{cloud.pid}/ns/net", "--")
    process = subprocess.Popen(
        [*enter, sys.executable, "-EsS", str(HERE / "bare_init.py"), json.dumps(described)],
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
                raise AssertionError(f"no machine: {process.stderr.read()}")
            yield int(pid)
        finally:
            process.stdin.close()
            process.wait(LIMIT_S)


def _fill(root: Path, bare: BareRoot, cloud: SimulatorProcess) -> None:
    """Put a system on the empty disk, as an image has it, and the stranger's clone."""
    subprocess.run(["cp", "-a", f"{bare.root}/.", str(root)], check=True)
    for name, text in FILES.items():
        path = root / name
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in (root / "etc/apt/sources.list.d").iterdir():
        path.unlink()
    (root / CA_FILE).parent.mkdir(parents=True, exist_ok=True)
    (root / CA_FILE).write_bytes(cloud.ca_file.read_bytes())
    clone(root / CLONE.lstrip("/"))
    kernel = root / "root" / KERNEL.file_name
    kernel.write_bytes(KERNEL.archive())
    subprocess.run(
        ["chroot", str(root), "dpkg", "--install", f"/root/{KERNEL.file_name}"],
        check=True,
        capture_output=True,
    )
    kernel.unlink()


def clone(folder: Path) -> None:
    """Copy what a clone of the project holds, and put a built package where its build puts it."""
    known = _known_to_git()
    if known is None:
        shutil.copytree(CHECKOUT, folder, symlinks=True, ignore=shutil.ignore_patterns(*NOT_CLONED))
    else:
        for name in known:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name, follow_symlinks=False)
    (folder / "build").mkdir()
    shutil.copy2(deb(), folder / "build")
    subprocess.run(["chown", "--recursive", "0:0", str(folder)], check=True)


def _known_to_git() -> list[str] | None:
    """Return the names of all files of the checkout that git knows; None where it is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in done.stdout.split("\0") if name and (CHECKOUT / name).exists()]
