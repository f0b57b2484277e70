"""A writer, and whether an image taken under it is clean without any replay."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from freeze_rig import run

WRITER = """
import os, sys, itertools
for n in itertools.count():
    folder = os.path.join(sys.argv[1], f"d{n % 20}")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"f{n % 300}"), "wb") as file:
        file.write(os.urandom(20000 + n % 7000))
    if n % 7 == 0:
        os.rename(file.name, file.name + "x")
    if n % 11 == 0:
        os.unlink(os.path.join(folder, min(os.listdir(folder))))
"""
CHECKS = {
    "ext4": ("e2fsck", "-fn"),
    "xfs": ("xfs_repair", "-n"),
    "btrfs": ("btrfs", "check", "--readonly"),
}


DUMP_SUPER = ("btrfs", "inspect-internal", "dump-super")
XFS_EXPECTED = re.compile(
    r"Phase \d|        - |ALERT: The filesystem has valuable metadata|ignored because the -n option"
    r"|which may be resolved by first mounting|Cannot get host filesystem geometry"
    r"|Repair may fail if|the image and the host|sb_fdblocks \d+, counted|No modify flag set"
)


def is_clean(fstype: str, image: Path) -> bool:
    """Tell whether the checker has no complaint and no log holds anything to replay."""
    done = subprocess.run([*CHECKS[fstype], str(image)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if fstype == "ext4":
        # e2fsck -n does not replay the journal, and says so when it would have to.
        return done.returncode == 0 and "skipping journal recovery" not in said
    if fstype == "xfs":
        return xfs_is_clean(said, run("xfs_logprint", "-t", image))
    log_root = re.search(r"^log_root\s+(\d+)", run(*DUMP_SUPER, image), re.MULTILINE)
    return done.returncode == 0 and log_root is not None and log_root[1] == "0"


def xfs_is_clean(repair: str, log: str) -> bool:
    """Tell the same of XFS, whose freeze leaves its log formally dirty, on purpose.

    ``xfs_fs_freeze`` ends with ``xfs_log_quiesce`` and a record of the superblock alone, so that
    recovery runs after a crash and frees inodes that were unlinked while open; no unmount record
    follows. The lazy counts of free blocks and inodes are not made good until then. What is allowed
    is exactly that: ``xfs_repair -n`` warns of the log and of those counts and of nothing else, and
    every record in the log is one of the superblock, so that replaying it changes no file.
    """
    complaints = [line for line in repair.splitlines() if not XFS_EXPECTED.match(line)]
    records = re.findall(r"^(?:BUF|INO|EFI|EFD|[A-Z]+): cnt", log, re.MULTILINE)
    return not complaints and len(records) == log.count("SUPER Block Buffer")
