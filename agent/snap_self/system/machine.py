"""Read the kernel's text about disks and mounts; understand nothing of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue

from snap_self.errors import UsageError
from snap_self.model.machine import MachineText, PathFact

SERIAL_BUDGET_S = 1.0

_CHUNK_BYTES = 1 << 20
_STABLE_TRIES = 5
_SIDE_THREADS = 8
_PLAIN_FILES = ("proc/swaps", "sys/class/dmi/id/product_name")
_ATTRIBUTES = ("dev", "size", "partition", "hidden")
_NESTED = {
    "dm": ("uuid", "name"),
    "md": ("level", "raid_disks"),
    "loop": ("backing_file",),
}
_BCACHE_LINKS = ("dev", "cache", "set")
_NAMESPACE_LINK = re.compile(r"mnt:\[(\d+)\]")
_MOUNT_ID = re.compile(r"^mnt_id:\s*(\d+)", re.MULTILINE)


class KernelMachineReader:
    """Reads procfs, sysfs and the links below ``/dev/disk``.

    Args:
        root: directory in which ``proc``, ``sys`` and ``dev`` lie.
        serial_budget_s: how long all serial reads together may take; a virtio serial is asked of
            the storage back end and can block.
    """

    def __init__(self, root: str = "/", *, serial_budget_s: float = SERIAL_BUDGET_S) -> None:
        self._root = root
        self._serial_budget_s = serial_budget_s

    def read(self) -> MachineText:
        """Return all of it; what exists but cannot be read is noted, not raised."""
        collected = _Collector(self._root)
        serials = collected.block_devices()
        reading = _SideReader(self._root.rstrip("/") + "/", serials)
        collected.mounts()
        for path in _PLAIN_FILES:
            collected.file(path)
        collected.btrfs()
        collected.journals()
        collected.device_links()
        collected.finish_serials(reading, budget_s=self._serial_budget_s)
        return MachineText(
            files=collected.files, links=collected.links, failures=collected.failures
        )

    def locate(self, path: str) -> PathFact:
        """Return where a path lies; works on a frozen filesystem too.

        Raises:
            UsageError: it does not exist or may not be looked at.

        Source: open(2) for ``O_PATH``, proc_pid_fdinfo(5) for ``mnt_id``.
        """
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(
                f"path {path!r} cannot be looked at: {reason}",
                hint="name an existing file or directory",
            ) from error
        try:
            fdinfo = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
        finally:
            os.close(descriptor)
        found = _MOUNT_ID.search(fdinfo)
        return PathFact(
            asked=path,
            real=os.path.realpath(path),
            mount_id=int(found[1]) if found else None,
        )

    def locate_of(self, pid: int, path: str) -> PathFact:
        """Return where a path of another process lies, which may have a mount namespace of its own.

        Raises:
            UsageError: it does not exist or may not be looked at.

        Source: proc_pid_root(5), proc_pid_mountinfo(5).
        """
        fact = self.locate(f"/proc/{pid}/root{path}")
        with contextlib.suppress(OSError):
            mounts = Path(f"/proc/{pid}/mountinfo").read_text("utf-8", "surrogateescape")
            rows = (line.split(" ", 3) for line in mounts.splitlines())
            found = {int(row[0]): row[2] for row in rows}
            return replace(fact, devno=found.get(fact.mount_id or 0, ""))
        return fact


class _Collector:
    """Gathers files, links and failures by path below the root."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/"
        self.files: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.failures: dict[str, str] = {}

    def file(self, path: str) -> str | None:
        """Note the content of a file if it exists."""
        try:
            text = _read(self._root + path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.failures[path] = error.strerror or str(error)
            return None
        self.files[path] = text
        return text

    def link(self, path: str) -> None:
        """Note the target of a symbolic link if it is one."""
        try:
            self.links[path] = _readlink(self._root + path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno != errno.EINVAL:
                self.failures[path] = error.strerror or str(error)

    def names(self, path: str) -> list[str]:
        """Return the entries of a directory; none if it does not exist."""
        try:
            return sorted(_listdir(self._root + path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.failures[path] = error.strerror or str(error)
            return []

    def block_devices(self) -> list[str]:
        """Note all block devices; return the paths of their serial files, which may block."""
        serials = []
        for name in self.names("sys/class/block"):
            base = f"sys/class/block/{name}"
            self.link(base)
            present = set(self.names(base))
            for attribute in _ATTRIBUTES:
                if attribute in present:
                    self.file(f"{base}/{attribute}")
            for folder, attributes in _NESTED.items():
                if folder in present:
                    for attribute in attributes:
                        self.file(f"{base}/{folder}/{attribute}")
            for folder in ("slaves", "holders") if present >= {"slaves", "holders"} else ():
                for entry in self.names(f"{base}/{folder}"):
                    self.link(f"{base}/{folder}/{entry}")
            if "bcache" in present:
                for entry in _BCACHE_LINKS:
                    self.link(f"{base}/bcache/{entry}")
            if "device" in present:
                self.link(f"{base}/device")
            if "serial" in present:
                serials.append(f"{base}/serial")
            elif "device" in present:
                serials.append(f"{base}/device/serial")
        return serials

    def finish_serials(self, reading: _SideReader, *, budget_s: float) -> None:
        """Note the serials that arrive within the budget."""
        for path, outcome in reading.wait(budget_s).items():
            if isinstance(outcome, str):
                self.files[path] = outcome
            elif not isinstance(outcome, (FileNotFoundError, NotADirectoryError)):
                self.failures[path] = outcome.strerror or str(outcome)

    def mounts(self) -> None:
        """Note the mounts of this namespace and of every other that can be seen."""
        seen = {self._stable("proc/self/mountinfo")}
        for namespace, pids in self._namespaces().items():
            for pid in pids:
                text = self._if_there(f"proc/{pid}/mountinfo")
                if text is None:  # that process has ended; another may live there
                    continue
                if text not in seen:
                    self.files[f"proc/ns/{namespace}/mountinfo"] = text
                    self.files[f"proc/ns/{namespace}/pid"] = f"{pid}\n"
                seen.add(text)
                break

    def btrfs(self) -> None:
        """Note the members of each btrfs."""
        for fsid in self.names("sys/fs/btrfs"):
            folder = f"sys/fs/btrfs/{fsid}/devices"
            for name in self.names(folder):
                self.link(f"{folder}/{name}")

    def journals(self) -> None:
        """Note the name of each ext4 journal thread, which tells where the journal lies."""
        for name in self.names("sys/fs/ext4"):
            task = self.file(f"sys/fs/ext4/{name}/journal_task")
            if task and task.strip().isdigit():  # "<none>" without a journal
                self.file(f"proc/{task.strip()}/comm")

    def device_links(self) -> None:
        """Note udev's links to block devices."""
        for folder in self.names("dev/disk"):
            for name in self.names(f"dev/disk/{folder}"):
                self.link(f"dev/disk/{folder}/{name}")

    def _namespaces(self) -> dict[str, list[str]]:
        """Return the ids of other mount namespaces to the processes in them."""
        own = self._namespace_of("self")
        found: dict[str, list[str]] = {}
        for pid in self.names("proc"):
            if not pid.isdigit():
                continue
            namespace = self._namespace_of(pid)
            if namespace is not None and namespace != own:
                found.setdefault(namespace, []).append(pid)
        return found

    def _namespace_of(self, pid: str) -> str | None:
        try:
            target = _readlink(f"{self._root}proc/{pid}/ns/mnt")
        except PermissionError:
            self.failures[f"proc/ns/of-process/{pid}"] = "not allowed to look at it (needs root)"
            return None
        except OSError:  # it has ended, or is a zombie
            return None
        match = _NAMESPACE_LINK.fullmatch(target)
        return match[1] if match else None

    def _stable(self, path: str) -> str | None:
        """Note a file that can change between two parts of one read, once it stays the same."""
        last = None
        for _ in range(_STABLE_TRIES):
            text = self.file(path)
            if text is None:
                self.failures.setdefault(path, "it does not exist")
                return None
            if text == last:
                break
            last = text
        return last

    def _if_there(self, path: str) -> str | None:
        try:
            return _read(self._root + path)
        except OSError:
            return None


class _SideReader:
    """Reads files in threads that nobody has to wait for; a read may never come back."""

    def __init__(self, root: str, paths: Sequence[str]) -> None:
        self._root = root
        self._paths = paths
        self._todo: SimpleQueue[str] = SimpleQueue()
        self._done: SimpleQueue[tuple[str, str | OSError]] = SimpleQueue()
        for path in paths:
            self._todo.put(path)
        for _ in range(min(len(paths), _SIDE_THREADS)):
            threading.Thread(target=self._work, name="read-serial", daemon=True).start()

    def wait(self, budget_s: float) -> dict[str, str | OSError]:
        """Return content or error by path; what did not arrive in time is an error too."""
        late = TimeoutError(errno.ETIMEDOUT, f"no answer within {budget_s:g} s")
        outcomes: dict[str, str | OSError] = dict.fromkeys(self._paths, late)
        deadline = time.monotonic() + budget_s
        with contextlib.suppress(Empty):
            for _ in self._paths:
                path, outcome = self._done.get(timeout=max(0.0, deadline - time.monotonic()))
                outcomes[path] = outcome
        return outcomes

    def _work(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                path = self._todo.get_nowait()
                outcome: str | OSError
                try:
                    outcome = _read(self._root + path)
                except OSError as error:
                    outcome = error
                self._done.put((path, outcome))


def _read(path: str) -> str:
    descriptor = os.open(os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _CHUNK_BYTES):
            parts.append(part)
    finally:
        os.close(descriptor)
    return _text(b"".join(parts))


# Plain calls on bytes: names need not be UTF-8, and there are thousands of them.
def _readlink(path: str) -> str:
    return _text(os.readlink(os.fsencode(path)))  # noqa: PTH115


def _listdir(path: str) -> list[str]:
    return [_text(name) for name in os.listdir(os.fsencode(path))]  # noqa: PTH208


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
