"""Where the agent's files below ``/run`` lie, and what the kernel calls this boot."""

from __future__ import annotations

from pathlib import Path

# On tmpfs: a marker on a disk could hang on the very freeze it is about.
RUN_DIRECTORY = Path("/run/snap-self")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MARKER = RUN_DIRECTORY / "frozen.json"
