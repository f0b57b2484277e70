"""Has this machine read by a process of its own, and takes over what it has read in time."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.packed import ManifestKey, Missing, PackedManifest
from snap_self.ports import Clock
from snap_self.system.disks.frames import pack, unpack, write_whole
from snap_self.system.manifest.packages import manager_of
from snap_self.system.manifest.packer import Packer, own_facts
from snap_self.system.python_child import bare_command
from snap_self.threads.thread import Thread

if TYPE_CHECKING:
    from snap_self.model.manifest import Manifest

_ENTRY = "snap_self.system.manifest.entry"
_CHUNK = 1 << 16
# As in ``entry``, which only the process itself loads.
_DATA, _MISSING, _DONE = "data", "missing", "done"
PARTS = (
    *("packages", "files", "units", "kernel", "boot", "mounts", "users", "groups", "listening"),
    *("alternatives", "diversions"),
)


class MachineManifests:
    """Implement ``ports.ManifestReader`` for this machine.

    Args:
        key: gives the key of the hashes, or raises ``StateUnusable``.
        root: what stands before every path but those of the kernel; empty for this machine.
        entry: the module that reads, with a function ``main``.
    """

    def __init__(
        self,
        key: Callable[[], ManifestKey],
        clock: Clock,
        *,
        root: str = "",
        entry: str = _ENTRY,
    ) -> None:
        self._key = key
        self._clock = clock
        self._root = root
        self._entry = entry

    def begin(self) -> MachineReading:
        """Begin to read, and return at once; whatever goes wrong is told at the end."""
        taken, manager, why = self._clock.now(), manager_of(self._root), ""
        key = ManifestKey(key=b"", key_id="")
        try:
            key = self._key()
        except StateUnusable as error:
            why = f"nothing is hashed: {error.message}"
        told = _Told(taken=taken, key_id=key.key_id, manager=manager, no_key=why)
        return MachineReading(told, (key.key, self._root, manager), self._entry)

    def read(self, run_id: RunId, instance_id: str, *, limit_s: float) -> Manifest:
        """Return what the machine is now."""
        # A run only stores what was read, without its values.
        from snap_self.system.manifest.packing import unpack as values_of

        return values_of(self.begin().end(run_id, instance_id, limit_s=limit_s).content)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What is known of a reading before anything is read."""

    taken: datetime
    key_id: str
    manager: str
    no_key: str


class MachineReading:
    """Implement ``ports.ManifestReading`` with a process; nobody waits for its end."""

    def __init__(self, told: _Told, order: tuple[bytes, str, str], entry: str) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._packer = Packer()
        self._open = list(PARTS)
        self._missing = [Missing(part="files", why=told.no_key)] if told.no_key else []
        self._why = ""
        self._given_up = False
        self._stdin = -1
        try:
            self._start(order, entry)
        except OSError as error:
            self._why = f"not read: no process can be started: {error.strerror}"
            self._over.set()

    def end(self, run_id: RunId, instance_id: str, *, limit_s: float) -> PackedManifest:
        """Return what has been read; wait at most that long for the rest, and give that up."""
        self._over.wait(max(0.0, limit_s))
        with self._lock:
            self._given_up = True
            why = self._why or (
                "not read to its end: the reading process ended"
                if self._over.is_set()
                else f"not read to its end within {limit_s:g} s"
            )
            left_out = (*self._missing, *(Missing(part=part, why=why) for part in self._open))
        self._close()
        facts = own_facts(
            run_id=run_id,
            instance_id=instance_id,
            taken=self._told.taken,
            key_id=self._told.key_id,
            left_out=left_out,
            manager=self._told.manager,
        )
        content = self._packer.finish(facts)
        return PackedManifest(run_id=run_id, content=content, left_out=left_out)

    def drop(self) -> None:
        """Give up what is not read yet, and all of it."""
        with self._lock:
            self._given_up = True
        self._close()

    def _start(self, order: tuple[bytes, str, str], entry: str) -> None:
        asking, self._stdin = os.pipe()
        answers, answering = os.pipe()
        try:
            process = subprocess.Popen(
                bare_command((), module=entry),
                stdin=asking,
                stdout=answering,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                start_new_session=True,
            )
        except OSError:
            os.close(answers)
            self._close()
            raise
        finally:
            os.close(asking)
            os.close(answering)
        # It may outlive this process; Popen must not warn about that.
        process.returncode = 0
        Thread(
            target=self._listen, args=(answers, process.pid), daemon=True, name="manifest"
        ).start()
        write_whole(self._stdin, pack(order))

    def _listen(self, answers: int, pid: int) -> None:
        """Take over each frame until the process has ended; then reap it."""
        buffer = bytearray()
        while piece := os.read(answers, _CHUNK):
            buffer += piece
            for kind, part, value in unpack(buffer):
                self._take(kind, part, value)
        os.close(answers)
        self._over.set()
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            return

    def _take(self, kind: str, part: str, value: bytes | str) -> None:
        with self._lock:
            if self._given_up:
                return
            if isinstance(value, bytes):
                self._packer.add(value)
            elif kind == _MISSING:
                self._missing.append(Missing(part=part, why=value))
            elif part in self._open:
                self._open.remove(part)
            if not self._open:
                self._over.set()

    def _close(self) -> None:
        """Close the process's standard input, at which it ends."""
        with self._lock:
            stdin, self._stdin = self._stdin, -1
        if stdin >= 0:
            os.close(stdin)
