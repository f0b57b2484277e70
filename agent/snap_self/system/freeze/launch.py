"""The agent's side of the guardian: its start, its pipes, the marker, opening mounts."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from snap_self.model.flushing import MountWay
from snap_self.ports import OpenedMount, ProcessState
from snap_self.system.disks.aside import SideCalls
from snap_self.system.disks.calls import listed_mounts, mount_id_of
from snap_self.system.disks.directories import READ_MOUNT
from snap_self.system.piped_child import PipedChild, start_piped
from snap_self.system.state.files import make_run_folder
from snap_self.system.trust import check_trusted

_ENTRY = "snap_self.quiesce.freeze.guardian_entry"
# The flush has just opened and synced the same mount, so one that takes longer hangs.
OPEN_LIMIT_S = 3.0


class MountDirectories:
    """The real ``MountOpener``.

    Args:
        calls: makes the calls that may never return, such as a lookup below a directory that
            another user's program serves.
    """

    def __init__(self, calls: SideCalls) -> None:
        self._calls = calls

    def open(self, way: MountWay) -> OpenedMount:
        """Open for reading: a descriptor opened with ``O_PATH`` cannot freeze (EBADF).

        The other process does it. The agent then opens that process's descriptor once more, which
        looks up no name.
        """
        pid, kept, device = self._calls.begin("open", way.plain).result(OPEN_LIMIT_S)
        try:
            fd = os.open(f"/proc/{pid}/fd/{kept}", READ_MOUNT)
        finally:
            self._calls.begin("close", kept)
        mount_id = mount_id_of(fd)
        listed = {found[0]: found for found in listed_mounts()}.get(mount_id, (0, "", ""))
        return OpenedMount(
            fd=fd,
            mount_id=mount_id,
            device=device,
            listed_device=listed[1],
            listed_path=listed[2],
        )

    def close(self, fd: int) -> None:
        os.close(fd)

    def listing(self) -> list[tuple[int, str, str]]:
        return listed_mounts()


class PipeLink:
    """The real ``GuardianLink``."""

    def __init__(self, child: PipedChild, *, message_bytes: int) -> None:
        self.pid = child.process.pid
        self._child = child
        self._message_bytes = message_bytes

    def send(self, data: bytes) -> bool:
        """Write one message; Python ignores SIGPIPE, so a dead reader is an error here."""
        try:
            return os.write(self._child.send_fd, data) == len(data)
        except OSError:
            return False

    def receive(self, timeout_s: float) -> bytes | None:
        poll = select.poll()
        poll.register(self._child.receive_fd, select.POLLIN)
        if not poll.poll(max(0, int(timeout_s * 1000 + 0.999))):
            return None
        return os.read(self._child.receive_fd, self._message_bytes)

    def close(self) -> None:
        """Close both pipes; a guardian that still waits for a stuck call is left to do so."""
        self._child.close()


class GuardianProcessStarter:
    """The real ``GuardianStarter``.

    Args:
        marker_path: the file that the guardian removes once everything is thawed.
    """

    def __init__(self, *, marker_path: str, message_bytes: int) -> None:
        self._marker_path = marker_path
        self._message_bytes = message_bytes

    def start(self, *, mounts: Sequence[str], fds: Sequence[int]) -> PipeLink:
        """Start the guardian as ``start_piped`` does."""
        # Else each of its threads gets locked memory of its own.
        env = {"MALLOC_ARENA_MAX": "1"}
        child = start_piped(_ENTRY, (self._marker_path, *mounts), env=env, fds=fds)
        return PipeLink(child, message_bytes=self._message_bytes)


class MarkerFile:
    """The real ``MarkerStore``: one file in a directory on tmpfs, ``/run/snap-self``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / "frozen.json"

    def write(self, text: str) -> None:
        """Write a file beside it and link that into place, so it is there whole or not at all."""
        self.device()
        beside = self._directory / f".frozen.{os.getpid()}"
        beside.unlink(missing_ok=True)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)

    def read(self) -> str | None:
        """Read it; only root's own file may decide what is thawed and which process is ended."""
        try:
            check_trusted(str(self.path))
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def device(self) -> int:
        """Return the directory's device; create the directory, for root only, if it is missing."""
        make_run_folder(self._directory)
        return self._directory.stat().st_dev


class ProcBootFacts:
    """The real ``BootFacts``, from procfs (proc(5))."""

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def started(self, pid: int) -> int | None:
        """Read field 22 of the process's stat; the name before it may hold spaces and brackets."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()
        # A zombie has ended and is only not reaped: a stopped agent cannot reap its guardian.
        return None if fields[0] in "ZX" else int(fields[19])

    def state(self, pid: int) -> ProcessState:
        """Look at all threads: any of them may be the one that waits for a call."""
        letters = set(_thread_states(pid))
        if not letters - set("ZX"):
            return ProcessState.GONE
        if "D" in letters:
            return ProcessState.IN_CALL
        return ProcessState.STOPPED if letters & set("Tt") else ProcessState.RUNNING

    def terminate(self, pid: int) -> None:
        _send(pid, signal.SIGTERM)

    def resume(self, pid: int) -> None:
        _send(pid, signal.SIGCONT)

    def kill(self, pid: int) -> None:
        """Send SIGKILL; it reaches even processes stopped, traced or frozen by cgroup v2."""
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _thread_states(pid: int) -> Iterator[str]:
    """Read field 3 of each thread's stat (proc(5))."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return
    for thread in threads:
        with suppress(FileNotFoundError, ProcessLookupError):
            text = (thread / "stat").read_text(encoding="utf-8", errors="replace")
            yield text.rpartition(")")[2].split()[0]
