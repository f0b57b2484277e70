"""A machine to install on: this one's folders under overlays, in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 240.0
# What a machine may have changed beside what is installed: systemd's own links, caches.
INCIDENTAL = (
    "/var/cache/",
    "/var/log/",
    "/etc/systemd/system/sysinit.target.wants/",
    "/etc/systemd/system/multi-user.target.wants/",
    "/var/lib/systemd/",
)

SETUP = """
set -eu
mount -t tmpfs -o mode=755 machine "$1"
[ -z "$2" ] || cp -a "$2" "$1/upper"
for name in etc opt run usr var; do
    upper="$1/upper/$name" scratch="$1/scratch/$name"
    mkdir -p "$upper" "$scratch"
    mount -t overlay -o "lowerdir=/$name,upperdir=$upper,workdir=$scratch" machine "/$name"
done
# What other tests do there meanwhile is not this machine's.
[ -n "$2" ] || rm -rf /run/snap-self /var/lib/snap-self
echo ready
exec sleep infinity
"""

# Stands for the self-contained tree: a program that tells its version, and an interpreter.
PROGRAM = """\
#!/bin/sh
case "$1" in
--version) echo "snap-self {version}" ;;
thaw) rm -f /run/snap-self/frozen.json ;;
esac
"""
INTERPRETER = '#!/bin/sh\nexec /usr/bin/python3 "$@"\n'


@dataclass(frozen=True)
class Machine:
    """A running machine.

    Args:
        folder: where its overlays keep what was changed.
    """

    pid: int
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def argv(self, *command: str) -> list[str]:
        """Return what runs a command on it."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", *command]

    def run(
        self, *command: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it to its end."""
        return subprocess.run(
            self.argv(*command),
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command on it; who asks for it waits for its end."""
        return subprocess.Popen(
            self.argv(*command),
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def path(self, name: str) -> Path:
        """Return where a path of the machine is to be found from here."""
        return Path(f"/proc/{self.pid}/root{name}")

    def write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file of the machine."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def read(self, name: str) -> str:
        """Read a file of the machine."""
        return self.path(name).read_text(encoding="utf-8")

    def changed(self) -> set[str]:
        """Return every file that is there now and was not, or was another."""
        upper = self.path(str(self.folder)) / "upper"
        found = set()
        for folder, _, names in os.walk(upper):
            for name in names:
                path = Path(folder) / name
                if not stat.S_ISCHR(path.lstat().st_mode):  # an overlay's whiteout
                    found.add(f"/{path.relative_to(upper)}")
        return {path for path in found if not path.startswith(INCIDENTAL)}


@contextmanager
def machine_running(
    folder: Path, environment: Mapping[str, str], *, like: Machine | None = None
) -> Iterator[Machine]:
    """Run a machine inside the block; nothing of it is left afterwards.

    Args:
        like: a machine that has changed what this one has changed at its start too.
    """
    folder.mkdir()
    changed = "" if like is None else str(like.path(f"{like.folder}/upper"))
    argv = ["unshare", "--mount", "--propagation", "private"]
    argv += ["sh", "-c", SETUP, "sh", str(folder), changed]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Machine(process.pid, folder, dict(environment))
        finally:
            _end_all_in(f"/proc/{process.pid}/ns/mnt")
            process.kill()


def _end_all_in(namespace: str) -> None:
    """End what daemons were left there, such as gpg-agent by dnf; they would keep its mounts."""
    with suppress(OSError):
        inside = os.readlink(namespace)  # noqa: PTH115  (no path)
        for other in Path("/proc").glob("[0-9]*/ns/mnt"):
            with suppress(OSError):
                if f"{other}" != namespace and os.readlink(other) == inside:  # noqa: PTH115
                    os.kill(int(other.parts[2]), signal.SIGKILL)


def make_tree(folder: Path, *, version: str = "1.0", program: str = PROGRAM) -> Path:
    """Make what stands for a built tree, small and quick."""
    programs = folder / "opt/snap-self/bin"
    programs.mkdir(parents=True)
    (folder / "opt/snap-self/lib").mkdir()
    (folder / "opt/snap-self/lib/a file.txt").write_text(f"{version}\n", encoding="utf-8")
    for name, text in (("snap-self", program), ("python3", INTERPRETER)):
        (programs / name).write_text(text.replace("{version}", version), encoding="utf-8")
        (programs / name).chmod(0o755)
    return folder


def copy_checkout(folder: Path) -> Path:
    """Copy what install.sh reads of the checkout, to be changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "packaging", folder / "packaging", ignore=ignored)
    shutil.copytree(ROOT / "agent/snap_self/data", folder / "agent/snap_self/data")
    for name in ("install.sh", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"):
        shutil.copy2(ROOT / name, folder / name)
    return folder


def shim(folder: Path, name: str, text: str) -> Path:
    """Write a program that is found before the real one of that name; return its folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return folder
