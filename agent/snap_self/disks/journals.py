"""Find ext4 journals that lie on a device of their own.

The kernel names such a journal neither in mountinfo nor among holders (seen on 6.18, also with
``journal_path=`` given). It does name the filesystem's journal thread, and the thread's name holds
the device: ``jbd2/vdb1-8`` has its journal in inode 8 of vdb1 itself, ``jbd2/vdc1`` is a journal
device.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from snap_self.model.machine import MachineText

_TASK_FILE = re.compile(r"sys/fs/ext4/([^/]+)/journal_task")
_THREAD_PREFIX = "jbd2/"


def outer_journals(machine: MachineText, devices: Collection[str]) -> dict[str, str]:
    """Return a filesystem's block device to its journal's, where they differ."""
    journals = {}
    for path, task in machine.files.items():
        if not (match := _TASK_FILE.fullmatch(path)):
            continue
        thread = machine.files.get(f"proc/{task.strip()}/comm", "").strip()
        device = thread.removeprefix(_THREAD_PREFIX)
        # Old kernels cut thread names at 15 characters; what remains names no other disk.
        if thread.startswith(_THREAD_PREFIX) and device in devices and device != match[1]:
            journals[match[1]] = device
    return journals


def hidden_journals(machine: MachineText) -> frozenset[str]:
    """Return the block devices of filesystems whose journal thread cannot be seen.

    In a pid namespace of its own the agent sees no kernel thread; the thread's number is 0 there.
    """
    hidden = set()
    for path, task in machine.files.items():
        match = _TASK_FILE.fullmatch(path)
        if match and task.strip().isdigit() and f"proc/{task.strip()}/comm" not in machine.files:
            hidden.add(match[1])
    return frozenset(hidden)
