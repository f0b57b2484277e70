"""A real systemd as process 1 of namespaces of its own, on this machine's files under an overlay.

Of the machine's own units nothing is started but the journal: what would change the kernel's
settings or devices is hidden. The snap-self units are those of the checkout.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fixtures_simulator import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = Path("/usr/lib/systemd/systemd")
LIMIT_S = 60.0

CONFIG = """\
[network]
metadata_url = "{cloud.metadata_url}"
ecs_endpoint = "{cloud.ecs_url}"
[follow]
pause = "1s"
"""

BUILD = """
set -eu
base=$1 disk=$2
mount -t tmpfs -o mode=755 world "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" world "$base/root"
root=$base/root
units=$root/usr/lib/systemd/system
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 run "$root/run"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for folder in "$root/etc/systemd/system" "$root/usr/lib/systemd/system-generators" \
    "$units/sysinit.target.wants" "$units/sockets.target.wants" "$units/timers.target.wants" \
    "$units/local-fs.target.wants" "$root/var/log"; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 empty "$folder"
done
: >"$root/etc/fstab"
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    ln -s "../$unit" "$units/sysinit.target.wants/$unit"
done
cp "$CHECKOUT"/packaging/systemd/* "$units/"
ln -s ../snap-self-thaw.service "$units/sysinit.target.wants/snap-self-thaw.service"
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' >"$units/test.target"
mkdir -p "$root/opt/snap-self/bin" "$root/srv"
printf '%s\\n' "$AGENT" >"$root/opt/snap-self/bin/snap-self"
chmod 755 "$root/opt/snap-self/bin/snap-self"
[ -z "$disk" ] || mount --bind "$disk" "$root/srv"
if [ -n "$MARKER" ]; then
    mkdir -m 700 "$root/run/snap-self"
    printf '%s' "$MARKER" >"$root/run/snap-self/frozen.json"
fi
# Its root is that of its namespace, as a machine's is: in a chroot no user namespace can be made,
# and the paths of services with mounts of their own would begin outside.
mkdir "$root/outside"
cd "$root"
pivot_root . outside
umount -l /outside
rmdir /outside
exec /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=0
"""

# Tells that it was started and inside which limits, and is the agent of the checkout.
AGENT = """#!{python} -IB
import os, sys
with open("/run/agent-started", "a") as file:
    print(*sys.argv[1:], file=file)
with open("/run/agent-limits", "a") as file, open("/proc/self/status") as status:
    print(sys.argv[1], os.readlink("/proc/self/ns/mnt"), *status.read().split(), file=file)
sys.path[:0] = ["{checkout}/agent", *{path!r}]
from snap_self.cli.entry import main
main()
"""


def skip_reason() -> str:
    """Return why this machine cannot run a systemd; empty if it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("unshare", "nsenter", "systemctl") if not shutil.which(name)]
    if missing or not SYSTEMD.exists():
        return "needs systemd and util-linux"
    return ""


@dataclass(frozen=True)
class World:
    """A running systemd."""

    pid: int

    @property
    def network(self) -> tuple[str, ...]:
        """Return what puts a program of this machine into its network."""
        return ("nsenter", "-t", str(self.pid), "-n", "--")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside it."""
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-r", "-w", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def path(self, name: str) -> Path:
        """Return where a path of the world is to be found from here."""
        return Path(f"/proc/{self.pid}/root{name}")

    def wait(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so."""
        end = time.monotonic() + LIMIT_S
        while not reached():
            assert time.monotonic() < end, self.run("systemctl", "list-jobs").stdout
            time.sleep(0.1)

    def is_up(self) -> bool:
        """Tell whether its start has come to its end."""
        return self.run("systemctl", "is-active", "test.target").stdout == "active\n"

    def shut_down(self) -> None:
        """Ask for a power-off and wait for the end of process 1."""
        self.run("systemctl", "--no-block", "poweroff")
        end = time.monotonic() + LIMIT_S
        while Path(f"/proc/{self.pid}").exists():
            assert time.monotonic() < end, "process 1 does not end"
            time.sleep(0.1)


@contextmanager
def systemd_running(folder: Path, *, disk: Path | None = None, marker: str = "") -> Iterator[World]:
    """Boot; inside the block it is up.

    Args:
        folder: empty; everything lies below it.
        disk: a mount point that is to be the world's /srv.
        marker: what lies in /run/snap-self/frozen.json at the start, as after a soft reboot.
    """
    folder.mkdir()
    agent = AGENT.format(python=sys.executable, checkout=ROOT, path=sys.path)
    argv = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net"]
    argv += ["--cgroup", "sh", "-c", BUILD, "sh", str(folder), str(disk or "")]
    with subprocess.Popen(
        argv,
        env={**os.environ, "CHECKOUT": str(ROOT), "AGENT": agent, "MARKER": marker},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as outer:
        try:
            world = World(_child(outer))
            world.wait(world.is_up)
            yield world
        finally:
            with suppress(ProcessLookupError):
                outer.send_signal(signal.SIGKILL)


def configured(world: World, cloud: SimulatorProcess, more: str = "") -> None:
    """Let the agent of a world find the cloud.

    Args:
        more: of the configuration.
    """
    folder = world.path("/etc/snap-self")
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(CONFIG.format(cloud=cloud) + more, encoding="utf-8")


def _child(outer: subprocess.Popen[bytes]) -> int:
    """Return the process that became systemd."""
    end = time.monotonic() + LIMIT_S
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    while time.monotonic() < end:
        if outer.poll() is not None:
            break
        for pid in children.read_text(encoding="ascii").split():
            if Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "systemd\n":
                return int(pid)
        time.sleep(0.05)
    outer.kill()
    said = outer.stderr.read().decode() if outer.stderr else ""
    raise AssertionError(f"no systemd: {said}")
