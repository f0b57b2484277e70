"""What must be known of a machine before a freeze; read by ``system``, judged by ``quiesce``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopImage:
    """A loop device in use.

    Args:
        image: the file behind it.
        holder: key of the filesystem that holds the file; empty if it is on none of ours.
    """

    device: str
    image: str
    holder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPlace:
    """Something the agent itself writes to.

    Args:
        what: for people: ``state directory``, ``log file``, ``standard output``.
        key: of the filesystem it lies on.
    """

    what: str
    path: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDatabase:
    """A running process that writes in ways a freeze has hung on.

    Args:
        io_uring: it has an io_uring open.
        keys: filesystems it has files open on.
    """

    pid: int
    name: str
    io_uring: bool
    keys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeFacts:
    """What must be known of a machine before a freeze.

    Args:
        release: of the kernel, as uname(2) gives it.
        upstream: the stable version it was made from, where the release does not tell; or empty.
        user_space_devices: filesystem key to the kind of a device below it that a program serves
            (``nbd``, ``fuse``, ``iscsi``, ``ublk``).
        tmp_on_loop: ``/tmp`` or ``/var/tmp`` is a loop mount, as shared-hosting stacks have it.
        bind_mounts: how many mounts show a part of a filesystem.
        hung_task_panic: the kernel panics when a task is blocked for ``hung_task_timeout_s``.
        markers_key: key of the filesystem that holds the marker's directory.
        root_tested: freezing the root filesystem was tried on this machine and went well.
        unjournaled: keys of the filesystems that the ext4 driver serves without a journal.
    """

    release: str
    upstream: str = ""
    loops: tuple[LoopImage, ...] = ()
    user_space_devices: Mapping[str, str] = field(default_factory=dict)
    databases: tuple[RunningDatabase, ...] = ()
    own_places: tuple[OwnPlace, ...] = ()
    tmp_on_loop: bool = False
    bind_mounts: int = 0
    hung_task_panic: bool = False
    hung_task_timeout_s: float = 120.0
    markers_key: str = ""
    root_tested: bool = False
    unjournaled: frozenset[str] = frozenset()


def kernel_version(release: str) -> tuple[int, int]:
    """Return major and minor of ``6.1.0-18-amd64``; (0, 0), which warns, for what is not one."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


# Kernel ranges: the first version with the fault, the first version with the fix. All branches
# in between never got the fix.
_IO_URING_HANGS = (
    ((5, 1, 0), (5, 10, 230)),
    ((5, 11, 0), (5, 15, 172)),
    ((5, 16, 0), (6, 1, 116)),
    ((6, 2, 0), (6, 6, 60)),
    ((6, 7, 0), (6, 11, 7)),
)


def hangs_io_uring_writers(release: str, upstream: str = "") -> bool:
    """Tell whether a freeze and a direct write through io_uring can wait for each other for ever.

    What a distribution has mended by itself is not known, so such a kernel counts as it began.

    Source: CVE-2024-53052.
    """
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", upstream or release)
    if not match:
        return False
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    return any(first <= version < mended for first, mended in _IO_URING_HANGS)


def upstream_version(build: str, signature: str) -> str:
    """Return the stable version that a distribution names elsewhere than in the release; or empty.

    Args:
        build: the kernel's build text; Debian's ends with its package version.
        signature: of Ubuntu's kernels: ``Ubuntu 6.8.0-40.40-generic 6.8.12``.

    Source: ``/proc/sys/kernel/version`` of Debian 12 and 13, ``/proc/version_signature`` of Ubuntu.
    """
    found = re.search(r"\bDebian (\d+\.\d+\.\d+)", build) or re.fullmatch(
        r"Ubuntu \S+ (\d+\.\d+\.\d+)", signature.strip()
    )
    return found[1] if found else ""
