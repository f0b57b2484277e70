"""The kernel: which runs, with what command line, which is started next, and the files of /boot."""

from __future__ import annotations

import os
import stat

from snap_self.system.manifest.plain_files import Faults, Tree, text_of

BOOT = "/boot"
MOST_BOOT_NAMES = 2000
_GRUB_ENVIRONMENTS = ("/boot/grub2/grubenv", "/boot/grub/grubenv")
_SYSTEMD_BOOT = ("/boot/loader/loader.conf", "/efi/loader/loader.conf")
_LINKS = ("/boot/vmlinuz", "/vmlinuz")


def read_kernel(root: str, faults: Faults, *, boot: bool) -> dict[str, str]:
    """Return ``running``, ``cmdline`` and ``default``, those that can be told.

    Args:
        boot: /boot may be looked into.
    """
    found = {
        "running": os.uname().release,
        "cmdline": text_of("/proc/cmdline", faults).strip(),
        "default": default_entry(root, faults, boot=boot),
    }
    return {name: value for name, value in found.items() if value}


def default_entry(root: str, faults: Faults, *, boot: bool = True) -> str:
    """Return the boot entry that was chosen, or else the kernel that the usual link leads to.

    Source: grub-editenv(1), ``saved_entry``; loader.conf(5), ``default``.
    """
    if boot:
        for path in _GRUB_ENVIRONMENTS:
            if entry := _assigned(text_of(f"{root}{path}", faults), "saved_entry="):
                return entry
        for path in _SYSTEMD_BOOT:
            if entry := _assigned(text_of(f"{root}{path}", faults), "default "):
                return entry
    for path in _LINKS if boot else _LINKS[1:]:
        try:
            return os.readlink(f"{root}{path}").rpartition("/")[2]  # noqa: PTH115
        except OSError:
            continue
    return ""


def _assigned(text: str, begin: str) -> str:
    lines = (line.strip() for line in text.split("\n"))
    return next((line[len(begin) :].strip() for line in lines if line.startswith(begin)), "")


def read_boot(tree: Tree, faults: Faults) -> dict[str, tuple[int, int]]:
    """Return the files below /boot, by path relative to it: size and time of change in ns."""
    return {
        path.removeprefix(f"{BOOT}/"): (status.st_size, status.st_mtime_ns)
        for _, _, path, status in tree.walk(BOOT, faults)
        if stat.S_ISREG(status.st_mode)
    }
