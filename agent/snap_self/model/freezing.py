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
        user_space_devices: filesystem key to the kind of a device below it that a program serves
            (``nbd``, ``fuse``, ``iscsi``, ``ublk``).
        tmp_on_loop: ``/tmp`` or ``/var/tmp`` is a loop mount, as shared-hosting stacks have it.
        bind_mounts: how many mounts show a part of a filesystem.
        hung_task_panic: the kernel panics when a task is blocked for ``hung_task_timeout_s``.
        markers_key: key of the filesystem that holds the marker's directory.
        root_tested: freezing the root filesystem was tried on this machine and went well.
    """

    release: str
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


def kernel_version(release: str) -> tuple[int, int]:
    """Return major and minor of ``6.1.0-18-amd64``; (0, 0), which warns, for what is not one."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)
