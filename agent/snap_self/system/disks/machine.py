"""Read the kernel's text about disks and mounts without interpreting it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from snap_self.errors import UsageError
from snap_self.model.machine import MachineText, PathFact
from snap_self.model.shown import shown
from snap_self.system.disks.aside import SideCalls, results
from snap_self.system.disks.asking import btrfs_ids, named_devices
from snap_self.system.disks.collecting import Collector

BUDGET_S = 1.0
LOCATE_S = 5.0

_PLAIN_FILES = ("proc/swaps", "sys/class/dmi/id/product_name")


class KernelMachineReader:
    """Reads procfs, sysfs and the links below ``/dev/disk``.

    Args:
        calls: makes the calls that may never return.
        root: directory in which ``proc``, ``sys`` and ``dev`` lie.
        budget_s: how long all answers to such calls together may take.
        locate_s: how long looking at a path may take.
    """

    def __init__(
        self,
        calls: SideCalls,
        root: str = "/",
        *,
        budget_s: float = BUDGET_S,
        locate_s: float = LOCATE_S,
    ) -> None:
        self._calls = calls
        self._root = root
        self._budget_s = budget_s
        self._locate_s = locate_s

    def read(self) -> MachineText:
        """Return the whole text; what exists but cannot be read is noted, not raised."""
        collected = Collector(self._root)
        prefix = self._root.rstrip("/") + "/"
        serials = {
            path: self._calls.begin("read", prefix + path) for path in collected.block_devices()
        }
        collected.device_links()
        loops = {
            name: self._calls.begin("loop-file", f"{prefix}dev/{name}", image)
            for name, image in collected.loop_images().items()
        }
        before = collected.superblocks()
        collected.mounts()
        collected.note_alive(before & collected.superblocks())
        texts = collected.mount_texts()
        named = named_devices(texts, self._calls, prefix)
        btrfs = list(btrfs_ids(texts, self._calls, collected.btrfs_alive()))
        for path in _PLAIN_FILES:
            collected.file(path)
        collected.btrfs()
        collected.journals()
        asked = (*loops.values(), *named.values(), *(p for _, p in btrfs), *serials.values())
        answers = iter(results(asked, self._budget_s))
        collected.loop_files(dict(zip(loops, answers, strict=False)))
        collected.numbers(dict(zip(named, answers, strict=False)))
        collected.fsids(zip((devno for devno, _ in btrfs), answers, strict=False))
        collected.serials(dict(zip(serials, answers, strict=True)))
        return MachineText(
            files=collected.files, links=collected.links, failures=collected.failures
        )

    def locate(self, path: str) -> PathFact:
        """Return where a path lies; this works on a frozen filesystem too.

        It triggers an automount there.

        Raises:
            UsageError: it does not exist, may not be looked at, or does not answer.
        """
        try:
            if not path:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            # The other process has another working directory. `..` stays: it may follow a link.
            absolute = path if path.startswith("/") else f"{os.getcwd()}/{path}"  # noqa: PTH109
            asked = self._calls.begin("locate", absolute)
            real, mount_id, device, line = asked.result(self._locate_s)
        except OSError as error:
            raise UsageError(
                f"path {shown(path)} cannot be looked at: {error.strerror}",
                hint="name an existing file or directory, on a filesystem that answers",
            ) from error
        return PathFact(
            asked=path,
            real=real,
            mount_id=mount_id if mount_id >= 0 else None,
            devno=f"{os.major(device)}:{os.minor(device)}",
            overlay=line.decode("utf-8", "surrogateescape"),
        )

    def locate_of(self, pid: int, path: str) -> PathFact:
        """Return where a path of another process lies; it may have its own root and mounts.

        Args:
            pid: 0 means the agent itself.
            path: a relative one begins at that process's working directory.

        Raises:
            UsageError: it does not exist, may not be looked at, or does not answer.
        """
        try:
            asked = self._calls.begin("inside", pid, path)
            real, mount_id, device, owner, line = asked.result(self._locate_s)
        except OSError as error:
            raise UsageError(
                f"{shown(path)} of process {pid} cannot be looked at: {error.strerror}",
                hint="is it still running, and does its filesystem answer?",
            ) from error
        mount = line.decode("utf-8", "surrogateescape")
        number = f"{os.major(device)}:{os.minor(device)}" if os.major(device) else ""
        return PathFact(
            asked=path,
            real=real,
            mount_id=mount_id if mount_id >= 0 else None,
            devno=mount.split(" ", 3)[2] if mount else number,
            overlay=mount if " - overlay " in mount else "",
            owner=owner,
        )

    def leads_of(self, pid: int, path: str) -> Sequence[str]:
        """Return the links that lead out of another process's directory: see ``questions``.

        Raises:
            UsageError: it cannot be looked at, or not in time.
        """
        try:
            leads: Sequence[str] = self._calls.begin("leads", pid, path).result(self._locate_s)
        except OSError as error:
            raise UsageError(
                f"{shown(path)} of process {pid} cannot be looked at: {error.strerror}",
                hint="is it still running, and does its filesystem answer?",
            ) from error
        return leads
