"""Become process 1 of a machine whose root is a disk of its own; started by :mod:`stranger_rig`.

Like :mod:`world_init`, but nothing of this machine's system is in it: not its programs, its Python
or its libraries. Its first argument is a description in JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import world_init

# Waits, and reaps whatever other process ends (dash asks for any child while it waits for one).
INIT = "while :; do sleep 1; done"


def main() -> None:
    """Make the namespaces, tell the machine's process id, and be its process 1."""
    machine = json.loads(sys.argv[1])
    world_init.unshare(world_init.CLONE_NEWNS)
    world_init.mount("--make-rprivate", "/")
    world_init.unshare(world_init.CLONE_NEWPID)
    child = os.fork()
    if child:
        print(child, flush=True)
        world_init.outlive(child)
    ctypes.CDLL(None).prctl(world_init.PR_SET_PDEATHSIG, signal.SIGKILL)
    _build(Path(machine["root"]), Path(machine["folder"]), machine["mounts"], machine["copies"])
    print("ready", flush=True)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.execve("/bin/sh", ["/sbin/init", "-c", INIT], {"PATH": "/usr/bin:/bin"})


def _build(root: Path, folder: Path, mounts: dict[str, str], copies: dict[str, str]) -> None:
    """Mount what a kernel and a boot would have mounted, and enter.

    Args:
        mounts: what is to be seen at a place, by the place.
        copies: what lies in memory, by name: a disk of this machine's would be one in no snapshot.
    """
    world_init.mount("--rbind", "/dev", str(root / "dev"))
    world_init.mount("-t", "proc", "proc", str(root / "proc"))
    world_init.mount("-t", "sysfs", "sysfs", str(root / "sys"))
    world_init.mount("-t", "tmpfs", "-o", "mode=755", "run", str(root / "run"))
    (root / "run/lock").mkdir(mode=0o1777)
    for place, what in mounts.items():
        target = root / place.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        world_init.mount("--bind", what, str(target))
    beside = root / "run/walk"
    beside.mkdir()
    world_init.mount("-t", "tmpfs", "-o", "mode=755", "beside", str(beside))
    for name, what in copies.items():
        shutil.copytree(what, beside / name, symlinks=True)
    world_init.mount("-t", "tmpfs", "-o", "mode=755", "folder", str(folder))
    world_init.be_ecs(root, folder)
    world_init.enter(root)


if __name__ == "__main__":
    main()
