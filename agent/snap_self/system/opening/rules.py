"""Holds udev back from temporary disks, and with it systemd, LVM, md, btrfs and udisks.

Without this the links by UUID and label turn to the copy at its first event.

Source: ``60-persistent-storage.rules``, ``99-systemd.rules``, ``69-lvm.rules``,
``64-md-raid-assembly.rules``, ``64-btrfs.rules``, ``80-udisks2.rules``, ``13-dm-disk.rules``.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from snap_self.errors import CopyNotOpened
from snap_self.model.opening import Held
from snap_self.ports import Commands
from snap_self.system.opening.finding import is_serial
from snap_self.system.opening.stacked import CLASS

UDEV = "/run/udev"
NAME = "59-snap-self-temp.rules"
_RELOAD = ("udevadm", "control", "--reload")
_RELOAD_S = 10.0
_LEAVE = (
    'ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1", ENV{SYSTEMD_READY}="0", '
    'ENV{UDISKS_IGNORE}="1", OPTIONS+="nowatch", OPTIONS+="link_priority=-200"'
)
_HEAD = "# Written by snap-self while a temporary disk exists; goes with it.\n"
_SERIAL_LINE = re.compile(r'ATTRS\{serial\}=="([^"]*)"')
_BACKING_LINE = re.compile(r'ATTR\{loop/backing_file\}=="([^"]*)"')
_KNOWN_LINE = re.compile(r'KERNEL=="vd\*\|nvme\*", KERNEL!="([^"]*)"')
# Before, a virtio disk had its serial only after udev had been told of the disk.
_SERIAL_IN_TIME = (4, 20)


def text_of(serials: Iterable[str], backing: Iterable[str] = (), known: str | None = None) -> str:
    """Return the file's content: a line for each disk, then for what is made on it.

    Args:
        backing: device nodes of temporary disks below loop devices.
        known: of an old kernel: names of the disks that are no temporary ones, as a pattern; None
            of others.
    """
    lines = [f'SUBSYSTEM=="block", ATTRS{{serial}}=="{each}", {_LEAVE}' for each in serials]
    lines += [
        f'SUBSYSTEM=="block", KERNEL=="loop*", ATTR{{loop/backing_file}}=="{each}", {_LEAVE}'
        for each in backing
    ]
    lines.append(
        'SUBSYSTEM=="block", KERNEL=="dm-*", ATTR{dm/name}=="snapself_*", '
        'ENV{DM_UDEV_DISABLE_DISK_RULES_FLAG}="1", ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}="1", '
        + _LEAVE
    )
    if known is not None:
        lines.append(f'SUBSYSTEM=="block", KERNEL=="vd*|nvme*", KERNEL!="{known}", {_LEAVE}')
    return _HEAD + "".join(f"{line}\n" for line in lines)


class UdevRules:
    """The one file of rules, below ``/run``: a reboot takes it away.

    Args:
        udev: the folder of udev's run time data.
        release: the kernel's version.
        sysfs: the folder of block devices.
    """

    def __init__(
        self,
        commands: Commands,
        *,
        udev: str = UDEV,
        release: str | None = None,
        sysfs: str = CLASS,
    ) -> None:
        self._commands = commands
        self._udev = udev
        self._sysfs = sysfs
        self._folder = f"{udev}/rules.d"
        self.path = f"{self._folder}/{NAME}"
        self._old = _version(platform.release() if release is None else release) < _SERIAL_IN_TIME

    def add(self, serials: Collection[str], backing: Collection[str] = ()) -> Held:
        """Let udev leave these disks alone, and loop devices on these; those before stay.

        Raises:
            CopyNotOpened: there is a udev, and the rule cannot be written.
        """
        if bad := [serial for serial in serials if not is_serial(serial)]:
            raise CopyNotOpened(f"{bad[0]!r} cannot be the serial of a disk")
        if not os.path.isdir(self._udev):
            return Held()
        text = self._text()
        known = _KNOWN_LINE.findall(text)
        return self._write(
            text,
            text_of(
                sorted({*_SERIAL_LINE.findall(text), *serials}),
                sorted({*_BACKING_LINE.findall(text), *backing}),
                (known[0] if known else _known_disks(self._sysfs)) if self._old else None,
            ),
        )

    def forget(self, backing: Collection[str]) -> None:
        """Drop the lines of loop devices on these disks; the disks' own stay."""
        text = self._text()
        if {*backing} & {*_BACKING_LINE.findall(text)}:
            self._drop(text, (), backing)

    def drop(self, serials: Collection[str]) -> None:
        """Forget these disks; the file goes with the last.

        Raises:
            CopyNotOpened: it cannot be written.
        """
        self._drop(self._text(), serials, ())

    def _drop(self, text: str, serials: Collection[str], backing: Collection[str]) -> None:
        left = sorted({*_SERIAL_LINE.findall(text)} - {*serials})
        below = sorted({*_BACKING_LINE.findall(text)} - {*backing})
        known = _KNOWN_LINE.findall(text)
        if left:
            self._write(text, text_of(left, below, known[0] if known else None))
        elif text:
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                return
            except OSError as error:
                raise self._unwritable(error) from error
            self._reload()

    def _text(self) -> str:
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            raise self._unwritable(error) from error

    def _write(self, before: str, text: str) -> Held:
        if text != before:
            beside = f"{self._folder}/.{NAME}.new"
            try:
                os.makedirs(self._folder, mode=0o755, exist_ok=True)
                with suppress(FileNotFoundError):
                    os.unlink(beside)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(beside, flags, 0o644), "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(beside, self.path)
            except OSError as error:
                raise self._unwritable(error) from error
        return Held(rule=self.path, reloaded=self._reload())

    def _reload(self) -> bool:
        """Let udev read it now; without this it looks for itself, every three seconds."""
        try:
            status, _, _ = self._commands.run(_RELOAD, timeout_s=_RELOAD_S)
        except OSError:  # no such program, or no answer
            return False
        return status == 0

    def _unwritable(self, error: OSError) -> CopyNotOpened:
        return CopyNotOpened(
            f"udev cannot be told to leave the temporary disk alone: {self.path}: "
            f"{error.strerror or type(error).__name__}",
            hint=f"see what is the matter with {self._folder}; nothing has been attached",
        )


def _version(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])


def _known_disks(sysfs: str) -> str:
    """Return a pattern of the cloud disks that are there now, with their partitions."""
    names: Sequence[str] = ()
    with suppress(OSError):
        names = sorted(os.listdir(sysfs))
    disks = [name for name in names if re.fullmatch(r"vd[a-z]+|nvme\d+n\d+", name)]
    parts = [f"{disk}p*" if disk[-1].isdigit() else f"{disk}[0-9]*" for disk in disks]
    return "|".join(each for pair in zip(disks, parts, strict=True) for each in pair)
