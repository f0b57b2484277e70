"""qemu-ga on a socket of its own, to freeze what a benchmark mounted, and nothing else.

It thaws every filesystem it sees, other people's too, whoever froze them. So it runs in a mount
namespace of its own from which all other loop mounts are taken away. It freezes only what it is
given by name (``guest-fsfreeze-freeze-list``), and ``freeze`` looks at each name first.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from freeze_rig import guard

START_LIMIT_S = 10.0
# Without -F it runs no hooks. The awk program keeps the mount points that are given to it.
_IN_NAMESPACE = """
keep="$1"; shift
awk '$3 ~ /^7:/ {print $5}' /proc/self/mountinfo | while read -r path; do
    case " $keep " in *" $path "*) ;; *) umount --lazy "$path" || exit 1 ;; esac
done && exec qemu-ga "$@"
"""


class QemuAgent:
    """A running qemu-ga.

    Args:
        mounts: what it may freeze.
    """

    def __init__(self, channel: socket.socket, mounts: Sequence[Path]) -> None:
        self._channel = channel
        self._lines = channel.makefile("r")
        self._mounts = list(mounts)

    def freeze(self) -> None:
        """Freeze all of them; thaw at once if it froze another number of filesystems."""
        for path in self._mounts:
            guard(path)
        assert "/" not in [str(path) for path in self._mounts]
        names = [str(path) for path in self._mounts]
        count = self._ask("guest-fsfreeze-freeze-list", mountpoints=names)
        if count != len(names):
            self.thaw()
            raise AssertionError(f"qemu-ga froze {count} filesystems, not {len(names)}")

    def thaw(self) -> None:
        """Thaw them."""
        self._ask("guest-fsfreeze-thaw")

    def _ask(self, command: str, **arguments: Any) -> Any:
        order = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._channel.sendall(json.dumps(order).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        assert "return" in answer, answer
        return answer["return"]


def missing() -> str:
    """Return why it cannot be run here; empty if it can."""
    return "" if shutil.which("qemu-ga") else "needs qemu-ga (Debian: qemu-guest-agent)"


@contextlib.contextmanager
def qemu_agent(mounts: Sequence[Path], folder: Path) -> Iterator[QemuAgent]:
    """Run it until the block ends."""
    path = folder / f"qga{len(mounts)}.sock"
    process = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_NAMESPACE, "sh"),
            " ".join(str(mount) for mount in mounts),
            *("--method=unix-listen", f"--path={path}", f"--statedir={folder}"),
            f"--pidfile={folder}/qga.pid",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_LIMIT_S
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(60)
            while True:
                with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                    channel.connect(str(path))
                    break
                assert process.poll() is None, "qemu-ga did not start"
                assert time.monotonic() < end, "qemu-ga does not listen"
                time.sleep(0.02)
            yield QemuAgent(channel, mounts)
    finally:
        process.kill()
        process.wait()
