"""Become process 1 of a world: this machine's files under an overlay, in namespaces of its own.

Started by :mod:`apt_world` with a description in JSON. Whoever looks around in the world sees a
machine of which process 1 is this program: the same root, nothing that marks a container.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import stat
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000  # linux/sched.h
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# linux/mount.h: MS_BIND, MS_REC, MS_PRIVATE
FLAGS = {"--bind": 4096, "--rbind": 4096 | 16384, "--make-rprivate": 16384 | 1 << 18}
MNT_DETACH = 2  # sys/mount.h
OPAQUE = "trusted.overlay.opaque"  # Documentation/filesystems/overlayfs.rst

# What a world changes in a copy of its own, and what is empty in it. All else, as the place of the
# checkout, it has in common with the machine.
OWN = ("etc", "usr", "var", "opt", "root")
EMPTY = ("proc", "run", "tmp", "mnt", "media", "lost+found")

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Make the namespaces, tell the world's process id, and be its process 1."""
    world = json.loads(sys.argv[1])
    unshare(CLONE_NEWNS)
    mount("--make-rprivate", "/")
    unshare(CLONE_NEWPID)
    child = os.fork()
    if child:
        print(child, flush=True)
        outlive(child)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _build(Path(world["folder"]), world)
    print("ready", flush=True)
    # Who does the talking from here on is in the world; nobody waits for this pipe's end.
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    _exec_init(world["environment"])


def unshare(what: int) -> None:
    """Leave a namespace for one of our own."""
    if libc.unshare(what) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def outlive(child: int) -> None:
    """Wait until the starting process closes our standard input, then end the world."""
    sys.stdin.read()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os._exit(0)


def _exec_init(environment: dict[str, str]) -> None:
    """Start anew as a program that reaps, so that /proc/1/environ is what the world was given."""
    reap = (
        "import os, signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})\n"
        "while True:\n"
        "    signal.sigwait({signal.SIGCHLD})\n"
        "    try:\n"
        "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
        "    except ChildProcessError: pass\n"
    )
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.execve(sys.executable, ["/sbin/init", "-ISc", reap], environment)


def _build(folder: Path, world: dict[str, list[str]]) -> None:
    mount("-t", "tmpfs", "-o", "mode=755", "world", str(folder))
    upper, root = folder / "upper", folder / "root"
    for path in (upper, root):
        path.mkdir()
    for layer in world["layers"]:
        shutil.copytree(layer, upper, symlinks=True, dirs_exist_ok=True)
    for name in world["fresh"]:
        (upper / name).mkdir(parents=True, exist_ok=True)
        os.setxattr(upper / name, OPAQUE, b"y")
    for name in world["hidden"]:
        _hide(upper / name)
    # Not an overlay itself, which is what containers have.
    mount("-t", "tmpfs", "-o", "mode=755", "root", str(root))
    _lay_out(root, folder)
    for place in world["shared"]:
        target = root / place.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        mount("--rbind", place, str(target))
    be_ecs(root, folder)
    enter(root)


def _lay_out(root: Path, folder: Path) -> None:
    """Mount everything that the machine has below its root."""
    for path in sorted(Path("/").iterdir()):
        target = root / path.name
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_dir():
            target.mkdir()
            if path.name in OWN:
                work = folder / f"work-{path.name}"
                work.mkdir()
                upper = folder / "upper" / path.name
                upper.mkdir(exist_ok=True)
                options = f"lowerdir={path},upperdir={upper},workdir={work}"
                mount("-t", "overlay", "-o", options, "world", str(target))
            elif path.name not in EMPTY:
                mount("--rbind", str(path), str(target))
    mount("-t", "proc", "proc", str(root / "proc"))
    for name in ("run", "tmp"):
        mount("-t", "tmpfs", name, str(root / name))
    (root / "run/lock").mkdir()


def _hide(path: Path) -> None:
    """Make a file of the machine's not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))  # an overlay's whiteout


def be_ecs(root: Path, folder: Path) -> None:
    """Let the firmware's tables say what an ECS instance's say."""
    upper, work = folder / "sys-upper", folder / "sys-work"
    table = upper / "dmi" / "id"
    table.mkdir(parents=True)
    work.mkdir()
    # Both files: https://github.com/canonical/cloud-init/blob/main/tools/ds-identify
    (table / "sys_vendor").write_text("Alibaba Cloud\n")
    (table / "product_name").write_text("Alibaba Cloud ECS\n")
    os.setxattr(upper / "dmi", OPAQUE, b"y")
    options = f"lowerdir=/sys/class,upperdir={upper},workdir={work}"
    mount("-t", "overlay", "-o", options, "world-dmi", str(root / "sys/class"))


def enter(root: Path) -> None:
    """Make a mounted folder the root of this mount namespace; nothing of the old one is left."""
    old = root / ".old"
    old.mkdir(exist_ok=True)
    os.chdir(root)
    if libc.syscall(_pivot_root_number(), b".", b".old") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chroot(".")
    os.chdir("/")
    if libc.umount2(b"/.old", MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "umount2")
    Path("/.old").rmdir()


def _pivot_root_number() -> int:
    return {"x86_64": 155, "aarch64": 41}[os.uname().machine]


def mount(*arguments: str) -> None:
    """Do what mount(8) does with these arguments, without a process: a world has 17 mounts."""
    words = list(arguments)
    flags, kind, options = 0, None, None
    while words[0].startswith("-"):
        word = words.pop(0)
        if word == "-t":
            kind = words.pop(0)
        elif word == "-o":
            options = words.pop(0)
        else:
            flags |= FLAGS[word]
    source = words[0] if len(words) > 1 else None
    texts = [None if text is None else os.fsencode(text) for text in (source, words[-1], kind)]
    data = None if options is None else os.fsencode(options)
    if libc.mount(*texts, ctypes.c_ulong(flags), data) != 0:
        sys.exit(f"mount {' '.join(arguments)}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
