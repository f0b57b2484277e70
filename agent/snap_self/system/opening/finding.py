"""Finds a cloud disk by its serial alone: letters change, and ids are the original's too."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from snap_self.system.disks.aside import SideCalls, results
from snap_self.system.opening import labels
from snap_self.system.opening.kernel import GONE
from snap_self.system.opening.stacked import CLASS, name_of, node_of

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ANSWER_S = 5.0


def is_serial(text: str) -> bool:
    """Tell whether a text can be a disk's serial: nothing that a rule of udev would act on."""
    return _SERIAL.fullmatch(text) is not None


class Serials:
    """Tells which disk has which serial.

    Args:
        calls: a virtio disk is asked for its serial itself, and may never answer.
        by_id: the folder of udev's links.
        sysfs: the folder of block devices.
    """

    def __init__(self, calls: SideCalls, *, by_id: str = labels.BY_ID, sysfs: str = CLASS) -> None:
        self._calls = calls
        self._by_id = by_id
        self._sysfs = sysfs

    def prepare(self) -> None:
        """Have the process started that disks are asked through; nobody waits for its answer."""
        self._calls.begin("read", "/dev/null")

    def device_of(self, serial: str) -> str | None:
        """Return the device node of the whole disk with that serial.

        A disk that has a serial of its own is never taken by a link, which may be of a disk that is
        gone.

        Returns:
            None if there is none, or if there are several.
        """
        if not is_serial(serial):
            return None
        disks = self._disks()
        told = self._told(disks)
        found = {name for name, own in told.items() if own == serial}
        if not found:
            linked = {name for label, name in labels.linked(self._by_id) if label == serial}
            found = {name for name in linked if name in disks and name not in told}
        return node_of(found.pop()) if len(found) == 1 else None

    def serial_of(self, name: str) -> str:
        """Return the serial of a disk by its name in sysfs; empty if it has none for certain."""
        if told := self._told([name]):
            return told[name]
        return labels.only_linked(name, self._by_id)

    def silent(self, nodes: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the device nodes of disks that are there and do not tell their serial.

        Args:
            nodes: those that are asked; None for every disk.
        """
        names = self._disks() if nodes is None else [name_of(node) for node in nodes]
        answers = self._answers(names)
        return tuple(
            node_of(name)
            for name, told in answers.items()
            if isinstance(told, OSError) and told.errno not in GONE
        )

    def _disks(self) -> list[str]:
        names = sorted(labels.listed(self._sysfs))
        return [name for name in names if not self._has(name, "partition")]

    def _told(self, names: Sequence[str]) -> dict[str, str]:
        """Return the serials of those that tell one; empty where a disk does not answer."""
        answers = self._answers(names)
        silent = {name: "" for name, told in answers.items() if isinstance(told, OSError)}
        return silent | {name: own for name, own in answers.items() if isinstance(own, str) and own}

    def _answers(self, names: Sequence[str]) -> dict[str, str | OSError]:
        """Return what each disk answers that can tell a serial."""
        places = {
            name: f"{self._sysfs}/{name}/{path}"
            for name in names
            for path in reversed(labels.SERIAL_FILES)
            if self._has(name, path)
        }
        asked = [self._calls.begin("read", place) for place in places.values()]
        answers = zip(places, results(asked, ANSWER_S), strict=True)
        return {
            name: answer if isinstance(answer, OSError) else labels.clean(answer)
            for name, answer in answers
        }

    def _has(self, name: str, path: str) -> bool:
        return os.path.exists(f"{self._sysfs}/{name}/{path}")
