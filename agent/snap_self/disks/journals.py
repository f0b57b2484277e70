"""Find ext4 journals that lie on a device of their own.

The kernel names such a journal neither in mountinfo nor among holders (seen on 6.18, also with
``journal_path=`` given). It does name the filesystem's journal thread, and the thread the device:
``jbd2/vdb1-8`` has its journal in inode 8 of vdb1 itself, ``jbd2/vdc1`` is a journal device.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from snap_self.model.machine import MachineText

_TASK_FILE = re.compile(r"sys/fs/ext4/([^/]+)/journal_task")
_THREAD_PREFIX = "jbd2/"


def outer_journals(machine: MachineText, devices: Collection[str]) -> dict[str, str]:
    """Return block device of a filesystem to that of its journal, where it is another one."""
    journals = {}
    for path, task in machine.files.items():
        if not (match := _TASK_FILE.fullmatch(path)):
            continue
        thread = machine.files.get(f"proc/{task.strip()}/comm", "").strip()
        device = thread.removeprefix(_THREAD_PREFIX)
        # Old kernels cut thread names at 15 characters; what is left then names no other disk.
        if thread.startswith(_THREAD_PREFIX) and device in devices and device != match[1]:
            journals[match[1]] = device
    return journals
