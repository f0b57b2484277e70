"""A folder that only root can change, hooks in it, and an agent to kill.

The folder lies in /run: every directory above a hook must be root's, which /tmp is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snap_self.config.settings import HookSettings
from snap_self.model.hooks import HookFacts
from snap_self.quiesce.hooks.hookset import HookPlaces, HookPorts, Hooks, load_hooks
from snap_self.system.clock import SystemClock
from snap_self.system.hooks.files import SystemHookFiles
from snap_self.system.hooks.keeper import KeeperProcessStarter
from snap_self.system.hooks.process import SystemHookProcesses

AGENT = Path(__file__).with_name("hook_agent.py")
FACTS = HookFacts(run_id="run-7", before="dnf upgrade", disks=("d-1", "d-2"), mounts=("/", "/data"))
# Notes phase and result, and then does what the test wants in the phase it wants.
SCRIPT = """#!/bin/sh
echo "{name} $1${{SNAP_SELF_RESULT:+ $SNAP_SELF_RESULT}}" >>{log}
case "$1" in {phase}) {body} ;; esac
"""


def real_ports() -> HookPorts:
    """Return the real adapters."""
    return HookPorts(
        clock=SystemClock(),
        files=SystemHookFiles(),
        keepers=KeeperProcessStarter(),
        processes=SystemHookProcesses,
    )


def eventually(holds: Callable[[], Any], *, limit_s: float = 20.0) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + limit_s
    while not (found := holds()):
        assert time.monotonic() < end, "did not come to hold"
        time.sleep(0.01)
    return found


class HookRig:
    """Hooks of a test's own."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="snap-self-hooks-", dir="/run"))
        self.folder = self.root / "hooks.d"
        self.folder.mkdir(mode=0o755)
        self.log = self.root / "log"
        self.marker = self.root / "frozen.json"
        self.state = self.root / "state"
        self._agents: list[HookAgent] = []

    def close(self) -> None:
        """End what is left, remove the folder."""
        for agent in self._agents:
            agent.close()
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root)

    def write(self, name: str, text: str, *, mode: int = 0o755) -> Path:
        """Make a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def hook(self, name: str, body: str = ":", *, phase: str = "pre", mode: int = 0o755) -> Path:
        """Make a hook in the hook directory that notes how it is called."""
        text = SCRIPT.format(name=name, log=self.log, phase=phase, body=body)
        return self.write(f"hooks.d/{name}", text, mode=mode)

    def noted(self) -> list[str]:
        """Return what the hooks have noted."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def settings(self, **others: Any) -> HookSettings:
        """Return settings for the hook directory."""
        given: dict[str, Any] = {
            "dir": str(self.folder),
            "timeout_s": 5,
            "fsfreeze_hook": "",
            "prescript": "",
            "postscript": "",
            "google_dir": "",
            "azure_config": "",
        }
        return HookSettings(**{**given, **others})

    def places(self) -> HookPlaces:
        """Return where the keeper looks; a freeze lasts at most a tenth of a second here."""
        return HookPlaces(marker=self.marker, state_dir=self.state, hold_s=0.1, silence_s=1)

    def load(self, **others: Any) -> Hooks:
        """Return the hooks with the real adapters."""
        return load_hooks(self.settings(**others), FACTS, real_ports(), self.places())

    def agent(self, **others: Any) -> HookAgent:
        """Start a process that runs hooks, to be killed."""
        agent = HookAgent(self.root, others)
        self._agents.append(agent)
        return agent

    def living(self) -> list[int]:
        """Return the processes whose environment or arguments name this rig's folder or run."""
        return [pid for pid in _pids() if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return str(self.root).encode() in line and state not in "ZX" and pid != os.getpid()


class HookAgent:
    """A process that starts and stops hooks step by step."""

    def __init__(self, root: Path, others: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(AGENT), str(root), json.dumps(others)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def send(self, *words: object) -> None:
        """Ask for a step, without waiting for it."""
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    def ask(self, *words: object) -> str:
        """Ask for a step; return the answer."""
        self.send(*words)
        return self.answer()

    def answer(self) -> str:
        """Return the next answer."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def keeper(self) -> int:
        """Return the keeper's process id."""
        return next(pid for pid in children(self.process.pid) if is_keeper(pid))

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    text = "".join(
        path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children") if path.exists()
    )
    return [int(each) for each in text.split()]


def is_keeper(pid: int) -> bool:
    """Tell whether a process is a keeper of hooks."""
    return b"keeper_entry" in Path(f"/proc/{pid}/cmdline").read_bytes()
