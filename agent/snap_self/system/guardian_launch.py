"""The agent's side of the guardian: starting it, its pipes, the marker, opening mounts."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from snap_self.ports import OpenedMount
from snap_self.system.freezing import listed_mounts, mount_id_of

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {} import main; main()"
_ENTRY = "snap_self.quiesce.guardian_entry"
_ROOT = str(Path(__file__).resolve().parents[2])
_EXIT_WAIT_S = 1.0


class MountDirectories:
    """The real ``MountOpener``."""

    def open(self, path: str) -> OpenedMount:
        """Open for reading: a descriptor opened with ``O_PATH`` cannot freeze (EBADF)."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        mount_id = mount_id_of(fd)
        listed = {found[0]: found for found in listed_mounts()}.get(mount_id, (0, "", ""))
        return OpenedMount(
            fd=fd,
            mount_id=mount_id,
            device=os.fstat(fd).st_dev,
            listed_device=listed[1],
            listed_path=listed[2],
        )

    def close(self, fd: int) -> None:
        """Close it."""
        os.close(fd)

    def listing(self) -> list[tuple[int, str, str]]:
        """Read mountinfo."""
        return listed_mounts()


class PipeLink:
    """The real ``GuardianLink``."""

    def __init__(
        self, process: subprocess.Popen[bytes], *, send_fd: int, receive_fd: int, message_bytes: int
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._send_fd = send_fd
        self._receive_fd = receive_fd
        self._message_bytes = message_bytes
        self._open = True

    def send(self, data: bytes) -> bool:
        """Write one message; Python ignores SIGPIPE, so a dead reader is an error here."""
        try:
            return os.write(self._send_fd, data) == len(data)
        except OSError:
            return False

    def receive(self, timeout_s: float) -> bytes | None:
        """Read one message."""
        poll = select.poll()
        poll.register(self._receive_fd, select.POLLIN)
        if not poll.poll(max(0, int(timeout_s * 1000 + 0.999))):
            return None
        return os.read(self._receive_fd, self._message_bytes)

    def close(self) -> None:
        """Close both pipes; a guardian that still waits for a stuck call is left to do so."""
        if not self._open:
            return
        self._open = False
        os.close(self._send_fd)
        os.close(self._receive_fd)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_WAIT_S)
        # Not ours to wait for any longer; else Popen warns when it is forgotten.
        self._process.returncode = self._process.returncode or 0


class GuardianProcessStarter:
    """The real ``GuardianStarter``.

    Args:
        marker_path: what the guardian removes once all is thawed.
    """

    def __init__(self, *, marker_path: str, message_bytes: int) -> None:
        self._marker_path = marker_path
        self._message_bytes = message_bytes

    def start(self, *, mounts: Sequence[str], fds: Sequence[int]) -> PipeLink:
        """Start a fresh interpreter, isolated, without site packages, writing no bytecode.

        It has its own session, so what is sent to the agent's process group does not reach it,
        nothing on its standard streams, and ``/`` as its directory.
        """
        ask_read, ask_write = os.pipe()
        try:
            status_read, status_write = os.pipe()
        except OSError:
            os.close(ask_read)
            os.close(ask_write)
            raise
        argv = [sys.executable, "-I", "-S", "-B", "-c", _BOOT.format(_ENTRY), _ROOT]
        argv += [str(ask_read), str(status_write), self._marker_path, *mounts]
        keep = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
        keep["MALLOC_ARENA_MAX"] = "1"  # else each of its threads gets locked memory of its own
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=keep,
                start_new_session=True,
                pass_fds=(ask_read, status_write, *fds),
            )
        except OSError:
            os.close(ask_write)
            os.close(status_read)
            raise
        finally:
            # The guardian's ends: kept here, they would hide its death.
            os.close(ask_read)
            os.close(status_write)
        return PipeLink(
            process,
            send_fd=ask_write,
            receive_fd=status_read,
            message_bytes=self._message_bytes,
        )


class MarkerFile:
    """The real ``MarkerStore``: one file in a directory on tmpfs, ``/run/snap-self``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / "frozen.json"

    def write(self, text: str) -> None:
        """Write beside and link into place, so that it is there whole or not at all."""
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
        """Read it."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """Unlink it."""
        self.path.unlink(missing_ok=True)

    def device(self) -> int:
        """Make the directory, for root only, where it is missing."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._directory.stat().st_dev


class ProcBootFacts:
    """The real ``BootFacts``, from procfs (proc(5))."""

    def boot_id(self) -> str:
        """Read ``/proc/sys/kernel/random/boot_id``."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def started(self, pid: int) -> int | None:
        """Read field 22 of the process's stat; the name before it may hold spaces and brackets."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()
        # A zombie is gone, only not collected: a stopped agent cannot collect its guardian.
        return None if fields[0] in "ZX" else int(fields[19])

    def terminate(self, pid: int) -> None:
        """Send SIGTERM."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
