"""Collect the kernel's text about disks and mounts: procfs, sysfs and the links below ``/dev``."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from snap_self.system.disks.asking import FSID
from snap_self.system.disks.questions import read_bytes

_STABLE_TRIES = 5
_ATTRIBUTES = ("dev", "size", "partition", "hidden")
_NESTED = {
    "dm": ("uuid", "name"),
    "md": ("level", "raid_disks"),
    "loop": ("backing_file",),
}
# Filesystems that have a folder below /sys/fs for each superblock, by its device.
_LISTED_TYPES = ("ext4", "xfs", "f2fs", "nilfs2")
_BCACHE_LINKS = ("dev", "cache", "set")
_NAMESPACE_LINK = re.compile(r"mnt:\[(\d+)\]")


class Collector:
    """Collects files, links and failures by path below the root."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/"
        self.files: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.failures: dict[str, str] = {}

    def file(self, path: str) -> str | None:
        """Note the content of a file if it exists."""
        try:
            text = _read(self._root + path)
        except (FileNotFoundError, NotADirectoryError):
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
            if "serial" in present:  # virtio: each read asks the storage back end
                serials.append(f"{base}/serial")
            elif "device" in present:  # NVMe: the kernel knows it
                self.file(f"{base}/device/serial")
        return serials

    def loop_images(self) -> dict[str, str]:
        """Return loop device to image name, for those that udev does not link as a cloud disk."""
        linked = {
            target.rpartition("/")[2]
            for path, target in self.links.items()
            if path.startswith("dev/disk/by-id/")
        }
        ending = "/loop/backing_file"
        found = {}
        for path, text in self.files.items():
            if path.endswith(ending):
                name = path.removesuffix(ending).rpartition("/")[2]
                if name not in linked:
                    found[name] = text.removesuffix("\n").removesuffix(" (deleted)")
        return found

    def mount_texts(self) -> dict[str, tuple[str, str]]:
        """Return each namespace's place in the notes to its mount table and a process in it."""
        texts = {
            path.removesuffix("/mountinfo"): text
            for path, text in self.files.items()
            if path.startswith("proc/") and path.endswith("/mountinfo")
        }
        return {
            place: (text, self.files.get(f"{place}/pid", "").strip())
            for place, text in texts.items()
        }

    def btrfs_alive(self) -> int:
        """Return how many btrfs the kernel has alive."""
        return self.files.get("sys/fs/superblocks", "").count("btrfs ")

    def numbers(self, answers: Mapping[str, Any | OSError]) -> None:
        """Note the numbers of named devices; a name that leads nowhere is not a failure."""
        for path, answer in answers.items():
            if answer and not isinstance(answer, OSError):
                self.files[path] = f"{answer}\n"

    def fsids(self, answers: Iterable[tuple[str, Any | OSError]]) -> None:
        """Note the ids of mounted btrfs by the device of their mounts."""
        for devno, answer in answers:
            if answer and not isinstance(answer, OSError):
                self.files[FSID + devno] = f"{answer}\n"

    def loop_files(self, answers: Mapping[str, Any | OSError]) -> None:
        """Note for each loop device the device below its file, a mount id or -1, and its number."""
        for name, answer in answers.items():
            path = f"sys/class/block/{name}/loop/file"
            if isinstance(answer, OSError):
                self.failures[path] = answer.strerror or str(answer)
            else:
                self.files[path] = " ".join(map(str, answer)).rstrip() + "\n"

    def serials(self, answers: Mapping[str, Any | OSError]) -> None:
        """Note the serials that arrived in time."""
        for path, outcome in answers.items():
            if not isinstance(outcome, OSError):
                self.files[path] = _text(outcome)
            elif not isinstance(outcome, (FileNotFoundError, NotADirectoryError)):
                self.failures[path] = outcome.strerror or str(outcome)

    def superblocks(self) -> set[str]:
        """Return type and device (or id) of each filesystem that the kernel has alive.

        This includes filesystems that are no longer mounted but still have an open file.
        """
        blocks = set(self.names("sys/class/block"))
        found = {
            f"{fstype} {name}"
            for fstype in _LISTED_TYPES
            for name in self.names(f"sys/fs/{fstype}")
            if name in blocks
        }
        fsids = self.names("sys/fs/btrfs")
        return found | {
            f"btrfs {fsid}" for fsid in fsids if self.names(f"sys/fs/btrfs/{fsid}/devices")
        }

    def note_alive(self, superblocks: Iterable[str]) -> None:
        """Note the filesystems that were alive all the time while the mounts were read."""
        if text := "".join(f"{each}\n" for each in sorted(superblocks)):
            self.files["sys/fs/superblocks"] = text

    def mounts(self) -> None:
        """Note the mounts of this namespace and of every other that can be seen."""
        seen = {self._stable("proc/self/mountinfo")}
        for namespace, pids in self._namespaces().items():
            for pid in pids:
                text = self._if_there(f"proc/{pid}/mountinfo")
                if text is None:  # that process has ended; try another one in the namespace
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
        """Return other mount namespaces by id, each with the processes in it."""
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
        """Note a file that can change during a read, once two reads give the same content."""
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


def _read(path: str) -> str:
    return _text(read_bytes(path))


# Plain calls on bytes: names need not be UTF-8, and there are thousands of them.
def _readlink(path: str) -> str:
    return _text(os.readlink(os.fsencode(path)))  # noqa: PTH115


def _listdir(path: str) -> list[str]:
    return [_text(name) for name in os.listdir(os.fsencode(path))]  # noqa: PTH208


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
