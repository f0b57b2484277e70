"""Instances that run commands for real: each a place of its own on this machine.

What stands in for an instance is what a command finds there: variables, a folder, and what it is
started through, such as a namespace. Nothing of the simulator's own environment reaches it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ecs_simulator.assistant import Command, Ended

_INTERPRETERS: Mapping[str, str] = {
    "RunShellScript": "sh",
    "RunPythonScript": "python3",
    "RunPerlScript": "perl",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance's place.

    Args:
        folder: where its commands begin, and where their scripts and output are kept.
        environment: all variables that they get; PATH among them.
        wrapper: a command put before each that ends in becoming it (``exec``).
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    wrapper: tuple[str, ...] = ()


class Machines:
    """A guest of Cloud Assistant for each instance; close it to end all that still runs.

    Args:
        machines: by instance id; on any other instance no assistant runs.
    """

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._machines = machines
        self._running: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    @property
    def running(self) -> int:
        """Return how many commands have not ended."""
        with self._lock:
            return len(self._running)

    def is_up(self, instance_id: str) -> bool:
        """Tell whether an assistant runs there."""
        return instance_id in self._machines

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
        """Start a command and return at once.

        Raises:
            OSError: its folder or its interpreter is not to be had.
        """
        machine = self._machines[instance_id]
        script = machine.folder / f"{command.command_id}.script"
        script.write_bytes(command.content)
        output = machine.folder / f"{command.command_id}.output"
        with output.open("wb") as written:
            process = subprocess.Popen(
                [*machine.wrapper, _INTERPRETERS[command.kind], str(script)],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                cwd=command.folder or machine.folder,
                env=dict(machine.environment),
                start_new_session=True,
            )
        key = (instance_id, command.command_id)
        with self._lock:
            self._running[key] = process
        threading.Thread(target=self._wait, args=(key, output, ended), daemon=True).start()

    def _wait(self, key: tuple[str, str], output: Path, ended: Ended) -> None:
        # What it has begun and left behind may still write; its own end counts.
        status = self._running[key].wait()
        ended(status if status >= 0 else 128 - status, output.read_bytes())
        with self._lock:
            del self._running[key]

    def stop(self, instance_id: str, command: Command) -> None:
        """End a command that has run for too long, if it still runs."""
        with self._lock:
            process = self._running.get((instance_id, command.command_id))
            if process is not None:
                _kill(process, whole_tree=command.whole_tree)

    def close(self) -> None:
        """End all commands with everything that they have begun."""
        with self._lock:
            running = [*self._running.values()]
        for process in running:
            _kill(process, whole_tree=True)
            process.wait()


def _kill(process: subprocess.Popen[bytes], *, whole_tree: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if whole_tree:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
