"""Undoes what was opened on temporary disks, whoever opened it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from snap_self.system.opening import kernel, magics, stacked
from snap_self.system.opening.held import Grip
from snap_self.system.opening.superblocks import Kind
from snap_self.system.opening.work import found_on_disk, unseal

_LOOK_AGAIN_S = 0.05
FREE_WAIT_S = 5.0


class Unmounted(NamedTuple):
    """How the mounts of the disks ended.

    Args:
        holders: process and its program's name of those who used one when its time was up.
    """

    lazily: bool
    holders: tuple[tuple[int, str], ...]


def unmount_all(disks: Sequence[str], at: str, *, wait_s: float) -> Unmounted:
    """Unmount every visible copy on these disks; after ``wait_s`` lazily.

    One on which somebody else has mounted something stays: both would go.
    """
    lazily = False
    holders: dict[int, str] = {}
    done: set[int] = set()
    end = time.monotonic() + wait_s
    while mount := _next_mount(disks, at, done):
        try:
            kernel.unmount(mount.place)
            done.add(mount.number)
        except OSError as error:
            if error.errno == errno.EBUSY and time.monotonic() < end:
                time.sleep(_LOOK_AGAIN_S)
                continue
            holders |= dict(users_below(mount.place)) if error.errno == errno.EBUSY else {}
            done.add(mount.number)
            if stacked.is_on_top(mount):
                kernel.unmount(mount.place, lazily=True)
                lazily = True
    return Unmounted(lazily=lazily, holders=tuple(sorted(holders.items())))


def _next_mount(disks: Sequence[str], at: str, done: set[int]) -> stacked.Visible | None:
    """Return a copy's mount that can be unmounted by its place, the one at ``at`` first."""
    mounts = stacked.copies_of(stacked.stack(disks), at)
    mounts.sort(key=lambda mount: mount.place != at)
    return next((m for m in mounts if m.number not in done and stacked.is_on_top(m)), None)


def release(grip: Grip) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the held disks back: free, writable, and with nothing on them that could be found.

    Returns:
        The devices that are still in use, and those on which something can still be found.
    """
    disks = grip.nodes
    nodes = stacked.stack(disks)
    busy = _wait_until_free(grip)
    unseal(grip, nodes)
    # A filesystem may have written its magic again when it was unmounted (ext4).
    stays: list[str] = []
    for node in nodes:
        if busy or stacked.name_of(node).startswith("dm-"):
            continue
        with suppress(OSError):
            magics.zero(grip, node, found_on_disk(grip, node, frozenset(Kind)))
    for node in nodes:
        if node not in disks and stacked.name_of(node).startswith("loop"):
            with suppress(OSError), grip.opened(node) as loop:
                kernel.detach_loop(loop)
    for disk in disks:
        with suppress(OSError):
            stays += magics.remain(grip, [disk])
    return busy, tuple(stays)


def _wait_until_free(grip: Grip) -> tuple[str, ...]:
    end = time.monotonic() + FREE_WAIT_S
    while busy := tuple(disk for disk in grip.nodes if not _is_free(grip, disk)):
        if time.monotonic() >= end:
            return busy
        time.sleep(_LOOK_AGAIN_S)
    return ()


def _is_free(grip: Grip, disk: str) -> bool:
    try:
        return grip.is_free(disk)
    except OSError:
        return False


def users_below(place: str) -> list[tuple[int, str]]:
    """Return the processes that use the filesystem mounted at a place, with their names."""
    try:
        device = os.stat(place).st_dev
    except OSError:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _uses(entry, device):
            found.append((int(entry), _program(entry)))
    return found


def _uses(pid: str, device: int) -> bool:
    links = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")]
    with suppress(OSError):
        links += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
    for link in links:
        with suppress(OSError):
            if os.stat(link).st_dev == device:
                return True
    return _maps(pid, device)


def _maps(pid: str, device: int) -> bool:
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}".encode()
    with suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
        return any(line.split(b" ", 4)[3:4] == [wanted] for line in file)
    return False


def _program(pid: str) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return ""
