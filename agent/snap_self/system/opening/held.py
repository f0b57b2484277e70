"""Holds the temporary disks open, so that no other disk is ever written to.

Once a disk is gone and nobody has it open, its name and its number go to the next one. Of an open
disk both stay. So a disk is opened first, then asked who it is, and from there on written to
through what is open alone. What stands on it is asked what it stands on, while it is open.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import NamedTuple

from snap_self.system.opening import kernel, labels

NUMBERS = "/sys/dev/block"


class Disk(NamedTuple):
    """How a temporary disk is known again.

    Args:
        devno: ``major:minor`` that it had when it was found.
    """

    serial: str
    devno: str


class NotTemporary(OSError):
    """A name or a number is another device's by now, or nobody's."""

    def __init__(self, node: str) -> None:
        super().__init__(errno.ENODEV, "it is another device than a moment ago, or none", node)


class Grip:
    """Temporary disks that are held, until the end of a block.

    Args:
        by_id: the folder of the links by serial, for disks without a serial of their own.
        numbers: sysfs' folder of block devices by number.
    """

    def __init__(self, *, by_id: str = labels.BY_ID, numbers: str = NUMBERS) -> None:
        self._by_id = by_id
        self._numbers = numbers
        self._stack = ExitStack()
        self._held: dict[str, int] = {}
        self._devnos: set[str] = set()

    def __enter__(self) -> Grip:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        self._held.clear()
        self._devnos.clear()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The device nodes of the disks that are held."""
        return tuple(self._held)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What holds the disks."""
        return tuple(self._held.values())

    def hold(self, node: str, disk: Disk) -> None:
        """Hold a disk, if it is the one that is meant.

        Raises:
            NotTemporary: it is not.
            OSError: the disk does not tell who it is.
        """
        with ExitStack() as undo:
            fd = undo.enter_context(_opened(node))
            number = kernel.number_of(fd)
            if not disk.serial or number != disk.devno or self._serial(number) != disk.serial:
                raise NotTemporary(node)
            self._stack.push(undo.pop_all())
        self._held[node] = fd
        self._devnos.add(disk.devno)

    def hold_those_there(self, disks: Mapping[str, Disk]) -> None:
        """Hold those of the disks that are still there under their names.

        Raises:
            OSError: one does not tell who it is.
        """
        for node, disk in disks.items():
            with suppress(NotTemporary):
                self.hold(node, disk)

    def keep(self, node: str) -> None:
        """Hold what stands on the disks too: its name stays until the end of the block.

        Raises:
            OSError: as ``opened``.
        """
        self._stack.enter_context(self.opened(node))

    @contextmanager
    def opened(self, node: str, *, write: bool = False) -> Iterator[int]:
        """Open one of the disks, or what stands on them alone, for a block.

        Raises:
            NotTemporary: it does not.
            OSError: it cannot be opened.
        """
        with _opened(self._path(node)) as fd:
            if not self._is_ours(fd):
                raise NotTemporary(node)
            if not write:
                yield fd
                return
            # The device that was looked at, whatever has its name by now.
            with kernel.opened(f"/proc/self/fd/{fd}", os.O_RDWR) as writable:
                yield writable

    def is_free(self, node: str) -> bool:
        """Tell whether nobody has mounted a held disk or holds it for themselves.

        Raises:
            OSError: it does not answer.
        """
        return kernel.is_free(self._path(node))

    def _path(self, node: str) -> str:
        fd = self._held.get(node)
        return node if fd is None else f"/proc/self/fd/{fd}"

    def _is_ours(self, fd: int) -> bool:
        number = kernel.number_of(fd)
        if not number or number in self._devnos:
            return bool(number)
        try:
            return self._stands_on_ours(kernel.backing_of(fd) or number)
        except OSError:
            return False

    def _stands_on_ours(self, number: str) -> bool:
        if number in self._devnos:
            return True
        place = f"{self._numbers}/{number}"
        if os.path.exists(f"{place}/partition"):
            return _text(f"{place}/../dev") in self._devnos
        below = [_text(f"{place}/slaves/{name}/dev") for name in labels.listed(f"{place}/slaves")]
        return bool(below) and all(each and self._stands_on_ours(each) for each in below)

    def _serial(self, number: str) -> str:
        """Return the serial of an open disk: its own, or else that of its link."""
        place = f"{self._numbers}/{number}"
        for path in labels.SERIAL_FILES:
            try:
                with open(f"{place}/{path}", "rb") as file:
                    own = labels.clean(file.read())
            except OSError as error:
                if error.errno not in kernel.GONE:
                    raise
            else:
                if own:
                    return own
        return labels.only_linked(os.path.realpath(place).rpartition("/")[2], self._by_id)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in kernel.GONE:
            raise NotTemporary(path) from error
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def _text(path: str) -> str:
    with suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        return file.read().strip()
    return ""
